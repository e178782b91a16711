/* Who counts as the client behind proxies. */
#include "proxies.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(proxies, .timeout = 10);

static void expect(const char *trusted, const char *peer, const char *const *fields,
                   const char *wanted)
{
    char wrong[128], text[CLIENT_TEXT_BYTES];
    struct proxies *proxies = proxies_parse(trusted, wrong, sizeof(wrong));
    struct http_head head = {.count = 0};
    struct in6_addr address, client;

    cr_assert_not_null(proxies, "%s", wrong);
    cr_assert_eq(inet_pton(AF_INET6, peer, &address), 1);
    for (; *fields != NULL; fields++)
        head.fields[head.count++] = (struct http_field){STR("X-Forwarded-For"), str_of(*fields)};
    client = proxies_client(proxies, &address, &head);
    cr_expect_str_eq(client_text(&client, text).ptr, wanted, "%s behind %s: %s", peer, trusted,
                     text);
    proxies_free(proxies);
}

#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(proxies, clients)
{
    expect("", "::ffff:1.2.3.4", FIELDS("9.9.9.9"), "1.2.3.4");
    expect("10.0.0.0/8", "::ffff:1.2.3.4", FIELDS("9.9.9.9"), "1.2.3.4");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS("9.9.9.9"), "9.9.9.9");
    expect("10.0.0.0/8", "::ffff:11.2.3.4", FIELDS("9.9.9.9"), "11.2.3.4");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS("8.8.8.8, 9.9.9.9"), "9.9.9.9");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS("8.8.8.8,9.9.9.9 , 10.1.1.1"), "9.9.9.9");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS("8.8.8.8", "9.9.9.9", "10.1.1.1"), "9.9.9.9");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS("10.7.7.7"), "10.7.7.7");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS("9.9.9.9, nonsense"), "10.2.3.4");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS("9.9.9.9, nonsense, 10.1.1.1"), "10.1.1.1");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS(" , ,"), "10.2.3.4");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS("9.9.9.9:1234"), "9.9.9.9");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS("[2001:db8::1]:1234"), "2001:db8::1");
    expect("10.0.0.0/8", "::ffff:10.2.3.4", FIELDS("2001:db8::1"), "2001:db8::1");
    expect("::1, fd00::/7", "::1", FIELDS("9.9.9.9, fd12::5"), "9.9.9.9");
    expect("0.0.0.0/0", "2001:db8::1", FIELDS("9.9.9.9"), "2001:db8::1");
    expect("0.0.0.0/0", "::ffff:1.2.3.4", FIELDS("9.9.9.9"), "9.9.9.9");
    expect("127.0.0.1", "::ffff:127.0.0.2", FIELDS("9.9.9.9"), "127.0.0.2");
}

Test(proxies, wrong_networks)
{
    static const char *const texts[] = {"10.0.0.0/33", "10.0.0.0/",   "10.0.0/8",  "::1/129",
                                        "a",           "10.0.0.0/-1", "1.2.3.4,x", "1.2.3.4/8x"};
    char wrong[128];

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        cr_expect_null(proxies_parse(texts[i], wrong, sizeof(wrong)), "%s", texts[i]);
}

/* What stands inside targets and fields: encoding, queries, cookies, tags, media types. */
#include "http_value.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(http_value, .timeout = 20);

enum { BIG = 64 * 1024 };

#define GET "GET / HTTP/1.1\r\n"
#define H "Host: a\r\n"

static struct http_head head;

static enum http_result read_all(const char *data)
{
    struct http_scan scan = {0};
    enum http_result result = http_head_find(data, strlen(data), &scan);

    if (result != HTTP_fine)
        return result;
    return http_head_parse(data + scan.start, scan.looked - scan.start, &head);
}

static void assert_str(struct str s, const char *text)
{
    cr_assert(str_is(s, text), "\"%.*s\", not \"%s\"", STR_ARG(s), text);
}

static const struct {
    const char *raw;
    bool plus;
    const char *decoded;
} encoded[] = {
    {"", false, ""},
    {"abc", false, "abc"},
    {"a%20b+c", false, "a b+c"},
    {"a%20b+c", true, "a b c"},
    {"%c3%A4%2F%2b", true, "\xc3\xa4/+"},
    {"%", true, "%"},
    {"%4", true, "%4"},
    {"%4g%zz%%41", true, "%4g%zz%A"},
    {"%25%32%30", true, "%20"},
};

Test(http_value, percent_encoding)
{
    for (size_t i = 0; i < sizeof(encoded) / sizeof(*encoded); i++) {
        char out[64];
        size_t len = http_decode(str_of(encoded[i].raw), encoded[i].plus, out);

        assert_str((struct str){out, len}, encoded[i].decoded);
    }
}

Test(http_value, queries_are_split)
{
    static const char *const parts[] = {"a", "1", "b", "", "c", "", "", "x", "d", "=e="};
    struct str rest = STR("&a=1&b=&&c&=x&d==e=&");
    struct str name, value;
    size_t i = 0;

    while (http_query_next(&rest, &name, &value)) {
        assert_str(name, parts[i++]);
        assert_str(value, parts[i++]);
    }
    cr_assert_eq(i, sizeof(parts) / sizeof(*parts));
    rest = NO_STR;
    cr_assert_not(http_query_next(&rest, &name, &value));
}

static const struct {
    const char *fields;
    const char *value; /* NULL: none */
} cookies[] = {
    {"Cookie: id=1\r\n", "1"},
    {"cookie: a=b; id=1; id=2\r\n", "1"},
    {"Cookie: a=b\r\nCookie: id=2\r\n", "2"},
    {"Cookie: xid=3; idx=4; id=5\r\n", "5"},
    {"Cookie: id=\"6\"\r\n", "6"},
    {"Cookie: id=\"\r\n", "\""},
    {"Cookie: id=\"\"\r\n", ""},
    {"Cookie: id=\r\n", ""},
    {"Cookie: id =  7  ;\r\n", "7"},
    {"Cookie: id=a=b\r\n", "a=b"},
    {"Cookie: id=\xff\xfe\r\n", "\xff\xfe"},
    {"Cookie: ;;; =; id=8\r\n", "8"},
    {"Cookie: id\r\n", NULL},
    {"Cookie: =id\r\n", NULL},
    {"Cookie:\r\n", NULL},
    {"Cookie: ID=1\r\n", NULL},
    {"X-Cookie: id=1\r\n", NULL},
    {"", NULL},
};

Test(http_value, cookies_are_found)
{
    for (size_t i = 0; i < sizeof(cookies) / sizeof(*cookies); i++) {
        char request[256];
        struct str value;

        snprintf(request, sizeof(request), GET H "%s\r\n", cookies[i].fields);
        cr_assert_eq(read_all(request), HTTP_fine);
        value = http_cookie(&head, "id");
        cr_assert_eq(value.ptr == NULL, cookies[i].value == NULL, "%s", cookies[i].fields);
        if (cookies[i].value != NULL)
            assert_str(value, cookies[i].value);
    }
}

Test(http_value, a_cookie_is_found_behind_many)
{
    char *request = malloc(BIG);
    size_t len;

    cr_assert_not_null(request);
    len = (size_t)snprintf(request, BIG, GET H "Cookie: ");
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(request + len, BIG - len, "c%d=%d; ", i, i);
    snprintf(request + len, BIG - len, "id=x\r\n\r\n");
    cr_assert_eq(read_all(request), HTTP_fine);
    assert_str(http_cookie(&head, "id"), "x");
    assert_str(http_cookie(&head, "c999"), "999");
    free(request);
}

static const struct {
    const char *fields;
    const char *tag;
    bool matches;
} tags[] = {
    {"If-None-Match: \"a\"\r\n", "\"a\"", true},
    {"If-None-Match: W/\"a\"\r\n", "\"a\"", true},
    {"If-None-Match: \"a\"\r\n", "W/\"a\"", true},
    {"If-None-Match: \"b\", W/\"c,d\" ,\t\"a\"\r\n", "\"a\"", true},
    {"If-None-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", "\"a\"", true},
    {"If-None-Match: *\r\n", "\"a\"", true},
    {"If-None-Match: \"b,\"a\"\r\n", "\"a\"", false},
    {"If-None-Match: \"A\"\r\n", "\"a\"", false},
    {"If-None-Match: a\r\n", "\"a\"", false},
    {"If-None-Match: w/\"a\"\r\n", "\"a\"", false},
    {"If-None-Match: \"a\r\n", "\"a\"", false},
    {"If-None-Match: \"\r\n", "\"\"", false},
    {"If-None-Match:\r\n", "\"a\"", false},
    {"If-Match: \"a\"\r\n", "\"a\"", false},
};

Test(http_value, entity_tags_are_compared_weakly)
{
    for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
        char request[256];

        snprintf(request, sizeof(request), GET H "%s\r\n", tags[i].fields);
        cr_assert_eq(read_all(request), HTTP_fine);
        cr_assert_eq(http_none_match(&head, str_of(tags[i].tag)), tags[i].matches, "%s",
                     tags[i].fields);
    }
}

static const struct {
    const char *type;
    bool json;
} types[] = {
    {"application/json", true},
    {"Application/JSON", true},
    {"application/json; charset=utf-8", true},
    {"application/json ;", true},
    {"application/problem+json", true},
    {"application/vnd.x.y+JSON;v=1", true},
    {"application/+json", false},
    {"application/jsonx", false},
    {"application/json/x", false},
    {"application/json, text/plain", false},
    {"application/", false},
    {"text/json", false},
    {"text/plain; a=application/json", false},
    {"", false},
    {NULL, false},
};

Test(http_value, media_types)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        cr_assert_eq(http_is_json(str_of(types[i].type)), types[i].json, "%s", types[i].type);
}

/* Origins, preflights, and the field lines of every answer. */
#include "headers.h"
#include <criterion/criterion.h>

TestSuite(headers, .timeout = 10);

static struct cors *parse(const char *text)
{
    char wrong[256];

    return cors_parse(text, wrong, sizeof(wrong));
}

Test(headers, origins)
{
    static const char *const texts[] = {
        "http://a.example,https://b.example:8443",
        " http://a.example , https://b.example:8443/ ,",
        "[\"http://a.example\", \"https://b.example:8443\"]",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct cors *cors = parse(texts[i]);

        cr_assert_not_null(cors, "%s", texts[i]);
        cr_assert_eq(cors_count(cors), 2);
        cr_assert_eq(cors_find(cors, STR("https://b.example:8443")), 1);
        cr_assert_eq(cors_find(cors, STR("https://b.example")), -1);
        cr_assert_eq(cors_find(cors, STR("http://a.example.evil")), -1);
        cr_assert_eq(cors_find(cors, STR("null")), -1);
        cr_assert_eq(cors_find(cors, NO_STR), -1);
        cors_free(cors);
    }
    arena_trim();
}

Test(headers, what_is_no_list_of_origins)
{
    static const char *const texts[] = {"*",       "a.example", "http://a.example/path", "[1]", "[",
                                        "[\"x\"]", "http://",   "http://a\r\nb"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        cr_expect_null(parse(texts[i]), "%s", texts[i]);
    arena_trim();
}

Test(headers, preflights)
{
    static const struct {
        enum http_method method;
        const char *origin, *wanted;
        enum preflight preflight;
    } cases[] = {
        {HTTP_OPTIONS, "http://a.example", "POST", PREFLIGHT_ALLOWED},
        {HTTP_OPTIONS, "http://a.example", "DELETE", PREFLIGHT_ALLOWED},
        {HTTP_OPTIONS, "http://a.example", "PUT", PREFLIGHT_FOREIGN},
        {HTTP_OPTIONS, "http://b.example", "GET", PREFLIGHT_FOREIGN},
        {HTTP_OPTIONS, "http://a.example", NULL, PREFLIGHT_NONE},
        {HTTP_OPTIONS, NULL, "GET", PREFLIGHT_NONE},
        {HTTP_GET, "http://a.example", "GET", PREFLIGHT_NONE},
    };
    struct cors *cors = parse("http://a.example");

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct http_head head = {.method = cases[i].method};

        if (cases[i].origin != NULL)
            head.fields[head.count++] = (struct http_field){STR("Origin"), str_of(cases[i].origin)};
        if (cases[i].wanted != NULL)
            head.fields[head.count++] =
                (struct http_field){STR("Access-Control-Request-Method"), str_of(cases[i].wanted)};
        cr_expect_eq(cors_preflight(cors, &head), cases[i].preflight, "case %zu", i);
    }
    cors_free(cors);
    arena_trim();
}

static bool has(struct str block, const char *text)
{
    return memmem(block.ptr, block.len, text, strlen(text)) != NULL;
}

Test(headers, blocks)
{
    struct cors *cors = parse("http://a.example");
    struct headers *headers = headers_new(cors, false);
    struct headers *production = headers_new(cors, true);
    struct str plain = headers_plain(headers);
    struct str allowed = headers_for(headers, STR("http://a.example"));

    cr_assert(has(plain, "Vary: Origin\r\n"));
    cr_assert(has(plain, "X-Frame-Options: DENY\r\n"));
    cr_assert_not(has(plain, "Strict-Transport-Security"));
    cr_assert_not(has(plain, "Access-Control"));
    cr_assert(has(headers_plain(production), "Strict-Transport-Security: max-age=31536000; "));
    cr_assert(has(allowed, "Access-Control-Allow-Origin: http://a.example\r\n"));
    cr_assert(has(allowed, "Access-Control-Allow-Credentials: true\r\n"));
    cr_assert(str_equal(headers_for(headers, STR("http://b.example")), plain));
    headers_free(production);
    headers_free(headers);
    cors_free(cors);
    arena_trim();
}

/* Text from outside: UTF-8, trimming, numbers as a query writes them. */
#include "text.h"
#include <criterion/criterion.h>

Test(text, utf8)
{
    static const struct {
        const char *bytes;
        size_t len;
        size_t valid; /* bytes at the start */
    } cases[] = {
        {"", 0, 0},
        {"plain ascii that is longer than a word", 38, 38},
        {"\xC3\xA9", 2, 2},
        {"\xE2\x82\xAC!", 4, 4},
        {"\xF0\x9F\x98\x80", 4, 4},
        {"\xF4\x8F\xBF\xBF", 4, 4},
        {"\xF4\x90\x80\x80", 4, 0}, /* past U+10FFFF */
        {"\xC0\xAF", 2, 0},         /* overlong */
        {"\xE0\x80\xAF", 3, 0},     /* overlong */
        {"\xF0\x80\x80\xAF", 4, 0}, /* overlong */
        {"\xED\xA0\x80", 3, 0},     /* a surrogate */
        {"ab\xE2\x82", 4, 2},       /* cut */
        {"ab\x80", 3, 2},           /* a continuation alone */
        {"12345678\xFF", 9, 8},     /* behind a whole word of ASCII */
        {"a\0b", 3, 3},             /* NUL is well-formed; fields refuse it */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str text = {cases[i].bytes, cases[i].len};

        cr_assert_eq(text_valid_bytes(text), cases[i].valid, "case %zu", i);
        cr_assert_eq(text_is_utf8(text), cases[i].valid == cases[i].len, "case %zu", i);
    }
}

/* ASCII is skipped in blocks: what is none is found at each place of texts of each length. */
Test(text, utf8_at_each_place)
{
    enum { LENGTH = 80 };
    char text[LENGTH];

    for (size_t len = 1; len <= LENGTH; len++) {
        for (size_t at = 0; at < len; at++) {
            memset(text, 'x', LENGTH);
            text[at] = '\xFF';
            cr_assert_eq(text_valid_bytes((struct str){text, len}), at, "%zu of %zu", at, len);
            if (at + 2 > len)
                continue;
            memcpy(text + at, "\xC3\xA9", 2);
            cr_assert_eq(text_valid_bytes((struct str){text, len}), len, "%zu of %zu", at, len);
        }
    }
}

Test(text, characters_are_counted_not_bytes)
{
    cr_assert_eq(text_chars(STR("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80")), 4);
    cr_assert_eq(text_chars(STR("")), 0);
}

Test(text, trim)
{
    static const struct {
        const char *text, *trimmed;
    } cases[] = {
        {"", ""},
        {" \t\n\v\f\r ", ""},
        {"  a b  ", "a b"},
        {"\xC2\xA0x\xE2\x80\x83", "x"},
        {"\xE3\x80\x80x\xE2\x80\xA8y", "x\xE2\x80\xA8y"},
        {"\xE2\x80\x8Bx", "\xE2\x80\x8Bx"}, /* a zero width space is none */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str trimmed = text_trim(str_of(cases[i].text));

        cr_assert(str_is(trimmed, cases[i].trimmed), "case %zu: '%.*s'", i, STR_ARG(trimmed));
    }
}

Test(text, integers)
{
    static const struct {
        const char *text;
        bool is_one;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"+7", true, 7},
        {"-7", true, -7},
        {" 12 ", true, 12},
        {"3.0", true, 3},
        {"3.00", true, 3},
        {"007", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", true, INT64_MAX},
        {"99999999999999999999999999", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN + 1},
        {"-99999999999999999999999999", true, INT64_MIN + 1},
        {"", false, 0},
        {"-", false, 0},
        {"3.", false, 0},
        {"3.5", false, 0},
        {".0", false, 0},
        {"1e3", false, 0},
        {"1 2", false, 0},
        {"0x10", false, 0},
        {"three", false, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 0;

        cr_assert_eq(text_integer(str_of(cases[i].text), &value), cases[i].is_one, "case %zu", i);
        if (cases[i].is_one)
            cr_assert_eq(value, cases[i].value, "case %zu", i);
    }
}

Test(text, booleans)
{
    static const char *const yes[] = {"true", "TRUE", "1", "yes", "on", "t", "Y"};
    static const char *const no[] = {"false", "False", "0", "no", "OFF", "f", "n"};
    bool value;

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        cr_assert(text_boolean(str_of(yes[i]), &value) && value, "%s", yes[i]);
        cr_assert(text_boolean(str_of(no[i]), &value) && !value, "%s", no[i]);
    }
    cr_assert_not(text_boolean(STR("maybe"), &value));
    cr_assert_not(text_boolean(STR(""), &value));
    cr_assert_not(text_boolean(STR(" true"), &value));
}

Test(text, uuids)
{
    cr_assert(text_is_uuid(STR("3f0c1a9e-6f2a-4e0e-9a53-1f6d7a0b9c11")));
    cr_assert(text_is_uuid(STR("3F0C1A9E-6F2A-4E0E-9A53-1F6D7A0B9C11")));
    cr_assert_not(text_is_uuid(STR("3f0c1a9e-6f2a-4e0e-9a53-1f6d7a0b9c1")));
    cr_assert_not(text_is_uuid(STR("3f0c1a9e-6f2a-4e0e-9a53-1f6d7a0b9c1g")));
    cr_assert_not(text_is_uuid(STR("3f0c1a9e+6f2a-4e0e-9a53-1f6d7a0b9c11")));
    cr_assert_not(text_is_uuid(STR("")));
}

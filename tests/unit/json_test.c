/* JSON whole, cut at every byte, and wrong in every way that matters. */
#include "json.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static struct arena arena;

static void open_arena(void)
{
    contract_open();
    arena_init(&arena, 8 << 20);
}

static void close_arena(void)
{
    arena_clear(&arena);
    arena_trim();
}

TestSuite(json, .init = open_arena, .fini = close_arena, .timeout = 30);

/* Reads `text` in two slices cut at `cut` and writes it again. */
static const char *round_trip(struct str text, size_t cut)
{
    struct json_reader *reader = json_reader_new(&arena);
    msgpack_object value;
    struct buffer out;
    size_t offset;

    cr_assert_not_null(reader);
    if (json_feed(reader, (struct str){text.ptr, cut}) != 0 ||
        json_feed(reader, (struct str){text.ptr + cut, text.len - cut}) != 0 ||
        json_end(reader, &value) != 0)
        return json_error(reader, &offset);
    buffer_init(&out, &arena, 1 << 20);
    json_write(&out, &value);
    buffer_add_char(&out, '\0');
    return out.data;
}

Test(json, what_is_read_is_written)
{
    static const struct {
        const char *text, *written;
    } cases[] = {
        {"null", "null"},
        {" true ", "true"},
        {"false", "false"},
        {"0", "0"},
        {"-0", "0"},
        {"-12", "-12"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"123456789012345678901234567890", "9223372036854775807"},
        {"-123456789012345678901234567890", "-9223372036854775807"},
        {"1.5", "1.5"},
        {"0.1", "0.1"},
        {"-0.0", "-0.0"},
        {"1e2", "100"},
        {"-2.5E-1", "-0.25"},
        {"1e999", "null"},
        {"\"\"", "\"\""},
        {"\"a\\u00e9\\n\\t\\\"\\\\\\/\\b\\f\\r\"", "\"a\xC3\xA9\\n\\t\\\"\\\\/\\b\\f\\r\""},
        {"\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\""},
        {"\"\\u0000\"", "\"\\u0000\""},
        {"\"\\ud800x\"", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDx\""},
        {"\"\\ud800\\u0041\"", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                               "A\""},
        {"\"\\ud800\\ud800\\udc00\"", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xF0\x90\x80\x80\""},
        {"\"\xFF\"", "\"\xEF\xBF\xBD\""},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[1,[2,{\"a\":[]}],\"x\"]", "[1,[2,{\"a\":[]}],\"x\"]"},
        {"{ \"a\" : 1 , \"b\" : { \"c\" : null } }", "{\"a\":1,\"b\":{\"c\":null}}"},
        {"\t\r\n[ ]\n", "[]"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str text = str_of(cases[i].text);

        for (size_t cut = 0; cut <= text.len; cut++)
            cr_assert_str_eq(round_trip(text, cut), cases[i].written, "%s cut at %zu",
                             cases[i].text, cut);
    }
}

Test(json, what_is_wrong_says_where)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *why;
    } cases[] = {
        {"", 0, "the text ends too early"},
        {"[1,", 3, "the text ends too early"},
        {"\"abc", 4, "the text ends too early"},
        {"[1 2]", 3, "`,` or `]` must come here"},
        {"[1,]", 3, "a value must come here"},
        {"{\"a\" 1}", 5, "`:` must come here"},
        {"{\"a\":1,}", 7, "a key in double quotes must come here"},
        {"{a:1}", 1, "a key in double quotes must come here"},
        {"{\"a\":1]", 6, "`,` or `}` must come here"},
        {"nul", 0, "a value must come here"},
        {"nulll", 0, "a value must come here"},
        {"NaN", 0, "a value must come here"},
        {"-Infinity", 0, "a number is malformed"},
        {"[01]", 1, "a number is malformed"},
        {"[1.]", 1, "a number is malformed"},
        {"[.5]", 1, "a value must come here"},
        {"[1e]", 1, "a number is malformed"},
        {"[--1]", 1, "a number is malformed"},
        {"[+1]", 1, "a value must come here"},
        {"\"a\nb\"", 2, "a control character must be escaped in a string"},
        {"\"\\x\"", 2, "there is no such escape"},
        {"\"\\u12g4\"", 5, "four hexadecimal digits must follow \\u"},
        {"1 2", 2, "something follows the value"},
        {"{} x", 3, "something follows the value"},
        {"'a'", 0, "a value must come here"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        msgpack_object value;
        const char *why;
        size_t offset;

        cr_assert_eq(json_read(&arena, str_of(cases[i].text), &value, &why, &offset), -1, "%s",
                     cases[i].text);
        cr_assert_str_eq(why, cases[i].why, "%s", cases[i].text);
        cr_assert_eq(offset, cases[i].offset, "%s: %zu", cases[i].text, offset);
    }
}

Test(json, depth_is_bounded)
{
    char deep[2 * JSON_MOST_DEPTH + 2];
    msgpack_object value;
    const char *why;
    size_t offset;

    memset(deep, '[', JSON_MOST_DEPTH);
    memset(deep + JSON_MOST_DEPTH, ']', JSON_MOST_DEPTH);
    cr_assert_eq(json_read(&arena, (struct str){deep, 2 * JSON_MOST_DEPTH}, &value, &why, &offset),
                 0);
    memset(deep, '[', JSON_MOST_DEPTH + 1);
    cr_assert_eq(json_read(&arena, (struct str){deep, JSON_MOST_DEPTH + 1}, &value, &why, &offset),
                 -1);
    cr_assert_str_eq(why, "nested too deeply");
    cr_assert_eq(offset, JSON_MOST_DEPTH);
}

Test(json, memory_is_bounded)
{
    enum { ITEMS = 1000000 };
    char *text = malloc(2 * ITEMS + 1);
    msgpack_object value;
    const char *why = "unset";
    size_t offset;

    for (size_t i = 0; i < ITEMS; i++)
        memcpy(text + 2 * i, "0,", 2);
    memcpy(text, "[[],", 4);
    cr_assert_eq(json_read(&arena, (struct str){text, 2 * ITEMS}, &value, &why, &offset), -1);
    cr_assert_null(why);
    free(text);
}

Test(json, the_last_of_equal_keys_counts)
{
    msgpack_object map;
    const char *why;
    size_t offset;

    cr_assert_eq(json_read(&arena, STR("{\"a\":1,\"a\":2}"), &map, &why, &offset), 0);
    cr_assert_eq(msgpack_member(&map, STR("a"))->via.u64, 2);
}

/* A record as JSON: encode, read, write. */
static const char *record_json(const struct record *record, const void *values)
{
    struct buffer bytes, out;
    msgpack_object map;
    const char *why;

    buffer_init(&bytes, &arena, 1 << 16);
    codec_encode(&bytes, record, values);
    cr_assert_eq(msgpack_read(&arena, buffer_str(&bytes), &map, &why), 0);
    buffer_init(&out, &arena, 1 << 16);
    if (json_write_record(&out, record, &map) != 0)
        return NULL;
    buffer_add_char(&out, '\0');
    return out.data;
}

Test(json, times_and_nulls_have_the_contracts_form)
{
    struct user_usage usage = {false, 10, 0, 10};
    struct user_session_out session = {STR("id"), 1769850300123999, &usage};
    struct bible_verse verse = {STR("John"), 3, 16, STR("For"), STR("WEB"), NO_STR};

    cr_assert_str_eq(record_json(&methods[METHOD_user_session].out, &session),
                     "{\"anonymous_id\":\"id\",\"created_at\":1769850300123,\"usage\":{\"is_pro\":"
                     "false,\"daily_limit\":10,\"calls_today\":0,\"remaining\":10}}");
    session.created_at = -1;
    cr_assert_not_null(
        strstr(record_json(&methods[METHOD_user_session].out, &session), "\"created_at\":-1,"));
    cr_assert_str_eq(record_json(&record_bible_verse, &verse),
                     "{\"book\":\"John\",\"chapter\":3,\"verse\":16,\"text\":\"For\","
                     "\"translation\":\"WEB\",\"text_parts\":null}");
}

Test(json, a_reply_that_lacks_a_member_is_refused)
{
    struct user_session_out session = {NO_STR, 0, NULL};

    cr_assert_null(record_json(&methods[METHOD_user_session].out, &session));
}

/* The text as a JSON string, byte by byte. */
static struct str quoted(struct str text)
{
    static const char names[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                 ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    struct buffer out;

    buffer_init(&out, &arena, 4096);
    buffer_add_char(&out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < sizeof(names) && names[c] != '\0')
            buffer_add_format(&out, "\\%c", names[c]);
        else if (c < 0x20)
            buffer_add_format(&out, "\\u%04x", c);
        else
            buffer_add_char(&out, (char)c);
    }
    buffer_add_char(&out, '"');
    return buffer_str(&out);
}

static void expect_written(struct str text)
{
    struct str expected = quoted(text);
    struct buffer out;

    buffer_init(&out, &arena, 4096);
    json_write_str(&out, text);
    cr_assert(str_equal(buffer_str(&out), expected), "%.*s instead of %.*s",
              STR_ARG(buffer_str(&out)), STR_ARG(expected));
}

/* Escapes are looked for a word at a time: each byte at each place, alone and beside another. */
Test(json, each_byte_at_each_place)
{
    enum { LENGTH = 27 };
    static const char around[] = {'x', '\x7f', '#', ']', '!', '[', ' '};
    char text[LENGTH];

    for (int c = 1; c < 128; c++) {
        for (size_t at = 0; at < LENGTH; at++) {
            memset(text, around[(at + (size_t)c) % sizeof(around)], LENGTH);
            text[at] = (char)c;
            expect_written((struct str){text, LENGTH});
            text[(at + 1) % LENGTH] = '"';
            expect_written((struct str){text + 1, LENGTH - 1});
        }
        arena_clear(&arena);
    }
    for (size_t at = 0; at + 2 <= LENGTH; at++) {
        memset(text, '\\', LENGTH);
        memcpy(text + at, "\xc2\xa2", 2); /* 0xA2 is a quote with its highest bit set */
        expect_written((struct str){text, LENGTH});
    }
}

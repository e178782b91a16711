/* Inputs against their rows: each type of fault, its place and its input. */
#include "codec.h"
#include "json.h"
#include <criterion/criterion.h>

static struct arena arena;
static struct check check;

static void open_check(void)
{
    contract_open();
    arena_init(&arena, 4 << 20);
}

static void close_check(void)
{
    arena_clear(&arena);
    arena_trim();
}

TestSuite(check, .init = open_check, .fini = close_check, .timeout = 30);

/* Checks the JSON text as the inputs of a method; returns the issues as JSON. */
static const char *issues_of(enum method_number number, const char *json, bool lenient, void *in)
{
    msgpack_object map, list;
    struct buffer text;
    const char *why;
    size_t offset;

    cr_assert_eq(json_read(&arena, str_of(json), &map, &why, &offset), 0, "%s: %s", json, why);
    check_init(&check, &arena, lenient);
    check_inputs(&check, &methods[number].in, &map, in);
    cr_assert_not(check.no_memory);
    cr_assert_eq(msgpack_read(&arena, check_detail(&check), &list, &why), 0);
    buffer_init(&text, &arena, 1 << 20);
    for (uint32_t i = 0; i < list.via.array.size; i++)
        cr_assert_eq(json_write_record(&text, &record_common_issue, &list.via.array.ptr[i]), 0);
    buffer_add_char(&text, '\0');
    return text.data;
}

Test(check, each_fault_has_its_type_place_and_input)
{
    static const struct {
        const char *json, *issues;
        bool lenient;
    } cases[] = {
        {"{\"book\":\"John\",\"chapter\":3,\"verse_start\":16}", "", false},
        {"{\"book\":\"John\",\"chapter\":\"3.0\",\"verse_start\":\" +16\",\"save\":\"Yes\"}", "",
         true},
        {"{\"chapter\":3,\"verse_start\":16}",
         "{\"type\":\"missing\",\"loc\":[\"query\",\"book\"],\"msg\":\"Field "
         "required\",\"input\":null}",
         true},
        {"{\"book\":null,\"chapter\":3,\"verse_start\":16}",
         "{\"type\":\"string_type\",\"loc\":[\"query\",\"book\"],\"msg\":\"Input should be a valid "
         "string\",\"input\":null}",
         true},
        {"{\"book\":\"John\",\"chapter\":\"three\",\"verse_start\":[1],\"save\":\"maybe\"}",
         "{\"type\":\"int_parsing\",\"loc\":[\"query\",\"chapter\"],\"msg\":\"Input should be a "
         "valid integer, unable to parse string as an integer\",\"input\":\"three\"}"
         "{\"type\":\"int_type\",\"loc\":[\"query\",\"verse_start\"],\"msg\":\"Input should be a "
         "valid integer\",\"input\":[1]}"
         "{\"type\":\"bool_parsing\",\"loc\":[\"query\",\"save\"],\"msg\":\"Input should be a "
         "valid "
         "boolean, unable to interpret input\",\"input\":\"maybe\"}",
         true},
        {"{\"book\":\"John\",\"chapter\":\"3\",\"verse_start\":16,\"save\":1}",
         "{\"type\":\"int_type\",\"loc\":[\"query\",\"chapter\"],\"msg\":\"Input should be a valid "
         "integer\",\"input\":\"3\"}"
         "{\"type\":\"bool_type\",\"loc\":[\"query\",\"save\"],\"msg\":\"Input should be a valid "
         "boolean\",\"input\":1}",
         false},
        {"{\"book\":\"a\\u0000b\",\"chapter\":3,\"verse_start\":3.5}",
         "{\"type\":\"value_error\",\"loc\":[\"query\",\"book\"],\"msg\":\"Value error, the text "
         "has a NUL character\",\"input\":\"a\\u0000b\"}"
         "{\"type\":\"int_type\",\"loc\":[\"query\",\"verse_start\"],\"msg\":\"Input should be a "
         "valid integer\",\"input\":3.5}",
         true},
        {"{\"book\":\"\\ud800\",\"chapter\":3,\"verse_start\":1}",
         "{\"type\":\"value_error\",\"loc\":[\"query\",\"book\"],\"msg\":\"Value error, the text "
         "is not valid Unicode\",\"input\":\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"}",
         true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bible_passage_in in;

        cr_assert_str_eq(issues_of(METHOD_bible_passage, cases[i].json, cases[i].lenient, &in),
                         cases[i].issues, "case %zu", i);
    }
}

Test(check, defaults_and_absence)
{
    struct bible_passage_in in;

    issues_of(METHOD_bible_passage, "{\"book\":\"John\",\"chapter\":3,\"verse_start\":16}", false,
              &in);
    cr_assert(str_is(in.translation, "WEB"));
    cr_assert_not(in.save);
    cr_assert_eq(in.verse_end, INT_ABSENT);
    issues_of(METHOD_bible_passage,
              "{\"book\":\"John\",\"chapter\":3,\"verse_start\":16,\"verse_end\":null,"
              "\"save\":true,\"translation\":\"KJV\"}",
              false, &in);
    cr_assert(str_is(in.translation, "KJV"));
    cr_assert(in.save);
    cr_assert_eq(in.verse_end, INT_ABSENT);
}

Test(check, numbers_past_64_bits_saturate)
{
    struct bible_passage_in in;

    cr_assert_str_eq(issues_of(METHOD_bible_passage,
                               "{\"book\":\"x\",\"chapter\":99999999999999999999999,"
                               "\"verse_start\":\"-99999999999999999999999\"}",
                               true, &in),
                     "");
    cr_assert_eq(in.chapter, INT64_MAX);
    cr_assert_eq(in.verse_start, INT64_MIN + 1);
}

Test(check, a_missing_body_field_shows_the_body)
{
    struct user_get_user_by_anonymous_id_in in;

    cr_assert_str_eq(issues_of(METHOD_user_get_user_by_anonymous_id, "{\"x\":1}", false, &in),
                     "{\"type\":\"missing\",\"loc\":[\"body\",\"anonymous_id\"],\"msg\":\"Field "
                     "required\",\"input\":{\"x\":1}}");
}

/* What is shown of a fault must not mend what is checked behind it. */
Test(check, an_invalid_text_behind_a_missing_field_is_found)
{
    struct bible_save_passage_in in;

    issues_of(METHOD_bible_save_passage,
              "{\"book\":\"b\",\"chapter\":1,\"verse_start\":1,\"translation\":\"\\ud800\","
              "\"text\":\"t\"}",
              true, &in);
    cr_assert_eq(check.count, 2);
    cr_assert(str_is(check.found[0].issue.type, "missing"));
    cr_assert(str_is(check.found[1].issue.type, "value_error"));
}

Test(check, lengths_count_characters)
{
    char json[256] = "{\"anonymous_id\":\"";
    struct user_get_user_by_anonymous_id_in in;

    for (int i = 0; i < 36; i++)
        strcat(json, "\xC3\xA9");
    strcat(json, "\"}");
    cr_assert_str_eq(issues_of(METHOD_user_get_user_by_anonymous_id, json, true, &in), "");
    cr_assert_eq(in.anonymous_id.len, 72);
    json[strlen(json) - 2] = '\0';
    strcat(json, "x\"}");
    issues_of(METHOD_user_get_user_by_anonymous_id, json, true, &in);
    cr_assert_eq(check.count, 1);
    cr_assert(str_is(check.found[0].issue.type, "string_too_long"));
    cr_assert(str_is(check.found[0].issue.msg, "String should have at most 36 characters"));
}

Test(check, bounds_of_numbers)
{
    static const char *const start = "{\"reference\":\"r\",\"book\":\"b\",\"translation\":\"WEB\","
                                     "\"text\":\"t\",\"verse_start\":1,\"chapter\":";
    struct bible_save_passage_in in;
    char json[256];

    snprintf(json, sizeof(json), "%s0}", start);
    issues_of(METHOD_bible_save_passage, json, false, &in);
    cr_assert(str_is(check.found[0].issue.type, "greater_than_equal"));
    snprintf(json, sizeof(json), "%s201}", start);
    issues_of(METHOD_bible_save_passage, json, false, &in);
    cr_assert(str_is(check.found[0].issue.type, "less_than_equal"));
    snprintf(json, sizeof(json), "%s200}", start);
    cr_assert_str_eq(issues_of(METHOD_bible_save_passage, json, false, &in), "");
}

/* Records as later domains have them: a list of records within the body. */
Test(check, places_within_lists)
{
    struct common_invalid_body body;
    msgpack_object map;
    const char *why;
    size_t offset;

    cr_assert_eq(json_read(&arena,
                           STR("{\"detail\":[{\"type\":\"a\",\"loc\":[],\"msg\":\"m\"},"
                               "{\"type\":1,\"loc\":[],\"msg\":\"m\"},7]}"),
                           &map, &why, &offset),
                 0);
    check_init(&check, &arena, false);
    check_record(&check, &record_common_invalid_body, &map, &body);
    cr_assert_eq(check.count, 2);
    cr_assert(str_equal(check.found[0].issue.loc, STR("\x93\xA6"
                                                      "detail\x01\xA4type")));
    cr_assert(str_is(check.found[0].issue.type, "string_type"));
    cr_assert(str_equal(check.found[1].issue.loc, STR("\x92\xA6"
                                                      "detail\x02")));
    cr_assert(str_is(check.found[1].issue.type, "model_attributes_type"));
    cr_assert_eq(body.detail.count, 3);
}

static const struct field document_field = {NAMED("data"), .type = TYPE_any, .document = true,
                                            .schema = "{}"};
static const struct record document_record = {"document", "", &document_field, 1,
                                              sizeof(struct str)};

/* A document is taken as it is, into what came; whoever handles it judges its texts. */
Test(check, documents_are_left_to_their_handler)
{
    struct str bytes = STR("\x81\xA4"
                           "data\x82\x01\xA2\0\xFF\xC0\xC0");
    struct str document = NO_STR;
    msgpack_object map;
    const char *why;

    cr_assert_eq(msgpack_read_slowly(&arena, bytes, true, &map, &why), 0);
    check_init(&check, &arena, false);
    check.bytes = bytes;
    check_inputs(&check, &document_record, &map, &document);
    cr_assert_eq(check.count, 0);
    cr_expect_eq(document.ptr, bytes.ptr + 6);
    cr_expect_eq(document.len, bytes.len - 6);
    check_init(&check, &arena, true);
    check_inputs(&check, &document_record, &map, &document);
    cr_expect(str_equal(document, (struct str){bytes.ptr + 6, bytes.len - 6}), "or copied");
}

Test(check, documents_are_objects)
{
    static const char *const others[] = {"{\"data\":[]}", "{\"data\":\"{}\"}", "{\"data\":null}",
                                         "{\"data\":1}"};
    struct str document;
    msgpack_object map;
    const char *why;
    size_t offset;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        cr_assert_eq(json_read(&arena, str_of(others[i]), &map, &why, &offset), 0);
        check_init(&check, &arena, true);
        check_inputs(&check, &document_record, &map, &document);
        cr_assert_eq(check.count, 1);
        cr_expect(str_is(check.found[0].issue.type, "dict_type"));
    }
}

Test(check, times_are_numbers_or_iso_8601)
{
    static const struct {
        const char *json;
        int64_t us;
        const char *type; /* of the fault, or NULL */
    } cases[] = {{"5", 5, NULL},
                 {"-5", -5, NULL},
                 {"\"1970-01-01T00:00:01.000002+00:00\"", 1000002, NULL},
                 {"\"1970-01-01T01:00:00+01:00\"", 0, NULL},
                 {"\"1970-01-01T01:00:00\"", 0, "value_error"},
                 {"\"\"", 0, "value_error"},
                 {"true", 0, "int_type"},
                 {"1.5", 0, "int_type"},
                 {"{}", 0, "int_type"}};
    struct user_pro_user user;
    char json[256];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        msgpack_object map;
        const char *why;
        size_t offset;

        snprintf(json, sizeof(json), "{\"anonymous_id\":\"a\",\"created_at\":%s}", cases[i].json);
        cr_assert_eq(json_read(&arena, str_of(json), &map, &why, &offset), 0);
        check_init(&check, &arena, false);
        check_record(&check, &record_user_pro_user, &map, &user);
        cr_assert_eq(check.count, cases[i].type != NULL, "%s", json);
        if (cases[i].type == NULL)
            cr_expect_eq(user.created_at, cases[i].us, "%s", json);
        else
            cr_expect(str_is(check.found[0].issue.type, cases[i].type), "%s", json);
    }
}

/* Inputs of made-up messages, from all places, whole and broken. */
#include "base/loop.h"
#include "base/time.h"
#include "intake.h"
#include "json.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* What a message with every kind of input is given. */
struct input {
    int64_t id;
    int64_t limit;
    bool save;
    struct str word;
    struct str note;
    struct str agent;
    struct str data;
};

#define AT(member) .offset = offsetof(struct input, member)

static const struct field fields[] = {
    {NAMED("id"), .type = TYPE_id, .place = PLACE_path, AT(id)},
    {NAMED("limit"), .type = TYPE_integer, .place = PLACE_query, .need = NEED_optional,
     .standard = "50", .bounded = true, .least = 0, .most = 500, AT(limit)},
    {NAMED("save"), .type = TYPE_boolean, .place = PLACE_query, .need = NEED_optional,
     .standard = "false", AT(save)},
    {NAMED("word"), .type = TYPE_str, .place = PLACE_body, .most_chars = 5, .trim = true, AT(word)},
    {NAMED("note"), .type = TYPE_str, .place = PLACE_body, .need = NEED_optional, AT(note)},
    {NAMED("user_agent"), .type = TYPE_str, .place = PLACE_header, .need = NEED_optional,
     AT(agent)},
    {NAMED("data"), .type = TYPE_any, .place = PLACE_body, .need = NEED_optional, AT(data)},
};

static const struct method method = {
    .name = "test.all",
    .domain = "test",
    .path = "/things/{id}",
    .kind = KIND_tx,
    .verb = VERB_POST,
    .in = {"all", "", fields, sizeof(fields) / sizeof(*fields), sizeof(struct input)},
};

/* Records within the body. */
struct item {
    int64_t count;
    bool flag;
    struct str name;
};

struct nested {
    const struct item *one;
    struct {
        const struct item *items;
        size_t count;
    } list;
    int64_t number;
    bool flag;
};

static const struct field item_fields[] = {
    {NAMED("count"), .type = TYPE_integer, .bounded = true, .least = 0, .most = 500,
     .offset = offsetof(struct item, count)},
    {NAMED("flag"), .type = TYPE_boolean, .need = NEED_optional,
     .offset = offsetof(struct item, flag)},
    {NAMED("name"), .type = TYPE_str, .most_chars = 5, .offset = offsetof(struct item, name)},
};

static const struct record item_record = {"item", "", item_fields, 3, sizeof(struct item)};

static const struct field nested_fields[] = {
    {NAMED("one"), .type = TYPE_one, .record = &item_record,
     .offset = offsetof(struct nested, one)},
    {NAMED("list"), .type = TYPE_list, .record = &item_record,
     .offset = offsetof(struct nested, list)},
    {NAMED("number"), .type = TYPE_integer, .offset = offsetof(struct nested, number)},
    {NAMED("flag"), .type = TYPE_boolean, .need = NEED_optional,
     .offset = offsetof(struct nested, flag)},
};

static const struct method nested_method = {
    .name = "test.nested",
    .domain = "test",
    .path = "/things/{id}",
    .kind = KIND_tx,
    .verb = VERB_POST,
    .in = {"nested", "", nested_fields, 4, sizeof(struct nested)},
};

static const struct method *asked = &method;
static struct exchange exchange;
static struct http_head head;
static int result;

static void run(void *arg)
{
    (void)arg;
    result = intake_read(&exchange);
    loop_stop();
}

/* Reads a request; returns its faults as JSON, or NULL where it has none. */
static const char *read_input(const char *path, const char *query, struct str body)
{
    static char text[64 * 1024];
    struct buffer json;
    msgpack_object detail;
    const char *why;

    arena_clear(&exchange.arena);
    arena_init(&exchange.arena, 64 * 1024 * 1024);
    failure_clear(&exchange.failure);
    head.path = str_of(path);
    head.query = str_of(query);
    exchange.method = asked;
    exchange.head = &head;
    exchange.content = body;
    exchange.connection = (void *)&exchange; /* somebody is there; nobody asks who */
    exchange.deadline_us = time_now_us() + TIME_S(20);
    cr_assert_not_null(fiber_start(run, NULL));
    loop_run();
    if (result == 0)
        return NULL;
    buffer_init(&json, NULL, sizeof(text));
    if (exchange.failure.detail.ptr != NULL) {
        cr_assert_eq(msgpack_read(&exchange.arena, exchange.failure.detail, &detail, &why), 0);
        json_write(&json, &detail);
    } else {
        buffer_add_format(&json, "%s", exchange.failure.fault->name);
    }
    snprintf(text, sizeof(text), "%.*s", STR_ARG(buffer_str(&json)));
    buffer_free(&json);
    return text;
}

static const struct input *input(void)
{
    static struct input values;

    cr_assert_null(codec_decode(&exchange.arena, &method.in, exchange.input, &values));
    return &values;
}

static void open_world(void)
{
    contract_open();
    loop_open(0);
    fiber_open(4);
}

static void close_world(void)
{
    arena_clear(&exchange.arena);
    arena_trim();
    fiber_close();
    loop_close();
}

TestSuite(intake, .init = open_world, .fini = close_world, .timeout = 60);

Test(intake, every_place)
{
    head.fields[0] = (struct http_field){STR("user-agent"), STR("caf\xe9")};
    head.count = 1;
    cr_assert_null(read_input("/api/things/%37", "limit=3.0&limit=+7&save=Yes&other=1&limit=12",
                              STR("{\"word\":\"  a\\u00e4b \",\"x\":1,\"data\":{\"k\":[1]}}")));
    cr_assert_eq(input()->id, 7);
    cr_assert_eq(input()->limit, 12);
    cr_assert(input()->save);
    cr_assert(str_is(input()->word, "a\xc3\xa4"
                                    "b"));
    cr_assert_null(input()->note.ptr);
    cr_assert(str_is(input()->agent, "caf\xc3\xa9"));
    cr_assert(str_equal(input()->data, STR("\x81\xa1k\x91\x01")));
    cr_assert(exchange.writes);
    cr_assert_gt(exchange.input.len, 20);
}

Test(intake, defaults)
{
    cr_assert_null(read_input("/api/things/7", NULL, STR("{\"word\":\"a\",\"note\":null}")));
    cr_assert_eq(input()->limit, 50);
    cr_assert_not(input()->save);
    cr_assert_null(input()->note.ptr);
}

/* Reads a request that has faults: type and loc of each, in order. */
static void assert_issues(const char *path, const char *query, const char *body, const char *issues)
{
    const char *got = read_input(path, query, str_of(body));
    char short_form[1024] = "";

    cr_assert_not_null(got, "%s", body);
    cr_assert_eq(exchange.failure.fault, &fault_invalid, "%s", body);
    for (const char *at = got; (at = strstr(at, "\"type\":\"")) != NULL;) {
        const char *loc = strstr(at, "\"loc\":");

        at += strlen("\"type\":\"");
        snprintf(short_form + strlen(short_form), sizeof(short_form) - strlen(short_form),
                 "%.*s%.*s", (int)strcspn(at, "\""), at, (int)strcspn(loc + 6, "]") + 1, loc + 6);
    }
    cr_expect_str_eq(short_form, issues, "%s: %s", body, got);
}

#define WORD "{\"word\":\"a\"}"

Test(intake, faults)
{
    static const struct {
        const char *path, *query, *body;
        const char *issues; /* type and loc of each, in order */
    } cases[] = {
        {"/api/things/x", "", WORD, "int_parsing[\"path\",\"id\"]"},
        {"/api/things/1", "limit=501", WORD, "less_than_equal[\"query\",\"limit\"]"},
        {"/api/things/1", "limit=-1", WORD, "greater_than_equal[\"query\",\"limit\"]"},
        {"/api/things/1", "limit=", WORD, "int_parsing[\"query\",\"limit\"]"},
        {"/api/things/1", "save=maybe", WORD, "bool_parsing[\"query\",\"save\"]"},
        {"/api/things/1", "", "{}", "missing[\"body\",\"word\"]"},
        {"/api/things/1", "", "{\"word\":null}", "string_type[\"body\",\"word\"]"},
        {"/api/things/1", "", "{\"word\":5}", "string_type[\"body\",\"word\"]"},
        {"/api/things/1", "", "{\"word\":\"abcdef\"}", "string_too_long[\"body\",\"word\"]"},
        {"/api/things/1", "", "{\"word\":\"a\\u0000\"}", "value_error[\"body\",\"word\"]"},
        {"/api/things/1", "", "{\"word\":\"\\ud800\"}", "value_error[\"body\",\"word\"]"},
        {"/api/things/1", "", "", "missing[\"body\"]"},
        {"/api/things/1", "", "[1]", "model_attributes_type[\"body\"]"},
        {"/api/things/1", "", "null", "model_attributes_type[\"body\"]"},
        {"/api/things/1", "", "\"{}\"", "model_attributes_type[\"body\"]"},
        {"/api/things/1", "", " 17 ", "model_attributes_type[\"body\"]"},
        {"/api/things/1", "", "true", "model_attributes_type[\"body\"]"},
        {"/api/things/1", "", "{\"word\":", "json_invalid[\"body\",8]"},
        {"/api/things/1", "", "{\"word\" \"a\"}", "json_invalid[\"body\",8]"},
        {"/api/things/x", "limit=y&save=z", "{\"note\":1}",
         "int_parsing[\"path\",\"id\"]int_parsing[\"query\",\"limit\"]"
         "bool_parsing[\"query\",\"save\"]missing[\"body\",\"word\"]string_type[\"body\","
         "\"note\"]"},
        {"/api/things/x", "limit=y", "{",
         "json_invalid[\"body\",1]int_parsing[\"path\",\"id\"]"
         "int_parsing[\"query\",\"limit\"]"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_issues(cases[i].path, cases[i].query, cases[i].body, cases[i].issues);
}

/* Where broken JSON is broken. */
Test(intake, json_that_is_broken)
{
    static const struct {
        const char *body;
        int offset;
    } cases[] = {
        {" ", 1},
        {"{", 1},
        {"}", 0},
        {"]", 0},
        {"{\"word\":\"a\"", 11},
        {"{\"word\":\"a\"]", 11},
        {"{\"word\":\"a\",}", 12},
        {"{\"word\":\"a\"}x", 12},
        {"{\"word\":\"a\"}{}", 12},
        {"{,\"word\":\"a\"}", 1},
        {"{word:\"a\"}", 1},
        {"{'word':'a'}", 1},
        {"{1:2}", 1},
        {"{null:2}", 1},
        {"{\"word\"=\"a\"}", 7},
        {"{\"word\":}", 8},
        {"{\"word\":a}", 8},
        {"{\"word\":True}", 8},
        {"{\"word\":nul}", 8},
        {"{\"word\":nulll}", 8},
        {"{\"word\":truefalse}", 8},
        {"{\"word\":NaN}", 8},
        {"{\"word\":Infinity}", 8},
        {"{\"word\":-Infinity}", 8},
        {"{\"word\":undefined}", 8},
        {"{\"word\":01}", 8},
        {"{\"word\":-}", 8},
        {"{\"word\":+1}", 8},
        {"{\"word\":.5}", 8},
        {"{\"word\":1.}", 8},
        {"{\"word\":1e}", 8},
        {"{\"word\":1e+}", 8},
        {"{\"word\":1-2}", 8},
        {"{\"word\":0x10}", 9},
        {"{\"word\":1,2}", 10},
        {"{\"word\":\"a", 10},
        {"{\"word\":\"a\nb\"}", 10},
        {"{\"word\":\"\x01\"}", 9},
        {"{\"word\":\"\\x\"}", 10},
        {"{\"word\":\"\\'\"}", 10},
        {"{\"word\":\"\\u12G4\"}", 13},
        {"{\"word\":\"\\u12\"}", 13},
        {"{\"word\":\"\\", 10},
        {"\xef\xbb\xbf{\"word\":\"a\"}", 0},
        {"\xff\xfe{", 0},
        {"[1,]", 3},
        {"[,1]", 1},
        {"[1 2]", 3},
        {"[1}", 2},
        {"/* c */{}", 0},
        {"{\"word\":\"a\"}//", 12},
        {"{\"word\":\"a\"}\f", 12},
    };
    char issues[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        snprintf(issues, sizeof(issues), "json_invalid[\"body\",%d]", cases[i].offset);
        assert_issues("/api/things/1", "", cases[i].body, issues);
    }
}

/* What JSON allows and texts here may not have, also deep in a value of any form. */
Test(intake, texts_that_are_none)
{
    static const char *const texts[] = {
        "\\u0000",
        "a\\u0000b",
        "\\ud800",
        "\\udc00",
        "\\ud800\\ud800",
        "\\udc00\\ud800",
        "\\ud800x",
        "\\ud83d \\ude00",
        "\xff",
        "\xc3",
        "\xc0\x80",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xe2\x82",
        "\xf0\x9f\x98\x80\x80",
        "\\ud83d\\u0041",
        "\\ude00\\ud83d\\n",
        "\xf8\x88\x80\x80\x80",
    };
    static const char *const forms[] = {
        "{\"word\":\"a\",\"data\":\"%s\"}",
        "{\"word\":\"a\",\"data\":[1,{\"k\":[\"x\",\"%s\"]}]}",
        "{\"word\":\"a\",\"data\":{\"a\":{\"%s\":1}}}",
    };
    char body[256];

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        snprintf(body, sizeof(body), "{\"word\":\"%s\"}", texts[i]);
        assert_issues("/api/things/1", "", body, "value_error[\"body\",\"word\"]");
        for (size_t form = 0; form < sizeof(forms) / sizeof(*forms); form++) {
            snprintf(body, sizeof(body), forms[form], texts[i]);
            assert_issues("/api/things/1", "", body, "value_error[\"body\",\"data\"]");
        }
    }
    cr_assert_null(read_input("/api/things/1", "",
                              STR("{\"word\":\"\\ud83d\\ude00\\u00e4\\uD7FF\\/\",\"\\ud800\":1}")));
    cr_assert(str_is(input()->word, "\xf0\x9f\x98\x80\xc3\xa4\xed\x9f\xbf/"));
}

Test(intake, faults_within_records)
{
#define ITEM "{\"count\":1,\"name\":\"a\"}"
#define REST "\"number\":1}"
    static const struct {
        const char *body, *issues;
    } cases[] = {
        {"{}", "missing[\"body\",\"one\"]missing[\"body\",\"list\"]missing[\"body\",\"number\"]"},
        {"{\"one\":null,\"list\":null,\"number\":null}",
         "model_attributes_type[\"body\",\"one\"]list_type[\"body\",\"list\"]"
         "int_type[\"body\",\"number\"]"},
        {"{\"one\":[],\"list\":{},\"number\":\"x\",\"flag\":2}",
         "model_attributes_type[\"body\",\"one\"]list_type[\"body\",\"list\"]"
         "int_parsing[\"body\",\"number\"]bool_type[\"body\",\"flag\"]"},
        {"{\"one\":{},\"list\":[],\"flag\":\"maybe\"," REST,
         "missing[\"body\",\"one\",\"count\"]missing[\"body\",\"one\",\"name\"]"
         "bool_parsing[\"body\",\"flag\"]"},
        {"{\"one\":" ITEM ",\"list\":[" ITEM ",7,null,[]," ITEM
         ",{\"count\":501,\"name\":\"abcdef\","
         "\"flag\":[]}]," REST,
         "model_attributes_type[\"body\",\"list\",1]model_attributes_type[\"body\",\"list\",2]"
         "model_attributes_type[\"body\",\"list\",3]less_than_equal[\"body\",\"list\",5,\"count\"]"
         "bool_type[\"body\",\"list\",5,\"flag\"]string_too_long[\"body\",\"list\",5,\"name\"]"},
        {"{\"one\":{\"count\":1.5,\"name\":5},\"list\":[{\"count\":-1,\"name\":\"\\u0000\"}]," REST,
         "int_type[\"body\",\"one\",\"count\"]string_type[\"body\",\"one\",\"name\"]"
         "greater_than_equal[\"body\",\"list\",0,\"count\"]"
         "value_error[\"body\",\"list\",0,\"name\"]"},
    };

    asked = &nested_method;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_issues("/api/things/1", "", cases[i].body, cases[i].issues);
}

/* A number in the message that goes to the actor. */
static int64_t sent_number(const char *name)
{
    const msgpack_object *number;
    msgpack_object sent;
    const char *why;

    cr_assert_eq(msgpack_read(&exchange.arena, exchange.input, &sent, &why), 0);
    number = msgpack_member(&sent, str_of(name));
    cr_assert_not_null(number);
    return number->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? (int64_t)number->via.u64
                                                           : number->via.i64;
}

/* How JSON may write a number, and which one it is. */
Test(intake, numbers)
{
    static const struct {
        const char *text;
        int64_t number;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"-0.0", 0},
        {"7", 7},
        {"7.0", 7},
        {"70e-1", 7},
        {"0.7E1", 7},
        {"7e+0", 7},
        {"\"7\"", 7},
        {"\" +7.0 \"", 7},
        {"2147483648", 2147483648},
        {"-2147483649", -2147483649},
        {"9007199254740993", 9007199254740993},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", INT64_MAX},
        {"18446744073709551616", INT64_MAX},
        {"123456789012345678901234567890", INT64_MAX},
        {"1e300", INT64_MAX},
        {"-9223372036854775808", INT64_MIN + 1},
        {"-9223372036854775809", INT64_MIN + 1},
        {"\"-9223372036854775808\"", INT64_MIN + 1},
        {"-1e300", INT64_MIN + 1},
        {"1e-400", 0},
    };
    char body[256];

    asked = &nested_method;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        snprintf(body, sizeof(body), "{\"one\":" ITEM ",\"list\":[],\"number\":%s}", cases[i].text);
        cr_assert_null(read_input("/api/things/1", "", str_of(body)), "%s", body);
        cr_expect_eq(sent_number("number"), cases[i].number, "%s", body);
    }
}

/* Of equal keys the last one counts; keys that nobody knows do not. */
Test(intake, keys_that_are_there_twice)
{
    cr_assert_null(read_input("/api/things/1", "",
                              STR("{\"word\":5,\"x\":{\"word\":6},\"word\":\"b\",\"Word\":7}")));
    cr_assert(str_is(input()->word, "b"));
    assert_issues("/api/things/1", "", "{\"word\":\"b\",\"w\\u006frd\":5}",
                  "string_type[\"body\",\"word\"]");
    cr_assert_null(
        read_input("/api/things/1", "", STR("{\"word\":\"a\",\"data\":{\"k\":1,\"k\":2}}")));
    cr_assert(str_equal(input()->data, STR("\x82\xa1k\x01\xa1k\x02")));
}

/* What is shown of a missing body field is the body. */
Test(intake, the_input_of_a_fault)
{
    cr_assert_not_null(
        strstr(read_input("/api/things/1", "", STR("{\"a\":1}")), "\"input\":{\"a\":1}"));
    cr_assert_not_null(strstr(read_input("/api/things/%FF", "", STR(WORD)), "\xef\xbf\xbd"));
}

/* `{"word":"a","data":[item,item,…]}`, of `len` bytes; on the heap. */
static struct str body_of(const char *item, size_t len)
{
    size_t step = strlen(item);
    char *text = malloc(len);
    size_t at = 20;

    cr_assert_not_null(text);
    memset(text, ' ', len);
    memcpy(text, "{\"word\":\"a\",\"data\":[", 20);
    for (; at + step + 3 < len; at += step)
        memcpy(text + at, item, step);
    memcpy(text + len - 3, "1]}", 3);
    return (struct str){text, len};
}

/* A body of many slices, with turns of the loop between them. */
Test(intake, a_large_body)
{
    struct str body =
        body_of("\"In the beginning God created the heavens and the earth.\",", 2097152);

    cr_assert_null(read_input("/api/things/1", "", body));
    cr_assert_gt(input()->data.len, body.len / 2);
    ((char *)(uintptr_t)body.ptr)[body.len - 1] = 'x';
    cr_assert_not_null(strstr(read_input("/api/things/1", "", body), "json_invalid"));
    free((char *)(uintptr_t)body.ptr);
}

static unsigned turns;

static void on_turn(struct ev_loop *loop, ev_check *watcher, int events)
{
    (void)loop, (void)watcher, (void)events;
    turns++;
}

/* The largest body that there is has its place, and a turn of the loop for each slice. */
Test(intake, the_largest_body)
{
    static const char record[] = "{\"id\":\"4711\",\"reference\":\"John "
                                 "3:16\",\"insight\":{\"a\":\"Written late in the first century, "
                                 "in Greek.\",\"b\":\"L\\u00f6we\"},"
                                 "\"tags\":[1,2],\"timestamp\":1767225600000},";
    struct str body = body_of(record, 16 * 1048576);
    ev_check counter;

    ev_check_init(&counter, on_turn);
    ev_check_start(loop_get(), &counter);
    cr_assert_null(read_input("/api/things/1", "", body));
    cr_assert_geq(turns, body.len / JSON_SLICE_BYTES);
    cr_assert_gt(exchange.input.len, body.len / 2);
    ev_check_stop(loop_get(), &counter);
    free((char *)(uintptr_t)body.ptr);
}

Test(intake, more_values_than_memory)
{
    struct str body = body_of("1,", 4 * 1048576);

    cr_assert_str_eq(read_input("/api/things/1", "", body), "too_large");
    free((char *)(uintptr_t)body.ptr);
    /* More than the wire carries, though not more than there is room for. */
    body = body_of("[],", 7 * 1048576);
    cr_assert_str_eq(read_input("/api/things/1", "", body), "too_large");
    free((char *)(uintptr_t)body.ptr);
    body = body_of("0.1,0.1,0.1,\"In the beginning God created\",", 16 * 1048576);
    cr_assert_str_eq(read_input("/api/things/1", "", body), "too_large");
    free((char *)(uintptr_t)body.ptr);
}

Test(intake, deeper_than_allowed)
{
    struct str body = body_of("[", 1048576);
    char text[128];

    for (int lists = JSON_MOST_DEPTH - 1; lists <= JSON_MOST_DEPTH; lists++) {
        int len = snprintf(text, sizeof(text), "{\"word\":\"a\",\"data\":");

        memset(text + len, '[', (size_t)lists);
        memset(text + len + lists, ']', (size_t)lists);
        snprintf(text + len + 2 * lists, 2, "}");
        if (lists < JSON_MOST_DEPTH)
            cr_assert_null(read_input("/api/things/1", "", str_of(text)));
        else
            assert_issues("/api/things/1", "", text, "json_invalid[\"body\",40]");
    }

    cr_assert_not_null(strstr(read_input("/api/things/1", "", body), "json_invalid"));
    free((char *)(uintptr_t)body.ptr);
}

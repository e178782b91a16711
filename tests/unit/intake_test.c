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
    {.name = "id", .type = TYPE_id, .place = PLACE_path, AT(id)},
    {.name = "limit",
     .type = TYPE_integer,
     .place = PLACE_query,
     .need = NEED_optional,
     .standard = "50",
     .bounded = true,
     .least = 0,
     .most = 500,
     AT(limit)},
    {.name = "save",
     .type = TYPE_boolean,
     .place = PLACE_query,
     .need = NEED_optional,
     .standard = "false",
     AT(save)},
    {.name = "word",
     .type = TYPE_str,
     .place = PLACE_body,
     .most_chars = 5,
     .trim = true,
     AT(word)},
    {.name = "note", .type = TYPE_str, .place = PLACE_body, .need = NEED_optional, AT(note)},
    {.name = "user_agent",
     .type = TYPE_str,
     .place = PLACE_header,
     .need = NEED_optional,
     AT(agent)},
    {.name = "data", .type = TYPE_any, .place = PLACE_body, .need = NEED_optional, AT(data)},
};

static const struct method method = {
    .name = "test.all",
    .domain = "test",
    .path = "/things/{id}",
    .kind = KIND_tx,
    .verb = VERB_POST,
    .in = {"all", "", fields, sizeof(fields) / sizeof(*fields), sizeof(struct input)},
};

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
    exchange.method = &method;
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

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *got = read_input(cases[i].path, cases[i].query, str_of(cases[i].body));
        char short_form[1024] = "";

        cr_assert_not_null(got, "case %zu", i);
        cr_assert_eq(exchange.failure.fault, &fault_invalid);
        for (const char *at = got; (at = strstr(at, "\"type\":\"")) != NULL;) {
            const char *loc = strstr(at, "\"loc\":");

            at += strlen("\"type\":\"");
            snprintf(short_form + strlen(short_form), sizeof(short_form) - strlen(short_form),
                     "%.*s%.*s", (int)strcspn(at, "\""), at, (int)strcspn(loc + 6, "]") + 1,
                     loc + 6);
        }
        cr_expect_str_eq(short_form, cases[i].issues, "case %zu: %s", i, got);
    }
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

Test(intake, more_values_than_memory)
{
    struct str body = body_of("1,", 4 * 1048576);

    cr_assert_str_eq(read_input("/api/things/1", "", body), "too_large");
    free((char *)(uintptr_t)body.ptr);
}

Test(intake, deeper_than_allowed)
{
    struct str body = body_of("[", 1048576);

    cr_assert_not_null(strstr(read_input("/api/things/1", "", body), "json_invalid"));
    free((char *)(uintptr_t)body.ptr);
}

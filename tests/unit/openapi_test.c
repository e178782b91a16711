/* The document is JSON, every reference leads somewhere, and each offered message stands in it. */
#include "contract.h"
#include "json.h"
#include "openapi.h"
#include <criterion/criterion.h>

static struct arena arena;
static msgpack_object document;

static void read_document(void)
{
    struct buffer text;
    const char *why;
    size_t offset;

    contract_open();
    arena_init(&arena, 64 * 1024 * 1024);
    buffer_init(&text, &arena, 4 * 1024 * 1024);
    openapi_write(&text);
    cr_assert_not(text.failed);
    cr_assert_eq(json_read(&arena, buffer_str(&text), &document, &why, &offset), 0, "%s at %zu",
                 why, offset);
}

static void forget_document(void)
{
    arena_clear(&arena);
    arena_trim();
}

TestSuite(openapi, .init = read_document, .fini = forget_document, .timeout = 10);

static const msgpack_object *member(const msgpack_object *map, const char *name)
{
    const msgpack_object *value;

    cr_assert_eq(map->type, MSGPACK_OBJECT_MAP, "on the way to %s", name);
    value = msgpack_member(map, str_of(name));
    cr_assert_not_null(value, "there is no %s", name);
    return value;
}

static bool text_is(const msgpack_object *value, const char *text)
{
    return value->type == MSGPACK_OBJECT_STR &&
           str_is((struct str){value->via.str.ptr, value->via.str.size}, text);
}

Test(openapi, frame)
{
    cr_assert(text_is(member(&document, "openapi"), "3.1.0"));
    cr_assert(text_is(member(member(&document, "info"), "title"), "Lectern"));
    cr_assert_eq(member(member(&document, "info"), "version")->type, MSGPACK_OBJECT_STR);
}

/* No key stands twice in any object: a reader may take either. */
static void check_keys(const msgpack_object *map)
{
    for (uint32_t i = 0; i < map->via.map.size; i++)
        for (uint32_t j = 0; j < i; j++)
            cr_assert_not(msgpack_object_equal(map->via.map.ptr[i].key, map->via.map.ptr[j].key));
}

static void check_reference(const msgpack_object *reference)
{
    static const char start[] = "#/components/schemas/";
    struct str text = {reference->via.str.ptr, reference->via.str.size};
    const msgpack_object *schemas = member(member(&document, "components"), "schemas");

    cr_assert(text.len > strlen(start) && memcmp(text.ptr, start, strlen(start)) == 0);
    text = (struct str){text.ptr + strlen(start), text.len - strlen(start)};
    cr_assert_not_null(msgpack_member(schemas, text), "%.*s", STR_ARG(text));
}

static void walk(const msgpack_object *value)
{
    if (value->type == MSGPACK_OBJECT_ARRAY)
        for (uint32_t i = 0; i < value->via.array.size; i++)
            walk(&value->via.array.ptr[i]);
    if (value->type != MSGPACK_OBJECT_MAP)
        return;
    check_keys(value);
    for (uint32_t i = 0; i < value->via.map.size; i++) {
        if (text_is(&value->via.map.ptr[i].key, "$ref"))
            check_reference(&value->via.map.ptr[i].val);
        walk(&value->via.map.ptr[i].val);
    }
}

Test(openapi, references_and_keys)
{
    walk(&document);
}

/* JSON; of a stream events, each of which is described. */
static void check_content(const struct method *method, const msgpack_object *content)
{
    const msgpack_object *events;

    if (method->kind != KIND_stream) {
        member(content, "application/json");
        return;
    }
    events = member(member(content, "text/event-stream"), "x-events");
    for (size_t i = 0; method->events[i] != NULL; i++)
        member(events, method->events[i]->name);
    member(member(events, "done"), "properties");
}

static void check_operation(const struct method *method)
{
    static const char *const verbs[] = {
        [VERB_GET] = "get", [VERB_POST] = "post", [VERB_DELETE] = "delete"};
    char path[128], status[16];
    const msgpack_object *operation, *responses, *parameters;
    size_t count = 0;

    snprintf(path, sizeof(path), "/api%s", method->path);
    operation = member(member(member(&document, "paths"), path), verbs[method->verb]);
    cr_assert(text_is(member(operation, "operationId"), method->name));
    cr_assert(text_is(member(operation, "summary"), method->prose));
    responses = member(operation, "responses");
    snprintf(status, sizeof(status), "%d", method->status);
    check_content(method, member(member(responses, status), "content"));
    for (size_t i = 0; method->faults != NULL && method->faults[i] != NULL; i++) {
        snprintf(status, sizeof(status), "%d", method->faults[i]->status);
        member(responses, status);
    }
    member(responses, "503");
    member(responses, "504");
    for (size_t i = 0; i < method->in.count; i++)
        count += method->in.fields[i].place != PLACE_body;
    parameters = member(operation, "parameters");
    cr_assert_eq(parameters->via.array.size, count);
}

Test(openapi, every_message_that_http_offers)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (methods[i].verb != VERB_NONE && methods[i].who != WHO_operators)
            check_operation(&methods[i]);
}

Test(openapi, a_parameter)
{
    const msgpack_object *list =
        member(member(member(member(&document, "paths"), "/api/chapter"), "get"), "parameters");
    const msgpack_object *save = &list->via.array.ptr[3];
    const msgpack_object *translation = &list->via.array.ptr[2];

    cr_assert(text_is(member(save, "name"), "save"));
    cr_assert(text_is(member(save, "in"), "query"));
    cr_assert_not(member(save, "required")->via.boolean);
    cr_assert(text_is(member(member(save, "schema"), "type"), "boolean"));
    cr_assert_not(member(member(save, "schema"), "default")->via.boolean);
    cr_assert(text_is(member(member(translation, "schema"), "default"), "WEB"));
}

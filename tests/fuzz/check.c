/* Checking what HTTP brings: the first byte chooses a message, the rest is the JSON of its body.
 *
 * What is accepted is encoded as the actor takes it: its strict check finds nothing and reads the
 * same. What is refused has a detail that is well-formed, names a place and a reason for each
 * fault, and becomes JSON that jansson takes. */
#include "fuzz.h"
#include "json.h"
#include "json_oracle.h"

enum { ARENA_BYTES = 256 << 20 };

static struct str encoded(struct arena *arena, const struct record *record, const void *values)
{
    struct buffer bytes;

    buffer_init(&bytes, arena, ARENA_BYTES);
    codec_encode(&bytes, record, values);
    HOLDS(!bytes.failed, "no memory");
    return buffer_str(&bytes);
}

static void actor_takes(struct arena *arena, const struct record *in, const void *values)
{
    struct str bytes = encoded(arena, in, values);
    void *read = arena_zalloc(arena, in->size_bytes + 1);
    const char *why;

    HOLDS(read != NULL, "no memory");
    why = codec_decode(arena, in, bytes, read);
    HOLDS(why == NULL, "the actor refuses it: %s", why);
    HOLDS(str_equal(encoded(arena, in, read), bytes), "the actor reads other values");
}

static void issue_is_whole(const msgpack_object *issue)
{
    const msgpack_object *type, *msg, *loc;

    HOLDS(issue->type == MSGPACK_OBJECT_MAP, "an issue is no map");
    type = msgpack_member(issue, STR("type"));
    msg = msgpack_member(issue, STR("msg"));
    loc = msgpack_member(issue, STR("loc"));
    HOLDS(type != NULL && type->type == MSGPACK_OBJECT_STR, "no type");
    HOLDS(msg != NULL && msg->type == MSGPACK_OBJECT_STR, "no sentence");
    HOLDS(loc != NULL && loc->type == MSGPACK_OBJECT_ARRAY && loc->via.array.size >= 2, "no place");
}

static void detail_is_whole(struct arena *arena, struct check *check)
{
    struct str detail = check_detail(check);
    msgpack_object list;
    struct buffer json;
    const char *why;

    HOLDS(detail.ptr != NULL, "no memory");
    HOLDS(msgpack_read(arena, detail, &list, &why) == 0, "%s", why);
    HOLDS(list.type == MSGPACK_OBJECT_ARRAY && list.via.array.size == check->count,
          "not a list of %zu", check->count);
    for (uint32_t i = 0; i < list.via.array.size; i++)
        issue_is_whole(&list.via.array.ptr[i]);
    buffer_init(&json, arena, ARENA_BYTES);
    json_write(&json, &list);
    HOLDS(!json.failed && json_oracle_accepts(buffer_str(&json)), "jansson refuses `%.*s`",
          STR_ARG(buffer_str(&json)));
}

static void check_body(struct arena *arena, const struct record *in, const msgpack_object *body)
{
    void *values = arena_zalloc(arena, in->size_bytes + 1);
    struct check check;

    HOLDS(values != NULL, "no memory");
    check_init(&check, arena, true);
    check_inputs(&check, in, body, values);
    HOLDS(!check.no_memory && check.count <= CHECK_MOST_ISSUES && check.depth == 0,
          "%zu issues, depth %zu", check.count, check.depth);
    if (check.count == 0)
        actor_takes(arena, in, values);
    detail_is_whole(arena, &check);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text;
    msgpack_object body;
    struct arena arena;
    const char *why;
    size_t offset;

    if (size == 0)
        return 0;
    text = (struct str){(const char *)data + 1, size - 1};
    contract_open();
    arena_init(&arena, ARENA_BYTES);
    if (json_read(&arena, text, &body, &why, &offset) == 0 && body.type == MSGPACK_OBJECT_MAP)
        check_body(&arena, &methods[data[0] % METHOD_COUNT].in, &body);
    arena_clear(&arena);
    return 0;
}

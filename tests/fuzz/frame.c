/* msgpack frames: reading against msgpack-c's own unpacker, and the codec against itself.
 *
 * The first byte chooses a record: a header, or the inputs or outputs of a message. The rest is
 * the frame. What is read, msgpack-c reads as the same value; written, it is read again as itself;
 * walked through, it is the same; as JSON jansson takes it. What decodes as the record encodes to
 * bytes that decode and encode to the same. */
#include "frame.h"

#include "fuzz.h"
#include "json.h"
#include "json_oracle.h"

enum { ARENA_BYTES = 256 << 20, RECORDS = 2 * METHOD_COUNT + 2 };

static const struct record *record_at(unsigned number)
{
    const struct method *method;

    number %= RECORDS;
    if (number < 2)
        return number == 0 ? &record_common_request : &record_common_reply;
    method = &methods[number / 2 - 1];
    return number % 2 == 0 ? &method->in : &method->out;
}

static struct buffer new_buffer(struct arena *arena)
{
    struct buffer buffer;

    buffer_init(&buffer, arena, ARENA_BYTES);
    return buffer;
}

/* ---- values ---- */

/* msgpack-c keeps a float of 4 bytes apart. */
static void widen(msgpack_object *value)
{
    if (value->type == MSGPACK_OBJECT_FLOAT32)
        value->type = MSGPACK_OBJECT_FLOAT64;
    for (uint32_t i = 0; value->type == MSGPACK_OBJECT_ARRAY && i < value->via.array.size; i++)
        widen(&value->via.array.ptr[i]);
    for (uint32_t i = 0; value->type == MSGPACK_OBJECT_MAP && i < value->via.map.size; i++) {
        widen(&value->via.map.ptr[i].key);
        widen(&value->via.map.ptr[i].val);
    }
}

static struct str packed(struct arena *arena, const msgpack_object *value)
{
    struct buffer bytes = new_buffer(arena);

    msgpack_write(&bytes, value);
    HOLDS(!bytes.failed, "no memory");
    return buffer_str(&bytes);
}

/* Both write the same, bit by bit: so they are the same, a NaN included. */
static void same_as_msgpack_c(struct arena *arena, struct str bytes, const msgpack_object *value)
{
    msgpack_unpacked theirs;
    size_t used = 0;

    msgpack_unpacked_init(&theirs);
    HOLDS(msgpack_unpack_next(&theirs, bytes.ptr, bytes.len, &used) == MSGPACK_UNPACK_SUCCESS,
          "msgpack-c refuses it");
    HOLDS(used == bytes.len, "msgpack-c used %zu of %zu", used, bytes.len);
    widen(&theirs.data);
    HOLDS(str_equal(packed(arena, value), packed(arena, &theirs.data)), "another value");
    msgpack_unpacked_destroy(&theirs);
}

static void written_comes_back(struct arena *arena, const msgpack_object *value)
{
    struct str bytes = packed(arena, value);
    struct buffer json = new_buffer(arena);
    msgpack_object again;
    const char *why;

    HOLDS(msgpack_read(arena, bytes, &again, &why) == 0, "%s", why);
    HOLDS(str_equal(packed(arena, &again), bytes), "another value");
    json_write(&json, value);
    HOLDS(json.failed || json_oracle_accepts(buffer_str(&json)), "jansson refuses `%.*s`",
          STR_ARG(buffer_str(&json)));
}

/* Walked through value by value, it is what was read as a whole. */
static void walk_comes_past(struct arena *arena, struct str bytes, const msgpack_object *value)
{
    bool is_map = value->type == MSGPACK_OBJECT_MAP;
    struct msgpack_walk walk;
    msgpack_object flat;
    size_t count;

    msgpack_read_flat(bytes, &flat);
    HOLDS(flat.type == value->type, "another type");
    if (!is_map && value->type != MSGPACK_OBJECT_ARRAY) {
        HOLDS(str_equal(packed(arena, &flat), packed(arena, value)), "another value");
        return;
    }
    HOLDS(is_map ? msgpack_walk_map(&walk, bytes) : msgpack_walk_list(&walk, bytes), "no walk");
    count = is_map ? 2 * (size_t)value->via.map.size : value->via.array.size;
    HOLDS(walk.left == count, "%zu values, not %zu", walk.left, count);
    for (size_t i = 0; i < count; i++) {
        const msgpack_object_kv *member = is_map ? &value->via.map.ptr[i / 2] : NULL;
        const msgpack_object *pair = member == NULL ? &value->via.array.ptr[i]
                                     : i % 2 == 0   ? &member->key
                                                    : &member->val;

        walk_comes_past(arena, msgpack_walk_next(&walk), pair);
    }
    HOLDS(msgpack_walk_next(&walk).ptr == NULL && walk.rest.len == 0, "something is left");
}

/* A reply's body becomes JSON, or is refused. */
static void write_record(struct arena *arena, const struct record *record,
                         const msgpack_object *value)
{
    struct buffer json = new_buffer(arena);

    if (json_write_record(&json, record, value) == 0)
        HOLDS(json.failed || json_oracle_accepts(buffer_str(&json)), "jansson refuses `%.*s`",
              STR_ARG(buffer_str(&json)));
}

static void read_value(struct arena *arena, const struct record *record, struct str bytes)
{
    msgpack_object value;
    const char *why = NULL;

    if (msgpack_read(arena, bytes, &value, &why) != 0) {
        HOLDS(why != NULL, "no memory");
        return;
    }
    same_as_msgpack_c(arena, bytes, &value);
    written_comes_back(arena, &value);
    walk_comes_past(arena, bytes, &value);
    write_record(arena, record, &value);
}

/* ---- records ---- */

static struct str encoded(struct arena *arena, const struct record *record, const void *values)
{
    struct buffer bytes = new_buffer(arena);

    codec_encode(&bytes, record, values);
    HOLDS(!bytes.failed, "no memory");
    return buffer_str(&bytes);
}

static void decode_record(struct arena *arena, const struct record *record, struct str bytes)
{
    void *values = arena_zalloc(arena, record->size_bytes + 1);
    void *again = arena_zalloc(arena, record->size_bytes + 1);
    struct str text;
    const char *why;

    HOLDS(values != NULL && again != NULL, "no memory");
    if (codec_decode(arena, record, bytes, values) != NULL)
        return;
    text = encoded(arena, record, values);
    why = codec_decode(arena, record, text, again);
    HOLDS(why == NULL, "%s: what was encoded is refused: %s", record->name, why);
    HOLDS(str_equal(encoded(arena, record, again), text), "%s changes", record->name);
}

static void read_headers(struct arena *arena, struct str bytes)
{
    struct common_request request;
    struct common_reply reply;
    const char *why = frame_read_request(arena, bytes, &request);

    HOLDS(why != NULL || (request.v >= 1 && request.id >= 0), "a request without version or id");
    why = frame_read_reply(arena, bytes, &reply);
    HOLDS(why != NULL || (reply.v >= 1 && reply.id >= 0 && reply.status.ptr != NULL),
          "a reply without version, id or status");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct str bytes;

    if (size == 0)
        return 0;
    bytes = (struct str){(const char *)data + 1, size - 1};
    contract_open();
    arena_init(&arena, ARENA_BYTES);
    read_value(&arena, record_at(data[0]), bytes);
    decode_record(&arena, record_at(data[0]), bytes);
    read_headers(&arena, bytes);
    arena_clear(&arena);
    return 0;
}

/* Structs to msgpack and back by field table.
 *
 * First reading and writing of values as such, then the encoder; checking inputs stands in check.c.
 */
#include "codec.h"
#include "base/fiber.h"
#include "text.h"

/* ---- reading values ---- */

enum {
    TURN_BYTES = 256 * 1024, /* after which one who reads slowly lets the loop turn */
    VALUE_COST_BYTES = 32    /* what a value counts for beside its text */
};

struct reader {
    struct arena *arena;
    const unsigned char *at, *end;
    size_t objects;  /* so far */
    unsigned depth;  /* of the value being read */
    const char *why; /* what is wrong; NULL with a -1: no memory */
    bool any_text;   /* strings need not be UTF-8 */
    bool skips;      /* values within lists and maps are not kept */
    bool slowly;     /* the loop turns meanwhile */
    size_t done;     /* bytes, about, since it last did */
};

static int read_value(struct reader *reader, msgpack_object *value);

static int refuse(struct reader *reader, const char *why)
{
    reader->why = why;
    return -1;
}

static size_t left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* An unsigned big endian number of 1, 2, 4 or 8 bytes. */
static int read_number(struct reader *reader, size_t bytes, uint64_t *number)
{
    uint64_t value = 0;

    if (left(reader) < bytes)
        return refuse(reader, "it ends within a value");
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | *reader->at++;
    *number = value;
    return 0;
}

static void set_signed(msgpack_object *value, int64_t number)
{
    if (number < 0) {
        value->type = MSGPACK_OBJECT_NEGATIVE_INTEGER;
        value->via.i64 = number;
    } else {
        value->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
        value->via.u64 = (uint64_t)number;
    }
}

static int read_str(struct reader *reader, size_t len, msgpack_object *value)
{
    const char *text = (const char *)reader->at;

    if (left(reader) < len)
        return refuse(reader, "it ends within a string");
    if (!reader->any_text && !text_is_utf8((struct str){text, len}))
        return refuse(reader, "a string is not UTF-8");
    value->type = MSGPACK_OBJECT_STR;
    value->via.str = (msgpack_object_str){(uint32_t)len, text};
    reader->at += len;
    reader->done += len;
    return 0;
}

static int read_bin(struct reader *reader, size_t len, msgpack_object *value)
{
    if (left(reader) < len)
        return refuse(reader, "it ends within binary data");
    value->type = MSGPACK_OBJECT_BIN;
    value->via.bin = (msgpack_object_bin){(uint32_t)len, (const char *)reader->at};
    reader->at += len;
    return 0;
}

/* `members` values follow: 1 each for an array, 2 for a map. */
static int enter(struct reader *reader, size_t count, size_t members)
{
    if (count > left(reader) / members)
        return refuse(reader, "a length is larger than what follows");
    if (++reader->depth > WIRE_MOST_DEPTH)
        return refuse(reader, "it is nested too deeply");
    return 0;
}

/* Reads over values without keeping them. */
static int skip_values(struct reader *reader, size_t count)
{
    msgpack_object value;

    for (size_t i = 0; i < count; i++) {
        if (read_value(reader, &value) != 0)
            return -1;
    }
    reader->depth--;
    return 0;
}

static int read_array(struct reader *reader, size_t count, msgpack_object *value)
{
    msgpack_object *items;

    if (enter(reader, count, 1) != 0)
        return -1;
    if (reader->skips)
        return skip_values(reader, count);
    items = arena_alloc(reader->arena, count * sizeof(*items));
    if (items == NULL)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (read_value(reader, &items[i]) != 0)
            return -1;
    }
    reader->depth--;
    value->type = MSGPACK_OBJECT_ARRAY;
    value->via.array = (msgpack_object_array){(uint32_t)count, items};
    return 0;
}

/* A list or map as a key would double with each level when it is written as JSON. */
static int read_key(struct reader *reader, msgpack_object *key)
{
    if (read_value(reader, key) != 0)
        return -1;
    if (key->type == MSGPACK_OBJECT_ARRAY || key->type == MSGPACK_OBJECT_MAP)
        return refuse(reader, "a key is a list or a map");
    return 0;
}

static int read_map(struct reader *reader, size_t count, msgpack_object *value)
{
    msgpack_object_kv *members;

    if (enter(reader, count, 2) != 0)
        return -1;
    if (reader->skips)
        return skip_values(reader, 2 * count);
    members = arena_alloc(reader->arena, count * sizeof(*members));
    if (members == NULL)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (read_key(reader, &members[i].key) != 0 || read_value(reader, &members[i].val) != 0)
            return -1;
    }
    reader->depth--;
    value->type = MSGPACK_OBJECT_MAP;
    value->via.map = (msgpack_object_map){(uint32_t)count, members};
    return 0;
}

/* A value whose length of `bytes` bytes comes first. */
static int read_sized(struct reader *reader, size_t bytes, msgpack_object *value,
                      int (*read)(struct reader *, size_t, msgpack_object *))
{
    uint64_t length;

    return read_number(reader, bytes, &length) != 0 ? -1 : read(reader, length, value);
}

static int read_float(struct reader *reader, size_t bytes, msgpack_object *value)
{
    uint64_t bits;

    if (read_number(reader, bytes, &bits) != 0)
        return -1;
    value->type = MSGPACK_OBJECT_FLOAT64;
    if (bytes == 4) {
        uint32_t half = (uint32_t)bits;
        float number;

        memcpy(&number, &half, sizeof(number));
        value->via.f64 = (double)number;
    } else {
        memcpy(&value->via.f64, &bits, sizeof(bits));
    }
    return 0;
}

static int read_unsigned(struct reader *reader, size_t bytes, msgpack_object *value)
{
    value->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    return read_number(reader, bytes, &value->via.u64);
}

static int read_signed(struct reader *reader, size_t bytes, msgpack_object *value)
{
    uint64_t bits;
    unsigned unused = (unsigned)(64 - 8 * bytes);

    if (read_number(reader, bytes, &bits) != 0)
        return -1;
    set_signed(value, (int64_t)(bits << unused) >> unused); /* extends the sign */
    return 0;
}

/* The formats that one byte alone tells: the numbers are those of msgpack's specification. */
static int read_by_code(struct reader *reader, unsigned code, msgpack_object *value)
{
    switch (code) {
    case 0xC0:
        value->type = MSGPACK_OBJECT_NIL;
        return 0;
    case 0xC2:
    case 0xC3:
        value->type = MSGPACK_OBJECT_BOOLEAN;
        value->via.boolean = code == 0xC3;
        return 0;
    case 0xC4:
    case 0xC5:
    case 0xC6:
        return read_sized(reader, 1u << (code - 0xC4), value, read_bin);
    case 0xCA:
    case 0xCB:
        return read_float(reader, code == 0xCA ? 4 : 8, value);
    case 0xCC:
    case 0xCD:
    case 0xCE:
    case 0xCF:
        return read_unsigned(reader, 1u << (code - 0xCC), value);
    case 0xD0:
    case 0xD1:
    case 0xD2:
    case 0xD3:
        return read_signed(reader, 1u << (code - 0xD0), value);
    case 0xD9:
    case 0xDA:
    case 0xDB:
        return read_sized(reader, 1u << (code - 0xD9), value, read_str);
    case 0xDC:
    case 0xDD:
        return read_sized(reader, code == 0xDC ? 2 : 4, value, read_array);
    case 0xDE:
    case 0xDF:
        return read_sized(reader, code == 0xDE ? 2 : 4, value, read_map);
    default:
        return refuse(reader, "it has a type that is not used here");
    }
}

static int read_value(struct reader *reader, msgpack_object *value)
{
    unsigned code;

    if (reader->at == reader->end)
        return refuse(reader, "it ends too early");
    if (++reader->objects > WIRE_MOST_OBJECTS)
        return refuse(reader, "it has too many values");
    reader->done += VALUE_COST_BYTES;
    if (reader->slowly && reader->done >= TURN_BYTES) {
        reader->done = 0;
        fiber_yield();
    }
    code = *reader->at++;
    if (code <= 0x7F || code >= 0xE0) {
        set_signed(value, (int8_t)code);
        return 0;
    }
    if (code <= 0x8F)
        return read_map(reader, code & 0x0F, value);
    if (code <= 0x9F)
        return read_array(reader, code & 0x0F, value);
    if (code <= 0xBF)
        return read_str(reader, code & 0x1F, value);
    return read_by_code(reader, code, value);
}

static struct reader reader_of(struct arena *arena, struct str bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.ptr;

    return (struct reader){.arena = arena, .at = at, .end = at + bytes.len};
}

static int read_whole(struct reader *reader, msgpack_object *value, const char **why)
{
    int result = read_value(reader, value);

    if (result == 0 && reader->at != reader->end)
        result = refuse(reader, "bytes follow the value");
    *why = reader->why;
    return result;
}

int msgpack_read(struct arena *arena, struct str bytes, msgpack_object *value, const char **why)
{
    struct reader reader = reader_of(arena, bytes);

    return read_whole(&reader, value, why);
}

int msgpack_read_slowly(struct arena *arena, struct str bytes, bool any_text, msgpack_object *value,
                        const char **why)
{
    struct reader reader = reader_of(arena, bytes);

    reader.slowly = true;
    reader.any_text = any_text;
    return read_whole(&reader, value, why);
}

/* ---- value by value ---- */

/* A reader of bytes that were judged before; lists and maps in them are passed over. */
static struct reader reader_over(struct str bytes)
{
    struct reader reader = reader_of(NULL, bytes);

    reader.any_text = reader.skips = true;
    return reader;
}

/* How many values a list (`members` 1) or map (2) has; SIZE_MAX: it is none. `at` is behind its
 * head then. */
static size_t read_head(struct reader *reader, unsigned members)
{
    unsigned code = reader->at < reader->end ? *reader->at++ : 0;
    unsigned few = members == 1 ? 0x90 : 0x80, many = members == 1 ? 0xDC : 0xDE;
    uint64_t count;

    if ((code & 0xF0) == few)
        return (code & 0x0F) * members;
    if (code != many && code != many + 1)
        return SIZE_MAX;
    return read_number(reader, code == many ? 2 : 4, &count) == 0 ? count * members : SIZE_MAX;
}

static bool walk_into(struct msgpack_walk *walk, struct str bytes, unsigned members)
{
    struct reader reader = reader_over(bytes);
    size_t count = read_head(&reader, members);

    *walk = (struct msgpack_walk){{(const char *)reader.at, left(&reader)}, count};
    return count != SIZE_MAX;
}

bool msgpack_walk_list(struct msgpack_walk *walk, struct str list)
{
    return walk_into(walk, list, 1);
}

bool msgpack_walk_map(struct msgpack_walk *walk, struct str map)
{
    return walk_into(walk, map, 2);
}

struct str msgpack_walk_next(struct msgpack_walk *walk)
{
    struct reader reader = reader_over(walk->rest);
    struct str bytes = {walk->rest.ptr, 0};
    msgpack_object value;

    if (walk->left == 0 || read_value(&reader, &value) != 0)
        return NO_STR;
    walk->left--;
    walk->rest = (struct str){(const char *)reader.at, left(&reader)};
    bytes.len = (size_t)(walk->rest.ptr - bytes.ptr);
    return bytes;
}

void msgpack_read_flat(struct str bytes, msgpack_object *value)
{
    struct msgpack_walk within;
    struct reader reader = reader_over(bytes);

    *value = (msgpack_object){.type = MSGPACK_OBJECT_NIL};
    if (msgpack_walk_list(&within, bytes))
        value->type = MSGPACK_OBJECT_ARRAY;
    else if (msgpack_walk_map(&within, bytes))
        value->type = MSGPACK_OBJECT_MAP;
    else
        (void)!read_value(&reader, value);
}

struct str msgpack_find(struct str map, struct str name)
{
    struct str found = NO_STR, key;
    struct msgpack_walk walk;
    msgpack_object text;

    if (!msgpack_walk_map(&walk, map))
        return NO_STR;
    while ((key = msgpack_walk_next(&walk)).ptr != NULL) {
        struct str value = msgpack_walk_next(&walk);

        msgpack_read_flat(key, &text);
        if (text.type == MSGPACK_OBJECT_STR &&
            str_equal((struct str){text.via.str.ptr, text.via.str.size}, name))
            found = value;
    }
    return found;
}

const msgpack_object *msgpack_member(const msgpack_object *map, struct str name)
{
    for (size_t i = map->via.map.size; i-- > 0;) {
        const msgpack_object_kv *member = &map->via.map.ptr[i];

        if (member->key.type == MSGPACK_OBJECT_STR &&
            str_equal((struct str){member->key.via.str.ptr, member->key.via.str.size}, name))
            return &member->val;
    }
    return NULL;
}

/* ---- writing ---- */

int buffer_append(void *buffer, const char *bytes, size_t len)
{
    buffer_add(buffer, bytes, len);
    return 0;
}

static msgpack_packer packer_of(struct buffer *out)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, buffer_append);
    return packer;
}

void msgpack_write(struct buffer *out, const msgpack_object *value)
{
    msgpack_packer packer = packer_of(out);

    msgpack_pack_object(&packer, *value);
}

static void pack_str(msgpack_packer *packer, struct str text)
{
    msgpack_pack_str(packer, text.len);
    msgpack_pack_str_body(packer, text.ptr, text.len);
}

void codec_encode_str(struct buffer *out, struct str text)
{
    msgpack_packer packer = packer_of(out);

    pack_str(&packer, text);
}

/* The member as each type stores it. */
#define MEMBER(type, values, field)                                                                \
    ((type const *)(const void *)((const char *)(values) + (field)->offset))

/* All lists have this form, whatever their items are. */
struct list {
    const char *items;
    size_t count;
};

static bool present(const struct field *field, const void *values)
{
    switch (field->type) {
    case TYPE_str:
    case TYPE_any:
        return MEMBER(struct str, values, field)->ptr != NULL;
    case TYPE_integer:
    case TYPE_id:
    case TYPE_time:
    case TYPE_iso:
        return *MEMBER(int64_t, values, field) != INT_ABSENT;
    case TYPE_one:
        return *MEMBER(const void *, values, field) != NULL;
    case TYPE_boolean:
        return field->need == NEED_required || *MEMBER(bool, values, field);
    case TYPE_list:
        break;
    }
    return true;
}

static void encode_record(msgpack_packer *packer, const struct record *record, const void *values);

static void encode_list(msgpack_packer *packer, const struct record *record,
                        const struct list *list)
{
    msgpack_pack_array(packer, list->count);
    for (size_t i = 0; i < list->count; i++)
        encode_record(packer, record, list->items + i * record->size_bytes);
}

static void encode_member(msgpack_packer *packer, const struct field *field, const void *values)
{
    switch (field->type) {
    case TYPE_str:
        pack_str(packer, *MEMBER(struct str, values, field));
        return;
    case TYPE_any:
        buffer_add_str(packer->data, *MEMBER(struct str, values, field));
        return;
    case TYPE_integer:
    case TYPE_id:
    case TYPE_time:
    case TYPE_iso:
        msgpack_pack_int64(packer, *MEMBER(int64_t, values, field));
        return;
    case TYPE_boolean:
        if (*MEMBER(bool, values, field))
            msgpack_pack_true(packer);
        else
            msgpack_pack_false(packer);
        return;
    case TYPE_one:
        encode_record(packer, field->record, *MEMBER(const void *, values, field));
        return;
    case TYPE_list:
        encode_list(packer, field->record, MEMBER(struct list, values, field));
        return;
    }
}

static void encode_record(msgpack_packer *packer, const struct record *record, const void *values)
{
    size_t count = 0;

    for (size_t i = 0; i < record->count; i++)
        count += present(&record->fields[i], values);
    msgpack_pack_map(packer, count);
    for (size_t i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];

        if (!present(field, values))
            continue;
        pack_str(packer, field_name(field));
        encode_member(packer, field, values);
    }
}

void codec_encode(struct buffer *out, const struct record *record, const void *values)
{
    msgpack_packer packer = packer_of(out);

    encode_record(&packer, record, values);
}

/* msgpack values as JSON text, plainly or by record. */
#include "base/time.h"
#include "json.h"
#include "text.h"
#include <endian.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A byte that cannot stand in a JSON string as it is. */
static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static void write_escape(struct buffer *out, unsigned char c)
{
    static const char names[] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
                                 ['\t'] = 't', ['"'] = '"',  ['\\'] = '\\'};

    if (names[c] != '\0') {
        buffer_add_char(out, '\\');
        buffer_add_char(out, names[c]);
    } else {
        buffer_add_format(out, "\\u%04x", c);
    }
}

enum { WORD_BYTES = 8 };

#define EACH_BYTE(value) (UINT64_MAX / 0xFF * (value))

/* Marks the lowest byte of a word that is less than `least` (at most 0x80) in its highest bit; 0
 * where none is. Bytes above it may be marked by mistake. */
static uint64_t mark_below(uint64_t word, unsigned char least)
{
    return (word - EACH_BYTE(least)) & ~word & EACH_BYTE(0x80);
}

static uint64_t mark_escapes(const char *at)
{
    uint64_t word;

    memcpy(&word, at, WORD_BYTES);
    word = le64toh(word);
    return mark_below(word, 0x20) | mark_below(word ^ EACH_BYTE('"'), 1) |
           mark_below(word ^ EACH_BYTE('\\'), 1);
}

/* Where the first byte stands that needs an escape, or the end; most texts have few. */
static const char *find_escape(const char *at, const char *end)
{
    for (; end - at >= WORD_BYTES; at += WORD_BYTES) {
        uint64_t marks = mark_escapes(at);

        if (marks != 0)
            return at + __builtin_ctzll(marks) / CHAR_BIT;
    }
    while (at < end && !needs_escape((unsigned char)*at))
        at++;
    return at;
}

/* Well-formed UTF-8 with its escapes. */
static void write_valid(struct buffer *out, struct str text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;

    while (at < end) {
        const char *escape = find_escape(at, end);

        buffer_add(out, at, (size_t)(escape - at));
        if (escape < end)
            write_escape(out, (unsigned char)*escape++);
        at = escape;
    }
}

void json_write_str(struct buffer *out, struct str text)
{
    buffer_add_char(out, '"');
    while (text.len > 0) {
        size_t valid = text_valid_bytes(text);

        write_valid(out, (struct str){text.ptr, valid});
        if (valid == text.len)
            break;
        buffer_add_text(out, "\xEF\xBF\xBD");
        text.ptr += valid + 1;
        text.len -= valid + 1;
    }
    buffer_add_char(out, '"');
}

static void write_integer(struct buffer *out, int64_t number)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;

    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (number < 0)
        digits[--at] = '-';
    buffer_add(out, digits + at, sizeof(digits) - at);
}

/* The shortest text that reads as the same number. */
static void write_float(struct buffer *out, double number)
{
    char text[32];

    if (!isfinite(number)) {
        buffer_add_text(out, "null"); /* JSON has no other word for it */
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, number);
        if (!islessgreater(strtod(text, NULL), number))
            break;
    }
    buffer_add_str(out, str_of(text));
    if (strcmp(text, "-0") == 0)
        buffer_add_text(out, ".0"); /* as an integer it would lose its sign */
}

static void write_key(struct buffer *out, const msgpack_object *key)
{
    struct buffer text;

    if (key->type == MSGPACK_OBJECT_STR) {
        json_write(out, key);
        return;
    }
    buffer_init(&text, out->arena, WIRE_MOST_BODY_BYTES);
    json_write(&text, key);
    json_write_str(out, buffer_str(&text));
    buffer_free(&text);
}

static void write_map(struct buffer *out, const msgpack_object_map *map)
{
    buffer_add_char(out, '{');
    for (uint32_t i = 0; i < map->size; i++) {
        if (i > 0)
            buffer_add_char(out, ',');
        write_key(out, &map->ptr[i].key);
        buffer_add_char(out, ':');
        json_write(out, &map->ptr[i].val);
    }
    buffer_add_char(out, '}');
}

static void write_array(struct buffer *out, const msgpack_object_array *array)
{
    buffer_add_char(out, '[');
    for (uint32_t i = 0; i < array->size; i++) {
        if (i > 0)
            buffer_add_char(out, ',');
        json_write(out, &array->ptr[i]);
    }
    buffer_add_char(out, ']');
}

static void write_bytes(struct buffer *out, const msgpack_object_bin *bin)
{
    buffer_add_char(out, '[');
    for (uint32_t i = 0; i < bin->size; i++)
        buffer_add_format(out, i > 0 ? ",%u" : "%u", (unsigned char)bin->ptr[i]);
    buffer_add_char(out, ']');
}

void json_write(struct buffer *out, const msgpack_object *value)
{
    switch (value->type) {
    case MSGPACK_OBJECT_BOOLEAN:
        buffer_add_str(out, value->via.boolean ? STR("true") : STR("false"));
        return;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (value->via.u64 > INT64_MAX)
            buffer_add_format(out, "%" PRIu64, value->via.u64);
        else
            write_integer(out, (int64_t)value->via.u64);
        return;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        write_integer(out, value->via.i64);
        return;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        write_float(out, value->via.f64);
        return;
    case MSGPACK_OBJECT_STR:
        json_write_str(out, (struct str){value->via.str.ptr, value->via.str.size});
        return;
    case MSGPACK_OBJECT_ARRAY:
        write_array(out, &value->via.array);
        return;
    case MSGPACK_OBJECT_MAP:
        write_map(out, &value->via.map);
        return;
    case MSGPACK_OBJECT_BIN:
        write_bytes(out, &value->via.bin);
        return;
    default:
        buffer_add_text(out, "null");
        return;
    }
}

/* ---- by record ---- */

static bool is_integer(const msgpack_object *value)
{
    return value->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
           value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
}

/* Milliseconds, rounded down also before 1970. */
static int64_t floor_ms(int64_t us)
{
    return us / 1000 - (us % 1000 < 0);
}

static int write_time(struct buffer *out, const struct field *field, const msgpack_object *value)
{
    char text[TIME_ISO_BYTES];

    if (!is_integer(value))
        return -1;
    if (field->type == TYPE_time)
        write_integer(out, floor_ms(value->via.i64));
    else
        json_write_str(out, str_of(time_iso(value->via.i64, text)));
    return 0;
}

static int write_list(struct buffer *out, const struct record *record, const msgpack_object *value)
{
    if (value->type != MSGPACK_OBJECT_ARRAY)
        return -1;
    buffer_add_char(out, '[');
    for (uint32_t i = 0; i < value->via.array.size; i++) {
        if (i > 0)
            buffer_add_char(out, ',');
        if (json_write_record(out, record, &value->via.array.ptr[i]) != 0)
            return -1;
    }
    buffer_add_char(out, ']');
    return 0;
}

/* Writes a value that must be of `type`. */
static int write_typed(struct buffer *out, const msgpack_object *value, bool matches)
{
    if (matches)
        json_write(out, value);
    return matches ? 0 : -1;
}

static int write_member(struct buffer *out, const struct field *field, const msgpack_object *value)
{
    switch (field->type) {
    case TYPE_time:
    case TYPE_iso:
        return write_time(out, field, value);
    case TYPE_one:
        return json_write_record(out, field->record, value);
    case TYPE_list:
        return write_list(out, field->record, value);
    case TYPE_str:
        return write_typed(out, value, value->type == MSGPACK_OBJECT_STR);
    case TYPE_integer:
    case TYPE_id:
        return write_typed(out, value, is_integer(value));
    case TYPE_boolean:
        return write_typed(out, value, value->type == MSGPACK_OBJECT_BOOLEAN);
    case TYPE_any:
        break;
    }
    return write_typed(out, value, true);
}

int json_write_field(struct buffer *out, const struct field *field, const msgpack_object *value)
{
    if (value != NULL && value->type != MSGPACK_OBJECT_NIL)
        return write_member(out, field, value);
    if (value == NULL && !field->nullable)
        return -1;
    buffer_add_text(out, "null");
    return 0;
}

void json_write_name(struct buffer *out, const struct field *field, bool first)
{
    if (!first)
        buffer_add_char(out, ',');
    buffer_add_char(out, '"');
    buffer_add_str(out, field_name(field)); /* a word of C: nothing in it needs an escape */
    buffer_add_text(out, "\":");
}

int json_write_members(struct buffer *out, const struct record *record, size_t count,
                       const msgpack_object *map)
{
    bool first = true;

    for (size_t i = 0; i < count; i++) {
        const struct field *field = &record->fields[i];
        const msgpack_object *value = msgpack_member(map, field_name(field));

        if (value == NULL && field->need == NEED_optional && !field->nullable)
            continue;
        json_write_name(out, field, first);
        first = false;
        if (json_write_field(out, field, value) != 0)
            return -1;
    }
    return 0;
}

int json_write_record(struct buffer *out, const struct record *record, const msgpack_object *map)
{
    if (map->type != MSGPACK_OBJECT_MAP)
        return -1;
    if (record_is_bare(record))
        return json_write_field(out, &record->fields[0],
                                msgpack_member(map, field_name(&record->fields[0])));
    buffer_add_char(out, '{');
    if (json_write_members(out, record, record->count, map) != 0)
        return -1;
    buffer_add_char(out, '}');
    return 0;
}

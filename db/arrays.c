/* Arrays in PostgreSQL's binary form; see arrays.h.
 *
 * A head of five numbers (dimensions, whether there are nulls, the values' type, how many, the
 * first one's index), then each value behind its length, -1 for NULL. All numbers are big endian.
 * An empty array has no dimension, and ends there. */
#include "arrays.h"
#include "base/time.h"
#include "oid.h"
#include <assert.h>
#include <endian.h>

enum { HEAD_BYTES = 20, EMPTY_BYTES = 12 };

static const struct {
    uint32_t array, value;
} types[] = {
    [ARRAY_text] = {OID_text_array, OID_text},
    [ARRAY_time] = {OID_timestamptz_array, OID_timestamptz},
    [ARRAY_boolean] = {OID_bool_array, OID_bool},
    [ARRAY_i32] = {OID_int4_array, OID_int4},
};

void array_init(struct array *array, enum array_type type, size_t most_bytes)
{
    *array = (struct array){.type = type};
    buffer_init(&array->bytes, NULL, most_bytes);
    buffer_add(&array->bytes, (const char[HEAD_BYTES]){0}, HEAD_BYTES);
}

static void add(struct array *array, enum array_type type, struct str value)
{
    uint32_t len = htobe32(value.ptr != NULL ? (uint32_t)value.len : UINT32_MAX);

    assert(array->type == type);
    (void)type;
    array->has_nulls |= value.ptr == NULL;
    array->count++;
    buffer_add(&array->bytes, &len, sizeof(len));
    buffer_add_str(&array->bytes, value);
}

void array_add_str(struct array *array, struct str value)
{
    add(array, ARRAY_text, value);
}

void array_add_time(struct array *array, int64_t epoch_us)
{
    struct param time = p_time(epoch_us);
    struct str value = {time.number, time.value.len};

    add(array, ARRAY_time, time.is_number ? value : NO_STR);
}

void array_add_bool(struct array *array, bool value)
{
    char wire = value;

    add(array, ARRAY_boolean, (struct str){&wire, sizeof(wire)});
}

void array_add_i32(struct array *array, int32_t value)
{
    uint32_t wire = htobe32((uint32_t)value);

    add(array, ARRAY_i32, (struct str){(const char *)&wire, sizeof(wire)});
}

bool array_failed(const struct array *array)
{
    return array->bytes.failed;
}

struct param p_array(struct array *array)
{
    uint32_t head[] = {htobe32(array->count > 0), htobe32(array->has_nulls),
                       htobe32(types[array->type].value), htobe32(array->count), htobe32(1)};
    struct str bytes = buffer_str(&array->bytes);

    static_assert(sizeof(head) == HEAD_BYTES, "the head is five numbers");
    assert(!array_failed(array));
    memcpy(array->bytes.data, head, sizeof(head));
    if (array->count == 0)
        bytes.len = EMPTY_BYTES;
    return (struct param){.type = types[array->type].array, .value = bytes};
}

void array_free(struct array *array)
{
    buffer_free(&array->bytes);
    array->count = 0;
}

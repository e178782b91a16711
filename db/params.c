/* Parameters: made by handlers, packed for libpq; see query.h and params.h. Everything travels in
 * binary: numbers big endian, times as microseconds since 2000, text as it is. */
#include "params.h"
#include "base/time.h"
#include "oid.h"
#include <endian.h>
#include <limits.h>
#include <stdlib.h>

static struct param number(uint32_t type, const void *bytes, size_t len)
{
    struct param param = {.type = type, .is_number = true, .value = {.len = len}};

    memcpy(param.number, bytes, len);
    return param;
}

static struct param null_of(uint32_t type)
{
    return (struct param){.type = type, .value = NO_STR};
}

struct param p_str(struct str value)
{
    return (struct param){.type = OID_text, .value = value};
}

struct param p_i32(int32_t value)
{
    uint32_t wire = htobe32((uint32_t)value);

    return number(OID_int4, &wire, sizeof(wire));
}

struct param p_i64(int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);

    return value == INT_ABSENT ? null_of(OID_int8) : number(OID_int8, &wire, sizeof(wire));
}

struct param p_bool(bool value)
{
    char wire = value;

    return number(OID_bool, &wire, sizeof(wire));
}

struct param p_time(int64_t epoch_us)
{
    uint64_t wire;

    if (epoch_us < INT64_MIN + EPOCH_2000_US) /* INT_ABSENT among them */
        return null_of(OID_timestamptz);
    wire = htobe64((uint64_t)(epoch_us == TIME_LAST ? INT64_MAX : epoch_us - EPOCH_2000_US));
    return number(OID_timestamptz, &wire, sizeof(wire));
}

struct param p_json(struct str text)
{
    return (struct param){.type = OID_jsonb, .value = text};
}

/* jsonb's binary form is its text behind a version. */
static int pack_jsonb(struct packed_params *packed, int at, struct str text)
{
    char *copy = malloc(text.len + 1);

    if (copy == NULL)
        return -1;
    copy[0] = JSONB_VERSION;
    memcpy(copy + 1, text.ptr, text.len);
    packed->made[at] = copy;
    packed->values[at] = copy;
    packed->lengths[at]++;
    return 0;
}

static int pack_one(struct packed_params *packed, int at, const struct param *param)
{
    if (param->value.len >= INT_MAX)
        return -1;
    packed->types[at] = param->type;
    packed->values[at] = param->is_number ? param->number : param->value.ptr;
    packed->lengths[at] = (int)param->value.len;
    packed->formats[at] = 1;
    packed->made[at] = NULL;
    if (param->type == OID_jsonb && param->value.ptr != NULL)
        return pack_jsonb(packed, at, param->value);
    return 0;
}

int params_pack(struct params params, struct packed_params *packed)
{
    packed->count = 0;
    if (params.count > PARAMS_MOST)
        return -1;
    for (unsigned i = 0; i < params.count; i++) {
        packed->count = (int)i + 1;
        if (pack_one(packed, (int)i, &params.items[i]) == 0)
            continue;
        params_release(packed);
        return -1;
    }
    return 0;
}

void params_release(struct packed_params *packed)
{
    for (int i = 0; i < packed->count; i++)
        free(packed->made[i]);
    packed->count = 0;
}

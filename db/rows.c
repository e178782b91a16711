/* Columns out of libpq's results, in binary; see rows.h. */
#include "rows.h"
#include "base/log.h"
#include "oid.h"
#include <assert.h>
#include <endian.h>
#include <libpq-fe.h>

/* What a column's type can be read as. */
enum reading {
    READ_none,
    READ_integer,
    READ_boolean,
    READ_text,
    READ_jsonb,
    READ_bytes,
    READ_time
};

static enum reading reading_of(Oid type)
{
    switch (type) {
    case OID_int2:
    case OID_int4:
    case OID_int8:
        return READ_integer;
    case OID_bool:
        return READ_boolean;
    case OID_text:
    case OID_varchar:
    case OID_bpchar:
    case OID_name:
    case OID_json:
        return READ_text;
    case OID_jsonb:
        return READ_jsonb;
    case OID_bytea:
        return READ_bytes;
    case OID_timestamptz:
        return READ_time;
    default:
        return READ_none;
    }
}

/* ---- single values ---- */

static int64_t integer_at(const PGresult *result, int row, int column)
{
    const char *bytes = PQgetvalue(result, row, column);
    uint16_t two;
    uint32_t four;
    uint64_t eight;

    switch (PQgetlength(result, row, column)) {
    case 2:
        memcpy(&two, bytes, sizeof(two));
        return (int16_t)be16toh(two);
    case 4:
        memcpy(&four, bytes, sizeof(four));
        return (int32_t)be32toh(four);
    default:
        memcpy(&eight, bytes, sizeof(eight));
        return (int64_t)be64toh(eight);
    }
}

/* `infinity` is the latest time there is, `-infinity` is no time. */
static int64_t time_at(const PGresult *result, int row, int column)
{
    int64_t us = integer_at(result, row, column);

    if (us == INT64_MIN)
        return INT_ABSENT;
    return us > INT64_MAX - EPOCH_2000_US ? INT64_MAX : us + EPOCH_2000_US;
}

static struct str bytes_at(const PGresult *result, int row, int column, size_t skipped)
{
    size_t len = (size_t)PQgetlength(result, row, column);

    skipped = skipped < len ? skipped : len;
    return (struct str){PQgetvalue(result, row, column) + skipped, len - skipped};
}

/* ---- by name ---- */

/* The column of that name, or -1. Names are compared as they are; libpq would fold their case. */
static int column_of(const PGresult *result, const char *name, size_t len)
{
    int count = PQnfields(result);

    for (int column = 0; column < count; column++) {
        const char *at = PQfname(result, column);

        if (strncmp(at, name, len) == 0 && at[len] == '\0')
            return column;
    }
    return -1;
}

/* Our own mistake: the end of a debug build. */
static void complain(const char *column, const char *what)
{
    log_error(&process, "column %s %s", column, what);
    assert(false && "a column that is not there, or of another type");
}

/* The column, where it is there and can be read so; -1 where it is NULL, or our mistake. */
static int find(const struct rows *rows, size_t row, const char *name, enum reading reading)
{
    int column = column_of(rows->result, name, strlen(name));
    enum reading is;

    if (column < 0 || row >= (size_t)PQntuples(rows->result)) {
        complain(name, column < 0 ? "is not there" : "has no such row");
        return -1;
    }
    is = reading_of(PQftype(rows->result, column));
    if (is != reading && (reading != READ_text || (is != READ_jsonb && is != READ_bytes))) {
        complain(name, "has another type");
        return -1;
    }
    return PQgetisnull(rows->result, (int)row, column) ? -1 : column;
}

bool row_is_null(const struct rows *rows, size_t row, const char *name)
{
    int column = column_of(rows->result, name, strlen(name));

    if (column >= 0 && row < (size_t)PQntuples(rows->result))
        return PQgetisnull(rows->result, (int)row, column) != 0;
    complain(name, "is not there");
    return true;
}

int64_t row_i64(const struct rows *rows, size_t row, const char *name)
{
    int column = find(rows, row, name, READ_integer);

    return column >= 0 ? integer_at(rows->result, (int)row, column) : INT_ABSENT;
}

bool row_bool(const struct rows *rows, size_t row, const char *name)
{
    int column = find(rows, row, name, READ_boolean);

    return column >= 0 && *PQgetvalue(rows->result, (int)row, column) != 0;
}

static size_t skipped_in(const PGresult *result, int column)
{
    return PQftype(result, column) == OID_jsonb ? 1 : 0;
}

struct str row_str(const struct rows *rows, size_t row, const char *name)
{
    int column = find(rows, row, name, READ_text);

    if (column < 0)
        return NO_STR;
    return bytes_at(rows->result, (int)row, column, skipped_in(rows->result, column));
}

int64_t row_time(const struct rows *rows, size_t row, const char *name)
{
    int column = find(rows, row, name, READ_time);

    return column >= 0 ? time_at(rows->result, (int)row, column) : INT_ABSENT;
}

/* ---- whole structs ---- */

/* Whether a column of that reading goes into a member of that type. */
static bool fits(enum field_type type, enum reading reading)
{
    switch (type) {
    case TYPE_str:
        return reading == READ_text || reading == READ_jsonb;
    case TYPE_integer:
    case TYPE_id:
        return reading == READ_integer;
    case TYPE_boolean:
        return reading == READ_boolean;
    case TYPE_time:
    case TYPE_iso:
        return reading == READ_time;
    case TYPE_any:
        return reading == READ_bytes;
    default:
        return false;
    }
}

/* A member's column; -1: it is left alone. */
static int column_for(const PGresult *result, const struct field *field)
{
    int column;
    enum reading reading;

    if (field->type == TYPE_one || field->type == TYPE_list)
        return -1;
    column = column_of(result, field->name, field->name_len);
    if (column < 0)
        return -1;
    reading = reading_of(PQftype(result, column));
    if (fits(field->type, reading))
        return column;
    if (field->type != TYPE_any)
        complain(field->name, "has another type");
    return -1;
}

static void put_i64(void *member, int64_t value)
{
    memcpy(member, &value, sizeof(value));
}

static void fill_member(const PGresult *result, int row, int column, const struct field *field,
                        void *out)
{
    char *member = (char *)out + field->offset;
    bool is_null = PQgetisnull(result, row, column) != 0;
    struct str text;
    bool truth;

    switch (field->type) {
    case TYPE_str:
    case TYPE_any:
        text = is_null ? NO_STR : bytes_at(result, row, column, skipped_in(result, column));
        memcpy(member, &text, sizeof(text));
        break;
    case TYPE_boolean:
        truth = !is_null && *PQgetvalue(result, row, column) != 0;
        memcpy(member, &truth, sizeof(truth));
        break;
    case TYPE_time:
    case TYPE_iso:
        put_i64(member, is_null ? INT_ABSENT : time_at(result, row, column));
        break;
    default:
        put_i64(member, is_null ? INT_ABSENT : integer_at(result, row, column));
        break;
    }
}

enum { FIELDS_MOST = 64 };

static size_t map_columns(const PGresult *result, const struct record *record, int *columns)
{
    size_t count = record->count < FIELDS_MOST ? record->count : FIELDS_MOST;

    assert(record->count <= FIELDS_MOST);
    for (size_t i = 0; i < count; i++)
        columns[i] = column_for(result, &record->fields[i]);
    return count;
}

void row_fill(const struct rows *rows, size_t row, const struct record *record, void *out)
{
    int columns[FIELDS_MOST];
    size_t count = map_columns(rows->result, record, columns);

    for (size_t i = 0; i < count; i++)
        if (columns[i] >= 0)
            fill_member(rows->result, (int)row, columns[i], &record->fields[i], out);
}

void *rows_fill(struct call *call, const struct rows *rows, const struct record *record)
{
    int columns[FIELDS_MOST];
    size_t count = map_columns(rows->result, record, columns);
    size_t bytes;
    char *out = NULL;

    if (!__builtin_mul_overflow(rows->count, record->size_bytes, &bytes))
        out = arena_zalloc(&call->arena, bytes > 0 ? bytes : 1);
    if (out == NULL) {
        fail(call, busy, "no memory left for %zu rows", rows->count);
        return NULL;
    }
    for (size_t row = 0; row < rows->count; row++)
        for (size_t i = 0; i < count; i++)
            if (columns[i] >= 0)
                fill_member(rows->result, (int)row, columns[i], &record->fields[i],
                            out + row * record->size_bytes);
    return out;
}

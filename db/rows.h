/* What a query answered. Columns are taken by name and in binary; asking for a column that is not
 * there, or of another type, is our own mistake: an assertion, and where those are compiled out the
 * absent value and a line in the log. */
#pragma once

#include "call.h"

struct pg_result;

struct rows {
    const struct pg_result *result; /* libpq's; the call frees it */
    size_t count;                   /* rows */
};

bool row_is_null(const struct rows *rows, size_t row, const char *column);
int64_t row_i64(const struct rows *rows, size_t row, const char *column); /* int2, int4, int8 */
bool row_bool(const struct rows *rows, size_t row, const char *column);
/* text, varchar; json and jsonb as text; bytea as its bytes */
struct str row_str(const struct rows *rows, size_t row, const char *column);
int64_t row_time(const struct rows *rows, size_t row, const char *column); /* us since the epoch */

/* Fills the members of `out` (a struct of `record`) that have the name of a column, NULL as absent.
 * str and any-from-bytea members point into the result. Members of type one, list and any (from
 * json) are left alone. */
void row_fill(const struct rows *rows, size_t row, const struct record *record, void *out);

/* All rows as an array of `record`'s structs in the call's arena; NULL (failure recorded: busy)
 * without memory. Zero rows give a non-NULL pointer. */
void *rows_fill(struct call *call, const struct rows *rows, const struct record *record) MUST;

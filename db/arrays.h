/* Arrays as parameters, so that one statement takes many rows (`unnest`).
 *
 *   struct array words;
 *   array_init(&words, ARRAY_text, most_bytes);
 *   array_add_str(&words, …);
 *   … PARAMS(p_array(&words)) …
 *   array_free(&words);
 *
 * What is added is put at once into the form in which it travels, on the heap: an array costs what
 * its values take, and four bytes each. */
#pragma once

#include "query.h"

enum array_type { ARRAY_text, ARRAY_time, ARRAY_boolean, ARRAY_i32 };

struct array {
    struct buffer bytes;  /* in the form in which they travel; the head is filled by p_array() */
    enum array_type type; /* of the values */
    uint32_t count;       /* of them */
    bool has_nulls;       /* one at least is NULL */
};

/* An empty array of at most `most_bytes`. */
void array_init(struct array *array, enum array_type type, size_t most_bytes);

/* Adds a value of the array's type. Absent texts and times are NULL. What does not fit any more is
 * dropped, and array_failed() says so. */
void array_add_str(struct array *array, struct str value);
void array_add_time(struct array *array, int64_t epoch_us);
void array_add_bool(struct array *array, bool value);
void array_add_i32(struct array *array, int32_t value);

/* Whether something could not be added. */
bool array_failed(const struct array *array);

/* text[], timestamptz[], boolean[] or integer[]; the array must live, as it is, until the query was
 * answered. */
struct param p_array(struct array *array);

/* Frees the values. Also for one that is all zero. */
void array_free(struct array *array);

/* One option's value: how it is written, read and compared. Only for option.c. */
#pragma once

#include "option.h"

enum { OPTION_NAME_BYTES = 64, OPTION_WRONG_BYTES = 256 };

/* Reads `text` into the row's member of `values`; a text or choice is kept as the pointer given.
 * 0, or -1 with what is wrong in `wrong`. */
int option_value_set(const struct option_row *row, const char *text, void *values,
                     char wrong[OPTION_WRONG_BYTES]) MUST;

/* The bytes of the row's member. */
size_t option_value_bytes(const struct option_row *row);

bool option_value_equal(const struct option_row *row, const void *a, const void *b);
void option_value_copy(const struct option_row *row, void *to, const void *from);

/* The row's name with dashes; returns `out`. */
const char *option_flag_name(const struct option_row *row, char out[OPTION_NAME_BYTES]);

/* Whether the row's value must not be shown. */
bool option_is_secret(const struct option_row *row);

/* The bounds as text (`1 to 100`, `1s to 5m`), empty where there are none; returns `out`. */
const char *option_bounds(const struct option_row *row, char out[OPTION_NAME_BYTES]);

/* The row of that name, `-` and `_` being the same, or NULL. */
const struct option_row *option_find(const struct option_program *program, struct str name);

/* The row whose name is nearest to a mistaken one, or NULL where none is near. */
const struct option_row *option_nearest(const struct option_program *program, struct str name);

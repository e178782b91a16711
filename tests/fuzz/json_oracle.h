/* jansson's opinion of a JSON text and of its value. */
#pragma once

#include "codec.h"

#include <jansson.h>

/* The text as jansson reads it, NULL where it refuses; json_decref() it. U+0000 is taken, of equal
 * keys the last counts. `flags`: more of jansson's. */
json_t *json_oracle_read(struct str text, size_t flags, json_error_t *error);

/* Whether jansson takes the text, whatever the size of its integers and with U+0000 also in keys.
 */
bool json_oracle_accepts(struct str text);

/* Whether both are the same value. */
bool json_oracle_same(const msgpack_object *ours, const json_t *theirs);

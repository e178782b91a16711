/* Text as it comes from outside: UTF-8, characters, numbers. */
#pragma once

#include "base/arena.h"

/* Whether the bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing past U+10FFFF). */
bool text_is_utf8(struct str text);

/* Bytes at the start that are well-formed UTF-8. */
size_t text_valid_bytes(struct str text);

/* The text with U+FFFD for each byte that is not well-formed; itself where all are, empty without
 * memory. */
struct str text_repair(struct arena *arena, struct str text) MUST;

/* Characters (code points) of well-formed UTF-8. */
size_t text_chars(struct str text);

/* Without white space (as Python's str.strip() takes it) at both ends; a view. */
struct str text_trim(struct str text);

/* Reads a decimal integer as a query may write it: blanks around, a sign, a zero fraction (`3.0`),
 * underscores between digits are not taken. Past 64 bits it saturates, at INT64_MIN + 1 as that
 * itself is no value. Whether it is one. */
bool text_integer(struct str text, int64_t *value);

/* Reads true false 1 0 yes no on off t f y n, any case. Whether it is one. */
bool text_boolean(struct str text, bool *value);

/* Whether it has the form of a UUID (8-4-4-4-12 hex digits). */
bool text_is_uuid(struct str text);

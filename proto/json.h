/* JSON (RFC 8259) to msgpack values and back.
 *
 * The reader is incremental, so that a large body is read in slices between other work; it bounds
 * depth and memory and says where it failed. It keeps what the contract must judge: U+0000, lone
 * surrogates and invalid UTF-8 come through (as bytes that text_is_utf8() or the field's check
 * refuses), integers past 64 bits saturate, the last of equal keys counts. The writer works by
 * record, so that times and nulls have the contract's form. */
#pragma once

#include "codec.h"

struct json_reader;

enum { JSON_SLICE_BYTES = 64 * 1024 };

/* A reader whose values live in `arena`. NULL without memory. */
struct json_reader *json_reader_new(struct arena *arena) MUST;

/* Reads on. 0, or -1: json_error() says why. The bytes need not stay. */
int json_feed(struct json_reader *reader, struct str bytes) MUST;

/* The end of the text: fills `value` (its memory is the arena's). 0 or -1. */
int json_end(struct json_reader *reader, msgpack_object *value) MUST;

/* What is wrong, and at which byte; `no_memory`: the arena's limit, not the text, is the cause. */
const char *json_error(const struct json_reader *reader, size_t *offset, bool *no_memory);

/* All at once; for small texts. */
int json_read(struct arena *arena, struct str text, msgpack_object *value, const char **why,
              size_t *offset) MUST;

/* Any value as JSON: invalid UTF-8 becomes U+FFFD, binary a base64 string, a key that is no string
 * its JSON. */
void json_write(struct buffer *out, const msgpack_object *value);

/* A text as a JSON string. */
void json_write_str(struct buffer *out, struct str text);

/* A map by its record: nullable members are always there, times in their form, a bare member alone.
 * -1 when the map lacks a member that the record always has. */
int json_write_record(struct buffer *out, const struct record *record,
                      const msgpack_object *map) MUST;

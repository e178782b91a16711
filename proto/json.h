/* JSON (RFC 8259) to msgpack values and back.
 *
 * The reader is incremental, so that a large body is read in slices between other work; it bounds
 * depth and memory and says where it failed. It keeps what the contract must judge: U+0000, lone
 * surrogates and invalid UTF-8 come through as bytes that the field's check refuses, integers past
 * 64 bits saturate, the last of equal keys counts. The writer works by record, so that times and
 * nulls have the contract's form. Nothing here waits. */
#pragma once

#include "codec.h"

struct json_reader;

/* Depth and values leave room for what a message has around them. */
enum {
    JSON_SLICE_BYTES = 64 * 1024,
    JSON_MOST_DEPTH = WIRE_MOST_DEPTH - 2,
    JSON_MOST_VALUES = WIRE_MOST_OBJECTS - 1000
};

/* A reader whose values live in `arena`. NULL without memory. */
struct json_reader *json_reader_new(struct arena *arena) MUST;

/* Reads on. 0, or -1: json_error() says why. The bytes need not stay. */
int json_feed(struct json_reader *reader, struct str bytes) MUST;

/* The end of the text: fills `value`. 0 or -1. */
int json_end(struct json_reader *reader, msgpack_object *value) MUST;

/* What is wrong (NULL: its size, past the arena's limit or JSON_MOST_VALUES), and at which byte. */
const char *json_error(const struct json_reader *reader, size_t *offset);

/* All at once; for small texts. As json_error() says where it returns -1. */
int json_read(struct arena *arena, struct str text, msgpack_object *value, const char **why,
              size_t *offset) MUST;

/* Any value as JSON: invalid UTF-8 becomes U+FFFD, binary data a list of its bytes, a key that is
 * no string its JSON in a string. */
void json_write(struct buffer *out, const msgpack_object *value);

/* A text as a JSON string. */
void json_write_str(struct buffer *out, struct str text);

/* A map by its record: nullable members are always there, times in their form, a bare member stands
 * alone. -1 when the map lacks a member that the record always has, or one is of another type. */
int json_write_record(struct buffer *out, const struct record *record,
                      const msgpack_object *map) MUST;

/* Parts of the above, for those who write a record bit by bit: a member's value (NULL: it is not
 * there), its name with what stands around it, and the first `count` members of a map. */
int json_write_field(struct buffer *out, const struct field *field,
                     const msgpack_object *value) MUST;
void json_write_name(struct buffer *out, const struct field *field, bool first);
int json_write_members(struct buffer *out, const struct record *record, size_t count,
                       const msgpack_object *map) MUST;

/* An output that comes in pieces, written as the one JSON text that it is. See the wire's page for
 * how pieces go together. */
struct json_pieces {
    const struct record *record; /* of the whole */
    size_t next;                 /* members before this one have begun */
    bool in_list;                /* the one before it is a list that may go on */
    size_t items;                /* of that list so far */
    bool in_item;                /* the last item's own last list may go on */
    size_t inner;                /* items of that one so far */
};

/* Begins the text. */
void json_pieces_begin(struct json_pieces *pieces, const struct record *record, struct buffer *out);

/* Appends what a piece adds. -1 when it is none of that record, or comes out of order. */
int json_pieces_add(struct json_pieces *pieces, struct buffer *out, const msgpack_object *map) MUST;

/* Ends the text. -1 when something that the record always has did not come. */
int json_pieces_end(struct json_pieces *pieces, struct buffer *out) MUST;

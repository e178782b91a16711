/* Structs to msgpack and back by field table, and the one place where inputs are checked.
 *
 * Values are msgpack-c's, and its packer writes them. Reading is ours, because the library
 * allocates what a length claims before it sees the bytes, and takes trailing ones: here counts are
 * held against the bytes left, and depth, number of values, UTF-8 of strings and the use of the
 * whole frame are checked. Decoding checks each field by its row and gathers every fault, so that
 * the caller learns all of them at once. The gateway checks what HTTP brings with the same
 * functions, `lenient`: numbers and booleans may be strings there. */
#pragma once

#include "contract.h"
#include <msgpack.h>

enum {
    WIRE_MOST_DEPTH = 24,                    /* nested arrays and maps */
    WIRE_MOST_OBJECTS = 2000000,             /* values in one frame */
    WIRE_MOST_BODY_BYTES = 20 * 1024 * 1024, /* of a frame */
    WIRE_MOST_DETAIL_BYTES = 256 * 1024      /* of a fault's detail */
};

/* Reads exactly one msgpack value from `bytes`, within the bounds, with every string UTF-8 and no
 * list or map as a key. Its nodes are in `arena`; strings point into `bytes`. 0, or -1: `*why` says
 * what is wrong (static text; NULL: no memory). */
int msgpack_read(struct arena *arena, struct str bytes, msgpack_object *value,
                 const char **why) MUST;

/* As msgpack_read(), for a large value in a fiber: the loop turns now and then. Strings may be any
 * bytes where `any_text`: then whoever takes them must check them. */
int msgpack_read_slowly(struct arena *arena, struct str bytes, bool any_text, msgpack_object *value,
                        const char **why) MUST;

/* A list or map that is taken apart value by value, without memory for the whole. Its bytes must
 * have been read before as a whole: they are not judged here. */
struct msgpack_walk {
    struct str rest; /* the bytes that are left */
    size_t left;     /* values: of a map keys and values in turn */
};

/* Begins with a list's or map's first value. False: the value is of another type. */
bool msgpack_walk_list(struct msgpack_walk *walk, struct str list);
bool msgpack_walk_map(struct msgpack_walk *walk, struct str map);

/* The bytes of the next value; absent when there is none. */
struct str msgpack_walk_next(struct msgpack_walk *walk);

/* One value that has none within; a list or a map is taken for an empty one. */
void msgpack_read_flat(struct str bytes, msgpack_object *value);

/* The bytes of a map's member of that name, absent where it has none; the last one counts. */
struct str msgpack_find(struct str map, struct str name);

/* The member of a map of that name, or NULL; the last one where it is there twice. */
const msgpack_object *msgpack_member(const msgpack_object *map, struct str name);

/* For msgpack_packer_init(): appends to a struct buffer. */
int buffer_append(void *buffer, const char *bytes, size_t len);

/* Appends a value as it is. */
void msgpack_write(struct buffer *out, const msgpack_object *value);

/* Appends a map of the record's members in the order of its rows; absent members are left out. */
void codec_encode(struct buffer *out, const struct record *record, const void *values);

/* A text as a msgpack string. */
void codec_encode_str(struct buffer *out, struct str text);

enum { CHECK_MOST_ISSUES = 100, CHECK_MOST_DEPTH = 16 };

/* One thing that was wrong. */
struct check_found {
    struct common_issue issue; /* its input is filled by check_detail() */
    msgpack_object input;      /* the offending value; nil where there is none */
    bool is_body;              /* the input is the whole body */
};

/* The state of checking one input. */
struct check {
    struct arena *arena; /* of issues and of decoded lists */
    bool lenient;        /* HTTP: integers and booleans may be strings, as a query has them */
    bool no_memory;      /* something did not fit into the arena */
    struct str bytes;    /* of the body, into which documents point; absent: they are copied */
    const msgpack_object *body; /* shown as the input of a missing body field; NULL: null */
    struct check_found *found;  /* what was wrong */
    size_t count;               /* of found */
    struct check_step {
        struct str name; /* a key, or absent: an index */
        size_t index;
    } path[CHECK_MOST_DEPTH]; /* where the check is, the place first */
    size_t depth;             /* of path */
};

void check_init(struct check *check, struct arena *arena, bool lenient);

/* Adds a fault at the present path. `input` NULL: null. */
void check_issue(struct check *check, const char *type, const char *message,
                 const msgpack_object *input);

/* Checks one input field and stores it; `value` NULL: it is not there (the default, or `missing`).
 */
void check_field(struct check *check, const struct field *field, const msgpack_object *value,
                 void *values);

/* Checks a map against a record. `values` is filled as far as it went; strings point into the
 * object's bytes. Whether all is well: check->count == 0 && !check->no_memory. */
void check_record(struct check *check, const struct record *record, const msgpack_object *map,
                  void *values);

/* As check_record() for a message's inputs, whose faults name the place of each field. */
void check_inputs(struct check *check, const struct record *in, const msgpack_object *map,
                  void *values);

/* What was found, when checking is over, as the msgpack of common.invalid_body's `detail` list, in
 * the check's arena; absent without memory. */
struct str check_detail(struct check *check);

/* Reads and checks bytes against a record, strictly, for headers and replies: NULL, or what is
 * wrong first (static, or in `arena`). `values` is filled, absent members as contract.h says;
 * unknown members are ignored. */
const char *codec_decode(struct arena *arena, const struct record *record, struct str bytes,
                         void *values) MUST;

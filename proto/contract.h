/* The contract: what a message takes, gives, and how it can fail.
 *
 * Each domain has a file of rows, <domain>.def, written with these macros:
 *
 *   FAULT(name, status, "text for the caller", "prose", …)
 *   RECORD(name, "prose")  FIELD(name, type, "prose", …) …  END_RECORD(name)
 *   MESSAGE(name, kind, verb, "/path/{field}", status, who, "prose", …)
 *       IN(name, type, place, need, "prose", …)
 *       OUT(name, type, "prose", …)
 *       EVENTS(record, …)
 *       FAULTS(fault, …)
 *   END(name)
 *
 * where … stands for designated initializers of the row's struct (`.most_chars = 100`). This header
 * expands them to the C structs (struct <domain>_<record>, struct <domain>_<message>_in and _out),
 * the faults (fault_<name>) and the enum of methods; contract.c to the tables below, from which
 * validation, msgpack, JSON, routing, dispatch, the OpenAPI document and the command's help come.
 * Rows are appended, never reordered or reused.
 *
 * Types:
 *   str         struct str    text, UTF-8 without U+0000; absent: ptr NULL
 *   integer     int64_t       absent: INT_ABSENT
 *   id          int64_t       a row's id; one past 32 bits is an id that nothing has
 *   boolean     bool          absent: false; an optional one is left out where it is false
 *   time        int64_t       microseconds since the epoch; in JSON integer milliseconds
 *   iso         int64_t       the same; in JSON ISO 8601 with an offset
 *   any         struct str    the bytes of one msgpack value; in JSON the value
 *   one(R)      const struct <domain>_R *                absent: NULL
 *   list(R)     struct { const struct <domain>_R *items; size_t count; }
 *
 * Kinds: read (one statement, may be sent again when lost), single (one statement that writes), tx
 * (one transaction), steps (several short transactions), stream (accepted, then EVENTS: records of
 * the domain, each under its own name, then the output as the event `done`, or a fault as `error`).
 * Who: user (acts for the current user, one is made where there is none), reader (the user only
 * where one is known), anyone (no user at all), operators (not offered by HTTP to users). */
#pragma once

#include "base/arena.h"
#include "base/fail.h"
#include <stdint.h>

#define INT_ABSENT INT64_MIN

enum field_type {
    TYPE_str,
    TYPE_integer,
    TYPE_id,
    TYPE_boolean,
    TYPE_time,
    TYPE_iso,
    TYPE_any,
    TYPE_one,
    TYPE_list
};
enum place { PLACE_body, PLACE_query, PLACE_path, PLACE_header };
enum need { NEED_required, NEED_optional };
enum kind { KIND_read, KIND_single, KIND_tx, KIND_steps, KIND_stream };
enum verb { VERB_NONE, VERB_GET, VERB_POST, VERB_DELETE };
enum who { WHO_user, WHO_reader, WHO_anyone, WHO_operators };
enum rate {
    RATE_none,
    RATE_write,    /* of all writes together; each gateway counts */
    RATE_new_user, /* the same, of new users */
    RATE_ai,       /* of each message; the actor counts, in the database */
    RATE_chat      /* the same */
};

struct field {
    const char *name; /* on the wire, in JSON, and the struct's member */
    size_t name_len;  /* its bytes */
    enum field_type type;
    enum place place;            /* of an input */
    enum need need;              /* of an input; an optional one without `standard` may be absent */
    bool nullable;               /* an output that JSON always has, null where it is absent */
    bool bare;                   /* an output that is the whole JSON answer, not a member of it */
    bool trim;                   /* white space at both ends is dropped before checking */
    bool bounded;                /* least and most hold */
    uint32_t most_chars;         /* of a str, in characters; 0: FIELD_MOST_CHARS */
    int64_t least, most;         /* of an integer, where bounded */
    const char *standard;        /* value where the input is absent, as a query would write it */
    const struct record *record; /* of one and list */
    const char *schema;          /* of any: its JSON Schema */
    bool document;               /* of any: an object whose content the handler judges itself */
    const char *prose;           /* one sentence */
    size_t offset;               /* in the struct */
};

enum { FIELD_MOST_CHARS = 50000 };

struct record {
    const char *name;           /* without the domain */
    const char *prose;          /* one sentence */
    const struct field *fields; /* in the order of the rows */
    size_t count;               /* of fields */
    size_t size_bytes;          /* of the C struct */
};

enum { METHOD_BODY_BYTES = 2 * 1024 * 1024 };

struct method {
    const char *name;   /* `user.session`, as on the wire */
    const char *domain; /* `user` */
    const char *path;   /* below /api, with {fields}; "" where HTTP does not offer it */
    const char *prose;  /* one sentence */
    enum kind kind;
    enum verb verb; /* VERB_NONE: message only */
    int status;     /* of HTTP, on success */
    enum who who;
    enum rate rate;           /* which limit of a minute counts it */
    const char *writes_when;  /* boolean input: where false, the message only reads */
    bool immutable;           /* for a validator: the gateway may keep the answer */
    bool pieces;              /* its output may come in several replies; see the wire's page */
    const char *affinity;     /* input by which an instance is chosen, or NULL */
    uint32_t most_body_bytes; /* of its request over HTTP; 0: METHOD_BODY_BYTES */
    uint32_t budget_ms;       /* time for it; 0: by its kind */
    struct record in, out;    /* what it takes and gives */
    const struct record *const *events; /* NULL-terminated: what a stream consists of */
    const struct fault *const
        *faults;     /* NULL-terminated: its own; the common ones are any message's */
    unsigned number; /* METHOD_… */
};

/* ---- expansion of the rows ---- */

#define PASTE2_(a, b) a##b
#define PASTE3_(a, b, c) a##_##b##c
#define PASTE3(a, b, c) PASTE3_(a, b, c)
/* user, session, _in -> user_session_in, with DOMAIN expanded. */
#define IN_DOMAIN(name, suffix) PASTE3(DOMAIN, name, suffix)

#define C_str struct str
#define C_integer int64_t
#define C_id int64_t
#define C_boolean bool
#define C_time int64_t
#define C_iso int64_t
#define C_any struct str
#define C_one(record) const struct IN_DOMAIN(record, ) *
#define C_list(record)                                                                             \
    struct {                                                                                       \
        const struct IN_DOMAIN(record, ) * items;                                                  \
        size_t count;                                                                              \
    }

enum method_number {
#define MESSAGE(name, ...) IN_DOMAIN_METHOD(name),
#define IN_DOMAIN_METHOD_(domain, name) METHOD_##domain##_##name
#define IN_DOMAIN_METHOD__(domain, name) IN_DOMAIN_METHOD_(domain, name)
#define IN_DOMAIN_METHOD(name) IN_DOMAIN_METHOD__(DOMAIN, name)
#include "contract.def"
    METHOD_COUNT
};

#define FAULT(name, ...) extern const struct fault fault_##name;
#include "contract.def"

/* Records, and the inputs and outputs of messages. */
/* clang-format off */
#define RECORD(name, ...) struct IN_DOMAIN(name, ) {
#define FIELD(name, type, ...) C_##type name;
#define END_RECORD(name) };
#define MESSAGE(name, ...) struct IN_DOMAIN(name, _in) {
#define IN(name, type, ...) C_##type name;
#define END(name) };
#include "contract.def"
#define MESSAGE(name, ...) struct IN_DOMAIN(name, _out) {
#define OUT(name, type, ...) C_##type name;
#define END(name) };
#include "contract.def"

/* clang-format on */

#define RECORD(name, ...) extern struct record IN_DOMAIN_RECORD(name);
#define IN_DOMAIN_RECORD(name) PASTE2(record_, IN_DOMAIN(name, ))
#define PASTE2(a, b) PASTE2_(a, b)
#include "contract.def"

/* ---- what is derived ---- */

/* All messages, by METHOD_ number; filled by contract_open(). */
extern struct method methods[METHOD_COUNT];

/* All faults, NULL-terminated, the common ones first. */
extern const struct fault *const faults[];

/* The names of the domains, NULL-terminated; the common rows are none. */
extern const char *const domains[];

/* A record by domain and name ("common", "request"), or NULL. */
const struct record *contract_record(const char *domain, const char *name);

/* Fills the tables. Call once, first thing in main(). */
void contract_open(void);

/* The first members of a field's row. */
#define NAMED(literal) .name = literal, .name_len = sizeof(literal) - 1

static inline struct str field_name(const struct field *field)
{
    return (struct str){field->name, field->name_len};
}

/* Whether its limit of a minute is counted in the database, by the actor. */
static inline bool is_counted_by_actor(const struct method *method)
{
    return method->rate == RATE_ai || method->rate == RATE_chat;
}

/* The message of that wire name (`user.session`), or NULL. */
const struct method *contract_method(struct str name);

/* The fault of that name, or NULL. */
const struct fault *contract_fault(struct str name);

/* The field of that name, or NULL. */
const struct field *record_field(const struct record *record, struct str name);

/* Whether the record's one member stands in JSON for the whole. */
bool record_is_bare(const struct record *record);

/* Whether the message writes, given its checked input: its kind, or its `writes_when`. */
bool method_writes(const struct method *method, const void *in);

/* One connection to PostgreSQL on the loop: connecting, its pipeline, its end.
 *
 * It is always in libpq's pipeline mode. What was sent stands in a ring of slots, in the order in
 * which the server answers: statements that go before a request and belong to it (a PREPARE, a
 * BEGIN), the request itself, a sync. A request that leaves clears its slots, and the answer is
 * dropped. Nothing here blocks: what the kernel does not take is sent when it does.
 *
 * A connection's state is the list that it stands in; conn_move() is the only way from one to
 * another. The owner (the pool) is told when it is up, when nothing is in flight any more, and when
 * it broke; it decides what comes next. */
#pragma once

#include "base/log.h"
#include "request.h"
#include "target.h"
#include <ev.h>

#define CONN_STATES(STATE)                                                                         \
    STATE(closed)     /* not wanted now */                                                         \
    STATE(resting)    /* broken or new; it is tried (again) when its timer fires */                \
    STATE(resolving)  /* awaits addresses */                                                       \
    STATE(connecting) /* libpq connects */                                                         \
    STATE(greeting)   /* connected; settings are made, the schema's version is asked for */        \
    STATE(outdated)   /* the schema is too old; asked again now and then */                        \
    STATE(idle)       /* ready, nothing in flight */                                               \
    STATE(busy)       /* ready, something in flight */                                             \
    STATE(taken)      /* one call's alone */                                                       \
    STATE(cleaning)   /* given back, and not clean yet */

#define CONN_STATE_ENUM(name) CONN_##name,
enum conn_state { CONN_STATES(CONN_STATE_ENUM) CONN_STATE_COUNT };
#undef CONN_STATE_ENUM

enum conn_role { CONN_READS, CONN_OTHERS, CONN_ROLES };

struct conn_list {
    struct conn *first; /* in no order */
    unsigned count;     /* of them */
};

/* All connections of a pool. */
struct conn_lists {
    struct conn_list of[CONN_ROLES][CONN_STATE_COUNT];
};

enum prepared_state { PREPARED_no, PREPARED_sent, PREPARED_yes, PREPARED_never };

/* What one connection knows of one statement. */
struct prepared {
    const struct statement *statement; /* NULL: a free place */
    enum prepared_state state;
    bool stains; /* it may leave something in the session */
};

enum slot_kind { SLOT_prelude, SLOT_request, SLOT_sync };

/* One thing in flight. */
struct slot {
    struct request *request;   /* whose; NULL: nobody's any more, or a sync of many */
    struct prepared *prepared; /* of a PREPARE, or of a request by its name */
    enum slot_kind kind;
    bool answered; /* its result came, its end not yet */
};

/* What the owner wants to hear. It may move, drop or use the connection in each. */
struct conn_owner {
    void (*up)(struct conn *conn);          /* in state greeting, with all that was to be done */
    void (*outdated)(struct conn *conn);    /* connected, but conn->schema is too low */
    void (*quiet)(struct conn *conn);       /* nothing is in flight any more */
    void (*again)(struct request *request); /* it did not run, by no fault of its own: send again */
    void (*due)(struct conn *conn);         /* in state resting: its timer fired */
    void (*down)(struct conn *conn);        /* it broke, conn->why; all its requests are finished */
    void (*demoted)(struct conn *conn);     /* its server takes no writes (any more) */
};

enum { CONN_PREPARED = 256, CONN_WHY_BYTES = 240 };

struct conn {
    struct log_tag log;             /* of the process */
    struct conn *before, *after;    /* in its list */
    struct conn_lists *lists;       /* the owner's */
    enum conn_state state;          /* which list */
    enum conn_role role;            /* which row of lists */
    const struct conn_owner *owner; /* hears of it */
    void *pool;                     /* the owner's own */
    PGconn *pg;                     /* NULL: not connected */
    struct conn **holder;           /* who has it alone; NULLed when it ends */
    ev_io io;                       /* of libpq's socket */
    ev_timer timer;                 /* resting: the next attempt; connecting: its deadline */
    unsigned failures;              /* attempts that failed since it was up */
    unsigned life;                  /* how often it ended: work that finds another number
                                     * when it comes back leaves it alone */
    unsigned turn;                  /* at which of the places it tries next */
    bool names;                     /* statements are prepared by name */
    bool doomed;                    /* closed as soon as nothing is in flight */
    bool goodbye;                   /* the server said that it closes the connection */
    bool stained;                   /* something may have been left in the session */
    bool settings;                  /* the session is set up by a query */
    int schema_needed;              /* least version; 0: not asked for */
    int64_t schema;                 /* found version */
    int64_t statement_timeout_us;   /* of the session */
    int64_t progress_us;            /* when an answer came last, or the ring was filled again */
    int64_t since_us;               /* when it came into its state */
    struct slot *slots;             /* the ring */
    uint32_t mask;                  /* places - 1 */
    uint32_t head, tail;            /* of what is in flight; they only grow */
    unsigned unsynced;              /* requests sent since the last sync */
    unsigned syncs;                 /* in flight */
    struct request greeting;        /* what it asks itself */
    struct prepared prepared[CONN_PREPARED]; /* by statement, hashed */
    char why[CONN_WHY_BYTES];                /* why it broke last */
};

/* A closed connection, in the lists. `room` (a power of two): most things in flight. NULL without
 * memory. */
struct conn *conn_new(struct conn_lists *lists, enum conn_role role, const struct conn_owner *owner,
                      void *pool, uint32_t room) MUST;

/* Puts it into another list. */
void conn_move(struct conn *conn, enum conn_state state);

/* Begins to connect, in state connecting. Failing is told later or at once, by down(). */
void conn_connect(struct conn *conn, struct target *target);

/* Awaits addresses, in state resolving, as long as an attempt to connect may take. */
void conn_resolve(struct conn *conn);

/* Asks for the schema's version again (state outdated). */
void conn_look_again(struct conn *conn);

/* Ends it with a reason: whatever is in flight is finished as lost, then down() is called. */
void conn_break(struct conn *conn, const char *why);

/* Ends it without telling the owner, in state closed. What is in flight is finished as lost. */
void conn_close(struct conn *conn, const char *why);

/* Closes and frees it. */
void conn_free(struct conn *conn);

/* Has due() called after a while, in state resting. */
void conn_rest(struct conn *conn, int64_t after_us);

/* Nothing is in flight any more: set up, or the owner's turn. For pipeline.c. */
void conn_quiet(struct conn *conn);

/* Whether it has been used cleanly: idle for the server, and nothing left in the session. */
bool conn_is_clean(const struct conn *conn);

/* Slots in use and still free. */
static inline uint32_t conn_in_flight(const struct conn *conn)
{
    return conn->tail - conn->head;
}

static inline uint32_t conn_room(const struct conn *conn)
{
    return conn->mask + 1 - (conn->tail - conn->head);
}

/* Whether the kernel did not take all that was sent. */
bool conn_is_clogged(const struct conn *conn);

/* ---- sending; pipeline.c ---- */

/* Slots that a request may need: a PREPARE, a BEGIN and its own PREPARE, itself, a sync. */
enum { CONN_REQUEST_SLOTS = 5 };

/* Puts a statement before `request`, which fails if it fails. -1 as below. */
int conn_send_before(struct conn *conn, const struct statement *statement, struct params params,
                     struct request *request) MUST;

/* Puts a request into the pipeline. -1: the connection broke, and the request is finished (so in
 * each of these three, where it has one). */
int conn_send(struct conn *conn, struct request *request) MUST;

/* Ends a transaction of reads, or a call's turn, and sends all. `request`: a single write, which is
 * finished by this sync; or NULL. -1: the connection broke. */
int conn_sync(struct conn *conn, struct request *request) MUST;

/* Takes a request out of the pipeline, before it is finished: its answers are dropped. */
void conn_forget(struct conn *conn, struct request *request);

/* Takes what came; `ended`: and nothing more will. May break the connection. */
void conn_receive(struct conn *conn, bool ended);

/* Has libpq send what it can, and the loop tell when it can send the rest. */
void conn_flush(struct conn *conn);

/* Finishes whatever is in flight, as lost. */
void conn_lose_all(struct conn *conn);

/* libpq's words in one line without its furniture, into `out`. */
void conn_words(const char *message, char *out, size_t room_bytes);

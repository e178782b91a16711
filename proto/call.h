/* One message being handled: its memory, its deadline, who it acts for, and how it failed.
 *
 * A call lives in one fiber. The runtime makes it, the database layer hangs its transaction on it,
 * a handler reads it and says through it what does not stand in the output: a validator, the user
 * it found. Everything that a handler allocates or receives lives until the call ends. */
#pragma once

#include "base/arena.h"
#include "base/fail.h"
#include "base/fiber.h"
#include "base/log.h"
#include "contract.h"

/* What this layer sees of a database session: its first member. */
struct db_session_head {
    bool in_transaction; /* a transaction is open */
    bool has_committed;  /* something of the call's is in the database for good */
};

/* Something to do when the call ends, after the reply was sent. Lives in the call's arena. */
struct call_end {
    void (*run)(void *arg);
    void *arg;
    struct call_end *next; /* the one that was added before */
};

struct call {
    struct arena arena;          /* everything of this call */
    struct failure failure;      /* the first cause, if it failed */
    struct log_tag log;          /* domain, message, trace */
    const struct method *method; /* the row that is being handled */
    struct fiber *fiber;         /* in which the handler runs */
    int64_t deadline_us;         /* monotonic; every wait ends there */
    struct str user;             /* the anonymous id that it acts for; absent: nobody */
    struct str client;           /* the address that limits count by; may be absent */
    bool by_client;              /* they count by it, although there is a user */
    struct str validator;        /* of the answer that the caller has; may be absent */
    int32_t user_id;             /* users.id of `user` once a statement resolved it, else 0 */

    /* What the handler says beside its output. */
    struct str reply_user;         /* kept or new anonymous id where it is another than `user` */
    struct str reply_validator;    /* of the answer; absent: it has none */
    struct common_rate reply_rate; /* the limit of a minute that counted it; limit 0: none */
    bool reply_public;             /* shared caches may keep the answer */
    bool reply_not_modified;       /* the caller's validator holds: no output is sent */

    /* While a scope is open: what was taken before it. */
    struct arena outer_arena;
    struct call_end *outer_ends;
    bool in_scope;

    struct db_session_head *db; /* the database layer's; NULL before db_attach() */
    int64_t database_us;        /* spent waiting for the database */
    struct call_end *ends;      /* newest first */
};

/* An empty call with an arena of `limit_bytes`. The caller sets what it knows. */
void call_init(struct call *call, const struct method *method, size_t limit_bytes);

/* Has `run(arg)` run when the call ends, in reverse order. -1 (failure recorded) without memory. */
int call_on_end(struct call *call, void (*run)(void *arg), void *arg) MUST;

/* Opens a scope: what the call takes from now on is given back, and its ends run, when the next
 * one is opened. For work in parts that must not pile up. */
void call_scope_next(struct call *call);

/* Memory that lasts as long as the call, also within a scope. */
struct arena *call_lasting(struct call *call);

/* Closes the open scope, if there is one; what it holds stays until the call ends. */
void call_scope_keep(struct call *call);

/* Runs the ends and gives the memory back. */
void call_close(struct call *call);

/* Waits, within the call's deadline, for something that is not the database: a timer, another
 * service. 0 when it was woken with WAKE_DONE; else -1 with `timeout`, `cancelled` or `internal`
 * recorded. While a transaction is open this is refused: an `internal` failure that says so. */
int call_wait_foreign(struct call *call, const char *what) MUST;

/* Waits for so long, as call_wait_foreign(), whoever wakes the call. 0, or -1: cancelled, or the
 * call's deadline comes first. No failure may be recorded. */
int call_rest(struct call *call, int64_t for_us) MUST;

/* Answers with a validator: sets it and returns true where the caller's own equals it, so that the
 * handler can return 0 without an output. The text must live as long as the call. */
bool call_validate(struct call *call, struct str validator, bool public_answer);

/* As fail(), with the record that the fault declares as its detail. */
int fail_detail_at(struct call *call, const struct fault *fault, const void *detail,
                   const char *file, int line, const char *format, ...) PRINTF_LIKE(6, 7);

#define fail_with(call, name, detail, ...)                                                         \
    fail_detail_at((call), &fault_##name, (detail), __FILE__, __LINE__, __VA_ARGS__)

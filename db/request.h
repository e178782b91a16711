/* One statement on its way to the database and back.
 *
 * A request stands on the stack of the fiber that asks (or inside the connection, for what the
 * connection asks itself). It waits in one list, then is in flight on one connection, then is
 * finished, exactly once, with one outcome. Who leaves before that takes the request out: from then
 * on nobody points to it, and what still comes for it is dropped. */
#pragma once

#include "query.h"
#include <libpq-fe.h>

struct conn;
struct crowd;
struct pool;

enum request_kind {
    REQUEST_read,   /* shares a connection and a sync with others */
    REQUEST_single, /* writes, as its own transaction: finished only when its sync was answered */
    REQUEST_step,   /* on a connection that its call holds alone */
    REQUEST_take    /* no statement: waits to be given a connection alone */
};

enum outcome {
    OUTCOME_none,     /* still on its way */
    OUTCOME_answered, /* `result` has rows or the server's error; for `take`: `conn` is given */
    OUTCOME_skipped,  /* not run, because something before it in its pipeline failed */
    OUTCOME_crowded,  /* not sent: too many wait already */
    OUTCOME_away,     /* not sent or not begun: no connection; `reason` says why */
    OUTCOME_lost      /* the connection was lost before the answer; `reason` says why */
};

struct request {
    struct request *before, *after;    /* in its list; NULL in none */
    struct request_list *list;         /* in which it waits, or NULL */
    const struct statement *statement; /* what is asked */
    struct params params;              /* with what; good until the request is finished or left */
    enum request_kind kind;
    enum outcome outcome;
    struct pool *pool;              /* that it goes through; NULL: a connection's own */
    struct crowd *crowd;            /* to which it belongs until it is finished or left, or NULL */
    bool commits;                   /* a lost answer leaves open whether it happened */
    bool alone;                     /* a read that runs again, with a sync of its own */
    bool again;                     /* it ran before and was sent a second time */
    struct fiber *fiber;            /* woken when finished; NULL: nobody */
    void (*done)(struct request *); /* called instead, where given */
    struct conn *conn;              /* where it is in flight; of `take`: what was given */
    uint32_t slot;                  /* its own place in that connection's pipeline */
    uint32_t last_slot;             /* the last place that belongs to it */
    PGresult *result;               /* owned; NULL: none */
    PGresult **keep;    /* the call's place for a good answer, made before anything is sent */
    const char *reason; /* of away and lost; lives as long as the pool */
};

struct request_list {
    struct request *first, *last; /* in order of arrival */
    unsigned count;               /* of them */
};

void request_append(struct request_list *list, struct request *request);
/* Takes it out of the list it waits in; nothing if it waits in none. */
void request_unlink(struct request *request);
/* The first one, taken out; NULL where there is none. */
struct request *request_shift(struct request_list *list);

/* It does not belong to its crowd any more, if it did. */
void request_leave_crowd(struct request *request);

/* Ends a request and wakes who waits for it. */
void request_finish(struct request *request, enum outcome outcome);

/* Ends all that wait in a list. */
void request_finish_all(struct request_list *list, enum outcome outcome, const char *reason);

/* Waits until the request is finished: true. False: `*why` (time-out or cancel) came first. */
bool request_wait(struct request *request, int64_t deadline_us, bool shielded, enum wake *why) MUST;

/* What the database layer keeps of a call. */
#pragma once

#include "pool_use.h"
#include "tx.h"

struct db_session {
    struct db_session_head head; /* first: for who does not know this layer */
    struct pool *pool;           /* the actor's */
    struct conn *conn; /* the call's alone while a transaction is open; NULL: none, or lost */
    bool begun;        /* BEGIN was sent */
    bool ended;        /* COMMIT was sent with the last statement */
    bool scoped;       /* within tx_run() */
    bool may_retry;    /* its transaction failed because of somebody else's */
};

enum {
    ANSWER_GRACE_US = 1000000, /* past the deadline, for the answer to a COMMIT */
    RETRIES_MOST = 5           /* runs of what failed because of somebody else */
};

/* NULL (failure recorded) when the call was not bound to a pool. */
struct db_session *session_of(struct call *call);

/* db_query() in the call's transaction, which it opens where none is open; `last`: COMMIT goes with
 * it. */
int tx_query(struct call *call, const struct statement *statement, struct params params,
             struct rows *rows, bool last) MUST;

/* Waits in pool_take() for a connection that the call then holds in session->conn. */
int session_take(struct call *call, struct db_session *session) MUST;

/* Waits for a request as long as the call may. Once it can commit, it is seen to its end, with some
 * time of grace. -1 (failure recorded): the request was left. */
int session_wait(struct call *call, struct request *request) MUST;

/* A place for an answer, which is freed when the call ends. NULL (failure recorded) without memory.
 */
PGresult **session_keep(struct call *call) MUST;

/* The answer of a finished request, for the call's lifetime; -1 (failure recorded). */
int session_rows(struct call *call, struct request *request, struct rows *rows) MUST;

/* Transactions; see tx.h.
 *
 * A call's connection stands in its session, whose pointer the connection NULLs when it breaks: a
 * transaction that is open without a connection was lost. BEGIN goes before the first statement,
 * ROLLBACK behind the last one without anybody waiting for it; only COMMIT is waited for. */
#include "tx.h"
#include "base/time.h"
#include "inject.h"
#include "session.h"
#include "sqlstate.h"

static const struct statement begin = {"lectern_begin", "begin", true};
static const struct statement commit_it = {"lectern_commit", "commit", true};
static const struct statement roll_back = {"lectern_rollback", "rollback", true};

/* ---- the session ---- */

static void on_call_end(void *arg)
{
    struct db_session *session = arg;

    if (session->conn != NULL)
        pool_drop(session->pool, session->conn, "its call ended without finishing it");
    session->head.in_transaction = false;
}

void db_attach(struct call *call, struct pool *pool)
{
    struct db_session *session = arena_zalloc(&call->arena, sizeof(*session));

    if (session == NULL) {
        fail(call, busy, "no memory left in the call");
        return;
    }
    if (call_on_end(call, on_call_end, session) != 0)
        return;
    session->pool = pool;
    call->db = &session->head;
}

bool db_in_transaction(const struct call *call)
{
    return call->db != NULL && call->db->in_transaction;
}

int session_take(struct call *call, struct db_session *session)
{
    struct request request = {.kind = REQUEST_take, .fiber = fiber_self(), .pool = session->pool};

    pool_take(session->pool, &request);
    if (session_wait(call, &request) != 0)
        return -1;
    if (request.outcome != OUTCOME_answered)
        return request_fail(call, &request);
    if (request.conn == NULL)
        return fail(call, unavailable, "the connection was lost");
    session->conn = request.conn;
    session->conn->holder = &session->conn;
    return 0;
}

/* The transaction is over; its connection goes back. */
static void end_transaction(struct db_session *session)
{
    if (session->conn != NULL)
        pool_give_back(session->pool, session->conn);
    session->conn = NULL;
    session->head.in_transaction = false;
    session->begun = false;
}

static void drop(struct db_session *session, const char *why)
{
    if (session->conn != NULL)
        pool_drop(session->pool, session->conn, why);
}

static int begin_transaction(struct call *call, struct db_session *session)
{
    session->may_retry = false;
    if (session_take(call, session) != 0)
        return -1;
    session->head.in_transaction = true;
    return 0;
}

/* ---- statements ---- */

static struct request step(struct db_session *session, const struct statement *statement,
                           struct params params)
{
    return (struct request){.statement = statement,
                            .params = params,
                            .kind = REQUEST_step,
                            .commits = statement == &commit_it,
                            .fiber = fiber_self(),
                            .pool = session->pool};
}

/* Sends a turn of the transaction. Where the connection breaks, `request` is finished; `commits`
 * may then be left unsent. */
static void send_turn(struct db_session *session, struct request *request, struct request *commits)
{
    struct conn *conn = session->conn;

    if (session->begun)
        INJECT_CUT(lost_between, PQsocket(conn->pg));
    else
        INJECT_CUT(lost_before_begin, PQsocket(conn->pg));
    if (!session->begun && conn_send_before(conn, &begin, NO_PARAMS, request) != 0)
        return;
    session->begun = true;
    if (conn_send(conn, request) != 0)
        return;
    if (commits == NULL) {
        (void)!conn_sync(conn, NULL);
        return;
    }
    INJECT_CUT(lost_before_commit, PQsocket(conn->pg));
    if (conn_send(conn, commits) == 0)
        (void)!conn_sync(conn, NULL);
    INJECT_CUT(lost_after_commit, PQsocket(conn->pg));
}

/* Notes whether the transaction may be run again. */
static void note_retry(struct db_session *session, const struct request *request)
{
    enum verdict verdict;

    if (request->outcome != OUTCOME_answered || request->result == NULL)
        return;
    verdict = verdict_of(request->result);
    session->may_retry |= verdict == VERDICT_conflict || verdict == VERDICT_vanished ||
                          verdict == VERDICT_unprepared || verdict == VERDICT_replan;
}

/* What the server says to COMMIT; it answers ROLLBACK where a statement had failed. */
static int look_at_commit(struct call *call, struct db_session *session, struct request *request)
{
    int error = 0;

    note_retry(session, request);
    if (request->outcome != OUTCOME_answered || verdict_of(request->result) != VERDICT_fine)
        error = request_fail(call, request);
    else if (strcmp(PQcmdStatus(request->result), "COMMIT") != 0)
        error = fail(call, internal, "a statement had failed: COMMIT rolled back");
    session->head.has_committed |= error == 0;
    PQclear(request->result);
    request->result = NULL;
    return error;
}

/* The last statement and its COMMIT have come, or will not come. */
static int finish_last(struct call *call, struct db_session *session, struct request *request,
                       struct request *commits, struct rows *rows)
{
    int error;

    note_retry(session, request);
    if (commits->outcome == OUTCOME_lost) {
        PQclear(request->result);
        return look_at_commit(call, session, commits);
    }
    if (session_rows(call, request, rows) != 0) {
        PQclear(commits->result);
        return -1; /* COMMIT was skipped; db_finish() rolls back */
    }
    error = look_at_commit(call, session, commits);
    session->ended = true;
    end_transaction(session);
    return error;
}

static int run_last(struct call *call, struct db_session *session, struct request *request,
                    struct rows *rows)
{
    struct request commits = step(session, &commit_it, NO_PARAMS);

    request->fiber = NULL;
    send_turn(session, request, &commits);
    if (request->outcome == OUTCOME_none || commits.conn != NULL) {
        if (session_wait(call, &commits) != 0) {
            pool_leave(session->pool, request);
            drop(session, "the answer to COMMIT did not come");
            return -1;
        }
    } else if (commits.outcome == OUTCOME_none) {
        commits.outcome = OUTCOME_skipped;
    }
    return finish_last(call, session, request, &commits, rows);
}

static int run_step(struct call *call, struct db_session *session, struct request *request,
                    struct rows *rows)
{
    send_turn(session, request, NULL);
    if (session_wait(call, request) != 0) {
        drop(session, "its statement was left");
        return -1;
    }
    note_retry(session, request);
    return session_rows(call, request, rows);
}

int tx_query(struct call *call, const struct statement *statement, struct params params,
             struct rows *rows, bool last)
{
    struct db_session *session = session_of(call);
    struct request request = step(session, statement, params);

    request.keep = session_keep(call);
    if (request.keep == NULL)
        return -1;
    if (session->ended)
        return fail(call, internal, "%s comes after the last statement", statement->name);
    if (!session->head.in_transaction && begin_transaction(call, session) != 0)
        return -1;
    if (session->conn == NULL)
        return fail(call, unavailable, "%s: the transaction's connection was lost",
                    statement->name);
    if (last)
        return run_last(call, session, &request, rows);
    return run_step(call, session, &request, rows);
}

/* ---- the end ---- */

static void abandon(struct db_session *session)
{
    if (session->conn != NULL && session->begun &&
        conn_send_before(session->conn, &roll_back, NO_PARAMS, NULL) == 0)
        (void)!conn_sync(session->conn, NULL);
    end_transaction(session);
}

/* Why a transaction that went well is not committed all the same. */
static int refuse_commit(struct call *call, const struct db_session *session)
{
    if (session->conn == NULL)
        return fail(call, unavailable, "the transaction's connection was lost");
    if (fiber_cancelled())
        return fail(call, cancelled, "before COMMIT");
    if (time_now_us() >= call->deadline_us)
        return fail(call, timeout, "before COMMIT");
    return 0;
}

static int commit_now(struct call *call, struct db_session *session)
{
    struct request request = step(session, &commit_it, NO_PARAMS);
    struct conn *conn = session->conn;
    int error;

    INJECT_CUT(lost_before_commit, PQsocket(conn->pg));
    if (conn_send(conn, &request) == 0)
        (void)!conn_sync(conn, NULL);
    INJECT_CUT(lost_after_commit, PQsocket(conn->pg));
    if (session_wait(call, &request) != 0) {
        drop(session, "the answer to COMMIT did not come");
        end_transaction(session);
        return -1;
    }
    error = look_at_commit(call, session, &request);
    end_transaction(session);
    return error;
}

static int finish(struct call *call, struct db_session *session, bool commit)
{
    if (!commit || !session->begun) {
        abandon(session);
        return 0;
    }
    /* A kept fault is answered only if what it keeps is kept. */
    struct failure kept = call->failure;
    failure_clear(&call->failure);
    if (refuse_commit(call, session) != 0) {
        abandon(session);
        return -1;
    }
    if (commit_now(call, session) != 0)
        return -1;
    call->failure = kept;
    return 0;
}

int db_finish(struct call *call, bool commit)
{
    struct db_session *session = (struct db_session *)call->db;
    int64_t start_us;
    int error = 0;

    if (session == NULL)
        return 0;
    session->ended = false;
    if (!session->head.in_transaction)
        return 0;
    start_us = time_now_us();
    error = finish(call, session, commit);
    call->database_us += time_now_us() - start_us;
    return error;
}

bool db_may_retry(const struct call *call)
{
    const struct db_session *session = (const struct db_session *)call->db;

    return session != NULL && session->may_retry && call->failure.fault != NULL;
}

/* A short and random wait, so that those who met do not meet again. */
static int rest(struct call *call, int run)
{
    int64_t until_us = time_now_us() + 200 + (time_wall_us() & 1023) * run;

    if (until_us > call->deadline_us)
        return -1;
    switch (fiber_wait(until_us)) {
    case WAKE_CANCEL:
        return -1;
    default:
        return 0;
    }
}

static int run_once(struct call *call, struct db_session *session,
                    int (*fn)(struct call *call, void *arg), void *arg)
{
    bool kept;
    int error;

    session->scoped = true;
    session->ended = false;
    error = fn(call, arg);
    session->scoped = false;
    kept = call->failure.fault != NULL && call->failure.fault->kept;
    if (db_finish(call, error == 0 || kept) != 0)
        return -1;
    return error;
}

int tx_run(struct call *call, int (*fn)(struct call *call, void *arg), void *arg)
{
    struct db_session *session = session_of(call);

    if (session == NULL)
        return -1;
    if (session->scoped || session->head.in_transaction)
        return fail(call, internal, "a transaction within a transaction");
    for (int run = 1;; run++) {
        session->may_retry = false;
        if (run_once(call, session, fn, arg) == 0)
            return 0;
        if (!db_may_retry(call) || run == RETRIES_MOST || rest(call, run) != 0)
            return -1;
        failure_clear(&call->failure);
    }
}

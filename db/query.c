/* Statements of a call; see query.h. Transactions: tx.c. */
#include "query.h"
#include "base/time.h"
#include "numbers.h"
#include "params.h"
#include "session.h"
#include "sqlstate.h"

/* ---- the program's statements ---- */

/* The linker's, of the section; both absent in a program without a statement. */
extern const struct statement *const first_listed[] __asm__("__start_statements")
    __attribute__((weak));
extern const struct statement *const end_listed[] __asm__("__stop_statements")
    __attribute__((weak));

const struct statement *const *statements_first(void)
{
    return first_listed;
}

const struct statement *const *statements_end(void)
{
    return end_listed;
}

/* ---- waiting ---- */

struct db_session *session_of(struct call *call)
{
    if (call->db == NULL)
        fail(call, internal, "the call has no database");
    return (struct db_session *)call->db;
}

static int leave(struct call *call, struct request *request, enum wake why)
{
    const char *name = request->statement != NULL ? request->statement->name : "a connection";
    bool unknown = request->commits && request->conn != NULL;

    pool_leave(request->pool, request);
    if (unknown)
        return fail(call, outcome_unknown, "no answer to %s in time", name);
    if (why == WAKE_CANCEL)
        return fail(call, cancelled, "waiting for %s", name);
    return fail(call, timeout, "waiting for %s", name);
}

int session_wait(struct call *call, struct request *request)
{
    enum wake why;

    if (request_wait(request, call->deadline_us, false, &why))
        return 0;
    if (request->commits && request->conn != NULL &&
        request_wait(request, call->deadline_us + ANSWER_GRACE_US, true, &why))
        return 0;
    return leave(call, request, why);
}

static void clear_kept(void *keep)
{
    PQclear(*(PGresult **)keep);
}

PGresult **session_keep(struct call *call)
{
    PGresult **keep = arena_zalloc(&call->arena, sizeof(PGresult *));

    if (keep != NULL)
        return call_on_end(call, clear_kept, keep) == 0 ? keep : NULL;
    fail(call, busy, "no memory left in the call");
    return NULL;
}

int session_rows(struct call *call, struct request *request, struct rows *rows)
{
    PGresult *result = request->result;

    if (request->outcome != OUTCOME_answered || verdict_of(result) != VERDICT_fine) {
        request_fail(call, request);
        PQclear(result);
        request->result = NULL;
        return -1;
    }
    request->result = NULL;
    *request->keep = result;
    *rows = (struct rows){result, (size_t)PQntuples(result)};
    return 0;
}

/* ---- statements that are their own transaction ---- */

static bool is_conflict(const struct request *request)
{
    enum verdict verdict =
        request->outcome == OUTCOME_answered ? verdict_of(request->result) : VERDICT_fine;

    return verdict == VERDICT_conflict || verdict == VERDICT_vanished;
}

static int ask_once(struct call *call, struct db_session *session, struct request *request)
{
    request->outcome = OUTCOME_none;
    if (request->kind == REQUEST_single)
        pool_write(session->pool, request);
    else
        pool_read(session->pool, request);
    return session_wait(call, request);
}

static int ask(struct call *call, struct db_session *session, const struct statement *statement,
               struct params params, struct rows *rows)
{
    bool single = statement->write || call->method->kind == KIND_single;
    struct request request = {.statement = statement,
                              .params = params,
                              .kind = single ? REQUEST_single : REQUEST_read,
                              .commits = single,
                              .fiber = fiber_self(),
                              .pool = session->pool,
                              .keep = session_keep(call)};

    if (request.keep == NULL)
        return -1;
    stat_add_at(&database_queries_total, single ? QUERY_single : QUERY_read, 1);
    for (int run = 1;; run++) {
        if (ask_once(call, session, &request) != 0)
            return -1;
        if (!is_conflict(&request) || run == RETRIES_MOST) {
            int error = session_rows(call, &request, rows);

            session->head.has_committed |= single && error == 0;
            return error;
        }
        PQclear(request.result);
        request.result = NULL;
        request.again = request.alone = false;
    }
}

static void count_time(struct call *call, int64_t start_us)
{
    int64_t took_us = time_now_us() - start_us;

    call->database_us += took_us;
    stat_observe(&database_query_seconds, took_us);
}

static bool is_in_transaction(const struct call *call, const struct db_session *session)
{
    return session->head.in_transaction || session->scoped || call->method->kind == KIND_tx;
}

static int query(struct call *call, const struct statement *statement, struct params params,
                 struct rows *rows, bool last)
{
    struct db_session *session = session_of(call);
    int64_t start_us;
    int error;

    if (session == NULL)
        return -1;
    start_us = time_now_us();
    if (is_in_transaction(call, session)) {
        stat_add_at(&database_queries_total, QUERY_tx, 1);
        error = tx_query(call, statement, params, rows, last);
    } else if (last) {
        error = fail(call, internal, "%s is the last of no transaction", statement->name);
    } else {
        error = ask(call, session, statement, params, rows);
    }
    count_time(call, start_us);
    return error;
}

int db_query(struct call *call, const struct statement *statement, struct params params,
             struct rows *rows)
{
    return query(call, statement, params, rows, false);
}

int db_query_last(struct call *call, const struct statement *statement, struct params params,
                  struct rows *rows)
{
    return query(call, statement, params, rows, true);
}

/* Copied to where it lasts: the rows may go before the call does. */
static int keep_name(struct call *call, struct str name)
{
    if (call->reply_user.ptr == NULL)
        call->reply_user = arena_copy(call_lasting(call), name);
    return call->reply_user.ptr != NULL ? 0 : fail(call, busy, "no memory left in the call");
}

/* Takes the user's id out of the first column. */
static int take_user(struct call *call, const struct statement *statement, const struct rows *rows)
{
    const char *column = PQfname(rows->result, 0);

    if (rows->count == 0 || row_is_null(rows, 0, column))
        return fail(call, unknown_user, "%s: there is no such user", statement->name);
    call->user_id = (int32_t)row_i64(rows, 0, column);
    if (PQfnumber(rows->result, "kept") >= 0 && !row_is_null(rows, 0, "kept"))
        return keep_name(call, row_str(rows, 0, "kept"));
    return 0;
}

/* Puts the user before the parameters. */
static int add_user(struct call *call, const struct statement *statement, struct params *params,
                    struct param items[PARAMS_MOST])
{
    if (params->count >= PARAMS_MOST)
        return fail(call, internal, "%s has too many parameters", statement->name);
    items[0] = p_str(call->user);
    if (params->count > 0)
        memcpy(items + 1, params->items, params->count * sizeof(*items));
    *params = (struct params){items, params->count + 1};
    return 0;
}

int db_query_as_user(struct call *call, const struct statement *statement, struct params params,
                     struct rows *rows)
{
    struct param items[PARAMS_MOST];

    if (add_user(call, statement, &params, items) != 0 ||
        db_query(call, statement, params, rows) != 0)
        return -1;
    return take_user(call, statement, rows);
}

static int ask_long(struct call *call, struct db_session *session,
                    const struct statement *statement, struct params params, struct rows *rows)
{
    struct request request = {.statement = statement,
                              .params = params,
                              .kind = REQUEST_step,
                              .fiber = fiber_self(),
                              .pool = session->pool,
                              .keep = session_keep(call)};

    if (request.keep == NULL || session_take(call, session) != 0)
        return -1;
    if (conn_send(session->conn, &request) == 0)
        (void)!conn_sync(session->conn, NULL);
    if (session_wait(call, &request) != 0) {
        if (session->conn != NULL)
            pool_drop(session->pool, session->conn, "its statement was left");
        return -1;
    }
    if (session->conn != NULL)
        pool_give_back(session->pool, session->conn);
    session->conn = NULL;
    return session_rows(call, &request, rows);
}

int db_query_long(struct call *call, const struct statement *statement, struct params params,
                  struct rows *rows)
{
    struct db_session *session = session_of(call);
    int64_t start_us;
    int error;

    if (session == NULL)
        return -1;
    if (is_in_transaction(call, session))
        return db_query(call, statement, params, rows);
    stat_add_at(&database_queries_total, QUERY_long, 1);
    start_us = time_now_us();
    error = ask_long(call, session, statement, params, rows);
    count_time(call, start_us);
    return error;
}

int db_query_long_as_user(struct call *call, const struct statement *statement,
                          struct params params, struct rows *rows)
{
    struct param items[PARAMS_MOST];

    if (add_user(call, statement, &params, items) != 0 ||
        db_query_long(call, statement, params, rows) != 0)
        return -1;
    return take_user(call, statement, rows);
}

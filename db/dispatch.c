/* Which connection a request goes to; see pool_use.h.
 *
 * A read that finds a connection for reads quiet is sent at once; all others of a turn stand in
 * `reads` until the loop's database phase, which puts them behind one sync. Writes and transactions
 * take one of the other connections; who needs one that is not there stands in `waiting`. */
#include "base/time.h"
#include "inject.h"
#include "numbers.h"
#include "pool_state.h"

enum {
    BATCHES_MOST = 8,       /* of reads in flight on one connection */
    BATCH_READS = 16,       /* behind one sync: the answers of some are taken while others run */
    WRITES_MOST = 2,        /* in flight on one connection */
    WRITE_YOUNG_US = 10000, /* nobody stands behind a write that takes longer */
};

static bool may_read(const struct conn *conn)
{
    return !conn->doomed && conn->syncs < BATCHES_MOST && !conn_is_clogged(conn) &&
           conn_room(conn) > 2 * CONN_REQUEST_SLOTS;
}

/* The one with the least in flight that may take more. */
static struct conn *choose_for_reads(const struct pool *pool)
{
    struct conn *best = pool->lists.of[CONN_READS][CONN_idle].first;

    if (best != NULL && !best->doomed)
        return best;
    best = NULL;
    for (struct conn *conn = pool->lists.of[CONN_READS][CONN_busy].first; conn != NULL;
         conn = conn->after)
        if (may_read(conn) && (best == NULL || conn_in_flight(conn) < conn_in_flight(best)))
            best = conn;
    return best;
}

/* Sends what waits, as far as there is room: those that run again with a sync each, the rest
 * behind one. */
static void send_batch(struct pool *pool, struct conn *conn)
{
    unsigned sent = 0;

    conn_move(conn, CONN_busy);
    while (pool->reads.first != NULL && sent < BATCH_READS &&
           conn_room(conn) > 2 * CONN_REQUEST_SLOTS) {
        struct request *request = pool->reads.first;
        bool alone = request->alone;

        if (alone && conn->unsynced > 0 && conn_sync(conn, NULL) != 0)
            return;
        request_unlink(request);
        if (conn_send(conn, request) != 0 || (alone && conn_sync(conn, NULL) != 0))
            return;
        sent++;
    }
    if (sent > 1)
        stat_add(&database_batched_reads_total, sent);
    if (conn->unsynced > 0)
        (void)!conn_sync(conn, NULL);
    INJECT_CUT(lost_after_read, PQsocket(conn->pg));
}

bool pool_send_reads(struct loop_hook *hook)
{
    struct pool *pool = (struct pool *)((char *)hook - offsetof(struct pool, hook));
    struct conn *conn;

    pool->more = false;
    while (pool->reads.first != NULL && (conn = choose_for_reads(pool)) != NULL)
        send_batch(pool, conn);
    return pool->more;
}

static void refuse(struct pool *pool, struct request *request, enum outcome outcome)
{
    request->reason = pool->why;
    request_finish(request, outcome);
}

/* Joins the crowd, where the wait is not too long. As many as keep the connections busy are let in
 * however long they take. One that is sent again is in already. */
static bool join(struct pool *pool, struct crowd *crowd, unsigned least, struct request *request)
{
    int64_t now_us = time_now_us(), wait_us = pool->config.wait_us;

    if (request->crowd != NULL)
        return true;
    if (wait_us > 0 && crowd->count >= least && crowd_wait_us(crowd, now_us) > wait_us) {
        refuse(pool, request, OUTCOME_crowded);
        return false;
    }
    crowd_join(crowd, now_us);
    request->crowd = crowd;
    return true;
}

static bool join_readers(struct pool *pool, struct request *request)
{
    return join(pool, &pool->readers, BATCH_READS * pool->config.read_connections, request);
}

static bool join_others(struct pool *pool, struct request *request)
{
    return join(pool, &pool->others, WRITES_MOST * pool->config.other_connections, request);
}

void pool_read(struct pool *pool, struct request *request)
{
    struct conn *quiet = pool->lists.of[CONN_READS][CONN_idle].first;

    if (!join_readers(pool, request))
        return;
    if (quiet != NULL && pool->reads.first == NULL && !quiet->doomed) {
        conn_move(quiet, CONN_busy);
        if (conn_send(quiet, request) == 0)
            (void)!conn_sync(quiet, NULL);
        INJECT_CUT(lost_after_read, PQsocket(quiet->pg));
        return;
    }
    if (pool_reads_up(pool) == 0 && pool->away)
        refuse(pool, request, OUTCOME_away);
    else if (pool_reads_up(pool) == 0 && pool->reads.count >= pool->config.waiters)
        refuse(pool, request, OUTCOME_crowded);
    else
        request_append(&pool->reads, request);
}

static void write_on(struct conn *conn, struct request *request)
{
    conn_move(conn, CONN_busy);
    if (conn_send(conn, request) == 0)
        (void)!conn_sync(conn, request);
    INJECT_CUT(lost_after_write, PQsocket(conn->pg));
}

static void hand_over(struct conn *conn, struct request *request)
{
    conn_move(conn, CONN_taken);
    request->conn = conn;
    conn->holder = &request->conn;
    request_finish(request, OUTCOME_answered);
}

void pool_serve(struct pool *pool)
{
    struct conn *conn;

    while (pool->waiting.first != NULL &&
           (conn = pool->lists.of[CONN_OTHERS][CONN_idle].first) != NULL) {
        struct request *request = request_shift(&pool->waiting);

        if (request->kind == REQUEST_take)
            hand_over(conn, request);
        else
            write_on(conn, request);
    }
}

static void wait_for_other(struct pool *pool, struct request *request)
{
    if (pool->away && pool_others_from(pool, CONN_idle) == 0) {
        refuse(pool, request, OUTCOME_away);
        return;
    }
    if (pool->waiting.count >= pool->config.waiters) {
        refuse(pool, request, OUTCOME_crowded);
        return;
    }
    request_append(&pool->waiting, request);
    pool_serve(pool);
    if (request->list == NULL)
        return;
    pool_open_other(pool);
    if (request->list != NULL && pool_others_from(pool, CONN_resolving) == 0) {
        request_unlink(request);
        refuse(pool, request, OUTCOME_away);
    }
}

/* A connection whose write is young: another one may stand behind it. */
static struct conn *choose_for_write(const struct pool *pool)
{
    int64_t now_us = time_now_us();

    for (struct conn *conn = pool->lists.of[CONN_OTHERS][CONN_busy].first; conn != NULL;
         conn = conn->after)
        if (conn->syncs < WRITES_MOST && !conn->doomed && !conn_is_clogged(conn) &&
            now_us - conn->progress_us < WRITE_YOUNG_US)
            return conn;
    return NULL;
}

void pool_write(struct pool *pool, struct request *request)
{
    struct conn *conn = NULL;

    if (!join_others(pool, request))
        return;
    if (pool->lists.of[CONN_OTHERS][CONN_idle].count == 0 && pool->waiting.first == NULL) {
        pool_open_other(pool);
        conn = choose_for_write(pool);
    }
    if (conn != NULL)
        write_on(conn, request);
    else
        wait_for_other(pool, request);
}

void pool_take(struct pool *pool, struct request *request)
{
    if (join_others(pool, request))
        wait_for_other(pool, request);
}

void pool_give_back(struct pool *pool, struct conn *conn)
{
    (void)pool;
    conn->holder = NULL;
    conn_move(conn, CONN_cleaning);
    if (conn_in_flight(conn) == 0)
        conn_quiet(conn);
}

void pool_drop(struct pool *pool, struct conn *conn, const char *why)
{
    conn_close(conn, why);
    if (pool->waiting.first != NULL)
        pool_open_other(pool);
}

void pool_leave(struct pool *pool, struct request *request)
{
    request_unlink(request);
    request_leave_crowd(request);
    if (request->kind == REQUEST_take && request->conn != NULL)
        pool_give_back(pool, request->conn);
    else if (request->conn != NULL)
        conn_forget(request->conn, request);
    request->conn = NULL;
    PQclear(request->result);
    request->result = NULL;
}

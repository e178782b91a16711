/* The pool: what happens when a connection comes, breaks, or is missing; see pool.h. Which one a
 * request goes to: dispatch.c.
 *
 * Those for reads are always kept up, the others are opened when they are needed. `away` is the
 * pool's opinion that there is no database: then nobody waits for it. It is formed when an attempt
 * to connect fails while no read connection is up, or when the grace passes. */
#include "base/time.h"
#include "numbers.h"
#include "pool_state.h"
#include "sqlstate.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    READ_SLOTS = 1024,         /* most in flight on a connection for reads */
    OTHER_SLOTS = 64,          /* the same of the others */
    GRACE_US = 1000000,        /* how long calls wait for a connection that is coming */
    REST_LEAST_US = 50000,     /* before the second attempt */
    REST_MOST_US = 1600000,    /* between later ones */
    REST_STARTING_US = 200000, /* while the server says that it is starting */
    STALL_US = 5000000,        /* past statement_timeout: the server does not live */
    CLEANING_US = 5000000,     /* most time that a connection has to get clean */
    LOG_AGAIN_US = 30000000    /* the same cause is logged again */
};

#define STATE_NAME(name) #name,
static const char *const state_names[] = {CONN_STATES(STATE_NAME)};

static struct pool *pool_of(const struct conn *conn)
{
    return conn->pool;
}

unsigned pool_reads_up(const struct pool *pool)
{
    return pool->lists.of[CONN_READS][CONN_idle].count +
           pool->lists.of[CONN_READS][CONN_busy].count;
}

unsigned pool_others_from(const struct pool *pool, enum conn_state least)
{
    unsigned count = 0;

    for (unsigned state = least; state < CONN_STATE_COUNT; state++)
        if (state != CONN_outdated)
            count += pool->lists.of[CONN_OTHERS][state].count;
    return count;
}

/* ---- connecting ---- */

/* A factor of 0.5 to 1 (xorshift). */
static int64_t jitter(struct pool *pool, int64_t us)
{
    pool->chance ^= pool->chance << 13;
    pool->chance ^= pool->chance >> 7;
    pool->chance ^= pool->chance << 17;
    return us / 2 + (int64_t)(pool->chance % (uint64_t)(us / 2 + 1));
}

static int64_t rest_us(struct pool *pool, const struct conn *conn)
{
    unsigned doublings = conn->failures < 6 ? conn->failures - 1 : 5;
    int64_t us = REST_LEAST_US << doublings;

    if (us > REST_MOST_US)
        us = REST_MOST_US;
    if (us > REST_STARTING_US && strstr(conn->why, "57P03") != NULL)
        us = REST_STARTING_US;
    return jitter(pool, us);
}

static void on_resolved(void *arg)
{
    struct pool *pool = arg;

    for (int role = 0; role < CONN_ROLES; role++) {
        struct conn_list *list = &pool->lists.of[role][CONN_resolving];

        while (list->first != NULL) {
            struct conn *conn = list->first;

            if (target_places(pool->target) > 0)
                conn_connect(conn, pool->target);
            else
                conn_break(conn, target_error(pool->target));
            assert(list->first != conn);
        }
    }
}

static void connect_now(struct pool *pool, struct conn *conn)
{
    if (!target_is_stale(pool->target)) {
        conn_connect(conn, pool->target);
        return;
    }
    conn_resolve(conn);
    if (target_resolve(pool->target, on_resolved, pool) != 0)
        conn_break(conn, "no thread to resolve names");
}

static struct conn *make(struct pool *pool, enum conn_role role, const struct conn_owner *owner)
{
    struct conn *conn =
        conn_new(&pool->lists, role, owner, pool, role == CONN_READS ? READ_SLOTS : OTHER_SLOTS);

    if (conn == NULL)
        return NULL;
    conn->names = pool->config.statement_names;
    conn->settings = !pool->config.statement_names;
    conn->schema_needed = pool->config.schema_version;
    conn->statement_timeout_us = pool->config.statement_timeout_us;
    return conn;
}

void pool_open_other(struct pool *pool)
{
    struct conn *conn = pool->lists.of[CONN_OTHERS][CONN_closed].first;

    if (conn != NULL && pool->lists.of[CONN_OTHERS][CONN_resting].count == 0)
        connect_now(pool, conn);
}

/* ---- the database is away, and back ---- */

static void go_away(struct pool *pool, const char *why)
{
    ev_timer_stop(loop_get(), &pool->grace);
    pool->away = true;
    snprintf(pool->why, sizeof(pool->why), "%s", why);
    request_finish_all(&pool->reads, OUTCOME_away, pool->why);
    if (pool_others_from(pool, CONN_resolving) == 0)
        request_finish_all(&pool->waiting, OUTCOME_away, pool->why);
}

static void on_grace(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct pool *pool = timer->data;

    (void)ev, (void)events;
    if (pool_reads_up(pool) == 0)
        go_away(pool, "the database does not answer");
}

static void start_grace(struct pool *pool)
{
    if (ev_is_active(&pool->grace) || pool->away || pool_reads_up(pool) > 0)
        return;
    ev_timer_set(&pool->grace, GRACE_US * 1e-6, 0.);
    ev_timer_start(loop_get(), &pool->grace);
}

/* The same cause is not logged at every attempt. */
static void log_cause(struct pool *pool, const char *why)
{
    int64_t now_us = time_now_us();

    if (strcmp(why, pool->logged) == 0 && now_us - pool->logged_us < LOG_AGAIN_US)
        return;
    snprintf(pool->logged, sizeof(pool->logged), "%s", why);
    pool->logged_us = now_us;
    log_warn(pool, "no connection to database %s: %s", target_name(pool->target), why);
}

/* ---- what connections tell ---- */

static void on_up(struct conn *conn)
{
    struct pool *pool = pool_of(conn);

    if (conn->role == CONN_READS && (pool->away || conn->failures > 0))
        log_info(pool, "connected to database %s", target_name(pool->target));
    conn->failures = 0;
    conn_move(conn, CONN_idle);
    if (conn->role == CONN_OTHERS) {
        pool_serve(pool);
        return;
    }
    ev_timer_stop(loop_get(), &pool->grace);
    pool->away = false;
    pool->logged[0] = '\0';
}

static void on_outdated(struct conn *conn)
{
    struct pool *pool = pool_of(conn);

    snprintf(conn->why, sizeof(conn->why), "schema %d, the database has %" PRId64,
             conn->schema_needed, conn->schema);
    conn_move(conn, CONN_outdated);
    log_cause(pool, conn->why);
    if (conn->role == CONN_OTHERS)
        conn_close(conn, conn->why);
    if (pool_reads_up(pool) == 0)
        go_away(pool, conn->why);
    else if (pool_others_from(pool, CONN_resolving) == 0)
        request_finish_all(&pool->waiting, OUTCOME_away, conn->why);
}

static const char *why_unclean(const struct conn *conn)
{
    if (conn->stained)
        return "a statement left something in its session";
    if (conn->doomed)
        return "the server does not serve it any more";
    return "it was left in a transaction";
}

static void on_quiet(struct conn *conn)
{
    if (conn->state == CONN_taken)
        return;
    if (!conn_is_clean(conn)) {
        conn_break(conn, why_unclean(conn));
        return;
    }
    conn_move(conn, CONN_idle);
    if (conn->role == CONN_OTHERS)
        pool_serve(pool_of(conn));
}

/* A read that was skipped, or a statement that has to be prepared anew. */
static void on_again(struct request *request)
{
    struct pool *pool = request->pool;

    if (request->kind == REQUEST_read)
        request_append(&pool->reads, request);
    else
        pool_write(pool, request);
}

static void on_due(struct conn *conn)
{
    struct pool *pool = pool_of(conn);

    if (conn->role == CONN_READS || pool->waiting.first != NULL)
        connect_now(pool, conn);
    else
        conn_move(conn, CONN_closed);
}

static void read_is_down(struct pool *pool, struct conn *conn, bool was_up)
{
    if (was_up) {
        log_warn(pool, "database connection lost: %s", conn->why);
        stat_add(&database_reconnects_total, 1);
        conn_rest(conn, 0);
        start_grace(pool);
        return;
    }
    conn->failures++;
    log_cause(pool, conn->why);
    conn_rest(conn, rest_us(pool, conn));
    if (pool_reads_up(pool) == 0)
        go_away(pool, conn->why);
}

static void other_is_down(struct pool *pool, struct conn *conn, bool was_up)
{
    if (was_up) {
        log_info(pool, "database connection for writes closed: %s", conn->why);
        conn_move(conn, CONN_closed);
        if (pool->waiting.first != NULL)
            pool_open_other(pool);
        return;
    }
    conn->failures++;
    log_cause(pool, conn->why);
    conn_rest(conn, rest_us(pool, conn));
    if (pool_others_from(pool, CONN_resolving) > 0)
        return;
    snprintf(pool->why, sizeof(pool->why), "%s", conn->why);
    request_finish_all(&pool->waiting, OUTCOME_away, pool->why);
}

static void on_down(struct conn *conn)
{
    struct pool *pool = pool_of(conn);
    bool was_up = conn->state >= CONN_idle;

    pool->more = true;
    if (conn->state == CONN_resolving)
        target_resolve_stop(pool->target);
    if (conn->role == CONN_READS)
        read_is_down(pool, conn, was_up);
    else
        other_is_down(pool, conn, was_up);
}

/* After a failover the idle ones lead to the same server. */
static void on_demoted(struct conn *conn)
{
    struct conn_list *idle = &pool_of(conn)->lists.of[CONN_OTHERS][CONN_idle];

    while (idle->first != NULL)
        conn_close(idle->first, "the server takes no writes");
}

static const struct conn_owner owner = {.up = on_up,
                                        .outdated = on_outdated,
                                        .quiet = on_quiet,
                                        .again = on_again,
                                        .due = on_due,
                                        .down = on_down,
                                        .demoted = on_demoted};

/* ---- once a second ---- */

static const char *look_at(const struct pool *pool, const struct conn *conn, int64_t now_us)
{
    int64_t stalled_us = pool->config.statement_timeout_us + STALL_US;

    if (conn->state < CONN_outdated)
        return NULL;
    if (conn_in_flight(conn) > 0 && now_us - conn->progress_us > stalled_us)
        return "the server has not answered for too long";
    if (conn->state == CONN_cleaning && now_us - conn->since_us > CLEANING_US)
        return "it was given back and did not become clean";
    return NULL;
}

static void look_at_list(struct pool *pool, struct conn_list *list, int64_t now_us)
{
    struct conn *after;

    for (struct conn *conn = list->first; conn != NULL; conn = after) {
        const char *why = look_at(pool, conn, now_us);

        after = conn->after;
        if (why != NULL)
            conn_break(conn, why);
        else if (conn->state == CONN_outdated)
            conn_look_again(conn);
        else if (conn->role == CONN_OTHERS && conn->state == CONN_idle &&
                 now_us - conn->since_us >= pool->config.idle_us)
            conn_close(conn, "idle");
    }
}

static void on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct pool *pool = timer->data;
    int64_t now_us = time_now_us();

    (void)ev, (void)events;
    for (int role = 0; role < CONN_ROLES; role++)
        for (int state = CONN_outdated; state < CONN_STATE_COUNT; state++)
            look_at_list(pool, &pool->lists.of[role][state], now_us);
}

/* ---- opening and closing ---- */

static void refresh(void *arg)
{
    const struct pool *pool = *(struct pool *const *)arg;

    if (pool == NULL)
        return;
    for (int state = 0; state < CONN_STATE_COUNT; state++)
        stat_set_at(&database_connections, (unsigned)state,
                    pool->lists.of[CONN_READS][state].count +
                        pool->lists.of[CONN_OTHERS][state].count);
    stat_set(&database_waiting, pool->reads.count + pool->waiting.count);
}

/* The process has one pool; its gauges are looked up through this. */
static struct pool *shown;

static void open_all(struct pool *pool)
{
    for (unsigned i = 0; i < pool->config.read_connections + pool->config.other_connections; i++) {
        bool reads = i < pool->config.read_connections;
        struct conn *conn = make(pool, reads ? CONN_READS : CONN_OTHERS, &owner);

        if (conn == NULL) {
            log_error(&process, "no memory for the database's connections");
            log_close();
            exit(EX_OSERR);
        }
        if (reads)
            conn_rest(conn, 0);
    }
}

struct pool *pool_open(const struct pool_config *config)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL) {
        log_error(&process, "no memory for the database's connections");
        log_close();
        exit(EX_OSERR);
    }
    pool->config = *config;
    pool->target = target_read(config);
    pool->chance = (uint64_t)time_wall_us() ^ (uint64_t)getpid() << 40 ^ UINT64_C(0x9e3779b9);
    snprintf(pool->why, sizeof(pool->why), "not connected yet");
    shown = pool;
    numbers_open(state_names, CONN_STATE_COUNT, refresh, &shown);
    ev_timer_init(&pool->tick, on_tick, 1., 1.);
    ev_init(&pool->grace, on_grace);
    pool->tick.data = pool->grace.data = pool;
    ev_timer_start(loop_get(), &pool->tick);
    start_grace(pool);
    pool->hook.run = pool_send_reads;
    loop_hook_add(LOOP_DATABASE, &pool->hook);
    open_all(pool);
    return pool;
}

bool pool_ready(const struct pool *pool, const char **missing)
{
    const struct conn *outdated = pool->lists.of[CONN_READS][CONN_outdated].first;

    if (pool_reads_up(pool) > 0)
        return true;
    *missing = outdated != NULL ? outdated->why : "the database";
    return false;
}

void pool_close(struct pool **pool_at)
{
    struct pool *pool = *pool_at;

    *pool_at = NULL;
    if (pool == NULL)
        return;
    shown = NULL;
    loop_hook_remove(LOOP_DATABASE, &pool->hook);
    ev_timer_stop(loop_get(), &pool->tick);
    ev_timer_stop(loop_get(), &pool->grace);
    snprintf(pool->why, sizeof(pool->why), "the process is closing its connections");
    for (int role = 0; role < CONN_ROLES; role++)
        for (int state = 0; state < CONN_STATE_COUNT; state++)
            while (pool->lists.of[role][state].first != NULL)
                conn_free(pool->lists.of[role][state].first);
    request_finish_all(&pool->reads, OUTCOME_away, pool->why);
    request_finish_all(&pool->waiting, OUTCOME_away, pool->why);
    target_free(&pool->target);
    loop_free_later(pool);
}

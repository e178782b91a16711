/* A connection's life around its pipeline; see conn.h. */
#include "conn.h"
#include "base/loop.h"
#include "base/time.h"
#include "inject.h"
#include "sqlstate.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CONNECT_US = 5000000,      /* an attempt, over all its places */
    CONNECT_LEAST_US = 1000000 /* at one of them */
};

static const struct statement settings = {
    NULL,
    "select set_config('statement_timeout', $1, false),"
    " set_config('idle_in_transaction_session_timeout', $1, false),"
    " set_config('client_connection_check_interval', '1000', false)",
    true};

static const struct statement version = {
    NULL, "select coalesce(max(version), 0)::bigint as version from lectern_migrations", false};

/* ---- lists ---- */

static void list_remove(struct conn *conn)
{
    struct conn_list *list = &conn->lists->of[conn->role][conn->state];

    if (conn->before != NULL)
        conn->before->after = conn->after;
    else
        list->first = conn->after;
    if (conn->after != NULL)
        conn->after->before = conn->before;
    list->count--;
}

static void list_add(struct conn *conn)
{
    struct conn_list *list = &conn->lists->of[conn->role][conn->state];

    conn->before = NULL;
    conn->after = list->first;
    if (list->first != NULL)
        list->first->before = conn;
    list->first = conn;
    list->count++;
}

void conn_move(struct conn *conn, enum conn_state state)
{
    if (conn->state == state)
        return;
    list_remove(conn);
    conn->state = state;
    conn->since_us = time_now_us();
    list_add(conn);
}

/* ---- watching ---- */

static void watch(struct conn *conn, int events)
{
    int fd = PQsocket(conn->pg);

    if (ev_is_active(&conn->io) && conn->io.fd == fd &&
        (conn->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(loop_get(), &conn->io);
    if (fd < 0)
        return;
    ev_io_set(&conn->io, fd, events);
    ev_io_start(loop_get(), &conn->io);
}

bool conn_is_clogged(const struct conn *conn)
{
    return (conn->io.events & EV_WRITE) != 0;
}

void conn_flush(struct conn *conn)
{
    int left = PQflush(conn->pg);

    watch(conn, left == 1 ? EV_READ | EV_WRITE : EV_READ);
}

static void set_timer(struct conn *conn, int64_t after_us)
{
    ev_timer_stop(loop_get(), &conn->timer);
    ev_timer_set(&conn->timer, (double)after_us * 1e-6, 0.);
    ev_timer_start(loop_get(), &conn->timer);
}

void conn_rest(struct conn *conn, int64_t after_us)
{
    conn_move(conn, CONN_resting);
    set_timer(conn, after_us);
}

void conn_resolve(struct conn *conn)
{
    conn_move(conn, CONN_resolving);
    set_timer(conn, CONNECT_US);
}

/* ---- the end ---- */

/* The next word of libpq's text that is worth a place in a log: line ends become blanks, the
 * server's source locations go. */
void conn_words(const char *message, char *out, size_t room)
{
    size_t len = 0;

    while (*message != '\0' && len + 3 < room) {
        size_t line = strcspn(message, "\n");
        const char *next = message + line + (message[line] == '\n');

        while (line > 0 && (*message == '\t' || *message == ' ')) {
            message++;
            line--;
        }
        if (line > 0 && strncmp(message, "LOCATION:", 9) != 0) {
            int wrote =
                snprintf(out + len, room - len, "%s%.*s", len > 0 ? "; " : "", (int)line, message);

            len = len + (size_t)wrote < room ? len + (size_t)wrote : room - 1;
        }
        message = next;
    }
    if (len == 0)
        snprintf(out, room, "no reason given");
}

/* Leaves a connection that has nothing but its place in the lists. */
static void close_it(struct conn *conn)
{
    conn->life++;
    ev_io_stop(loop_get(), &conn->io);
    ev_timer_stop(loop_get(), &conn->timer);
    PQfinish(conn->pg);
    conn->pg = NULL;
    conn_lose_all(conn);
    if (conn->holder != NULL)
        *conn->holder = NULL;
    conn->holder = NULL;
    memset(conn->prepared, 0, sizeof(conn->prepared));
    conn->doomed = conn->goodbye = conn->stained = false;
    conn->io.events = 0;
}

void conn_break(struct conn *conn, const char *why)
{
    if (why != conn->why)
        snprintf(conn->why, sizeof(conn->why), "%s", why);
    close_it(conn);
    conn->owner->down(conn);
}

void conn_close(struct conn *conn, const char *why)
{
    if (why != conn->why)
        snprintf(conn->why, sizeof(conn->why), "%s", why);
    close_it(conn);
    conn_move(conn, CONN_closed);
}

void conn_free(struct conn *conn)
{
    conn_close(conn, "the connection was closed");
    list_remove(conn);
    free(conn->slots);
    loop_free_later(conn);
}

bool conn_is_clean(const struct conn *conn)
{
    return conn->head == conn->tail && !conn->stained && !conn->doomed &&
           PQtransactionStatus(conn->pg) == PQTRANS_IDLE;
}

/* ---- setting up ---- */

static int64_t found_version(const struct request *request)
{
    struct rows rows = {.result = request->result, .count = 1};

    return verdict_of(request->result) == VERDICT_missing ? 0 : row_i64(&rows, 0, "version");
}

static void on_greeted(struct request *request)
{
    struct conn *conn = (struct conn *)((char *)request - offsetof(struct conn, greeting));
    enum verdict verdict =
        request->outcome == OUTCOME_answered ? verdict_of(request->result) : VERDICT_gone;
    char why[CONN_WHY_BYTES];

    if (request->outcome != OUTCOME_answered)
        return; /* it is broken already */
    if (verdict != VERDICT_fine && verdict != VERDICT_missing) {
        conn_words(PQresultErrorMessage(request->result), why, sizeof(why));
        PQclear(request->result);
        snprintf(conn->why, sizeof(conn->why), "%s", why);
        conn->doomed = true; /* conn_quiet() breaks it */
        return;
    }
    if (request->statement == &version)
        conn->schema = found_version(request);
    PQclear(request->result);
}

static void ask(struct conn *conn, const struct statement *statement, struct params params)
{
    conn->greeting = (struct request){
        .statement = statement, .params = params, .kind = REQUEST_step, .done = on_greeted};
    if (conn_send(conn, &conn->greeting) == 0)
        (void)!conn_sync(conn, NULL);
}

/* Settings are made in a transaction of their own: they do not outlive one that fails. */
static void ask_both(struct conn *conn)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%" PRId64, conn->statement_timeout_us / 1000);
    const struct param milliseconds[1] = {p_str((struct str){text, (size_t)len})};
    const struct params params = {milliseconds, 1};

    if (conn->schema_needed == 0) {
        ask(conn, &settings, params);
        return;
    }
    if (conn_send_before(conn, &settings, params, NULL) == 0 && conn_sync(conn, NULL) == 0)
        ask(conn, &version, NO_PARAMS);
}

void conn_quiet(struct conn *conn)
{
    if (conn->state != CONN_greeting && conn->state != CONN_outdated) {
        conn->owner->quiet(conn);
        return;
    }
    ev_timer_stop(loop_get(), &conn->timer);
    if (conn->doomed)
        conn_break(conn, conn->why);
    else if (conn->schema < conn->schema_needed)
        conn->owner->outdated(conn);
    else
        conn->owner->up(conn);
}

static void greet(struct conn *conn)
{
    conn_move(conn, CONN_greeting);
    conn->schema = 0;
    if (PQsetnonblocking(conn->pg, 1) != 0 || PQenterPipelineMode(conn->pg) != 1) {
        conn_break(conn, "libpq refuses its pipeline mode");
        return;
    }
    watch(conn, EV_READ);
    if (conn->settings)
        ask_both(conn);
    else if (conn->schema_needed > 0)
        ask(conn, &version, NO_PARAMS);
    else
        conn_quiet(conn);
}

void conn_look_again(struct conn *conn)
{
    if (conn->head == conn->tail)
        ask(conn, &version, NO_PARAMS);
}

static void on_connecting(struct conn *conn)
{
    char why[CONN_WHY_BYTES];

    switch (PQconnectPoll(conn->pg)) {
    case PGRES_POLLING_READING:
        ev_io_stop(loop_get(), &conn->io);
        watch(conn, EV_READ);
        return;
    case PGRES_POLLING_WRITING:
        ev_io_stop(loop_get(), &conn->io);
        watch(conn, EV_WRITE);
        return;
    case PGRES_POLLING_OK:
        greet(conn);
        return;
    default:
        conn_words(PQerrorMessage(conn->pg), why, sizeof(why));
        conn_break(conn, why);
    }
}

static void on_notice(void *arg, const PGresult *notice)
{
    struct conn *conn = arg;

    log_debug(conn, "the server says: %s", PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY));
}

void conn_connect(struct conn *conn, struct target *target)
{
    unsigned places = target_places(target);
    int64_t most_us = CONNECT_US / (places > 0 ? places : 1);
    char why[CONN_WHY_BYTES];

    conn_move(conn, CONN_connecting);
    conn->pg = target_connect(target, conn->turn);
    if (INJECT(connect_refused) || conn->pg == NULL || PQstatus(conn->pg) == CONNECTION_BAD) {
        conn_words(conn->pg != NULL ? PQerrorMessage(conn->pg) : "no memory", why, sizeof(why));
        conn_break(conn, why);
        return;
    }
    PQsetNoticeReceiver(conn->pg, on_notice, conn);
    PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
    watch(conn, EV_WRITE);
    set_timer(conn, most_us > CONNECT_LEAST_US ? most_us : CONNECT_LEAST_US);
}

/* ---- events ---- */

static void on_io(struct ev_loop *ev, ev_io *io, int events)
{
    struct conn *conn = io->data;
    unsigned life = conn->life;

    (void)ev;
    if (conn->state == CONN_connecting) {
        on_connecting(conn);
        return;
    }
    if ((events & EV_READ) != 0)
        conn_receive(conn, PQconsumeInput(conn->pg) != 1);
    if (conn->life == life && conn_is_clogged(conn))
        conn_flush(conn);
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct conn *conn = timer->data;

    (void)ev, (void)events;
    if (conn->state == CONN_resting) {
        conn->owner->due(conn);
        return;
    }
    conn->turn++; /* the place that does not answer is not the first one next time */
    conn_break(conn, "no answer in time while connecting");
}

struct conn *conn_new(struct conn_lists *lists, enum conn_role role, const struct conn_owner *owner,
                      void *pool, uint32_t room)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    struct slot *slots = calloc(room, sizeof(*slots));

    assert((room & (room - 1)) == 0);
    if (conn == NULL || slots == NULL) {
        free(conn);
        free(slots);
        return NULL;
    }
    conn->lists = lists;
    conn->role = role;
    conn->owner = owner;
    conn->pool = pool;
    conn->slots = slots;
    conn->mask = room - 1;
    conn->state = CONN_closed;
    list_add(conn);
    ev_init(&conn->io, on_io);
    ev_init(&conn->timer, on_timer);
    conn->io.data = conn->timer.data = conn;
    return conn;
}

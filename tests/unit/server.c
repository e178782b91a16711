/* The server thread owns loop, listener and handler; the test's thread gives it orders through one
 * async watcher and reads counters under a lock. */
#include "server.h"

#include "address.h"
#include "base/loop.h"
#include "base/stat.h"
#include "base/time.h"
#include "http_value.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_S = 10, PIECES = 3, FLOOD_PIECE = 64 * 1024, SMALL_LIMIT = 10 };

enum order { ORDER_none, ORDER_drain, ORDER_count, ORDER_end };

char reply[REPLY_ROOM];

static struct {
    pthread_t thread;          /* of the loop */
    pthread_mutex_t lock;      /* for what follows */
    pthread_cond_t changed;    /* one of them did */
    enum order order;          /* for the server, back to none when done */
    int gone, requests;        /* seen so far */
    unsigned clients;          /* when last counted */
    bool drained;              /* the stop is over */
    struct listener *listener; /* the server's */
    struct address address;    /* it listens on */
    ev_async ordered;          /* wakes the server */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* A request that is answered later. */
struct exchange {
    ev_timer timer;                /* for the next thing to do */
    struct connection *connection; /* whose request it is */
    int pieces;                    /* of a stream, sent so far */
    bool flood;                    /* a stream without an end */
    char text[256];                /* the answer */
};

static char *big_answer(void)
{
    static char *bytes;

    if (bytes == NULL) {
        bytes = malloc(BIG_ANSWER);
        for (int i = 0; bytes != NULL && i < BIG_ANSWER; i++)
            bytes[i] = (char)('a' + i % 23);
    }
    return bytes;
}

static void count(int *counter)
{
    pthread_mutex_lock(&server.lock);
    (*counter)++;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.lock);
}

static void end_exchange(struct exchange *exchange)
{
    ev_timer_stop(loop_get(), &exchange->timer);
    loop_free_later(exchange);
}

static void answer(struct connection *connection, int status, const char *text, size_t len)
{
    struct connection_answer whole = {.status = status,
                                      .content_type = STR("text/plain"),
                                      .fields = STR("X-More: yes\r\n"),
                                      .body = {text, len}};

    whole.close = memmem(text, len < 256 ? len : 256, "/close", 6) != NULL;
    connection_answer(connection, &whole);
}

static void flood(struct exchange *exchange)
{
    while (connection_write(exchange->connection, (struct str){big_answer(), FLOOD_PIECE}) == 0)
        ;
}

static void stream_on(struct exchange *exchange)
{
    struct connection_answer begun = {.status = 200, .content_type = STR("text/plain")};
    char piece[16];
    int len = snprintf(piece, sizeof(piece), "piece %d\n", exchange->pieces);

    if (exchange->pieces == 0) {
        begun.body = (struct str){piece, (size_t)len};
        connection_begin(exchange->connection, &begun);
    } else {
        connection_write(exchange->connection, (struct str){piece, (size_t)len});
    }
    if (exchange->flood) {
        ev_timer_stop(loop_get(), &exchange->timer);
        flood(exchange);
    } else if (++exchange->pieces == PIECES) {
        connection_end(exchange->connection);
        end_exchange(exchange);
    }
}

static void on_stream_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    stream_on(timer->data);
}

static void on_later_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct exchange *exchange = timer->data;

    (void)loop;
    (void)events;
    answer(exchange->connection, 200, exchange->text, strlen(exchange->text));
    end_exchange(exchange);
}

static struct exchange *begin_exchange(struct connection *connection, const char *text)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));

    if (exchange == NULL)
        abort();
    exchange->connection = connection;
    snprintf(exchange->text, sizeof(exchange->text), "%s", text);
    ev_timer_init(&exchange->timer, on_later_timer, 0, 0.005);
    exchange->timer.data = exchange;
    connection_attach(connection, exchange);
    return exchange;
}

static int64_t on_head(struct connection *connection, const struct http_head *head)
{
    if (str_is(head->path, "/refused")) {
        answer(connection, 404, "refused", 7);
        return -1;
    }
    return str_is(head->path, "/small") ? SMALL_LIMIT : (int64_t)BIG_ANSWER;
}

static void on_request(struct connection *connection, const struct http_head *head, struct str body)
{
    struct exchange *exchange = NULL;
    char text[1024];
    int len = snprintf(text, sizeof(text), "%.*s %.*s ", STR_ARG(head->method_text),
                       STR_ARG(head->target));

    len += snprintf(text + len, sizeof(text) - (size_t)len, "%.*s",
                    body.ptr == NULL ? 1 : (int)(body.len < 100 ? body.len : 100),
                    body.ptr == NULL ? "-" : body.ptr);

    count(&server.requests);
    if (str_is(head->path, "/big")) {
        answer(connection, 200, big_answer(), BIG_ANSWER);
        return;
    }
    if (str_is(head->path, "/hold")) {
        begin_exchange(connection, text);
        connection_end_is_leaving(connection);
        return;
    }
    if (str_is(head->path, "/later") || str_is(head->path, "/stream") ||
        str_is(head->path, "/flood")) {
        exchange = begin_exchange(connection, text);
        exchange->flood = str_is(head->path, "/flood");
        if (!str_is(head->path, "/later"))
            ev_set_cb(&exchange->timer, on_stream_timer);
        ev_timer_start(loop_get(), &exchange->timer);
        return;
    }
    if (str_is(head->path, "/pause"))
        connection_pause(connection);
    answer(connection, 200, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

static void on_gone(struct connection *connection)
{
    struct exchange *exchange = connection_attached(connection);

    if (exchange != NULL)
        end_exchange(exchange);
    count(&server.gone);
}

static void on_refusal(struct connection *connection, const struct http_head *head, int status,
                       const char *text, struct connection_answer *refusal)
{
    (void)connection;
    (void)head;
    (void)status;
    refusal->content_type = STR("text/plain");
    refusal->body = str_of(text);
}

static void on_drained(struct connection *connection)
{
    flood(connection_attached(connection));
}

static const struct connection_handler handler = {
    .on_head = on_head,
    .on_request = on_request,
    .on_gone = on_gone,
    .on_refusal = on_refusal,
    .on_drained = on_drained,
};

static void on_empty(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&server.lock);
    server.drained = true;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.lock);
}

static void on_ordered(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
    pthread_mutex_lock(&server.lock);
    if (server.order == ORDER_drain)
        listener_stop(server.listener, on_empty, NULL);
    if (server.order == ORDER_end)
        loop_stop();
    server.clients = listener_connections(server.listener);
    server.order = ORDER_none;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.lock);
}

static void *run(void *arg)
{
    (void)arg;
    loop_run();
    return NULL;
}

void server_start(const struct listener_config *config)
{
    struct listener_config own = config != NULL ? *config : (struct listener_config){0};

    cr_assert_not_null(big_answer());
    own.fd = -1;
    own.address = "127.0.0.1:0";
    own.handler = &handler;
    loop_open(0);
    server.listener = listener_open(&own);
    cr_assert_not_null(server.listener);
    cr_assert_eq(address_of_socket(listener_fd(server.listener), &server.address), 0);
    ev_async_init(&server.ordered, on_ordered);
    ev_async_start(loop_get(), &server.ordered);
    cr_assert_eq(pthread_create(&server.thread, NULL, run, NULL), 0);
}

static void order(enum order what)
{
    pthread_mutex_lock(&server.lock);
    server.order = what;
    ev_async_send(loop_get(), &server.ordered);
    while (server.order != ORDER_none)
        pthread_cond_wait(&server.changed, &server.lock);
    pthread_mutex_unlock(&server.lock);
}

/* Waits until a counter has at least that value. */
static bool wait_for(const int *counter, int least)
{
    struct timespec until;
    int late = 0;
    bool seen;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&server.lock);
    while (*counter < least && late == 0)
        late = pthread_cond_timedwait(&server.changed, &server.lock, &until);
    seen = *counter >= least;
    pthread_mutex_unlock(&server.lock);
    return seen;
}

void server_drain(void)
{
    order(ORDER_drain);
}

bool server_drained(void)
{
    struct timespec until;
    int late = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&server.lock);
    while (!server.drained && late == 0)
        late = pthread_cond_timedwait(&server.changed, &server.lock, &until);
    pthread_mutex_unlock(&server.lock);
    return server.drained;
}

bool server_saw_gone(int least)
{
    return wait_for(&server.gone, least);
}

bool server_saw_requests(int least)
{
    return wait_for(&server.requests, least);
}

bool server_has_clients(unsigned clients)
{
    int64_t until_us = time_now_us() + TIME_S(WAIT_S);

    do
        order(ORDER_count);
    while (server.clients != clients && time_now_us() < until_us);
    return server.clients == clients;
}

void server_end(void)
{
    order(ORDER_end);
    pthread_join(server.thread, NULL);
    ev_async_stop(loop_get(), &server.ordered);
    listener_close(server.listener);
    loop_close();
    stat_close();
    free(big_answer());
}

int client_open(void)
{
    struct timeval limit = {.tv_sec = WAIT_S};
    int fd = socket(server.address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    cr_assert_eq(connect(fd, (const struct sockaddr *)&server.address.storage, server.address.len),
                 0);
    return fd;
}

/* A peer that does not listen any more is no mistake here: what it answered is looked at. */
void client_send(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        at += sent;
        len -= (size_t)sent;
    }
}

void client_say(int fd, const char *text)
{
    client_send(fd, text, strlen(text));
}

size_t client_read(int fd, const char *until)
{
    size_t len = 0;

    reply[0] = '\0';
    while (len < REPLY_ROOM - 1 && (until == NULL || strstr(reply, until) == NULL)) {
        ssize_t got = recv(fd, reply + len, REPLY_ROOM - 1 - len, 0);

        if (got <= 0)
            break;
        len += (size_t)got;
        reply[len] = '\0';
    }
    return len;
}

int reply_count(const char *needle)
{
    int found = 0;

    for (const char *at = reply; (at = strstr(at, needle)) != NULL; at++)
        found++;
    return found;
}

void reply_has(const char *needle, int times)
{
    cr_assert_eq(reply_count(needle), times, "not %d times \"%s\" in:\n%s", times, needle, reply);
}

void reply_is(const char *status)
{
    char line[64];

    snprintf(line, sizeof(line), "HTTP/1.1 %s ", status);
    reply_has("HTTP/1.", 1);
    reply_has(line, 1);
}

size_t client_ask(const char *request)
{
    int fd = client_open();
    size_t len;

    client_say(fd, request);
    len = client_read(fd, NULL);
    close(fd);
    return len;
}

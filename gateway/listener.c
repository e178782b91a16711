/* Accepts clients and keeps what connections share: deadlines, spare blocks, the date, counters. */
#include "connection_private.h"

#include "address.h"
#include "base/log.h"
#include "base/time.h"
#include "inject.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    ACCEPTS = 64, /* a turn, so that accepting never starves those who are connected */
    CONNECTIONS = 20000,
    BODY_BYTES = 256 * 1024 * 1024,
    RETRY_MS = 100,
    UNSENT_BYTES = 128 * 1024, /* that the kernel takes for a client beyond what is on its way */
};

STAT(http_connections, gauge, "clients connected now");
STAT(http_connections_total, counter, "clients accepted");
STAT(http_accept_waits_total, counter,
     "times that accepting had to wait for a place or descriptor");
STAT_LABELED(http_requests_total, counter, "class", "answers given, by class of status");
STAT(http_received_bytes_total, counter, "bytes read from clients");
STAT(http_sent_bytes_total, counter, "bytes written to clients");
STAT_LABELED(http_refused_total, counter, "reason", "requests refused before the router");
STAT_LABELED(http_timeouts_total, counter, "phase", "deadlines of connections that passed");

#define NAME_OF(name, ...) #name,

static void register_stats(void)
{
    static const char *const classes[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
    static const char *const refusals[] = {REFUSALS(NAME_OF)};
    static const char *const phases[] = {PHASES(NAME_OF)};

    stat_register(&http_connections);
    stat_register(&http_connections_total);
    stat_register(&http_accept_waits_total);
    stat_register_labels(&http_requests_total, classes, 5);
    stat_register(&http_received_bytes_total);
    stat_register(&http_sent_bytes_total);
    stat_register_labels(&http_refused_total, refusals, REFUSAL_COUNT);
    stat_register_labels(&http_timeouts_total, phases, PHASE_COUNT);
}

char *listener_take_block(struct listener *listener)
{
    void *block = listener->spare;

    if (block == NULL)
        return malloc(BLOCK_BYTES);
    memcpy(&listener->spare, block, sizeof(void *));
    listener->spares--;
    return block;
}

void listener_give_block(struct listener *listener, char *block)
{
    if (listener->spares >= SPARE_BLOCKS) {
        free(block);
        return;
    }
    memcpy(block, &listener->spare, sizeof(void *));
    listener->spare = block;
    listener->spares++;
}

/* splitmix64: a name has to be unlikely to repeat, not hard to guess. */
uint64_t listener_random(struct listener *listener)
{
    uint64_t z = listener->random += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

const char *listener_date(struct listener *listener)
{
    time_t now = (time_t)ev_now(loop_get());
    struct tm parts;

    if (now != listener->date_s) {
        listener->date_s = now;
        gmtime_r(&now, &parts);
        strftime(listener->date, sizeof(listener->date), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    }
    return listener->date;
}

/* Says so once for each time that the limit is reached. */
static bool is_full(struct listener *listener)
{
    if (listener->count < listener->config.connections)
        return false;
    if (!listener->limited)
        log_warn(&process, "%u clients are connected: others wait", listener->count);
    listener->limited = true;
    stat_add(&http_accept_waits_total, 1);
    return true;
}

static struct in6_addr peer_of(const struct sockaddr_storage *peer)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
    struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

    if (peer->ss_family == AF_INET6)
        return ((const struct sockaddr_in6 *)peer)->sin6_addr;
    if (peer->ss_family == AF_INET)
        memcpy(&address.s6_addr[12], &v4->sin_addr, sizeof(v4->sin_addr));
    return address;
}

static void adopt(struct listener *listener, int fd, const struct sockaddr_storage *peer)
{
    struct in6_addr address = peer_of(peer);
    struct connection *connection = connection_open(listener, fd, &address);

    if (connection == NULL) {
        close(fd);
        return;
    }
    connection->after = listener->first;
    if (listener->first != NULL)
        listener->first->before = connection;
    listener->first = connection;
    listener->count++;
    stat_add(&http_connections, 1);
    stat_add(&http_connections_total, 1);
}

/* Without descriptors the kernel would report the same client in each turn: rest, then look again.
 */
static void rest(struct listener *listener, int cause)
{
    ev_io_stop(loop_get(), &listener->accepting);
    ev_timer_set(&listener->retry, RETRY_MS / 1e3, 0);
    ev_timer_start(loop_get(), &listener->retry);
    stat_add(&http_accept_waits_total, 1);
    if (!listener->starved)
        log_warn(&process, "cannot accept: %s; clients wait", strerror(cause));
    listener->starved = true;
}

static void on_acceptable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct listener *listener = watcher->data;

    (void)events;
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        int fd;

        if (is_full(listener)) {
            ev_io_stop(loop, watcher);
            return;
        }
        errno = EMFILE;
        fd = INJECT(accept_no_descriptor) ? -1
                                          : accept4(listener->fd, (struct sockaddr *)&peer, &len,
                                                    SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener->starved = false;
            adopt(listener, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            rest(listener, errno);
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

static void accept_again(struct listener *listener)
{
    if (listener->stopped || ev_is_active(&listener->retry))
        return;
    listener->limited = false;
    ev_io_start(loop_get(), &listener->accepting);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    accept_again(timer->data);
}

void listener_forget(struct listener *listener, struct connection *connection)
{
    if (connection->before != NULL)
        connection->before->after = connection->after;
    else
        listener->first = connection->after;
    if (connection->after != NULL)
        connection->after->before = connection->before;
    listener->count--;
    stat_add(&http_connections, -1);
    if (listener->stopped && listener->count == 0 && listener->empty != NULL)
        ev_timer_start(loop_get(), &listener->emptied);
    if (listener->limited)
        accept_again(listener);
}

static void on_emptied(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listener *listener = timer->data;
    void (*empty)(void *arg) = listener->empty;

    (void)loop;
    (void)events;
    listener->empty = NULL;
    if (empty != NULL)
        empty(listener->arg);
}

static void fill_in_times(struct listener_times *times)
{
    static const struct listener_times standard = {
        .head = TIME_S(10),
        .idle = TIME_S(75),
        .body = TIME_S(10),
        .send = TIME_S(30),
        .pause = TIME_MS(50),
        .linger = TIME_S(2),
        .fresh = TIME_S(1),
        .body_rate = 1024,
        .send_rate = 1024,
    };

    times->head = times->head != 0 ? times->head : standard.head;
    times->idle = times->idle != 0 ? times->idle : standard.idle;
    times->body = times->body != 0 ? times->body : standard.body;
    times->send = times->send != 0 ? times->send : standard.send;
    times->pause = times->pause != 0 ? times->pause : standard.pause;
    times->linger = times->linger != 0 ? times->linger : standard.linger;
    times->fresh = times->fresh != 0 ? times->fresh : standard.fresh;
    times->body_rate = times->body_rate != 0 ? times->body_rate : standard.body_rate;
    times->send_rate = times->send_rate != 0 ? times->send_rate : standard.send_rate;
}

static void fill_in(struct listener_config *config)
{
    if (config->connections == 0)
        config->connections = CONNECTIONS;
    if (config->body_bytes == 0)
        config->body_bytes = BODY_BYTES;
    fill_in_times(&config->times);
}

/* What accepted sockets inherit. Without the second the kernel takes megabytes for a client that
 * does not read them. */
static void set_socket(int fd)
{
    int on = 1, unsent = UNSENT_BYTES;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static int open_socket(struct listener *listener)
{
    struct address address;
    const char *cause;

    listener->fd = listener->config.fd;
    if (listener->fd < 0) {
        if (address_parse(listener->config.address, &address, &cause) != 0) {
            log_error(&process, "%s: %s", listener->config.address, cause);
            return -1;
        }
        listener->fd = address_listen(&address, BACKLOG, true);
    }
    if (listener->fd < 0 || address_of_socket(listener->fd, &address) != 0) {
        log_error(&process, "%s: %s", listener->config.address, strerror(errno));
        return -1;
    }
    set_socket(listener->fd);
    address_format(&address, listener->address);
    return 0;
}

static void on_fresh_time(struct ev_loop *loop, ev_timer *timer, int events);

/* How long each phase may last, 0 for those that have no end. */
static void lengths_of(const struct listener_times *times, int64_t lengths[PHASE_COUNT])
{
    const int64_t none = 0;

#define PHASE_LENGTH(name, time) PHASE_LENGTH_##time(name, time)
#define PHASE_LENGTH_none(name, time) none,
#define PHASE_LENGTH_head(name, time) times->head,
#define PHASE_LENGTH_idle(name, time) times->idle,
#define PHASE_LENGTH_body(name, time) times->body,
#define PHASE_LENGTH_send(name, time) times->send,
#define PHASE_LENGTH_pause(name, time) times->pause,
#define PHASE_LENGTH_linger(name, time) times->linger,
    const int64_t all[] = {PHASES(PHASE_LENGTH)};

    memcpy(lengths, all, sizeof(all));
}

static void start(struct listener *listener)
{
    const struct listener_times *times = &listener->config.times;
    int64_t lengths[PHASE_COUNT];

    lengths_of(times, lengths);
    for (int i = 0; i < PHASE_COUNT; i++)
        if (lengths[i] > 0)
            deadline_list_init(&listener->phases[i], lengths[i], connection_expired);
    ev_io_init(&listener->accepting, on_acceptable, listener->fd, EV_READ);
    ev_timer_init(&listener->retry, on_retry, 0, 0);
    ev_timer_init(&listener->fresh, on_fresh_time, (double)times->fresh / 1e6, 0);
    ev_timer_init(&listener->emptied, on_emptied, 0, 0);
    listener->accepting.data = listener;
    listener->retry.data = listener;
    listener->fresh.data = listener;
    listener->emptied.data = listener;
    if (!listener->config.waits)
        ev_io_start(loop_get(), &listener->accepting);
}

struct listener *listener_open(const struct listener_config *config)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    if (listener == NULL) {
        log_error(&process, "no memory for a listener");
        return NULL;
    }
    listener->config = *config;
    fill_in(&listener->config);
    if (open_socket(listener) != 0) {
        if (listener->fd >= 0)
            close(listener->fd);
        free(listener);
        return NULL;
    }
    if (getrandom(&listener->random, sizeof(listener->random), GRND_NONBLOCK) < 0)
        listener->random = (uint64_t)time_wall_us();
    register_stats();
    start(listener);
    return listener;
}

void listener_accept(struct listener *listener)
{
    accept_again(listener);
}

const char *listener_address(const struct listener *listener)
{
    return listener->address;
}

int listener_fd(const struct listener *listener)
{
    return listener->fd;
}

unsigned listener_connections(const struct listener *listener)
{
    return listener->count;
}

void listener_set_times(struct listener *listener, const struct listener_times *times)
{
    int64_t lengths[PHASE_COUNT];

    listener->config.times = *times;
    fill_in_times(&listener->config.times);
    lengths_of(&listener->config.times, lengths);
    for (int i = 0; i < PHASE_COUNT; i++)
        listener->phases[i].length_us = lengths[i];
}

/* `visit` may close the connection it is given, no other one. */
static void visit_all(struct listener *listener, void (*visit)(struct connection *connection))
{
    struct connection *next;

    for (struct connection *at = listener->first; at != NULL; at = next) {
        next = at->after;
        visit(at);
    }
}

static void lose_if_fresh(struct connection *connection)
{
    if (connection->phase == PHASE_fresh)
        connection_lose(connection);
}

static void on_fresh_time(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    visit_all(timer->data, lose_if_fresh);
}

static void stop_accepting(struct listener *listener)
{
    ev_io_stop(loop_get(), &listener->accepting);
    ev_timer_stop(loop_get(), &listener->retry);
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
}

void listener_stop(struct listener *listener, void (*empty)(void *arg), void *arg)
{
    listener->stopped = true;
    listener->empty = empty;
    listener->arg = arg;
    stop_accepting(listener);
    ev_timer_start(loop_get(), &listener->fresh);
    visit_all(listener, connection_nudge);
    if (listener->count == 0)
        ev_timer_start(loop_get(), &listener->emptied);
}

void listener_close(struct listener *listener)
{
    listener->stopped = true;
    listener->empty = NULL;
    stop_accepting(listener);
    visit_all(listener, connection_lose);
    ev_timer_stop(loop_get(), &listener->fresh);
    ev_timer_stop(loop_get(), &listener->emptied);
    for (int i = 0; i < PHASE_COUNT; i++)
        if (listener->phases[i].length_us > 0)
            deadline_list_close(&listener->phases[i]);
    while (listener->spare != NULL) {
        char *block = listener_take_block(listener);

        free(block);
    }
    free(listener);
}

/* A load that does not wait: one request, sent again and again at a given rate, whatever is
 * answered.
 *
 *     flood PORT RATE SECONDS CONNECTIONS <request
 *
 * The request, read from standard input, goes to 127.0.0.1 on keep-alive connections, at most one
 * in flight on each. They are opened when they are needed; a request that is due while all of them
 * wait is counted as unsent. RATE 0: each connection sends again as soon as it was answered, which
 * finds out what a server can do. After SECONDS nothing more is sent and what is in flight has time
 * to be answered. Then one line of JSON says what was sent and answered, and for each status how
 * many came, how many while it was being sent, how long they took and how many lacked Retry-After.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUEST_BYTES = 4096,
    ANSWER_BYTES = 4096,
    CONNECTIONS_MOST = 16000,
    EVENTS_MOST = 256,     /* taken between two looks at what is due */
    STATUSES = 600,        /* below it */
    STEP_US = 100,         /* of the histograms */
    STEPS = 200000,        /* of them; the last one is for all that took longer */
    PATIENCE_US = 15000000 /* after the last request */
};

struct client {
    int fd;                    /* -1: not connected */
    bool waits;                /* for an answer */
    int64_t sent_us;           /* when it was asked for */
    size_t len;                /* of what came of it */
    char answer[ANSWER_BYTES]; /* that */
};

/* The answers of one status. */
struct tally {
    uint64_t count;        /* of all */
    uint64_t within;       /* that came before the end of sending */
    uint64_t unpromising;  /* without Retry-After */
    int64_t longest_us;    /* that one took */
    uint32_t steps[STEPS]; /* by what they took */
};

static struct {
    struct sockaddr_in address;      /* where it goes */
    char request[REQUEST_BYTES];     /* what is sent */
    size_t request_len;              /* of it */
    double rate;                     /* a second; 0: as fast as it is answered */
    int epoll;                       /* all clients' */
    struct client *clients;          /* all */
    int client_count;                /* of them */
    struct client **free;            /* those that do not wait: a stack */
    int free_count;                  /* of them */
    int64_t begun_us;                /* the first request */
    int64_t ends_us;                 /* no request from then on */
    uint64_t sent;                   /* requests */
    uint64_t unsent;                 /* that were due while nobody was free */
    uint64_t answered;               /* requests */
    uint64_t lost;                   /* requests whose connection broke */
    struct tally *tallies[STATUSES]; /* NULL: none of that status */
} flood;

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
    exit(EX_OSERR);
}

/* ---- sending ---- */

static void join(struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    int on = 1;

    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 ||
        connect(client->fd, (struct sockaddr *)&flood.address, sizeof(flood.address)) != 0 ||
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        epoll_ctl(flood.epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
        give_up("a connection");
}

static void lose(struct client *client)
{
    close(client->fd);
    client->fd = -1;
    if (!client->waits)
        return;
    client->waits = false;
    flood.lost++;
    flood.free[flood.free_count++] = client;
}

/* A request is far smaller than a socket's buffer, and there is never a second one in it. */
static void ask(struct client *client, int64_t at_us)
{
    if (client->fd < 0)
        join(client);
    client->waits = true;
    client->sent_us = at_us;
    client->len = 0;
    flood.sent++;
    if (send(client->fd, flood.request, flood.request_len, MSG_NOSIGNAL) !=
        (ssize_t)flood.request_len)
        lose(client);
}

/* Sends what is due by now. */
static void ask_due(int64_t at_us)
{
    uint64_t due = (uint64_t)(flood.rate * (double)(at_us - flood.begun_us) * 1e-6);

    while (flood.sent + flood.unsent < due) {
        if (flood.free_count == 0) {
            flood.unsent = due - flood.sent;
            return;
        }
        ask(flood.free[--flood.free_count], at_us);
    }
}

/* ---- what is answered ---- */

static struct tally *tally_of(int status)
{
    if (status < 0 || status >= STATUSES)
        status = 0;
    if (flood.tallies[status] == NULL)
        flood.tallies[status] = calloc(1, sizeof(struct tally));
    if (flood.tallies[status] == NULL)
        give_up("memory");
    return flood.tallies[status];
}

static void count(const struct client *client, int64_t at_us)
{
    struct tally *tally = tally_of(atoi(client->answer + strlen("HTTP/1.1 ")));
    int64_t took_us = at_us - client->sent_us;

    flood.answered++;
    tally->count++;
    tally->within += at_us < flood.ends_us;
    tally->unpromising += strcasestr(client->answer, "\r\nRetry-After: ") == NULL;
    if (took_us > tally->longest_us)
        tally->longest_us = took_us;
    tally->steps[took_us / STEP_US < STEPS ? took_us / STEP_US : STEPS - 1]++;
}

/* Whether all of an answer is there. It is text, and of a known length. */
static bool is_whole(const struct client *client)
{
    const char *end = strstr(client->answer, "\r\n\r\n");
    const char *length = strcasestr(client->answer, "\r\nContent-Length: ");

    if (end == NULL || length == NULL || length > end)
        return false;
    return client->len >= (size_t)(end + 4 - client->answer) +
                              strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
}

static void take(struct client *client, int64_t at_us)
{
    ssize_t len;

    if (client->fd < 0)
        return;
    len = recv(client->fd, client->answer + client->len, ANSWER_BYTES - 1 - client->len, 0);
    if (len <= 0) {
        lose(client);
        return;
    }
    client->len += (size_t)len;
    client->answer[client->len] = '\0';
    if (!client->waits || !is_whole(client))
        return;
    client->waits = false;
    count(client, at_us);
    if (flood.rate == 0 && at_us < flood.ends_us)
        ask(client, at_us);
    else
        flood.free[flood.free_count++] = client;
}

/* ---- the whole ---- */

static void open_all(uint16_t port)
{
    flood.address = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    flood.epoll = epoll_create1(EPOLL_CLOEXEC);
    flood.clients = calloc((size_t)flood.client_count, sizeof(struct client));
    flood.free = calloc((size_t)flood.client_count, sizeof(struct client *));
    if (flood.epoll < 0 || flood.clients == NULL || flood.free == NULL)
        give_up("memory");
    for (int i = 0; i < flood.client_count; i++) {
        flood.clients[i].fd = -1;
        flood.free[flood.free_count++] = &flood.clients[i];
    }
}

/* One look at what came; it waits a moment where nothing did. */
static void look(void)
{
    struct epoll_event events[EVENTS_MOST];
    int count = epoll_wait(flood.epoll, events, EVENTS_MOST, 1);
    int64_t at_us = now_us();

    for (int i = 0; i < count; i++)
        take(events[i].data.ptr, at_us);
}

static void run(double seconds)
{
    flood.begun_us = now_us();
    flood.ends_us = flood.begun_us + (int64_t)(seconds * 1e6);
    while (flood.rate == 0 && flood.free_count > 0)
        ask(flood.free[--flood.free_count], flood.begun_us);
    for (int64_t at_us = flood.begun_us; at_us < flood.ends_us; at_us = now_us()) {
        if (flood.rate > 0)
            ask_due(at_us);
        look();
    }
    while (flood.sent > flood.answered + flood.lost && now_us() < flood.ends_us + PATIENCE_US)
        look();
}

static double share_ms(const struct tally *tally, double share)
{
    uint64_t below = 0;
    int step = 0;

    while (step < STEPS - 1 && (double)(below += tally->steps[step]) < share * (double)tally->count)
        step++;
    return (step + 1) * (STEP_US / 1000.);
}

static void tell(double seconds)
{
    const char *before = "";

    printf("{\"seconds\": %g, \"sent\": %lu, \"unsent\": %lu, \"answered\": %lu, \"lost\": %lu, "
           "\"statuses\": {",
           seconds, flood.sent, flood.unsent, flood.answered, flood.lost);
    for (int status = 0; status < STATUSES; status++) {
        const struct tally *tally = flood.tallies[status];

        if (tally == NULL)
            continue;
        printf("%s\"%d\": {\"count\": %lu, \"within\": %lu, \"no_retry_after\": %lu, "
               "\"p50_ms\": %.1f, \"p99_ms\": %.1f, \"max_ms\": %.1f}",
               before, status, tally->count, tally->within, tally->unpromising, share_ms(tally, .5),
               share_ms(tally, .99), (double)tally->longest_us / 1000.);
        before = ", ";
    }
    puts("}}");
}

int main(int argc, char **argv)
{
    int port = argc == 5 ? atoi(argv[1]) : 0;
    double seconds = argc == 5 ? atof(argv[3]) : 0;

    flood.client_count = argc == 5 ? atoi(argv[4]) : 0;
    if (port < 1 || port > UINT16_MAX || seconds <= 0 || seconds > 600 || flood.client_count < 1 ||
        flood.client_count > CONNECTIONS_MOST) {
        fputs("usage: flood PORT RATE SECONDS CONNECTIONS <request\n", stderr);
        return EX_USAGE;
    }
    flood.rate = atof(argv[2]);
    flood.request_len = fread(flood.request, 1, sizeof(flood.request), stdin);
    open_all((uint16_t)port);
    run(seconds);
    tell(seconds);
    return 0;
}

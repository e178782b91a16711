/* Requests with bodies, from the socket to where an actor would be asked: in which order they are
 * refused.
 *
 * A message that HTTP does not offer is offered here, so that there is one with a body. No actor is
 * there: what is fine as far as the gateway can know is answered 503. */
#include "address.h"
#include "base/loop.h"
#include "base/stat.h"
#include "exchange.h"
#include "listener.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES = 16 * 1024, MOST_BODY = 4096 };

static struct gateway_options options = {
    .read_deadline = 5000000, .write_deadline = 5000000, .write_limit = 600, .new_user_limit = 120};
static struct exchange_setup setup = {.options = &options};
static struct listener *listener;
static struct cors *cors;
static struct headers *headers;
static struct proxies *proxies;
static struct address address;
static pthread_t thread;
static ev_async ending;

static void on_end(struct ev_loop *loop, ev_async *async, int events)
{
    (void)loop, (void)async, (void)events;
    loop_stop();
}

static void *run(void *arg)
{
    loop_run();
    return arg;
}

static void offer(void)
{
    struct method *method = &methods[METHOD_user_get_user_by_anonymous_id];

    method->verb = VERB_POST;
    method->path = "/find";
    method->most_body_bytes = MOST_BODY;
}

static void open_world(void)
{
    const struct balance_config actors = {
        .where = "user=tcp://127.0.0.1:9", .calls = 16, .calls_each = 4, .bytes_each = 100000};
    struct listener_config config = {
        .address = "127.0.0.1:0", .fd = -1, .handler = &exchange_handler};
    char wrong[128];

    contract_open();
    offer();
    loop_open(0);
    fiber_open(16);
    link_open();
    setup.cors = cors = cors_parse("http://a.example", wrong, sizeof(wrong));
    setup.proxies = proxies = proxies_parse("", wrong, sizeof(wrong));
    setup.headers = headers = headers_new(cors, false);
    setup.guard = guard_new();
    setup.balance = balance_open(&actors);
    exchange_open(&setup);
    listener = listener_open(&config);
    cr_assert_not_null(listener);
    cr_assert_eq(address_of_socket(listener_fd(listener), &address), 0);
    ev_async_init(&ending, on_end);
    ev_async_start(loop_get(), &ending);
    pthread_create(&thread, NULL, run, NULL);
}

static void close_world(void)
{
    ev_async_send(loop_get(), &ending);
    pthread_join(thread, NULL);
    ev_async_stop(loop_get(), &ending);
    listener_close(listener);
    for (int i = 0; i < 100 && fiber_count() > 0; i++)
        ev_run(loop_get(), EVRUN_NOWAIT);
    balance_close(setup.balance);
    exchange_close();
    fiber_close();
    loop_close();
    link_shut();
    headers_free(headers);
    cors_free(cors);
    proxies_free(proxies);
    guard_free(setup.guard);
    stat_close();
    arena_trim();
}

TestSuite(bodies, .init = open_world, .fini = close_world, .timeout = 60);

static char answer[ANSWER_BYTES];

/* The status of the answer; all of it is in `answer`. */
static int ask(const char *line, const char *fields, const char *body)
{
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t got = 0;
    ssize_t more;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    cr_assert_eq(connect(fd, (struct sockaddr *)&address.storage, address.len), 0);
    dprintf(fd, "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n%s", line, fields,
            body);
    while (got < sizeof(answer) - 1 &&
           (more = recv(fd, answer + got, sizeof(answer) - 1 - got, 0)) > 0)
        got += (size_t)more;
    close(fd);
    answer[got] = '\0';
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

#define JSON "Content-Type: application/json\r\n"
#define GOOD "{\"anonymous_id\":\"x\"}"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

Test(bodies, order_of_refusals)
{
    static const struct {
        const char *line, *fields, *body;
        int status;
    } cases[] = {
        {"POST /api/find", JSON "Content-Length: 20\r\n", GOOD, 503},
        {"POST /api/find",
         "Content-Type: application/json; charset=utf-8\r\nContent-Length: 20\r\n", GOOD, 503},
        {"POST /api/find", JSON CHUNKED, "14\r\n" GOOD "\r\n0\r\n\r\n", 503},
        {"POST /api/find", "Content-Type: text/plain\r\nContent-Length: 20\r\n", GOOD, 415},
        {"POST /api/find", "Content-Type: text/plain\r\n" CHUNKED, "14\r\n" GOOD "\r\n0\r\n\r\n",
         415},
        {"POST /api/find", "Content-Length: 20\r\n", GOOD, 415},
        {"POST /api/find", JSON "Content-Length: 4097\r\n", "", 413},
        {"POST /api/find", "Content-Type: text/plain\r\nContent-Length: 4097\r\n", "", 413},
        {"POST /api/find", "", "", 422},
        {"POST /api/find", "Content-Length: 0\r\n", "", 422},
        {"POST /api/find", JSON "Content-Length: 2\r\n", "{}", 422},
        {"POST /api/find", JSON "Content-Length: 2\r\n", "{x", 422},
        {"POST /api/lost", JSON "Content-Length: 9999\r\n", "", 404},
        {"DELETE /api/find", "Content-Type: text/plain\r\nContent-Length: 9999\r\n", "", 405},
        {"POST /api/find/", JSON "Content-Length: 20\r\n", GOOD, 307},
        {"GET /api/translations", "Content-Type: text/plain\r\nContent-Length: 20\r\n", GOOD, 503},
        {"GET /health", "Content-Type: text/plain\r\nContent-Length: 20\r\n", GOOD, 200},
        {"OPTIONS /api/find", "Origin: http://a.example\r\nAccess-Control-Request-Method: POST\r\n",
         "", 200},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int status = ask(cases[i].line, cases[i].fields, cases[i].body);

        cr_expect_eq(status, cases[i].status, "case %zu: %s", i, answer);
        cr_expect_not_null(strstr(answer, "X-Frame-Options: DENY\r\n"), "case %zu", i);
        cr_expect_not_null(strstr(answer, "Vary: Origin\r\n"), "case %zu", i);
    }
}

Test(bodies, chunks_past_the_limit)
{
    static char body[2 * MOST_BODY];

    memset(body, ' ', sizeof(body) - 1);
    memcpy(body, "ffff\r\n", 6);
    cr_assert_eq(ask("POST /api/find", JSON CHUNKED, body), 413);
}

/* A refusal of the connection's own has the words of all others, and CORS. */
Test(bodies, refusals_are_json)
{
    cr_assert_eq(
        ask("POST /api/find", JSON "Origin: http://a.example\r\nContent-Length: 4097\r\n", ""),
        413);
    cr_assert_not_null(strstr(answer, "{\"detail\":\""));
    cr_assert_not_null(strstr(answer, "Access-Control-Allow-Origin: http://a.example\r\n"));
    cr_assert_eq(ask("GET /health HTTP/1.1\r\nHost", "", ""), 400);
    cr_assert_not_null(strstr(answer, "{\"detail\":\""));
    cr_assert_not_null(strstr(answer, "Content-Type: application/json\r\n"));
}

/* Nothing of one request is left for the next. */
Test(bodies, pipelined)
{
    static const char two[] =
        "POST /api/find HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 2\r\n\r\n{}"
        "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /api/find";
    char fields[] = "";

    cr_assert_eq(ask(two, fields, ""), 422);
    cr_assert_not_null(strstr(answer, "HTTP/1.1 404 "));
    cr_assert_not_null(strstr(answer, "HTTP/1.1 405 "));
    cr_assert_not_null(strstr(answer, "Allow: POST\r\n"));
}

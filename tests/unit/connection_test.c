/* Connections over real sockets: framing, order, half-close, limits, deadlines, resets, streams. */
#include "server.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

TestSuite(connection, .timeout = 60);

enum { BURST = 100 };

#define H "Host: a\r\n"
#define CLOSE "Connection: close\r\n"
#define LAST_GET "GET /last HTTP/1.1\r\n" H CLOSE "\r\n"

Test(connection, an_answer_has_its_fields)
{
    server_start(NULL);
    client_ask("GET /a?b HTTP/1.1\r\n" H CLOSE "X-Request-Id: my-id_1.x\r\n\r\n");
    reply_is("200");
    reply_has("\r\nContent-Length: 10\r\n", 1);
    reply_has("\r\nContent-Type: text/plain\r\n", 1);
    reply_has("\r\nX-More: yes\r\n", 1);
    reply_has("\r\nX-Request-Id: my-id_1.x\r\n", 1);
    reply_has("\r\nConnection: close\r\n", 1);
    reply_has(" GMT\r\n", 1);
    reply_has("\r\n\r\nGET /a?b -", 1);
    server_end();
}

Test(connection, a_bad_request_id_is_replaced)
{
    const char *id;

    server_start(NULL);
    client_ask("GET / HTTP/1.1\r\n" H CLOSE "X-Request-Id: a b\r\n\r\n");
    id = strstr(reply, "X-Request-Id: ");
    cr_assert_not_null(id);
    id += strlen("X-Request-Id: ");
    cr_assert_eq(strspn(id, "0123456789abcdef"), 16);
    cr_assert_eq(strncmp(id + 16, "\r\n", 2), 0);
    server_end();
}

Test(connection, many_requests_on_one_connection)
{
    int fd;

    server_start(NULL);
    fd = client_open();
    for (int i = 0; i < 50; i++) {
        client_say(fd, "POST /x HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbody");
        client_read(fd, "POST /x body");
        reply_is("200");
        reply_has("Connection:", 0);
    }
    close(fd);
    server_end();
}

#define SPLIT                                                                                      \
    "POST /later?1 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"                            \
    "3\r\none\r\n3;x=y\r\ntwo\r\n0\r\nT: t\r\n\r\n"                                                \
    "\r\nPOST /2 HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nthree"                                  \
    "GET /refused HTTP/1.1\r\n" H "\r\n" LAST_GET

static void assert_split(size_t at)
{
    cr_assert_eq(reply_count("HTTP/1.1 "), 4, "cut at %zu:\n%s", at, reply);
    reply_has("\r\n\r\nPOST /later?1 onetwo", 1);
    reply_has("\r\n\r\nPOST /2 three", 1);
    reply_has("\r\n\r\nrefused", 1);
    reply_has("\r\n\r\nGET /last -", 1);
}

Test(connection, requests_may_be_cut_anywhere)
{
    const char *request = SPLIT;

    server_start(NULL);
    for (size_t at = 1; at < strlen(request); at++) {
        int fd = client_open();

        client_send(fd, request, at);
        cr_assert(server_has_clients(1));
        client_say(fd, request + at);
        client_read(fd, NULL);
        assert_split(at);
        close(fd);
        cr_assert(server_has_clients(0));
    }
    server_end();
}

Test(connection, requests_may_come_byte_by_byte)
{
    const char *request = SPLIT;
    int fd;

    server_start(NULL);
    fd = client_open();
    for (size_t at = 0; at < strlen(request); at++) {
        client_send(fd, request + at, 1);
        cr_assert(server_has_clients(1) || at + 1 == strlen(request));
    }
    client_read(fd, NULL);
    assert_split(1);
    close(fd);
    server_end();
}

/* Each could be read in two ways, so that a second request would hide behind the first. */
static const char *const smuggled[] = {
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "Content-Length: 0, 5\r\n\r\n",
    "Content-Length: +0\r\n\r\n",
    "Content-Length: 0x0\r\n\r\n",
    "Content-Length : 0\r\n\r\n",
    "Content-Length\t: 0\r\n\r\n",
    " Content-Length: 0\r\n\r\n",
    "X: y\r\n Content-Length: 0\r\n\r\n",
    "X: y\rContent-Length: 0\r\n\r\n",
    "X: y\nContent-Length: 0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\nZZ\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\nZ0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n100000000\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n",
    "Host: b\r\n\r\n",
};

Test(connection, ambiguous_requests_get_one_answer)
{
    char request[1024];

    server_start(NULL);
    for (size_t i = 0; i < sizeof(smuggled) / sizeof(*smuggled); i++) {
        snprintf(request, sizeof(request), "POST / HTTP/1.1\r\n" H "%s" LAST_GET, smuggled[i]);
        client_ask(request);
        reply_is("400");
        reply_has("/last", 0);
        reply_has("\r\nConnection: close\r\n", 1);
    }
    snprintf(request, sizeof(request),
             "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" LAST_GET);
    client_ask(request);
    reply_is("400");
    server_end();
}

static void assert_in_order(const char *path)
{
    char *request = malloc(REPLY_ROOM);
    size_t len = 0;
    const char *at = reply;

    cr_assert_not_null(request);
    for (int i = 0; i < BURST; i++)
        len += (size_t)snprintf(request + len, REPLY_ROOM - len,
                                "POST %s?%d HTTP/1.1\r\n" H "X: %0200d\r\n"
                                "Content-Length: 3\r\n%s\r\n%03d",
                                path, i, 0, i + 1 == BURST ? CLOSE : "", i);
    client_ask(request);
    free(request);
    reply_has("HTTP/1.1 200 ", BURST);
    for (int i = 0; i < BURST; i++) {
        char answer[64];

        snprintf(answer, sizeof(answer), "POST %s?%d %03d", path, i, i);
        at = strstr(at, answer);
        cr_assert_not_null(at, "%s is missing or out of order", answer);
    }
}

Test(connection, a_burst_is_answered_in_order)
{
    server_start(NULL);
    assert_in_order("/now");
    assert_in_order("/later");
    server_end();
}

static void ask_and_end(const char *request)
{
    int fd = client_open();

    client_say(fd, request);
    shutdown(fd, SHUT_WR);
    client_read(fd, NULL);
    close(fd);
}

Test(connection, a_client_that_closed_one_side_gets_its_answers)
{
    server_start(NULL);
    ask_and_end("GET /now HTTP/1.1\r\n" H "\r\n");
    reply_is("200");
    ask_and_end("GET /later?1 HTTP/1.1\r\n" H "\r\nGET /later?2 HTTP/1.1\r\n" H "\r\n");
    reply_has("HTTP/1.1 200 ", 2);
    ask_and_end("GET /later HTTP/1.1\r\n" H "\r\nGET /cut HT");
    reply_is("200");
    ask_and_end("GET /cut HTTP/1.1\r\nHo");
    cr_assert_eq(strlen(reply), 0);
    ask_and_end("POST /cut HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\ncut");
    cr_assert_eq(strlen(reply), 0);
    cr_assert(server_saw_gone(1));
    server_end();
}

Test(connection, http_1_0)
{
    server_start(NULL);
    client_ask("GET /a HTTP/1.0\r\n\r\n");
    reply_is("200");
    reply_has("\r\nConnection: close\r\n", 1);
    client_ask("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n");
    reply_has("HTTP/1.1 200 ", 2);
    reply_has("\r\nConnection: keep-alive\r\n", 1);
    reply_has("\r\nConnection: close\r\n", 1);
    server_end();
}

Test(connection, head_has_the_length_and_no_content)
{
    server_start(NULL);
    client_ask("HEAD /a HTTP/1.1\r\n" H "\r\nHEAD /big HTTP/1.1\r\n" H "\r\n"
               "HEAD /stream HTTP/1.1\r\n" H "\r\n" LAST_GET);
    reply_has("HTTP/1.1 200 ", 4);
    reply_has("\r\nContent-Length: 9\r\n", 1);
    reply_has("\r\nContent-Length: 16777216\r\n", 1);
    reply_has("HEAD /a", 0);
    reply_has("piece", 0);
    reply_has("GET /last", 1);
    server_end();
}

Test(connection, continue_is_said_after_the_size_was_seen)
{
    int fd;

    server_start(NULL);
    fd = client_open();
    client_say(fd, "POST /a HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    client_read(fd, "\r\n\r\n");
    cr_assert_str_eq(reply, "HTTP/1.1 100 Continue\r\n\r\n");
    client_say(fd, "ab");
    client_read(fd, "POST /a ab");
    reply_is("200");
    close(fd);
    client_ask("POST /small HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    reply_is("413");
    client_ask("POST /refused HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    reply_is("404");
    client_ask("POST /a HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n" CLOSE
               "\r\nab");
    reply_is("200");
    fd = client_open();
    client_say(fd, "POST /a HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n" CLOSE
                   "\r\na");
    cr_assert(server_has_clients(1));
    client_say(fd, "b");
    client_read(fd, NULL);
    reply_is("200");
    close(fd);
    client_ask("POST /a HTTP/1.1\r\n" H "Expect: wonders\r\nContent-Length: 2\r\n\r\nab");
    reply_is("417");
    server_end();
}

static void ask_long(const char *before, size_t len, const char *after)
{
    char *request = malloc(REPLY_ROOM);

    cr_assert_not_null(request);
    snprintf(request, REPLY_ROOM, "%s%0*d%s", before, (int)len, 0, after);
    client_ask(request);
    free(request);
}

Test(connection, sizes_are_limited)
{
    server_start(NULL);
    client_ask("POST /small HTTP/1.1\r\n" H CLOSE "Content-Length: 10\r\n\r\n0123456789");
    reply_is("200");
    client_ask("POST /small HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\n0123456789a" LAST_GET);
    reply_is("413");
    client_ask("POST /small HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
               "A\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n" LAST_GET);
    reply_is("413");
    cr_assert(server_saw_gone(2));
    /* The size of a chunk is enough, its bytes need not come. */
    client_ask("POST /small HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n");
    reply_is("413");
    ask_long("GET /", HTTP_TARGET_BYTES, " HTTP/1.1\r\n" H "\r\n");
    reply_is("414");
    ask_long("GET / HTTP/1.1\r\n" H "X: ", HTTP_HEAD_BYTES, "\r\n\r\n");
    reply_is("431");
    /* Refused before the end of the head, and although the client goes on sending. */
    ask_long("GET / HTTP/1.1\r\n" H "X: ", 200000, "");
    reply_is("431");
    server_end();
}

Test(connection, large_bodies_arrive_whole)
{
    size_t len = 5 * 1024 * 1024;
    char *body = malloc(len);
    int fd;

    cr_assert_not_null(body);
    memset(body, 'x', len);
    server_start(NULL);
    fd = client_open();
    for (int i = 0; i < 3; i++) {
        client_say(fd, "POST /a HTTP/1.1\r\n" H "Content-Length: 5242880\r\n\r\n");
        client_send(fd, body, len);
        client_say(fd, "POST /b HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n500000\r\n");
        client_send(fd, body, len);
        client_say(fd, "\r\n0\r\n\r\n");
    }
    client_say(fd, LAST_GET);
    client_read(fd, NULL);
    reply_has("HTTP/1.1 200 ", 7);
    reply_has("POST /a xxx", 3);
    reply_has("POST /b xxx", 3);
    close(fd);
    free(body);
    server_end();
}

/* The whole answer, byte for byte, to a client that begins to read late. */
Test(connection, a_big_answer_is_whole)
{
    size_t len = 0;
    char *bytes = malloc(BIG_ANSWER + 4096);
    const char *body;
    int fd;

    cr_assert_not_null(bytes);
    server_start(NULL);
    fd = client_open();
    client_say(fd, "GET /big HTTP/1.1\r\n" H CLOSE "\r\n");
    cr_assert(server_saw_requests(1));
    for (ssize_t got; (got = recv(fd, bytes + len, BIG_ANSWER + 4095 - len, 0)) > 0;)
        len += (size_t)got;
    bytes[len] = '\0';
    body = strstr(bytes, "\r\n\r\n");
    cr_assert_not_null(body);
    body += 4;
    cr_assert_eq(len - (size_t)(body - bytes), BIG_ANSWER);
    for (int i = 0; i < BIG_ANSWER; i++)
        if (body[i] != (char)('a' + i % 23))
            cr_assert_fail("byte %d is wrong", i);
    close(fd);
    free(bytes);
    server_end();
}

static void reset(int fd)
{
    struct linger none = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
}

static const char *const stages[] = {
    "",
    "GET",
    "POST / HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nabc",
    "GET /hold HTTP/1.1\r\n" H "\r\n",
    "GET /later HTTP/1.1\r\n" H "\r\n",
    "GET /big HTTP/1.1\r\n" H "\r\n",
    "GET /stream HTTP/1.1\r\n" H "\r\n",
    "GET /flood HTTP/1.1\r\n" H "\r\n",
    "GET / HTTP/1.1\r\n" H "\r\n",
    "BAD\r\n\r\n",
};

Test(connection, resets_at_every_stage)
{
    server_start(NULL);
    for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
        for (int tries = 0; tries < 20; tries++) {
            int fd = client_open();

            client_say(fd, stages[i]);
            if (tries % 2 == 0)
                cr_assert(server_has_clients(1));
            reset(fd);
            cr_assert(server_has_clients(0), "stage %zu", i);
        }
    }
    server_end();
}

Test(connection, who_left_is_reported_once)
{
    int fd;

    server_start(NULL);
    fd = client_open();
    client_say(fd, "GET /hold HTTP/1.1\r\n" H "\r\n");
    cr_assert(server_saw_requests(1));
    reset(fd);
    cr_assert(server_saw_gone(1));
    /* An end of input counts where the handler said so, also when it was there before. */
    ask_and_end("GET /hold HTTP/1.1\r\n" H "\r\n");
    cr_assert(server_saw_gone(2));
    cr_assert(server_has_clients(0));
    server_end();
}

/* More is read behind a request in flight than its own buffer holds, so that a reset is seen. */
Test(connection, who_left_is_noticed_behind_what_it_sent_ahead)
{
    char *ahead = calloc(1, 60000);
    int fd;

    cr_assert_not_null(ahead);
    server_start(NULL);
    for (int i = 1; i <= 10; i++) {
        fd = client_open();
        client_say(fd, "GET /hold HTTP/1.1\r\n" H "\r\n");
        cr_assert(server_saw_requests(i));
        client_send(fd, ahead, 60000);
        cr_assert(server_has_clients(1));
        reset(fd);
        cr_assert(server_saw_gone(i));
    }
    free(ahead);
    server_end();
}

/* Bodies of which every second one is larger than what the buffer behind the first has room for. */
Test(connection, what_was_sent_ahead_is_answered_in_order)
{
    enum { BODIES = 60, MOST = 50000 };
    char *body = malloc(MOST + 1);
    const char *at = reply;
    char text[128];
    int fd;

    cr_assert_not_null(body);
    memset(body, 'x', MOST);
    server_start(NULL);
    fd = client_open();
    for (int i = 0; i < BODIES; i++) {
        int len = i % 2 == 0 ? 10 : MOST - 700 * i;

        snprintf(text, sizeof(text), "POST /later?%d HTTP/1.1\r\n" H "Content-Length: %d\r\n\r\n",
                 i, len);
        client_say(fd, text);
        client_send(fd, body, (size_t)len);
    }
    client_say(fd, LAST_GET);
    client_read(fd, NULL);
    reply_has("HTTP/1.1 200 ", BODIES + 1);
    for (int i = 0; i < BODIES; i++) {
        snprintf(text, sizeof(text), "POST /later?%d xxxxxxxxxx", i);
        at = strstr(at, text);
        cr_assert_not_null(at, "%s is missing or out of order", text);
    }
    close(fd);
    free(body);
    server_end();
}

Test(connection, streams)
{
    server_start(NULL);
    client_ask("GET /stream HTTP/1.1\r\n" H "\r\n" LAST_GET);
    reply_has("HTTP/1.1 200 ", 2);
    reply_has("\r\nTransfer-Encoding: chunked\r\n", 1);
    reply_has("\r\n\r\n8\r\npiece 0\n\r\n8\r\npiece 1\n\r\n8\r\npiece 2\n\r\n0\r\n\r\nHTTP/1.1", 1);
    client_ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    reply_is("200");
    reply_has("\r\nConnection: close\r\n", 1);
    reply_has("Transfer-Encoding", 0);
    reply_has("\r\n\r\npiece 0\npiece 1\npiece 2\n", 1);
    server_end();
}

Test(connection, a_stream_ends_when_its_client_ends)
{
    int fd;

    server_start(NULL);
    ask_and_end("GET /stream HTTP/1.1\r\n" H "\r\n");
    cr_assert(server_saw_gone(1));
    fd = client_open();
    client_say(fd, "GET /flood HTTP/1.1\r\n" H "\r\n");
    client_read(fd, "piece 0");
    /* Many times what fits into the buffers of the sockets: the writer waits for the reader. */
    for (int i = 0; i < 200; i++)
        cr_assert_eq(client_read(fd, NULL), REPLY_ROOM - 1);
    close(fd);
    cr_assert(server_saw_gone(2));
    cr_assert(server_has_clients(0));
    server_end();
}

/* A length of nothing is no body that would have to be read before the next request. */
Test(connection, an_empty_body_does_not_end_the_connection)
{
    server_start(NULL);
    client_ask("POST /refused HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n" LAST_GET);
    reply_has("HTTP/1.1 404 ", 1);
    reply_has("GET /last", 1);
    server_end();
}

Test(connection, an_answer_may_end_the_connection)
{
    server_start(NULL);
    client_ask("GET /close HTTP/1.1\r\n" H "\r\n" LAST_GET);
    reply_is("200");
    reply_has("\r\nConnection: close\r\n", 1);
    client_ask("POST /refused HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nab" LAST_GET);
    reply_is("404");
    server_end();
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What was sent ahead, and what is sent meanwhile, waits; nothing of it is lost. */
Test(connection, the_next_request_is_read_after_a_pause)
{
    struct listener_config config = {.times = {.pause = 300000}};
    int64_t began_ms = now_ms();
    int fd;

    server_start(&config);
    client_ask("GET /pause HTTP/1.1\r\n" H "\r\n" LAST_GET);
    cr_expect_geq(now_ms() - began_ms, 300);
    reply_has("HTTP/1.1 200 ", 2);
    began_ms = now_ms();
    fd = client_open();
    client_say(fd, "GET /pause HTTP/1.1\r\n" H "\r\n");
    client_read(fd, "GET /pause -");
    client_say(fd, LAST_GET);
    client_read(fd, NULL);
    cr_expect_geq(now_ms() - began_ms, 300);
    reply_has("GET /last", 1);
    close(fd);
    server_end();
}

Test(connection, a_pause_ends_with_the_connection)
{
    int fd;

    server_start(NULL);
    fd = client_open();
    client_say(fd, "GET /pause HTTP/1.1\r\n" H "\r\n");
    client_read(fd, "GET /pause -");
    close(fd);
    cr_expect(server_has_clients(0));
    fd = client_open();
    client_say(fd, "GET /pause HTTP/1.1\r\n" H "\r\n");
    client_read(fd, "GET /pause -");
    server_drain();
    cr_expect(server_drained());
    close(fd);
    server_end();
}

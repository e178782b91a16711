/* What a listener bounds: deadlines, bodies, clients, descriptors; and how it drains. */
#include "server.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

TestSuite(listener, .timeout = 60);

enum { MS = 1000 };

#define H "Host: a\r\n"
#define CLOSE "Connection: close\r\n"

/* A body of three MiB that does not end. */
static int open_large(void)
{
    int fd = client_open();

    client_say(fd, "POST /a HTTP/1.1\r\n" H "Content-Length: 3145728\r\n"
                   "Expect: 100-continue\r\n\r\n");
    client_read(fd, "\r\n\r\n");
    return fd;
}

Test(listener, large_bodies_are_few_at_one_time)
{
    int fds[9];
    int fd;

    server_start(NULL);
    for (int i = 0; i < 9; i++) {
        fds[i] = open_large();
        reply_is(i < 8 ? "100" : "503");
    }
    reply_has("\r\nRetry-After: 1\r\n", 1);
    close(fds[0]);
    cr_assert(server_saw_gone(2));
    fd = open_large();
    reply_is("100");
    close(fd);
    for (int i = 1; i < 9; i++)
        close(fds[i]);
    cr_assert(server_saw_gone(10));
    server_end();
}

Test(listener, all_bodies_together_are_limited)
{
    struct listener_config config = {.body_bytes = 100 * 1024};
    char *body = calloc(1, 60000);
    int held, fd;

    cr_assert_not_null(body);
    server_start(&config);
    held = client_open();
    client_say(held, "POST /a HTTP/1.1\r\n" H "Content-Length: 60001\r\n\r\n");
    client_send(held, body, 60000);
    cr_assert(server_has_clients(1));
    fd = client_open();
    client_say(fd, "POST /b HTTP/1.1\r\n" H "Content-Length: 60001\r\n\r\n");
    client_send(fd, body, 60000);
    client_read(fd, NULL);
    reply_is("503");
    close(fd);
    client_send(held, "x", 1);
    client_read(held, "/a");
    reply_is("200");
    fd = client_open();
    client_say(fd, "POST /c HTTP/1.1\r\n" H "Content-Length: 60000\r\n\r\n");
    client_send(fd, body, 60000);
    client_read(fd, "/c");
    reply_is("200");
    close(fd);
    close(held);
    free(body);
    server_end();
}

static const struct listener_config impatient = {
    .times = {.head = 50 * MS,
              .idle = 50 * MS,
              .body = 50 * MS,
              .send = 100 * MS,
              .linger = 50 * MS,
              .fresh = 20 * MS},
};

Test(listener, deadlines_of_reading)
{
    server_start(&impatient);
    client_ask("");
    cr_assert_eq(strlen(reply), 0);
    client_ask("GET / HT");
    reply_is("408");
    client_ask("GET /a HTTP/1.1\r\n" H "\r\n");
    reply_is("200");
    client_ask("GET /a HTTP/1.1\r\n" H "\r\nGET /b HTT");
    reply_has("HTTP/1.1 200 ", 1);
    reply_has("HTTP/1.1 408 ", 1);
    client_ask("POST /a HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\n");
    reply_is("408");
    cr_assert(server_saw_gone(1));
    client_ask("POST /a HTTP/1.1\r\n" H "Content-Length: 9000\r\n\r\nabc");
    reply_is("408");
    cr_assert(server_has_clients(0));
    server_end();
}

Test(listener, a_body_that_is_fast_enough_has_time)
{
    struct listener_config config = impatient;
    struct timespec pause = {.tv_nsec = 20000000};
    int fd;

    config.times.body = 1000 * MS;
    config.times.body_rate = 1;
    server_start(&config);
    fd = client_open();
    client_say(fd, "POST /a HTTP/1.1\r\n" H CLOSE "Content-Length: 20\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        client_say(fd, "x");
        nanosleep(&pause, NULL);
    }
    client_read(fd, NULL);
    reply_is("200");
    close(fd);
    server_end();
}

/* Almost all of a body at once buys no time for the rest of it. */
Test(listener, a_body_that_stalls_near_its_end_is_cut)
{
    struct listener_config config = impatient;
    char *body = calloc(1, 900000);
    int fd;

    cr_assert_not_null(body);
    config.times.body_rate = 1000;
    server_start(&config);
    fd = client_open();
    client_say(fd, "POST /a HTTP/1.1\r\n" H "Content-Length: 900001\r\n\r\n");
    client_send(fd, body, 900000);
    client_read(fd, NULL);
    reply_is("408");
    close(fd);
    free(body);
    server_end();
}

/* Reads at most 4 MiB a second until the end comes; returns how many bytes came. */
static size_t sip(int fd)
{
    struct timespec pause = {.tv_nsec = 1000000};
    char some[4096];
    size_t len = 0;
    int room = 8192;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    for (ssize_t got; (got = recv(fd, some, sizeof(some), 0)) > 0; len += (size_t)got)
        nanosleep(&pause, NULL);
    return len;
}

Test(listener, who_reads_too_slowly_is_cut)
{
    struct listener_config config = impatient;
    int fd;

    config.times.send_rate = 64 * 1024 * 1024;
    server_start(&config);
    fd = client_open();
    client_say(fd, "GET /big HTTP/1.1\r\n" H "\r\n");
    cr_assert_lt(sip(fd), BIG_ANSWER);
    cr_assert(server_has_clients(0));
    close(fd);
    server_end();
}

Test(listener, who_does_not_read_is_cut)
{
    int fd;

    server_start(&impatient);
    fd = client_open();
    client_say(fd, "GET /big HTTP/1.1\r\n" H "\r\n");
    cr_assert(server_saw_requests(1));
    cr_assert(server_has_clients(0));
    close(fd);
    fd = client_open();
    client_say(fd, "GET /flood HTTP/1.1\r\n" H "\r\n");
    cr_assert(server_saw_gone(1));
    cr_assert(server_has_clients(0));
    close(fd);
    server_end();
}

Test(listener, who_goes_on_sending_after_an_error_is_cut)
{
    int fd;

    server_start(&impatient);
    fd = client_open();
    client_say(fd, "BAD\r\n\r\n");
    client_read(fd, NULL);
    reply_is("400");
    cr_assert(server_has_clients(0));
    close(fd);
    server_end();
}

Test(listener, too_many_clients_wait_outside)
{
    struct listener_config config = {.connections = 2};
    int first, second, third;

    server_start(&config);
    first = client_open();
    second = client_open();
    cr_assert(server_has_clients(2));
    third = client_open();
    client_say(third, "GET /third HTTP/1.1\r\n" H "\r\n");
    client_say(first, "GET /first HTTP/1.1\r\n" H "\r\n");
    client_read(first, "/first");
    reply_is("200");
    cr_assert(server_has_clients(2));
    close(second);
    client_read(third, "/third");
    reply_is("200");
    close(first);
    close(third);
    server_end();
}

Test(listener, without_descriptors_accepting_waits)
{
    struct rlimit limit;
    int served, fd, fds[64];
    int count = 0;

    server_start(NULL);
    served = client_open();
    cr_assert(server_has_clients(1));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)fd + 10;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    close(fd);
    while (count < 64 && (fds[count] = dup(served)) >= 0)
        count++;
    close(fds[--count]);
    fd = client_open();
    client_say(fd, "GET /waits HTTP/1.1\r\n" H "\r\n");
    client_say(served, "GET /lives HTTP/1.1\r\n" H "\r\n");
    client_read(served, "/lives");
    reply_is("200");
    cr_assert(server_has_clients(1));
    while (count > 0)
        close(fds[--count]);
    client_read(fd, "/waits");
    reply_is("200");
    close(fd);
    close(served);
    server_end();
}

Test(listener, a_drain_lets_the_busy_ones_end)
{
    int idle, busy, fresh;

    server_start(&impatient);
    idle = client_open();
    client_say(idle, "GET /idle HTTP/1.1\r\n" H "\r\n");
    client_read(idle, "/idle");
    busy = client_open();
    client_say(busy, "GET /stream HTTP/1.1\r\n" H "\r\nGET /never HTTP/1.1\r\n" H "\r\n");
    fresh = client_open();
    cr_assert(server_saw_requests(2));
    server_drain();
    cr_assert_eq(client_read(idle, NULL), 0);
    client_say(fresh, "GET /fresh HTTP/1.1\r\n" H "\r\n");
    client_read(fresh, NULL);
    client_read(busy, NULL);
    reply_has("piece 2", 1);
    cr_assert(server_drained());
    close(idle);
    close(busy);
    close(fresh);
    server_end();
}

Test(listener, a_drain_without_clients_ends)
{
    server_start(NULL);
    server_drain();
    cr_assert(server_drained());
    server_end();
}

#ifndef __SANITIZE_ADDRESS__
Test(listener, idle_clients_are_cheap)
{
    enum { CLIENTS = 400 };
    int fds[CLIENTS];
    size_t before;

    server_start(NULL);
    fds[0] = client_open();
    client_say(fds[0], "GET /x HTTP/1.1\r\n" H "\r\n");
    client_read(fds[0], "/x");
    before = mallinfo2().uordblks;
    for (int i = 1; i < CLIENTS; i++) {
        fds[i] = client_open();
        client_say(fds[i], "GET /x HTTP/1.1\r\n" H "\r\n");
        client_read(fds[i], "/x");
    }
    cr_assert(server_has_clients(CLIENTS));
    cr_assert_lt((mallinfo2().uordblks - before) / CLIENTS, 1024);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    server_end();
}
#endif

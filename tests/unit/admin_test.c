/* The admin address: what it answers, the file it leaves, and whom it refuses. The loop runs in a
 * thread of its own; the test is the client. */
#include "admin.h"

#include "base/loop.h"
#include "base/stat.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(admin, .timeout = 20);

STAT(test_things_total, counter, "Things.");

static struct admin *admin;
static pthread_t thread;
static ev_async ended;
static char folder[] = "/tmp/lectern-admin-XXXXXX";
static char file[64];
static char reply[64 * 1024];

static void lack_two(struct admin_missing *missing, void *arg)
{
    if (*(const int *)arg == 0)
        return;
    admin_lacks(missing, "database");
    admin_lacks(missing, "a \"b\"");
}

static void on_ended(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
    loop_stop();
}

static void *run(void *arg)
{
    (void)arg;
    loop_run();
    return NULL;
}

static void start(struct admin_config *config)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/test.admin", folder);
    config->file = file;
    config->address = "127.0.0.1:0";
    loop_open(0);
    stat_register(&test_things_total);
    stat_add(&test_things_total, 7);
    admin = admin_open(config);
    cr_assert_not_null(admin);
    ev_async_init(&ended, on_ended);
    ev_async_start(loop_get(), &ended);
    cr_assert_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

static void end(void)
{
    ev_async_send(loop_get(), &ended);
    pthread_join(thread, NULL);
    ev_async_stop(loop_get(), &ended);
    admin_close(admin);
    loop_close();
    stat_close();
    cr_assert_eq(access(file, F_OK), -1);
    cr_assert_eq(rmdir(folder), 0);
}

/* To the address that stands in the file, as a script does it. */
static int visit(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 10};
    FILE *stream = fopen(file, "r");
    char text[64] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_not_null(stream);
    cr_assert_not_null(fgets(text, sizeof(text), stream));
    fclose(stream);
    text[strcspn(text, "\n")] = '\0';
    cr_assert_str_eq(text, admin_address(admin));
    to.sin_port = htons((uint16_t)strtoul(strrchr(text, ':') + 1, NULL, 10));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Reads to the end. */
static void hear(int fd)
{
    size_t len = 0;
    ssize_t got;

    while ((got = recv(fd, reply + len, sizeof(reply) - 1 - len, 0)) > 0)
        len += (size_t)got;
    reply[len] = '\0';
    close(fd);
}

static void ask(const char *request)
{
    int fd = visit();

    cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    hear(fd);
}

static void assert_has(const char *needle)
{
    cr_assert_not_null(strstr(reply, needle), "\"%s\" is missing in:\n%s", needle, reply);
}

Test(admin, answers)
{
    int lacking = 0;
    struct admin_config config = {.check = lack_two, .arg = &lacking};

    start(&config);
    ask("GET /ready HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_has("HTTP/1.1 200 OK\r\n");
    assert_has("\r\n\r\n{\"status\":\"ready\"}");
    ask("HEAD /ready HTTP/1.0\r\n\r\n");
    assert_has("HTTP/1.1 200 OK\r\n");
    assert_has("Content-Length: 18\r\n");
    cr_assert_null(strstr(reply, "status"));
    ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_has("Content-Type: text/plain; version=0.0.4");
    assert_has("lectern_test_things_total 7\n");
    ask("POST /ready HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_has("HTTP/1.1 405 ");
    assert_has("Allow: GET, HEAD\r\n");
    ask("GET /else HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_has("HTTP/1.1 404 ");
    ask("GET / HTTP/1.1\r\n\r\n");
    assert_has("HTTP/1.1 400 ");
    ask("GET /ready HTTP/1.1\n");
    assert_has("HTTP/1.1 400 ");
    end();
}

Test(admin, says_what_is_missing)
{
    int lacking = 1;
    struct admin_config config = {.check = lack_two, .arg = &lacking};

    start(&config);
    ask("GET /ready HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_has("HTTP/1.1 503 Service Unavailable\r\n");
    assert_has("{\"status\":\"not ready\",\"missing\":[\"database\",\"a ?b?\"]}");
    end();
}

Test(admin, the_file_is_private)
{
    struct admin_config config = {0};
    struct stat status;

    start(&config);
    cr_assert_eq(stat(file, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    end();
}

/* Seventeen come, all say nothing: each is sent away in time, and then others are served. */
Test(admin, silent_visitors_are_sent_away)
{
    struct admin_config config = {.deadline_us = 100000};
    int fds[17];

    start(&config);
    for (int i = 0; i < 17; i++)
        fds[i] = visit();
    for (int i = 0; i < 17; i++) {
        hear(fds[i]);
        cr_assert_eq(strlen(reply), 0);
    }
    ask("GET /ready HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_has("HTTP/1.1 200 OK\r\n");
    end();
}

static const struct {
    const char *address;
    bool given;
    bool opens;
} addresses[] = {
    {"127.0.0.1:0", false, true}, {"127.1.2.3:0", false, true}, {"[::1]:0", false, true},
    {"0.0.0.0:0", false, false},  {"0.0.0.0:0", true, true},    {":0", false, false},
    {"127.0.0.1", true, false},   {"127.0.0.1:", true, false},  {"127.0.0.1:x", true, false},
    {"::1:0", true, false},       {"192.0.2.1:0", true, false},
};

Test(admin, addresses)
{
    loop_open(0);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
        struct admin_config config = {.address = addresses[i].address, .given = addresses[i].given};
        struct admin *opened = admin_open(&config);

        cr_assert_eq(opened != NULL, addresses[i].opens, "%s", addresses[i].address);
        admin_close(opened);
    }
    loop_close();
    stat_close();
}

Test(admin, a_file_that_cannot_be_written)
{
    struct admin_config config = {.address = "127.0.0.1:0", .file = "/nowhere/x.admin"};

    loop_open(0);
    cr_assert_null(admin_open(&config));
    loop_close();
    stat_close();
}

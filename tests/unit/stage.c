/* Blocking sockets throughout; the gateway is the only one that has a loop. */
#include "stage.h"
#include "base/time.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { WAIT_MS = 10000, ACTORS_MOST = 8, PATH_BYTES = 128, FRAMES_MOST = 8, PIECE_MS = 20 };

struct actor {
    void *socket;     /* a ROUTER; NULL: dead */
    char name[64];    /* of its socket's file */
    char missing[64]; /* empty: ready */
    bool seen;        /* a ping came */
};

static struct {
    char state[PATH_BYTES];
    pid_t pid;
    int port;
    void *context;
    struct arena arena;
    struct actor actors[ACTORS_MOST];
    unsigned count;
    struct answer answer;
} stage;

/* ---- the process ---- */

static _Noreturn void become_gateway(const char *const *settings)
{
    char log[PATH_BYTES + 16];
    int fd;

    snprintf(log, sizeof(log), "%s/log", stage.state);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDERR_FILENO);
    dup2(fd, STDOUT_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed leaves nothing behind */
    setenv("LECTERN_STATE", stage.state, 1);
    setenv("LECTERN_HTTP", "127.0.0.1:0", 1);
    setenv("LECTERN_LOG_LEVEL", "debug", 1);
    setenv("LECTERN_CACHE", "0", 1); /* so that each request reaches an actor */
    setenv("LECTERN_CACHE", "0", 1); /* so that requests reach the actors */
    for (; settings != NULL && *settings != NULL; settings++)
        putenv((char *)*settings);
    execl(GATEWAY_PROGRAM, "lectern-gateway", (char *)NULL);
    _exit(127);
}

static void read_log(char *text, size_t bytes)
{
    char path[PATH_BYTES + 16];
    ssize_t got = 0;
    int fd;

    snprintf(path, sizeof(path), "%s/log", stage.state);
    fd = open(path, O_RDONLY);
    if (fd >= 0) {
        got = read(fd, text, bytes - 1);
        close(fd);
    }
    text[got > 0 ? got : 0] = '\0';
}

static void await_port(void)
{
    static const char words[] = "clients connect to 127.0.0.1:";
    char text[16 * 1024];

    for (int waited = 0; waited < WAIT_MS; waited += PIECE_MS) {
        const char *at;

        read_log(text, sizeof(text));
        at = strstr(text, words);
        if (at != NULL && strchr(at, '\n') != NULL) {
            stage.port = atoi(at + strlen(words));
            return;
        }
        poll(NULL, 0, PIECE_MS);
    }
    cr_assert_fail("the gateway does not listen: %s", text);
}

void stage_open(const char *const *settings)
{
    signal(SIGPIPE, SIG_IGN);
    contract_open();
    arena_init(&stage.arena, 64 * 1024 * 1024);
    strcpy(stage.state, "/tmp/lectern-stage-XXXXXX");
    cr_assert_not_null(mkdtemp(stage.state));
    stage.pid = fork();
    if (stage.pid == 0)
        become_gateway(settings);
    stage.context = zmq_ctx_new();
    await_port();
}

const char *stage_state(void)
{
    return stage.state;
}

void stage_signal(int number)
{
    kill(stage.pid, number);
}

void stage_await_end(void)
{
    char text[64 * 1024];
    int status = -1;

    for (int waited = 0; waited < WAIT_MS; waited += PIECE_MS) {
        if (waitpid(stage.pid, &status, WNOHANG) == stage.pid)
            break;
        poll(NULL, 0, PIECE_MS);
    }
    if (status != 0) {
        kill(stage.pid, SIGKILL);
        read_log(text, sizeof(text));
        cr_assert_fail("the gateway ended with status %d: %s", status, text);
    }
    stage.pid = 0;
}

static void actor_close(struct actor *actor)
{
    int linger = 0;

    if (actor->socket == NULL)
        return;
    zmq_setsockopt(actor->socket, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_close(actor->socket);
    actor->socket = NULL;
}

void stage_close(void)
{
    char command[PATH_BYTES + 16];

    if (stage.pid != 0) {
        stage_signal(SIGTERM);
        stage_await_end();
    }
    for (unsigned i = 0; i < stage.count; i++)
        actor_close(&stage.actors[i]);
    zmq_ctx_term(stage.context);
    arena_clear(&stage.arena);
    arena_trim();
    snprintf(command, sizeof(command), "rm -rf %s", stage.state);
    cr_assert_eq(system(command), 0);
}

/* ---- actors ---- */

struct str encoded(const struct record *record, const void *values)
{
    struct buffer bytes;

    buffer_init(&bytes, &stage.arena, WIRE_MOST_BODY_BYTES);
    codec_encode(&bytes, record, values);
    cr_assert(!bytes.failed);
    return buffer_str(&bytes);
}

void actor_send(struct actor *actor, const struct taken *to, const struct str *frames, size_t count)
{
    zmq_send(actor->socket, to->peer, to->peer_len, ZMQ_SNDMORE);
    for (size_t i = 0; i < count; i++)
        zmq_send(actor->socket, frames[i].ptr, frames[i].len, i + 1 < count ? ZMQ_SNDMORE : 0);
}

void actor_reply(struct actor *actor, const struct taken *to, struct common_reply header,
                 struct str body)
{
    struct buffer bytes;
    struct str frames[2];

    if (header.v == 0)
        header.v = WIRE_VERSION;
    if (header.id == 0)
        header.id = to->header.id;
    if (header.status.ptr == NULL)
        header.status = STR("ok");
    buffer_init(&bytes, &stage.arena, WIRE_MOST_HEADER_BYTES);
    frame_reply(&bytes, &header);
    frames[0] = buffer_str(&bytes);
    frames[1] = body;
    actor_send(actor, to, frames, 2);
}

void actor_reply_fault(struct actor *actor, const struct taken *to, const char *fault,
                       struct str body)
{
    actor_reply(actor, to, (struct common_reply){.status = str_of(fault)}, body);
}

static void pong(struct actor *actor, const struct taken *ping)
{
    struct common_pong values = {.domain = STR("test"), .ready = actor->missing[0] == '\0'};

    if (!values.ready)
        values.missing = str_of(actor->missing);
    actor_reply(actor, ping, (struct common_reply){.v = 0}, encoded(&record_common_pong, &values));
    actor->seen = true;
}

static struct str frame_copy(zmq_msg_t *frame)
{
    return arena_copy(&stage.arena, (struct str){zmq_msg_data(frame), zmq_msg_size(frame)});
}

/* One message, if one is there; a ping is answered and is none. */
static bool try_take(struct actor *actor, struct taken *taken)
{
    struct str frames[FRAMES_MOST];
    zmq_msg_t frame;
    size_t count = 0;

    for (bool more = true; more; count++) {
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, actor->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frame);
            return false;
        }
        more = zmq_msg_more(&frame) != 0;
        cr_assert_lt(count, FRAMES_MOST);
        frames[count] = frame_copy(&frame);
        zmq_msg_close(&frame);
    }
    cr_assert_eq(count, 3, "%zu frames came", count);
    memcpy(taken->peer, frames[0].ptr, frames[0].len);
    taken->peer_len = frames[0].len;
    cr_assert_null(frame_read_request(&stage.arena, frames[1], &taken->header));
    taken->body = frames[2];
    if (!str_is(taken->header.op, "ping"))
        return true;
    pong(actor, taken);
    return try_take(actor, taken);
}

static bool take_within(struct actor *const *actors, int count, int ms, struct taken *taken,
                        int *which)
{
    for (int waited = 0; waited < ms; waited += PIECE_MS / 4) {
        for (*which = 0; *which < count; (*which)++)
            if (try_take(actors[*which], taken))
                return true;
        poll(NULL, 0, PIECE_MS / 4);
    }
    return false;
}

struct taken actor_take(struct actor *actor)
{
    struct taken taken;
    int which;

    cr_assert(take_within(&actor, 1, WAIT_MS, &taken, &which), "%s gets no call", actor->name);
    return taken;
}

struct taken actors_take(struct actor *a, struct actor *b, int *which)
{
    struct actor *both[] = {a, b};
    struct taken taken;

    cr_assert(take_within(both, 2, WAIT_MS, &taken, which), "neither gets a call");
    return taken;
}

bool actor_is_left_alone(struct actor *actor, int ms)
{
    struct taken taken;
    int which;

    return !take_within(&actor, 1, ms, &taken, &which);
}

void actor_lacks(struct actor *actor, const char *missing)
{
    snprintf(actor->missing, sizeof(actor->missing), "%s", missing);
}

/* Until /ready says (or no longer says) that the domain is missing. */
static void await_domain(struct actor *actor, const char *domain, bool missing)
{
    char word[80];
    struct taken taken;

    snprintf(word, sizeof(word), "\"%s\"", domain);
    for (int waited = 0; waited < WAIT_MS; waited += PIECE_MS) {
        if (actor != NULL)
            cr_assert(!try_take(actor, &taken));
        if ((strstr(client_ask("GET /ready", "")->body, word) != NULL) == missing)
            return;
        poll(NULL, 0, PIECE_MS);
    }
    cr_assert_fail("%s is %s missing", domain, missing ? "not" : "still");
}

/* Until the gateway pinged and has looked at the answer. */
static void await_ping(struct actor *actor)
{
    struct taken taken;

    for (int waited = 0; waited < WAIT_MS && !actor->seen; waited += PIECE_MS) {
        cr_assert(!try_take(actor, &taken));
        poll(NULL, 0, PIECE_MS);
    }
    cr_assert(actor->seen, "%s is not found", actor->name);
}

struct actor *actor_open(const char *name)
{
    struct actor *actor = &stage.actors[stage.count++];
    char endpoint[PATH_BYTES + 80];
    const char *domain = strtok(strcpy(endpoint, name), "-");
    char copy[64];

    cr_assert_leq(stage.count, ACTORS_MOST);
    snprintf(copy, sizeof(copy), "%s", domain);
    snprintf(actor->name, sizeof(actor->name), "%s", name);
    actor->socket = zmq_socket(stage.context, ZMQ_ROUTER);
    snprintf(endpoint, sizeof(endpoint), "ipc://%s/actors/%s", stage.state, name);
    cr_assert_eq(zmq_bind(actor->socket, endpoint), 0, "%s: %s", endpoint, zmq_strerror(errno));
    await_ping(actor);
    await_domain(actor, copy, false);
    return actor;
}

void actor_die(struct actor *actor, const char *domain)
{
    actor_close(actor);
    if (domain != NULL)
        await_domain(NULL, domain, true);
}

/* ---- the client ---- */

int client_send(const char *line, const char *fields)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)stage.port)};
    struct timeval limit = {.tv_sec = WAIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[8192];
    int len =
        snprintf(text, sizeof(text),
                 "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", line, fields);

    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(send(fd, text, (size_t)len, 0), len);
    return fd;
}

void client_leave(int fd)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
}

/* Each byte more is waited for, and left where it is. */
void client_await(int fd, const char *text)
{
    struct answer *answer = &stage.answer;
    ssize_t have = 0;

    answer->text[0] = '\0';
    while (strstr(answer->text, text) == NULL) {
        ssize_t got = recv(fd, answer->text, (size_t)have + 1, MSG_PEEK | MSG_WAITALL);

        cr_assert_gt(got, have, "it ends before `%s`", text);
        have = got;
        answer->text[have] = '\0';
    }
}

const struct answer *client_read(int fd)
{
    struct answer *answer = &stage.answer;
    size_t len = 0;
    ssize_t got;

    while (len < sizeof(answer->text) - 1 &&
           (got = recv(fd, answer->text + len, sizeof(answer->text) - 1 - len, 0)) > 0)
        len += (size_t)got;
    close(fd);
    answer->text[len] = '\0';
    cr_assert_eq(strncmp(answer->text, "HTTP/1.1 ", 9), 0, "no answer came: %s", answer->text);
    answer->status = atoi(answer->text + 9);
    answer->body = strstr(answer->text, "\r\n\r\n");
    cr_assert_not_null(answer->body);
    answer->body += 4;
    return answer;
}

const struct answer *client_ask(const char *line, const char *fields)
{
    return client_read(client_send(line, fields));
}

const char *answer_field(const struct answer *answer, const char *name)
{
    static char value[4096];
    size_t len = strlen(name);

    for (const char *line = strstr(answer->text, "\r\n"); line + 4 < answer->body;
         line = strstr(line + 2, "\r\n")) {
        const char *at = line + 2;

        if (strncasecmp(at, name, len) != 0 || at[len] != ':')
            continue;
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + len + 2, "\r"), at + len + 2);
        return value;
    }
    return NULL;
}

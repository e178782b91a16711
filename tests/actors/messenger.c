/* See messenger.h.  */
#include "messenger.h"
#include "base/time.h"
#include "json.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { WAIT_MS = 20000, PING_EVERY_MS = 20, OPTIONS_MOST = 24, NOT_THERE = 127 };

/* ---- the process ---- */

static _Noreturn void run_actor(const struct messenger *messenger, const char *program,
                                const char *url, const char *const *options)
{
    char *args[OPTIONS_MOST] = {
        (char *)program, (char *)"--state",     (char *)messenger->state, (char *)"--database-url",
        (char *)url,     (char *)"--log-level", (char *)"error"};

    for (int count = 7; options != NULL && *options != NULL && count < OPTIONS_MOST - 1; count++)
        args[count] = (char *)*options++;
    execv(program, args);
    _exit(NOT_THERE);
}

static void start(struct messenger *messenger, const char *program, const char *url,
                  const char *const *options)
{
    const char *name = strstr(program, "bible") != NULL ? "bible" : "user";
    int now = 1, none = 0;

    contract_open();
    memset(messenger, 0, sizeof(*messenger));
    strcpy(messenger->state, "/tmp/actor_test.XXXXXX");
    cr_assert_not_null(mkdtemp(messenger->state));
    snprintf(messenger->endpoint, sizeof(messenger->endpoint), "ipc://%s/actors/%s-1",
             messenger->state, name);
    messenger->pid = fork();
    cr_assert_geq(messenger->pid, 0);
    if (messenger->pid == 0)
        run_actor(messenger, program, url, options);
    arena_init(&messenger->arena, SIZE_MAX / 2);
    messenger->context = zmq_ctx_new();
    messenger->socket = zmq_socket(messenger->context, ZMQ_DEALER);
    zmq_setsockopt(messenger->socket, ZMQ_LINGER, &none, sizeof(none));
    zmq_setsockopt(messenger->socket, ZMQ_SNDHWM, &none, sizeof(none));
    zmq_setsockopt(messenger->socket, ZMQ_RCVHWM, &none, sizeof(none));
    zmq_setsockopt(messenger->socket, ZMQ_RECONNECT_IVL, &now, sizeof(now));
    zmq_connect(messenger->socket, messenger->endpoint);
}

static bool is_ready(struct str pong)
{
    return memmem(pong.ptr, pong.len, "\"ready\":true", 12) != NULL;
}

static void await(struct messenger *messenger, bool ready)
{
    int64_t until_us = time_now_us() + TIME_MS(WAIT_MS);
    struct common_request ping = messenger_request(messenger, "", NULL);
    struct str pong;

    ping.op = STR("ping");
    ping.method = NO_STR;
    do {
        cr_assert_lt(time_now_us(), until_us, "the actor does not become ready");
        usleep(PING_EVERY_MS * 1000);
        messenger_send(messenger, &ping, "{}");
        pong = messenger_receive(messenger, NULL);
    } while (ready && !is_ready(pong));
}

void messenger_start(struct messenger *messenger, const char *program, const char *url,
                     const char *const *options)
{
    start(messenger, program, url, options);
    await(messenger, true);
}

void messenger_start_any_state(struct messenger *messenger, const char *program, const char *url,
                               const char *const *options)
{
    start(messenger, program, url, options);
    await(messenger, false);
}

static void remove_folder(const char *folder)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    cr_expect_eq(system(command), 0);
}

int messenger_wait(struct messenger *messenger)
{
    int64_t until_us = time_now_us() + TIME_MS(WAIT_MS);
    int status = 0;

    while (waitpid(messenger->pid, &status, WNOHANG) == 0) {
        cr_assert_lt(time_now_us(), until_us, "the actor does not end");
        usleep(1000);
    }
    zmq_close(messenger->socket);
    zmq_ctx_term(messenger->context);
    arena_clear(&messenger->arena);
    arena_trim();
    remove_folder(messenger->state);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int messenger_stop(struct messenger *messenger)
{
    kill(messenger->pid, SIGTERM);
    return messenger_wait(messenger);
}

/* ---- messages ---- */

struct common_request messenger_request(struct messenger *messenger, const char *method,
                                        const char *user)
{
    return (struct common_request){.v = WIRE_VERSION,
                                   .id = ++messenger->id,
                                   .method = str_of(method),
                                   .user = str_of(user),
                                   .budget = INT_ABSENT,
                                   .credit = INT_ABSENT};
}

void messenger_send_frames(void *socket, struct str header, struct str body)
{
    cr_assert_geq(zmq_send(socket, header.ptr, header.len, ZMQ_SNDMORE), 0);
    cr_assert_geq(zmq_send(socket, body.ptr, body.len, 0), 0);
}

void messenger_send(struct messenger *messenger, const struct common_request *request,
                    const char *json)
{
    struct buffer header, body;
    msgpack_object value;
    const char *why;
    size_t offset;

    buffer_init(&header, &messenger->arena, SIZE_MAX / 2);
    buffer_init(&body, &messenger->arena, SIZE_MAX / 2);
    cr_assert_eq(json_read(&messenger->arena, str_of(json), &value, &why, &offset), 0);
    msgpack_write(&body, &value);
    frame_request(&header, request);
    messenger_send_frames(messenger->socket, buffer_str(&header), buffer_str(&body));
}

static struct str receive_frame(struct messenger *messenger)
{
    zmq_msg_t frame;
    struct str copy;

    zmq_msg_init(&frame);
    cr_assert_geq(zmq_msg_recv(&frame, messenger->socket, 0), 0, "no reply came");
    copy = arena_copy(&messenger->arena, (struct str){zmq_msg_data(&frame), zmq_msg_size(&frame)});
    zmq_msg_close(&frame);
    return copy;
}

struct str messenger_receive(struct messenger *messenger, struct common_reply *header)
{
    struct common_reply own, *reply = header != NULL ? header : &own;
    int wait_ms = WAIT_MS;
    struct buffer text;
    msgpack_object value;
    const char *why;

    zmq_setsockopt(messenger->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms));
    why = frame_read_reply(&messenger->arena, receive_frame(messenger), reply);
    cr_assert_null(why, "%s", why);
    cr_assert_eq(msgpack_read(&messenger->arena, receive_frame(messenger), &value, &why), 0);
    buffer_init(&text, &messenger->arena, SIZE_MAX / 2);
    buffer_add_str(&text, reply->status);
    buffer_add_char(&text, ' ');
    json_write(&text, &value);
    buffer_add_char(&text, '\0');
    return (struct str){text.data, text.len - 1};
}

struct str messenger_ask(struct messenger *messenger, const char *method, const char *user,
                         const char *json)
{
    struct common_request request = messenger_request(messenger, method, user);
    struct common_reply reply;
    struct str text;

    messenger_send(messenger, &request, json);
    text = messenger_receive(messenger, &reply);
    cr_assert_eq(reply.id, request.id, "a reply to another message");
    return text;
}

/* ---- numbers ---- */

static int admin_port(const struct messenger *messenger)
{
    const char *name = strrchr(messenger->endpoint, '/');
    char path[160], address[64] = "";
    FILE *file;

    snprintf(path, sizeof(path), "%s/run%s.admin", messenger->state, name);
    file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    cr_assert_not_null(fgets(address, sizeof(address), file));
    fclose(file);
    return atoi(strrchr(address, ':') + 1);
}

double messenger_metric(struct messenger *messenger, const char *name)
{
    static const char get[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    static char text[256 * 1024];
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)admin_port(messenger)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t len = 0;
    ssize_t got;
    char wanted[160], *at;

    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    cr_assert_eq(write(fd, get, sizeof(get) - 1), (ssize_t)sizeof(get) - 1);
    while ((got = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)got;
    close(fd);
    text[len] = '\0';
    snprintf(wanted, sizeof(wanted), "\nlectern_%s ", name);
    at = strstr(text, wanted);
    return at != NULL ? atof(at + strlen(wanted)) : -1;
}

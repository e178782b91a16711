/* One DEALER with ZMQ_IMMEDIATE, so that nothing queues for a peer that is not there, and the
 * socket's monitor beside it, which tells at once that a connection was refused or lost. All
 * waiting is in wait_for(); an instance counts as there when it answered a ping with the right
 * domain, so a socket file that somebody left behind does no harm. */
#include "client.h"
#include "base/time.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum {
    CLIENT_PING_MS = 1000,
    CLIENT_PING_BYTES = 64 * 1024,
    CLIENT_ENDPOINT_BYTES = 512,
    CLIENT_ENDPOINTS = 64
};

struct client {
    void *context; /* ZeroMQ's */
    void *socket;  /* the DEALER */
    void *monitor; /* says when the connection was refused or lost */
    int64_t id;    /* of the message sent last */
    bool sent;     /* something was sent to this peer */
};

struct endpoints {
    char at[CLIENT_ENDPOINTS][CLIENT_ENDPOINT_BYTES];
    unsigned count;
};

/* ---- waiting ---- */

static int left_ms(int64_t deadline_us)
{
    int64_t left = (deadline_us - time_now_us() + 999) / 1000;

    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* Waits until the socket can be read or written. */
static enum client_end wait_for(struct client *client, short events, int64_t deadline_us)
{
    zmq_pollitem_t items[] = {{client->socket, 0, events, 0}, {client->monitor, 0, ZMQ_POLLIN, 0}};

    for (;;) {
        int left = left_ms(deadline_us);
        int ready = zmq_poll(items, 2, left);

        if (ready < 0 && errno != EINTR)
            return CLIENT_WRONG;
        if (ready > 0 && (items[0].revents & events) != 0)
            return CLIENT_DONE;
        if (ready > 0 && items[1].revents != 0)
            return client->sent ? CLIENT_LOST : CLIENT_ABSENT;
        if (left == 0)
            return CLIENT_TIMEOUT;
    }
}

/* ---- opening and closing ---- */

static int watch(struct client *client)
{
    static const int none = 0;
    int events = ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED |
                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;

    if (zmq_socket_monitor(client->socket, "inproc://client", events) != 0)
        return -1;
    client->monitor = zmq_socket(client->context, ZMQ_PAIR);
    if (client->monitor == NULL)
        return -1;
    (void)zmq_setsockopt(client->monitor, ZMQ_LINGER, &none, sizeof(none));
    return zmq_connect(client->monitor, "inproc://client");
}

static int connect_to(struct client *client, const char *endpoint)
{
    static const int none = 0, yes = 1;
    int64_t most = WIRE_MOST_BODY_BYTES;

    client->context = zmq_ctx_new();
    if (client->context == NULL)
        return -1;
    client->socket = zmq_socket(client->context, ZMQ_DEALER);
    if (client->socket == NULL)
        return -1;
    if (zmq_setsockopt(client->socket, ZMQ_LINGER, &none, sizeof(none)) != 0 ||
        zmq_setsockopt(client->socket, ZMQ_IMMEDIATE, &yes, sizeof(yes)) != 0 ||
        zmq_setsockopt(client->socket, ZMQ_MAXMSGSIZE, &most, sizeof(most)) != 0)
        return -1;
    return watch(client) != 0 ? -1 : zmq_connect(client->socket, endpoint);
}

void client_close(struct client **client)
{
    struct client *closing = *client;

    *client = NULL;
    if (closing == NULL)
        return;
    if (closing->socket != NULL)
        (void)zmq_socket_monitor(closing->socket, NULL, 0);
    if (closing->monitor != NULL)
        (void)zmq_close(closing->monitor);
    if (closing->socket != NULL)
        (void)zmq_close(closing->socket);
    if (closing->context != NULL)
        (void)zmq_ctx_term(closing->context);
    free(closing);
}

/* ---- sending and receiving ---- */

enum client_end client_send(struct client *client, const struct common_request *header,
                            struct str body, int64_t deadline_us)
{
    struct common_request request = *header;
    struct buffer frame;
    enum client_end end = wait_for(client, ZMQ_POLLOUT, deadline_us);
    bool sent;

    if (end != CLIENT_DONE)
        return end;
    request.id = ++client->id;
    buffer_init(&frame, NULL, WIRE_MOST_HEADER_BYTES);
    frame_request(&frame, &request);
    if (frame.failed || body.len > WIRE_MOST_BODY_BYTES) {
        buffer_free(&frame);
        return CLIENT_WRONG;
    }
    sent = zmq_send(client->socket, frame.data, frame.len, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0 &&
           zmq_send(client->socket, body.ptr, body.len, ZMQ_DONTWAIT) >= 0;
    buffer_free(&frame);
    client->sent = client->sent || sent;
    return sent ? CLIENT_DONE : CLIENT_ABSENT;
}

/* Takes one frame into the arena; absent when there is none or it does not fit. */
static struct str take_frame(struct client *client, struct arena *arena, bool *more)
{
    zmq_msg_t message;
    struct str frame = NO_STR;

    *more = false;
    (void)zmq_msg_init(&message);
    if (zmq_msg_recv(&message, client->socket, ZMQ_DONTWAIT) >= 0) {
        *more = zmq_msg_more(&message) != 0;
        frame = arena_copy(arena, (struct str){zmq_msg_data(&message), zmq_msg_size(&message)});
    }
    (void)zmq_msg_close(&message);
    return frame;
}

/* Reads one message of two frames. An empty frame is never one of them. */
static int take_reply(struct client *client, struct arena *arena, struct client_reply *reply)
{
    bool more, last;
    const char *why;
    struct str header = take_frame(client, arena, &more);
    struct str body = NO_STR;

    last = more;
    if (more)
        body = take_frame(client, arena, &last);
    while (last)
        (void)take_frame(client, arena, &last);
    reply->body.type = MSGPACK_OBJECT_NIL;
    if (header.ptr == NULL || !more || frame_read_reply(arena, header, &reply->header) != NULL)
        return -1;
    return body.len == 0 ? 0 : msgpack_read(arena, body, &reply->body, &why);
}

enum client_end client_receive(struct client *client, struct arena *arena, int64_t deadline_us,
                               struct client_reply *reply)
{
    for (;;) {
        enum client_end end = wait_for(client, ZMQ_POLLIN, deadline_us);

        if (end != CLIENT_DONE)
            return end;
        if (take_reply(client, arena, reply) != 0)
            return CLIENT_WRONG;
        /* Others belong to a message that was given up, or concern none. */
        if (reply->header.id == client->id)
            return CLIENT_DONE;
    }
}

/* ---- finding an instance ---- */

static bool answers_as(struct client *client, const char *domain, int64_t deadline_us)
{
    static const char nothing[] = {'\x80'};
    struct common_request ping = {
        .v = WIRE_VERSION, .op = STR("ping"), .budget = INT_ABSENT, .credit = INT_ABSENT};
    struct client_reply reply;
    const msgpack_object *name = NULL;
    struct arena arena;
    bool right = false;

    arena_init(&arena, CLIENT_PING_BYTES);
    if (client_send(client, &ping, (struct str){nothing, 1}, deadline_us) == CLIENT_DONE &&
        client_receive(client, &arena, deadline_us, &reply) == CLIENT_DONE &&
        reply.body.type == MSGPACK_OBJECT_MAP)
        name = msgpack_member(&reply.body, STR("domain"));
    if (name != NULL && name->type == MSGPACK_OBJECT_STR)
        right = str_is((struct str){name->via.str.ptr, name->via.str.size}, domain);
    arena_clear(&arena);
    return right;
}

static struct client *try_endpoint(const char *endpoint, const char *domain, int64_t deadline_us)
{
    struct client *client = calloc(1, sizeof(*client));
    int64_t ping_us = time_now_us() + TIME_MS(CLIENT_PING_MS);

    if (client == NULL)
        return NULL;
    if (connect_to(client, endpoint) != 0 ||
        !answers_as(client, domain, ping_us < deadline_us ? ping_us : deadline_us)) {
        client_close(&client);
        return NULL;
    }
    client->sent = false;
    return client;
}

static void add_endpoint(struct endpoints *list, const char *scheme, const char *at, size_t len)
{
    char *endpoint;

    if (len == 0 || list->count == CLIENT_ENDPOINTS ||
        strlen(scheme) + len >= CLIENT_ENDPOINT_BYTES)
        return;
    endpoint = list->at[list->count++];
    (void)snprintf(endpoint, CLIENT_ENDPOINT_BYTES, "%s%.*s", scheme, (int)len, at);
}

/* Sockets of a folder whose names begin with the domain's: `user-1`. */
static void list_folder(struct endpoints *list, const char *folder, const char *domain)
{
    size_t len = strlen(domain);
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[CLIENT_ENDPOINT_BYTES];
        struct stat what;
        int written = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);

        if (strncmp(entry->d_name, domain, len) != 0 || entry->d_name[len] != '-' ||
            written >= (int)sizeof(path))
            continue;
        if (stat(path, &what) == 0 && S_ISSOCK(what.st_mode))
            add_endpoint(list, "ipc://", path, strlen(path));
    }
    if (dir != NULL)
        (void)closedir(dir);
}

/* Of a list `user=tcp://host:port,bible=tcp://…` those of the domain; one without a name may be. */
static void list_addresses(struct endpoints *list, const char *addresses, const char *domain)
{
    size_t name_len = strlen(domain);
    const char *at = addresses;

    while (*at != '\0') {
        size_t len = strcspn(at, ", "), name = strcspn(at, "=, ");

        if (at[name] != '=')
            add_endpoint(list, "", at, len);
        else if (name == name_len && memcmp(at, domain, name) == 0)
            add_endpoint(list, "", at + name + 1, len - name - 1);
        at += len + (at[len] != '\0');
    }
}

static struct client *try_all(const struct endpoints *list, const char *domain, int64_t deadline_us)
{
    struct client *client = NULL;

    for (unsigned i = 0; i < list->count && client == NULL && time_now_us() < deadline_us; i++)
        client = try_endpoint(list->at[i], domain, deadline_us);
    return client;
}

struct client *client_open(const char *domain, const char *where, int64_t deadline_us, char *cause,
                           size_t cause_bytes)
{
    struct endpoints list = {.count = 0};
    struct client *client;

    if (strstr(where, "://") != NULL)
        list_addresses(&list, where, domain);
    else
        list_folder(&list, where, domain);
    client = try_all(&list, domain, deadline_us);
    if (client != NULL)
        return client;
    if (strstr(where, "://") == NULL && access(where, R_OK | X_OK) != 0)
        (void)snprintf(cause, cause_bytes, "%s: %s", where, strerror(errno));
    else if (list.count == 0)
        (void)snprintf(cause, cause_bytes, "no actor `%s` in %s", domain, where);
    else
        (void)snprintf(cause, cause_bytes, "no actor `%s` answers at %s%s", domain, list.at[0],
                       list.count > 1 ? " or the others" : "");
    return NULL;
}

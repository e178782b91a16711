/* ZeroMQ sockets on the loop.
 *
 * A socket's descriptor says "look" once for each batch of what its I/O thread tells it, and
 * whoever sends or receives takes that in without knowing. So each use of a socket sets `look`;
 * before the loop sleeps, ZMQ_EVENTS is read of each such socket, and where something can be read
 * an idle watcher keeps the loop awake; after the poll, a check watcher takes up to 1,024 messages
 * of a socket that has to be looked at. The descriptor's own callback takes nothing. Where
 * receiving said that there is nothing left, everything is known, and until the next use the
 * descriptor speaks again.
 *
 * What was posted is sent before that look, in one go: a message alone wakes the I/O thread, those
 * behind it find it awake.
 *
 * A DEALER has a second socket, its monitor, looked after in the same way: it says when the peer
 * came and went. What a peer had sent is handed over before it is reported gone. A socket may be
 * closed within its own events: the link then rests one turn. */
#include "link.h"
#include "base/loop.h"
#include "frame.h"
#include "inject.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <zmq.h>

enum {
    POSTS_MOST = 16,   /* wait for the turn's end; then they go, so that the peer can begin */
    TAKE_MOST = 1024,  /* messages a turn */
    FRAMES_MOST = 4,   /* routing id, delimiter, header, body */
    LINGER_MS = 2000,  /* of a closed socket */
    RECONNECT_MS = 10, /* the first retry */
    RECONNECT_MOST_MS = 1000,
    SEND_MARK = 4096,      /* messages that wait for one peer, at most */
    RECEIVE_MARK = 1024,   /* messages of one peer that wait for us */
    BACKLOG = 1024,        /* connections that wait to be accepted */
    KEEPALIVE_IDLE_S = 30, /* of tcp: a peer that vanished is noticed */
    KEEPALIVE_EVERY_S = 10,
    KEEPALIVE_COUNT = 3
};

/* A ZeroMQ socket that the loop's turns look after. */
struct pump {
    struct loop_hook hook; /* before the loop sleeps; first, so that it is the pump */
    void *socket;          /* ZeroMQ's; NULL: closed */
    bool look;             /* it was used, or its descriptor spoke, since ZMQ_EVENTS was read */
    bool paused;           /* nothing is taken */
    bool (*take)(struct link *link); /* takes one message; false: there was none */
    struct link *link;               /* whose it is */
    ev_io io;                        /* of the descriptor */
    ev_check check;                  /* after the poll */
    ev_idle idle;                    /* while something can be read */
};

/* A message that waits for the end of the turn. */
struct post {
    struct link_peer to;    /* of a ROUTER */
    zmq_msg_t header, body; /* owned */
};

struct link {
    struct pump messages;             /* the ROUTER or DEALER */
    struct pump monitor;              /* of a DEALER: its comings and goings */
    const struct link_events *events; /* the owner's */
    void *arg;                        /* for them */
    bool router;                      /* which of the two */
    bool here;                        /* a DEALER's peer is connected */
    struct post *posts;               /* POSTS_MOST of them; NULL: nothing was posted yet */
    size_t post_count;                /* that wait for the turn's end */
    char path[108];                   /* of a bound ipc socket; empty: none */
    dev_t device;                     /* of the file at `path` when it was bound */
    ino_t inode;                      /* the same */
};

static void *context;

void link_open(void)
{
    context = zmq_ctx_new();
    if (context == NULL) {
        fprintf(stderr, "no ZeroMQ context: %s\n", zmq_strerror(errno));
        exit(EX_OSERR);
    }
}

void link_shut(void)
{
    while (zmq_ctx_term(context) != 0 && errno == EINTR)
        continue;
    context = NULL;
}

/* ---- a socket in the loop's turns ---- */

static bool readable(const struct pump *pump)
{
    int events = 0;
    size_t size = sizeof(events);

    return zmq_getsockopt(pump->socket, ZMQ_EVENTS, &events, &size) == 0 &&
           (events & ZMQ_POLLIN) != 0;
}

static void send_posts(struct link *link);

static bool before_sleep(struct loop_hook *hook)
{
    struct pump *pump = (struct pump *)hook;

    if (pump->link->post_count > 0)
        send_posts(pump->link);
    if (!pump->look)
        return false;
    if (!readable(pump))
        pump->look = false;
    else if (!pump->paused)
        ev_idle_start(loop_get(), &pump->idle);
    return false;
}

static void after_poll(struct ev_loop *loop, ev_check *check, int events)
{
    struct pump *pump = check->data;

    (void)events;
    ev_idle_stop(loop, &pump->idle);
    if (!pump->look)
        return;
    for (int taken = 0; taken < TAKE_MOST && pump->socket != NULL && !pump->paused; taken++) {
        if (!pump->take(pump->link))
            break;
    }
}

static void on_descriptor(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)events;
    ((struct pump *)io->data)->look = true;
}

static void on_idle(struct ev_loop *loop, ev_idle *idle, int events)
{
    (void)loop, (void)idle, (void)events;
}

static int pump_start(struct pump *pump, bool (*take)(struct link *link))
{
    int descriptor;
    size_t size = sizeof(descriptor);

    if (zmq_getsockopt(pump->socket, ZMQ_FD, &descriptor, &size) != 0)
        return -1;
    pump->take = take;
    pump->look = true;
    pump->io.data = pump->check.data = pump;
    ev_io_init(&pump->io, on_descriptor, descriptor, EV_READ);
    ev_check_init(&pump->check, after_poll);
    ev_set_priority(&pump->check, EV_MINPRI); /* after on_descriptor() of the same poll */
    ev_idle_init(&pump->idle, on_idle);
    ev_io_start(loop_get(), &pump->io);
    ev_check_start(loop_get(), &pump->check);
    pump->hook.run = before_sleep;
    loop_hook_add(LOOP_LINKS, &pump->hook);
    return 0;
}

static void pump_stop(struct pump *pump)
{
    if (pump->socket == NULL)
        return;
    if (pump->take != NULL) {
        ev_io_stop(loop_get(), &pump->io);
        ev_check_stop(loop_get(), &pump->check);
        ev_idle_stop(loop_get(), &pump->idle);
        loop_hook_remove(LOOP_LINKS, &pump->hook);
    }
    zmq_close(pump->socket);
    pump->socket = NULL;
}

/* ---- receiving ---- */

struct frames {
    zmq_msg_t kept[FRAMES_MOST]; /* the first ones */
    size_t count;                /* of all, also of those that were dropped */
};

static struct str frame_at(struct frames *frames, size_t at)
{
    zmq_msg_t *frame = &frames->kept[at];

    return (struct str){zmq_msg_data(frame), zmq_msg_size(frame)};
}

static void frames_close(struct frames *frames)
{
    for (size_t i = 0; i < frames->count && i < FRAMES_MOST; i++)
        zmq_msg_close(&frames->kept[i]);
}

/* Takes a whole message; false: there is none. ZeroMQ hands over all frames of one or none. */
static bool frames_receive(struct pump *pump, struct frames *frames)
{
    zmq_msg_t frame;
    bool more = true;

    frames->count = 0;
    while (more) {
        zmq_msg_t *into = frames->count < FRAMES_MOST ? &frames->kept[frames->count] : &frame;

        zmq_msg_init(into);
        if (zmq_msg_recv(into, pump->socket, ZMQ_DONTWAIT) < 0) {
            pump->look = errno != EAGAIN;
            zmq_msg_close(into);
            frames_close(frames);
            return false;
        }
        more = zmq_msg_more(into) != 0;
        frames->count++;
        if (into == &frame)
            zmq_msg_close(&frame);
    }
    return true;
}

static void read_peer(struct link *link, struct frames *frames, struct link_peer *peer)
{
    struct str id = link->router ? frame_at(frames, 0) : NO_STR;

    peer->length = (unsigned char)(id.len < sizeof(peer->id) ? id.len : sizeof(peer->id));
    if (peer->length > 0)
        memcpy(peer->id, id.ptr, peer->length);
}

static bool take_message(struct link *link)
{
    struct frames frames;
    struct link_peer peer;
    size_t at = link->router ? 1 : 0;

    if (!frames_receive(&link->messages, &frames))
        return false;
    read_peer(link, &frames, &peer);
    peer.delimiter = frames.count == at + 3 && frame_at(&frames, at).len == 0;
    at += peer.delimiter;
    if (frames.count == at + 2)
        link->events->received(link->arg, &peer, frame_at(&frames, at), frame_at(&frames, at + 1));
    else if (link->events->garbage != NULL)
        link->events->garbage(link->arg, &peer, frames.count - (link->router ? 1 : 0));
    frames_close(&frames);
    return true;
}

/* ---- the peer's coming and going ---- */

static void report_here(struct link *link)
{
    if (link->here)
        return;
    link->here = true;
    readable(&link->messages); /* the socket learns of its new pipe, so that a send finds it */
    if (link->events->here != NULL)
        link->events->here(link->arg);
}

static void report_gone(struct link *link)
{
    if (!link->here)
        return;
    link->here = false;
    while (link->messages.socket != NULL && !link->messages.paused && take_message(link))
        continue;
    if (link->messages.socket != NULL && link->events->gone != NULL)
        link->events->gone(link->arg);
}

static bool take_event(struct link *link)
{
    struct frames frames;
    uint16_t event = 0;

    if (!frames_receive(&link->monitor, &frames))
        return false;
    if (frames.count > 0 && frame_at(&frames, 0).len >= sizeof(event))
        memcpy(&event, frame_at(&frames, 0).ptr, sizeof(event));
    frames_close(&frames);
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        report_here(link);
    else if (event == ZMQ_EVENT_DISCONNECTED)
        report_gone(link);
    return true;
}

/* The monitor's events come over an inproc address that only this link knows. */
static int monitor_start(struct link *link)
{
    char address[64];
    int linger = 0;

    snprintf(address, sizeof(address), "inproc://monitor-%p", (void *)link);
    if (zmq_socket_monitor(link->messages.socket, address,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) != 0)
        return -1;
    link->monitor.socket = zmq_socket(context, ZMQ_PAIR);
    if (link->monitor.socket == NULL)
        return -1;
    if (zmq_setsockopt(link->monitor.socket, ZMQ_LINGER, &linger, sizeof(linger)) != 0 ||
        zmq_connect(link->monitor.socket, address) != 0)
        return -1;
    return pump_start(&link->monitor, take_event);
}

/* ---- opening and closing ---- */

struct setting {
    int option; /* ZMQ_… */
    int value;  /* all that are used here are ints */
};

static int apply(void *socket, const struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (zmq_setsockopt(socket, settings[i].option, &settings[i].value, sizeof(int)) != 0)
            return -1;
    }
    return 0;
}

static int set_up(struct link *link, size_t receive_most_bytes)
{
    const struct setting both[] = {
        {ZMQ_LINGER, LINGER_MS},
        {ZMQ_SNDHWM, SEND_MARK},
        {ZMQ_RCVHWM, RECEIVE_MARK},
        {ZMQ_IPV6, 1},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S},
        {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_EVERY_S},
        {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT},
    };
    const struct setting router[] = {{ZMQ_ROUTER_MANDATORY, 1}, {ZMQ_BACKLOG, BACKLOG}};
    const struct setting dealer[] = {{ZMQ_IMMEDIATE, 1},
                                     {ZMQ_RECONNECT_IVL, RECONNECT_MS},
                                     {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MOST_MS}};
    int64_t most = (int64_t)receive_most_bytes;
    void *socket = link->messages.socket;

    if (apply(socket, both, sizeof(both) / sizeof(*both)) != 0 ||
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof(most)) != 0)
        return -1;
    return link->router ? apply(socket, router, sizeof(router) / sizeof(*router))
                        : apply(socket, dealer, sizeof(dealer) / sizeof(*dealer));
}

/* Remembers which file the socket made, so that only that one is removed. */
static void own_path(struct link *link, const char *endpoint)
{
    struct stat file;

    if (strncmp(endpoint, "ipc://", 6) != 0 || strlen(endpoint + 6) >= sizeof(link->path))
        return;
    if (stat(endpoint + 6, &file) != 0)
        return;
    strcpy(link->path, endpoint + 6);
    link->device = file.st_dev;
    link->inode = file.st_ino;
}

static void remove_path(const struct link *link)
{
    struct stat file;

    if (link->path[0] == '\0' || stat(link->path, &file) != 0)
        return;
    if (file.st_dev == link->device && file.st_ino == link->inode)
        unlink(link->path);
}

static int start(struct link *link, const char *endpoint)
{
    if (link->router) {
        if (zmq_bind(link->messages.socket, endpoint) != 0)
            return -1;
        own_path(link, endpoint);
    } else if (monitor_start(link) != 0 || zmq_connect(link->messages.socket, endpoint) != 0) {
        return -1;
    }
    return pump_start(&link->messages, take_message);
}

static struct link *link_make(bool router, const char *endpoint, size_t receive_most_bytes,
                              const struct link_events *events, void *arg)
{
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL)
        return NULL;
    link->events = events;
    link->arg = arg;
    link->router = router;
    link->messages.link = link->monitor.link = link;
    link->messages.socket = zmq_socket(context, router ? ZMQ_ROUTER : ZMQ_DEALER);
    if (link->messages.socket == NULL || set_up(link, receive_most_bytes) != 0 ||
        start(link, endpoint) != 0) {
        int why = errno;

        link_close(&link);
        errno = why;
    }
    return link;
}

struct link *link_bind(const char *endpoint, size_t receive_most_bytes,
                       const struct link_events *events, void *arg)
{
    return link_make(true, endpoint, receive_most_bytes, events, arg);
}

struct link *link_connect(const char *endpoint, size_t receive_most_bytes,
                          const struct link_events *events, void *arg)
{
    return link_make(false, endpoint, receive_most_bytes, events, arg);
}

void link_close(struct link **link)
{
    struct link *closed = *link;

    if (closed == NULL)
        return;
    *link = NULL;
    if (closed->post_count > 0)
        send_posts(closed);
    free(closed->posts);
    remove_path(closed);
    if (closed->monitor.socket != NULL)
        zmq_socket_monitor(closed->messages.socket, NULL, 0);
    pump_stop(&closed->monitor);
    pump_stop(&closed->messages);
    loop_free_later(closed);
}

/* ---- sending ---- */

static int send_frame(void *socket, struct str frame, int flags)
{
    return zmq_send(socket, frame.ptr, frame.len, ZMQ_DONTWAIT | flags) < 0 ? -1 : 0;
}

/* What stands before the header. A pipe takes the first frame or refuses it; the others then follow
 * it, or fall with it. */
static int send_envelope(void *socket, const struct link_peer *to)
{
    if (to->length > 0 &&
        send_frame(socket, (struct str){(const char *)to->id, to->length}, ZMQ_SNDMORE) != 0)
        return -1;
    return to->delimiter ? send_frame(socket, STR(""), ZMQ_SNDMORE) : 0;
}

static int send_frames(struct link *link, const struct link_peer *to, struct str header,
                       struct str body)
{
    void *socket = link->messages.socket;

    if (to != NULL && send_envelope(socket, to) != 0)
        return -1;
    if (send_frame(socket, header, ZMQ_SNDMORE) != 0)
        return -1;
    return send_frame(socket, body, 0);
}

int link_send(struct link *link, const struct link_peer *to, struct str header, struct str body)
{
    if (header.len > WIRE_MOST_HEADER_BYTES || body.len > WIRE_MOST_BODY_BYTES) {
        errno = EMSGSIZE;
        return -1;
    }
    if ((!link->router && !link->here) || INJECT(link_nobody)) {
        errno = EHOSTUNREACH;
        return -1;
    }
    if (INJECT(link_full)) {
        errno = EAGAIN;
        return -1;
    }
    if (link->post_count > 0)
        send_posts(link);
    link->messages.look = true;
    return send_frames(link, to, header, body);
}

/* ---- posting ---- */

/* False: there is no memory. */
static bool fill_frame(zmq_msg_t *frame, struct str bytes)
{
    if (zmq_msg_init_size(frame, bytes.len) != 0)
        return false;
    if (bytes.len > 0)
        memcpy(zmq_msg_data(frame), bytes.ptr, bytes.len);
    return true;
}

/* Whether it can be sent at all, and there is a place for it. */
static bool may_post(struct link *link, struct str header, struct str body)
{
    if (header.len > WIRE_MOST_HEADER_BYTES || body.len > WIRE_MOST_BODY_BYTES)
        return false;
    if (!link->router && !link->here)
        return false;
    if (link->post_count == POSTS_MOST)
        send_posts(link);
    if (link->posts == NULL)
        link->posts = malloc(POSTS_MOST * sizeof(*link->posts));
    return link->posts != NULL;
}

static bool add_post(struct link *link, const struct link_peer *to, struct str header,
                     struct str body)
{
    struct post *post;

    if (!may_post(link, header, body))
        return false;
    post = &link->posts[link->post_count];
    if (!fill_frame(&post->header, header))
        return false;
    if (!fill_frame(&post->body, body)) {
        zmq_msg_close(&post->header);
        return false;
    }
    post->to.length = to != NULL ? to->length : 0;
    post->to.delimiter = to != NULL && to->delimiter;
    if (to != NULL)
        memcpy(post->to.id, to->id, to->length);
    link->post_count++;
    return true;
}

void link_post(struct link *link, const struct link_peer *to, struct str header, struct str body)
{
    if (!add_post(link, to, header, body) && link->events->dropped != NULL)
        link->events->dropped(link->arg);
}

static int send_post(void *socket, struct post *post)
{
    const struct link_peer *to = &post->to;

    if (INJECT(link_nobody) || INJECT(link_full))
        return -1;
    if (send_envelope(socket, to) != 0)
        return -1;
    if (zmq_msg_send(&post->header, socket, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return -1;
    return zmq_msg_send(&post->body, socket, ZMQ_DONTWAIT) < 0 ? -1 : 0;
}

/* What was sent is ZeroMQ's, and its frames are empty ones. */
static void send_posts(struct link *link)
{
    size_t count = link->post_count;

    link->post_count = 0;
    link->messages.look = true;
    for (size_t i = 0; i < count; i++) {
        struct post *post = &link->posts[i];
        bool sent = send_post(link->messages.socket, post) == 0;

        zmq_msg_close(&post->header);
        zmq_msg_close(&post->body);
        if (!sent && link->events->dropped != NULL)
            link->events->dropped(link->arg);
    }
}

void link_pause(struct link *link, bool paused)
{
    link->messages.paused = paused;
    link->messages.look = true;
}

/* What listener.c, connection.c and answer.c share about a connection; nobody else includes it.
 *
 * listener.c accepts, and owns what all connections share. connection.c reads requests and moves a
 * connection from phase to phase. answer.c writes. A phase is where the connection waits, and for
 * how long: connection_move() alone changes it, and puts the deadline into the phase's list. */
#pragma once

#include "base/loop.h"
#include "base/stat.h"
#include "http_chunk.h"
#include "listener.h"

enum {
    BLOCK_BYTES = HTTP_HEAD_BYTES, /* of the pooled read buffers: any head fits */
    BEHIND_BYTES = 64 * 1024,      /* most that may wait behind the request in flight */
    SPARE_BLOCKS = 256,            /* kept for reuse */
    SLACK_BYTES = 1024,            /* room behind a large body, to notice what the client does */
    LARGE_BODY = 2 * 1024 * 1024,  /* more than this is a large body */
    LARGE_BODIES = 8,              /* at one time */
    ID_BYTES = 64,                 /* most of a request id */
    DATE_BYTES = 29,               /* of `Sun, 06 Nov 1994 08:49:37 GMT` */
};

/* PHASE(name, member of listener_times or `none`) */
#define PHASES(PHASE)                                                                              \
    PHASE(next, none)     /* between two requests; bytes may be there already */                   \
    PHASE(pause, pause)   /* the same, after a refusal because of too many: nothing is read */     \
    PHASE(fresh, head)    /* accepted, nothing has come */                                         \
    PHASE(idle, idle)     /* waits for another request */                                          \
    PHASE(head, head)     /* a head has begun */                                                   \
    PHASE(body, body)     /* a body is coming */                                                   \
    PHASE(away, none)     /* the handler owes the answer, and nothing waits to be sent */          \
    PHASE(send, send)     /* bytes wait for the client to read; a stream may go on behind them */  \
    PHASE(linger, linger) /* the answer is out, input is dropped until the client closes */        \
    PHASE(closed, none)   /* rests until its memory is freed */

#define PHASE_ENUM(name, time) PHASE_##name,
enum phase { PHASES(PHASE_ENUM) PHASE_COUNT };
#undef PHASE_ENUM

/* Why the connection itself refuses a request. */
#define REFUSALS(REFUSAL) REFUSAL(malformed) REFUSAL(too_large) REFUSAL(busy) REFUSAL(late)

#define REFUSAL_ENUM(name) REFUSAL_##name,
enum refusal { REFUSALS(REFUSAL_ENUM) REFUSAL_COUNT };
#undef REFUSAL_ENUM

struct connection {
    ev_io reading;             /* off when nothing more may be read now, and after the end */
    ev_io writing;             /* on while `out` has bytes */
    struct deadline deadline;  /* in the list of the phase */
    struct connection *before; /* the listener's list of all, either may be NULL */
    struct connection *after;  /* the same */
    struct listener *listener; /* whose it is */
    void *attached;            /* the handler's */
    enum phase phase;          /* changed by connection_move() only */
    struct in6_addr address;   /* the peer's */

    char *data;            /* what was read, NULL while nothing is held; a block or larger */
    size_t room;           /* bytes allocated */
    char *pinned;          /* what the request in flight points to, where that is not `data` */
    size_t pinned_room;    /* bytes of it */
    size_t start;          /* where the request in flight, or the next one, begins */
    size_t end;            /* behind the last byte read */
    struct http_scan scan; /* of the head; offsets from `start` */
    size_t head_len;       /* of the head, from `start`, empty lines before it included */
    size_t body_len;       /* of the body so far, decoded; it stands behind the head */
    size_t used;           /* bytes of the request, from `start`: what follows is the next one's */
    uint64_t content_length;   /* announced */
    uint64_t body_limit;       /* what on_head() allowed */
    struct http_chunk chunk;   /* the decoder's state */
    enum http_framing framing; /* of the request in flight */
    int64_t paced;             /* how far body or answer were when their rate was last looked at */

    struct buffer out; /* what the socket did not take */
    size_t out_sent;   /* bytes of `out` that it took since */

    bool running;          /* connection_advance() is at work, further up */
    bool owed;             /* a head was accepted, and neither answered nor gone */
    bool heading;          /* within on_head() */
    bool streaming;        /* connection_begin() was called, the end was not */
    bool chunked;          /* the stream goes out in chunks */
    bool head_only;        /* the request is HEAD */
    bool old;              /* the request is HTTP/1.0 */
    bool keep_alive;       /* the client wants to go on */
    bool expects;          /* the client waits for 100 Continue */
    bool pauses;           /* before the next request is read */
    bool closes;           /* ends after the answer */
    bool lingers;          /* and the client may not know that yet */
    bool ended;            /* the client closed its sending side */
    bool leaves;           /* and that would count as leaving */
    bool broken;           /* the socket takes nothing any more */
    bool large;            /* holds one of the places for large bodies */
    uint8_t id_len;        /* of `id` */
    char id[ID_BYTES + 1]; /* the request's, terminated */
};

struct listener {
    struct listener_config config;            /* with the defaults filled in */
    int fd;                                   /* listening, -1 once stopped */
    char address[80];                         /* for people */
    ev_io accepting;                          /* off while full, starved or stopped */
    ev_timer retry;                           /* accepts again after file descriptors ran out */
    ev_timer fresh;                           /* after the stop: closes who has not sent anything */
    ev_timer emptied;                         /* calls `empty` in a turn of its own */
    struct deadline_list phases[PHASE_COUNT]; /* those with a length */
    struct connection *first;                 /* of all connections */
    unsigned count;                           /* of them */
    size_t body_bytes;                        /* held by large read buffers */
    unsigned large;                           /* places for large bodies in use */
    void *spare;                              /* free blocks, each holding the next one's address */
    unsigned spares;                          /* of them */
    bool stopped;                             /* listener_stop() was called */
    bool starved;                             /* that descriptors ran out was said */
    bool limited;                             /* the limit of connections was said to be reached */
    void (*empty)(void *arg);                 /* called when stopped and none is left */
    void *arg;                                /* for it */
    int64_t date_s;                           /* the second that `date` shows */
    char date[DATE_BYTES + 1];                /* for answers */
    uint64_t random;                          /* of request ids: names, no secrets */
    struct http_head head;                    /* scratch of whoever parses */
};

/* listener.c */
char *listener_take_block(struct listener *listener) MUST;
void listener_give_block(struct listener *listener, char *block);
uint64_t listener_random(struct listener *listener);
const char *listener_date(struct listener *listener);
/* Forgets a connection that is closed. */
void listener_forget(struct listener *listener, struct connection *connection);

/* connection.c */
/* Takes the socket; NULL without memory, and then the socket is still the caller's. */
struct connection *connection_open(struct listener *listener, int fd,
                                   const struct in6_addr *address) MUST;
void connection_move(struct connection *connection, enum phase phase);
void connection_expired(struct deadline *deadline);
/* The answer is out: on to the next request, or to the end. */
void connection_finish(struct connection *connection);
/* Tries what has come, also when it seemed that nothing had; for listener_stop(). */
void connection_nudge(struct connection *connection);
/* Cuts the connection, with on_gone() where due. */
void connection_lose(struct connection *connection);

/* input.c */
/* Gives the read buffer back, with all that is in it. */
void input_release(struct connection *connection);
/* Room to read into; false: none is to be had now. */
bool input_make_room(struct connection *connection) MUST;
/* After a request, whose bytes nobody points to any more: what the client has sent behind it goes
 * on in a block, or stays where it is when it is too much. */
void input_shrink(struct connection *connection);

/* answer.c */
/* Bytes of `out` that the client's side has, negative while more than that is on its way. */
int64_t connection_taken(const struct connection *connection);
/* Sends `bytes`, or keeps what the socket does not take. */
void connection_put(struct connection *connection, struct str bytes);
/* An answer of the connection's own, after which it ends. */
void connection_send_refusal(struct connection *connection, const struct connection_answer *answer,
                             bool retry);
void connection_on_writable(struct ev_loop *loop, ev_io *watcher, int events);
static inline size_t connection_waiting(const struct connection *connection)
{
    return connection->out.len - connection->out_sent;
}

/* Numbers; registered by listener_open(). */
extern struct stat_row http_connections, http_connections_total, http_accept_waits_total,
    http_requests_total, http_received_bytes_total, http_sent_bytes_total, http_refused_total,
    http_timeouts_total;

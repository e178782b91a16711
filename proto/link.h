/* A ZeroMQ socket on the loop.
 *
 * ZMQ_FD is edge-triggered and says only "look", so reading stands in the loop's turns (see link.c,
 * the only place that knows). An actor binds a ROUTER; a client connects one DEALER an instance, so
 * that it knows what is outstanding where. High-water marks are no admission control: callers count
 * what is outstanding themselves. Nothing here waits. */
#pragma once

#include "base/arena.h"

struct link;

/* Where a message came from, so that it can be answered. */
struct link_peer {
    unsigned char id[255]; /* routing id */
    unsigned char length;  /* bytes of `id`; 0 on a DEALER */
    bool delimiter;        /* an empty frame stood before the header (a REQ peer) */
};

struct link_events {
    /* A message of two frames. The bytes are good until it returns. */
    void (*received)(void *arg, const struct link_peer *from, struct str header, struct str body);
    /* A message of another number of frames (may be NULL). */
    void (*garbage)(void *arg, const struct link_peer *from, size_t frames);
    /* A posted message could not be sent (may be NULL). Not to close the link in. */
    void (*dropped)(void *arg);
    /* The peer came or went (a DEALER's one peer; may be NULL). `gone` comes within a millisecond
     * of its death. */
    void (*here)(void *arg);
    void (*gone)(void *arg);
};

/* Makes the process's ZeroMQ context (one I/O thread). Ends the program when it cannot. */
void link_open(void);
/* Sends what is left for at most `linger_us`, then ends the context. All links must be closed. */
void link_shut(void);

/* A ROUTER on `endpoint` (ipc://…, tcp://…). NULL: errno says why. Takes over an ipc path that is
 * bound already: the caller holds a lock. `receive_most_bytes`: larger frames drop their sender. */
struct link *link_bind(const char *endpoint, size_t receive_most_bytes,
                       const struct link_events *events, void *arg) MUST;

/* A DEALER that connects to `endpoint`, now and whenever the peer comes back (first retry after 10
 * ms). */
struct link *link_connect(const char *endpoint, size_t receive_most_bytes,
                          const struct link_events *events, void *arg) MUST;

/* Sends two frames (copied). 0; -1: nobody there (EHOSTUNREACH), the pipe is full (EAGAIN), or a
 * frame is larger than WIRE allows (EMSGSIZE): nothing was sent. `to` is NULL on a DEALER. */
int link_send(struct link *link, const struct link_peer *to, struct str header,
              struct str body) MUST;

/* As link_send(), but it goes out when the turn ends, with what else was posted, which is cheaper
 * for both sides. What then cannot be sent is dropped and `dropped` is called. */
void link_post(struct link *link, const struct link_peer *to, struct str header, struct str body);

/* Stops reading (back-pressure) or goes on. */
void link_pause(struct link *link, bool paused);

/* Closes; what was sent still goes out within the linger of 2 s, in the background. NULLs the
 * pointer. May be called from the link's own events. */
void link_close(struct link **link);

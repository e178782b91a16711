/* Listens for HTTP clients and owns their connections.
 *
 * Several processes may listen on one address (SO_REUSEPORT). Accepting stops, and goes on by
 * itself, where there are too many connections or no file descriptor is left. All runs on the loop.
 */
#pragma once

#include "connection.h"

struct listener;

/* How long things may take, in microseconds, and how fast they must go on, in bytes a second; 0
 * stands for the default. A body or an answer is cut when a whole length of `body` or `send`
 * brought less than the rate: who was fast before has no credit. */
struct listener_times {
    int64_t head;   /* from the first byte of a request (or the accept) to its empty line; 10 s */
    int64_t idle;   /* between two requests; 75 s */
    int64_t body;   /* between two looks at how fast a body comes; 10 s */
    int64_t send;   /* between two looks at how fast a client reads; 30 s */
    int64_t pause;  /* before who was refused because of too many is read again; 50 ms */
    int64_t linger; /* of reading on after an error, so that the client sees the answer; 2 s */
    int64_t fresh;  /* after listener_stop(), for those that have not sent anything yet; 1 s */
    int64_t body_rate; /* of a body that is not complete; 1,024 */
    int64_t send_rate; /* of an answer that waits to be read; 1,024 */
};

struct listener_config {
    const char *address;  /* `host:port`, `[v6]:port`; port 0: any */
    int fd;               /* a listening socket that was handed over, else -1 */
    unsigned connections; /* most at one time; 0: 20,000 */
    bool waits;        /* clients are accepted from listener_accept() on; until then they queue */
    size_t body_bytes; /* of all bodies that are held at one time, beyond 16 KiB each; 0: 256 MiB */
    struct listener_times times;              /* deadlines */
    const struct connection_handler *handler; /* outlives the listener */
};

/* Opens the listener on the loop; it takes a given `fd`. May wait for the resolver: call it at
 * start-up. NULL after having logged why. */
struct listener *listener_open(const struct listener_config *config) MUST;

/* Begins to accept, where the configuration says that it waits for this. */
void listener_accept(struct listener *listener);

/* The address it listens on, for people: `127.0.0.1:8000`. */
const char *listener_address(const struct listener *listener);

/* The listening socket, to hand over to a successor; -1 after listener_stop(). */
int listener_fd(const struct listener *listener);

/* Connections at this moment. */
unsigned listener_connections(const struct listener *listener);

/* Other times from now on. A deadline that runs already stays, and a shorter one that begins behind
 * it may have to wait for it. */
void listener_set_times(struct listener *listener, const struct listener_times *times);

/* Stops accepting, closes idle connections, and lets each busy one give its answer and close.
 * `empty` is called in a later turn, once, when none is left. Once only. */
void listener_stop(struct listener *listener, void (*empty)(void *arg), void *arg);

/* Cuts what is left, with on_gone() where due, and frees the listener. */
void listener_close(struct listener *listener);

/* A direct client: sends a message straight to an actor and waits for its replies.
 *
 * For programs without a loop of their own: the command `lectern`, tools, tests. One client talks
 * to one actor instance, over one DEALER, one message at a time. Every wait has a deadline; a peer
 * that dies is noticed at once. Not for programs that run a loop: those use link.h. */
#pragma once

#include "frame.h"

struct client;

enum client_end {
    CLIENT_DONE,    /* it is there */
    CLIENT_ABSENT,  /* nobody answers there; nothing was sent */
    CLIENT_TIMEOUT, /* the deadline passed */
    CLIENT_LOST,    /* the peer went after the message was sent: it may have been done */
    CLIENT_WRONG    /* what came is no reply, or our own side failed */
};

struct client_reply {
    struct common_reply header; /* status, user, validator, …; texts in the arena of the receive */
    msgpack_object body;        /* in that arena too; nil where there is none */
};

/* Connects to an instance of `domain` that answers a ping. `where` is a folder of sockets, or a
 * list `user=tcp://host:port,bible=…`. NULL when there is none by
 * `deadline_us` (monotonic): `cause` then holds a sentence. */
struct client *client_open(const char *domain, const char *where, int64_t deadline_us, char *cause,
                           size_t cause_bytes) MUST;

/* Sends one message. `id` of the header is set here; `body` is a msgpack map. CLIENT_WRONG when a
 * frame is larger than the wire allows. */
enum client_end client_send(struct client *client, const struct common_request *header,
                            struct str body, int64_t deadline_us) MUST;

/* Waits for the next reply to the message sent last; after one whose status is `more` another
 * follows. Texts and bytes live in `arena`. */
enum client_end client_receive(struct client *client, struct arena *arena, int64_t deadline_us,
                               struct client_reply *reply) MUST;

/* Closes at once: what was not answered is given up. NULLs the pointer; nothing where it is NULL.
 */
void client_close(struct client **client);

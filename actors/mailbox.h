/* The calls that an actor has in flight, bounded in number and bytes, and found by peer and id.
 *
 * A mail lives in its own call's arena. Whoever adds it takes it out before the arena goes. */
#pragma once

#include "actor.h"
#include "peers.h"

struct mail {
    struct call call;              /* the message being handled */
    struct actor *actor;           /* whose */
    const struct handler *handler; /* of its message */
    struct str body;               /* its inputs, msgpack */
    struct link_peer from;         /* where the reply goes */
    int64_t id;                    /* the peer's */
    uint64_t hash;                 /* of both */
    size_t bytes;                  /* that count against the mailbox */
    int64_t came_us;               /* monotonic */
    int64_t credit;     /* bytes that may be sent in pieces; INT_ABSENT: one reply only */
    bool awaits_credit; /* the fiber waits for more of it */
    unsigned pieces;    /* sent so far */
    bool left;          /* its caller took it back, is gone, or takes no more */
    struct mail *next;  /* of its bucket */
};

/* The mail whose call it is; only of a call that came as a message. */
static inline struct mail *mail_of(struct call *call)
{
    return (struct mail *)(void *)((char *)call - offsetof(struct mail, call));
}

struct mailbox {
    struct mail **buckets; /* a power of two of them */
    size_t mask;           /* that power less one */
    unsigned count;        /* of mails */
    unsigned most;         /* of them */
    size_t bytes;          /* of all mails */
    size_t most_bytes;     /* of them */
};

/* Ends the program without memory. */
void mailbox_open(struct mailbox *mailbox, unsigned most, size_t most_bytes);
void mailbox_close(struct mailbox *mailbox);

bool mailbox_has_room(const struct mailbox *mailbox, size_t bytes);

/* The number of a message, from that of its peer. */
uint64_t mail_hash(uint64_t peer_hash, int64_t id);

/* The mail of that peer with that id, or NULL. */
struct mail *mailbox_find(const struct mailbox *mailbox, uint64_t hash,
                          const struct link_peer *from, int64_t id);

void mailbox_add(struct mailbox *mailbox, struct mail *mail);
void mailbox_remove(struct mailbox *mailbox, struct mail *mail);

/* Cancels the fiber of every call. */
void mailbox_cancel_all(struct mailbox *mailbox);

/* Whom the actor heard from lately, so that they can be told that it is leaving.
 *
 * A bounded table: a peer takes the place of the one that was silent longest among its few
 * neighbours, so that no number of peers costs more memory. */
#pragma once

#include "link.h"

enum { PEER_SETS = 64, PEER_WAYS = 4 };

struct peer {
    struct link_peer at; /* length 0: nobody */
    int64_t heard_us;    /* last */
};

struct peers {
    struct peer table[PEER_SETS][PEER_WAYS]; /* by hash */
};

/* A number of the peer's id. */
uint64_t peer_hash(const struct link_peer *peer);

bool peer_equal(const struct link_peer *a, const struct link_peer *b);

/* Copies only as many bytes of the id as there are. */
void peer_copy(struct link_peer *to, const struct link_peer *from);

void peers_heard(struct peers *peers, const struct link_peer *from, uint64_t hash, int64_t now_us);

/* Calls `tell` for each. */
void peers_each(const struct peers *peers, void (*tell)(void *arg, const struct link_peer *peer),
                void *arg);

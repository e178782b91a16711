/* See peers.h. */
#include "peers.h"

uint64_t peer_hash(const struct link_peer *peer)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */

    for (unsigned i = 0; i < peer->length; i++)
        hash = (hash ^ peer->id[i]) * 0x100000001B3u;
    return hash;
}

bool peer_equal(const struct link_peer *a, const struct link_peer *b)
{
    return a->length == b->length && memcmp(a->id, b->id, a->length) == 0;
}

void peer_copy(struct link_peer *to, const struct link_peer *from)
{
    memcpy(to->id, from->id, from->length);
    to->length = from->length;
    to->delimiter = from->delimiter;
}

void peers_heard(struct peers *peers, const struct link_peer *from, uint64_t hash, int64_t now_us)
{
    struct peer *set = peers->table[(hash ^ hash >> 32) % PEER_SETS];
    struct peer *oldest = set;

    for (struct peer *peer = set; peer < set + PEER_WAYS; peer++) {
        if (peer_equal(&peer->at, from)) {
            peer->heard_us = now_us;
            return;
        }
        if (peer->heard_us < oldest->heard_us)
            oldest = peer;
    }
    peer_copy(&oldest->at, from);
    oldest->heard_us = now_us;
}

void peers_each(const struct peers *peers, void (*tell)(void *arg, const struct link_peer *peer),
                void *arg)
{
    for (unsigned i = 0; i < PEER_SETS * PEER_WAYS; i++) {
        const struct peer *peer = &peers->table[i / PEER_WAYS][i % PEER_WAYS];

        if (peer->at.length > 0)
            tell(arg, &peer->at);
    }
}

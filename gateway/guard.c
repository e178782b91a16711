/* Windows in sets of eight, and the users that are known in sets of four, both by a keyed hash. */
#include "guard.h"
#include "base/time.h"
#include <stdlib.h>
#include <sys/random.h>

enum {
    WINDOW_SETS = 4096,
    WINDOW_WAYS = 8,
    KNOWN_SETS = 8192,
    KNOWN_WAYS = 4,
    ROLE_KNOWN = 64, /* beside the kinds: keys of users that are known */
    ROLE_USER = 0,
    ROLE_ADDRESS = 32
};

#define WINDOW_US TIME_S(60)

struct window {
    uint64_t key;    /* whose */
    uint32_t minute; /* since the epoch; another than now: free */
    uint32_t count;  /* calls in it */
};

struct guard {
    uint64_t secret[2];                              /* of the hash */
    struct window windows[WINDOW_SETS][WINDOW_WAYS]; /* in no order */
    uint64_t known[KNOWN_SETS][KNOWN_WAYS];          /* newest first; 0: free */
};

struct guard *guard_new(void)
{
    struct guard *guard = calloc(1, sizeof(*guard));

    if (guard == NULL)
        return NULL;
    if (getrandom(guard->secret, sizeof(guard->secret), 0) != sizeof(guard->secret)) {
        free(guard);
        return NULL;
    }
    return guard;
}

void guard_free(struct guard *guard)
{
    free(guard);
}

static uint64_t turn(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int rounds)
{
    while (rounds-- > 0) {
        v[0] += v[1];
        v[1] = turn(v[1], 13) ^ v[0];
        v[0] = turn(v[0], 32);
        v[2] += v[3];
        v[3] = turn(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = turn(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = turn(v[1], 17) ^ v[2];
        v[2] = turn(v[2], 32);
    }
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_rounds(v, 1);
    v[0] ^= word;
}

/* SipHash-1-3 of a role and some bytes; never 0. */
static uint64_t hash(const struct guard *guard, unsigned role, const void *bytes, size_t len)
{
    uint64_t v[4] = {guard->secret[0] ^ 0x736f6d6570736575U, guard->secret[1] ^ 0x646f72616e646f6dU,
                     guard->secret[0] ^ 0x6c7967656e657261U,
                     guard->secret[1] ^ 0x7465646279746573U};
    const unsigned char *at = bytes;
    uint64_t result;

    sip_word(v, (uint64_t)role << 32 | len);
    for (size_t left = len; left > 0;) {
        size_t part = left < sizeof(uint64_t) ? left : sizeof(uint64_t);
        uint64_t word = 0;

        memcpy(&word, at, part);
        sip_word(v, word);
        at += part;
        left -= part;
    }
    v[2] ^= 0xff;
    sip_rounds(v, 3);
    result = v[0] ^ v[1] ^ v[2] ^ v[3];
    return result != 0 ? result : 1;
}

uint64_t guard_user_key(const struct guard *guard, enum guard_kind kind, struct str user)
{
    return hash(guard, (unsigned)kind + ROLE_USER, user.ptr, user.len);
}

uint64_t guard_address_key(const struct guard *guard, enum guard_kind kind,
                           const struct in6_addr *address)
{
    size_t len = IN6_IS_ADDR_V4MAPPED(address) ? sizeof(*address) : sizeof(*address) / 2;

    return hash(guard, (unsigned)kind + ROLE_ADDRESS, address, len);
}

/* The caller's window of this minute: its own, a free one, or that of the least busy. */
static struct window *window_of(struct guard *guard, uint64_t key, uint32_t minute)
{
    struct window *ways = guard->windows[key % WINDOW_SETS];
    struct window *best = &ways[0];

    for (unsigned i = 0; i < WINDOW_WAYS; i++) {
        if (ways[i].key == key && ways[i].minute == minute)
            return &ways[i];
        if (ways[i].minute != minute)
            ways[i].count = 0;
        if (ways[i].count < best->count)
            best = &ways[i];
    }
    best->key = key;
    best->minute = minute;
    return best;
}

bool guard_take(struct guard *guard, uint64_t key, int64_t limit, int64_t now_us,
                struct common_rate *left)
{
    uint32_t minute = (uint32_t)(now_us / WINDOW_US);
    struct window *window = window_of(guard, key, minute);
    bool within = limit == 0 || window->count < limit;

    if (within)
        window->count++;
    left->limit = limit;
    left->remaining = window->count < limit ? limit - window->count : 0;
    left->reset = ((int64_t)minute + 1) * (WINDOW_US / TIME_S(1));
    return within;
}

void guard_know(struct guard *guard, struct str user)
{
    uint64_t key = hash(guard, ROLE_KNOWN, user.ptr, user.len);
    uint64_t *ways = guard->known[key % KNOWN_SETS];
    unsigned at = 0;

    while (at < KNOWN_WAYS - 1 && ways[at] != key)
        at++;
    for (; at > 0; at--)
        ways[at] = ways[at - 1];
    ways[0] = key;
}

bool guard_knows(const struct guard *guard, struct str user)
{
    uint64_t key = hash(guard, ROLE_KNOWN, user.ptr, user.len);
    const uint64_t *ways = guard->known[key % KNOWN_SETS];

    for (unsigned i = 0; i < KNOWN_WAYS; i++)
        if (ways[i] == key)
            return true;
    return false;
}

/* Answers that a row declares immutable for a validator, as rendered bytes, in bounded memory.
 *
 * The key is the message and its checked input. What is longest unused goes first. An answer that
 * somebody holds stays whole until he lets go of it, also when it has left the cache meanwhile.
 * Nothing here waits. */
#pragma once

#include "base/arena.h"

struct cache;

struct cached {
    struct str validator; /* of the answer, without quotes */
    struct str body;      /* JSON */
    int64_t checked_us;   /* monotonic; when an actor said last that it holds */
};

/* An empty cache. NULL without memory. */
struct cache *cache_new(size_t limit_bytes) MUST;

/* Nothing may be held. NULLs the pointer. */
void cache_free(struct cache **cache);

/* The answer, held for the caller, or NULL. `key` is the message's number, `input` its encoded
 * input. */
struct cached *cache_hold(struct cache *cache, unsigned key, struct str input) MUST;

/* Lets go of it; NULL is nothing. */
void cache_release(struct cache *cache, struct cached *cached);

/* Takes an answer in, in the place of an older one. What is larger than an eighth of the cache, or
 * finds no memory, is not kept. */
void cache_store(struct cache *cache, unsigned key, struct str input, const struct cached *answer);

/* Takes it out, because it does not hold any more. */
void cache_forget(struct cache *cache, struct cached *cached);

/* Bytes of all that is in it, keys and bookkeeping included. */
size_t cache_bytes(const struct cache *cache);

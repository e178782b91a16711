/* A hash table with chains, and a list from the newest use to the oldest. */
#include "cache.h"
#include <stdlib.h>
#include <sys/random.h>

enum { BUCKETS = 4096, LARGEST_SHARE = 8 };

struct entry {
    struct cached cached;        /* first, so that it is the entry; its texts stand behind it */
    struct entry *chain;         /* of its bucket */
    struct entry *newer, *older; /* by use */
    uint64_t hash;               /* of key and input */
    struct str input;            /* behind the entry, too */
    size_t bytes;                /* of all of it */
    unsigned key;                /* the message's number */
    unsigned holders;            /* who hold it */
    bool listed;                 /* it is in the table */
};

struct cache {
    struct entry *buckets[BUCKETS];
    struct entry *newest, *oldest; /* by use */
    size_t bytes, limit_bytes;
    uint64_t seed; /* so that nobody outside can choose one bucket */
};

struct cache *cache_new(size_t limit_bytes)
{
    struct cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL)
        return NULL;
    cache->limit_bytes = limit_bytes;
    if (getrandom(&cache->seed, sizeof(cache->seed), GRND_NONBLOCK) != sizeof(cache->seed))
        cache->seed = (uintptr_t)cache;
    return cache;
}

/* FNV-1a with a last mixing. */
static uint64_t hash_of(const struct cache *cache, unsigned key, struct str input)
{
    uint64_t hash = (cache->seed ^ key) * 0x100000001b3U;

    for (size_t i = 0; i < input.len; i++)
        hash = (hash ^ (unsigned char)input.ptr[i]) * 0x100000001b3U;
    return hash ^ hash >> 32;
}

static struct entry **bucket_of(struct cache *cache, uint64_t hash)
{
    return &cache->buckets[hash % BUCKETS];
}

/* ---- the list by use ---- */

static void unlink_use(struct cache *cache, struct entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void link_newest(struct cache *cache, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

/* ---- in and out ---- */

static void take_out(struct cache *cache, struct entry *entry)
{
    struct entry **at = bucket_of(cache, entry->hash);

    while (*at != entry)
        at = &(*at)->chain;
    *at = entry->chain;
    unlink_use(cache, entry);
    cache->bytes -= entry->bytes;
    entry->listed = false;
    if (entry->holders == 0)
        free(entry);
}

static struct entry *find(struct cache *cache, unsigned key, struct str input, uint64_t hash)
{
    struct entry *entry = *bucket_of(cache, hash);

    while (entry != NULL &&
           (entry->hash != hash || entry->key != key || !str_equal(entry->input, input)))
        entry = entry->chain;
    return entry;
}

static struct str put(char **at, struct str text)
{
    struct str copy = {*at, text.len};

    memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static struct entry *entry_new(unsigned key, struct str input, const struct cached *answer)
{
    size_t bytes = sizeof(struct entry) + input.len + answer->validator.len + answer->body.len;
    struct entry *entry = malloc(bytes);
    char *at = (char *)(entry + 1);

    if (entry == NULL)
        return NULL;
    *entry = (struct entry){.bytes = bytes, .key = key};
    entry->input = put(&at, input);
    entry->cached =
        (struct cached){.validator = put(&at, answer->validator), .checked_us = answer->checked_us};
    entry->cached.body = put(&at, answer->body);
    return entry;
}

struct cached *cache_hold(struct cache *cache, unsigned key, struct str input)
{
    struct entry *entry = find(cache, key, input, hash_of(cache, key, input));

    if (entry == NULL)
        return NULL;
    unlink_use(cache, entry);
    link_newest(cache, entry);
    entry->holders++;
    return &entry->cached;
}

void cache_release(struct cache *cache, struct cached *cached)
{
    struct entry *entry = (struct entry *)cached;

    (void)cache;
    if (entry != NULL && --entry->holders == 0 && !entry->listed)
        free(entry);
}

void cache_store(struct cache *cache, unsigned key, struct str input, const struct cached *answer)
{
    uint64_t hash = hash_of(cache, key, input);
    struct entry *old = find(cache, key, input, hash);
    struct entry *entry;

    if (old != NULL)
        take_out(cache, old);
    entry = entry_new(key, input, answer);
    if (entry == NULL)
        return;
    if (entry->bytes > cache->limit_bytes / LARGEST_SHARE) {
        free(entry);
        return;
    }
    entry->hash = hash;
    entry->listed = true;
    entry->chain = *bucket_of(cache, hash);
    *bucket_of(cache, hash) = entry;
    link_newest(cache, entry);
    cache->bytes += entry->bytes;
    while (cache->bytes > cache->limit_bytes)
        take_out(cache, cache->oldest);
}

void cache_forget(struct cache *cache, struct cached *cached)
{
    struct entry *entry = (struct entry *)cached;

    if (entry->listed)
        take_out(cache, entry);
}

size_t cache_bytes(const struct cache *cache)
{
    return cache->bytes;
}

void cache_free(struct cache **cache)
{
    if (*cache == NULL)
        return;
    while ((*cache)->newest != NULL)
        take_out(*cache, (*cache)->newest);
    free(*cache);
    *cache = NULL;
}

/* Chapters that were read, kept in memory up to a bound, the ones used last longest.
 *
 * Equal questions at one time are asked once: the first one reads, the others wait for it as they
 * would for the database. What was read stays readable while the database is away. */
#pragma once

#include "call.h"

struct chapter_verse {
    int number;       /* of the verse */
    struct str text;  /* plain */
    struct str parts; /* its content as msgpack; absent: it has none */
};

struct chapter_key {
    int32_t translation; /* bible_translations.id */
    int book;            /* 1 to 66 */
    int chapter;         /* from 1 */
};

struct chapter {
    struct chapter_key key;        /* which it is */
    int64_t version;               /* of the translation's import */
    struct str content;            /* its items as msgpack; absent: there is no such chapter */
    size_t count;                  /* of verses */
    struct chapter *next;          /* of its bucket */
    struct chapter *newer, *older; /* by use */
    size_t bytes;                  /* of this block */
    unsigned pins;                 /* calls that use it */
    bool dropped;                  /* it goes with its last pin */
    struct chapter_verse verses[]; /* by number */
};

void cache_open(size_t most_bytes);

/* Frees all. No call may use a chapter. */
void cache_close(void);

/* The chapter, of `version` or a newer import; the call may use it until it ends. May wait. NULL
 * with a failure recorded. */
const struct chapter *cache_get(struct call *call, const struct chapter_key *key,
                                int64_t version) MUST;

/* Drops what is older than its translation's present version. */
void cache_drop_older(int64_t (*version_of)(int32_t translation));

/* Bytes held now. */
size_t cache_bytes(void);

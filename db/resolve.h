/* Names of hosts to addresses, off the loop.
 *
 * getaddrinfo() blocks for as long as a name server likes, so a short-lived thread calls it, for
 * all names of one question in turn; the answer comes back on the loop. */
#pragma once

#include "base/arena.h"

enum {
    RESOLVE_NAMES = 16,         /* most names of a question */
    RESOLVE_ADDRESSES = 8,      /* most addresses of a name; more are left out */
    RESOLVE_ADDRESS_BYTES = 64, /* of one, as terminated text */
    RESOLVE_NAME_BYTES = 256    /* of a name, terminated */
};

struct resolved {
    char name[RESOLVE_NAME_BYTES];                            /* as asked */
    char addresses[RESOLVE_ADDRESSES][RESOLVE_ADDRESS_BYTES]; /* numeric */
    unsigned count;                                           /* of them; 0: it has none */
    char error[100];                                          /* why, where it has none */
};

struct resolve;

/* Asks; `done` is called on the loop, once, unless it was dropped before. NULL when no thread can
 * be had. `names`, `count` of them, are copied. */
struct resolve *resolve_start(const struct resolved *names, unsigned count,
                              void (*done)(struct resolve *resolve, void *arg), void *arg) MUST;

/* The answer, in the order of the names; only from `done` on. */
const struct resolved *resolve_answer(const struct resolve *resolve);

/* Forgets the question, answered or not (a thread that still asks ends by itself). NULLs the
 * pointer. */
void resolve_drop(struct resolve **resolve);

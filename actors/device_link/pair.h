/* Two users who become one. */
#pragma once

#include "query.h"

/* What came of it. */
struct merged {
    struct str kept;      /* anonymous id of the user who is left */
    struct str gone;      /* the other's, which names the kept one from now on */
    int64_t device_count; /* devices that the kept user has now */
};

typedef int (*query_fn)(struct call *call, const struct statement *statement, struct params params,
                        struct rows *rows);

/* Runs a statement (by db_query or db_query_as_user) that finds two users and locks their rows for
 * update, the lower id first; its column `locked` says that none of those whom it found went while
 * it waited. Else the locks are given back and it looks again. */
int pair_lock(struct call *call, query_fn query, const struct statement *statement,
              struct params params, struct rows *rows) MUST;

/* Makes two users one, both locked: kept is the one with more devices, else the newer. */
int pair_merge(struct call *call, int32_t one, int32_t other, struct merged *merged) MUST;

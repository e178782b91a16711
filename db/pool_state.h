/* The inside of the pool, for pool.c (connections) and dispatch.c (requests) only. */
#pragma once

#include "base/loop.h"
#include "crowd.h"
#include "pool_use.h"

struct pool {
    struct log_tag log;          /* of the process */
    struct pool_config config;   /* as given */
    struct target *target;       /* where the database is */
    struct conn_lists lists;     /* all connections */
    struct request_list reads;   /* wait for the end of the turn, or for a connection */
    struct request_list waiting; /* wait for one of the other connections */
    struct crowd readers;        /* all whose read is not answered */
    struct crowd others;         /* whose write is not, or who wait for a connection */
    struct loop_hook hook;       /* sends the reads of a turn */
    bool more;                   /* the hook has woken somebody */
    ev_timer tick;               /* once a second */
    ev_timer grace;              /* until a connection counts as away */
    bool away;                   /* no read connection, and none is likely now */
    uint64_t chance;             /* state of the jitter */
    int64_t logged_us;           /* when `logged` was logged */
    char logged[CONN_WHY_BYTES]; /* the last cause of a failure to connect */
    char why[CONN_WHY_BYTES];    /* why it is away */
};

/* Connections for reads that can be used. */
unsigned pool_reads_up(const struct pool *pool);

/* Others in that state or a later one, but for the outdated: from resolving on they serve somebody
 * sooner or later, from idle on they are up. */
unsigned pool_others_from(const struct pool *pool, enum conn_state least);

/* Opens one more of the others, if it may. */
void pool_open_other(struct pool *pool);

/* Gives what is idle to who waits. */
void pool_serve(struct pool *pool);

/* Sends the reads of a turn; the hook's. */
bool pool_send_reads(struct loop_hook *hook);

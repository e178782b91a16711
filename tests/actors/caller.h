/* Calls of made-up messages against a real database, on a real loop, as the runtime makes them. */
#pragma once

#include "base/time.h"
#include "harness/postgres.h"
#include "query.h"
#include "tx.h"

/* One call: what it does, and how it ended. */
struct task {
    enum kind kind;                               /* of its message */
    int (*handler)(struct call *call, void *arg); /* 0, or -1 with a failure recorded */
    void *arg;                                    /* for the handler */
    int64_t budget_us;                            /* 0: 5 s */
    struct fiber *fiber;                          /* while it runs */
    int result;             /* what the handler, or the end of its transaction, returned */
    struct failure failure; /* as the call left it */
    int64_t took_us;        /* from its start to its end */
};

extern struct pool *caller_pool;

/* What an actor asks for, with that URL. */
struct pool_config caller_config(const char *url);

/* Loop, fibers and a pool, and waits until the pool is ready (unless `wait` is false). */
void caller_open(const struct pool_config *config, bool wait);
void caller_close(void);

/* Begins a call; it runs in caller_wait() or caller_run(). */
void caller_start(struct task *task);

/* Runs the loop until no call is left. */
void caller_wait(void);

/* One call, to its end. */
void caller_run(struct task *task);

/* For handlers: waits for some time, in a transaction too. */
void caller_rest(int64_t us);

/* Runs the loop until the pool is ready or `most_us` have passed: whether it is. */
bool caller_wait_ready(int64_t most_us);

/* The fault's name, or "" */
const char *fault_of(const struct task *task);

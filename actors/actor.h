/* What every actor is made of: a mailbox on a ZeroMQ socket, one fiber a call, replies after the commit.
 *
 * main.c opens it with the domain's table of handlers. A message is admitted when the mailbox has
 * room (else `busy` at once), its input is checked, its handler runs in a fiber with a transaction as the row's
 * kind says, and the reply goes out after the commit was answered. Work whose deadline passed is never started. */
#pragma once

#include "call.h"
#include "query.h"
#include "tx.h"

/* A handler: 0 (and `out` filled) or -1 with a failure recorded. Both structs are the message's. */
typedef int (*handler_fn)(struct call *call, const void *in, void *out);

struct handler {
    const struct method *method;
    handler_fn run;
};

struct actor; /* the process's one */

/* A domain: its handlers, and what it needs beside them. Each domain folder defines one (domain_<name>). */
struct domain {
    const char *name;
    const struct handler *handlers; /* one a message of the domain */
    size_t count;
    void (*open)(struct actor *actor);  /* before messages are taken; may start fibers and timers; may be NULL */
    void (*close)(void);                /* after the last call; frees what `open` made; may be NULL */
};

/* The database of this actor, for the domain's own work. */
struct pool *actor_pool(struct actor *actor);

/* Runs fn(call, arg) in a fiber of its own as a call without a message, of kind `steps`, with a deadline of
 * `budget_us`; for work that an actor does by itself (a refresh, a sweep). `what` is for the log. The fiber's failure is logged.
 * `done` (may be NULL) runs on the loop when it ended. -1 when there are too many fibers. */
int actor_work(struct actor *actor, const char *what, int64_t budget_us,
               int (*fn)(struct call *call, void *arg), void *arg) MUST;

/* Runs `fn` as actor_work() does, at once and then every `period_us` (never two at a time), until the actor drains. */
void actor_every(struct actor *actor, const char *what, int64_t period_us, int64_t budget_us,
                 int (*fn)(struct call *call, void *arg), void *arg);

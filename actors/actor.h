/* What every actor is made of: a mailbox on a ZeroMQ socket, one fiber a call, replies after the
 * commit.
 *
 * main.c opens it with the domain's table of handlers. A message is admitted when the mailbox has
 * room (else `busy` at once), its input is checked, its handler runs in a fiber with a transaction
 * as the row's kind says, and the reply goes out after the commit was answered. Work whose deadline
 * passed is never started. */
#pragma once

#include "call.h"
#include "llm/options.h"
#include "query.h"
#include "tx.h"

/* A handler: 0 (and `out` filled) or -1 with a failure recorded. Both structs are the message's;
 * `out` is all zero before. */
typedef int (*handler_fn)(struct call *call, const void *in, void *out);

struct handler {
    const struct method *method; /* the row */
    handler_fn run;              /* what it does */
};

struct actor; /* the process's one */

/* A domain: its handlers, and what it needs beside them. Each domain folder defines one
 * (domain_<name>); see handlers.h. */
struct domain {
    const char *name;
    const struct handler *handlers;    /* one a message of the domain */
    size_t count;                      /* of handlers */
    int schema_version;                /* least migration that its statements need */
    void (*open)(struct actor *actor); /* before messages are taken; may start work; may be NULL */
    void (*close)(void); /* after the last call; frees what `open` made; may be NULL */
};

/* Runs an actor of the domain until it was told to end; what main() returns. */
int actor_main(const struct domain *domain, int argc, char **argv);

/* The database of this actor, for the domain's own work. */
struct pool *actor_pool(struct actor *actor);

/* How the language model is asked, as the options say; see llm/llm.h. */
struct llm_options actor_llm_options(const struct actor *actor);

/* What the domain may keep in memory of what it read. */
size_t actor_keep_bytes(const struct actor *actor);

/* Runs fn(call, arg) in a fiber of its own as a call without a message, of kind `steps`, with a
 * deadline of `budget_us`; for work that an actor does by itself (a sweep). `what` is for the log,
 * and so is its failure. -1 when there are too many fibers or no memory. */
int actor_work(struct actor *actor, const char *what, int64_t budget_us,
               int (*fn)(struct call *call, void *arg), void *arg) MUST;

/* Runs `fn` as actor_work() does, at once and then every `period_us` (never two at a time), until
 * the actor drains. After a failure it is tried again sooner. */
void actor_every(struct actor *actor, const char *what, int64_t period_us, int64_t budget_us,
                 int (*fn)(struct call *call, void *arg), void *arg);

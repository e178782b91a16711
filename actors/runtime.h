/* The insides of the runtime: what its files share. Handlers see actor.h only. */
#pragma once

#include "link.h"
#include "mailbox.h"
#include "options.h"
#include "seat.h"
#include "standstill.h"
#include <ev.h>

struct admin;
struct every;
struct work;

struct actor {
    const struct domain *domain;
    struct actor_options options;                  /* as they were given */
    struct seat seat;                              /* where it is */
    struct pool *pool;                             /* the database */
    struct link *link;                             /* where messages come in */
    struct admin *admin;                           /* for probes; NULL: off */
    struct mailbox mailbox;                        /* calls in flight */
    struct peers peers;                            /* whom to tell of leaving */
    const struct handler *by_method[METHOD_COUNT]; /* NULL: of another domain */
    struct work *works;                            /* its own, under way */
    struct every *everies;                         /* what it does again and again */
    bool draining;                                 /* SIGTERM came */
    struct standstill standstill;                  /* whether nothing ran */
    int64_t heard_us;                              /* when the last message came */
    int64_t drain_us;                              /* when the drain's time is over */
    bool cut;                                      /* it was, and calls were cancelled */
    ev_timer drain;                                /* looks whether all has ended */
};

/* ---- admit.c: from the socket to the mailbox ---- */

/* What comes in, `arg` being the actor. */
extern const struct link_events admit_events;

/* ---- handle.c: from the mailbox to the reply ---- */

/* A fiber's function: handles the mail, answers it, and ends it. */
void handle_mail(void *mail);

/* ---- list.c ---- */

/* The reader takes so many bytes more. */
void pieces_grant(struct mail *mail, int64_t bytes);

/* Sends a reply that is not the last one, when the reader has credit. -1: a failure is recorded. */
int pieces_send(struct mail *mail, struct str body) MUST;

/* Sends the reply behind them; waits a moment where there is no room for it, cancelled or not. */
void pieces_end(struct mail *mail, const struct common_reply *reply, struct str body);

/* ---- reply.c ---- */

/* Sends two frames when the turn ends; what cannot be sent is counted. */
void reply_send(struct actor *actor, const struct link_peer *to, const struct common_reply *reply,
                struct str body);

/* Sends them at once: 0, or -1 with errno as by link_send(). */
int reply_try(struct actor *actor, const struct link_peer *to, const struct common_reply *reply,
              struct str body) MUST;

/* Answers with a fault. */
void reply_fault(struct actor *actor, const struct link_peer *to, int64_t id,
                 const struct failure *failure);

/* ---- work.c ---- */

/* What the actor does again and again is begun no more, and cancelled where it runs. */
void work_drain(struct actor *actor);

/* Cancels all of the actor's own work. */
void work_cancel_all(struct actor *actor);

/* Frees what actor_every() made. No work may run. */
void work_close(struct actor *actor);

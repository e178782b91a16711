/* A counted question to the language model, from the reservation to the transaction that stores. */
#pragma once

#include "actor.h"
#include "llm/llm.h"

struct generation {
    const struct llm_question *question; /* what is asked; a form or text */
    struct str *texts;                   /* where the answer goes, as by llm_ask() */
    /* Stores the answer, in the transaction that counts it; NULL: nothing is stored. */
    int (*store)(struct call *call, void *arg);
    void *arg; /* for it */
};

/* Reserves, asks, stores and counts, within a call of kind `steps`; what failed is given back. */
int generate(struct call *call, const struct generation *generation) MUST;

/* Runs `store` in a transaction of its own, for 10 s again and again where the database has no room
 * or is away: many answers may end at one time, and each was paid for. */
int generation_store(struct call *call, int (*store)(struct call *call, void *arg), void *arg) MUST;

/* Turns a failure of the model's into the message's own; the log has told them apart. Always -1. */
int generate_failed(struct call *call, const struct fault *fault);

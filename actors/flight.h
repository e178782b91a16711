/* Equal questions in flight are answered once.
 *
 * The first call that asks starts a flight: work of its own, with the first caller's inputs, that
 * goes on as long as anybody waits for it, also when the first one leaves. Calls with equal inputs
 * wait for the same result. A failure that is the first caller's own (his allowance, his account,
 * his time) is his alone; the others begin a new flight. */
#pragma once

#include "actor.h"

enum { FLIGHT_TEXTS = 4 };

/* What a flight brings. */
struct flight_result {
    int64_t id;                     /* of what is stored, or INT_ABSENT */
    bool found;                     /* it was stored before */
    struct str texts[FLIGHT_TEXTS]; /* in the memory of the call that gets them; absent ones last */
};

/* Once, at start-up. */
void flight_open(void);

/* Does the work, in a call of kind `steps` that acts for the first caller; `in` is a copy of his
 * inputs. 0 with the result filled, its texts in the call's memory. */
typedef int (*flight_fn)(struct call *call, const void *in, struct flight_result *result);

/* Gives the result of the flight for equal inputs of the same message, waiting for it or starting
 * it. `*shared`: it was another call's. -1: as the work failed, or timeout, cancelled, busy. */
int flight_run(struct actor *actor, struct call *call, const void *in, flight_fn run,
               struct flight_result *result, bool *shared) MUST;

/* Generating; see generate.h. */
#include "generate.h"
#include "base/time.h"
#include "patience.h"
#include "quota.h"

#define PATIENCE_US TIME_S(10)

/* ---- storing ---- */

struct stored {
    int (*store)(struct call *call, void *arg);
    void *arg; /* for it */
};

static int store_once(struct call *call, void *arg)
{
    const struct stored *stored = arg;

    return tx_run(call, stored->store, stored->arg);
}

int generation_store(struct call *call, int (*store)(struct call *call, void *arg), void *arg)
{
    struct stored stored = {store, arg};

    return try_patiently(call, PATIENCE_US, store_once, &stored);
}

/* ---- generating ---- */

struct storing {
    const struct generation *generation;
    const struct reservation *reservation;
};

static int store(struct call *call, void *arg)
{
    const struct storing *storing = arg;
    const struct generation *generation = storing->generation;

    if (allowance_settle(call, storing->reservation) != 0)
        return -1;
    return generation->store != NULL ? generation->store(call, generation->arg) : 0;
}

int generate(struct call *call, const struct generation *generation)
{
    struct reservation *reservation = allowance_reserve(call);
    struct storing storing = {generation, reservation};

    if (reservation == NULL)
        return -1;
    if (llm_ask(call, generation->question, generation->texts) == 0 &&
        generation_store(call, store, &storing) == 0) {
        allowance_settled(reservation);
        return 0;
    }
    allowance_give_back(call, reservation);
    return -1;
}

int generate_failed(struct call *call, const struct fault *fault)
{
    if (failed_with(&call->failure, &fault_model_failed) ||
        failed_with(&call->failure, &fault_model_refused_key))
        call->failure.fault = fault;
    return -1;
}

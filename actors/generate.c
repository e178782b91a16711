/* Generating; see generate.h. */
#include "generate.h"
#include "quota.h"

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
        tx_run(call, store, &storing) == 0) {
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

/* Patience; see patience.h. */
#include "patience.h"
#include "base/time.h"

#define LOOK_AGAIN_US TIME_MS(50)

int try_patiently(struct call *call, int64_t for_us, int (*fn)(struct call *call, void *arg),
                  void *arg)
{
    int64_t until_us = time_now_us() + for_us;

    while (fn(call, arg) != 0) {
        if (!call->failure.fault->retry || time_now_us() >= until_us)
            return -1;
        failure_clear(&call->failure);
        if (call_rest(call, LOOK_AGAIN_US) != 0)
            return -1;
    }
    return 0;
}

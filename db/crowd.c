/* See crowd.h. The pace is a quotient of two sums, because many are often served at one moment. */
#include "crowd.h"
#include <assert.h>

enum {
    /* So much is remembered at least; then both sums are halved, so that what is old counts less.
     * The time is there lest a moment in which the process did not run looks like a slow server. */
    REMEMBERED = 128,
    REMEMBERED_US = 200000,
    FAVOUR = 16 /* as if so many had been served in no time: the first do not judge all */
};

void crowd_join(struct crowd *crowd, int64_t now_us)
{
    if (crowd->count++ == 0)
        crowd->since_us = now_us;
}

void crowd_leave(struct crowd *crowd, bool served, int64_t now_us)
{
    assert(crowd->count > 0);
    crowd->count--;
    crowd->busy_us += now_us - crowd->since_us;
    crowd->since_us = now_us;
    crowd->served += served;
    if (crowd->served >= REMEMBERED && crowd->busy_us >= REMEMBERED_US) {
        crowd->served /= 2;
        crowd->busy_us /= 2;
    }
}

int64_t crowd_wait_us(const struct crowd *crowd, int64_t now_us)
{
    if (crowd->count == 0)
        return 0;
    return crowd->count * (crowd->busy_us + now_us - crowd->since_us) / (crowd->served + FAVOUR);
}

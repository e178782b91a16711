/* Those who wait for the same thing, and how long one more would have to wait.
 *
 * The judgement is by what was seen: as many as are there, at the pace at which those before them
 * were served while anybody waited. A queue that is bounded by number alone is too long when each
 * takes long: all of it then waits until its time is over, and is served in vain. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* All zero: nobody came yet. */
struct crowd {
    unsigned count;   /* that wait, or are being served */
    unsigned served;  /* of late */
    int64_t busy_us;  /* the time in which these were served */
    int64_t since_us; /* not counted in it yet: from then on, while somebody is there */
};

void crowd_join(struct crowd *crowd, int64_t now_us);

/* One goes; `served`: with what he came for. */
void crowd_leave(struct crowd *crowd, bool served, int64_t now_us);

/* How long all who are there will take. */
int64_t crowd_wait_us(const struct crowd *crowd, int64_t now_us);

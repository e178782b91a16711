/* Whether the process stood still: it was stopped, or got no processor.
 *
 * A message says how much time it has, and that counts from when it is taken. What waited in the
 * socket while nothing ran is older than it looks. How old is not known; it is taken for as old as
 * the standstill was long, as long as messages follow each other closely, for half a second at
 * most. So what nobody waits for any more is not begun, and a message that came at the end may
 * be refused although it had time: nothing was done then, and it can be sent again. */
#pragma once

#include <ev.h>
#include <stdint.h>

struct standstill {
    ev_timer pulse;    /* fires once a second, unless nothing runs */
    int64_t beat_us;   /* when it did, monotonic */
    int64_t length_us; /* of the standstill behind which messages wait; 0: none */
    int64_t ended_us;  /* when that ended */
    int64_t taken_us;  /* when the last one of them was taken */
};

void standstill_open(struct standstill *standstill);
void standstill_close(struct standstill *standstill);

/* How old a message may be that is taken now. */
int64_t standstill_age_us(struct standstill *standstill, int64_t now_us);

/* Fibers: functions that can wait, on stacks of their own, all on the process's one loop.
 *
 * One primitive waits: fiber_wait(). It has four ends: done, failed, out of time, cancelled;
 * everything that waits is built on it. Waking only marks a fiber ready; ready fibers run at the
 * end of the turn, so a callback never finds itself inside another's work. Stacks are pooled, 64
 * KiB with a guard page below, and known to AddressSanitizer. The switch is Boost.Context's. */
#pragma once

#include "arena.h"

struct fiber;

enum wake {
    WAKE_DONE,    /* what was waited for is there */
    WAKE_FAILED,  /* it will not come; the waker left the reason where the waiter looks */
    WAKE_TIMEOUT, /* the deadline passed */
    WAKE_CANCEL   /* fiber_cancel() */
};

/* Registers with the loop. `most`: fibers at one time. */
void fiber_open(unsigned most);
/* Frees the pooled stacks. No fiber may live. */
void fiber_close(void);

/* Makes a fiber, ready to run before the loop sleeps. NULL when there are too many or no memory.
 * The handle is good until `run` returns. */
struct fiber *fiber_start(void (*run)(void *arg), void *arg) MUST;

/* Tells the watchdog who holds the loop whenever the running fiber does (see loop_holder()). Both
 * texts outlive the fiber; `detail` may be NULL. */
void fiber_announce(const char *who, const char *detail);

/* The fiber that runs now; NULL on the loop itself. */
struct fiber *fiber_self(void);

/* Suspends the running fiber until it is woken, cancelled, or the monotonic clock reaches
 * `deadline_us` (TIME_NEVER: no deadline; for what is waited for otherwise). WAKE_CANCEL is sticky:
 * a cancel that came while it ran, and each later wait, ends with it at once. A wake that came
 * while it ran is not remembered: look first whether what you wait for is there, and look again
 * after WAKE_DONE where others may wake the fiber too. When the wait ended otherwise, take the
 * fiber away from whoever would still wake it. */
enum wake fiber_wait(int64_t deadline_us) MUST;

/* As fiber_wait(), but a cancel is left for the next wait: for what must be seen to its end. */
enum wake fiber_wait_shielded(int64_t deadline_us) MUST;

/* Lets the loop turn once before it goes on, so that others run: for work that is long by itself.
 * Once the fiber was cancelled, and outside of fibers, it returns at once. */
void fiber_yield(void);

/* Makes a waiting fiber ready; `why` is WAKE_DONE or WAKE_FAILED. Nothing if it is ready already,
 * or runs. */
void fiber_wake(struct fiber *fiber, enum wake why);

/* Asks a fiber to end: its present (or next) wait returns WAKE_CANCEL. */
void fiber_cancel(struct fiber *fiber);

/* Whether fiber_cancel() was called on the running fiber. */
bool fiber_cancelled(void);

/* Fibers alive now. */
unsigned fiber_count(void);

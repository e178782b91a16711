/* Trying again what came to nothing because there was no room for it, or the database was away for
 * a moment. */
#pragma once

#include "actor.h"

/* Does `fn` until it succeeds, fails for good, or `for_us` is over; between two attempts it rests
 * for 50 ms. 0, or -1 as the last attempt failed. */
int try_patiently(struct call *call, int64_t for_us, int (*fn)(struct call *call, void *arg),
                  void *arg) MUST;

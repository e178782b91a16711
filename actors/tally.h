/* What an actor counts: see tally.c for the names. */
#pragma once

#include "base/stat.h"
#include "mailbox.h"

extern struct stat_row busy_total, expired_total, cancelled_total, garbage_total,
    replies_dropped_total;

/* Registers all, with a cell for each handler of the domain where they are told apart. */
void tally_open(const struct domain *domain, const struct mailbox *mailbox);

/* Counts a call that ended with `fault` (NULL: well). `handler`: its index in the domain. */
void tally_ended(unsigned handler, const struct fault *fault, int64_t took_us);

/* Frees what tally_open() made. After stat_close(). */
void tally_close(void);

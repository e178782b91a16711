/* Transactions of a call.
 *
 * The runtime attaches a session to each call and finishes it after the handler; handlers of kind
 * `steps` call tx_run() for each of their transactions. BEGIN travels with the first statement; a
 * connection goes back to the pool only when it is clean (idle, nothing pending), else it is
 * closed. While a transaction is open, call_wait_foreign() refuses. */
#pragma once

#include "call.h"
#include "pool.h"

/* Binds the call to the pool; takes no connection yet. Without memory a failure is recorded, and so
 * is one by each query of the call. */
void db_attach(struct call *call, struct pool *pool);

/* Whether a transaction is open (a connection is checked out). */
bool db_in_transaction(const struct call *call);

/* Ends what the handler left open: COMMIT when `commit`, else ROLLBACK. May wait (shielded from
 * cancel once COMMIT was sent). 0, or -1 with a failure recorded: outcome_unknown when the answer
 * to COMMIT was lost. A failure that is recorded already stays, but for a kept fault whose COMMIT
 * fails: the caller is told why instead. Past the deadline, or cancelled, nothing is committed. */
int db_finish(struct call *call, bool commit) MUST;

/* Whether the call failed with a serialization failure or a deadlock, so that its transaction may
 * be run again. */
bool db_may_retry(const struct call *call);

/* Runs fn(call, arg) in one transaction: commits when it returns 0 or fails with a kept fault,
 * rolls back otherwise, and runs it again (at most 5 times, within the deadline) after a
 * serialization failure or a deadlock; `fn` must set everything it answers anew each time. */
int tx_run(struct call *call, int (*fn)(struct call *call, void *arg), void *arg) MUST;

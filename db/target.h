/* Where the database is and how one introduces oneself: what libpq takes from a URL, from PG*
 * variables, from a service file and from a password file, read once, at start-up.
 *
 * Later connections are begun from what was read, so that they open no file (but those that TLS or
 * Kerberos need, and the password file where several hosts have several passwords). Names of hosts
 * are resolved off the loop, and every address of every host becomes one of the places that a
 * connection is tried at. No text that comes from here holds a password. */
#pragma once

#include "pool.h"
#include <libpq-fe.h>

struct target;

/* Reads. Ends the program, with a line that says why, on what libpq does not understand. */
struct target *target_read(const struct pool_config *config);

/* Whether names must be resolved before connecting (again). */
bool target_is_stale(const struct target *target);

/* Begins to resolve, if it has not begun yet; `done(arg)` is called on the loop afterwards, also
 * when it failed: then the addresses that were known before stay. -1 when it cannot begin. */
int target_resolve(struct target *target, void (*done)(void *arg), void *arg) MUST;

/* Gives up resolving after it took too long. */
void target_resolve_stop(struct target *target);

/* How many places there are to try; 0 while no name has an address: then target_error() says why.
 */
unsigned target_places(const struct target *target);
const char *target_error(const struct target *target);

/* Begins to connect (PQconnectStartParams), the places in order from the `turn`th on, round about.
 * NULL without memory. Never waits, and looks no name up. */
PGconn *target_connect(struct target *target, unsigned turn) MUST;

/* In a line for the log: hosts and database, no password. */
const char *target_name(const struct target *target);

void target_free(struct target **target);

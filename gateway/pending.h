/* Who waits for which reply: a table of ids that are never used twice.
 *
 * An id is a place in the table and the number of the place's occupant, so that a reply which comes
 * after its call ended finds nobody. The table has a fixed number of places. */
#pragma once

#include "base/arena.h"

struct pending;

/* A table of `most` places (1 to 65,536). NULL without memory. */
struct pending *pending_new(unsigned most) MUST;
void pending_free(struct pending *pending);

/* A place for `who`: its id, which is positive, or 0 when the table is full. */
int64_t pending_add(struct pending *pending, void *who) MUST;

/* Who waits under that id, which may be any number from outside; NULL: nobody (any more). */
void *pending_find(const struct pending *pending, int64_t id);

/* Ends it. The id must be one that pending_add() gave and that was not removed yet. */
void pending_remove(struct pending *pending, int64_t id);

/* How many wait. */
unsigned pending_count(const struct pending *pending);

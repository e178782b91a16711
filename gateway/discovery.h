/* Where actors are: finds their instances and says when they come and go.
 *
 * `where` is a folder of sockets named `<domain>-<instance>` or
 * `<domain>-<instance>.g<generation>`, which is watched, or a list `domain=tcp://host:port,…`. Each
 * address of a host name is an instance; names are looked up again every half minute, in a thread,
 * because the resolver waits. */
#pragma once

#include "base/arena.h"

struct discovery;

struct discovery_events {
    /* `domain` is an index into domains[]. `name` is unique; both texts are the caller's. May come
     * within discovery_open(). */
    void (*found)(void *arg, unsigned domain, const char *name, const char *endpoint);
    void (*lost)(void *arg, unsigned domain, const char *name);
};

/* What is wrong with a value of `where`, or NULL; `text` is room for the sentence. */
const char *discovery_check(const char *where, char *text, size_t text_bytes);

/* Begins; `where` was checked. Makes the folder where it is missing. Ends the program when the
 * folder cannot be watched. */
struct discovery *discovery_open(const char *where, const struct discovery_events *events,
                                 void *arg) MUST;

/* To be called some times a second: watches a folder again that was removed. */
void discovery_tick(struct discovery *discovery);

void discovery_close(struct discovery *discovery);

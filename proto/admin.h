/* The admin address of a process: `/ready` and `/metrics` over HTTP, for probes, scripts and
 * Prometheus.
 *
 * A small listener on the loop, on the strict parser: GET and HEAD, one request a connection, 16
 * connections, 5 s each. It speaks of this process alone. The address that was bound is written to
 * a file, so that scripts find it when the port was left to the system. */
#pragma once

#include "base/arena.h"

struct admin;

/* What the process lacks to be ready; filled by the callback. */
struct admin_missing {
    struct buffer *names; /* a JSON list's inside */
};

/* Names something that is missing: a short text for people. */
void admin_lacks(struct admin_missing *missing, const char *name);

struct admin_config {
    const char *address; /* `host:port`, port 0: any */
    bool given;          /* somebody asked for it: then it need not be of loopback */
    const char *file;    /* where the bound address is written (mode 0600), or NULL */
    int64_t deadline_us; /* of a connection; 0: 5 s */
    void (*check)(struct admin_missing *missing, void *arg); /* at each `/ready`; NULL: ready */
    void *arg;                                               /* for `check` */
};

/* Listens. NULL after having logged why. May wait for the resolver: call it at start-up. */
struct admin *admin_open(const struct admin_config *config) MUST;

/* The bound address, for people: `127.0.0.1:41234`. */
const char *admin_address(const struct admin *admin);

/* Cuts what is connected, removes the file, frees. NULL is allowed. */
void admin_close(struct admin *admin);

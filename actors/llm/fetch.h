/* HTTP requests to elsewhere, on libcurl and the process's loop.
 *
 * libcurl's multi interface keeps connections for the next request and resolves names in threads;
 * what it wants to know of sockets and time comes from libev. Nothing here waits: what happens is
 * told by events, out of the loop. HTTP/1.1 only, so that cancelling closes the connection, which
 * is how the other side learns of it. */
#pragma once

#include "base/arena.h"

struct fetch;

struct fetch_request {
    const char *url;            /* http or https */
    const char *const *headers; /* lines `Name: value`, NULL-terminated; copied */
    struct str body;            /* sent by POST; must live until the fetch is over */
};

struct fetch_events {
    /* The answer's status, once its head is there. `retry_after_s`: of that field, a day at most, 0
     * without. */
    void (*head)(void *arg, int status, int64_t retry_after_s);
    /* Some of the body. False: no more until fetch_resume(). */
    bool (*data)(void *arg, struct str bytes);
    /* It is over and freed: NULL, or what went wrong in words that are good until this returns. */
    void (*done)(void *arg, const char *error);
};

/* Once, before the first fetch. `authorities`: file of the certificates (PEM) by which a server is
 * known; empty: the system's. It is copied. Ends the program when libcurl cannot. */
void fetch_open(const char *authorities);
/* All fetches are over, or cancelled. */
void fetch_close(void);

/* Whether an address can be understood. */
bool fetch_knows_url(const char *url);

/* Begins. NULL without memory. No event comes before it returned. */
struct fetch *fetch_start(const struct fetch_request *request, const struct fetch_events *events,
                          void *arg) MUST;

/* Connects to an https server once, without a request, so that the certificates, which take some 70
 * ms to read, are in memory before the first fetch. Says so in the log when it fails. */
void fetch_warm(const char *url);

/* Goes on after `data` said no; it may be called again before this returns. */
void fetch_resume(struct fetch *fetch);

/* Ends it without `done`, closes its connection, and NULLs the pointer; nothing where it is NULL.
 * Not from an event. */
void fetch_cancel(struct fetch **fetch);

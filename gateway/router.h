/* From a path and an HTTP method to what answers it.
 *
 * The routes are the contract's messages, below /api, and the gateway's own, which are GET only.
 * HEAD stands for GET. A path is compared decoded; a literal path goes before one with fields, and
 * of all that match, the one that has the method wins. Built once; nothing here allocates later or
 * waits. */
#pragma once

#include "contract.h"
#include "http.h"

enum { ROUTE_MOST_FIELDS = 4 };

struct exchange;

/* A route of the gateway's own. */
struct own_route {
    const char *path;                         /* the whole of it */
    void (*serve)(struct exchange *exchange); /* answers at once */
};

enum route_outcome {
    ROUTE_FOUND,
    ROUTE_UNKNOWN,    /* 404 */
    ROUTE_WRONG_VERB, /* 405 */
    ROUTE_SLASH       /* known without the slashes at its end */
};

struct route_match {
    enum route_outcome outcome;
    const struct method *method; /* found: the message, or NULL: one of our own */
    const struct own_route *own; /* found: one of our own, or NULL */
    const char *allow;           /* wrong verb: the methods that there are, for Allow */
    struct str short_path;       /* slash: the path, as it was sent, without them */
};

/* Builds the table from `methods[]` and `own`, which must stay. Ends the program without memory. */
void router_open(const struct own_route *own, size_t count);
void router_close(void);

/* What answers `method` on `path`, which is still encoded. */
struct route_match router_find(enum http_method method, struct str path);

/* The path's fields of a message that router_find() found: values[i], decoded into `arena`, is that
 * of the i-th field of the message's path. Returns how many, or -1 without memory. */
int router_fields(const struct method *method, struct str path, struct arena *arena,
                  struct str values[ROUTE_MOST_FIELDS]) MUST;

/* Which of the path's fields has that name: an index into the values, or -1. */
int router_field_at(const struct method *method, struct str name);

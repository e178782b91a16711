/* A request and its answer: one fiber that reads top to bottom.
 *
 *   read the input and check it (intake.c) -> answer what the cache has (cache.c) -> count it
 * against the minute's limits (guard.c) -> know for whom it is -> ask an actor (trip.c) -> say what
 * came back (reply.c)
 *
 * Everything works from the contract's tables; no message is known here by name but the one that
 * makes users. When the client leaves, the fiber is cancelled and what it asked for taken back. */
#pragma once

#include "base/log.h"
#include "cache.h"
#include "connection.h"
#include "guard.h"
#include "headers.h"
#include "options.h"
#include "proxies.h"
#include "router.h"
#include "trip.h"

/* What all exchanges share; everything outlives them. */
struct exchange_setup {
    const struct gateway_options *options;
    struct balance *balance;
    struct guard *guard;
    struct cache *cache; /* of immutable answers; NULL: none are kept */
    const struct proxies *proxies;
    const struct cors *cors;
    const struct headers *headers;
    bool production; /* cookies are Secure */
};

enum { REQUEST_ID_BYTES = 72 };

struct exchange {
    struct arena arena;                 /* of all its memory, its own included */
    struct failure failure;             /* the first cause, if it failed */
    struct log_tag log;                 /* domain, message, request id */
    char id[REQUEST_ID_BYTES];          /* the request's, terminated */
    const struct exchange_setup *setup; /* shared */
    struct connection *connection;      /* NULL: the client left, nothing of it may be used */
    const struct method *method;        /* what is asked, or NULL: one of our own routes */
    const struct own_route *own;        /* that one */
    struct fiber *fiber;                /* NULL: it has not begun */
    bool promised;                      /* room for its call, until it begins */
    const struct http_head *head;       /* a copy, its texts are the connection's */
    struct str content;                 /* the request's body, the connection's */
    struct str fields;                  /* field lines of every answer to this origin */
    int64_t begun_us;                   /* monotonic; when the request was read */
    int64_t deadline_us;                /* every wait ends there */
    bool writes;                        /* as the checked input says */
    struct str input;                   /* the checked input, encoded */
    struct str affinity;                /* by which the actor is chosen; may be absent */
    struct str cookie;       /* the user that the client claims; absent: none, or no UUID */
    struct str user;         /* for whom the actor is asked */
    bool user_made;          /* he was made for this request */
    struct in6_addr address; /* the client's */
    char address_text[CLIENT_TEXT_BYTES]; /* the same, for actors */
    struct common_rate rate;              /* what is left of the minute's limit */
    bool limited;                         /* `rate` is shown */
    bool by_address;                      /* the address was counted, not the user */
    struct trip trip;                     /* to the actor; its reply */
    struct cached *cached;                /* what the cache has for it, held; NULL: nothing */
};

/* The handler for the listener's connections. */
extern const struct connection_handler exchange_handler;

/* Once, before the listener opens: the setup (which stays), the contract's table and own routes. */
void exchange_open(const struct exchange_setup *setup);
void exchange_close(void);

/* Exchanges that are in flight. */
unsigned exchange_count(void);

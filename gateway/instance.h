/* One instance of an actor as the gateway sees it: a socket, what is outstanding there, and whether
 * it answers.
 *
 * It is asked once a second how it is. It is used while it is connected, answers, and does not say
 * that it is leaving. When its connection breaks, everything that is outstanding there ends at
 * once. */
#pragma once

#include "frame.h"
#include "link.h"
#include "pending.h"

enum { INSTANCE_NAME_BYTES = 128, INSTANCE_MISSING_BYTES = 128 };

/* A call under way: its owner embeds it. */
struct outstanding {
    struct outstanding *before, *after; /* of the same instance */
    struct instance *instance;          /* where it is; NULL: not under way */
    int64_t id;                         /* in the header */
    size_t bytes;                       /* of its frames */
    /* The reply. It is under way no more; texts and bytes are good until this returns. */
    void (*arrived)(struct outstanding *call, const struct common_reply *reply, struct str body);
    /* A piece of it, which goes on; NULL: the call takes none. Good until this returns. */
    void (*more)(struct outstanding *call, const struct common_reply *reply, struct str body);
    /* The instance went. It is under way no more. */
    void (*lost)(struct outstanding *call);
};

/* What an instance may have outstanding, and the table of all that wait. */
struct instance_limits {
    struct pending *pending; /* of all instances */
    unsigned calls;          /* at most, of one */
    size_t bytes;            /* the same */
};

struct instance {
    struct instance *next;                /* of its domain */
    const struct instance_limits *limits; /* of all instances */
    struct link *link;                    /* its socket */
    char name[INSTANCE_NAME_BYTES];       /* of its socket's file, or its address */
    uint64_t hash;                        /* of the name: its weight for affinity */
    bool connected;                       /* the peer is there */
    bool ready;                           /* what it said last */
    bool leaving;                         /* it takes no more calls */
    bool retired;                         /* discovery took it back: it ends with its last call */
    bool silent;                          /* it has not answered for too long, or never */
    char missing[INSTANCE_MISSING_BYTES]; /* what it waits for, where it is not ready */
    int64_t answered_us;                  /* the last pong, monotonic */
    int64_t asked_us;                     /* the last ping */
    int64_t ticked_us;                    /* the last instance_tick(); 0: none yet */
    int64_t ping_id;                      /* of the ping that is not answered; 0: none */
    struct outstanding ends;              /* head and tail of the list of calls */
    unsigned calls;                       /* in the list */
    size_t bytes;                         /* of their frames */
};

/* Connects. NULL after having logged why. */
struct instance *instance_open(const char *name, const char *endpoint,
                               const struct instance_limits *limits) MUST;

/* Ends what is outstanding with lost(), and frees it a turn later. */
void instance_close(struct instance *instance);

/* Whether calls may be sent there, and whether it has room for one of `bytes` more. */
bool instance_usable(const struct instance *instance);
bool instance_has_room(const struct instance *instance, size_t bytes);

/* Asks how it is, where that is due; to be called some times a second. */
void instance_tick(struct instance *instance, int64_t now_us);

/* Sends a call at the end of this turn; sets the request's version and id. 0; -1 with errno
 * EHOSTUNREACH: it is not there, EMSGSIZE, or ENOBUFS: too many calls of this gateway are under
 * way. */
int instance_send(struct instance *instance, struct outstanding *call,
                  struct common_request *request, struct str body) MUST;

/* Lets a call under way send `bytes` more in pieces. */
void instance_grant(struct outstanding *call, size_t bytes);

/* Forgets a call: a reply that still comes goes to nobody. `cancel` tells the actor. Nothing where
 * it is not under way. */
void instance_forget(struct outstanding *call, bool cancel);

/* Registers the counters of what came in vain. */
void instance_register_stats(void);

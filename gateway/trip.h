/* One message to an actor and its reply, within a fiber.
 *
 * What only reads is sent again to another instance when the first one was lost, within the same
 * deadline; what writes never is, because nobody knows whether it happened. An instance that says
 * that it is leaving has done nothing, so that anything may go elsewhere then. */
#pragma once

#include "balance.h"
#include "base/fail.h"
#include "base/fiber.h"

struct trip {
    struct balance *balance;     /* chooses the instance */
    const struct method *method; /* what is asked */
    struct str body;             /* its input, encoded */
    struct str user;             /* for whom; may be absent */
    struct str client;           /* the address that limits count by; may be absent */
    bool by_client;              /* limits count by that address although there is a user */
    struct str validator;        /* of the answer that the client has; may be absent */
    struct str trace;            /* the request's id */
    struct str affinity;         /* by which the instance is chosen; may be absent */
    bool writes;                 /* it must not be sent twice */
    int64_t deadline_us;         /* monotonic; of the reply, or of its next piece */
    int64_t pieces_deadline_us;  /* of the whole, where it comes in pieces */
    struct arena *arena;         /* what came back lives there */

    struct failure failure;    /* why there is no reply */
    struct common_reply reply; /* the header */
    struct str reply_body;     /* the body */
    const struct fault *fault; /* that the actor answered with; NULL: none */

    struct outstanding call;                           /* while it is under way */
    struct fiber *fiber;                               /* that waits */
    enum { TRIP_AWAY, TRIP_ARRIVED, TRIP_LOST } state; /* of the call */
    struct trip_piece *first, *last;                   /* pieces that came and were not taken */
    struct trip_piece *taken;                          /* the one that the caller has */
    size_t waiting_bytes;                              /* of the pieces that were not taken */
    size_t used_bytes; /* of those that were, for which no credit was given yet */
};

/* Bytes of pieces that an actor may send ahead of the client; one piece more may come. Events are
 * small, and each costs more than its bytes. */
enum { TRIP_CREDIT_BYTES = 256 * 1024, TRIP_EVENTS_CREDIT_BYTES = 16 * 1024 };

/* Sends and waits. 0: there is a reply, which may say a fault; -1: there is none (a failure is
 * recorded: domain_down, busy, timeout, outcome_unknown, cancelled, internal). */
int trip_run(struct trip *trip) MUST;

/* Whether the reply comes in pieces: trip_next() gives the first. */
bool trip_in_pieces(const struct trip *trip);

/* Waits for the next piece, after the one before was used: the actor may send so much more. 0 with
 * the piece, good until the next call, or absent when the last reply is there (reply_body, fault);
 * -1: it was lost, late or cancelled. */
int trip_next(struct trip *trip, struct str *piece) MUST;

/* Ends what is under way; to be called when the trip is of no more use. */
void trip_leave(struct trip *trip);

void trip_register_stats(void);

/* Choose, send, wait; and again, where the instance was lost and nothing forbids it.
 *
 * The wait goes on for a moment after the deadline: the actor's own deadline is the same, and its
 * word that the work was rolled back is worth more than our guess. */
#include "trip.h"
#include "base/log.h"
#include "base/stat.h"
#include "base/time.h"
#include "inject.h"
#include <errno.h>
#include <stdlib.h>

#define GRACE_US TIME_MS(150)

enum {
    TRIES_MOST = 3,
    PIECES_MOST_BYTES = TRIP_CREDIT_BYTES + WIRE_MOST_BODY_BYTES /* an actor keeps to its credit */
};

/* A piece that came; its bytes stand behind it. */
struct trip_piece {
    struct trip_piece *next;
    struct str body;
};

STAT(resends_total, counter, "Calls that were sent again to another actor.");

void trip_register_stats(void)
{
    stat_register(&resends_total);
}

static struct trip *trip_of(struct outstanding *call)
{
    return (struct trip *)(void *)((char *)call - offsetof(struct trip, call));
}

/* Of several pieces any may name the kept user. */
static void keep_header(struct trip *trip, const struct common_reply *reply)
{
    struct str user = trip->reply.user;

    trip->reply = *reply;
    trip->reply.status = arena_copy(trip->arena, reply->status);
    trip->reply.user = reply->user.ptr != NULL ? arena_copy(trip->arena, reply->user) : user;
    trip->reply.validator = arena_copy(trip->arena, reply->validator);
    trip->reply.spent = NO_STR;
    if (reply->rate != NULL) {
        struct common_rate *rate = arena_alloc(trip->arena, sizeof(*rate));

        if (rate != NULL)
            *rate = *reply->rate;
        trip->reply.rate = rate;
    }
}

static void keep(struct trip *trip, const struct common_reply *reply, struct str body)
{
    keep_header(trip, reply);
    trip->reply_body = INJECT(trip_no_memory) ? NO_STR : arena_copy(trip->arena, body);
}

static void arrived(struct outstanding *call, const struct common_reply *reply, struct str body)
{
    struct trip *trip = trip_of(call);

    keep(trip, reply, body);
    trip->state = TRIP_ARRIVED;
    fiber_wake(trip->fiber, WAKE_DONE);
}

/* ---- pieces ---- */

static void append_piece(struct trip *trip, struct trip_piece *piece)
{
    if (trip->last != NULL)
        trip->last->next = piece;
    else
        trip->first = piece;
    trip->last = piece;
    trip->waiting_bytes += piece->body.len;
}

static void drop_pieces(struct trip *trip)
{
    while (trip->first != NULL) {
        struct trip_piece *piece = trip->first;

        trip->first = piece->next;
        free(piece);
    }
    free(trip->taken);
    trip->last = trip->taken = NULL;
    trip->waiting_bytes = 0;
}

/* One that does not fit ends the call: what comes behind it would be no answer. */
static void more(struct outstanding *call, const struct common_reply *reply, struct str body)
{
    struct trip *trip = trip_of(call);
    struct trip_piece *piece = NULL;

    if (trip->waiting_bytes <= PIECES_MOST_BYTES)
        piece = malloc(sizeof(*piece) + body.len);
    if (piece == NULL) {
        instance_forget(call, true);
        trip->state = TRIP_LOST;
        fiber_wake(trip->fiber, WAKE_FAILED);
        return;
    }
    if (trip->reply.status.ptr == NULL)
        keep_header(trip, reply);
    piece->next = NULL;
    piece->body = (struct str){(const char *)(piece + 1), body.len};
    memcpy(piece + 1, body.ptr, body.len);
    append_piece(trip, piece);
    fiber_wake(trip->fiber, WAKE_DONE);
}

bool trip_in_pieces(const struct trip *trip)
{
    return trip->first != NULL;
}

static void lost(struct outstanding *call)
{
    struct trip *trip = trip_of(call);

    trip->state = TRIP_LOST;
    fiber_wake(trip->fiber, WAKE_FAILED);
}

static bool takes_pieces(const struct method *method)
{
    return method->pieces || method->kind == KIND_stream;
}

static size_t credit_of(const struct method *method)
{
    return method->kind == KIND_stream ? (size_t)TRIP_EVENTS_CREDIT_BYTES
                                       : (size_t)TRIP_CREDIT_BYTES;
}

/* The actor is told how long the whole may take; how long we wait for its beginning is our matter.
 */
static int64_t budget_ms(const struct trip *trip)
{
    int64_t ends_us = takes_pieces(trip->method) ? trip->pieces_deadline_us : trip->deadline_us;
    int64_t left_us = ends_us - time_now_us();

    return left_us > 0 ? (left_us + TIME_MS(1) - 1) / TIME_MS(1) : 1;
}

static int send_to(struct trip *trip, struct instance *instance)
{
    struct common_request request = {
        .method = str_of(trip->method->name),
        .budget = budget_ms(trip),
        .user = trip->user,
        .client = trip->client,
        .by_client = trip->by_client,
        .validator = trip->validator,
        .credit = takes_pieces(trip->method) ? (int64_t)credit_of(trip->method) : INT_ABSENT,
        .trace = trip->trace,
    };

    trip->state = TRIP_AWAY;
    trip->call.arrived = arrived;
    trip->call.more = takes_pieces(trip->method) ? more : NULL;
    trip->call.lost = lost;
    if (instance_send(instance, &trip->call, &request, trip->body) == 0)
        return 0;
    if (errno == EMSGSIZE)
        return fail(trip, too_large, "a frame of %zu bytes", trip->body.len);
    if (errno == EHOSTUNREACH) {
        trip->state = TRIP_LOST;
        return fail(trip, domain_down, "%s is not there", instance->name);
    }
    return fail(trip, busy, "%s takes no more calls", instance->name);
}

/* 0 with the call on its way. */
static int start(struct trip *trip)
{
    struct instance *instance;

    switch (balance_choose(trip->balance, trip->method->domain, trip->affinity, trip->body.len,
                           &instance)) {
    case CHOICE_MADE:
        return send_to(trip, instance);
    case CHOICE_FULL:
        return fail(trip, busy, "all actors of %s have enough to do", trip->method->domain);
    case CHOICE_ABSENT:
        break;
    }
    return fail(trip, domain_down, "no actor of %s answers", trip->method->domain);
}

static int out_of_time(struct trip *trip)
{
    instance_forget(&trip->call, true);
    if (trip->writes)
        return fail(trip, outcome_unknown, "no reply within the deadline");
    return fail(trip, timeout, "no reply within the deadline");
}

/* Until the call is under way no more, or a piece is there. */
static int wait(struct trip *trip)
{
    while (trip->state == TRIP_AWAY && trip->first == NULL) {
        switch (fiber_wait(trip->deadline_us + GRACE_US)) {
        case WAKE_TIMEOUT:
            return trip->state == TRIP_AWAY && trip->first == NULL ? out_of_time(trip) : 0;
        case WAKE_CANCEL:
            instance_forget(&trip->call, true);
            return fail(trip, cancelled, "the client left");
        case WAKE_DONE:
        case WAKE_FAILED:
            break;
        }
    }
    return 0;
}

/* The reply's status: fine, or a fault that the contract knows. */
static int judge(struct trip *trip)
{
    struct str status = trip->reply.status;

    if (trip->reply_body.ptr == NULL)
        return fail(trip, busy, "no memory for the reply");
    if (status.ptr == NULL)
        return fail(trip, internal, "a reply with a malformed header");
    if (trip->reply.v != WIRE_VERSION)
        return fail(trip, internal, "a reply of version %lld", (long long)trip->reply.v);
    if (str_is(status, "ok") || str_is(status, "not_modified"))
        return 0;
    trip->fault = contract_fault(status);
    if (trip->fault == NULL)
        return fail(trip, internal, "a reply with the unknown status %.*s", STR_ARG(status));
    return 0;
}

static int fail_lost(struct trip *trip)
{
    if (trip->writes)
        return fail(trip, outcome_unknown, "the actor was lost");
    return fail(trip, domain_down, "the actor was lost");
}

/* A reply that says nothing: what it answers may have been done. */
static int fail_judged(struct trip *trip)
{
    struct failure why = trip->failure;

    if (!trip->writes)
        return -1;
    failure_clear(&trip->failure);
    return fail(trip, outcome_unknown, "%s", why.text);
}

/* One attempt; `*again`: it came to nothing, and another may follow. */
static int attempt(struct trip *trip, bool *again)
{
    *again = false;
    if (start(trip) != 0) {
        *again = trip->state == TRIP_LOST;
        return -1;
    }
    if (wait(trip) != 0)
        return -1;
    if (trip->state == TRIP_LOST) {
        drop_pieces(trip); /* nobody has seen them */
        *again = !trip->writes;
        return fail_lost(trip);
    }
    if (trip->first != NULL)
        return 0;
    if (judge(trip) != 0)
        return fail_judged(trip);
    *again = trip->fault == &fault_leaving;
    return 0;
}

int trip_run(struct trip *trip)
{
    bool again;
    int result;

    trip->fiber = fiber_self();
    for (unsigned tries = 1;; tries++) {
        failure_clear(&trip->failure);
        trip->fault = NULL;
        trip->state = TRIP_AWAY;
        trip->reply.status = trip->reply.user = NO_STR;
        result = attempt(trip, &again);
        if (!again || tries == TRIES_MOST || time_now_us() >= trip->deadline_us)
            return result;
        stat_add(&resends_total, 1);
    }
}

static void take_first(struct trip *trip)
{
    trip->taken = trip->first;
    trip->first = trip->taken->next;
    if (trip->first == NULL)
        trip->last = NULL;
    trip->waiting_bytes -= trip->taken->body.len;
}

/* The piece was used: the actor may send so much more. Of events, which are many and small, it is
 * told so now and then. */
static void give_back_taken(struct trip *trip)
{
    if (trip->taken == NULL)
        return;
    trip->used_bytes += trip->taken->body.len;
    free(trip->taken);
    trip->taken = NULL;
    if (trip->method->kind == KIND_stream && trip->used_bytes < TRIP_EVENTS_CREDIT_BYTES / 4)
        return;
    instance_grant(&trip->call, trip->used_bytes);
    trip->used_bytes = 0;
}

int trip_next(struct trip *trip, struct str *piece)
{
    *piece = NO_STR;
    give_back_taken(trip);
    if (wait(trip) != 0)
        return -1;
    if (trip->first != NULL) {
        take_first(trip);
        *piece = trip->taken->body;
        return 0;
    }
    if (trip->state == TRIP_LOST)
        return fail_lost(trip);
    return judge(trip) == 0 ? 0 : fail_judged(trip);
}

void trip_leave(struct trip *trip)
{
    instance_forget(&trip->call, true);
    drop_pieces(trip);
}

/* A flight is on the heap, in a list of those under way; the calls that wait stand in its list,
 * each on the stack of its own fiber. Inputs are compared, and copied, as msgpack. */
#include "flight.h"
#include "base/stat.h"
#include "base/time.h"
#include "codec.h"
#include "runtime.h"
#include <stdlib.h>

#define WORTHWHILE_US TIME_S(2) /* of time, to begin again */

/* A call that waits. */
struct waiter {
    struct call *call;
    struct flight_result *result; /* where it goes */
    bool first;                   /* it started the flight */
    bool over;                    /* the flight is; then `call` has the result or the failure */
    bool again;                   /* what failed concerns another call only */
    struct waiter *next;          /* of the flight's */
};

struct flight {
    const struct method *method; /* of the message */
    struct buffer in;            /* the inputs, encoded; on the heap */
    struct str user;             /* the first caller's; behind the inputs */
    flight_fn run;               /* the work */
    struct fiber *fiber;         /* the work's; NULL: it has not begun */
    struct waiter *waiters;      /* who waits */
    bool listed;                 /* calls may still join it */
    struct flight *next;         /* of those under way */
};

static struct {
    struct flight *first; /* those that may be joined */
    unsigned waiting;     /* calls that wait for one */
} flights;

STAT(flight_waiting, gauge, "Calls that wait for an answer which equal ones may share.");

/* ---- flights ---- */

static struct flight *find(const struct method *method, struct str in)
{
    struct flight *flight = flights.first;

    while (flight != NULL && (flight->method != method || !str_equal(buffer_str(&flight->in), in)))
        flight = flight->next;
    return flight;
}

/* Nobody joins it from now on. */
static void unlist(struct flight *flight)
{
    struct flight **link = &flights.first;

    if (!flight->listed)
        return;
    flight->listed = false;
    while (*link != flight)
        link = &(*link)->next;
    *link = flight->next;
}

static void flight_free(struct flight *flight)
{
    buffer_free(&flight->in);
    free((void *)(uintptr_t)flight->user.ptr);
    free(flight);
}

static struct flight *flight_new(const struct call *call, struct str in, flight_fn run)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    char *user = malloc(call->user.len + 1);

    if (flight == NULL || user == NULL) {
        free(flight);
        free(user);
        return NULL;
    }
    memcpy(user, call->user.ptr, call->user.len);
    *flight = (struct flight){.method = call->method, .user = {user, call->user.len}, .run = run};
    buffer_init(&flight->in, NULL, WIRE_MOST_BODY_BYTES);
    buffer_add_str(&flight->in, in);
    if (!flight->in.failed)
        return flight;
    flight_free(flight);
    return NULL;
}

/* ---- the work ---- */

/* Failures that concern the one who asked, not what he asked: also that his time was over, where
 * this one has more. */
static bool is_own(const struct fault *fault, const struct call *other)
{
    if (fault == &fault_timeout)
        return time_now_us() + WORTHWHILE_US < other->deadline_us;
    return fault == &fault_daily_limit_reached || fault == &fault_unknown_user;
}

static void give_failure(struct waiter *waiter, const struct failure *why)
{
    if (!waiter->first && is_own(why->fault, waiter->call)) {
        waiter->again = true;
        return;
    }
    waiter->call->failure = *why;
    if (why->detail.ptr != NULL)
        waiter->call->failure.detail = arena_copy(&waiter->call->arena, why->detail);
}

static void give_result(struct waiter *waiter, const struct flight_result *result)
{
    *waiter->result = *result;
    for (size_t i = 0; i < FLIGHT_TEXTS && result->texts[i].ptr != NULL; i++) {
        waiter->result->texts[i] = arena_copy(&waiter->call->arena, result->texts[i]);
        if (waiter->result->texts[i].ptr == NULL)
            fail(waiter->call, busy, "no memory for a shared answer");
    }
}

static void land(struct flight *flight, struct call *call, int error,
                 const struct flight_result *result)
{
    unlist(flight);
    for (struct waiter *waiter = flight->waiters, *next; waiter != NULL; waiter = next) {
        next = waiter->next;
        if (error != 0)
            give_failure(waiter, &call->failure);
        else
            give_result(waiter, result);
        waiter->over = true;
        flights.waiting--;
        fiber_wake(waiter->call->fiber, WAKE_DONE);
    }
    flight_free(flight);
}

static int decode(struct call *call, const struct flight *flight, void **in)
{
    const char *why;

    *in = arena_zalloc(&call->arena, flight->method->in.size_bytes);
    if (*in == NULL)
        return fail(call, busy, "no memory for the inputs");
    why = codec_decode(&call->arena, &flight->method->in, buffer_str(&flight->in), *in);
    return why == NULL ? 0 : fail(call, internal, "inputs that were checked: %s", why);
}

static int fly(struct call *call, void *arg)
{
    struct flight *flight = arg;
    struct flight_result result = {.id = INT_ABSENT};
    void *in = NULL;
    int error;

    flight->fiber = fiber_self();
    call->user = arena_copy(&call->arena, flight->user);
    error = flight->waiters != NULL ? decode(call, flight, &in)
                                    : fail(call, cancelled, "nobody waits any more");
    if (error == 0)
        error = flight->run(call, in, &result);
    land(flight, call, error, &result);
    return error;
}

/* ---- those who wait ---- */

static void leave(struct flight *flight, struct waiter *waiter)
{
    struct waiter **link = &flight->waiters;

    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    flights.waiting--;
    if (flight->waiters != NULL)
        return;
    unlist(flight);
    if (flight->fiber != NULL)
        fiber_cancel(flight->fiber);
}

/* Until the flight has landed. */
static int await(struct flight *flight, struct waiter *waiter)
{
    waiter->next = flight->waiters;
    flight->waiters = waiter;
    flights.waiting++;
    while (!waiter->over) {
        if (call_wait_foreign(waiter->call, "an answer that is under way") != 0) {
            if (!waiter->over)
                leave(flight, waiter);
            return -1;
        }
    }
    return waiter->call->failure.fault != NULL ? -1 : 0;
}

static struct flight *start(struct actor *actor, struct call *call, struct str in, flight_fn run)
{
    struct flight *flight = flight_new(call, in, run);

    if (flight == NULL || actor_work(actor, call->method->name, call->deadline_us - time_now_us(),
                                     fly, flight) != 0) {
        if (flight != NULL)
            flight_free(flight);
        fail(call, busy, "no memory for a question");
        return NULL;
    }
    flight->listed = true;
    flight->next = flights.first;
    flights.first = flight;
    return flight;
}

int flight_run(struct actor *actor, struct call *call, const void *in, flight_fn run,
               struct flight_result *result, bool *shared)
{
    struct buffer encoded;

    buffer_init(&encoded, &call->arena, WIRE_MOST_BODY_BYTES);
    codec_encode(&encoded, &call->method->in, in);
    if (encoded.failed)
        return fail(call, busy, "no memory for a question");
    for (;;) {
        struct flight *flight = find(call->method, buffer_str(&encoded));
        struct waiter waiter = {.call = call, .result = result, .first = flight == NULL};

        if (flight == NULL)
            flight = start(actor, call, buffer_str(&encoded), run);
        if (flight == NULL || await(flight, &waiter) != 0)
            return -1;
        *shared = !waiter.first;
        if (!waiter.again)
            return 0;
    }
}

/* ---- the module ---- */

static void refresh_stats(void *arg)
{
    (void)arg;
    stat_set(&flight_waiting, flights.waiting);
}

void flight_open(void)
{
    stat_register(&flight_waiting);
    stat_on_render(refresh_stats, NULL);
}

/* What an actor does by itself: calls without a message. */
#include "base/loop.h"
#include "base/time.h"
#include "runtime.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum { AGAIN_AFTER_FAILURE_US = 500000 };

struct work {
    struct call call;                        /* has no message */
    struct method method;                    /* a row for it */
    struct actor *actor;                     /* whose */
    int (*fn)(struct call *call, void *arg); /* what is done */
    void *arg;                               /* for it */
    struct every *every;                     /* of which this is one run, or NULL */
    struct work *next;                       /* the actor's */
};

/* Something that is done again and again. */
struct every {
    ev_timer timer;                          /* for the next run; off while one runs */
    struct actor *actor;                     /* whose */
    const char *what;                        /* for the log */
    int64_t period_us;                       /* from the end of a run to the next */
    int64_t budget_us;                       /* of a run */
    int (*fn)(struct call *call, void *arg); /* what is done */
    void *arg;                               /* for it */
    bool failing;                            /* the last run did */
    struct every *next;                      /* the actor's */
};

static void plan(struct every *every, int64_t after_us)
{
    if (every->actor->draining)
        return;
    ev_timer_set(&every->timer, (double)after_us / (double)TIME_S(1), 0.);
    ev_timer_start(loop_get(), &every->timer);
}

/* A failure that goes on is told once. */
static void log_end(const struct work *work, bool failed)
{
    const struct failure *failure = &work->call.failure;
    bool told = work->every != NULL && work->every->failing;

    if (!failed)
        log_debug(&work->call, "done");
    else if (told || failure->fault != &fault_internal)
        log_debug(&work->call, "%s: %s", failure->fault->name, failure->text);
    else
        log_warn(&work->call, "%s: %s (%s:%d)", failure->fault->name, failure->text, failure->file,
                 failure->line);
}

static void unlink_work(struct work *work)
{
    struct work **link = &work->actor->works;

    while (*link != work)
        link = &(*link)->next;
    *link = work->next;
}

static void work_end(struct work *work, bool failed)
{
    struct every *every = work->every;

    log_end(work, failed);
    unlink_work(work);
    call_close(&work->call);
    free(work);
    if (every == NULL)
        return;
    every->failing = failed;
    plan(every, failed && every->period_us > AGAIN_AFTER_FAILURE_US ? AGAIN_AFTER_FAILURE_US
                                                                    : every->period_us);
}

static void run(void *arg)
{
    struct work *work = arg;
    struct call *call = &work->call;
    int result;

    fiber_announce(work->method.name, NULL);
    db_attach(call, work->actor->pool);
    result = work->fn(call, work->arg); /* also without a session: others may wait for its end */
    if (result == 0)
        failure_clear(&call->failure);
    if (db_finish(call, result == 0) != 0)
        result = -1;
    if (result != 0 && call->failure.fault == NULL)
        fail(call, internal, "it did not say why it failed");
    work_end(work, result != 0);
}

static void fill(struct work *work, const char *what, int64_t budget_us)
{
    const struct actor *actor = work->actor;

    work->method = (struct method){.name = what,
                                   .domain = actor->domain->name,
                                   .path = "",
                                   .prose = what,
                                   .kind = KIND_steps,
                                   .who = WHO_anyone};
    call_init(&work->call, &work->method, (size_t)actor->options.call_memory);
    work->call.deadline_us = time_now_us() + budget_us;
}

static struct work *work_start(struct actor *actor, const char *what, int64_t budget_us,
                               int (*fn)(struct call *call, void *arg), void *arg)
{
    struct work *work = calloc(1, sizeof(*work));

    if (work == NULL)
        return NULL;
    work->actor = actor;
    work->fn = fn;
    work->arg = arg;
    fill(work, what, budget_us);
    work->call.fiber = fiber_start(run, work);
    if (work->call.fiber == NULL) {
        free(work);
        return NULL;
    }
    work->next = actor->works;
    actor->works = work;
    return work;
}

int actor_work(struct actor *actor, const char *what, int64_t budget_us,
               int (*fn)(struct call *call, void *arg), void *arg)
{
    return work_start(actor, what, budget_us, fn, arg) != NULL ? 0 : -1;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct every *every = timer->data;
    struct work *work =
        work_start(every->actor, every->what, every->budget_us, every->fn, every->arg);

    (void)loop, (void)events;
    if (work != NULL)
        work->every = every;
    else
        plan(every, AGAIN_AFTER_FAILURE_US);
}

void actor_every(struct actor *actor, const char *what, int64_t period_us, int64_t budget_us,
                 int (*fn)(struct call *call, void *arg), void *arg)
{
    struct every *every = calloc(1, sizeof(*every));

    if (every == NULL) {
        fprintf(stderr, "no memory for %s\n", what);
        exit(EX_OSERR);
    }
    *every = (struct every){.actor = actor,
                            .what = what,
                            .period_us = period_us,
                            .budget_us = budget_us,
                            .fn = fn,
                            .arg = arg,
                            .next = actor->everies};
    actor->everies = every;
    ev_timer_init(&every->timer, on_timer, 0., 0.);
    every->timer.data = every;
    plan(every, 0);
}

void work_drain(struct actor *actor)
{
    for (struct every *every = actor->everies; every != NULL; every = every->next)
        ev_timer_stop(loop_get(), &every->timer);
    for (struct work *work = actor->works; work != NULL; work = work->next)
        if (work->every != NULL)
            fiber_cancel(work->call.fiber);
}

void work_cancel_all(struct actor *actor)
{
    for (struct work *work = actor->works; work != NULL; work = work->next)
        fiber_cancel(work->call.fiber);
}

void work_close(struct actor *actor)
{
    assert(actor->works == NULL);
    while (actor->everies != NULL) {
        struct every *every = actor->everies;

        actor->everies = every->next;
        ev_timer_stop(loop_get(), &every->timer);
        free(every);
    }
}

/* Fibers at a gate: never too many inside, first come first served, and those that give up are
 * forgotten. */
#include "base/loop.h"
#include "base/stat.h"
#include "base/time.h"
#include "gate.h"
#include <criterion/criterion.h>

enum { FIBERS = 6 };

static struct gate gate = {.most = 2};
static struct visitor {
    struct fiber *fiber;
    enum wake why;       /* how entering ended */
    int64_t patience_us; /* of waiting in line */
    bool leaves;         /* at once; else it stays until it is woken */
} visitors[FIBERS];
static int order[FIBERS], entered, most_inside;

static void visit(void *arg)
{
    struct visitor *visitor = arg;

    visitor->why = gate_enter(&gate, time_now_us() + visitor->patience_us);
    if (visitor->why != WAKE_DONE)
        return;
    order[entered++] = (int)(visitor - visitors);
    if ((int)gate.inside > most_inside)
        most_inside = (int)gate.inside;
    while (!visitor->leaves)
        if (fiber_wait(time_now_us() + TIME_S(20)) != WAKE_DONE)
            break;
    gate_leave(&gate);
}

static void start(int at, int64_t patience_us, bool leaves)
{
    visitors[at] = (struct visitor){.patience_us = patience_us, .leaves = leaves};
    visitors[at].fiber = fiber_start(visit, &visitors[at]);
    cr_assert_not_null(visitors[at].fiber);
}

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        ev_run(loop_get(), EVRUN_NOWAIT);
}

static void leave(int at)
{
    visitors[at].leaves = true;
    fiber_wake(visitors[at].fiber, WAKE_DONE);
}

static void open_world(void)
{
    loop_open(0);
    fiber_open(FIBERS);
}

static void close_world(void)
{
    fiber_close();
    loop_close();
    stat_close();
}

TestSuite(gate, .init = open_world, .fini = close_world, .timeout = 20);

Test(gate, in_line)
{
    for (int i = 0; i < FIBERS; i++)
        start(i, TIME_S(10), i >= 2);
    turn();
    cr_assert_eq(entered, 2);
    leave(1);
    turn();
    cr_assert_eq(entered, FIBERS);
    for (int i = 0; i < FIBERS; i++)
        cr_assert_eq(order[i], i);
    cr_assert_eq(most_inside, 2);
    leave(0);
    turn();
    cr_assert_eq(gate.inside, 0);
    cr_assert_eq(fiber_count(), 0);
}

Test(gate, who_gives_up_is_forgotten)
{
    for (int i = 0; i < 5; i++)
        start(i, i == 2 ? TIME_MS(20) : TIME_S(10), false);
    turn();
    fiber_cancel(visitors[3].fiber);
    while (visitors[2].why == WAKE_DONE)
        ev_run(loop_get(), EVRUN_NOWAIT);
    cr_assert_eq(visitors[2].why, WAKE_TIMEOUT);
    cr_assert_eq(visitors[3].why, WAKE_CANCEL);
    leave(0);
    turn();
    cr_assert_eq(order[2], 4);
    /* The place is given and the fiber cancelled in the same turn: it is inside, and leaves. */
    start(5, TIME_S(10), false);
    turn();
    leave(1);
    ev_run(loop_get(), EVRUN_NOWAIT);
    fiber_cancel(visitors[5].fiber);
    leave(4);
    turn();
    cr_assert_eq(fiber_count(), 0);
    cr_assert_eq(gate.inside, 0);
    cr_assert_null(gate.first);
}

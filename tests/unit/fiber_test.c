/* Fibers: the ends of a wait, who may be woken when, limits, the pool, timeouts against an oracle.
 */
#include "base/fiber.h"
#include "base/loop.h"
#include "base/sanitize.h"
#include "base/stat.h"
#include "base/time.h"
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>

static char order[4096];

static void note(char c)
{
    size_t len = strlen(order);

    if (len < sizeof(order) - 1) {
        order[len] = c;
        order[len + 1] = '\0';
    }
}

/* Stops the loop once no fiber lives. */
static bool stop_when_done(struct loop_hook *hook)
{
    (void)hook;
    if (fiber_count() == 0)
        loop_stop();
    return false;
}

static struct loop_hook stopper = {.run = stop_when_done};

static void open_with(unsigned most)
{
    loop_open(0);
    fiber_open(most);
}

static void close_all(void)
{
    fiber_close();
    loop_close();
    stat_close();
}

static void run_all(void)
{
    loop_hook_add(LOOP_LINKS, &stopper);
    loop_run();
    loop_hook_remove(LOOP_LINKS, &stopper);
}

static void must_start(void (*run)(void *arg), void *arg)
{
    cr_assert_not_null(fiber_start(run, arg));
}

static void turn(void)
{
    ev_run(loop_get(), EVRUN_NOWAIT);
}

static void note_arg(void *arg)
{
    cr_assert_not_null(fiber_self());
    note(*(const char *)arg);
}

Test(fiber, runs_at_the_end_of_the_turn_in_order, .timeout = 10)
{
    open_with(10);
    must_start(note_arg, "a");
    must_start(note_arg, "b");
    must_start(note_arg, "c");
    cr_assert_str_eq(order, "");
    cr_assert_null(fiber_self());
    cr_assert_eq(fiber_count(), 3);
    turn();
    cr_assert_str_eq(order, "abc");
    cr_assert_eq(fiber_count(), 0);
    close_all();
}

struct waiter {
    struct fiber *fiber;
    int64_t deadline_us;
    enum wake first, second, third;
    bool shielded;
    bool saw_cancel;
    bool over;
};

static void wait_once(void *arg)
{
    struct waiter *waiter = arg;

    waiter->first = waiter->shielded ? fiber_wait_shielded(waiter->deadline_us)
                                     : fiber_wait(waiter->deadline_us);
    waiter->saw_cancel = fiber_cancelled();
    waiter->over = true;
}

static void start_waiter(struct waiter *waiter, void (*run)(void *arg))
{
    waiter->fiber = fiber_start(run, waiter);
    cr_assert_not_null(waiter->fiber);
}

Test(fiber, wait_has_four_ends, .timeout = 10)
{
    struct waiter done = {.deadline_us = TIME_NEVER}, failed = {.deadline_us = TIME_NEVER};
    struct waiter late = {.deadline_us = time_now_us() + TIME_MS(5)};
    struct waiter cancelled = {.deadline_us = TIME_NEVER};

    open_with(10);
    start_waiter(&done, wait_once);
    start_waiter(&failed, wait_once);
    start_waiter(&late, wait_once);
    start_waiter(&cancelled, wait_once);
    turn();
    fiber_wake(done.fiber, WAKE_DONE);
    fiber_wake(failed.fiber, WAKE_FAILED);
    fiber_cancel(cancelled.fiber);
    run_all();
    cr_assert_eq(done.first, WAKE_DONE);
    cr_assert_eq(failed.first, WAKE_FAILED);
    cr_assert_eq(late.first, WAKE_TIMEOUT);
    cr_assert_eq(cancelled.first, WAKE_CANCEL);
    cr_assert(cancelled.saw_cancel && !done.saw_cancel);
    cr_assert(time_now_us() >= late.deadline_us);
    close_all();
}

Test(fiber, first_wake_counts, .timeout = 10)
{
    struct waiter waiter = {.deadline_us = TIME_NEVER};

    open_with(10);
    start_waiter(&waiter, wait_once);
    turn();
    fiber_wake(waiter.fiber, WAKE_FAILED);
    fiber_wake(waiter.fiber, WAKE_DONE);
    run_all();
    cr_assert_eq(waiter.first, WAKE_FAILED);
    close_all();
}

Test(fiber, a_wake_before_it_waits_is_nothing, .timeout = 10)
{
    struct waiter waiter = {.deadline_us = TIME_NEVER};

    open_with(10);
    start_waiter(&waiter, wait_once);
    fiber_wake(waiter.fiber, WAKE_FAILED);
    turn();
    cr_assert(!waiter.over);
    fiber_wake(waiter.fiber, WAKE_DONE);
    run_all();
    cr_assert_eq(waiter.first, WAKE_DONE);
    close_all();
}

static void wait_thrice(void *arg)
{
    struct waiter *waiter = arg;

    waiter->first = fiber_wait(TIME_NEVER);
    waiter->second = fiber_wait(TIME_NEVER);
    waiter->third = fiber_wait_shielded(time_now_us() + TIME_MS(2));
    waiter->saw_cancel = fiber_cancelled();
}

Test(fiber, cancel_is_sticky_but_for_shielded_waits, .timeout = 10)
{
    struct waiter waiter = {.over = false};

    open_with(10);
    start_waiter(&waiter, wait_thrice);
    turn();
    fiber_cancel(waiter.fiber);
    run_all();
    cr_assert_eq(waiter.first, WAKE_CANCEL);
    cr_assert_eq(waiter.second, WAKE_CANCEL);
    cr_assert_eq(waiter.third, WAKE_TIMEOUT);
    cr_assert(waiter.saw_cancel);
    close_all();
}

Test(fiber, a_wake_wins_over_a_later_cancel, .timeout = 10)
{
    struct waiter waiter = {.over = false};

    open_with(10);
    start_waiter(&waiter, wait_thrice);
    turn();
    fiber_wake(waiter.fiber, WAKE_DONE);
    fiber_cancel(waiter.fiber);
    run_all();
    cr_assert_eq(waiter.first, WAKE_DONE);
    cr_assert_eq(waiter.second, WAKE_CANCEL);
    close_all();
}

Test(fiber, cancelled_before_it_began, .timeout = 10)
{
    struct waiter waiter = {.deadline_us = TIME_NEVER};

    open_with(10);
    start_waiter(&waiter, wait_once);
    fiber_cancel(waiter.fiber);
    run_all();
    cr_assert_eq(waiter.first, WAKE_CANCEL);
    close_all();
}

Test(fiber, a_shielded_wait_is_not_cancelled, .timeout = 10)
{
    struct waiter waiter = {.deadline_us = TIME_NEVER, .shielded = true};

    open_with(10);
    start_waiter(&waiter, wait_once);
    turn();
    fiber_cancel(waiter.fiber);
    turn();
    cr_assert(!waiter.over);
    fiber_wake(waiter.fiber, WAKE_DONE);
    run_all();
    cr_assert_eq(waiter.first, WAKE_DONE);
    cr_assert(waiter.saw_cancel);
    close_all();
}

/* A stack that is used again must know nothing of the fiber before. */
Test(fiber, pooled_stacks_start_afresh, .timeout = 10)
{
    struct waiter old = {.deadline_us = TIME_NEVER}, fresh = {.deadline_us = TIME_NEVER};
    struct fiber *first;

    open_with(1);
    start_waiter(&old, wait_once);
    first = old.fiber;
    fiber_cancel(old.fiber);
    run_all();
    start_waiter(&fresh, wait_once);
    cr_assert_eq(fresh.fiber, first);
    turn();
    cr_assert(!fresh.over);
    fiber_wake(fresh.fiber, WAKE_DONE);
    run_all();
    cr_assert(fresh.first == WAKE_DONE && !fresh.saw_cancel);
    close_all();
}

Test(fiber, are_bounded, .timeout = 10)
{
    struct waiter waiters[4] = {{.deadline_us = 0}};

    open_with(3);
    for (int i = 0; i < 3; i++)
        start_waiter(&waiters[i], wait_once);
    cr_assert_null(fiber_start(wait_once, &waiters[3]));
    run_all();
    for (int i = 0; i < 3; i++)
        cr_assert_eq(waiters[i].first, WAKE_TIMEOUT);
    start_waiter(&waiters[3], wait_once);
    run_all();
    close_all();
}

static void start_more(void *arg)
{
    int left = *(int *)arg;

    if (left == 0)
        return;
    --*(int *)arg;
    must_start(start_more, arg);
    if (left % 2 == 0)
        must_start(note_arg, "n");
}

Test(fiber, fibers_start_fibers, .timeout = 10)
{
    int left = 1000;

    open_with(100);
    must_start(start_more, &left);
    run_all();
    cr_assert_eq(left, 0);
    cr_assert_eq(strlen(order), 500);
    close_all();
}

enum { CROWD = 2000 };

struct sleeper {
    int64_t deadlines[4];
    unsigned rounds;
    unsigned seed;
};

static unsigned timeouts, wakes;

static void sleep_rounds(void *arg)
{
    struct sleeper *sleeper = arg;

    for (unsigned i = 0; i < sleeper->rounds; i++) {
        enum wake why = fiber_wait(sleeper->deadlines[i]);

        if (why == WAKE_TIMEOUT) {
            cr_assert(time_now_us() >= sleeper->deadlines[i]);
            timeouts++;
        } else {
            wakes++;
        }
    }
}

/* Many waits whose deadlines go up and down; some are woken before. All end, and none early. */
Test(fiber, timeouts_are_never_early_and_never_lost, .timeout = 60)
{
    static struct sleeper sleepers[CROWD];
    static struct fiber *crowd[CROWD];
    int64_t start_us = time_now_us();
    unsigned woken = 0;

    open_with(CROWD);
    srand(7);
    for (int i = 0; i < CROWD; i++) {
        sleepers[i].rounds = 4;
        for (int j = 0; j < 4; j++)
            sleepers[i].deadlines[j] = start_us + TIME_MS(rand() % 100);
        crowd[i] = fiber_start(sleep_rounds, &sleepers[i]);
        cr_assert_not_null(crowd[i]);
    }
    turn();
    for (int i = 0; i < CROWD; i += 3) {
        fiber_wake(crowd[i], WAKE_DONE);
        woken++;
    }
    run_all();
    cr_assert_leq(wakes, woken);
    cr_assert_eq(timeouts + wakes, CROWD * 4);
    cr_assert(time_now_us() - start_us < TIME_S(20));
    close_all();
}

/* A late deadline must not hide an earlier one of the next wait. */
Test(fiber, earlier_deadline_after_a_later_one, .timeout = 10)
{
    struct waiter late = {.deadline_us = time_now_us() + TIME_S(3600)};
    struct waiter early;

    open_with(1);
    start_waiter(&late, wait_once);
    turn();
    fiber_wake(late.fiber, WAKE_DONE);
    run_all();
    early = (struct waiter){.deadline_us = time_now_us() + TIME_MS(5)};
    start_waiter(&early, wait_once);
    run_all();
    cr_assert_eq(early.first, WAKE_TIMEOUT);
    close_all();
}

static int use_stack(int depth)
{
    volatile char bytes[512];

    memset((char *)bytes, depth, sizeof(bytes));
    return depth == 0 ? bytes[0] : use_stack(depth - 1) + bytes[511] * 0;
}

static void deep(void *arg)
{
    double before = sqrt(2.);

    *(int *)arg = use_stack(60);
    cr_assert_eq(fiber_wait(0), WAKE_TIMEOUT);
    cr_assert(fabs(before * before - 2.) < 1e-9);
    *(int *)arg += use_stack(60) + 1;
}

Test(fiber, stacks_hold_40_kib, .timeout = 10)
{
    int result = -1;

    open_with(2);
    must_start(deep, &result);
    run_all();
    cr_assert_eq(result, 1);
    close_all();
}

/* What only a waiting fiber's stack points to is no leak. */
static void hold_memory(void *arg)
{
    char *volatile memory = malloc(100);

    memory[0] = 'x';
    cr_assert_eq(fiber_wait(TIME_NEVER), WAKE_DONE);
    *(char *)arg = memory[0];
    free(memory);
}

Test(fiber, its_stack_is_searched_for_pointers, .timeout = 10)
{
    char result = '\0';
    struct fiber *fiber;

    open_with(2);
    fiber = fiber_start(hold_memory, &result);
    turn();
#ifdef SANITIZED
    cr_assert_eq(__lsan_do_recoverable_leak_check(), 0);
#endif
    fiber_wake(fiber, WAKE_DONE);
    run_all();
    cr_assert_eq(result, 'x');
    close_all();
}

#ifndef SANITIZED
static int use_up_stack(int depth)
{
    volatile char bytes[1024];

    memset((char *)bytes, depth, sizeof(bytes));
    return depth == 1000000 ? 0 : use_up_stack(depth + 1) + bytes[depth % 1024];
}

static void overflow(void *arg)
{
    *(int *)arg = use_up_stack(0);
}

Test(fiber, overflow_meets_the_guard_page, .timeout = 10, .signal = SIGSEGV)
{
    int result;

    open_with(2);
    must_start(overflow, &result);
    run_all();
}
#endif

/* ---- letting others run ---- */

static void yielding(void *arg)
{
    for (int i = 0; i < 3; i++) {
        note(*(const char *)arg);
        fiber_yield();
    }
}

static void yield_and_cancel(void *arg)
{
    (void)arg;
    fiber_cancel(fiber_self());
    note('a');
    fiber_yield();
    note('a');
}

Test(fiber, others_run_while_one_yields, .timeout = 30)
{
    static char names[] = {'a', 'b'};

    fiber_yield(); /* outside of fibers: nothing */
    open_with(4);
    must_start(yielding, &names[0]);
    must_start(yielding, &names[1]);
    run_all();
    cr_expect_str_eq(order, "ababab");
    order[0] = '\0';
    must_start(yield_and_cancel, NULL);
    must_start(yielding, &names[1]);
    run_all();
    cr_expect_str_eq(order, "aabbb");
    close_all();
}

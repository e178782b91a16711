/* The loop: order of hooks, resting memory, deadlines, the watchdog, signals. */
#include "base/log.h"
#include "base/loop.h"
#include "base/stat.h"
#include "base/time.h"
#include "unit/capture.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static char order[64];

static void note(char c)
{
    size_t len = strlen(order);

    if (len < sizeof(order) - 1) {
        order[len] = c;
        order[len + 1] = '\0';
    }
}

struct noting_hook {
    struct loop_hook hook;
    char name;
    int rounds;               /* that make more work */
    struct loop_hook *strike; /* removes this one when it runs */
};

static bool run_noting(struct loop_hook *hook)
{
    struct noting_hook *noting = (struct noting_hook *)hook;

    note(noting->name);
    if (noting->strike != NULL)
        loop_hook_remove(LOOP_FIBERS, noting->strike);
    return noting->rounds-- > 0;
}

static void on_once(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev, (void)timer, (void)events;
    loop_stop();
}

static void stop_soon(ev_timer *timer)
{
    ev_timer_init(timer, on_once, 0., 0.);
    ev_timer_start(loop_get(), timer);
}

Test(loop, hooks_run_in_phases_until_none_has_more, .timeout = 10)
{
    struct noting_hook links = {.hook.run = run_noting, .name = 'l'};
    struct noting_hook fibers = {.hook.run = run_noting, .name = 'f', .rounds = 1};
    struct noting_hook database = {.hook.run = run_noting, .name = 'd', .rounds = 2};
    ev_timer timer;

    loop_open(0);
    loop_hook_add(LOOP_LINKS, &links.hook);
    loop_hook_add(LOOP_DATABASE, &database.hook);
    loop_hook_add(LOOP_FIBERS, &fibers.hook);
    stop_soon(&timer);
    loop_run();
    cr_assert_str_eq(order, "fdlfdlfdl");
    loop_hook_remove(LOOP_DATABASE, &database.hook);
    loop_hook_remove(LOOP_DATABASE, &database.hook);
    loop_close();
    stat_close();
}

Test(loop, a_hook_may_remove_another, .timeout = 10)
{
    struct noting_hook b = {.hook.run = run_noting, .name = 'b'};
    struct noting_hook a = {.hook.run = run_noting, .name = 'a', .strike = &b.hook};
    struct noting_hook c = {.hook.run = run_noting, .name = 'c'};
    ev_timer timer;

    loop_open(0);
    loop_hook_add(LOOP_FIBERS, &a.hook);
    loop_hook_add(LOOP_FIBERS, &b.hook);
    loop_hook_add(LOOP_FIBERS, &c.hook);
    stop_soon(&timer);
    loop_run();
    cr_assert_str_eq(order, "ac");
    loop_close();
    stat_close();
}

static bool run_restless(struct loop_hook *hook)
{
    (void)hook;
    return true;
}

/* A hook that always has more must neither keep the loop from its timers nor let it sleep. */
Test(loop, restless_hooks_do_not_starve_timers, .timeout = 10)
{
    struct loop_hook hook = {.run = run_restless};
    ev_timer timer;

    loop_open(0);
    loop_hook_add(LOOP_FIBERS, &hook);
    ev_timer_init(&timer, on_once, 0.02, 0.);
    ev_timer_start(loop_get(), &timer);
    loop_run();
    loop_close();
    stat_close();
}

struct rest_hook {
    struct loop_hook hook;
    char *memory;
    int turns;
};

/* Reads the memory at the end of the turn in which it was given away, and one turn later. */
static bool run_rest(struct loop_hook *hook)
{
    struct rest_hook *rest = (struct rest_hook *)hook;

    rest->turns++;
    if (rest->turns == 1)
        loop_free_later(rest->memory);
    if (rest->turns <= 2)
        cr_assert_eq(*(volatile char *)rest->memory, 'm');
    for (int i = 0; i < 100; i++)
        loop_free_later(malloc(8));
    return false;
}

static void on_repeat(struct ev_loop *ev, ev_timer *timer, int events)
{
    int *left = timer->data;

    (void)ev, (void)events;
    if (--*left == 0)
        loop_stop();
}

Test(loop, memory_rests_one_turn, .timeout = 10)
{
    struct rest_hook rest = {.hook.run = run_rest, .memory = malloc(8)};
    int left = 5;
    ev_timer timer;

    loop_open(0);
    *rest.memory = 'm';
    loop_hook_add(LOOP_FIBERS, &rest.hook);
    ev_timer_init(&timer, on_repeat, 0., 0.001);
    timer.data = &left;
    ev_timer_start(loop_get(), &timer);
    loop_run();
    loop_free_later(NULL);
    loop_close();
    stat_close();
}

static struct deadline_list list;
static unsigned expired_count;
static unsigned expected_count;

struct timed {
    struct deadline deadline;
    char name;
};

static void on_expired(struct deadline *deadline)
{
    struct timed *timed = (struct timed *)deadline;

    cr_assert_null(deadline->before);
    cr_assert(time_now_us() >= deadline->at_us);
    note(timed->name);
    free(timed);
    if (++expired_count == expected_count)
        loop_stop();
}

static struct timed *timed_new(char name)
{
    struct timed *timed = calloc(1, sizeof(*timed));

    timed->name = name;
    deadline_start(&list, &timed->deadline);
    return timed;
}

Test(loop, deadlines_expire_in_order, .timeout = 10)
{
    int64_t started_us = time_now_us();
    struct timed *again, *stopped;

    loop_open(0);
    deadline_list_init(&list, TIME_MS(5), on_expired);
    again = timed_new('a');
    stopped = timed_new('x');
    timed_new('b');
    timed_new('c');
    deadline_stop(&stopped->deadline);
    deadline_stop(&stopped->deadline);
    deadline_start(&list, &again->deadline);
    expected_count = 3;
    loop_run();
    cr_assert_str_eq(order, "bca");
    cr_assert(time_now_us() - started_us >= TIME_MS(5));
    deadline_start(&list, &stopped->deadline);
    deadline_list_close(&list);
    cr_assert_null(stopped->deadline.before);
    free(stopped);
    loop_close();
    stat_close();
}

/* The timer was set for an entry that went: the one behind it must still be seen, and not early. */
Test(loop, deadline_behind_a_stopped_one_expires, .timeout = 10)
{
    struct timed *first;
    int64_t until_us;

    loop_open(0);
    deadline_list_init(&list, TIME_MS(20), on_expired);
    first = timed_new('x');
    until_us = time_now_us() + TIME_MS(10);
    while (time_now_us() < until_us)
        ;
    timed_new('b');
    deadline_stop(&first->deadline);
    expected_count = 1;
    loop_run();
    cr_assert_str_eq(order, "b");
    free(first);
    deadline_list_close(&list);
    loop_close();
    stat_close();
}

static void spin_ms(int64_t ms)
{
    int64_t until_us = time_now_us() + TIME_MS(ms);

    while (time_now_us() < until_us)
        ;
}

static void on_long_work(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev, (void)timer, (void)events;
    loop_holder("quick.one", "trace-q");
    spin_ms(1);
    loop_holder("slow.one", "trace-s");
    spin_ms(60);
    loop_holder(NULL, NULL);
    loop_stop();
}

Test(loop, watchdog_names_the_holder, .timeout = 10)
{
    struct capture capture;
    char line[1024];
    ev_timer timer;
    int ms = 0;
    const char *text;

    loop_open(TIME_MS(30));
    ev_timer_init(&timer, on_long_work, 0., 0.);
    ev_timer_start(loop_get(), &timer);
    capture_start(&capture, 2);
    loop_run();
    ev_run(loop_get(), EVRUN_NOWAIT);
    capture_end(&capture, line, sizeof(line));
    text = strstr(line, "loop held ");
    cr_assert_not_null(text, "%s", line);
    cr_assert_eq(sscanf(text, "loop held %d ms by slow.one (trace-s)", &ms), 1, "%s", line);
    cr_assert(ms >= 60 && ms < 1000);
    loop_close();
    stat_close();
}

static int drains, reloads;

static void on_drain(void *arg)
{
    cr_assert_eq(arg, &drains);
    drains++;
    raise(SIGHUP);
}

static void on_reload(void *arg)
{
    (void)arg;
    reloads++;
    loop_stop();
}

Test(loop, signals_drain_and_reload, .timeout = 10)
{
    loop_open(0);
    loop_signals(on_drain, on_reload, &drains);
    raise(SIGTERM);
    loop_run();
    cr_assert(drains == 1 && reloads == 1);
    loop_close();
    stat_close();
}

static void on_drain_again(void *arg)
{
    (void)arg;
    raise(SIGINT);
}

Test(loop, second_signal_ends_at_once, .timeout = 10, .exit_code = 1)
{
    struct capture capture;

    capture_start(&capture, 2);
    loop_open(0);
    loop_signals(on_drain_again, NULL, NULL);
    raise(SIGTERM);
    loop_run();
}

Test(loop, counts_turns, .timeout = 10)
{
    struct buffer out;
    ev_timer timer;
    int left = 3;

    loop_open(0);
    ev_timer_init(&timer, on_repeat, 0., 0.001);
    timer.data = &left;
    ev_timer_start(loop_get(), &timer);
    loop_run();
    buffer_init(&out, NULL, 1 << 20);
    stat_render(&out);
    buffer_add_char(&out, '\0');
    cr_assert_not_null(strstr(out.data, "lectern_loop_turns_total "));
    cr_assert_not_null(strstr(out.data, "lectern_loop_turn_seconds_bucket{le=\"2.5e-05\"}"));
    cr_assert_not_null(strstr(out.data, "lectern_loop_long_turns_total 0\n"));
    buffer_free(&out);
    loop_close();
    stat_close();
}

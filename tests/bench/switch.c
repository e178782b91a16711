/* What a fiber costs, beside swapcontext() in the same process: a wait with its wake and a timeout
 * that never comes (two switches), and starting and ending a fiber on a pooled stack.
 *
 *   bench_switch [ROUNDS]
 */
#include "base/fiber.h"
#include "base/loop.h"
#include "base/stat.h"
#include "base/time.h"
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

enum { ROUNDS = 300000, RUNS = 7, CROWD = 64, CONTEXT_STACK_BYTES = 64 * 1024 };

static long rounds = ROUNDS;
static long left;
static struct fiber *crowd[CROWD];

static void wait_often(void *arg)
{
    struct fiber **slot = arg;
    int64_t deadline_us = time_now_us() + TIME_S(600);

    while (left > 0) {
        left--;
        if (fiber_wait(deadline_us) != WAKE_DONE)
            abort();
    }
    *slot = NULL;
}

static void wait_bare(void *arg)
{
    struct fiber **slot = arg;

    while (left > 0) {
        left--;
        if (fiber_wait(TIME_NEVER) != WAKE_DONE)
            abort();
    }
    *slot = NULL;
}

static void end_at_once(void *arg)
{
    (void)arg;
    left--;
}

static bool wake_all(struct loop_hook *hook)
{
    (void)hook;
    for (int i = 0; i < CROWD; i++)
        if (crowd[i] != NULL)
            fiber_wake(crowd[i], WAKE_DONE);
    if (fiber_count() == 0)
        loop_stop();
    return true;
}

static bool start_all(struct loop_hook *hook)
{
    (void)hook;
    for (int i = 0; i < CROWD && left > 0; i++)
        if (fiber_start(end_at_once, NULL) == NULL)
            abort();
    if (left <= 0)
        loop_stop();
    return true;
}

/* Nanoseconds a round, while the hook keeps the fibers busy. */
static double measure_loop(bool (*run)(struct loop_hook *))
{
    struct loop_hook hook = {.run = run};
    int64_t start_us = time_now_us();

    loop_hook_add(LOOP_LINKS, &hook);
    loop_run();
    loop_hook_remove(LOOP_LINKS, &hook);
    return (double)(time_now_us() - start_us) * 1e3 / (double)rounds;
}

static double measure_waits(void (*run)(void *arg))
{
    left = rounds;
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = fiber_start(run, &crowd[i]);
        if (crowd[i] == NULL)
            abort();
    }
    return measure_loop(wake_all);
}

static double measure_starts(void)
{
    left = rounds;
    return measure_loop(start_all);
}

static ucontext_t here, there;

static void swap_back(void)
{
    for (;;)
        swapcontext(&there, &here);
}

/* Nanoseconds of two switches, there and back. */
static double measure_swapcontext(void)
{
    static char stack[CONTEXT_STACK_BYTES];
    int64_t start_us;

    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof(stack);
    makecontext(&there, swap_back, 0);
    start_us = time_now_us();
    for (long i = 0; i < rounds; i++)
        swapcontext(&here, &there);
    return (double)(time_now_us() - start_us) * 1e3 / (double)rounds;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, RUNS, sizeof(*values), compare);
    return values[RUNS / 2];
}

static void print_row(const char *what, double ns, double base)
{
    printf("%-36s %8.1f   %6.3f\n", what, ns, ns / base);
}

int main(int argc, char **argv)
{
    double bare[RUNS], wait[RUNS], start[RUNS], swap[RUNS], base;

    if (argc > 1)
        rounds = strtol(argv[1], NULL, 10);
    loop_open(0);
    fiber_open(CROWD * 2);
    for (int run = 0; run < RUNS; run++) {
        swap[run] = measure_swapcontext();
        bare[run] = measure_waits(wait_bare);
        wait[run] = measure_waits(wait_often);
        start[run] = measure_starts();
    }
    base = median(swap);
    printf("medians of %d interleaved runs          ns   of swapcontext\n", RUNS);
    print_row("swapcontext, there and back", base, base);
    print_row("fiber: wait and wake", median(bare), base);
    print_row("fiber: the same with a deadline", median(wait), base);
    print_row("fiber: start and end, pooled stack", median(start), base);
    fiber_close();
    loop_close();
    stat_close();
    return 0;
}

/* How old messages are taken for after nothing ran. */
#include "base/loop.h"
#include "base/time.h"
#include "standstill.h"
#include <criterion/criterion.h>

static struct standstill standstill;
static int64_t now_us = TIME_S(100);

static int64_t clock_us(void)
{
    return now_us;
}

static void open_all(void)
{
    time_set_clock(clock_us);
    loop_open(0);
    standstill_open(&standstill);
}

/* The pulse fires after so long. */
static void beat_after(int64_t us)
{
    now_us += us;
    ev_invoke(loop_get(), &standstill.pulse, EV_TIMER);
}

static int64_t age_after(int64_t us)
{
    now_us += us;
    return standstill_age_us(&standstill, now_us);
}

static void close_all(void)
{
    standstill_close(&standstill);
    loop_close();
    time_set_clock(NULL);
}

Test(standstill, a_late_turn_is_none)
{
    open_all();
    cr_expect_eq(age_after(TIME_MS(900)), 0);
    beat_after(TIME_MS(100));
    beat_after(TIME_MS(1400));
    cr_expect_eq(age_after(0), 0);
    close_all();
}

Test(standstill, what_comes_in_one_go_may_be_as_old_as_it)
{
    open_all();
    beat_after(TIME_S(4));
    cr_expect_eq(age_after(TIME_MS(5)), TIME_S(4));
    cr_expect_eq(age_after(TIME_MS(15)), TIME_S(4));
    cr_expect_eq(age_after(TIME_MS(25)), 0, "a pause");
    cr_expect_eq(age_after(0), 0, "and it is over");
    close_all();
}

Test(standstill, it_is_over_soon_in_any_case)
{
    open_all();
    beat_after(TIME_S(4));
    for (int ms = 10; ms <= 500; ms += 10)
        cr_expect_eq(age_after(TIME_MS(10)), TIME_S(4));
    cr_expect_eq(age_after(TIME_MS(10)), 0);
    close_all();
}

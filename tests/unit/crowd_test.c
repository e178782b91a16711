/* How long a newcomer would wait, with a clock that the test turns. */
#include "crowd.h"
#include <criterion/criterion.h>

enum { MS = 1000 };

static struct crowd crowd;
static int64_t now_us = 1000000;

static void join(unsigned count)
{
    while (count-- > 0)
        crowd_join(&crowd, now_us);
}

/* One is served after each `each_us`. */
static void serve(unsigned count, int64_t each_us)
{
    while (count-- > 0) {
        now_us += each_us;
        crowd_leave(&crowd, true, now_us);
    }
}

static int64_t wait_ms(void)
{
    return crowd_wait_us(&crowd, now_us) / MS;
}

Test(crowd, nobody_there)
{
    cr_expect_eq(wait_ms(), 0);
    join(1);
    serve(1, 100 * MS);
    now_us += 5000 * MS;
    cr_expect_eq(wait_ms(), 0, "time in which nobody waits does not count");
    join(10);
    cr_expect_lt(wait_ms(), 100);
}

Test(crowd, the_first_do_not_judge_all)
{
    join(50);
    now_us += 20 * MS; /* a connection is opened */
    cr_expect_lt(wait_ms(), 100);
}

Test(crowd, as_many_as_are_there_at_their_pace)
{
    join(1000);
    serve(900, 10 * MS);
    cr_expect(wait_ms() > 750 && wait_ms() <= 1000, "100 of 10 ms: %d", (int)wait_ms());
    join(100);
    cr_expect(wait_ms() > 1500 && wait_ms() <= 2000, "200 of 10 ms: %d", (int)wait_ms());
}

Test(crowd, many_at_one_moment)
{
    join(1000);
    for (int round = 0; round < 50; round++) {
        serve(1, 160 * MS);
        serve(15, 0);
    }
    cr_expect(wait_ms() > 1500 && wait_ms() <= 2400, "200 of 10 ms: %d", (int)wait_ms());
}

Test(crowd, a_short_standstill_is_not_slowness)
{
    join(20000);
    serve(15000, MS / 25);
    now_us += 50 * MS;
    cr_expect_lt(wait_ms(), 400, "5,000 of 40 us: %d", (int)wait_ms());
}

Test(crowd, nothing_moves)
{
    join(1000);
    serve(900, MS);
    cr_expect_lt(wait_ms(), 101);
    now_us += 5000 * MS;
    cr_expect_gt(wait_ms(), 1000);
}

Test(crowd, those_who_leave_unserved_make_it_no_faster)
{
    join(200);
    serve(100, 10 * MS);
    now_us += 2000 * MS;
    for (int i = 0; i < 90; i++)
        crowd_leave(&crowd, false, now_us);
    cr_expect_eq(crowd.count, 10);
    cr_expect_gt(wait_ms(), 200);
}

Test(crowd, a_standstill_is_forgotten)
{
    join(2000);
    now_us += 30000 * MS;
    serve(1000, MS);
    cr_expect_lt(wait_ms(), 1500);
}

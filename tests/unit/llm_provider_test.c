/* The breaker: who fails again and again is left alone, and tried now and then. */
#include "base/time.h"
#include "provider.h"
#include <criterion/criterion.h>

enum { OPENS_AFTER = 5 };

static int64_t now_us = TIME_S(1000);

static int64_t test_clock(void)
{
    return now_us;
}

static void open_clock(void)
{
    time_set_clock(test_clock);
}

TestSuite(llm_provider, .init = open_clock, .timeout = 30);

static void ask(struct provider *provider, bool known, bool blame)
{
    cr_assert(provider_begin(provider));
    provider_end(provider, known, blame);
}

static struct provider broken(void)
{
    struct provider provider = {.most = 10};

    for (int i = 0; i < OPENS_AFTER; i++)
        ask(&provider, true, true);
    return provider;
}

Test(llm_provider, questions_at_one_time_are_bounded)
{
    struct provider provider = {.most = 2};

    cr_assert(provider_begin(&provider) && provider_begin(&provider));
    cr_assert_not(provider_begin(&provider));
    provider_end(&provider, true, false);
    cr_assert(provider_begin(&provider));
}

Test(llm_provider, failures_in_a_row_count)
{
    struct provider provider = {.most = 10};

    for (int i = 0; i < 3 * OPENS_AFTER; i++) {
        ask(&provider, true, i % OPENS_AFTER != 0); /* a good answer in between */
        ask(&provider, false, false);               /* one of which nothing was learnt */
    }
}

Test(llm_provider, one_question_now_and_then_tries_a_broken_one)
{
    struct provider provider = broken();

    cr_assert_not(provider_begin(&provider));
    for (int i = 0; i < 3; i++) {
        now_us += TIME_S(10);
        cr_assert(provider_begin(&provider));
        cr_assert_not(provider_begin(&provider), "while one tries");
        provider_end(&provider, true, true);
        cr_assert_not(provider_begin(&provider), "when it failed");
    }
}

Test(llm_provider, one_that_left_has_tried_nothing)
{
    struct provider provider = broken();

    now_us += TIME_S(10);
    ask(&provider, false, false);
    cr_assert_not(provider_begin(&provider));
    now_us += TIME_S(10);
    cr_assert(provider_begin(&provider));
}

Test(llm_provider, a_good_answer_closes_the_matter)
{
    struct provider provider = broken();

    now_us += TIME_S(10);
    ask(&provider, true, false);
    for (int i = 0; i < OPENS_AFTER; i++)
        ask(&provider, true, true);
    cr_assert_not(provider_begin(&provider));
}

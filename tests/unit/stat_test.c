/* Numbers: their Prometheus text to the letter. */
#include "base/stat.h"
#include <criterion/criterion.h>
#include <stdio.h>

STAT(requests_total, counter, "Requests\nanswered \\ all.");
STAT(mailbox_calls, gauge, "Calls that wait.");
STAT_LABELED(answers_total, counter, "status", "Answers.");
STAT(wait_seconds, histogram, "Waiting.");
STAT_LABELED(part_seconds, histogram, "part", "Time by part.");
STAT(never_registered_total, counter, "Nothing.");

static char text[1 << 16];

static const char *render(void)
{
    struct buffer out;

    buffer_init(&out, NULL, sizeof(text) - 1);
    stat_render(&out);
    cr_assert(!out.failed);
    memcpy(text, out.data, out.len);
    text[out.len] = '\0';
    buffer_free(&out);
    return text;
}

static void expect_start(const char *expected)
{
    const char *all = render();

    cr_assert(strncmp(all, expected, strlen(expected)) == 0, "%s", all);
}

Test(stat, writes_counters_and_gauges_in_order, .timeout = 10)
{
    static const char *const statuses[] = {"ok", "a\"b\\c\nd"};

    stat_register(&requests_total);
    stat_register(&mailbox_calls);
    stat_register_labels(&answers_total, statuses, 2);
    stat_add(&requests_total, 1);
    stat_add(&requests_total, 41);
    stat_set(&mailbox_calls, 2.5);
    stat_add_at(&answers_total, 1, 3);
    cr_assert_eq(stat_value_at(&requests_total, 0), 42);
    expect_start("# HELP lectern_requests_total Requests\\nanswered \\\\ all.\n"
                 "# TYPE lectern_requests_total counter\n"
                 "lectern_requests_total 42\n"
                 "# HELP lectern_mailbox_calls Calls that wait.\n"
                 "# TYPE lectern_mailbox_calls gauge\n"
                 "lectern_mailbox_calls 2.5\n"
                 "# HELP lectern_answers_total Answers.\n"
                 "# TYPE lectern_answers_total counter\n"
                 "lectern_answers_total{status=\"ok\"} 0\n"
                 "lectern_answers_total{status=\"a\\\"b\\\\c\\nd\"} 3\n"
                 "# HELP process_resident_memory_bytes ");
    stat_close();
}

Test(stat, histograms_are_cumulated, .timeout = 10)
{
    static const struct {
        int64_t us;
        const char *bucket; /* the first that counts it */
    } cases[] = {{-1, "2.5e-05"}, {0, "2.5e-05"},     {25, "2.5e-05"},
                 {26, "5e-05"},   {1000, "0.001"},    {1001, "0.002"},
                 {50000, "0.05"}, {100000000, "100"}, {100000001, "+Inf"}};
    size_t count = sizeof(cases) / sizeof(cases[0]);

    for (size_t i = 0; i < count; i++) {
        char line[100];

        stat_register(&wait_seconds);
        stat_observe(&wait_seconds, cases[i].us);
        snprintf(line, sizeof(line), "_bucket{le=\"%s\"} 1\n", cases[i].bucket);
        cr_expect_not_null(strstr(render(), line), "%zu: %s", i, text);
        *strstr(text, line) = '\0';
        cr_expect_null(strstr(text, "} 1\n"));
        stat_close();
    }
    stat_register(&wait_seconds);
    for (size_t i = 0; i < count; i++)
        stat_observe(&wait_seconds, cases[i].us);
    cr_assert_not_null(strstr(render(), "lectern_wait_seconds_bucket{le=\"+Inf\"} 9\n"
                                        "lectern_wait_seconds_sum 200.05"));
    cr_assert_not_null(strstr(text, "lectern_wait_seconds_count 9\n"));
    stat_close();
}

Test(stat, labeled_histograms, .timeout = 10)
{
    static const char *const parts[] = {"queue", "db"};

    stat_register_labels(&part_seconds, parts, 2);
    stat_observe_at(&part_seconds, 1, 100);
    cr_assert_not_null(strstr(render(), "_bucket{part=\"queue\",le=\"100\"} 0\n"));
    cr_assert_not_null(strstr(text, "_bucket{part=\"db\",le=\"0.0001\"} 1\n"));
    cr_assert_not_null(strstr(text, "_count{part=\"db\"} 1\n"));
    stat_close();
}

static void refresh(void *arg)
{
    stat_set(&mailbox_calls, *(int *)arg);
}

Test(stat, gauges_are_refreshed, .timeout = 10)
{
    int calls = 17;

    stat_register(&mailbox_calls);
    stat_on_render(refresh, &calls);
    cr_assert_not_null(strstr(render(), "lectern_mailbox_calls 17\n"));
    stat_close();
}

Test(stat, unregistered_rows_count_nothing, .timeout = 10)
{
    stat_add(&never_registered_total, 1);
    stat_set(&never_registered_total, 1);
    stat_observe(&wait_seconds, 1);
    cr_assert_eq(stat_value_at(&never_registered_total, 0), 0);
}

Test(stat, registering_again_keeps_the_value, .timeout = 10)
{
    stat_register(&requests_total);
    stat_add(&requests_total, 5);
    stat_register(&requests_total);
    cr_assert_eq(stat_value_at(&requests_total, 0), 5);
    stat_close();
}

Test(stat, speaks_of_the_process, .timeout = 10)
{
    double bytes = 0, start = 0;

    stat_register(&requests_total);
    render();
    cr_assert_eq(
        sscanf(strstr(text, "\nprocess_resident"), "\nprocess_resident_memory_bytes %lf", &bytes),
        1);
    cr_assert_eq(
        sscanf(strstr(text, "\nprocess_start"), "\nprocess_start_time_seconds %lf", &start), 1);
    cr_assert(bytes > 100000 && start > 1.7e9);
    stat_close();
}

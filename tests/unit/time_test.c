/* Times: tables of good and bad texts, and the C library as an oracle for the calendar. */
#include "base/time.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

Test(time, reads_and_writes, .timeout = 10)
{
    static const struct {
        const char *text;
        int64_t us;
        const char *written; /* NULL: the same as `text` */
    } cases[] = {
        {"1970-01-01T00:00:00.000000+00:00", 0, NULL},
        {"1969-12-31T23:59:59.999999+00:00", -1, NULL},
        {"2026-01-31T09:05:00.123456+00:00", 1769850300123456, NULL},
        {"2000-02-29T12:00:00.000000+00:00", 951825600000000, NULL},
        {"0001-01-01T00:00:00.000000+00:00", -62135596800000000, NULL},
        {"9999-12-31T23:59:59.999999+00:00", 253402300799999999, NULL},
        {"1970-01-01 00:00:00Z", 0, "1970-01-01T00:00:00.000000+00:00"},
        {"1970-01-01T00:00:00.5Z", 500000, "1970-01-01T00:00:00.500000+00:00"},
        {"1970-01-01T02:00:00+02:00", 0, "1970-01-01T00:00:00.000000+00:00"},
        {"1970-01-01T00:00:00-0130", 5400000000, "1970-01-01T01:30:00.000000+00:00"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *written = cases[i].written != NULL ? cases[i].written : cases[i].text;
        char out[TIME_ISO_BYTES];
        int64_t us = 42;

        cr_expect_eq(time_parse_iso(cases[i].text, strlen(cases[i].text), &us), 0, "%s",
                     cases[i].text);
        cr_expect_eq(us, cases[i].us, "%s is %" PRId64, cases[i].text, us);
        cr_expect_str_eq(time_iso(cases[i].us, out), written);
    }
}

Test(time, refuses, .timeout = 10)
{
    static const char *const cases[] = {
        "",
        "2026",
        "2026-01-31",
        "2026-01-31T09:05:00",
        "2026-01-31T09:05Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-01-31T24:00:00Z",
        "2026-01-31T00:60:00Z",
        "2026-01-31T00:00:60Z",
        "2026-01-31T00:00:00.Z",
        "2026-01-31T00:00:00.1234567Z",
        "2026-01-31T00:00:00+24:00",
        "2026-01-31T00:00:00+1",
        "2026-01-31T00:00:00+01:",
        "2026-01-31T00:00:00Zz",
        "2026-01-31T00:00:00 Z",
        "2026/01/31T00:00:00Z",
        "2026-01-31t00:00:00Z",
        "-026-01-31T00:00:00Z",
        "+026-01-31T00:00:00Z",
        "2026-1 -31T00:00:00Z",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t us = 42;

        cr_expect_eq(time_parse_iso(cases[i], strlen(cases[i]), &us), -1, "%s", cases[i]);
        cr_expect_eq(us, 42, "%s", cases[i]);
    }
}

/* No prefix of a good text is good, and nothing behind `len` is read. */
Test(time, refuses_prefixes, .timeout = 10)
{
    const char text[] = "2026-01-31T09:05:00.123456+00:00";
    int64_t us;

    for (size_t len = 0; len < sizeof(text) - 1; len++)
        cr_expect_eq(time_parse_iso(text, len, &us), -1, "%zu", len);
}

Test(time, agrees_with_the_c_library, .timeout = 30)
{
    for (int64_t day = -719162; day <= 2932896; day += 13) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        char expected[TIME_ISO_BYTES], out[TIME_ISO_BYTES];
        struct tm tm;
        int64_t us;

        if (day % 86400 < 0)
            seconds = (time_t)(day * 86400);
        gmtime_r(&seconds, &tm);
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.000000+00:00",
                 (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
                 tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
        cr_assert_str_eq(time_iso((int64_t)seconds * 1000000, out), expected);
        cr_assert_eq(time_parse_iso(out, strlen(out), &us), 0);
        cr_assert_eq(us, (int64_t)seconds * 1000000);
    }
}

Test(time, clamps, .timeout = 10)
{
    char out[TIME_ISO_BYTES];

    cr_assert_str_eq(time_iso(INT64_MIN, out), "0001-01-01T00:00:00.000000+00:00");
    cr_assert_str_eq(time_iso(INT64_MAX, out), "9999-12-31T23:59:59.999999+00:00");
}

static int64_t stopped_clock(void)
{
    return 4711;
}

Test(time, clock_can_be_replaced, .timeout = 10)
{
    int64_t before = time_now_us();

    time_set_clock(stopped_clock);
    cr_assert_eq(time_now_us(), 4711);
    time_set_clock(NULL);
    cr_assert(time_now_us() >= before);
    cr_assert(time_wall_us() > TIME_S(1700000000));
}

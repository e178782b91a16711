/* Logs: exact lines in both forms, limits, a standard error that nobody reads. */
#include "base/log.h"
#include "base/stat.h"
#include "base/time.h"
#include "unit/capture.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char output[4 << 20];

/* Behind the time, whose form is checked. */
static const char *after_time(const char *line, const char *form)
{
    int year, month, day, hour, minute, second, ms, len = 0;
    char zone;
    int found = sscanf(line, form, &year, &month, &day, &hour, &minute, &second, &ms, &zone, &len);

    cr_assert_eq(found, 8, "%s", line);
    cr_assert(zone == 'Z' && year >= 2024 && month >= 1 && month <= 12);
    return line + len;
}

static const char *text_of_line(bool json, const char *text)
{
    struct capture capture;

    capture_start(&capture, 2);
    log_open("test", LOG_info, json);
    log_info(&process, "%s", text);
    log_close();
    capture_end(&capture, output, sizeof(output));
    stat_close();
    if (json)
        return after_time(output, "{\"time\":\"%4d-%2d-%2dT%2d:%2d:%2d.%3d%c\"%n");
    return after_time(output, "time=%4d-%2d-%2dT%2d:%2d:%2d.%3d%c%n");
}

Test(log, quotes_and_escapes, .timeout = 10)
{
    static const struct {
        const char *text;
        const char *logfmt; /* behind `text=` */
        const char *json;   /* behind `"text":` */
    } cases[] = {
        {"plain", "plain", "\"plain\""},
        {"two words", "\"two words\"", "\"two words\""},
        {"", "\"\"", "\"\""},
        {"a=b", "\"a=b\"", "\"a=b\""},
        {"say \"x\"", "\"say \\\"x\\\"\"", "\"say \\\"x\\\"\""},
        {"back\\slash", "\"back\\\\slash\"", "\"back\\\\slash\""},
        {"a\nb\tc\r", "\"a\\nb\\tc\\r\"", "\"a\\nb\\tc\\r\""},
        {"\x01\x1b[31m\x7f", "\"\\u0001\\u001b[31m\\u007f\"", "\"\\u0001\\u001b[31m\\u007f\""},
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"", "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\""},
        {"c1 \xc2\x85", "\"c1 \\u0085\"", "\"c1 \\u0085\""},
        {"bad \xff!", "\"bad \xef\xbf\xbd!\"", "\"bad \xef\xbf\xbd!\""},
        {"cut \xe2\x82", "\"cut \xef\xbf\xbd\xef\xbf\xbd\"", "\"cut \xef\xbf\xbd\xef\xbf\xbd\""},
        {"long \xc0\xaf", "\"long \xef\xbf\xbd\xef\xbf\xbd\"", "\"long \xef\xbf\xbd\xef\xbf\xbd\""},
        {"half \xed\xa0\x80", "\"half \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"",
         "\"half \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[256];

        snprintf(expected, sizeof(expected), " level=info process=test text=%s\n", cases[i].logfmt);
        cr_expect_str_eq(text_of_line(false, cases[i].text), expected);
        snprintf(expected, sizeof(expected),
                 ",\"level\":\"info\",\"process\":\"test\",\"text\":%s}\n", cases[i].json);
        cr_expect_str_eq(text_of_line(true, cases[i].text), expected);
    }
}

struct object {
    struct log_tag log;
};

Test(log, carries_its_object, .timeout = 10)
{
    struct object object = {{"bible", "chapter", "4bf92f"}};
    struct capture capture;

    capture_start(&capture, 2);
    log_open("lectern-bible", LOG_warn, false);
    log_info(&object, "not seen");
    log_error(&object, "seen %d", 1);
    log_close();
    capture_end(&capture, output, sizeof(output));
    cr_assert_str_eq(after_time(output, "time=%4d-%2d-%2dT%2d:%2d:%2d.%3d%c%n"),
                     " level=error process=lectern-bible domain=bible message=chapter "
                     "trace=4bf92f text=\"seen 1\"\n");
    stat_close();
}

static int evaluated;

static int evaluate(void)
{
    return ++evaluated;
}

Test(log, level_is_tested_before_the_arguments, .timeout = 10)
{
    log_set_level(LOG_error);
    log_warn(&process, "%d", evaluate());
    cr_assert_eq(evaluated, 0);
    cr_assert_eq(log_level_of("debug"), LOG_debug);
    cr_assert_eq(log_level_of("error"), LOG_error);
    cr_assert_eq(log_level_of("loud"), -1);
}

Test(log, without_writer_lines_are_written_at_once, .timeout = 10)
{
    struct capture capture;

    capture_start(&capture, 2);
    log_info(&process, "early");
    capture_end(&capture, output, sizeof(output));
    cr_assert_str_eq(after_time(output, "time=%4d-%2d-%2dT%2d:%2d:%2d.%3d%c%n"),
                     " level=info text=early\n");
}

/* A line is at most 2 KiB, ends properly, and says that it was cut. */
Test(log, long_lines_are_cut_whole, .timeout = 10)
{
    static const char *const fillers[] = {"x", "\xe2\x82\xac", "\"", "\x01", "\xff", " "};

    for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]) * 2; i++) {
        const char *filler = fillers[i / 2];
        bool json = i % 2 == 1;
        char text[6000] = "";
        const char *line;
        size_t len;

        for (len = 0; len < 5000; len += strlen(filler))
            strcat(text, filler);
        line = text_of_line(json, text);
        len = strlen(output);
        cr_expect(len <= 2048 && len > 1900, "filler %zu: %zu", i, len);
        cr_expect_str_eq(line + strlen(line) - (json ? 3 : 2), json ? "\"}\n" : "\"\n");
    }
}

static size_t count_of(const char *text, const char *needle)
{
    size_t count = 0;

    for (text = strstr(text, needle); text != NULL; text = strstr(text + 1, needle))
        count++;
    return count;
}

/* Nobody reads: callers go on, lines are counted as dropped, and that is said when there is room.
 */
Test(log, blocked_reader_blocks_nobody, .timeout = 30)
{
    enum { LINES = 20000 };
    struct capture capture;
    int64_t start_us;
    uint64_t dropped;

    capture_start(&capture, 2);
    log_open("test", LOG_info, false);
    start_us = time_now_us();
    for (int i = 0; i < LINES; i++)
        log_info(&process, "line number %d of many", i);
    cr_expect(time_now_us() - start_us < TIME_S(5));
    dropped = log_dropped();
    cr_assert(dropped > 0 && dropped < LINES);
    capture_read_until(&capture, "log lines were dropped", output, sizeof(output));
    cr_assert_eq(count_of(output, "line number"), LINES - dropped);
    cr_assert_eq(count_of(output, "were dropped"), 1);
    log_close();
    capture_end(&capture, output, sizeof(output));
    stat_close();
}

Test(log, close_waits_a_second_at_most, .timeout = 20)
{
    struct capture capture;
    int64_t start_us;

    capture_start(&capture, 2);
    log_open("test", LOG_info, false);
    for (int i = 0; i < 5000; i++)
        log_info(&process, "line number %d of many", i);
    start_us = time_now_us();
    log_close();
    cr_assert(time_now_us() - start_us < TIME_S(3));
    close(capture.read_fd);
    stat_close();
}

/* A standard error that does not block is waited for by the writer only. */
Test(log, non_blocking_descriptor_loses_nothing, .timeout = 20)
{
    struct capture capture;

    capture_start(&capture, 2);
    cr_assert_eq(fcntl(2, F_SETFL, O_NONBLOCK), 0);
    log_open("test", LOG_info, false);
    for (int i = 0; i < 1500; i++)
        log_info(&process, "line number %d of many", i);
    capture_read_until(&capture, "line number 1499", output, sizeof(output));
    cr_assert_eq(count_of(output, "\n"), 1500);
    cr_assert_eq(log_dropped(), 0);
    log_close();
    capture_end(&capture, output, sizeof(output));
    stat_close();
}

static void *log_many(void *arg)
{
    for (int i = 0; i < 500; i++)
        log_info(&process, "thread %s writes a line", (const char *)arg);
    return NULL;
}

Test(log, lines_of_threads_stay_whole, .timeout = 30)
{
    struct capture capture;
    pthread_t threads[3];

    capture_start(&capture, 2);
    log_open("test", LOG_info, false);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, log_many, "T"), 0);
    capture_read_until(&capture, "NO SUCH", output, 100000);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    log_close();
    capture_end(&capture, output + strlen(output), sizeof(output) - 100000);
    cr_assert_eq(count_of(output, " text=\"thread T writes a line\"\ntime="), 1499);
    stat_close();
}

Test(log, opens_again, .timeout = 10)
{
    for (int i = 0; i < 3; i++)
        cr_assert_not_null(strstr(text_of_line(false, "again"), "text=again\n"));
    log_close();
}

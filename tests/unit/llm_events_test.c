/* Server-sent events: the same ones wherever the bytes are cut, and none that is too large. */
#include "events.h"
#include <criterion/criterion.h>
#include <stdio.h>

enum { HEARD_BYTES = 4096 };

/* What came, `name|data;` an event. */
struct heard {
    char text[HEARD_BYTES];
    size_t stop_after; /* events; 0: never */
    size_t count;      /* of events */
};

static bool hear(void *arg, const char *name, struct str data)
{
    struct heard *heard = arg;
    size_t len = strlen(heard->text);

    snprintf(heard->text + len, HEARD_BYTES - len, "%s|%.*s;", name, STR_ARG(data));
    return ++heard->count != heard->stop_after;
}

/* Feeds pieces that end at the offsets `first` and `second`. */
static void feed(struct str bytes, size_t first, size_t second, struct heard *heard)
{
    struct event_reader reader;
    size_t ends[] = {first, second, bytes.len};
    size_t at = 0;

    *heard = (struct heard){.count = 0};
    event_reader_init(&reader);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(event_feed(&reader, (struct str){bytes.ptr + at, ends[i] - at}, hear, heard),
                     0);
        at = ends[i];
    }
    event_reader_free(&reader);
}

static const struct {
    const char *bytes, *heard;
} streams[] = {
    {"event: a\ndata: 1\n\ndata: 2\n\n", "a|1;|2;"},
    {"event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", "a|1;|2;"},
    {"event: a\rdata: 1\r\rdata: 2\r\r", "a|1;|2;"},
    {"data: 1\n\r\ndata: 2\r\r\n", "|1;|2;"},
    {": ping\n\n:\n\n: data: 1\n\ndata: 2\n\n", "|2;"},
    {"data:1\ndata:  2\ndata\ndata: \n\n", "|1\n 2\n\n;"},
    {"event: lost\n\ndata: 1\n\n", "|1;"},
    {"id: 7\nretry: 10\nnews: 1\ndata: a:b\n\n", "|a:b;"},
    {"data: \xC3\xA9\xE2\x82\xAC\xF0\x9F\x95\x8A\n\n", "|\xC3\xA9\xE2\x82\xAC\xF0\x9F\x95\x8A;"},
    {"data\n\ndata:\n\n", "|;|;"},
    {"data: whole\n\ndata: not", "|whole;"},
    {"data: whole\n\ndata: not\n", "|whole;"},
    {"\n\n\r\r\n", ""},
    {"event: one\nevent: two\ndata: 1\n\n", "two|1;"},
};

Test(llm_events, the_same_wherever_they_are_cut, .timeout = 60)
{
    struct heard heard;

    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        struct str bytes = str_of(streams[i].bytes);

        for (size_t first = 0; first <= bytes.len; first++)
            for (size_t second = first; second <= bytes.len; second++) {
                feed(bytes, first, second, &heard);
                cr_assert_str_eq(heard.text, streams[i].heard, "stream %zu, cut at %zu and %zu", i,
                                 first, second);
            }
    }
}

Test(llm_events, byte_by_byte, .timeout = 30)
{
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        struct event_reader reader;
        struct heard heard = {.count = 0};

        event_reader_init(&reader);
        for (const char *at = streams[i].bytes; *at != '\0'; at++)
            cr_assert_eq(event_feed(&reader, (struct str){at, 1}, hear, &heard), 0);
        cr_assert_str_eq(heard.text, streams[i].heard, "stream %zu", i);
        event_reader_free(&reader);
    }
}

Test(llm_events, who_has_enough_hears_no_more, .timeout = 30)
{
    struct event_reader reader;
    struct heard heard = {.stop_after = 2};

    event_reader_init(&reader);
    cr_assert_eq(event_feed(&reader, STR("data: 1\n\ndata: 2\n\ndata: 3\n\n"), hear, &heard), 0);
    cr_assert_str_eq(heard.text, "|1;|2;");
    event_reader_free(&reader);
}

Test(llm_events, a_long_name_is_cut, .timeout = 30)
{
    struct event_reader reader;
    struct heard heard = {.count = 0};
    char line[256] = "event: ";

    memset(line + 7, 'n', 200);
    event_reader_init(&reader);
    cr_assert_eq(event_feed(&reader, str_of(line), hear, &heard), 0);
    cr_assert_eq(event_feed(&reader, STR("\ndata: 1\n\n"), hear, &heard), 0);
    cr_assert_eq(strlen(heard.text), EVENT_NAME_BYTES - 1 + strlen("|1;"));
    event_reader_free(&reader);
}

/* Feeds the same bytes until they are refused; how many were taken. */
static size_t most_of(struct str bytes)
{
    struct event_reader reader;
    struct heard heard = {.count = 0};
    size_t taken = 0;

    event_reader_init(&reader);
    while (taken < 4 * EVENT_MOST_BYTES && event_feed(&reader, bytes, hear, &heard) == 0)
        taken += bytes.len;
    cr_assert_neq(event_feed(&reader, STR("\n\n"), hear, &heard), 0, "it stays refused");
    cr_assert_eq(heard.count, 0);
    event_reader_free(&reader);
    return taken;
}

Test(llm_events, a_line_or_event_without_an_end_is_refused, .timeout = 30)
{
    cr_assert_leq(most_of(STR("data: and no end of the line in sight ")), EVENT_MOST_BYTES);
    cr_assert_leq(most_of(STR("data: and no end of the event in sight\n")), 2 * EVENT_MOST_BYTES);
}

/* Streams of events, from actors that the test plays: what a client sees of them, and what an actor
 * sees of its client. */
#include "base/time.h"
#include "stage.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define USER "0f8fad5b-d9cb-469f-a165-70867728950e"
#define OTHER "7c9e6679-7425-40de-944b-e07fc1f90ae7"
#define COOKIE "Cookie: verse_user_id=" USER "\r\n"
#define BODY "{\"message\":\"Hi\"}"

enum { CREDIT = 16 * 1024, TEXT_BYTES = 1024 };

static const struct str accepted = {"\x80", 1};
static struct actor *actor;

static void open_stage(void)
{
    stage_open(NULL);
    actor = actor_open("chat-1");
}

TestSuite(sse, .init = open_stage, .fini = stage_close, .timeout = 60);

static int post(const char *path)
{
    char line[64];
    int fd;

    snprintf(line, sizeof(line), "POST %s", path);
    fd = client_send(line, COOKIE "Content-Type: application/json\r\nContent-Length: 16\r\n");
    cr_assert_eq(write(fd, BODY, strlen(BODY)), (ssize_t)strlen(BODY));
    return fd;
}

static struct taken ask(int *fd)
{
    struct taken taken;

    *fd = post("/api/standalone-chat");
    taken = actor_take(actor);
    cr_assert(str_is(taken.header.method, "chat.create_standalone_chat"));
    return taken;
}

static void more(const struct taken *to, struct str body)
{
    actor_reply(actor, to, (struct common_reply){.status = STR("more")}, body);
}

/* The body of an event. */
static struct str event(const struct record *record, const void *values)
{
    static char text[CREDIT];
    struct str inner = encoded(record, values);
    int len =
        snprintf(text, sizeof(text), "\x81%c%s", 0xA0 + (int)strlen(record->name), record->name);

    cr_assert_lt((size_t)len + inner.len, sizeof(text));
    memcpy(text + len, inner.ptr, inner.len);
    return (struct str){text, (size_t)len + inner.len};
}

static struct str token(const char *text)
{
    struct chat_token token = {str_of(text)};

    return event(&record_chat_token, &token);
}

static void finish(const struct taken *to, struct str reason)
{
    struct chat_create_standalone_chat_out out = {.status = STR("complete"), .stop_reason = reason};

    actor_reply(actor, to, (struct common_reply){.v = 0},
                encoded(&methods[METHOD_chat_create_standalone_chat].out, &out));
}

#define TOKEN(text) "event: token\ndata: {\"token\":\"" text "\"}\n\n"
#define DONE "event: done\ndata: {\"status\":\"complete\",\"stop_reason\":null}\n\n"

/* The content without its chunks. */
static void expect_events(int fd, const char *events)
{
    const struct answer *answer = client_read(fd);
    const char *at = answer->body;
    char text[TEXT_BYTES] = "";
    size_t len = 0, size;

    cr_assert_eq(answer->status, 200);
    for (size = strtoul(at, NULL, 16); size > 0; size = strtoul(at, NULL, 16)) {
        at = strstr(at, "\r\n") + 2;
        cr_assert_lt(len + size, sizeof(text));
        memcpy(text + len, at, size);
        len += size;
        at += size + 2;
    }
    cr_expect_str_eq(text, events);
}

Test(sse, events_and_their_end)
{
    struct chat_chat_id begun = {7};
    int fd;
    struct taken taken = ask(&fd);

    cr_expect_eq(taken.header.credit, CREDIT);
    more(&taken, accepted);
    more(&taken, token("a\n\"b\""));
    more(&taken, event(&record_chat_chat_id, &begun));
    finish(&taken, NO_STR);
    expect_events(fd, TOKEN("a\\n\\\"b\\\"") "event: chat_id\ndata: {\"chat_id\":7}\n\n" DONE);
}

Test(sse, the_head)
{
    struct common_rate rate = {.limit = 20, .remaining = 3, .reset = 5000};
    struct common_reply beside = {.status = STR("more"), .user = STR(OTHER), .rate = &rate};
    const struct answer *answer;
    int fd;
    struct taken taken = ask(&fd);

    actor_reply(actor, &taken, beside, accepted);
    beside.status = STR("timeout");
    actor_reply(actor, &taken, beside, accepted);
    answer = client_read(fd);
    cr_expect_str_eq(answer_field(answer, "content-type"), "text/event-stream; charset=utf-8");
    cr_expect_str_eq(answer_field(answer, "cache-control"), "no-cache");
    cr_expect_str_eq(answer_field(answer, "x-accel-buffering"), "no");
    cr_expect_str_eq(answer_field(answer, "x-ratelimit-remaining"), "3");
    cr_assert_not_null(strstr(answer_field(answer, "set-cookie"), OTHER));
}

Test(sse, what_fails_before_is_a_status)
{
    int fd;
    struct taken taken = ask(&fd);

    actor_reply_fault(actor, &taken, "model_absent", STR("\x80"));
    cr_expect_eq(client_read(fd)->status, 503);
}

Test(sse, what_fails_later_is_an_event)
{
    static const struct {
        const char *fault, *event;
    } cases[] = {
        {"chat_not_found", "event: error\ndata: {\"error\":\"Chat not found\"}\n\n"},
        {"model_refused_key",
         "event: error\ndata: {\"error\":\"The language model's provider refused the key or the "
         "account\",\"error_type\":\"auth_error\"}\n\n"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int fd;
        struct taken taken = ask(&fd);

        more(&taken, accepted);
        actor_reply_fault(actor, &taken, cases[i].fault, STR("\x80"));
        expect_events(fd, cases[i].event);
    }
}

Test(sse, what_is_no_event_ends_it)
{
    static const struct str bodies[] = {STR("\xc1"),
                                        STR("\x01"),
                                        STR("\x81\xa5token\x01"),
                                        STR("\x81\xa5other\x80"),
                                        STR("\x82\xa1"
                                            "a\x01\xa1"
                                            "b\x02"),
                                        STR("\x81\x01\x80"),
                                        STR("\x81\xa5token\x80")};

    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        int fd;
        struct taken taken = ask(&fd);

        more(&taken, token("a"));
        more(&taken, bodies[i]);
        cr_assert(str_is(actor_take(actor).header.op, "cancel"));
        expect_events(fd,
                      TOKEN("a") "event: error\ndata: {\"error\":\"Internal Server Error\"}\n\n");
    }
}

Test(sse, credit_comes_in_steps)
{
    static char text[2048];
    int fd;
    struct taken taken = ask(&fd), credit;

    memset(text, 'x', sizeof(text) - 1);
    more(&taken, accepted);
    more(&taken, token("a"));
    cr_expect(actor_is_left_alone(actor, 100));
    more(&taken, token(text));
    more(&taken, token(text));
    credit = actor_take(actor);
    cr_expect(str_is(credit.header.op, "credit"));
    cr_expect_eq(credit.header.credit,
                 (int64_t)(accepted.len + token("a").len + 2 * token(text).len));
    client_leave(fd);
    cr_expect(str_is(actor_take(actor).header.op, "cancel"));
}

Test(sse, who_leaves_takes_the_call_back)
{
    int fd;
    struct taken taken = ask(&fd);

    more(&taken, token("a"));
    client_leave(fd);
    cr_expect(str_is(actor_take(actor).header.op, "cancel"));
}

Test(sse, an_actor_that_dies_is_an_event)
{
    int fd;
    struct taken taken = ask(&fd);

    more(&taken, accepted);
    more(&taken, token("a"));
    client_await(fd, "token");
    actor_die(actor, "chat");
    expect_events(fd, TOKEN("a") "event: error\ndata: {\"error\":\"Outcome unknown\"}\n\n");
    actor = actor_open("chat-1");
}

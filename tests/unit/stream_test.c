/* Answers in pieces, from actors that the test plays: what a client sees of them, and what an actor
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

enum { CREDIT = 256 * 1024 };

static struct actor *actor;

static void open_stage(void)
{
    stage_open(NULL);
    actor = actor_open("chat-1");
}

TestSuite(stream, .init = open_stage, .fini = stage_close, .timeout = 60);

/* One message, of that id and text, as a list. */
static struct str piece(int64_t id, struct str text)
{
    struct chat_message message = {id, STR("user"), text, 1000};
    struct chat_get_chat_messages_out out = {.messages = {&message, 1}};

    return encoded(&methods[METHOD_chat_get_chat_messages].out, &out);
}

static struct str nothing(void)
{
    struct chat_get_chat_messages_out out = {.messages = {NULL, 0}};

    return encoded(&methods[METHOD_chat_get_chat_messages].out, &out);
}

static void more(const struct taken *to, struct str body)
{
    actor_reply(actor, to, (struct common_reply){.status = STR("more")}, body);
}

static void end(const struct taken *to, struct str body)
{
    actor_reply(actor, to, (struct common_reply){.v = 0}, body);
}

static struct taken ask(const char *verb, int *fd)
{
    char line[64];
    struct taken taken;

    snprintf(line, sizeof(line), "%s /api/chat/messages/1", verb);
    *fd = client_send(line, COOKIE);
    taken = actor_take(actor);
    cr_assert(str_is(taken.header.method, "chat.get_chat_messages"));
    return taken;
}

/* The content of a chunked answer; NULL where it does not come to its end. */
static const char *content(const struct answer *answer)
{
    static char text[ANSWER_BYTES];
    const char *at = answer->body;
    size_t len = 0;

    for (;;) {
        char *line;
        size_t bytes = strtoul(at, &line, 16);

        if (strncmp(line, "\r\n", 2) != 0)
            return NULL;
        if (bytes == 0) {
            cr_assert_str_eq(line, "\r\n\r\n");
            text[len] = '\0';
            return text;
        }
        if (strlen(line + 2) < bytes + 2)
            return NULL;
        memcpy(text + len, line + 2, bytes);
        len += bytes;
        at = line + 2 + bytes + 2;
    }
}

static void expect_content(int fd, const char *expected)
{
    const struct answer *answer = client_read(fd);

    cr_assert_eq(answer->status, 200, "%s", answer->text);
    cr_assert_str_eq(answer_field(answer, "transfer-encoding"), "chunked");
    cr_assert_str_eq(answer_field(answer, "content-type"), "application/json");
    cr_assert_not_null(content(answer), "%s", answer->text);
    cr_assert_str_eq(content(answer), expected);
}

static void expect_cut(int fd)
{
    const struct answer *answer = client_read(fd);

    cr_assert_eq(answer->status, 200, "%s", answer->text);
    cr_assert_null(content(answer), "%s", answer->text);
}

static bool is_answered(void)
{
    int fd;
    struct taken taken = ask("GET", &fd);

    end(&taken, nothing());
    return strcmp(client_read(fd)->body, "[]") == 0;
}

/* Something else still works. */
static void expect_alive(void)
{
    cr_assert(is_answered());
}

/* The same behind a flood that nobody asked for, in which a reply may be lost: its call ends by its
 * deadline, is taken back, and the next one is answered. */
static void expect_alive_soon(void)
{
    for (int tries = 1; !is_answered(); tries++) {
        cr_assert_lt(tries, 3);
        while (!actor_is_left_alone(actor, 200)) /* takes what is there: the cancel */
            ;
    }
}

#define SHOWN(id) "{\"id\":" id ",\"role\":\"user\",\"content\":\"x\",\"timestamp\":1}"

Test(stream, pieces_are_one_text)
{
    int fd;
    struct taken taken = ask("GET", &fd);

    cr_expect_eq(taken.header.credit, CREDIT);
    cr_expect(taken.header.budget > 290000 && taken.header.budget <= 300000, "%lld ms",
              (long long)taken.header.budget);
    more(&taken, piece(1, STR("x")));
    more(&taken, piece(2, STR("x")));
    end(&taken, piece(3, STR("x")));
    expect_content(fd, "[" SHOWN("1") "," SHOWN("2") "," SHOWN("3") "]");
}

Test(stream, pieces_may_be_empty)
{
    int fd;
    struct taken taken = ask("GET", &fd);

    more(&taken, nothing());
    more(&taken, STR("\x80"));
    more(&taken, piece(1, STR("x")));
    end(&taken, STR("\x80"));
    expect_content(fd, "[" SHOWN("1") "]");
}

Test(stream, an_answer_without_pieces_has_its_length)
{
    const struct answer *answer;
    int fd;
    struct taken taken = ask("GET", &fd);

    end(&taken, piece(1, STR("x")));
    answer = client_read(fd);
    cr_assert_str_eq(answer->body, "[" SHOWN("1") "]");
    cr_assert_null(answer_field(answer, "transfer-encoding"));
    cr_assert_not_null(answer_field(answer, "content-length"));
}

Test(stream, the_kept_user_of_the_first_piece_is_the_cookie)
{
    const struct answer *answer;
    int fd;
    struct taken taken = ask("GET", &fd);

    actor_reply(actor, &taken, (struct common_reply){.status = STR("more"), .user = STR(OTHER)},
                piece(1, STR("x")));
    end(&taken, nothing());
    answer = client_read(fd);
    cr_assert_not_null(strstr(answer_field(answer, "set-cookie"), OTHER));
}

Test(stream, what_the_client_took_is_credit_again)
{
    int fd;
    struct taken taken = ask("GET", &fd), credit;
    struct str body = piece(1, STR("x"));

    more(&taken, body);
    credit = actor_take(actor);
    cr_assert(str_is(credit.header.op, "credit"));
    cr_assert_eq(credit.header.id, taken.header.id);
    cr_assert_eq(credit.header.credit, (int64_t)body.len);
    end(&taken, nothing());
    expect_content(fd, "[" SHOWN("1") "]");
}

Test(stream, an_actor_that_dies_within_its_answer_cuts_it)
{
    int fd;
    struct taken taken = ask("GET", &fd);

    more(&taken, piece(1, STR("x")));
    actor_take(actor); /* the credit: the piece is out */
    actor_die(actor, "chat");
    expect_cut(fd);
    actor = actor_open("chat-1");
    expect_alive();
}

Test(stream, a_fault_within_an_answer_cuts_it)
{
    int fd;
    struct taken taken = ask("GET", &fd);

    more(&taken, piece(1, STR("x")));
    actor_take(actor);
    actor_reply_fault(actor, &taken, "timeout", STR("\x80"));
    expect_cut(fd);
    expect_alive();
}

Test(stream, a_first_piece_that_is_none_is_an_error)
{
    static const struct str bodies[] = {STR("\xc1"), STR("\x01"), STR("\x81\xa8messages\x01"),
                                        STR("\x81\xa8messages\x91\x80")};

    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        int fd;
        struct taken taken = ask("GET", &fd), cancel;

        more(&taken, bodies[i]);
        cancel = actor_take(actor);
        cr_expect(str_is(cancel.header.op, "cancel"));
        cr_expect_eq(client_read(fd)->status, 500);
    }
    expect_alive();
}

Test(stream, a_later_piece_that_is_none_cuts_it)
{
    int fd;
    struct taken taken = ask("GET", &fd);

    more(&taken, piece(1, STR("x")));
    actor_take(actor);
    more(&taken, STR("\x81\xa8messages\x01"));
    cr_expect(str_is(actor_take(actor).header.op, "cancel"));
    expect_cut(fd);
    expect_alive();
}

Test(stream, a_last_piece_that_is_none_cuts_it)
{
    int fd;
    struct taken taken = ask("GET", &fd);

    more(&taken, piece(1, STR("x")));
    actor_take(actor);
    end(&taken, STR("\xc1"));
    expect_cut(fd);
    expect_alive();
}

Test(stream, a_head_ends_with_its_first_piece)
{
    const struct answer *answer;
    int fd;
    struct taken taken = ask("HEAD", &fd);

    more(&taken, piece(1, STR("x")));
    cr_expect(str_is(actor_take(actor).header.op, "cancel"));
    answer = client_read(fd);
    cr_expect_eq(answer->status, 200);
    cr_expect_str_eq(answer->body, "");
    expect_alive();
}

Test(stream, who_leaves_takes_the_call_back)
{
    int fd;
    struct taken taken = ask("GET", &fd), cancel;
    int64_t left_us;

    more(&taken, piece(1, STR("x")));
    actor_take(actor);
    left_us = time_now_us();
    client_leave(fd);
    cancel = actor_take(actor);
    cr_expect(str_is(cancel.header.op, "cancel"));
    cr_expect_eq(cancel.header.id, taken.header.id);
    cr_expect(time_now_us() - left_us < TIME_S(1));
    expect_alive();
}

/* An actor that does not keep to its credit is not listened to for ever. */
Test(stream, more_than_the_credit_ends_the_call)
{
    enum { TEXT = 1024 * 1024, PIECES = 32 };
    char *text = malloc(TEXT);
    int fd;
    struct taken taken = ask("GET", &fd), next;
    struct str body;

    cr_assert_not_null(text);
    memset(text, 'x', TEXT);
    body = piece(1, (struct str){text, TEXT});
    for (int i = 0; i < PIECES; i++)
        more(&taken, body);
    do
        next = actor_take(actor);
    while (str_is(next.header.op, "credit"));
    cr_expect(str_is(next.header.op, "cancel"));
    client_leave(fd);
    expect_alive_soon();
    free(text);
}

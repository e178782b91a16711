/* Exchanges against actors that do on demand what real ones do not: lie, come late, die, leave. */
#include "base/time.h"
#include "stage.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define USER "0f8fad5b-d9cb-469f-a165-70867728950e"
#define OTHER "7c9e6679-7425-40de-944b-e07fc1f90ae7"
#define COOKIE "Cookie: verse_user_id=" USER "\r\n"

#define SESSION_JSON                                                                               \
    "{\"anonymous_id\":\"" USER "\",\"created_at\":1700000000123,\"usage\":{\"is_pro\":false,"     \
    "\"daily_limit\":10,\"calls_today\":3,\"remaining\":7}}"

static struct str session_body(void)
{
    static const struct user_usage usage = {.daily_limit = 10, .calls_today = 3, .remaining = 7};
    struct user_session_out out = {
        .anonymous_id = STR(USER), .created_at = 1700000000123456, .usage = &usage};

    return encoded(&methods[METHOD_user_session].out, &out);
}

static struct str new_user_body(const char *id)
{
    struct user_get_or_create_user_out out = {
        .id = 7, .anonymous_id = str_of(id), .created_at = 1, .created = true};

    return encoded(&methods[METHOD_user_get_or_create_user].out, &out);
}

static struct str translations_body(void)
{
    static const struct bible_translation items[] = {{STR("WEB"), STR("World English"), false}};
    struct bible_translations_out out = {.translations = {items, 1}};

    return encoded(&methods[METHOD_bible_translations].out, &out);
}

static struct str chapter_body(void)
{
    struct bible_chapter_out out = {.reference = STR("John 3"), .translation = STR("WEB")};

    return encoded(&methods[METHOD_bible_chapter].out, &out);
}

static struct taken take(struct actor *actor, const char *method)
{
    struct taken taken = actor_take(actor);

    cr_assert(str_is(taken.header.method, method), "%.*s instead of %s",
              STR_ARG(taken.header.method), method);
    return taken;
}

static void answer_session(struct actor *actor)
{
    struct taken taken = take(actor, "user.session");

    actor_reply(actor, &taken, (struct common_reply){.v = 0}, session_body());
}

static void expect(const struct answer *answer, int status, const char *body)
{
    cr_assert_eq(answer->status, status, "%s", answer->text);
    cr_assert_str_eq(answer->body, body);
}

static void expect_field(const struct answer *answer, const char *name, const char *value)
{
    const char *got = answer_field(answer, name);

    cr_assert_not_null(got, "no %s in %s", name, answer->text);
    cr_assert_str_eq(got, value);
}

/* The whole world still works. */
static void expect_alive(struct actor *actor)
{
    int fd = client_send("GET /api/user/session", COOKIE);

    answer_session(actor);
    expect(client_read(fd), 200, SESSION_JSON);
}

TestSuite(exchange, .timeout = 60);

/* ---- identity ---- */

Test(exchange, known_cookie)
{
    struct actor *actor;
    struct taken taken;
    int fd;

    stage_open(NULL);
    actor = actor_open("user-1");
    fd = client_send("GET /api/user/session", COOKIE "X-Request-Id: abc-1\r\n");
    taken = take(actor, "user.session");
    cr_assert(str_is(taken.header.user, USER));
    cr_assert(str_is(taken.header.trace, "abc-1"));
    cr_assert(taken.header.budget > 4000 && taken.header.budget <= 5000);
    cr_assert_null(taken.header.client.ptr);
    cr_assert_null(taken.header.validator.ptr);
    cr_assert(str_equal(taken.body, STR("\x80")));
    actor_reply(actor, &taken, (struct common_reply){.v = 0}, session_body());
    expect(client_read(fd), 200, SESSION_JSON);
    cr_assert_null(answer_field(client_ask("GET /health", ""), "set-cookie"));
    stage_close();
}

static void make_user(struct actor *actor, const char *id)
{
    struct taken taken = take(actor, "user.get_or_create_user");

    cr_assert(str_is(taken.header.client, "127.0.0.1"));
    actor_reply(actor, &taken, (struct common_reply){.v = 0}, new_user_body(id));
}

Test(exchange, a_user_is_made_where_none_is_named)
{
    static const char *const cookies[] = {"", "Cookie: verse_user_id=nonsense\r\n"};
    struct actor *actor;

    stage_open(NULL);
    actor = actor_open("user-1");
    for (size_t i = 0; i < 2; i++) {
        int fd = client_send("GET /api/user/session", cookies[i]);
        struct taken taken;

        make_user(actor, USER);
        taken = take(actor, "user.session");
        cr_assert(str_is(taken.header.user, USER));
        actor_reply(actor, &taken, (struct common_reply){.v = 0}, session_body());
        expect_field(client_read(fd), "set-cookie",
                     "verse_user_id=" USER "; Path=/; HttpOnly; SameSite=lax; Max-Age=315360000");
    }
    stage_close();
}

Test(exchange, an_unknown_user_is_replaced)
{
    static const char *const settings[] = {"ENVIRONMENT=production", NULL};
    struct actor *actor;
    struct taken taken;
    int fd;

    stage_open(settings);
    actor = actor_open("user-1");
    fd = client_send("GET /api/user/session", "Cookie: verse_user_id=" OTHER "\r\n");
    taken = take(actor, "user.session");
    cr_assert(str_is(taken.header.user, OTHER));
    actor_reply_fault(actor, &taken, "unknown_user", STR("\x80"));
    make_user(actor, USER);
    answer_session(actor);
    expect_field(client_read(fd), "set-cookie",
                 "verse_user_id=" USER
                 "; Path=/; HttpOnly; SameSite=lax; Max-Age=315360000; Secure");
    expect_field(client_ask("GET /health", ""), "strict-transport-security",
                 "max-age=31536000; includeSubDomains; preload");

    /* Each time merged into yet another one: not for ever. */
    fd = client_send("GET /api/user/session", COOKIE);
    for (int i = 0; i < 4; i++) {
        taken = take(actor, "user.session");
        actor_reply_fault(actor, &taken, "unknown_user", STR("\x80"));
        if (i < 3)
            make_user(actor, OTHER);
    }
    cr_assert_eq(client_read(fd)->status, 503);
    stage_close();
}

Test(exchange, the_kept_user_replaces_the_cookie)
{
    struct actor *actor;
    struct taken taken;
    int fd;

    stage_open(NULL);
    actor = actor_open("user-1");
    fd = client_send("GET /api/user/session", COOKIE);
    taken = actor_take(actor);
    actor_reply(actor, &taken, (struct common_reply){.user = STR(OTHER)}, session_body());
    cr_assert_not_null(strstr(answer_field(client_read(fd), "set-cookie"), OTHER));
    fd = client_send("GET /api/user/session", COOKIE);
    taken = actor_take(actor);
    actor_reply(actor, &taken, (struct common_reply){.user = STR(USER)}, session_body());
    cr_assert_not_null(strstr(answer_field(client_read(fd), "set-cookie"), USER),
                       "whom an actor names is set, also where it is the client's own id");
    fd = client_send("GET /api/user/session", COOKIE);
    answer_session(actor);
    cr_assert_null(answer_field(client_read(fd), "set-cookie"));
    stage_close();
}

Test(exchange, a_new_users_cookie_is_on_errors_too)
{
    struct actor *actor;
    struct taken taken;
    const struct answer *answer;
    int fd;

    stage_open(NULL);
    actor = actor_open("user-1");
    fd = client_send("GET /api/user/session", "");
    make_user(actor, USER);
    taken = take(actor, "user.session");
    actor_reply_fault(actor, &taken, "unavailable", STR("\x80"));
    answer = client_read(fd);
    expect(answer, 503, "{\"detail\":\"The database is not available\"}");
    expect_field(answer, "retry-after", "1");
    cr_assert_not_null(strstr(answer_field(answer, "set-cookie"), USER));
    stage_close();
}

Test(exchange, a_reader_needs_no_user)
{
    struct actor *actor;
    struct taken taken;
    int fd;

    stage_open(NULL);
    actor = actor_open("bible-1");
    fd = client_send("GET /api/translations", "");
    taken = take(actor, "bible.translations");
    cr_assert_null(taken.header.user.ptr);
    actor_reply(actor, &taken, (struct common_reply){.v = 0}, translations_body());
    expect(client_read(fd), 200,
           "{\"translations\":[{\"code\":\"WEB\",\"name\":\"World English\","
           "\"requires_pro\":false}]}");
    fd = client_send("GET /api/translations", COOKIE);
    taken = take(actor, "bible.translations");
    cr_assert(str_is(taken.header.user, USER));
    actor_reply_fault(actor, &taken, "unknown_user", STR("\x80"));
    taken = take(actor, "bible.translations");
    cr_assert_null(taken.header.user.ptr);
    actor_reply(actor, &taken, (struct common_reply){.user = STR(OTHER)}, translations_body());
    cr_assert_eq(client_read(fd)->status, 200);
    cr_assert_null(strcasestr(client_ask("GET /health", "")->text, "set-cookie"));
    stage_close();
}

/* ---- validators ---- */

#define CHAPTER "GET /api/chapter?book=John&chapter=3"

static struct taken ask_chapter(struct actor *actor, const char *line, const char *fields, int *fd)
{
    *fd = client_send(line, fields);
    return take(actor, "bible.chapter");
}

Test(exchange, validators)
{
    static const char *const same[] = {"\"v1\"", "W/\"v1\"", "\"v0\", \"v1\"", "*"};
    const struct common_reply with = {.validator = STR("v1"), .public = true};
    const struct common_reply keep = {.status = STR("not_modified"), .validator = STR("v1")};
    struct actor *actor;
    struct taken taken;
    char fields[64];
    int fd;

    stage_open(NULL);
    actor = actor_open("bible-1");
    taken = ask_chapter(actor, CHAPTER, "", &fd);
    actor_reply(actor, &taken, with, chapter_body());
    expect_field(client_read(fd), "etag", "\"v1\"");
    for (size_t i = 0; i < 4; i++) {
        const struct answer *answer;

        snprintf(fields, sizeof(fields), "If-None-Match: %s\r\n", same[i]);
        taken = ask_chapter(actor, CHAPTER, fields, &fd);
        cr_assert_eq(str_is(taken.header.validator, "v1"), i < 2);
        actor_reply(actor, &taken, with, chapter_body());
        answer = client_read(fd);
        expect(answer, 304, "");
        expect_field(answer, "etag", "\"v1\"");
        expect_field(answer, "cache-control", "public, max-age=3600");
    }
    taken = ask_chapter(actor, CHAPTER, "If-None-Match: \"v1\"\r\n", &fd);
    actor_reply(actor, &taken, keep, STR("\x80"));
    expect_field(client_read(fd), "cache-control", "private, max-age=3600");
    taken = ask_chapter(actor, CHAPTER, "If-None-Match: \"v2\"\r\n", &fd);
    actor_reply(actor, &taken, with, chapter_body());
    cr_assert_eq(client_read(fd)->status, 200);
    taken = ask_chapter(actor, CHAPTER, "If-None-Match: *\r\n", &fd);
    actor_reply_fault(actor, &taken, "chapter_not_found", STR("\x80"));
    expect(client_read(fd), 404, "{\"detail\":\"Chapter not found\"}");
    stage_close();
}

static bool saves(const struct taken *taken)
{
    struct bible_chapter_in in;
    struct arena arena;
    bool save;

    arena_init(&arena, 1024 * 1024);
    cr_assert_null(codec_decode(&arena, &methods[METHOD_bible_chapter].in, taken->body, &in));
    cr_assert(str_is(in.book, "John") && in.chapter == 3 && str_is(in.translation, "WEB"));
    save = in.save;
    arena_clear(&arena);
    return save;
}

Test(exchange, what_writes)
{
    struct actor *actor;
    struct taken taken;
    const struct answer *answer;
    int fd;

    stage_open(NULL);
    actor = actor_open("bible-1");
    taken = ask_chapter(actor, CHAPTER "&save=YES", "If-None-Match: \"v1\"\r\n", &fd);
    cr_assert(saves(&taken));
    cr_assert_null(taken.header.validator.ptr);
    cr_assert_gt(taken.header.budget, 5000);
    actor_reply(actor, &taken, (struct common_reply){.validator = STR("v1")}, chapter_body());
    answer = client_read(fd);
    cr_assert_eq(answer->status, 200);
    cr_assert_null(answer_field(answer, "etag"));
    expect_field(answer, "x-ratelimit-limit", "600");
    expect_field(answer, "x-ratelimit-remaining", "599");

    taken = ask_chapter(actor, "HEAD /api/chapter?book=John&chapter=3&save=true", "", &fd);
    cr_assert(!saves(&taken));
    actor_reply(actor, &taken, (struct common_reply){.validator = STR("v1")}, chapter_body());
    answer = client_read(fd);
    expect(answer, 200, "");
    cr_assert_gt(atoi(answer_field(answer, "content-length")), 20);
    cr_assert_null(answer_field(answer, "x-ratelimit-limit"));
    stage_close();
}

/* ---- faults ---- */

static void expect_fault(struct actor *actor, const char *fault, struct str body, int status,
                         const char *text)
{
    struct taken taken;
    int fd;

    taken = ask_chapter(actor, CHAPTER, "", &fd);
    actor_reply_fault(actor, &taken, fault, body);
    expect(client_read(fd), status, text);
}

Test(exchange, faults_of_actors)
{
    static const struct bible_requires_pro pro = {STR("Pro only."), STR("NRSV"), true};
    struct buffer detail;
    struct actor *actor;

    stage_open(NULL);
    actor = actor_open("bible-1");
    buffer_init(&detail, NULL, 4096);
    buffer_add_text(&detail, "\x81\xa6"
                             "detail");
    codec_encode(&detail, &record_bible_requires_pro, &pro);
    expect_fault(actor, "translation_requires_pro", buffer_str(&detail), 403,
                 "{\"detail\":{\"message\":\"Pro only.\",\"translation\":\"NRSV\","
                 "\"requires_pro\":true}}");
    expect_fault(actor, "chapter_not_found",
                 STR("\x81\xa6"
                     "detail\xa2no"),
                 404, "{\"detail\":\"no\"}");
    expect_fault(actor, "invalid",
                 STR("\x81\xa6"
                     "detail\x90"),
                 422, "{\"detail\":[]}");
    expect_fault(actor, "timeout", STR("\x80"), 504, "{\"detail\":\"The deadline passed\"}");
    expect_fault(actor, "outcome_unknown", STR("\x80"), 504, "{\"detail\":\"Outcome unknown\"}");
    expect_fault(actor, "busy", STR("\x80"), 503, "{\"detail\":\"Too busy, try again\"}");
    expect_fault(actor, "unknown_message", STR("\x80"), 500,
                 "{\"detail\":\"Internal Server Error\"}");
    expect_fault(actor, "no_such_fault", STR("\x80"), 500,
                 "{\"detail\":\"Internal Server Error\"}");
    buffer_free(&detail);
    stage_close();
}

Test(exchange, replies_that_are_none)
{
    static const struct str bodies[] = {
        {"", 0},        {"\xc1", 1}, {"\x80", 1}, {"\x90", 1}, {"\xdd\xff\xff\xff\xff", 5},
        {"\x80\x80", 2}};
    struct actor *actor;
    struct taken taken;
    int fd;

    stage_open(NULL);
    actor = actor_open("user-1");
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        fd = client_send("GET /api/user/session", COOKIE);
        taken = actor_take(actor);
        actor_reply(actor, &taken, (struct common_reply){.v = 0}, bodies[i]);
        expect(client_read(fd), 500, "{\"detail\":\"Internal Server Error\"}");
    }
    fd = client_send("GET /api/user/session", COOKIE);
    taken = actor_take(actor);
    actor_reply(actor, &taken, (struct common_reply){.v = 9}, session_body());
    cr_assert_eq(client_read(fd)->status, 500);
    expect_alive(actor);
    stage_close();
}

Test(exchange, garbage_does_no_harm)
{
    static const struct str one[] = {{"x", 1}};
    static const struct str three[] = {{"x", 1}, {"y", 1}, {"z", 1}};
    static const struct str malformed[] = {{"\xc1\xc1", 2}, {"", 0}};
    static const struct str empty[] = {{"\x80", 1}, {"\x80", 1}};
    struct actor *actor;
    struct taken taken;
    int fd;

    stage_open(NULL);
    actor = actor_open("user-1");
    fd = client_send("GET /api/user/session", COOKIE);
    taken = actor_take(actor);
    actor_send(actor, &taken, one, 1);
    actor_send(actor, &taken, three, 3);
    actor_send(actor, &taken, malformed, 2);
    actor_send(actor, &taken, empty, 2);
    actor_reply(actor, &taken, (struct common_reply){.id = taken.header.id + 1}, STR("\x80"));
    actor_reply(actor, &taken, (struct common_reply){.id = taken.header.id ^ 1}, STR("\x80"));
    actor_reply(actor, &taken, (struct common_reply){.id = INT64_MAX}, STR("\x80"));
    actor_reply(actor, &taken, (struct common_reply){.v = 0}, session_body());
    actor_reply(actor, &taken, (struct common_reply){.v = 0}, session_body());
    expect(client_read(fd), 200, SESSION_JSON);
    expect_alive(actor);
    stage_close();
}

/* Only the instance that was asked may answer. */
Test(exchange, another_instance_cannot_answer)
{
    struct actor *actors[2];
    struct taken first, second;
    int which, other, a, b;

    stage_open(NULL);
    actors[0] = actor_open("user-1");
    actors[1] = actor_open("user-2");
    a = client_send("GET /api/user/session", COOKIE);
    first = actors_take(actors[0], actors[1], &which);
    b = client_send("GET /api/user/session", COOKIE);
    second = actors_take(actors[0], actors[1], &other);
    cr_assert_neq(which, other, "the one with fewer calls gets the next");
    actor_reply(actors[other], &second, (struct common_reply){.id = first.header.id}, STR("\x80"));
    actor_reply(actors[other], &second, (struct common_reply){.v = 0}, session_body());
    expect(client_read(b), 200, SESSION_JSON);
    actor_reply(actors[which], &first, (struct common_reply){.v = 0}, session_body());
    expect(client_read(a), 200, SESSION_JSON);
    stage_close();
}

/* ---- deadlines, cancel, death ---- */

Test(exchange, a_late_reply_reaches_nobody)
{
    static const char *const settings[] = {"LECTERN_READ_DEADLINE=300ms", NULL};
    struct actor *actor;
    struct taken late, taken;
    const struct answer *answer;
    int fd;

    stage_open(settings);
    actor = actor_open("user-1");
    fd = client_send("GET /api/user/session", COOKIE);
    late = actor_take(actor);
    cr_assert_leq(late.header.budget, 300);
    answer = client_read(fd);
    expect(answer, 504, "{\"detail\":\"The deadline passed\"}");
    cr_assert_null(answer_field(answer, "retry-after"));
    taken = actor_take(actor);
    cr_assert(str_is(taken.header.op, "cancel"));
    cr_assert_eq(taken.header.id, late.header.id);
    fd = client_send("GET /api/user/session", COOKIE);
    taken = actor_take(actor);
    actor_reply(actor, &late, (struct common_reply){.v = 0}, STR("\x80"));
    actor_reply(actor, &taken, (struct common_reply){.v = 0}, session_body());
    expect(client_read(fd), 200, SESSION_JSON);
    stage_close();
}

Test(exchange, a_write_without_a_word_is_unknown)
{
    static const char *const settings[] = {"LECTERN_WRITE_DEADLINE=300ms", NULL};
    struct actor *actor;
    struct taken taken;
    const struct answer *answer;
    int fd;

    stage_open(settings);
    actor = actor_open("bible-1");
    taken = ask_chapter(actor, CHAPTER "&save=1", "", &fd);
    answer = client_read(fd);
    expect(answer, 504, "{\"detail\":\"Outcome unknown\"}");
    cr_assert_null(answer_field(answer, "retry-after"));
    taken = actor_take(actor);
    cr_assert(str_is(taken.header.op, "cancel"));
    taken = ask_chapter(actor, CHAPTER "&save=1", "", &fd);
    actor_die(actor, NULL);
    expect(client_read(fd), 504, "{\"detail\":\"Outcome unknown\"}");
    stage_close();
}

/* What it answers may have been done. */
Test(exchange, a_write_with_a_reply_that_is_none_is_unknown)
{
    static const struct str bodies[] = {{"", 0}, {"\xc1", 1}, {"\x80", 1}, {"\x90", 1}};
    struct actor *actor;
    struct taken taken;
    int fd;

    stage_open(NULL);
    actor = actor_open("bible-1");
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        taken = ask_chapter(actor, CHAPTER "&save=1", "", &fd);
        actor_reply(actor, &taken, (struct common_reply){.v = 0}, bodies[i]);
        expect(client_read(fd), 504, "{\"detail\":\"Outcome unknown\"}");
    }
    taken = ask_chapter(actor, CHAPTER "&save=1", "", &fd);
    actor_reply(actor, &taken, (struct common_reply){.v = 9}, chapter_body());
    expect(client_read(fd), 504, "{\"detail\":\"Outcome unknown\"}");
    taken = ask_chapter(actor, CHAPTER "&save=1", "", &fd);
    actor_reply_fault(actor, &taken, "a_fault_of_tomorrow", STR("\x80"));
    expect(client_read(fd), 504, "{\"detail\":\"Outcome unknown\"}");
    stage_close();
}

Test(exchange, a_client_that_leaves_takes_its_call_back)
{
    struct actor *actor;
    struct taken taken, cancel;
    int fd;

    stage_open(NULL);
    actor = actor_open("user-1");
    fd = client_send("GET /api/user/session", COOKIE);
    taken = actor_take(actor);
    client_leave(fd);
    cancel = actor_take(actor);
    cr_assert(str_is(cancel.header.op, "cancel"));
    cr_assert_eq(cancel.header.id, taken.header.id);
    actor_reply(actor, &taken, (struct common_reply){.v = 0}, session_body());
    expect_alive(actor);
    stage_close();
}

Test(exchange, a_read_goes_to_another_when_its_actor_dies)
{
    struct actor *actors[2];
    struct taken taken;
    int which, fd;

    stage_open(NULL);
    actors[0] = actor_open("user-1");
    actors[1] = actor_open("user-2");
    fd = client_send("GET /api/user/session", COOKIE);
    taken = actors_take(actors[0], actors[1], &which);
    actor_die(actors[which], NULL);
    taken = take(actors[1 - which], "user.session");
    actor_reply(actors[1 - which], &taken, (struct common_reply){.v = 0}, session_body());
    expect(client_read(fd), 200, SESSION_JSON);
    fd = client_send("GET /api/user/session", COOKIE);
    take(actors[1 - which], "user.session");
    actor_die(actors[1 - which], NULL);
    expect(client_read(fd), 503, "{\"detail\":\"The service is not available\"}");
    expect_field(client_ask("GET /api/user/session", COOKIE), "retry-after", "1");
    stage_close();
}

Test(exchange, who_leaves_gets_no_more_calls)
{
    struct actor *actors[2];
    struct taken taken;
    int which, fd;

    stage_open(NULL);
    actors[0] = actor_open("user-1");
    actors[1] = actor_open("user-2");
    fd = client_send("GET /api/user/session", COOKIE);
    taken = actors_take(actors[0], actors[1], &which);
    actor_reply_fault(actors[which], &taken, "leaving", STR("\x80"));
    answer_session(actors[1 - which]);
    expect(client_read(fd), 200, SESSION_JSON);
    for (int i = 0; i < 4; i++)
        expect_alive(actors[1 - which]);
    cr_assert(actor_is_left_alone(actors[which], 50));

    fd = client_send("GET /api/user/session", COOKIE);
    taken = actor_take(actors[1 - which]);
    taken.header.id = 0;
    actor_reply_fault(actors[1 - which], &taken, "leaving", STR("\x80"));
    while (strstr(client_ask("GET /ready", "")->body, "\"user\"") == NULL)
        continue; /* until the gateway has heard it */
    cr_assert_eq(client_ask("GET /api/user/session", COOKIE)->status, 503);
    client_leave(fd);
    stage_close();
}

Test(exchange, who_is_not_ready_is_asked_where_there_is_no_other)
{
    struct actor *actor;
    const struct answer *answer;

    stage_open(NULL);
    actor = actor_open("user-1");
    expect_alive(actor);
    actor_lacks(actor, "the database");
    do {
        cr_assert(actor_is_left_alone(actor, 100));
        answer = client_ask("GET /ready", "");
    } while (strstr(answer->body, "the database") == NULL);
    expect(answer, 503,
           "{\"status\":\"not ready\",\"missing\":[\"the "
           "database\",\"bible\",\"insight\",\"definition\",\"chat\",\"device_link\"]}");
    expect_alive(actor);
    stage_close();
}

/* ---- limits ---- */

Test(exchange, writes_are_limited)
{
    static const char *const settings[] = {"WRITE_ENDPOINT_LIMIT=2", NULL};
    struct actor *bible;
    struct taken taken;
    const struct answer *answer;
    int fd;

    stage_open(settings);
    bible = actor_open("bible-1");
    for (int i = 0; i < 2; i++) {
        taken = ask_chapter(bible, CHAPTER "&save=1", "", &fd);
        cr_assert(str_is(taken.header.client, "127.0.0.1"));
        actor_reply(bible, &taken, (struct common_reply){.v = 0}, chapter_body());
        cr_assert_eq(client_read(fd)->status, 200);
    }
    cr_assert_eq(client_ask("GET /api/chapter?book=John&save=1", "")->status, 422);
    answer = client_ask(CHAPTER "&save=1", "Cookie: verse_user_id=" OTHER "\r\n");
    expect(answer, 429, "{\"error\":\"Rate limit exceeded: 2 per 1 minute\"}");
    expect_field(answer, "x-ratelimit-remaining", "0");
    cr_assert_not_null(answer_field(answer, "retry-after"));
    taken = ask_chapter(bible, CHAPTER, "", &fd);
    actor_reply(bible, &taken, (struct common_reply){.v = 0}, chapter_body());
    cr_assert_eq(client_read(fd)->status, 200, "reading is not limited");
    stage_close();
}

Test(exchange, a_user_that_is_known_has_a_window_of_its_own)
{
    static const char *const settings[] = {"WRITE_ENDPOINT_LIMIT=1", NULL};
    struct actor *bible, *user;
    struct taken taken;
    int fd;

    stage_open(settings);
    bible = actor_open("bible-1");
    user = actor_open("user-1");
    expect_alive(user);
    for (int i = 0; i < 2; i++) {
        taken = ask_chapter(bible, CHAPTER "&save=1", i == 0 ? "" : COOKIE, &fd);
        actor_reply(bible, &taken, (struct common_reply){.v = 0}, chapter_body());
        cr_assert_eq(client_read(fd)->status, 200);
    }
    cr_assert_eq(client_ask(CHAPTER "&save=1", "")->status, 429);
    cr_assert_eq(client_ask(CHAPTER "&save=1", COOKIE)->status, 429);
    stage_close();
}

Test(exchange, new_users_are_limited)
{
    static const char *const settings[] = {"NEW_USER_LIMIT=1", "LECTERN_TRUSTED_PROXIES=127.0.0.1",
                                           NULL};
    struct actor *actor;
    const struct answer *answer;
    struct taken taken;
    int fd;

    stage_open(settings);
    actor = actor_open("user-1");
    fd = client_send("GET /api/user/session", "X-Forwarded-For: 9.9.9.9, 10.1.1.1\r\n");
    taken = take(actor, "user.get_or_create_user");
    cr_assert(str_is(taken.header.client, "10.1.1.1"));
    actor_reply(actor, &taken, (struct common_reply){.v = 0}, new_user_body(USER));
    answer_session(actor);
    cr_assert_eq(client_read(fd)->status, 200);
    answer = client_ask("GET /api/user/session", "X-Forwarded-For: 10.1.1.1\r\n");
    expect(answer, 429, "{\"error\":\"Rate limit exceeded: 1 per 1 minute\"}");
    cr_assert_null(answer_field(answer, "set-cookie"));
    fd = client_send("GET /api/user/session", "X-Forwarded-For: 10.1.1.2\r\n");
    take(actor, "user.get_or_create_user");
    client_leave(fd);
    cr_assert(str_is(actor_take(actor).header.op, "cancel"));
    expect_alive(actor);
    stage_close();
}

Test(exchange, too_many_outstanding_calls_are_refused)
{
    static const char *const settings[] = {"LECTERN_OUTSTANDING=2", NULL};
    struct actor *actor;
    int fds[2];

    stage_open(settings);
    actor = actor_open("user-1");
    for (int i = 0; i < 2; i++) {
        fds[i] = client_send("GET /api/user/session", COOKIE);
        actor_take(actor);
    }
    expect(client_ask("GET /api/user/session", COOKIE), 503,
           "{\"detail\":\"Too busy, try again\"}");
    client_leave(fds[0]);
    cr_assert(str_is(actor_take(actor).header.op, "cancel"));
    expect_alive(actor);
    client_leave(fds[1]);
    stage_close();
}

/* ---- coming and going ---- */

Test(exchange, a_second_actor_is_used_at_once)
{
    struct actor *first, *second;
    struct taken taken;
    int64_t begun_us;
    bool used = false;
    int which;

    stage_open(NULL);
    first = actor_open("user-1");
    begun_us = time_now_us();
    second = actor_open("user-2.g2");
    while (!used) {
        int fd = client_send("GET /api/user/session", COOKIE);

        taken = actors_take(first, second, &which);
        used = which == 1;
        actor_reply(which == 0 ? first : second, &taken, (struct common_reply){.v = 0},
                    session_body());
        cr_assert_eq(client_read(fd)->status, 200);
    }
    cr_assert_lt(time_now_us() - begun_us, TIME_S(1));
    stage_close();
}

Test(exchange, an_actor_that_returns_is_used)
{
    struct actor *actor;

    stage_open(NULL);
    actor = actor_open("user-1");
    expect_alive(actor);
    actor_die(actor, "user");
    actor = actor_open("user-1");
    expect_alive(actor);
    stage_close();
}

Test(exchange, other_files_are_no_actors)
{
    static const char *const names[] = {"user-1.lock", ".user-2", "user-", "nobody-1", "user"};
    struct actor *actor;
    char path[128];

    stage_open(NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "%s/actors/%s", stage_state(), names[i]);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    actor = actor_open("user-1");
    expect_alive(actor);
    stage_close();
}

Test(exchange, a_drain_ends_what_is_in_flight)
{
    struct actor *actor;
    struct taken taken;
    int fd;

    stage_open(NULL);
    actor = actor_open("user-1");
    fd = client_send("GET /api/user/session", COOKIE);
    taken = actor_take(actor);
    stage_signal(SIGTERM);
    cr_assert(actor_is_left_alone(actor, 100));
    actor_reply(actor, &taken, (struct common_reply){.v = 0}, session_body());
    expect(client_read(fd), 200, SESSION_JSON);
    stage_await_end();
    stage_close();
}

Test(exchange, a_drain_does_not_wait_for_ever)
{
    static const char *const settings[] = {"LECTERN_DRAIN=200ms", NULL};
    struct actor *actor;
    int fd;

    stage_open(settings);
    actor = actor_open("user-1");
    fd = client_send("GET /api/user/session", COOKIE);
    actor_take(actor);
    stage_signal(SIGTERM);
    stage_await_end();
    close(fd);
    stage_close();
}

/* The domain `user` against a real PostgreSQL: its program, spoken to over its socket. */
#include "actors/messenger.h"
#include "base/time.h"
#include "postgres.h"
#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(user, .timeout = 60);

#define ALICE "00000000-0000-4000-8000-00000000000a"
#define BOB "00000000-0000-4000-8000-00000000000b"
#define GONE "00000000-0000-4000-8000-00000000000c"
#define NOBODY "00000000-0000-4000-8000-00000000000d"

static struct messenger actor;
static PGconn *conn;

/* Alice is free, Bob is pro; who was GONE was merged into Alice. */
static void set_up(void)
{
    const char *url = postgres_database();

    conn = postgres_connect(url);
    postgres_exec(conn,
                  "insert into users (anonymous_id, device_count, pro_subscription, created_at)"
                  " values ('" ALICE "', 0, false, 'epoch'), ('" BOB "', 3, true, 'epoch');"
                  "insert into merged_users (anonymous_id, user_id)"
                  " select '" GONE "', id from users where anonymous_id = '" ALICE "'");
    messenger_start(&actor, LECTERN_USER, url, NULL);
}

static void tear_down(void)
{
    int code = messenger_stop(&actor);

    PQfinish(conn);
    cr_expect_eq(code, 0, "exit code %d", code);
}

static void expect(const char *expected, struct str reply)
{
    cr_expect(str_is(reply, expected), "%.*s, not %s", STR_ARG(reply), expected);
}

/* Sends it as a user; what the reply's header names as the user. */
static struct str ask(const char *method, const char *user, const char *json, struct str *named)
{
    struct common_request request = messenger_request(&actor, method, user);
    struct common_reply header;
    struct str reply;

    messenger_send(&actor, &request, json);
    reply = messenger_receive(&actor, &header);
    *named = header.user;
    return reply;
}

static void expect_session(const char *user, const char *expected, const char *named)
{
    struct str name;

    expect(expected, ask("user.session", user, "{}", &name));
    if (named == NULL)
        cr_expect_null(name.ptr);
    else
        cr_expect(str_is(name, named), "the reply names %.*s", STR_ARG(name));
}

#define SESSION(id, usage) "ok {\"anonymous_id\":\"" id "\",\"created_at\":0,\"usage\":{" usage "}}"
#define FREE(calls, left)                                                                          \
    "\"is_pro\":false,\"daily_limit\":10,\"calls_today\":" calls ",\"remaining\":" left

Test(user, session_of_a_free_user, .init = set_up, .fini = tear_down)
{
    expect_session(ALICE, SESSION(ALICE, FREE("0", "10")), NULL);
    postgres_exec(conn, "insert into usage_tracking (user_id, date, llm_calls)"
                        " select id, date_trunc('day', now(), 'UTC'), 3 from users");
    expect_session(ALICE, SESSION(ALICE, FREE("3", "7")), NULL);
    postgres_exec(conn, "update usage_tracking set llm_calls = 12");
    expect_session(ALICE, SESSION(ALICE, FREE("12", "0")), NULL);
    postgres_exec(conn, "update usage_tracking set date = date - interval '1 day'");
    expect_session(ALICE, SESSION(ALICE, FREE("0", "10")), NULL);
}

Test(user, session_counts_reservations_that_have_not_expired, .init = set_up, .fini = tear_down)
{
    postgres_exec(conn, "insert into usage_tracking (user_id, date, llm_calls, reserved)"
                        " select id, date_trunc('day', now(), 'UTC'), 1,"
                        "  array[now() + interval '1 hour', now() - interval '1 second',"
                        "        now() + interval '1 minute'] from users");
    expect_session(ALICE, SESSION(ALICE, FREE("3", "7")), NULL);
}

Test(user, session_of_a_pro_user, .init = set_up, .fini = tear_down)
{
    postgres_exec(conn, "insert into usage_tracking (user_id, date, llm_calls)"
                        " select id, date_trunc('day', now(), 'UTC'), 30 from users");
    expect_session(BOB,
                   SESSION(BOB, "\"is_pro\":true,\"daily_limit\":0,\"calls_today\":0,"
                                "\"remaining\":-1"),
                   NULL);
}

Test(user, session_of_one_who_was_merged_names_the_kept_user, .init = set_up, .fini = tear_down)
{
    expect_session(GONE, SESSION(ALICE, FREE("0", "10")), ALICE);
}

Test(user, session_of_nobody, .init = set_up, .fini = tear_down)
{
    expect_session(NOBODY, "unknown_user {\"detail\":\"No such user\"}", NULL);
    expect_session(NULL, "unknown_user {\"detail\":\"No such user\"}", NULL);
    expect_session("", "unknown_user {\"detail\":\"No such user\"}", NULL);
    cr_expect_str_eq(postgres_value(conn, "select count(*) from users"), "2");
}

Test(user, finds_users, .init = set_up, .fini = tear_down)
{
    const char *alice = "ok {\"id\":1,\"anonymous_id\":\"" ALICE "\",\"created_at\":0,"
                        "\"device_count\":1,\"pro_subscription\":false}";
    const char *method = "user.get_user_by_anonymous_id";

    expect(alice, messenger_ask(&actor, method, NULL, "{\"anonymous_id\":\"" ALICE "\"}"));
    expect(alice, messenger_ask(&actor, method, NULL, "{\"anonymous_id\":\"" GONE "\"}"));
    expect("ok {\"id\":2,\"anonymous_id\":\"" BOB "\",\"created_at\":0,\"device_count\":3,"
           "\"pro_subscription\":true}",
           messenger_ask(&actor, method, NULL, "{\"anonymous_id\":\"" BOB "\"}"));
    expect("user_not_found {\"detail\":\"User not found\"}",
           messenger_ask(&actor, method, NULL, "{\"anonymous_id\":\"x\"}"));
}

Test(user, finds_or_makes_users, .init = set_up, .fini = tear_down)
{
    const char *method = "user.get_or_create_user";
    struct str named, again;

    expect("ok {\"id\":1,\"anonymous_id\":\"" ALICE "\",\"created_at\":0,\"created\":false}",
           ask(method, NULL, "{\"anonymous_id\":\"" ALICE "\"}", &named));
    cr_expect_null(named.ptr);
    expect("ok {\"id\":1,\"anonymous_id\":\"" ALICE "\",\"created_at\":0,\"created\":false}",
           ask(method, NULL, "{\"anonymous_id\":\"" GONE "\"}", &named));
    cr_expect(str_is(named, ALICE));
    ask(method, NULL, "{}", &named);
    ask(method, NULL, "{\"anonymous_id\":\"" NOBODY "\"}", &again);
    cr_expect(named.len == 36 && again.len == 36 && !str_equal(named, again));
    cr_expect(!str_is(again, NOBODY), "an id is never the client's own");
    cr_expect_str_eq(postgres_value(conn, "select count(*) from users where device_count = 1"
                                          " and not pro_subscription and created_at > 'epoch'"
                                          " and anonymous_id::uuid is not null"),
                     "2");
}

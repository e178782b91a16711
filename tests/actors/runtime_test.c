/* The runtime of actors: what a peer sees of admission, deadlines, cancels, transactions and
 * drains. The actor is misbehaving.c, in a process of its own. */
#include "actors/messenger.h"
#include "base/time.h"
#include "postgres.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include <zmq.h>

TestSuite(runtime, .timeout = 60);

#define USER "00000000-0000-4000-8000-000000000001"

/* ---- what tests do ---- */

static struct messenger actor;

static const char *database(void)
{
    const char *url = postgres_database();
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn,
                  "create sequence runs;"
                  "create function raise_conflict(what text) returns bigint language plpgsql as $$"
                  " declare run bigint := nextval('runs'); begin"
                  "  if what = 'hopeless' or run < 3 then"
                  "   raise exception 'no luck' using errcode = 'serialization_failure';"
                  "  end if; return run; end $$");
    PQfinish(conn);
    return url;
}

static const char *value(const char *url, const char *sql)
{
    PGconn *conn = postgres_connect(url);
    const char *text = postgres_value(conn, sql);

    PQfinish(conn);
    return text;
}

static void expect(const char *expected, struct str reply)
{
    cr_expect(str_is(reply, expected), "%.*s, not %s", STR_ARG(reply), expected);
}

static void expect_begin(const char *expected, struct str reply)
{
    cr_expect(strncmp(reply.ptr, expected, strlen(expected)) == 0, "%.*s, not %s", STR_ARG(reply),
              expected);
}

static void expect_end(int code)
{
    int ended = messenger_stop(&actor);

    cr_expect_eq(ended, code, "exit code %d", ended);
}

/* Sends a call that waits; its id. */
static int64_t send_waiting(int64_t budget_ms)
{
    struct common_request request = messenger_request(&actor, "user.session", USER);

    request.budget = budget_ms;
    messenger_send(&actor, &request, "{}");
    return request.id;
}

static void send_cancel(int64_t id)
{
    struct common_request request = messenger_request(&actor, NULL, NULL);

    request.op = STR("cancel");
    request.id = id;
    messenger_send(&actor, &request, "{}");
}

static struct str store(const char *reference)
{
    char json[256];

    snprintf(json, sizeof(json),
             "{\"reference\":\"%s\",\"book\":\"b\",\"chapter\":1,\"verse_start\":1,"
             "\"translation\":\"t\",\"text\":\"x\"}",
             reference);
    return messenger_ask(&actor, "bible.save_passage", NULL, json);
}

/* ---- what is no good message ---- */

Test(runtime, answers_pings)
{
    struct common_request ping;

    messenger_start(&actor, MISBEHAVING, database(), NULL);
    ping = messenger_request(&actor, NULL, NULL);
    ping.op = STR("ping");
    messenger_send(&actor, &ping, "{}");
    expect("ok {\"domain\":\"user\",\"ready\":true,\"outstanding\":0}",
           messenger_receive(&actor, NULL));
    expect_end(0);
}

Test(runtime, refuses_what_it_does_not_know)
{
    struct common_request request;

    messenger_start(&actor, MISBEHAVING, database(), NULL);
    expect_begin("unknown_message ", messenger_ask(&actor, "user.nonsense", NULL, "{}"));
    expect_begin("unknown_message ", messenger_ask(&actor, "bible.passage", NULL, "{}"));
    request = messenger_request(&actor, "user.session", USER);
    request.v = 2;
    messenger_send(&actor, &request, "{}");
    expect("unsupported_version {\"detail\":\"version 2 of the wire is not known here, which "
           "speaks 1\"}",
           messenger_receive(&actor, NULL));
    request = messenger_request(&actor, NULL, NULL);
    messenger_send(&actor, &request, "{}");
    expect_begin("malformed ", messenger_receive(&actor, NULL));
    request.op = STR("dance");
    messenger_send(&actor, &request, "{}");
    expect_begin("malformed ", messenger_receive(&actor, NULL));
    request.op = STR("credit");
    messenger_send(&actor, &request, "{}"); /* not answered */
    expect_begin("ok ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    expect_end(0);
}

Test(runtime, lives_through_garbage)
{
    static const struct str headers[] = {
        {"", 0},     {"\xc1", 1}, {"\xdf\xff\xff\xff\xff", 5}, {"nonsense", 8},
        {"\x80", 1}, {"\x90", 1}, {"\x81\xa2id\xff", 5},       {"\x82\xa1v\x01\xa2id\xd0\x80", 9}};
    size_t count = sizeof(headers) / sizeof(*headers);

    messenger_start(&actor, MISBEHAVING, database(), NULL);
    for (size_t i = 0; i < count; i++)
        messenger_send_frames(actor.socket, headers[i], STR("\x80"));
    zmq_send(actor.socket, "one frame", 9, 0);
    expect_begin("ok ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    cr_expect_eq(messenger_metric(&actor, "garbage_total"), (double)count + 1);
    expect_end(0);
}

Test(runtime, answers_malformed_where_there_is_an_id)
{
    static const struct str bodies[] = {
        {"", 0}, {"\xc1", 1}, {"\x90", 1}, {"\x81\xa1", 2}, {"\x80\x80", 2}};
    struct common_reply reply;

    messenger_start(&actor, MISBEHAVING, database(), NULL);
    messenger_send_frames(actor.socket, STR("\x83\xa1v\x01\xa2id\x05\xa6method\x05"), STR("\x80"));
    expect_begin("malformed ", messenger_receive(&actor, &reply));
    cr_expect_eq(reply.id, 5);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        struct common_request request = messenger_request(&actor, "bible.translations", NULL);
        struct buffer header;

        buffer_init(&header, &actor.arena, 1024);
        frame_request(&header, &request);
        messenger_send_frames(actor.socket, buffer_str(&header), bodies[i]);
        expect_begin("malformed ", messenger_receive(&actor, &reply));
        cr_expect_eq(reply.id, request.id);
    }
    expect_end(0);
}

Test(runtime, checks_input_before_the_user)
{
    messenger_start(&actor, MISBEHAVING, database(), NULL);
    expect("invalid {\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"anonymous_id\"],"
           "\"msg\":\"Field required\",\"input\":{}}]}",
           messenger_ask(&actor, "user.get_user_by_anonymous_id", NULL, "{}"));
    expect_begin("unknown_user ", messenger_ask(&actor, "user.session", NULL, "{}"));
    expect_begin("unknown_user ", messenger_ask(&actor, "user.session", "nobody", "{}"));
    expect_end(0);
}

Test(runtime, a_reader_with_a_user_that_is_none_is_nobody)
{
    struct common_request request;
    struct common_reply reply;

    messenger_start(&actor, MISBEHAVING, database(), NULL);
    request = messenger_request(&actor, "bible.translations", "' or 1 = 1");
    messenger_send(&actor, &request, "{}");
    expect_begin("ok ", messenger_receive(&actor, &reply));
    cr_expect_null(reply.user.ptr);
    request = messenger_request(&actor, "bible.translations", USER);
    messenger_send(&actor, &request, "{}");
    expect_begin("ok ", messenger_receive(&actor, &reply));
    cr_expect(str_is(reply.user, USER));
    expect_end(0);
}

/* ---- admission, deadlines, cancels ---- */

Test(runtime, says_busy_at_once_when_the_mailbox_is_full)
{
    static const char *const options[] = {"--mailbox", "3", NULL};
    struct common_reply reply;
    int64_t ids[3], refused;

    messenger_start(&actor, MISBEHAVING, database(), options);
    for (int i = 0; i < 3; i++)
        ids[i] = send_waiting(30000);
    refused = send_waiting(30000);
    expect_begin("busy ", messenger_receive(&actor, &reply));
    cr_expect_eq(reply.id, refused);
    cr_expect_eq(messenger_metric(&actor, "mailbox_calls"), 3);
    cr_expect_eq(messenger_metric(&actor, "busy_total"), 1);
    for (int i = 0; i < 3; i++)
        send_cancel(ids[i]);
    for (int i = 0; i < 3; i++)
        expect_begin("cancelled ", messenger_receive(&actor, NULL));
    expect_begin("ok ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    expect_end(0);
}

Test(runtime, says_busy_when_the_messages_are_too_large_together)
{
    static const char *const options[] = {"--mailbox-bytes", "65536", NULL};
    static char json[70000];

    memset(json, ' ', sizeof(json) - 1);
    memcpy(json, "{\"text\":\"", 9);
    memset(json + 9, 'x', 69000);
    memcpy(json + 69009, "\"}", 2);
    messenger_start(&actor, MISBEHAVING, database(), options);
    expect_begin("busy ", messenger_ask(&actor, "bible.translations", NULL, json));
    expect_begin("ok ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    expect_end(0);
}

Test(runtime, ends_calls_at_their_deadline)
{
    int64_t start_us;

    messenger_start(&actor, MISBEHAVING, database(), NULL);
    send_waiting(0);
    expect_begin("timeout ", messenger_receive(&actor, NULL));
    send_waiting(-5);
    expect_begin("timeout ", messenger_receive(&actor, NULL));
    cr_expect_eq(messenger_metric(&actor, "expired_total"), 2);
    start_us = time_now_us();
    send_waiting(60);
    expect_begin("timeout ", messenger_receive(&actor, NULL));
    cr_expect_geq(time_now_us() - start_us, TIME_MS(60));
    cr_expect_lt(time_now_us() - start_us, TIME_MS(2000));
    expect_end(0);
}

Test(runtime, only_the_caller_can_cancel)
{
    void *own, *other;
    int64_t id;

    messenger_start(&actor, MISBEHAVING, database(), NULL);
    own = actor.socket;
    other = zmq_socket(actor.context, ZMQ_DEALER);
    zmq_connect(other, actor.endpoint);
    id = send_waiting(30000);
    actor.socket = other;
    send_cancel(id);
    expect_begin("ok ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    actor.socket = own;
    cr_expect_eq(messenger_metric(&actor, "mailbox_calls"), 1);
    send_cancel(id);
    expect_begin("cancelled ", messenger_receive(&actor, NULL));
    zmq_close(other);
    expect_end(0);
}

Test(runtime, refuses_an_id_that_is_in_flight)
{
    int64_t id;

    messenger_start(&actor, MISBEHAVING, database(), NULL);
    id = send_waiting(30000);
    actor.id = id - 1;
    cr_expect_eq(send_waiting(30000), id);
    expect_begin("malformed ", messenger_receive(&actor, NULL));
    send_cancel(id);
    expect_begin("cancelled ", messenger_receive(&actor, NULL));
    actor.id = id - 1;
    cr_expect_eq(send_waiting(10), id);
    expect_begin("timeout ", messenger_receive(&actor, NULL));
    expect_end(0);
}

Test(runtime, answers_a_req_peer)
{
    void *own;

    messenger_start(&actor, MISBEHAVING, database(), NULL);
    own = actor.socket;
    actor.socket = zmq_socket(actor.context, ZMQ_REQ);
    zmq_connect(actor.socket, actor.endpoint);
    for (int i = 0; i < 3; i++)
        expect_begin("ok ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    zmq_close(actor.socket);
    actor.socket = own;
    expect_end(0);
}

Test(runtime, answers_each_of_a_flood_once)
{
    enum { COUNT = 20000 };
    static const char *const options[] = {"--mailbox", "8", NULL};
    static bool seen[COUNT + 1];
    int64_t first;

    messenger_start(&actor, MISBEHAVING, database(), options);
    first = actor.id + 1;
    for (int i = 0; i < COUNT; i++) {
        struct common_request request = messenger_request(&actor, "bible.translations", NULL);

        messenger_send(&actor, &request, "{}");
    }
    for (int i = 0; i < COUNT; i++) {
        struct common_reply reply;
        struct str text = messenger_receive(&actor, &reply);

        cr_assert(strncmp(text.ptr, "ok ", 3) == 0 || strncmp(text.ptr, "busy ", 5) == 0);
        cr_assert(!seen[reply.id - first]);
        seen[reply.id - first] = true;
    }
    expect_end(0);
}

/* ---- transactions ---- */

Test(runtime, commits_what_went_well_and_kept_faults)
{
    static const char *const references[] = {"fine", "recovered", "kept", "plain", "silent"};
    const char *url = database();
    const char *const replies[] = {
        "ok {\"id\":7}", "ok {\"id\":7}", "kept_one {\"detail\":\"kept\"}",
        "plain_one {\"detail\":\"not kept\"}", "internal {\"detail\":\"Internal Server Error\"}"};

    messenger_start(&actor, MISBEHAVING, url, NULL);
    for (size_t i = 0; i < sizeof(references) / sizeof(*references); i++)
        expect(replies[i], store(references[i]));
    cr_expect_str_eq(
        value(url, "select string_agg(reference, ',' order by id) from saved_passages"),
        "fine,recovered,kept");
    expect_end(0);
}

Test(runtime, refuses_to_wait_for_others_within_a_transaction)
{
    const char *url = database();

    messenger_start(&actor, MISBEHAVING, url, NULL);
    expect("internal {\"detail\":\"Internal Server Error\"}", store("foreign"));
    cr_expect_str_eq(value(url, "select count(*) from saved_passages"), "0");
    expect_begin("ok ", store("fine"));
    expect_end(0);
}

/* The model is asked where nobody listens, which is never noticed. */
Test(runtime, refuses_events_and_questions_within_a_transaction)
{
    static const char *const options[] = {
        "--llm", "openai", "--openai-url", "http://127.0.0.1:9/v1", "--chat-limit", "0", NULL};
    static const char *const wrong[] = {"ask", "begin", "event", "accept", "undeclared"};
    const char *url = database();
    struct common_reply reply;
    char json[64];

    value(url, "insert into users (anonymous_id, device_count, pro_subscription)"
               " values ('" USER "', 1, false) returning id");
    messenger_start(&actor, MISBEHAVING, url, options);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong) + 1; i++) {
        bool right = i == sizeof(wrong) / sizeof(*wrong);
        struct common_request request =
            messenger_request(&actor, "chat.create_standalone_chat", USER);

        request.credit = 1000;
        snprintf(json, sizeof(json), "{\"message\":\"%s\"}", right ? "fine" : wrong[i]);
        messenger_send(&actor, &request, json);
        expect_begin(right ? "ok " : "internal ", messenger_receive(&actor, &reply));
    }
    cr_expect_str_eq(value(url, "select string_agg(reference, ',') from saved_passages"), "fine");
    cr_expect_str_eq(value(url, "select count(*) from pg_stat_activity"
                                " where state like 'idle in transaction%'"),
                     "0");
    expect_end(0);
}

Test(runtime, runs_a_transaction_again_after_a_conflict)
{
    const char *url = database();

    messenger_start(&actor, MISBEHAVING, url, NULL);
    expect("ok {\"id\":3}", store("conflict"));
    cr_expect_str_eq(value(url, "select count(*) from saved_passages"), "1");
    expect_begin("busy ", store("hopeless"));
    cr_expect_str_eq(value(url, "select last_value from runs"), "8");
    cr_expect_str_eq(value(url, "select count(*) from saved_passages"), "1");
    expect_end(0);
}

/* ---- not ready ---- */

Test(runtime, answers_unavailable_at_once_without_a_database)
{
    int64_t start_us;

    messenger_start_any_state(&actor, MISBEHAVING, "postgresql:///x?host=/nonexistent", NULL);
    start_us = time_now_us();
    expect_begin("unavailable ", store("fine"));
    cr_expect_lt(time_now_us() - start_us, TIME_MS(1000));
    expect_begin("ok ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    expect_end(0);
}

Test(runtime, is_not_ready_on_a_schema_that_is_too_old)
{
    struct common_request ping;
    struct str pong;

    setenv("LECTERN_TEST_SCHEMA", "9999", 1);
    messenger_start_any_state(&actor, MISBEHAVING, database(), NULL);
    expect_begin("unavailable ", store("fine"));
    ping = messenger_request(&actor, NULL, NULL);
    ping.op = STR("ping");
    messenger_send(&actor, &ping, "{}");
    pong = messenger_receive(&actor, NULL);
    cr_expect_not_null(strstr(pong.ptr, "\"ready\":false,\"missing\":\""), "%s", pong.ptr);
    expect_end(0);
}

/* ---- the end ---- */

Test(runtime, drains_before_it_ends)
{
    struct common_reply reply;
    int64_t waiting;

    messenger_start(&actor, MISBEHAVING, database(), NULL);
    waiting = send_waiting(700);
    expect_begin("ok ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    kill(actor.pid, SIGTERM);
    expect("leaving {}", messenger_receive(&actor, &reply));
    cr_expect_eq(reply.id, 0);
    expect_begin("leaving ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    expect_begin("timeout ", messenger_receive(&actor, &reply));
    cr_expect_eq(reply.id, waiting);
    cr_expect_eq(messenger_wait(&actor), 0);
    cr_expect_eq(access(actor.endpoint + strlen("ipc://"), F_OK), -1);
}

Test(runtime, cuts_off_what_outlasts_the_drain)
{
    static const char *const options[] = {"--drain", "200ms", NULL};

    messenger_start(&actor, MISBEHAVING, database(), options);
    send_waiting(60000);
    expect_begin("ok ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    kill(actor.pid, SIGTERM);
    expect("leaving {}", messenger_receive(&actor, NULL));
    expect_begin("leaving ", messenger_receive(&actor, NULL));
    cr_expect_eq(messenger_wait(&actor), 0);
}

/* What a second actor in the same folder ends with. */
static int second_actor(const char *state, const char *flag, const char *text)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        execl(MISBEHAVING, MISBEHAVING, "--state", state, flag, text, NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void refuse_places(const char *state)
{
    static char long_path[256];

    memset(long_path, 'x', sizeof(long_path) - 1);
    memcpy(long_path, "ipc:///tmp/", 11);
    cr_expect_eq(second_actor(state, "--listen", long_path), EX_CONFIG);
    cr_expect_eq(second_actor(state, "--listen", "tcp://0.0.0.0:0"), EX_CONFIG);
    cr_expect_eq(second_actor(state, "--listen", "tcp://127.example.com:1"), EX_CONFIG);
    cr_expect_eq(second_actor(state, "--instance", "a/b"), EX_CONFIG);
}

Test(runtime, refuses_wrong_places)
{
    char state[] = "/tmp/actor_test.XXXXXX";

    cr_assert_not_null(mkdtemp(state));
    refuse_places(state);
    rmdir(state);
}

Test(runtime, a_second_one_of_its_name_is_refused)
{
    const char *url = database();

    messenger_start(&actor, MISBEHAVING, url, NULL);
    cr_expect_eq(second_actor(actor.state, "--instance", "1"), EX_TEMPFAIL);
    expect_begin("ok ", messenger_ask(&actor, "bible.translations", NULL, "{}"));
    expect_end(0);
}

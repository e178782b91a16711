/* Statements that are their own transaction: reads that share a connection and a sync, and single
 * writes. Each way in which one fails, and that the others do not notice. */
#include "actors/caller.h"
#include "numbers.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

TestSuite(query, .timeout = 60);

STATEMENT(query_one, "select $1::int4 as n");
STATEMENT(query_divide, "select 100 / $1::int4 as n");
STATEMENT(query_sleep, "select pg_sleep($1::int4 / 1000.0)::text as slept");
STATEMENT(query_echo, "select $1::text as t");
STATEMENT(query_broken, "select nothing from nowhere");
STATEMENT(query_late, "select word from late_table");
STATEMENT(query_setting, "select set_config('work_mem', '77MB', false) as was");
STATEMENT(query_show, "select current_setting('work_mem') as now, pg_backend_pid() as pid");
STATEMENT(query_begin, "begin");
STATEMENT(query_user, "select current_user_id($1) as me, 'x'::text as rest, $2::int4 as n");
STATEMENT_WRITE(query_insert, "insert into numbers (n) values ($1) returning n");
STATEMENT_WRITE(query_slow_insert,
                "with s as (select pg_sleep(0.5)) insert into numbers (n) select $1::int4 from s");
STATEMENT_WRITE(query_deferred, "insert into late (n) values ($1)");
STATEMENT_WRITE(query_foreign, "insert into user_devices (user_id) values ($1)");
STATEMENT_WRITE(query_lock, "select n from numbers where n = $1 for update");

enum { CROWD = 1000 };

/* A task whose handler gets a number. */
struct numbered {
    struct task task;
    int32_t n;
};

static int with_number(struct call *call, const struct statement *statement, int32_t n,
                       int64_t *out)
{
    struct rows rows;

    if (db_query(call, statement, PARAMS(p_i32(n)), &rows) != 0)
        return -1;
    if (out != NULL)
        *out = row_i64(&rows, 0, "n");
    return 0;
}

static int ask_one(struct call *call, void *arg)
{
    const int32_t *n = arg;
    int64_t out = 0;

    for (int i = 0; i < 20; i++) {
        if (with_number(call, &query_one, *n + i, &out) != 0)
            return -1;
        cr_assert_eq(out, *n + i);
    }
    return 0;
}

static void start_crowd(struct numbered *crowd, int count, enum kind kind,
                        int (*handler)(struct call *call, void *arg))
{
    for (int i = 0; i < count; i++) {
        crowd[i].n = i;
        crowd[i].task = (struct task){.kind = kind, .handler = handler, .arg = &crowd[i].n};
        caller_start(&crowd[i].task);
    }
}

static unsigned count_fault(const struct numbered *crowd, int count, const char *fault)
{
    unsigned found = 0;

    for (int i = 0; i < count; i++)
        found += strcmp(fault_of(&crowd[i].task), fault) == 0;
    return found;
}

Test(query, a_thousand_fibers_get_their_own_answers)
{
    static struct numbered crowd[CROWD];
    struct pool_config config = caller_config(postgres_empty_database());

    caller_open(&config, true);
    start_crowd(crowd, CROWD, KIND_read, ask_one);
    caller_wait();
    cr_expect_eq(count_fault(crowd, CROWD, ""), CROWD);
    cr_expect_lt(stat_value_at(&database_syncs_total, 0), 20. * CROWD / 10,
                 "reads of a turn share a sync");
    caller_close();
}

Test(query, several_connections_for_reads_share_the_work)
{
    static struct numbered crowd[CROWD];
    struct pool_config config = caller_config(postgres_empty_database());

    config.read_connections = 4;
    caller_open(&config, true);
    start_crowd(crowd, CROWD, KIND_read, ask_one);
    caller_wait();
    cr_expect_eq(count_fault(crowd, CROWD, ""), CROWD);
    caller_close();
}

static int divide(struct call *call, void *arg)
{
    int32_t n = *(const int32_t *)arg;
    int64_t out = 0;

    if (with_number(call, &query_divide, n % 100, &out) != 0)
        return -1;
    cr_assert_eq(out, 100 / (n % 100));
    return 0;
}

static void check_division(const struct numbered *crowd, int count)
{
    for (int i = 0; i < count; i++) {
        const struct task *task = &crowd[i].task;

        if (i % 100 != 0) {
            cr_assert_eq(task->result, 0, "%d: %s", i, task->failure.text);
            continue;
        }
        cr_assert_str_eq(fault_of(task), "internal");
        cr_assert_not_null(strstr(task->failure.text, "22012"), "%s", task->failure.text);
        cr_assert_not_null(strstr(task->failure.text, "query_divide"));
    }
}

Test(query, one_of_a_hundred_fails_alone)
{
    static struct numbered crowd[CROWD];
    struct pool_config config = caller_config(postgres_empty_database());

    caller_open(&config, true);
    start_crowd(crowd, 100, KIND_read, divide);
    caller_wait();
    check_division(crowd, 100);
    for (int round = 0; round < 20; round++) {
        start_crowd(crowd, CROWD, KIND_read, divide);
        caller_wait();
        check_division(crowd, CROWD);
    }
    caller_close();
}

Test(query, failures_without_statement_names_are_the_same)
{
    static struct numbered crowd[CROWD];
    struct pool_config config = caller_config(postgres_empty_database());

    config.statement_names = false;
    caller_open(&config, true);
    for (int round = 0; round < 5; round++) {
        start_crowd(crowd, CROWD, KIND_read, divide);
        caller_wait();
        check_division(crowd, CROWD);
    }
    caller_close();
}

static int ask_broken(struct call *call, void *arg)
{
    struct rows rows;

    if (*(const int32_t *)arg % 2 == 0)
        return with_number(call, &query_one, 1, NULL);
    return db_query(call, &query_broken, NO_PARAMS, &rows);
}

Test(query, a_statement_that_cannot_be_prepared_fails_alone)
{
    static struct numbered crowd[CROWD];
    struct pool_config config = caller_config(postgres_empty_database());

    caller_open(&config, true);
    for (int round = 0; round < 3; round++) {
        start_crowd(crowd, CROWD, KIND_read, ask_broken);
        caller_wait();
        cr_expect_eq(count_fault(crowd, CROWD, ""), CROWD / 2);
        cr_expect_eq(count_fault(crowd, CROWD, "internal"), CROWD / 2);
        cr_expect_not_null(strstr(crowd[1].task.failure.text, "42P01"));
    }
    caller_close();
}

static int echo_large(struct call *call, void *arg)
{
    size_t len = 300000;
    char *text = arena_alloc(&call->arena, len);
    struct rows rows;

    (void)arg;
    cr_assert_not_null(text);
    memset(text, 'a' + *(const int32_t *)arg % 26, len);
    if (db_query(call, &query_echo, PARAMS(p_str((struct str){text, len})), &rows) != 0)
        return -1;
    cr_assert(str_equal(row_str(&rows, 0, "t"), (struct str){text, len}));
    return 0;
}

Test(query, full_socket_buffers_both_ways_are_no_deadlock)
{
    static struct numbered crowd[200];
    struct pool_config config = caller_config(postgres_empty_database());

    caller_open(&config, true);
    start_crowd(crowd, 200, KIND_read, echo_large);
    caller_wait();
    cr_expect_eq(count_fault(crowd, 200, ""), 200);
    caller_close();
}

/* ---- identity ---- */

static int as_user(struct call *call, void *arg)
{
    struct rows rows;

    call->user = str_of(arg);
    if (db_query_as_user(call, &query_user, PARAMS(p_i32(5)), &rows) != 0)
        return -1;
    cr_expect_eq(row_i64(&rows, 0, "n"), 5);
    cr_expect_gt(call->user_id, 0);
    cr_expect_eq(call->user_id, row_i64(&rows, 0, "me"));
    return 0;
}

Test(query, the_user_is_resolved_in_the_same_trip)
{
    const char *url = postgres_database();
    struct pool_config config = caller_config(url);
    struct task known = {.kind = KIND_read, .handler = as_user, .arg = "somebody"};
    struct task unknown = {.kind = KIND_read, .handler = as_user, .arg = "nobody"};
    struct task absent = {.kind = KIND_read, .handler = as_user, .arg = NULL};
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn, "insert into users (anonymous_id, device_count, pro_subscription)"
                        " values ('somebody', 1, false)");
    PQfinish(conn);
    caller_open(&config, true);
    caller_run(&known);
    caller_run(&unknown);
    caller_run(&absent);
    cr_expect_eq(known.result, 0, "%s", known.failure.text);
    cr_expect_str_eq(fault_of(&unknown), "unknown_user");
    cr_expect_str_eq(fault_of(&absent), "unknown_user");
    caller_close();
}

static int write_foreign(struct call *call, void *arg)
{
    (void)arg;
    return with_number(call, &query_foreign, 999999, NULL);
}

Test(query, a_write_for_a_user_who_is_gone_is_unknown_user)
{
    struct pool_config config = caller_config(postgres_database());
    struct task task = {.kind = KIND_single, .handler = write_foreign};

    caller_open(&config, true);
    caller_run(&task);
    cr_expect_str_eq(fault_of(&task), "unknown_user", "%s", task.failure.text);
    caller_close();
}

/* ---- single writes ---- */

static const char *numbers_database(void)
{
    const char *url = postgres_empty_database();
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn, "create table numbers (n int primary key)");
    PQfinish(conn);
    return url;
}

static int insert(struct call *call, void *arg)
{
    int64_t n;

    if (with_number(call, &query_insert, *(const int32_t *)arg, &n) != 0)
        return -1;
    cr_assert_eq(n, *(const int32_t *)arg);
    return 0;
}

static void expect_count(const char *url, const char *sql, const char *count)
{
    PGconn *conn = postgres_connect(url);

    cr_expect_str_eq(postgres_value(conn, sql), count);
    PQfinish(conn);
}

Test(query, writes_stand_side_by_side)
{
    static struct numbered crowd[200];
    const char *url = numbers_database();
    struct pool_config config = caller_config(url);

    caller_open(&config, true);
    start_crowd(crowd, 200, KIND_single, insert);
    caller_wait();
    cr_expect_eq(count_fault(crowd, 200, ""), 200, "%s", crowd[0].task.failure.text);
    expect_count(url, "select count(*) from numbers", "200");
    expect_count(
        url, "select count(*) from pg_stat_activity where application_name = 'lectern test'", "5");
    caller_close();
}

Test(query, more_writers_than_may_wait_are_refused_at_once)
{
    static struct numbered crowd[100];
    const char *url = numbers_database();
    struct pool_config config = caller_config(url);

    config.waiters = 10;
    caller_open(&config, true);
    start_crowd(crowd, 100, KIND_single, insert);
    caller_wait();
    cr_expect_eq(count_fault(crowd, 100, "") + count_fault(crowd, 100, "busy"), 100);
    cr_expect_geq(count_fault(crowd, 100, ""), 10);
    cr_expect_geq(count_fault(crowd, 100, "busy"), 50);
    caller_close();
}

static int insert_late(struct call *call, void *arg)
{
    return with_number(call, &query_deferred, *(const int32_t *)arg, NULL);
}

Test(query, a_write_that_fails_at_its_commit_fails)
{
    static struct numbered crowd[20];
    const char *url = numbers_database();
    struct pool_config config = caller_config(url);
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn,
                  "create table late (n int references numbers deferrable initially deferred)");
    postgres_exec(conn, "insert into numbers select generate_series(0, 9)");
    PQfinish(conn);
    caller_open(&config, true);
    start_crowd(crowd, 20, KIND_single, insert_late);
    caller_wait();
    cr_expect_eq(count_fault(crowd, 20, ""), 10);
    cr_expect_eq(count_fault(crowd, 20, "internal"), 10);
    expect_count(url, "select count(*) from late", "10");
    caller_close();
}

/* ---- out of time, cancelled ---- */

static int sleep_ms(struct call *call, void *arg)
{
    struct rows rows;

    return db_query(call, &query_sleep, PARAMS(p_i32(*(const int32_t *)arg)), &rows);
}

Test(query, a_read_past_its_deadline_is_left_and_the_connection_goes_on)
{
    int32_t ms = 300, one = 1;
    struct pool_config config = caller_config(postgres_empty_database());
    struct task slow = {
        .kind = KIND_read, .handler = sleep_ms, .arg = &ms, .budget_us = TIME_MS(50)};
    struct task after = {.kind = KIND_read, .handler = ask_one, .arg = &one};

    caller_open(&config, true);
    caller_run(&slow);
    cr_expect_str_eq(fault_of(&slow), "timeout");
    cr_expect_lt(slow.took_us, TIME_MS(250));
    caller_run(&after);
    cr_expect_eq(after.result, 0, "%s", after.failure.text);
    cr_expect_eq(stat_value_at(&database_reconnects_total, 0), 0);
    caller_close();
}

static int cancel_it(struct call *call, void *arg)
{
    struct task *other = arg;

    (void)call;
    caller_rest(TIME_MS(50));
    fiber_cancel(other->fiber);
    return 0;
}

Test(query, a_read_that_is_cancelled_ends_at_once)
{
    int32_t ms = 1000;
    struct pool_config config = caller_config(postgres_empty_database());
    struct task slow = {.kind = KIND_read, .handler = sleep_ms, .arg = &ms};
    struct task canceller = {.kind = KIND_read, .handler = cancel_it, .arg = &slow};

    caller_open(&config, true);
    caller_start(&slow);
    caller_run(&canceller);
    cr_expect_str_eq(fault_of(&slow), "cancelled");
    cr_expect_lt(slow.took_us, TIME_MS(500));
    caller_close();
}

static int insert_slowly(struct call *call, void *arg)
{
    struct rows rows;

    return db_query(call, &query_slow_insert, PARAMS(p_i32(*(const int32_t *)arg)), &rows);
}

Test(query, a_write_that_was_sent_is_seen_to_its_end)
{
    int32_t n = 1;
    const char *url = numbers_database();
    struct pool_config config = caller_config(url);
    struct task slow = {
        .kind = KIND_single, .handler = insert_slowly, .arg = &n, .budget_us = TIME_MS(200)};
    struct task canceller = {.kind = KIND_read, .handler = cancel_it, .arg = &slow};

    caller_open(&config, true);
    caller_start(&slow);
    caller_run(&canceller);
    cr_expect_eq(slow.result, 0, "%s", slow.failure.text);
    expect_count(url, "select count(*) from numbers", "1");
    caller_close();
}

static int write_sleep(struct call *call, void *arg)
{
    return sleep_ms(call, arg);
}

Test(query, a_write_without_an_answer_in_time_is_unknown)
{
    int32_t ms = 3000;
    struct pool_config config = caller_config(postgres_empty_database());
    struct task slow = {
        .kind = KIND_single, .handler = write_sleep, .arg = &ms, .budget_us = TIME_MS(100)};

    caller_open(&config, true);
    caller_run(&slow);
    cr_expect_str_eq(fault_of(&slow), "outcome_unknown", "%s", slow.failure.text);
    caller_close();
}

Test(query, the_server_ends_what_takes_too_long)
{
    int32_t ms = 3000;
    struct pool_config config = caller_config(postgres_empty_database());
    struct task slow = {.kind = KIND_read, .handler = sleep_ms, .arg = &ms};

    for (int names = 0; names < 2; names++) {
        config.statement_timeout_us = TIME_MS(150);
        config.statement_names = names == 1;
        caller_open(&config, true);
        caller_run(&slow);
        cr_expect_str_eq(fault_of(&slow), "timeout", "%s", slow.failure.text);
        cr_expect_not_null(strstr(slow.failure.text, "57014"));
        cr_expect_lt(slow.took_us, TIME_MS(1000));
        slow.failure.fault = NULL;
        caller_close();
    }
}

static int read_long(struct call *call, void *arg)
{
    struct rows rows;

    if (db_query_long(call, &query_sleep, PARAMS(p_i32(*(const int32_t *)arg)), &rows) != 0)
        return -1;
    return db_in_transaction(call) ? -1 : 0;
}

Test(query, a_long_read_holds_nobody_up)
{
    static struct numbered crowd[20];
    int32_t ms = 300;
    struct pool_config config = caller_config(postgres_empty_database());
    struct task slow = {.kind = KIND_read, .handler = read_long, .arg = &ms};
    struct task left = {
        .kind = KIND_read, .handler = read_long, .arg = &ms, .budget_us = TIME_MS(100)};

    caller_open(&config, true);
    caller_start(&slow);
    caller_start(&left);
    start_crowd(crowd, 20, KIND_read, ask_one);
    caller_wait();
    cr_expect_eq(slow.result, 0, "%s", slow.failure.text);
    cr_expect_str_eq(fault_of(&left), "timeout");
    cr_expect_eq(count_fault(crowd, 20, ""), 20);
    for (int i = 0; i < 20; i++)
        cr_expect_lt(crowd[i].task.took_us, slow.took_us);
    caller_close();
}

/* ---- what a statement leaves behind ---- */

static int leave_setting(struct call *call, void *arg)
{
    struct rows rows;

    return db_query(call, arg, NO_PARAMS, &rows);
}

struct shown {
    char setting[32]; /* work_mem */
    int64_t pid;      /* of the server's process */
};

static int show(struct call *call, void *arg)
{
    struct shown *shown = arg;
    struct rows rows;

    if (db_query(call, &query_show, NO_PARAMS, &rows) != 0)
        return -1;
    snprintf(shown->setting, sizeof(shown->setting), "%.*s", STR_ARG(row_str(&rows, 0, "now")));
    shown->pid = row_i64(&rows, 0, "pid");
    return 0;
}

static void expect_fresh_session_after(const struct statement *statement)
{
    struct pool_config config = caller_config(postgres_empty_database());
    struct shown before, after;
    struct task first = {.kind = KIND_read, .handler = show, .arg = &before};
    struct task leaves = {
        .kind = KIND_read, .handler = leave_setting, .arg = (void *)(uintptr_t)statement};
    struct task second = {.kind = KIND_read, .handler = show, .arg = &after};

    caller_open(&config, true);
    caller_run(&first);
    caller_run(&leaves);
    caller_run(&second);
    cr_expect_eq(leaves.result, 0, "%s", leaves.failure.text);
    cr_expect_eq(second.result, 0, "%s", second.failure.text);
    cr_expect_str_eq(after.setting, before.setting);
    cr_expect_neq(after.pid, before.pid, "the session was not closed");
    caller_close();
}

Test(query, a_setting_ends_with_its_session)
{
    expect_fresh_session_after(&query_setting);
}

Test(query, a_transaction_by_hand_ends_with_its_session)
{
    expect_fresh_session_after(&query_begin);
}

static int read_late(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    return db_query(call, &query_late, NO_PARAMS, &rows);
}

Test(query, a_schema_that_changes_under_a_prepared_statement_is_no_failure)
{
    const char *url = postgres_empty_database();
    struct pool_config config = caller_config(url);
    struct task task = {.kind = KIND_read, .handler = read_late};
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn, "create table late_table (word int)");
    caller_open(&config, true);
    caller_run(&task);
    cr_expect_eq(task.result, 0, "%s", task.failure.text);
    postgres_exec(conn, "alter table late_table alter word type text");
    caller_run(&task);
    cr_expect_eq(task.result, 0, "%s", task.failure.text);
    caller_run(&task);
    cr_expect_eq(task.result, 0, "%s", task.failure.text);
    PQfinish(conn);
    caller_close();
}

static int lock_and_count(struct call *call, void *arg)
{
    return with_number(call, &query_lock, *(const int32_t *)arg, NULL);
}

Test(query, a_stuck_write_lets_others_pass)
{
    static struct numbered crowd[50];
    int32_t n = -1;
    const char *url = numbers_database();
    struct pool_config config = caller_config(url);
    struct task stuck = {
        .kind = KIND_single, .handler = lock_and_count, .arg = &n, .budget_us = TIME_MS(500)};
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn, "insert into numbers values (-1)");
    postgres_exec(conn, "begin; select * from numbers for update");
    caller_open(&config, true);
    caller_start(&stuck);
    start_crowd(crowd, 50, KIND_single, insert);
    caller_wait();
    cr_expect_str_eq(fault_of(&stuck), "outcome_unknown");
    cr_expect_eq(count_fault(crowd, 50, ""), 50);
    PQfinish(conn);
    caller_close();
}

Test(query, the_programs_statements_are_listed)
{
    size_t found = 0;

    for (const struct statement *const *at = statements_first(); at < statements_end(); at++)
        found += strncmp((*at)->name, "query_", 6) == 0;
    cr_expect_eq(found, 15);
}

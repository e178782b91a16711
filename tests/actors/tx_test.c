/* Transactions of a call: how they end, who may run them again, and what a lost connection means
 * at each place. */
#include "actors/caller.h"
#include "numbers.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

TestSuite(tx, .timeout = 60);

STATEMENT_WRITE(tx_insert, "insert into numbers (n) values ($1) returning n");
STATEMENT_WRITE(tx_count, "update counter set n = n + 1 returning n");
STATEMENT(tx_read, "select n from counter");
STATEMENT(tx_serializable, "set transaction isolation level serializable");
STATEMENT(tx_broken, "select 1 / 0 as n");
STATEMENT(tx_sleep, "select pg_sleep($1::int4 / 1000.0)::text as slept");
STATEMENT(tx_backend, "select pg_backend_pid() as pid, current_setting('work_mem') as setting");
STATEMENT(tx_set, "set work_mem = '77MB'");
STATEMENT(tx_lock_row, "select n from numbers where n = $1::int4 for update");
STATEMENT_WRITE(tx_late, "insert into late (n) values ($1) returning n");

static const struct fault kept_fault = {.name = "kept_one", .status = 409, .kept = true};

static const char *database(void)
{
    const char *url = postgres_empty_database();
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn,
                  "create table numbers (n int primary key);"
                  " create table counter (n int); insert into counter values (0);"
                  " create table late (n int references numbers deferrable initially deferred)");
    PQfinish(conn);
    return url;
}

static void expect_value(const char *url, const char *sql, const char *expected)
{
    PGconn *conn = postgres_connect(url);

    cr_expect_str_eq(postgres_value(conn, sql), expected, "%s: %s", sql, postgres_value(conn, sql));
    PQfinish(conn);
}

static int insert(struct call *call, int32_t n)
{
    struct rows rows;

    return db_query(call, &tx_insert, PARAMS(p_i32(n)), &rows);
}

static int plain(struct call *call, const struct statement *statement)
{
    struct rows rows;

    return db_query(call, statement, NO_PARAMS, &rows);
}

/* One tx call of a handler on a fresh database: its fault must be that, and so many rows be there.
 */
static void expect(int (*handler)(struct call *call, void *arg), const char *fault,
                   const char *numbers)
{
    const char *url = database();
    struct pool_config config = caller_config(url);

    for (int names = 1; names >= 0; names--) {
        struct task task = {.kind = KIND_tx, .handler = handler, .arg = (void *)(uintptr_t)url};
        PGconn *conn = postgres_connect(url);

        config.statement_names = names;
        postgres_exec(conn, "truncate numbers, late");
        PQfinish(conn);
        caller_open(&config, true);
        caller_run(&task);
        cr_expect_str_eq(fault_of(&task), fault, "%s", task.failure.text);
        cr_expect_eq(task.result, fault[0] == '\0' ? 0 : -1);
        caller_close();
        expect_value(url, "select count(*) from numbers", numbers);
        expect_value(url, "select count(*) from pg_stat_activity where state like 'idle in%'", "0");
    }
}

/* ---- ends ---- */

static int two(struct call *call, void *arg)
{
    (void)arg;
    if (insert(call, 1) != 0)
        return -1;
    cr_expect(db_in_transaction(call));
    return insert(call, 2);
}

Test(tx, success_commits)
{
    expect(two, "", "2");
}

static int nothing(struct call *call, void *arg)
{
    (void)arg;
    cr_expect_not(db_in_transaction(call));
    return 0;
}

Test(tx, a_handler_that_asks_nothing_takes_no_connection)
{
    expect(nothing, "", "0");
}

static int two_and_a_failure(struct call *call, void *arg)
{
    if (two(call, arg) != 0)
        return -1;
    return fail(call, too_large, "no more");
}

Test(tx, a_failure_rolls_back)
{
    expect(two_and_a_failure, "too_large", "0");
}

static int two_and_kept(struct call *call, void *arg)
{
    if (two(call, arg) != 0)
        return -1;
    return fail_at(&call->failure, &kept_fault, __FILE__, __LINE__, "but keep it");
}

Test(tx, a_kept_fault_commits)
{
    const char *url = database();
    struct pool_config config = caller_config(url);
    struct task task = {.kind = KIND_tx, .handler = two_and_kept};

    caller_open(&config, true);
    caller_run(&task);
    cr_expect_str_eq(fault_of(&task), "kept_one");
    expect_value(url, "select count(*) from numbers", "2");
    caller_close();
}

static int last(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    if (insert(call, 1) != 0 || db_query_last(call, &tx_insert, PARAMS(p_i32(2)), &rows) != 0)
        return -1;
    cr_expect_eq(row_i64(&rows, 0, "n"), 2);
    cr_expect_not(db_in_transaction(call));
    return 0;
}

Test(tx, commit_travels_with_the_last_statement)
{
    expect(last, "", "2");
}

static int only(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    return db_query_last(call, &tx_insert, PARAMS(p_i32(2)), &rows);
}

Test(tx, one_statement_may_be_first_and_last)
{
    expect(only, "", "1");
}

static int more_after_last(struct call *call, void *arg)
{
    return last(call, arg) != 0 ? -1 : insert(call, 3);
}

Test(tx, nothing_comes_after_the_last)
{
    expect(more_after_last, "internal", "2");
}

static int last_fails(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    if (insert(call, 1) != 0)
        return -1;
    return db_query_last(call, &tx_insert, PARAMS(p_i32(1)), &rows);
}

Test(tx, a_last_statement_that_fails_commits_nothing)
{
    expect(last_fails, "internal", "0");
}

static int late_last(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    if (insert(call, 1) != 0)
        return -1;
    return db_query_last(call, &tx_late, PARAMS(p_i32(99)), &rows);
}

Test(tx, a_commit_that_fails_with_the_last_is_a_failure)
{
    expect(late_last, "internal", "0");
}

static int late(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    if (insert(call, 1) != 0)
        return -1;
    return db_query(call, &tx_late, PARAMS(p_i32(99)), &rows);
}

Test(tx, a_commit_that_fails_is_a_failure)
{
    expect(late, "internal", "0");
}

static int swallow(struct call *call, void *arg)
{
    (void)arg;
    if (insert(call, 1) != 0)
        return -1;
    cr_expect_neq(plain(call, &tx_broken), 0);
    failure_clear(&call->failure);
    return 0;
}

Test(tx, a_failure_that_was_swallowed_does_not_pass_for_success)
{
    expect(swallow, "internal", "0");
}

static int foreign(struct call *call, void *arg)
{
    if (two(call, arg) != 0)
        return -1;
    return call_wait_foreign(call, "the language model");
}

Test(tx, no_foreign_wait_within_a_transaction)
{
    expect(foreign, "internal", "0");
}

/* ---- steps ---- */

static int step_insert(struct call *call, void *arg)
{
    return insert(call, *(const int32_t *)arg);
}

static int nested(struct call *call, void *arg)
{
    return tx_run(call, step_insert, arg);
}

static int steps(struct call *call, void *arg)
{
    int32_t one = 1, three = 3;

    (void)arg;
    if (tx_run(call, step_insert, &one) != 0)
        return -1;
    cr_expect_not(db_in_transaction(call));
    if (plain(call, &tx_read) != 0)
        return -1;
    cr_expect_not(db_in_transaction(call), "a read between the steps is none of them");
    if (tx_run(call, step_insert, &one) == 0)
        return -1;
    cr_expect_str_eq(call->failure.fault->name, "internal");
    failure_clear(&call->failure);
    if (tx_run(call, nested, &three) == 0)
        return -1;
    failure_clear(&call->failure);
    return tx_run(call, step_insert, &three);
}

Test(tx, each_step_is_a_transaction)
{
    const char *url = database();
    struct pool_config config = caller_config(url);
    struct task task = {.kind = KIND_steps, .handler = steps};

    caller_open(&config, true);
    caller_run(&task);
    cr_expect_eq(task.result, 0, "%s", task.failure.text);
    expect_value(url, "select string_agg(n::text, ',' order by n) from numbers", "1,3");
    caller_close();
}

static int fail_then_commit(struct call *call, void *arg)
{
    cr_expect_eq(tx_run(call, two_and_a_failure, arg), -1);
    failure_clear(&call->failure);
    cr_expect_eq(plain(call, &tx_read), 0);
    cr_expect_not(call->db->has_committed, "nothing stays of it");
    cr_expect_eq(tx_run(call, two, arg), 0);
    cr_expect(call->db->has_committed);
    return 0;
}

static int write_singly(struct call *call, void *arg)
{
    (void)arg;
    cr_expect_not(call->db->has_committed);
    if (insert(call, 3) != 0)
        return -1;
    cr_expect(call->db->has_committed);
    return 0;
}

Test(tx, a_call_knows_that_something_of_it_stays)
{
    struct pool_config config = caller_config(database());
    struct task steps_task = {.kind = KIND_steps, .handler = fail_then_commit};
    struct task single_task = {.kind = KIND_single, .handler = write_singly};

    caller_open(&config, true);
    caller_run(&steps_task);
    caller_run(&single_task);
    cr_expect_eq(steps_task.result, 0, "%s", steps_task.failure.text);
    cr_expect_eq(single_task.result, 0, "%s", single_task.failure.text);
    caller_close();
}

/* ---- retrying ---- */

static unsigned runs;

static int count_serializably(struct call *call, void *arg)
{
    (void)arg;
    runs++;
    if (plain(call, &tx_serializable) != 0 || plain(call, &tx_read) != 0)
        return -1;
    return plain(call, &tx_count);
}

static int retry_count(struct call *call, void *arg)
{
    return tx_run(call, count_serializably, arg);
}

Test(tx, serialization_failures_are_run_again)
{
    struct task crowd[3];
    const char *url = database();
    struct pool_config config = caller_config(url);
    char expected[16];
    int done = 0;

    caller_open(&config, true);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 3; i++) {
            crowd[i] = (struct task){.kind = KIND_steps, .handler = retry_count};
            caller_start(&crowd[i]);
        }
        caller_wait();
        for (int i = 0; i < 3; i++) {
            done += crowd[i].result == 0;
            cr_expect(crowd[i].result == 0 || strcmp(fault_of(&crowd[i]), "busy") == 0, "%s",
                      crowd[i].failure.text);
        }
    }
    cr_expect_geq(done, 25);
    cr_expect_gt(runs, 30, "somebody met somebody");
    snprintf(expected, sizeof(expected), "%d", done);
    expect_value(url, "select n from counter", expected);
    caller_close();
}

static int lock_two(struct call *call, void *arg)
{
    const int32_t *n = arg;
    struct rows rows;

    if (db_query(call, &tx_lock_row, PARAMS(p_i32(n[0])), &rows) != 0 ||
        db_query(call, &tx_sleep, PARAMS(p_i32(100)), &rows) != 0)
        return -1;
    return db_query(call, &tx_lock_row, PARAMS(p_i32(n[1])), &rows);
}

static int lock_two_in_steps(struct call *call, void *arg)
{
    return tx_run(call, lock_two, arg);
}

Test(tx, deadlocks_are_run_again)
{
    static int32_t order[2][2] = {{1, 2}, {2, 1}};
    const char *url = database();
    struct pool_config config = caller_config(url);
    struct task tasks[2];
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn, "insert into numbers values (1), (2)");
    PQfinish(conn);
    caller_open(&config, true);
    for (int i = 0; i < 2; i++) {
        tasks[i] = (struct task){.kind = KIND_steps,
                                 .handler = lock_two_in_steps,
                                 .arg = order[i],
                                 .budget_us = TIME_S(10)};
        caller_start(&tasks[i]);
    }
    caller_wait();
    cr_expect_eq(tasks[0].result, 0, "%s", tasks[0].failure.text);
    cr_expect_eq(tasks[1].result, 0, "%s", tasks[1].failure.text);
    caller_close();
}

/* ---- out of time, cancelled, crowded ---- */

static int insert_and_sleep(struct call *call, void *arg)
{
    struct rows rows;

    if (insert(call, *(const int32_t *)arg) != 0)
        return -1;
    return db_query(call, &tx_sleep, PARAMS(p_i32(400)), &rows);
}

static int cancel_it(struct call *call, void *arg)
{
    struct task *other = arg;

    (void)call;
    caller_rest(TIME_MS(100));
    fiber_cancel(other->fiber);
    return 0;
}

/* The server notices within a second that a client has gone. */
static void expect_soon(const char *url, const char *sql, const char *expected)
{
    PGconn *conn = postgres_connect(url);

    for (int i = 0; i < 500 && strcmp(postgres_value(conn, sql), expected) != 0; i++)
        postgres_exec(conn, "select pg_sleep(0.01)");
    cr_expect_str_eq(postgres_value(conn, sql), expected);
    PQfinish(conn);
}

Test(tx, a_transaction_that_is_left_is_rolled_back)
{
    int32_t n[3] = {1, 2, 3};
    const char *url = database();
    struct pool_config config = caller_config(url);
    struct task late_one = {
        .kind = KIND_tx, .handler = insert_and_sleep, .arg = &n[0], .budget_us = TIME_MS(100)};
    struct task cancelled = {.kind = KIND_tx, .handler = insert_and_sleep, .arg = &n[1]};
    struct task canceller = {.kind = KIND_read, .handler = cancel_it, .arg = &cancelled};
    struct task after = {.kind = KIND_tx, .handler = step_insert, .arg = &n[2]};

    caller_open(&config, true);
    caller_start(&late_one);
    caller_start(&cancelled);
    caller_run(&canceller);
    cr_expect_str_eq(fault_of(&late_one), "timeout");
    cr_expect_str_eq(fault_of(&cancelled), "cancelled");
    caller_run(&after);
    cr_expect_eq(after.result, 0, "%s", after.failure.text);
    expect_soon(url,
                "select count(*) from pg_stat_activity where state like '%in transaction%'"
                " or query like '%sleep%' and state = 'active' and pid <> pg_backend_pid()",
                "0");
    expect_value(url, "select string_agg(n::text, ',') from numbers", "3");
    caller_close();
}

static int insert_then_be_late(struct call *call, void *arg)
{
    if (insert(call, *(const int32_t *)arg) != 0)
        return -1;
    while (time_now_us() < call->deadline_us)
        continue;
    return 0;
}

Test(tx, past_the_deadline_nothing_is_committed)
{
    int32_t n = 1;
    const char *url = database();
    struct pool_config config = caller_config(url);
    struct task task = {
        .kind = KIND_tx, .handler = insert_then_be_late, .arg = &n, .budget_us = TIME_MS(50)};

    caller_open(&config, true);
    caller_run(&task);
    cr_expect_str_eq(fault_of(&task), "timeout");
    expect_value(url, "select count(*) from numbers", "0");
    caller_close();
}

Test(tx, waiting_for_a_connection_is_bounded)
{
    struct task crowd[12];
    static int32_t n[12];
    int busy = 0, done = 0, late_ones = 0;
    const char *url = database();
    struct pool_config config = caller_config(url);

    config.other_connections = 2;
    config.waiters = 8;
    caller_open(&config, true);
    for (int i = 0; i < 12; i++) {
        n[i] = i;
        crowd[i] = (struct task){
            .kind = KIND_tx, .handler = insert_and_sleep, .arg = &n[i], .budget_us = TIME_MS(1000)};
        caller_start(&crowd[i]);
    }
    caller_wait();
    for (int i = 0; i < 12; i++) {
        busy += strcmp(fault_of(&crowd[i]), "busy") == 0 && crowd[i].took_us < TIME_MS(200);
        late_ones += strcmp(fault_of(&crowd[i]), "timeout") == 0;
        done += crowd[i].result == 0;
    }
    cr_expect_eq(busy, 4, "%d", busy);
    cr_expect_geq(done, 2);
    cr_expect_eq(busy + done + late_ones, 12);
    expect_soon(url,
                "select count(*) from pg_stat_activity where application_name = 'lectern test'"
                " and state <> 'idle'",
                "0");
    caller_close();
}

/* ---- what a call leaves behind ---- */

struct backend {
    int64_t pid;      /* of the server's process */
    char setting[16]; /* work_mem */
};

static int look(struct call *call, void *arg)
{
    struct backend *backend = arg;
    struct rows rows;

    if (db_query(call, &tx_backend, NO_PARAMS, &rows) != 0)
        return -1;
    backend->pid = row_i64(&rows, 0, "pid");
    snprintf(backend->setting, sizeof(backend->setting), "%.*s",
             STR_ARG(row_str(&rows, 0, "setting")));
    return 0;
}

static int set_and_look(struct call *call, void *arg)
{
    return plain(call, &tx_set) != 0 ? -1 : look(call, arg);
}

Test(tx, a_clean_connection_is_used_again_and_no_other)
{
    struct backend seen[4];
    struct pool_config config = caller_config(database());

    caller_open(&config, true);
    for (int i = 0; i < 4; i++) {
        struct task task = {
            .kind = KIND_tx, .handler = i == 2 ? set_and_look : look, .arg = &seen[i]};

        caller_run(&task);
        cr_expect_eq(task.result, 0, "%s", task.failure.text);
    }
    cr_expect_eq(seen[0].pid, seen[1].pid);
    cr_expect_str_eq(seen[2].setting, "77MB");
    cr_expect_str_eq(seen[3].setting, seen[0].setting);
    cr_expect_neq(seen[3].pid, seen[2].pid);
    caller_close();
}

static int open_and_forget(struct call *call, void *arg)
{
    struct db_session_head **head = arg;

    if (insert(call, 1) != 0)
        return -1;
    *head = call->db;
    call->db = NULL; /* so that nobody finishes it */
    return 0;
}

Test(tx, a_transaction_that_nobody_finished_is_rolled_back)
{
    struct db_session_head *head;
    const char *url = database();
    struct pool_config config = caller_config(url);
    struct task task = {.kind = KIND_tx, .handler = open_and_forget, .arg = &head};

    caller_open(&config, true);
    caller_run(&task);
    expect_soon(url, "select count(*) from pg_stat_activity where state like '%in transaction%'",
                "0");
    expect_value(url, "select count(*) from numbers", "0");
    caller_close();
}

/* ---- lost connections ---- */

static void kill_others(const char *url)
{
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn, "select pg_terminate_backend(pid, 2000) from pg_stat_activity"
                        " where application_name = 'lectern test'");
    PQfinish(conn);
}

static int killed_between(struct call *call, void *arg)
{
    if (insert(call, 1) != 0)
        return -1;
    kill_others(arg);
    return insert(call, 2);
}

Test(tx, a_connection_lost_between_statements_is_unavailable)
{
    expect(killed_between, "unavailable", "0");
}

static int killed_before_commit(struct call *call, void *arg)
{
    if (insert(call, 1) != 0)
        return -1;
    kill_others(arg);
    caller_rest(TIME_MS(20));
    return 0;
}

Test(tx, a_connection_known_to_be_lost_before_commit_is_unavailable)
{
    expect(killed_before_commit, "unavailable", "0");
}

static int killed_before_begin(struct call *call, void *arg)
{
    struct rows rows;

    kill_others(arg);
    return db_query(call, &tx_insert, PARAMS(p_i32(7)), &rows);
}

Test(tx, a_connection_lost_before_begin_is_at_most_unavailable)
{
    int32_t n = 1;
    const char *url = database();
    struct pool_config config = caller_config(url);
    struct task warm = {.kind = KIND_tx, .handler = step_insert, .arg = &n};
    struct task task = {
        .kind = KIND_tx, .handler = killed_before_begin, .arg = (void *)(uintptr_t)url};

    caller_open(&config, true);
    caller_run(&warm);
    caller_run(&task);
    cr_expect_str_eq(fault_of(&task), "unavailable", "%s", task.failure.text);
    expect_value(url, "select count(*) from numbers", "1");
    caller_run(&task);
    caller_close();
}

static const char *slow_commit_database(void)
{
    const char *url = database();
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn, "create function slow() returns trigger language plpgsql as"
                        " $$ begin perform pg_sleep(1); return null; end $$;"
                        " create constraint trigger slow after insert on numbers deferrable"
                        " initially deferred for each row execute function slow()");
    PQfinish(conn);
    return url;
}

static int kill_soon(struct call *call, void *arg)
{
    (void)call;
    caller_rest(TIME_MS(300));
    kill_others(arg);
    return 0;
}

static void expect_lost_commit(int (*handler)(struct call *call, void *arg), enum kind kind)
{
    int32_t n = 1;
    const char *url = slow_commit_database();
    struct pool_config config = caller_config(url);
    struct task task = {.kind = kind, .handler = handler, .arg = &n};
    struct task killer = {.kind = KIND_read, .handler = kill_soon, .arg = (void *)(uintptr_t)url};

    caller_open(&config, true);
    caller_start(&task);
    caller_run(&killer);
    cr_expect_str_eq(fault_of(&task), "outcome_unknown", "%s", task.failure.text);
    caller_close();
}

Test(tx, a_connection_lost_during_commit_is_unknown)
{
    expect_lost_commit(step_insert, KIND_tx);
}

Test(tx, a_connection_lost_during_the_last_is_unknown)
{
    expect_lost_commit(only, KIND_tx);
}

Test(tx, a_connection_lost_during_a_single_write_is_unknown)
{
    expect_lost_commit(step_insert, KIND_single);
}

static int unknown_is_not_retried(struct call *call, void *arg)
{
    runs++;
    return insert(call, *(const int32_t *)arg);
}

static int unknown_in_steps(struct call *call, void *arg)
{
    int result = tx_run(call, unknown_is_not_retried, arg);

    cr_expect_eq(runs, 1);
    return result;
}

Test(tx, an_unknown_outcome_is_never_run_again)
{
    expect_lost_commit(unknown_in_steps, KIND_steps);
}

Test(tx, a_commit_without_an_answer_in_time_is_unknown)
{
    int32_t n = 1;
    const char *url = slow_commit_database();
    struct pool_config config = caller_config(url);
    PGconn *conn = postgres_connect(url);
    struct task task = {
        .kind = KIND_tx, .handler = step_insert, .arg = &n, .budget_us = TIME_MS(100)};

    postgres_exec(conn, "create or replace function slow() returns trigger language plpgsql as"
                        " $$ begin perform pg_sleep(4); return null; end $$");
    PQfinish(conn);
    caller_open(&config, true);
    caller_run(&task);
    cr_expect_str_eq(fault_of(&task), "outcome_unknown", "%s", task.failure.text);
    cr_expect_lt(task.took_us, TIME_MS(2000));
    caller_close();
}

Test(tx, cancelling_does_not_tear_a_commit)
{
    int32_t n = 1;
    const char *url = slow_commit_database();
    struct pool_config config = caller_config(url);
    struct task task = {.kind = KIND_tx, .handler = step_insert, .arg = &n};
    struct task canceller = {.kind = KIND_read, .handler = cancel_it, .arg = &task};

    caller_open(&config, true);
    caller_start(&task);
    caller_run(&canceller);
    cr_expect_eq(task.result, 0, "%s", task.failure.text);
    expect_value(url, "select count(*) from numbers", "1");
    caller_close();
}

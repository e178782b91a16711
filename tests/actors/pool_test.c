/* The pool through bad times: the server killed, stopped, full, read-only, not migrated yet. */
#include "actors/caller.h"
#include "numbers.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(pool, .timeout = 120);

STATEMENT(pool_one, "select $1::int4 as n");
STATEMENT(pool_sleep, "select pg_sleep($1::int4 / 1000.0)::text as slept");
STATEMENT_WRITE(pool_insert, "insert into numbers (n) values ($1) returning n");
STATEMENT(pool_backends, "select count(*) as n from pg_stat_activity"
                         " where application_name = 'lectern test'");

/* ---- a server of its own ---- */

struct server {
    char url[256]; /* of its database `postgres` */
    pid_t pid;     /* of the postmaster */
};

static void read_pid(struct server *server)
{
    char path[512], line[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "%s/data/postmaster.pid", strstr(server->url, "/tmp/"));
    file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    cr_assert_not_null(fgets(line, sizeof(line), file));
    fclose(file);
    server->pid = (pid_t)atol(line);
}

static void server_start(struct server *server)
{
    FILE *script = popen(POSTGRES_SCRIPT " start", "r");
    PGconn *conn;

    cr_assert_not_null(script);
    cr_assert_not_null(fgets(server->url, sizeof(server->url), script));
    cr_assert_eq(pclose(script), 0);
    server->url[strcspn(server->url, "\n")] = '\0';
    read_pid(server);
    conn = postgres_connect(server->url);
    postgres_exec(conn, "create table numbers (n int primary key)");
    PQfinish(conn);
}

static void script(const char *verb, const struct server *server)
{
    char command[512];

    snprintf(command, sizeof(command), POSTGRES_SCRIPT " %s '%s'", verb, server->url);
    cr_assert_eq(system(command), 0);
}

static void server_resume(struct server *server)
{
    script("resume", server);
    read_pid(server);
}

/* ---- calls ---- */

static int one(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    return db_query(call, &pool_one, PARAMS(p_i32(1)), &rows);
}

static int insert(struct call *call, void *arg)
{
    struct rows rows;

    return db_query(call, &pool_insert, PARAMS(p_i32(*(const int32_t *)arg)), &rows);
}

static int sleep_ms(struct call *call, void *arg)
{
    struct rows rows;

    return db_query(call, &pool_sleep, PARAMS(p_i32(*(const int32_t *)arg)), &rows);
}

static void expect_read(const char *fault)
{
    struct task task = {.kind = KIND_read, .handler = one};

    caller_run(&task);
    cr_expect_str_eq(fault_of(&task), fault, "%s", task.failure.text);
}

/* Reads until one fails: how the loss shows. */
static int read_until_lost(struct call *call, void *arg)
{
    (void)arg;
    while (one(call, NULL) == 0)
        continue;
    return -1;
}

Test(pool, a_killed_server_fails_each_call_once_and_comes_back)
{
    enum { CROWD = 50 };
    static struct task reads[CROWD], writes[CROWD];
    static int32_t n[CROWD];
    int32_t ms = 3000;
    struct server server;
    struct task slow = {.kind = KIND_read, .handler = sleep_ms, .arg = &ms};
    struct pool_config config;

    server_start(&server);
    config = caller_config(server.url);
    config.read_connections = 2;
    caller_open(&config, true);
    for (int i = 0; i < CROWD; i++) {
        n[i] = i;
        reads[i] = (struct task){.kind = KIND_read, .handler = read_until_lost};
        writes[i] = (struct task){.kind = KIND_single, .handler = insert, .arg = &n[i]};
        caller_start(&reads[i]);
        caller_start(&writes[i]);
    }
    caller_start(&slow);
    kill(server.pid, SIGKILL);
    caller_wait();
    for (int i = 0; i < CROWD; i++) {
        cr_expect_str_eq(fault_of(&reads[i]), "unavailable", "%s", reads[i].failure.text);
        cr_expect(writes[i].result == 0 || strcmp(fault_of(&writes[i]), "outcome_unknown") == 0 ||
                      strcmp(fault_of(&writes[i]), "unavailable") == 0,
                  "%s: %s", fault_of(&writes[i]), writes[i].failure.text);
    }
    for (int i = 0; i < 20; i++) {
        struct task read = {.kind = KIND_read, .handler = one};
        struct task write = {.kind = KIND_single, .handler = insert, .arg = &n[0]};
        struct task tx = {.kind = KIND_tx, .handler = insert, .arg = &n[0]};

        caller_run(&read);
        caller_run(&write);
        caller_run(&tx);
        cr_expect_str_eq(fault_of(&read), "unavailable");
        cr_expect_str_eq(fault_of(&write), "unavailable");
        cr_expect_str_eq(fault_of(&tx), "unavailable");
        cr_expect_lt(read.took_us + write.took_us + tx.took_us, TIME_MS(1200), "at once");
    }
    server_resume(&server);
    cr_expect(caller_wait_ready(TIME_S(2)), "not back within 2 s");
    expect_read("");
    n[0] = 1000;
    writes[0] = (struct task){.kind = KIND_single, .handler = insert, .arg = &n[0]};
    caller_run(&writes[0]);
    cr_expect_eq(writes[0].result, 0, "%s", writes[0].failure.text);
    caller_close();
    script("stop", &server);
}

Test(pool, a_server_that_is_not_there_is_unavailable)
{
    struct pool_config config = caller_config("postgresql:///postgres?host=/tmp/no-such-folder");
    const char *missing = NULL;

    caller_open(&config, false);
    expect_read("unavailable");
    cr_expect_not(pool_ready(caller_pool, &missing));
    cr_expect_str_eq(missing, "the database");
    caller_close();
}

Test(pool, calls_wait_for_the_first_connection)
{
    struct pool_config config = caller_config(postgres_empty_database());

    caller_open(&config, false);
    expect_read("");
    caller_close();
}

Test(pool, a_stopped_server_is_given_up_and_found_again)
{
    int32_t n = 1;
    struct server server;
    struct pool_config config;
    struct task read = {.kind = KIND_read, .handler = one, .budget_us = TIME_MS(300)};
    struct task write = {.kind = KIND_single, .handler = insert, .arg = &n};

    server_start(&server);
    config = caller_config(server.url);
    caller_open(&config, true);
    kill(server.pid, SIGSTOP);
    write.budget_us = TIME_MS(300);
    caller_run(&write);
    cr_expect_str_eq(fault_of(&write), "timeout", "no connection was to be had: %s",
                     write.failure.text);
    kill(server.pid, SIGCONT);
    caller_run(&read);
    cr_expect_eq(read.result, 0, "%s", read.failure.text);
    write.budget_us = TIME_S(3);
    caller_run(&write);
    cr_expect_eq(write.result, 0, "%s", write.failure.text);
    caller_close();
    script("stop", &server);
}

/* ---- the schema ---- */

static void expect_missing(const char *expected)
{
    const char *missing = "";

    cr_expect_not(pool_ready(caller_pool, &missing));
    cr_expect_str_eq(missing, expected);
}

Test(pool, an_old_schema_is_waited_for)
{
    const char *url = postgres_empty_database();
    struct pool_config config = caller_config(url);
    PGconn *conn = postgres_connect(url);

    config.schema_version = 3;
    for (int names = 0; names < 2; names++) {
        postgres_exec(conn, "drop table if exists lectern_migrations");
        config.statement_names = names;
        caller_open(&config, false);
        expect_read("unavailable");
        expect_missing("schema 3, the database has 0");
        postgres_exec(conn, "create table lectern_migrations (version int);"
                            " insert into lectern_migrations values (1), (2)");
        cr_expect_not(caller_wait_ready(TIME_MS(1500)));
        expect_missing("schema 3, the database has 2");
        expect_read("unavailable");
        postgres_exec(conn, "insert into lectern_migrations values (3)");
        cr_expect(caller_wait_ready(TIME_S(2)));
        expect_read("");
        caller_close();
    }
    PQfinish(conn);
}

Test(pool, a_migrated_database_is_ready)
{
    struct pool_config config = caller_config(postgres_database());

    config.schema_version = 1;
    caller_open(&config, true);
    expect_read("");
    caller_close();
}

/* ---- connections ---- */

static int count_backends(struct call *call, void *arg)
{
    struct rows rows;

    if (db_query(call, &pool_backends, NO_PARAMS, &rows) != 0)
        return -1;
    *(int64_t *)arg = row_i64(&rows, 0, "n");
    return 0;
}

static int64_t backends(void)
{
    int64_t count = -1;
    struct task task = {.kind = KIND_read, .handler = count_backends, .arg = &count};

    caller_run(&task);
    return count;
}

static int rest(struct call *call, void *arg)
{
    (void)call;
    caller_rest(*(const int64_t *)arg);
    return 0;
}

Test(pool, others_are_opened_on_demand_and_closed_when_idle)
{
    int32_t ms = 100;
    int64_t pause_us = TIME_MS(50);
    const char *url = postgres_empty_database();
    struct pool_config config = caller_config(url);
    struct task tasks[10];
    struct task pause = {.kind = KIND_read, .handler = rest, .arg = &pause_us};

    config.idle_us = TIME_MS(200);
    caller_open(&config, true);
    cr_expect_eq(backends(), 1);
    for (int i = 0; i < 10; i++) {
        tasks[i] = (struct task){.kind = KIND_single, .handler = sleep_ms, .arg = &ms};
        caller_start(&tasks[i]);
    }
    caller_wait();
    cr_expect_eq(backends(), 5);
    for (int i = 0; i < 100 && backends() > 1; i++)
        caller_run(&pause);
    cr_expect_eq(backends(), 1);
    caller_close();
}

static int many_rounds(struct call *call, void *arg)
{
    for (int i = 0; i < 50; i++)
        if (one(call, arg) != 0)
            failure_clear(&call->failure);
    return 0;
}

Test(pool, connections_that_are_killed_all_the_time_leak_nothing)
{
    enum { CROWD = 50 };
    static struct task tasks[CROWD], writes[CROWD];
    static int32_t n[CROWD];
    const char *url = postgres_empty_database();
    struct pool_config config = caller_config(url);
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn, "create table numbers (n int)");
    caller_open(&config, true);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < CROWD; i++) {
            tasks[i] = (struct task){.kind = KIND_read, .handler = many_rounds};
            writes[i] = (struct task){
                .kind = i % 2 ? KIND_single : KIND_tx, .handler = insert, .arg = &n[i]};
            caller_start(&tasks[i]);
            caller_start(&writes[i]);
        }
        postgres_exec(conn, "select pg_terminate_backend(pid) from pg_stat_activity"
                            " where application_name = 'lectern test'");
        caller_wait();
        for (int i = 0; i < CROWD; i++)
            cr_expect(writes[i].result == 0 || strcmp(fault_of(&writes[i]), "unavailable") == 0 ||
                          strcmp(fault_of(&writes[i]), "outcome_unknown") == 0,
                      "%s: %s", fault_of(&writes[i]), writes[i].failure.text);
        cr_expect(caller_wait_ready(TIME_S(2)));
    }
    expect_read("");
    PQfinish(conn);
    caller_close();
}

Test(pool, a_full_server_is_waited_for_by_those_who_have_a_connection_to_wait_for)
{
    enum { CROWD = 20 };
    static struct task tasks[CROWD];
    int32_t ms = 20;
    const char *url = postgres_empty_database();
    struct pool_config config = caller_config(url);
    PGconn *conn = postgres_connect(url);
    char sql[256];

    /* Two connections for who is no superuser: the read connection and one other. */
    snprintf(sql, sizeof(sql), "create role guest%d login connection limit 2", getpid());
    postgres_exec(conn, sql);
    snprintf(sql, sizeof(sql), "%s&user=guest%d", url, getpid());
    config.url = sql;
    caller_open(&config, true);
    for (int i = 0; i < CROWD; i++) {
        tasks[i] = (struct task){.kind = KIND_tx, .handler = sleep_ms, .arg = &ms};
        caller_start(&tasks[i]);
    }
    caller_wait();
    for (int i = 0; i < CROWD; i++)
        cr_expect_eq(tasks[i].result, 0, "%s", tasks[i].failure.text);
    caller_close();
    PQfinish(conn);
}

Test(pool, a_server_that_takes_no_writes_loses_its_connections)
{
    int32_t n = 1;
    const char *url = postgres_empty_database();
    struct pool_config config = caller_config(url);
    struct task task = {.kind = KIND_tx, .handler = insert, .arg = &n};
    PGconn *conn = postgres_connect(url);

    postgres_exec(conn, "create table numbers (n int)");
    caller_open(&config, true);
    postgres_exec(conn, "do $$ begin execute format('alter database %I set"
                        " default_transaction_read_only = on', current_database()); end $$");
    caller_run(&task);
    cr_expect_str_eq(fault_of(&task), "unavailable", "%s", task.failure.text);
    postgres_exec(conn, "set default_transaction_read_only = off; do $$ begin execute"
                        " format('alter database %I reset default_transaction_read_only',"
                        " current_database()); end $$");
    caller_run(&task);
    cr_expect_eq(task.result, 0, "the connection was not closed: %s", task.failure.text);
    PQfinish(conn);
    caller_close();
}

static int close_pool(struct call *call, void *arg)
{
    (void)call, (void)arg;
    caller_rest(TIME_MS(100));
    pool_close(&caller_pool);
    return 0;
}

Test(pool, closing_ends_what_is_in_flight)
{
    int32_t ms = 2000;
    struct pool_config config = caller_config(postgres_empty_database());
    struct task read = {.kind = KIND_read, .handler = sleep_ms, .arg = &ms};
    struct task write = {.kind = KIND_single, .handler = sleep_ms, .arg = &ms};
    struct task tx = {.kind = KIND_tx, .handler = sleep_ms, .arg = &ms};
    struct task closer = {.kind = KIND_read, .handler = close_pool};

    caller_open(&config, true);
    caller_start(&read);
    caller_start(&write);
    caller_start(&tx);
    caller_run(&closer);
    cr_expect_str_eq(fault_of(&read), "unavailable");
    cr_expect_str_eq(fault_of(&write), "outcome_unknown");
    cr_expect_str_eq(fault_of(&tx), "unavailable");
    cr_expect_lt(read.took_us, TIME_MS(1000));
    caller_close();
}

/* Where the database is: URLs, PG* variables, service and password files, names of hosts, several
 * hosts, passwords that no log shows. */
#include "actors/caller.h"
#include "base/loop.h"
#include "base/stat.h"
#include "target.h"
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(target, .timeout = 60);

STATEMENT(target_who, "select current_setting('application_name') as app, current_user::text as me,"
                      " current_setting('search_path') as path");

static void refuse(const char *url)
{
    struct pool_config config = caller_config(url);

    cr_redirect_stderr();
    target_read(&config);
}

Test(target, a_url_that_is_none_ends_the_program, .exit_code = 78)
{
    refuse("mysql://somebody:secret@host/db");
}

Test(target, a_bad_option_ends_the_program, .exit_code = 78)
{
    refuse("postgresql:///db?no_such_option=1");
}

Test(target, a_bad_value_ends_the_program, .exit_code = 78)
{
    refuse("postgresql:///db?sslmode=sometimes");
}

Test(target, an_unknown_service_ends_the_program, .exit_code = 78)
{
    setenv("PGSERVICEFILE", "/dev/null", 1);
    refuse("postgresql:///db?service=nowhere");
}

static void end_now(void)
{
    _exit(78);
}

/* What the program says before it ends, in a process of its own. */
static void refused_with(const char *url, char *text, size_t room)
{
    int ends[2];
    ssize_t got;
    pid_t child;

    cr_assert_eq(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        struct pool_config config = caller_config(url);

        dup2(ends[1], STDERR_FILENO);
        atexit(end_now); /* before a look for leaks, which a forked child cannot do */
        target_read(&config);
        _exit(0);
    }
    close(ends[1]);
    got = read(ends[0], text, room - 1);
    text[got > 0 ? got : 0] = '\0';
    close(ends[0]);
}

Test(target, no_message_holds_a_password)
{
    static const char *const urls[] = {
        "postgresql://me:top%zzsecret@host/db",      "postgresql://me:topsecret@host:port/db",
        "postgresql://me:topsecret@[::1/db",         "postgresql://me:topsecret@host/db?nonsense=1",
        "host=a password=topsecret nonsense=1",      "host=a password='topsecret",
        "postgresql://host/db?password=topsecret&x", "mysql://me:topsecret@host/db",
        "postgresql:/me:topsecret@host/db"};

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char text[1000];

        refused_with(urls[i], text, sizeof(text));
        cr_expect_neq(text[0], '\0', "%s was taken", urls[i]);
        cr_expect_null(strstr(text, "secret"), "%s", text);
        cr_expect_not_null(strstr(text, "DATABASE_URL"), "%s", text);
    }
}

/* ---- places ---- */

static void loop_stop_at(void *arg)
{
    (void)arg;
    loop_stop();
}

static struct target *resolved_target(const char *url)
{
    struct pool_config config = caller_config(url);
    struct target *target;

    loop_open(0);
    target = target_read(&config);
    if (target_is_stale(target)) {
        cr_assert_eq(target_places(target), 0);
        cr_assert_eq(target_resolve(target, loop_stop_at, NULL), 0);
        loop_run();
    }
    return target;
}

static void done(struct target *target)
{
    target_free(&target);
    loop_close();
    stat_close();
}

Test(target, names_are_resolved_off_the_loop)
{
    struct target *target = resolved_target("postgresql://localhost:1/db");
    PGconn *conn;

    cr_assert_geq(target_places(target), 1);
    conn = target_connect(target, 0);
    cr_expect_str_eq(PQhost(conn), "localhost");
    cr_expect(strcmp(PQhostaddr(conn), "127.0.0.1") == 0 || strcmp(PQhostaddr(conn), "::1") == 0);
    PQfinish(conn);
    done(target);
}

Test(target, a_name_that_nobody_has_says_so)
{
    struct target *target = resolved_target("postgresql://no-such-host.invalid/db");

    cr_expect_eq(target_places(target), 0);
    cr_expect_not_null(strstr(target_error(target), "no-such-host.invalid"));
    done(target);
}

Test(target, sockets_and_addresses_need_no_resolving)
{
    struct pool_config config =
        caller_config("postgresql:///db?host=/tmp,127.0.0.1,::1&port=1,2,3");
    struct target *target = target_read(&config);
    PGconn *conn;

    cr_expect_not(target_is_stale(target));
    cr_expect_eq(target_places(target), 3);
    conn = target_connect(target, 1);
    cr_expect_str_eq(PQhost(conn), "127.0.0.1");
    cr_expect_str_eq(PQport(conn), "2");
    PQfinish(conn);
    target_free(&target);
}

/* ---- passwords ---- */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    chmod(path, 0600);
}

static void expect_password(const char *url, const char *password)
{
    struct pool_config config = caller_config(url);
    struct target *target = target_read(&config);
    PGconn *conn;

    unlink("/tmp/lectern-test.pgpass");
    conn = target_connect(target, 0);
    cr_expect_str_eq(PQpass(conn), password);
    cr_expect_null(strstr(target_name(target), "secret"));
    PQfinish(conn);
    target_free(&target);
}

Test(target, the_password_file_is_read_once)
{
    setenv("PGPASSFILE", "/tmp/lectern-test.pgpass", 1);
    write_file("/tmp/lectern-test.pgpass", "localhost:*:db:me:secret1\n127.0.0.1:*:*:*:secret2\n");
    expect_password("postgresql://me@/db?host=127.0.0.1", "secret2");
    write_file("/tmp/lectern-test.pgpass", "localhost:*:db:me:secret1\n");
    expect_password("postgresql://me@/db?host=127.0.0.1", "");
}

Test(target, the_password_of_the_url_comes_first)
{
    setenv("PGPASSWORD", "secret3", 1);
    expect_password("postgresql://me:secret4@127.0.0.1/db", "secret4");
    expect_password("postgresql://me@127.0.0.1/db", "secret3");
}

Test(target, a_service_gives_what_the_url_does_not)
{
    struct pool_config config = caller_config("postgresql:///?service=here&port=7");
    struct target *target;
    PGconn *conn;
    char path[64];

    snprintf(path, sizeof(path), "/tmp/lectern-test-%d.service", getpid());
    write_file(path, "[here]\nhost=127.0.0.1\nport=5\ndbname=served\nuser=me\n");
    setenv("PGSERVICEFILE", path, 1);
    target = target_read(&config);
    unlink(path);
    conn = target_connect(target, 0);
    cr_expect_neq(PQstatus(conn), CONNECTION_BAD, "%s", PQerrorMessage(conn));
    cr_expect_str_eq(PQdb(conn), "served");
    cr_expect_str_eq(PQport(conn), "7");
    PQfinish(conn);
    target_free(&target);
}

/* ---- connecting ---- */

static int who(struct call *call, void *arg)
{
    char *out = arg;
    struct rows rows;

    if (db_query(call, &target_who, NO_PARAMS, &rows) != 0)
        return -1;
    snprintf(out, 200, "%.*s %.*s %.*s", STR_ARG(row_str(&rows, 0, "app")),
             STR_ARG(row_str(&rows, 0, "me")), STR_ARG(row_str(&rows, 0, "path")));
    return 0;
}

static void expect_who(const char *url, const char *expected)
{
    char text[200] = "";
    struct pool_config config = caller_config(url);
    struct task task = {.kind = KIND_read, .handler = who, .arg = text};

    caller_open(&config, true);
    caller_run(&task);
    cr_expect_eq(task.result, 0, "%s", task.failure.text);
    cr_expect_str_eq(text, expected);
    caller_close();
}

Test(target, options_of_the_user_are_kept)
{
    const char *given = postgres_empty_database();
    char url[1024];

    expect_who(given, "lectern test postgres \"$user\", public");
    snprintf(url, sizeof(url), "%s&application_name=mine&options=-csearch_path%%3Dother", given);
    expect_who(url, "mine postgres other");
}

Test(target, other_spellings_are_taken)
{
    const char *given = postgres_empty_database();
    char url[1024];

    snprintf(url, sizeof(url), "postgresql+asyncpg%s", strstr(given, "://"));
    expect_who(url, "lectern test postgres \"$user\", public");
}

Test(target, the_second_host_is_found_when_the_first_is_dead)
{
    const char *given = postgres_empty_database();
    const char *folder = strstr(given, "%2F");
    char url[1024];

    cr_assert_not_null(folder, "%s", given);
    snprintf(url, sizeof(url), "%.*s127.0.0.1,%s&port=1,5432&target_session_attrs=read-write",
             (int)(folder - given), given, folder);
    expect_who(url, "lectern test postgres \"$user\", public");
}

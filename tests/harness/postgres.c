/* A real PostgreSQL for tests: the server is started by postgres.sh from the program that runs the
 * tests; the tests themselves are processes of their own and find it in LECTERN_TEST_PG. A migrated
 * template is made once a server and version of the migrations; a test's database is a copy of it.
 */
#include "postgres.h"

#include "migrate.h"

#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SERVER "LECTERN_TEST_PG"

enum {
    URL_MAX = 1024,
    DATABASES_MAX = 16,
    VALUES_MAX = 4,
    VALUE_BYTES = 64 << 10,
    NAME_BYTES = 64
};

static bool started; /* the server is ours to stop */

static void die(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));

static void die(const char *format, ...)
{
    va_list args;

    fputs("postgres for tests: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

static const char *server(void)
{
    const char *url = getenv(SERVER);

    if (url == NULL || url[0] == '\0')
        die("there is no server: " SERVER " is not set");
    return url;
}

static void add_encoded(char *out, const char *value)
{
    for (out += strlen(out); *value != '\0'; value++)
        out += snprintf(out, 4, "%%%02X", (unsigned char)*value);
}

/* The server's URL with another database in it. */
static void url_of(const char *name, char out[URL_MAX])
{
    char *error = NULL;
    PQconninfoOption *options = PQconninfoParse(server(), &error);
    char separator = '?';

    if (options == NULL)
        die(SERVER ": %s", error != NULL ? error : "no memory");
    snprintf(out, URL_MAX, "postgresql:///%s", name);
    for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
        size_t used = strlen(out);

        if (option->val == NULL || strcmp(option->keyword, "dbname") == 0)
            continue;
        if (used + strlen(option->keyword) + 3 * strlen(option->val) + 3 > URL_MAX)
            die(SERVER " is too long");
        snprintf(out + used, URL_MAX - used, "%c%s=", separator, option->keyword);
        add_encoded(out, option->val);
        separator = '&';
    }
    PQconninfoFree(options);
}

PGconn *postgres_connect(const char *url)
{
    PGconn *conn = PQconnectdb(url);

    if (PQstatus(conn) != CONNECTION_OK)
        die("%s: %s", url, PQerrorMessage(conn));
    return conn;
}

static PGresult *run(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        die("%s: %s", sql, PQerrorMessage(conn));
    return result;
}

void postgres_exec(PGconn *conn, const char *sql)
{
    PQclear(run(conn, sql));
}

const char *postgres_value(PGconn *conn, const char *sql)
{
    static char values[VALUES_MAX][VALUE_BYTES];
    static int next;
    char *value = values[next++ % VALUES_MAX];
    PGresult *result = run(conn, sql);

    snprintf(value, VALUE_BYTES, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return value;
}

/* One a version of the migrations: FNV-1a of all files. */
static void template_name(char out[NAME_BYTES])
{
    struct migration_set set = migrations_embedded();
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (int i = 0; i < set.count; i++)
        for (const char *c = set.list[i].sql; *c != '\0'; c++)
            hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    snprintf(out, NAME_BYTES, "lectern_template_%016" PRIx64, hash);
}

static void migrate_template(const char *name)
{
    char url[URL_MAX];
    struct migrate migrate = {.set = migrations_embedded(), .lock_wait_ms = 10 * 1000};

    url_of(name, url);
    migrate.conn = postgres_connect(url);
    if (migrate_run(&migrate) != MIGRATE_DONE)
        die("%s", migrate.message);
    PQfinish(migrate.conn);
}

/* Makes the template unless it is there; under its final name only when it is complete. */
static void make_template(void)
{
    PGconn *conn = postgres_connect(server());
    char name[NAME_BYTES], sql[256], draft[NAME_BYTES];

    template_name(name);
    postgres_exec(conn, "select pg_advisory_lock(5071927844)");
    snprintf(sql, sizeof(sql), "select 1 from pg_database where datname = '%s'", name);
    if (postgres_value(conn, sql)[0] == '\0') {
        snprintf(draft, sizeof(draft), "lectern_draft_%d", getpid());
        postgres_exec(conn, "set client_min_messages = warning");
        snprintf(sql, sizeof(sql), "drop database if exists %s", draft);
        postgres_exec(conn, sql);
        snprintf(sql, sizeof(sql), "create database %s template template0", draft);
        postgres_exec(conn, sql);
        migrate_template(draft);
        snprintf(sql, sizeof(sql), "alter database %s rename to %s", draft, name);
        postgres_exec(conn, sql);
    }
    PQfinish(conn);
}

static const char *create(const char *template)
{
    static char urls[DATABASES_MAX][URL_MAX];
    static int count;
    PGconn *conn = postgres_connect(server());
    char name[NAME_BYTES], sql[256];
    struct timespec now;

    if (count == DATABASES_MAX)
        die("a test may have %d databases", DATABASES_MAX);
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(name, sizeof(name), "t%d_%lld_%ld", getpid(), (long long)now.tv_sec, now.tv_nsec);
    snprintf(sql, sizeof(sql), "create database %s template %s", name, template);
    postgres_exec(conn, sql);
    PQfinish(conn);
    url_of(name, urls[count]);
    return urls[count++];
}

const char *postgres_database(void)
{
    char name[NAME_BYTES];

    template_name(name);
    return create(name);
}

const char *postgres_empty_database(void)
{
    return create("template0");
}

static void start(void)
{
    char url[URL_MAX] = "";
    FILE *script = popen(POSTGRES_SCRIPT " start", "r");

    if (script == NULL || fgets(url, sizeof(url), script) == NULL || pclose(script) != 0)
        die(POSTGRES_SCRIPT " start failed");
    url[strcspn(url, "\n")] = '\0';
    setenv(SERVER, url, 1);
    started = true;
}

ReportHook(PRE_ALL)(struct criterion_test_set *tests)
{
    (void)tests;
    if (getenv(SERVER) == NULL)
        start();
    make_template();
}

ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
    char command[URL_MAX + 128];

    (void)stats;
    if (!started)
        return;
    snprintf(command, sizeof(command), POSTGRES_SCRIPT " stop '%s'", server());
    if (system(command) != 0)
        fprintf(stderr, "postgres for tests: the server was not stopped: %s\n", server());
    started = false;
}

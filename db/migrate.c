/* Applies migrations: lock, compare what is recorded with what is embedded, then one file after the
 * other.
 *
 * Others go on using the database meanwhile, so what asks for a table's lock asks for a moment only
 * and gives up, again and again: whoever waits for an exclusive lock holds up all that come later.
 * The moment is that short because a migration that holds locks and waits for others must have
 * given way before PostgreSQL looks for deadlocks (after 1 s), or it might be the other that is
 * ended. */
#include "migrate.h"

#include "migrate_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SERVER_LEAST = 150000, LOCK_POLL_MS = 100, REST_MS = 1000 };

#define A_MOMENT "200ms"
#define LONG_ENOUGH "5min"

static const char *const nothing[] = {NULL}; /* values of a statement without parameters */

/* The session's advisory lock; any number of our own. */
#define LOCK_KEY "5071927843"

enum migrate_result migrate_stop(struct migrate *migrate, enum migrate_result result,
                                 const char *format, ...)
{
    va_list args;

    if (migrate->message[0] != '\0')
        return result;
    va_start(args, format);
    vsnprintf(migrate->message, sizeof(migrate->message), format, args);
    va_end(args);
    return result;
}

void migrate_say(struct migrate *migrate, const char *format, ...)
{
    char line[256];
    va_list args;

    if (migrate->say == NULL)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    migrate->say(migrate->say_data, line);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void rest_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

static int line_at(const char *sql, const char *position)
{
    long characters = position != NULL ? atol(position) : 1;
    int line = 1;

    for (; *sql != '\0' && characters > 1; sql++) {
        line += *sql == '\n';
        characters -= ((unsigned char)*sql & 0xC0) != 0x80;
    }
    return line;
}

/* A lock that could not be had in time, or a deadlock that we were taken out of. */
static bool is_in_use(const char *state)
{
    return state != NULL && (strcmp(state, "55P03") == 0 || strcmp(state, "40P01") == 0);
}

enum migrate_result migrate_failure(struct migrate *migrate, const char *what, const char *sql,
                                    const PGresult *result)
{
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    enum migrate_result kind = is_in_use(state) ? MIGRATE_BUSY : MIGRATE_FAILED;
    char line[32] = "";

    if (text == NULL) /* the connection is gone: libpq has a message of its own */
        return migrate_stop(migrate, MIGRATE_FAILED, "%s: %.*s", what,
                            (int)strcspn(PQerrorMessage(migrate->conn), "\n"),
                            PQerrorMessage(migrate->conn));
    if (sql != NULL && position != NULL)
        snprintf(line, sizeof(line), ", line %d", line_at(sql, position));
    return migrate_stop(migrate, kind, "%s%s: %s%s%s", what, line, text, detail != NULL ? ": " : "",
                        detail != NULL ? detail : "");
}

enum migrate_result migrate_exec(struct migrate *migrate, const char *what, const char *sql)
{
    PGresult *result = PQexec(migrate->conn, sql);
    ExecStatusType status = PQresultStatus(result);
    enum migrate_result outcome = MIGRATE_DONE;

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
        outcome = migrate_failure(migrate, what, sql, result);
    PQclear(result);
    return outcome;
}

/* Nobody stands behind one that waits for these: their locks are compatible with reading and
 * writing. What they wait for are transactions, of any length. */
static bool may_wait(const char *sql)
{
    return strstr(sql, "index concurrently ") != NULL ||
           strstr(sql, " validate constraint ") != NULL;
}

enum migrate_result migrate_alone(struct migrate *migrate, const char *what, const char *sql)
{
    enum migrate_result outcome;

    if (!may_wait(sql))
        return migrate_exec(migrate, what, sql);
    outcome = migrate_exec(migrate, what, "set lock_timeout = '" LONG_ENOUGH "'");
    if (outcome == MIGRATE_DONE)
        outcome = migrate_exec(migrate, what, sql);
    PQclear(PQexec(migrate->conn, "set lock_timeout = '" A_MOMENT "'"));
    return outcome;
}

enum migrate_result migrate_again(struct migrate *migrate, const char *what, migrate_action *action,
                                  const void *data)
{
    int64_t until = now_ms() + migrate->lock_wait_ms;
    bool said = false;

    for (;;) {
        enum migrate_result outcome = action(migrate, data);

        if (outcome != MIGRATE_BUSY || now_ms() >= until)
            return outcome;
        if (!said)
            migrate_say(migrate, "%s: a table is in use, trying again", what);
        said = true;
        migrate->message[0] = '\0';
        rest_ms(REST_MS);
    }
}

enum migrate_result migrate_value(struct migrate *migrate, const char *sql,
                                  const char *const *values, char *out, size_t room_bytes)
{
    PGresult *result;
    enum migrate_result outcome = MIGRATE_DONE;
    int count = 0;

    while (values[count] != NULL)
        count++;
    result = PQexecParams(migrate->conn, sql, count, NULL, values, NULL, NULL, 0);
    out[0] = '\0';
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        outcome = migrate_failure(migrate, "asking the database", NULL, result);
    else if (PQntuples(result) > 0)
        snprintf(out, room_bytes, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return outcome;
}

enum migrate_result migrate_checksum(struct migrate *migrate, const struct migration *migration,
                                     char out[65])
{
    const char *values[] = {migration->sql};
    const int lengths[] = {(int)strlen(migration->sql)}, formats[] = {1};
    PGresult *result = PQexecParams(migrate->conn, "select encode(sha256($1::bytea), 'hex')", 1,
                                    NULL, values, lengths, formats, 0);
    enum migrate_result outcome = MIGRATE_DONE;

    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        snprintf(out, 65, "%s", PQgetvalue(result, 0, 0));
    else
        outcome = migrate_failure(migrate, "asking the database", NULL, result);
    PQclear(result);
    return outcome;
}

enum migrate_result migrate_record(struct migrate *migrate, const struct migration *migration)
{
    char version[16], checksum[65] = "", ignored[2];
    const char *values[] = {version, migration->name, checksum, NULL};
    enum migrate_result outcome = migrate_checksum(migrate, migration, checksum);

    if (outcome == MIGRATE_DONE)
        outcome = migrate_exec(migrate, "making lectern_migrations",
                               "create table if not exists lectern_migrations ("
                               " version integer primary key, name text not null,"
                               " checksum text not null,"
                               " applied_at timestamptz not null default now())");
    if (outcome != MIGRATE_DONE)
        return outcome;
    snprintf(version, sizeof(version), "%d", migration->version);
    return migrate_value(migrate,
                         "insert into lectern_migrations (version, name, checksum)"
                         " values ($1::integer, $2, $3) returning ''",
                         values, ignored, sizeof(ignored));
}

/* A pooler gives a client a backend id of its own making; a session's lock and settings would be
 * lost behind one. */
static enum migrate_result check_server(struct migrate *migrate)
{
    char pid[16], own[16];
    enum migrate_result outcome;

    outcome = migrate_value(migrate, "select pg_backend_pid()", nothing, pid, sizeof(pid));
    if (outcome != MIGRATE_DONE)
        return outcome;
    snprintf(own, sizeof(own), "%d", PQbackendPID(migrate->conn));
    if (strcmp(pid, own) != 0)
        return migrate_stop(
            migrate, MIGRATE_REFUSED,
            "this connection goes through a pooler (such as PgBouncer): migrate over"
            " a direct connection to PostgreSQL");
    if (PQserverVersion(migrate->conn) < SERVER_LEAST)
        return migrate_stop(migrate, MIGRATE_REFUSED,
                            "PostgreSQL 15 or later is needed, this is %d",
                            PQserverVersion(migrate->conn) / 10000);
    return migrate_exec(migrate, "preparing the session",
                        "set statement_timeout = 0; set lock_timeout = '" A_MOMENT "';"
                        " set idle_in_transaction_session_timeout = 0;"
                        /* a program that was killed gives up its locks */
                        " set client_connection_check_interval = '1s';"
                        " set client_min_messages = warning; set client_encoding = 'UTF8'");
}

/* Asks again and again instead of waiting in the server: a statement that waits would itself be
 * waited for by CREATE INDEX CONCURRENTLY, and neither would get on. */
static enum migrate_result lock(struct migrate *migrate)
{
    int64_t until = now_ms() + migrate->lock_wait_ms;
    bool said = false;
    char got[8];

    for (;;) {
        enum migrate_result outcome = migrate_value(
            migrate, "select pg_try_advisory_lock(" LOCK_KEY ")", nothing, got, sizeof(got));

        if (outcome != MIGRATE_DONE || got[0] == 't')
            return outcome;
        if (now_ms() >= until)
            return migrate_stop(migrate, MIGRATE_BUSY, "another migration is still running");
        if (!said)
            migrate_say(migrate, "waiting for another migration");
        said = true;
        rest_ms(LOCK_POLL_MS);
    }
}

static const struct migration *find(const struct migrate *migrate, int version)
{
    for (int i = 0; i < migrate->set.count; i++)
        if (migrate->set.list[i].version == version)
            return &migrate->set.list[i];
    return NULL;
}

static enum migrate_result check_row(struct migrate *migrate, int version, const char *name,
                                     const char *checksum)
{
    const struct migration *migration = find(migrate, version);
    char own[65] = "";
    enum migrate_result outcome;

    if (migration == NULL)
        return migrate_stop(migrate, MIGRATE_REFUSED,
                            "the database has migration %d (%s), which this program does not know:"
                            " it is newer than the program, which knows %d",
                            version, name, migrate->set.list[migrate->set.count - 1].version);
    outcome = migrate_checksum(migrate, migration, own);
    if (outcome != MIGRATE_DONE)
        return outcome;
    if (strcmp(own, checksum) != 0)
        return migrate_stop(migrate, MIGRATE_REFUSED,
                            "migration %s was changed after it had been applied", migration->name);
    return MIGRATE_DONE;
}

/* Compares what is recorded with what is embedded; `newest` is the highest that is recorded. */
static enum migrate_result check_rows(struct migrate *migrate, const PGresult *rows, int *newest)
{
    int count = PQntuples(rows);

    for (int i = 0; i < count; i++) {
        enum migrate_result outcome = check_row(migrate, atoi(PQgetvalue(rows, i, 0)),
                                                PQgetvalue(rows, i, 1), PQgetvalue(rows, i, 2));

        if (outcome != MIGRATE_DONE)
            return outcome;
        *newest = atoi(PQgetvalue(rows, i, 0));
    }
    for (int i = 0; i < migrate->set.count && migrate->set.list[i].version <= *newest; i++)
        if (i >= count || atoi(PQgetvalue(rows, i, 0)) != migrate->set.list[i].version)
            return migrate_stop(migrate, MIGRATE_REFUSED,
                                "migration %s is out of order: %d is already applied",
                                migrate->set.list[i].name, *newest);
    return MIGRATE_DONE;
}

static enum migrate_result check_recorded(struct migrate *migrate, int *newest)
{
    PGresult *rows =
        PQexec(migrate->conn, "select version, name, checksum from lectern_migrations order by 1");
    enum migrate_result outcome;

    if (PQresultStatus(rows) == PGRES_TUPLES_OK)
        outcome = check_rows(migrate, rows, newest);
    else
        outcome = migrate_failure(migrate, "reading lectern_migrations", NULL, rows);
    PQclear(rows);
    return outcome;
}

static enum migrate_result apply_whole(struct migrate *migrate, const struct migration *migration)
{
    enum migrate_result outcome = migrate_exec(migrate, "beginning", "begin");

    if (outcome == MIGRATE_DONE)
        outcome = migrate_exec(migrate, migration->name, migration->sql);
    if (outcome == MIGRATE_DONE)
        outcome = migrate_record(migrate, migration);
    if (outcome == MIGRATE_DONE)
        return migrate_exec(migrate, "committing", "commit");
    PQclear(PQexec(migrate->conn, "rollback"));
    return outcome;
}

static enum migrate_result apply_singly(struct migrate *migrate, const struct migration *migration)
{
    struct str rest = str_of(migration->sql), statement;
    enum migrate_result outcome = MIGRATE_DONE;

    while (outcome == MIGRATE_DONE && (statement = sql_next(&rest)).ptr != NULL) {
        char *sql = strndup(statement.ptr, statement.len);

        if (sql == NULL)
            return migrate_stop(migrate, MIGRATE_FAILED, "%s: no memory", migration->name);
        outcome = migrate_alone(migrate, migration->name, sql);
        free(sql);
    }
    return outcome == MIGRATE_DONE ? migrate_record(migrate, migration) : outcome;
}

static enum migrate_result apply_once(struct migrate *migrate, const void *data)
{
    const struct migration *migration = data;

    return sql_without_transaction(str_of(migration->sql)) ? apply_singly(migrate, migration)
                                                           : apply_whole(migrate, migration);
}

static enum migrate_result apply(struct migrate *migrate, const struct migration *migration)
{
    enum migrate_result outcome = migrate_again(migrate, migration->name, apply_once, migration);

    if (outcome != MIGRATE_DONE)
        return outcome;
    migrate->applied++;
    migrate_say(migrate, "applied %s", migration->name);
    return MIGRATE_DONE;
}

static enum migrate_result apply_missing(struct migrate *migrate, int newest)
{
    enum migrate_result outcome = MIGRATE_DONE;

    for (int i = 0; i < migrate->set.count && outcome == MIGRATE_DONE; i++)
        if (migrate->set.list[i].version > newest)
            outcome = apply(migrate, &migrate->set.list[i]);
    return outcome;
}

static enum migrate_result run_locked(struct migrate *migrate)
{
    char state[256], *schema = state + 2;
    enum migrate_result outcome;
    int newest = 0;

    outcome =
        migrate_value(migrate,
                      "select case when to_regclass('lectern_migrations') is not null then 'r'"
                      " when to_regclass('alembic_version') is not null then 'a' else 'n' end"
                      " || ' ' || coalesce(current_schema(), '')",
                      nothing, state, sizeof(state));
    if (outcome != MIGRATE_DONE)
        return outcome;
    if (schema[0] == '\0')
        return migrate_stop(migrate, MIGRATE_REFUSED,
                            "there is no schema to put tables in (search_path)");
    if (state[0] == 'a') {
        outcome = migrate_adopt(migrate, schema);
        newest = migrate->set.list[0].version;
    } else if (state[0] == 'r') {
        outcome = check_recorded(migrate, &newest);
    }
    return outcome == MIGRATE_DONE ? apply_missing(migrate, newest) : outcome;
}

enum migrate_result migrate_run(struct migrate *migrate)
{
    enum migrate_result outcome;

    migrate->message[0] = '\0';
    migrate->applied = 0;
    outcome = check_server(migrate);
    if (outcome == MIGRATE_DONE)
        outcome = lock(migrate);
    if (outcome != MIGRATE_DONE)
        return outcome;
    outcome = run_locked(migrate);
    PQclear(PQexec(migrate->conn, "select pg_advisory_unlock(" LOCK_KEY ")"));
    return outcome;
}

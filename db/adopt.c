/* Adopts the database of the service before Lectern.
 *
 * Its marker must be one that is known. Then the baseline is made in the session's temporary
 * schema, adopt.sql compares the two, and that transaction is rolled back. What differs refuses the
 * database, before anything is changed. What is only missing is done, a statement at a time, while
 * that service goes on; whatever interrupts it, the next comparison finds what is left. The last
 * transaction records the baseline and sets the marker: it is what adopts. */
#include "migrate_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define LATEST_MARKER "a3f7c2e9"
#define MARKER_BEFORE "d0d22a6e1dc8"

extern const char adopt_sql[]; /* the file adopt.sql, terminated */

struct adoption {
    const char *schema; /* where the tables are */
    const char *marker; /* what alembic_version holds */
};

static enum migrate_result check_marker(struct migrate *migrate, char *marker, size_t room_bytes)
{
    enum migrate_result outcome =
        migrate_value(migrate,
                      "select coalesce(string_agg(version_num, ', ' order by version_num), '')"
                      " from alembic_version",
                      (const char *const[]){NULL}, marker, room_bytes);

    if (outcome != MIGRATE_DONE || strcmp(marker, LATEST_MARKER) == 0 ||
        strcmp(marker, MARKER_BEFORE) == 0)
        return outcome;
    return migrate_stop(migrate, MIGRATE_REFUSED,
                        "alembic_version holds \"%s\": only databases at " MARKER_BEFORE
                        " or " LATEST_MARKER " can be adopted",
                        marker);
}

/* Puts the baseline into the session's temporary schema; types (vector) are still found in the
 * others. */
static enum migrate_result make_baseline(struct migrate *migrate)
{
    enum migrate_result outcome = migrate_exec(migrate, "comparing",
                                               "begin; select set_config('search_path', 'pg_temp, '"
                                               " || current_setting('search_path'), true)");

    return outcome == MIGRATE_DONE ? migrate_exec(migrate, "comparing", migrate->set.list[0].sql)
                                   : outcome;
}

/* The findings of adopt.sql, which the caller frees also when it failed. */
static enum migrate_result compare(struct migrate *migrate, const struct adoption *adoption,
                                   PGresult **findings)
{
    const char *values[] = {adoption->schema, adoption->marker};
    enum migrate_result outcome = make_baseline(migrate);

    *findings = NULL;
    if (outcome == MIGRATE_DONE) {
        *findings = PQexecParams(migrate->conn, adopt_sql, 2, NULL, values, NULL, NULL, 0);
        if (PQresultStatus(*findings) != PGRES_TUPLES_OK)
            outcome = migrate_failure(migrate, "comparing", NULL, *findings);
    }
    PQclear(PQexec(migrate->conn, "rollback"));
    return outcome;
}

static bool is_kind(const PGresult *findings, int row, const char *kind)
{
    return strcmp(PQgetvalue(findings, row, 0), kind) == 0;
}

static void list_column(struct buffer *list, const PGresult *result, int row, int column)
{
    buffer_add_format(list, "\n  %s", PQgetvalue(result, row, column));
}

/* Runs a query whose rows are differences. */
static enum migrate_result list_answers(struct migrate *migrate, const char *sql,
                                        struct buffer *list)
{
    PGresult *result = PQexec(migrate->conn, sql);
    enum migrate_result outcome = MIGRATE_DONE;

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        outcome = migrate_failure(migrate, "looking for what differs", sql, result);
    for (int i = 0; outcome == MIGRATE_DONE && i < PQntuples(result); i++)
        list_column(list, result, i, 0);
    PQclear(result);
    return outcome;
}

static enum migrate_result list_differences(struct migrate *migrate, const PGresult *findings,
                                            struct buffer *list)
{
    enum migrate_result outcome = MIGRATE_DONE;

    for (int i = 0; i < PQntuples(findings); i++)
        if (is_kind(findings, i, "differs"))
            list_column(list, findings, i, 1);
    if (list->len > 0)
        return outcome; /* a query would fail on a column that is not there */
    for (int i = 0; i < PQntuples(findings) && outcome == MIGRATE_DONE; i++)
        if (is_kind(findings, i, "check"))
            outcome = list_answers(migrate, PQgetvalue(findings, i, 1), list);
    return outcome;
}

/* All that differs, in one message; done when nothing does. */
static enum migrate_result refuse_differences(struct migrate *migrate, const PGresult *findings)
{
    struct buffer list;
    enum migrate_result outcome;

    buffer_init(&list, NULL, MIGRATE_MESSAGE_BYTES - 256);
    outcome = list_differences(migrate, findings, &list);
    if (outcome == MIGRATE_DONE && list.len > 0)
        outcome =
            migrate_stop(migrate, MIGRATE_REFUSED,
                         "the database cannot be adopted, it differs from what is known:%.*s%s",
                         (int)list.len, list.data, list.failed ? "\n  and more" : "");
    buffer_free(&list);
    return outcome;
}

static enum migrate_result do_steps(struct migrate *migrate, const PGresult *findings)
{
    enum migrate_result outcome = MIGRATE_DONE;

    for (int i = 0; i < PQntuples(findings) && outcome == MIGRATE_DONE; i++) {
        const char *sql = PQgetvalue(findings, i, 1);

        if (!is_kind(findings, i, "step"))
            continue;
        migrate_say(migrate, "adopting: %s", sql);
        outcome = migrate_alone(migrate, sql, sql);
    }
    return outcome;
}

/* Within the transaction. The marker is the one that was compared, or that service has just
 * upgraded itself. */
static enum migrate_result record(struct migrate *migrate, const PGresult *findings,
                                  const char *marker)
{
    const char *values[] = {marker, NULL};
    enum migrate_result outcome = MIGRATE_DONE;
    char updated[8];

    for (int i = 0; i < PQntuples(findings) && outcome == MIGRATE_DONE; i++)
        if (is_kind(findings, i, "last"))
            outcome = migrate_exec(migrate, "adopting", PQgetvalue(findings, i, 1));
    if (outcome == MIGRATE_DONE)
        outcome = migrate_record(migrate, &migrate->set.list[0]);
    if (outcome == MIGRATE_DONE) /* ROW EXCLUSIVE */
        outcome = migrate_value(migrate,
                                "update alembic_version set version_num = '" LATEST_MARKER
                                "' where version_num = $1 returning 'yes'",
                                values, updated, sizeof(updated));
    if (outcome == MIGRATE_DONE && updated[0] == '\0')
        outcome = migrate_stop(migrate, MIGRATE_FAILED,
                               "alembic_version was changed meanwhile: run this again");
    return outcome;
}

static enum migrate_result take_over(struct migrate *migrate, const PGresult *findings,
                                     const char *marker)
{
    enum migrate_result outcome = migrate_exec(migrate, "adopting", "begin");

    if (outcome == MIGRATE_DONE)
        outcome = record(migrate, findings, marker);
    if (outcome == MIGRATE_DONE)
        return migrate_exec(migrate, "committing", "commit");
    PQclear(PQexec(migrate->conn, "rollback"));
    return outcome;
}

static enum migrate_result adopt_once(struct migrate *migrate, const void *data)
{
    const struct adoption *adoption = data;
    PGresult *findings;
    enum migrate_result outcome = compare(migrate, adoption, &findings);

    if (outcome == MIGRATE_DONE)
        outcome = refuse_differences(migrate, findings);
    if (outcome == MIGRATE_DONE)
        outcome = do_steps(migrate, findings);
    if (outcome == MIGRATE_DONE)
        outcome = take_over(migrate, findings, adoption->marker);
    PQclear(findings);
    return outcome;
}

enum migrate_result migrate_adopt(struct migrate *migrate, const char *schema)
{
    char marker[128];
    enum migrate_result outcome = check_marker(migrate, marker, sizeof(marker));

    if (outcome == MIGRATE_DONE)
        outcome = migrate_again(migrate, "adopting", adopt_once,
                                &(struct adoption){.schema = schema, .marker = marker});
    if (outcome == MIGRATE_DONE)
        migrate_say(migrate, "adopted a database at %s", marker);
    return outcome;
}

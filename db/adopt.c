/* Adopts the database of the service before Lectern.
 *
 * Its marker must be one that is known. Then the baseline is made in the session's temporary
 * schema, adopt.sql compares the two, and that transaction is rolled back. What differs refuses the
 * database; what is only missing is done, in one transaction with the baseline's record and the
 * marker. */
#include "migrate_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define LATEST_MARKER "a3f7c2e9"
#define MARKER_BEFORE "d0d22a6e1dc8"

extern const char adopt_sql[]; /* the file adopt.sql, terminated */

static enum migrate_result check_marker(struct migrate *migrate, char *marker, size_t room_bytes)
{
    enum migrate_result outcome = migrate_value(
        migrate, "select coalesce(string_agg(version_num, ', '), '') from alembic_version",
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

static PGresult *compare(struct migrate *migrate, const char *schema, const char *marker)
{
    const char *values[] = {schema, marker};

    return PQexecParams(migrate->conn, adopt_sql, 2, NULL, values, NULL, NULL, 0);
}

static bool is_difference(const PGresult *findings, int row)
{
    return strcmp(PQgetvalue(findings, row, 0), "differs") == 0;
}

/* All that differs, in one message; done when nothing does. */
static enum migrate_result refuse_differences(struct migrate *migrate, const PGresult *findings)
{
    struct buffer list;
    enum migrate_result outcome = MIGRATE_DONE;

    buffer_init(&list, NULL, MIGRATE_MESSAGE_BYTES / 2);
    for (int i = 0; i < PQntuples(findings); i++)
        if (is_difference(findings, i))
            buffer_add_format(&list, "\n  %s", PQgetvalue(findings, i, 1));
    if (list.len > 0)
        outcome = migrate_stop(migrate, MIGRATE_REFUSED,
                               "the database cannot be adopted, it differs from what is known:%.*s",
                               (int)list.len, list.data);
    buffer_free(&list);
    return outcome;
}

static enum migrate_result take_over(struct migrate *migrate, const PGresult *findings)
{
    enum migrate_result outcome = migrate_exec(migrate, "adopting", "begin");

    for (int i = 0; i < PQntuples(findings) && outcome == MIGRATE_DONE; i++) {
        migrate_say(migrate, "adopting: %s", PQgetvalue(findings, i, 1));
        outcome = migrate_exec(migrate, PQgetvalue(findings, i, 1), PQgetvalue(findings, i, 1));
    }
    if (outcome == MIGRATE_DONE)
        outcome = migrate_record(migrate, &migrate->set.list[0]);
    if (outcome == MIGRATE_DONE)
        outcome = migrate_exec(migrate, "setting the marker",
                               "update alembic_version set version_num = '" LATEST_MARKER "'");
    if (outcome == MIGRATE_DONE)
        return migrate_exec(migrate, "committing", "commit");
    PQclear(PQexec(migrate->conn, "rollback"));
    return outcome;
}

enum migrate_result migrate_adopt(struct migrate *migrate, const char *schema)
{
    char marker[128];
    PGresult *findings = NULL;
    enum migrate_result outcome = check_marker(migrate, marker, sizeof(marker));

    if (outcome != MIGRATE_DONE)
        return outcome;
    outcome = make_baseline(migrate);
    if (outcome == MIGRATE_DONE) {
        findings = compare(migrate, schema, marker);
        if (PQresultStatus(findings) != PGRES_TUPLES_OK)
            outcome = migrate_failure(migrate, "comparing", NULL, findings);
    }
    PQclear(PQexec(migrate->conn, "rollback"));
    if (outcome == MIGRATE_DONE)
        outcome = refuse_differences(migrate, findings);
    if (outcome == MIGRATE_DONE)
        outcome = take_over(migrate, findings);
    if (outcome == MIGRATE_DONE)
        migrate_say(migrate, "adopted a database at %s", marker);
    PQclear(findings);
    return outcome;
}

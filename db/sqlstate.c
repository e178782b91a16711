/* Error codes and faults; see sqlstate.h. */
#include "sqlstate.h"
#include "numbers.h"

/* Code or its beginning, verdict. The first that fits decides. */
#define SQLSTATES(ROW)                                                                             \
    ROW("40001", conflict)   /* serialization_failure */                                           \
    ROW("40P01", conflict)   /* deadlock_detected */                                               \
    ROW("25006", gone)       /* read_only_sql_transaction: a standby, after a failover */          \
    ROW("57014", timeout)    /* query_canceled */                                                  \
    ROW("57P", gone)         /* admin_shutdown, crash_shutdown, cannot_connect_now, … */         \
    ROW("25P03", gone)       /* idle_in_transaction_session_timeout */                             \
    ROW("08", gone)          /* connection exceptions, also a pooler's */                          \
    ROW("53300", gone)       /* too_many_connections */                                            \
    ROW("26000", unprepared) /* invalid_sql_statement_name */                                      \
    ROW("0A000", replan)     /* cached plan must not change result type */                         \
    ROW("42P01", missing)    /* undefined_table */

struct row {
    const char *code;     /* or its first characters */
    enum verdict verdict; /* what it means */
};

#define SQLSTATE_ROW(code, verdict) {code, VERDICT_##verdict},
static const struct row rows[] = {SQLSTATES(SQLSTATE_ROW)};

const char *sqlstate_of(const PGresult *result)
{
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    return code != NULL ? code : "";
}

bool verdict_is_fatal(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    return severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* A foreign key to `users`: by the server's detail where it is in English, else by the names that
 * such constraints have. */
static bool is_about_users(const PGresult *result)
{
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);

    if (detail != NULL && strstr(detail, "is not present in table \"") != NULL)
        return strstr(detail, "in table \"users\"") != NULL;
    return constraint != NULL &&
           (ends_with(constraint, "user_id_fkey") || ends_with(constraint, "imported_by_fkey"));
}

enum verdict verdict_of(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    const char *code = sqlstate_of(result);

    if (status != PGRES_FATAL_ERROR)
        return VERDICT_fine;
    if (strcmp(code, "23503") == 0)
        return is_about_users(result) ? VERDICT_unknown_user : VERDICT_vanished;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strncmp(code, rows[i].code, strlen(rows[i].code)) == 0)
            return rows[i].verdict;
    return VERDICT_other;
}

static int fail_class(enum error_class class)
{
    stat_add_at(&database_errors_total, class, 1);
    return -1;
}

static int fail_answered(struct call *call, const struct request *request)
{
    const char *name = request->statement->name != NULL ? request->statement->name : "?";
    const char *code = sqlstate_of(request->result);
    const char *text = PQresultErrorField(request->result, PG_DIAG_MESSAGE_PRIMARY);

    if (text == NULL)
        text = PQresultErrorMessage(request->result);
    switch (verdict_of(request->result)) {
    case VERDICT_conflict:
        fail(call, busy, "%s: %s %s", name, code, text);
        return fail_class(ERROR_conflict);
    case VERDICT_gone:
        fail(call, unavailable, "%s: %s %s", name, code, text);
        return fail_class(ERROR_unavailable);
    case VERDICT_timeout:
        fail(call, timeout, "%s: %s %s", name, code, text);
        return fail_class(ERROR_timeout);
    case VERDICT_unknown_user:
        fail(call, unknown_user, "%s: %s %s", name, code, text);
        return fail_class(ERROR_unknown_user);
    default:
        fail(call, internal, "%s: %s %s", name, code, text);
        return fail_class(ERROR_other);
    }
}

int request_fail(struct call *call, const struct request *request)
{
    const char *name = request->statement != NULL ? request->statement->name : "a transaction";
    const char *reason = request->reason != NULL ? request->reason : "no connection";

    switch (request->outcome) {
    case OUTCOME_answered:
        return fail_answered(call, request);
    case OUTCOME_crowded:
        fail(call, busy, "%s: too many wait for a database connection", name);
        return fail_class(ERROR_busy);
    case OUTCOME_away:
        fail(call, unavailable, "%s: %s", name, reason);
        return fail_class(ERROR_unavailable);
    case OUTCOME_lost:
        if (request->commits)
            fail(call, outcome_unknown, "%s: %s", name, reason);
        else
            fail(call, unavailable, "%s: %s", name, reason);
        return fail_class(request->commits ? ERROR_outcome_unknown : ERROR_unavailable);
    default:
        fail(call, internal, "%s was skipped", name);
        return fail_class(ERROR_other);
    }
}

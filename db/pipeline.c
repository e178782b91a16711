/* What is in flight on a connection: sending into its ring of slots and taking answers out of it.
 *
 * libpq answers each statement with a result and a NULL, each sync with a result alone. A failed
 * statement has the rest up to the next sync skipped; reads among those are sent again, each with a
 * sync of its own. A single write is done only when its sync was answered: the server commits
 * there, and may still refuse to. */
#include "base/time.h"
#include "conn.h"
#include "numbers.h"
#include "params.h"
#include "sqlstate.h"
#include <assert.h>
#include <stdio.h>

/* ---- the ring ---- */

static struct slot *slot_at(struct conn *conn, uint32_t at)
{
    return &conn->slots[at & conn->mask];
}

static uint32_t push(struct conn *conn, enum slot_kind kind, struct request *request,
                     struct prepared *prepared)
{
    assert(conn_room(conn) > 0);
    if (conn->head == conn->tail)
        conn->progress_us = time_now_us();
    *slot_at(conn, conn->tail) = (struct slot){request, prepared, kind, false};
    if (request != NULL) {
        if (request->conn == NULL)
            request->slot = conn->tail;
        request->conn = conn;
        request->last_slot = conn->tail;
    }
    return conn->tail++;
}

void conn_forget(struct conn *conn, struct request *request)
{
    for (uint32_t at = request->slot; at != request->last_slot + 1; at++)
        if (slot_at(conn, at)->request == request)
            slot_at(conn, at)->request = NULL;
    request->conn = NULL;
}

static void finish(struct conn *conn, struct request *request, enum outcome outcome)
{
    conn_forget(conn, request);
    request_finish(request, outcome);
}

void conn_lose_all(struct conn *conn)
{
    for (; conn->head != conn->tail; conn->head++) {
        struct request *request = slot_at(conn, conn->head)->request;

        if (request == NULL)
            continue;
        request->reason = conn->why;
        /* Behind the server's good-bye nothing was begun. */
        finish(conn, request, conn->goodbye ? OUTCOME_away : OUTCOME_lost);
    }
    conn->unsynced = conn->syncs = 0;
}

/* ---- prepared statements ---- */

/* Words by which a statement leaves something behind that no tag of an answer tells. */
static bool leaves_traces(const char *sql)
{
    const char *set = strstr(sql, "set_config(");
    bool set_stays = set != NULL && strstr(set, ", true)") == NULL;

    return set_stays || strstr(sql, "pg_advisory_lock") != NULL ||
           strstr(sql, "pg_try_advisory_lock") != NULL;
}

/* What the connection knows of it; NULL for what is never prepared, and when the table is full. */
static struct prepared *prepared_of(struct conn *conn, const struct statement *statement)
{
    uint32_t hash = (uint32_t)(((uintptr_t)statement >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 32);

    if (statement->name == NULL)
        return NULL;
    for (uint32_t tries = 0; tries < CONN_PREPARED; tries++) {
        struct prepared *at = &conn->prepared[(hash + tries) % CONN_PREPARED];

        if (at->statement == statement)
            return at;
        if (at->statement != NULL)
            continue;
        at->statement = statement;
        at->state = conn->names ? PREPARED_no : PREPARED_never;
        at->stains = leaves_traces(statement->sql);
        return at;
    }
    return NULL;
}

/* The connection is closed when it is quiet, and one that others share is not used until then. */
static void stain(struct conn *conn, const struct statement *statement)
{
    if (!conn->stained)
        log_warn(conn, "statement %s leaves something in the session, which is closed",
                 statement->name);
    conn->stained = true;
    if (conn->state != CONN_taken)
        conn->doomed = true;
}

/* ---- sending ---- */

static int send_failed(struct conn *conn)
{
    char why[CONN_WHY_BYTES];

    conn_words(PQerrorMessage(conn->pg), why, sizeof(why));
    conn_break(conn, why);
    return -1;
}

static int send_prepare(struct conn *conn, struct prepared *prepared,
                        const struct packed_params *packed, struct request *request)
{
    const struct statement *statement = prepared->statement;

    prepared->state = PREPARED_sent;
    push(conn, SLOT_prelude, request, prepared);
    return PQsendPrepare(conn->pg, statement->name, statement->sql, packed->count, packed->types) ==
                   1
               ? 0
               : -1;
}

static int send_packed(struct conn *conn, const struct statement *statement, enum slot_kind kind,
                       const struct packed_params *packed, struct request *request)
{
    struct prepared *prepared = prepared_of(conn, statement);
    bool named = prepared != NULL && prepared->state != PREPARED_never;
    int sent;

    if (named && prepared->state == PREPARED_no &&
        send_prepare(conn, prepared, packed, request) != 0)
        return -1;
    if (prepared != NULL && prepared->stains)
        stain(conn, statement);
    push(conn, kind, request, kind == SLOT_request ? prepared : NULL);
    if (named)
        sent = PQsendQueryPrepared(conn->pg, statement->name, packed->count, packed->values,
                                   packed->lengths, packed->formats, 1);
    else
        sent = PQsendQueryParams(conn->pg, statement->sql, packed->count, packed->types,
                                 packed->values, packed->lengths, packed->formats, 1);
    return sent == 1 ? 0 : -1;
}

static int send_statement(struct conn *conn, const struct statement *statement, enum slot_kind kind,
                          struct params params, struct request *request)
{
    struct packed_params packed;
    int error;

    if (params_pack(params, &packed) != 0) {
        snprintf(conn->why, sizeof(conn->why), "no memory for parameters");
        push(conn, kind, request, NULL); /* is lost with the rest */
        conn_break(conn, conn->why);
        return -1;
    }
    error = send_packed(conn, statement, kind, &packed, request);
    params_release(&packed);
    return error == 0 ? 0 : send_failed(conn);
}

int conn_send_before(struct conn *conn, const struct statement *statement, struct params params,
                     struct request *request)
{
    return send_statement(conn, statement, SLOT_prelude, params, request);
}

int conn_send(struct conn *conn, struct request *request)
{
    conn->unsynced++;
    return send_statement(conn, request->statement, SLOT_request, request->params, request);
}

int conn_sync(struct conn *conn, struct request *request)
{
    push(conn, SLOT_sync, request, NULL);
    conn->unsynced = 0;
    conn->syncs++;
    stat_add(&database_syncs_total, 1);
    if (PQpipelineSync(conn->pg) != 1)
        return send_failed(conn);
    conn_flush(conn);
    return conn->pg != NULL ? 0 : -1;
}

/* ---- taking answers ---- */

/* Whether a command without rows is one that leaves no trace in the session. */
static bool is_clean_command(const char *tag, const char *sql)
{
    static const char *const clean[] = {"INSERT", "UPDATE", "DELETE",    "MERGE",
                                        "SELECT", "LOCK",   "SAVEPOINT", "RELEASE"};

    for (size_t i = 0; i < sizeof(clean) / sizeof(clean[0]); i++)
        if (strncmp(tag, clean[i], strlen(clean[i])) == 0)
            return true;
    return strncasecmp(sql, "set local ", 10) == 0 ||
           strncasecmp(sql, "set transaction ", 16) == 0 ||
           strncasecmp(sql, "rollback to ", 12) == 0;
}

/* Settings, cursors, notifications, transactions by hand. A COMMIT of ours is meant so. */
static void look_for_stains(struct conn *conn, const struct slot *slot, PGresult *result)
{
    const struct request *request = slot->request;

    if (PQresultStatus(result) != PGRES_COMMAND_OK || slot->prepared == NULL)
        return;
    if (request != NULL && request->kind == REQUEST_step && request->commits)
        return;
    if (!is_clean_command(PQcmdStatus(result), slot->prepared->statement->sql))
        stain(conn, slot->prepared->statement);
}

static void take_rows(struct conn *conn, struct slot *slot, PGresult *result)
{
    struct request *request = slot->request;

    look_for_stains(conn, slot, result);
    if (request == NULL) {
        PQclear(result);
        return;
    }
    request->result = result;
    if (request->kind != REQUEST_single)
        finish(conn, request, OUTCOME_answered);
}

static void take_prelude(struct slot *slot, PGresult *result)
{
    if (slot->prepared != NULL)
        slot->prepared->state = PREPARED_yes;
    PQclear(result);
}

/* The statement did not run: something failed before it. */
static void take_skipped(struct conn *conn, struct slot *slot)
{
    struct request *request = slot->request;

    if (slot->kind == SLOT_prelude && slot->prepared != NULL)
        slot->prepared->state = PREPARED_no;
    if (slot->kind != SLOT_request || request == NULL)
        return;
    if (request->kind != REQUEST_read || request->alone) {
        finish(conn, request, OUTCOME_skipped);
        return;
    }
    conn_forget(conn, request);
    request->alone = true;
    conn->owner->again(request);
}

/* Whether a statement that could not run as it was prepared is sent again. */
static bool send_again(struct conn *conn, struct slot *slot, enum verdict verdict)
{
    struct request *request = slot->request;

    if (slot->kind != SLOT_request || slot->prepared == NULL)
        return false;
    if (verdict != VERDICT_unprepared && verdict != VERDICT_replan)
        return false;
    slot->prepared->state = verdict == VERDICT_replan || slot->prepared->state == PREPARED_never
                                ? PREPARED_never
                                : PREPARED_no;
    if (request == NULL || request->again || request->kind == REQUEST_step)
        return false;
    conn_forget(conn, request);
    request->again = true;
    request->alone = true;
    conn->owner->again(request);
    return true;
}

/* What the error says about the connection. */
static void judge(struct conn *conn, const PGresult *result, enum verdict verdict)
{
    if (verdict_is_fatal(result)) {
        conn->goodbye = true;
        conn_words(PQresultErrorMessage(result), conn->why, sizeof(conn->why));
    }
    if (verdict == VERDICT_gone && !conn->doomed) {
        conn->doomed = true;
        if (strcmp(sqlstate_of(result), "25006") == 0)
            conn->owner->demoted(conn);
    }
}

static void take_error(struct conn *conn, struct slot *slot, PGresult *result)
{
    struct request *request = slot->request;
    enum verdict verdict = verdict_of(result);
    bool unknown;

    judge(conn, result, verdict);
    if (slot->kind == SLOT_prelude && slot->prepared != NULL)
        slot->prepared->state = PREPARED_no;
    if (send_again(conn, slot, verdict) || request == NULL) {
        PQclear(result);
        return;
    }
    PQclear(request->result);
    request->result = result;
    request->reason = conn->why;
    /* A good-bye where the commit was due does not say whether there was one. */
    unknown = conn->goodbye && request->commits &&
              (slot->kind == SLOT_sync || request->kind == REQUEST_step);
    finish(conn, request, unknown ? OUTCOME_lost : OUTCOME_answered);
}

static void pop(struct conn *conn, int64_t now_us)
{
    conn->head++;
    conn->progress_us = now_us;
}

static void take_sync(struct conn *conn, struct slot *slot, int64_t now_us)
{
    if (slot->request != NULL)
        finish(conn, slot->request, OUTCOME_answered);
    conn->syncs--;
    pop(conn, now_us);
}

/* One result for the slot at the head. False: it is none that can come here. */
static bool take(struct conn *conn, struct slot *slot, PGresult *result, int64_t now_us)
{
    ExecStatusType status = PQresultStatus(result);

    if (slot->answered || (status == PGRES_PIPELINE_SYNC) != (slot->kind == SLOT_sync)) {
        if (status != PGRES_FATAL_ERROR) {
            PQclear(result);
            return false;
        }
    }
    slot->answered = slot->kind != SLOT_sync;
    switch (status) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        take_sync(conn, slot, now_us);
        return true;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        if (slot->kind == SLOT_prelude)
            take_prelude(slot, result);
        else
            take_rows(conn, slot, result);
        return true;
    case PGRES_PIPELINE_ABORTED:
        PQclear(result);
        take_skipped(conn, slot);
        return true;
    case PGRES_FATAL_ERROR:
        take_error(conn, slot, result);
        return true;
    default:
        PQclear(result);
        return false;
    }
}

/* Whether it is libpq that says that there is no connection any more. */
static bool is_end(const struct conn *conn, const PGresult *result)
{
    return PQresultStatus(result) == PGRES_FATAL_ERROR && PQstatus(conn->pg) != CONNECTION_OK &&
           sqlstate_of(result)[0] == '\0';
}

/* Takes all results that are complete. False: libpq and the ring disagree. */
static bool take_all(struct conn *conn)
{
    int64_t now_us = time_now_us();
    unsigned life = conn->life, nothing = 0;

    while (conn->life == life && conn->head != conn->tail && !conn->goodbye &&
           PQisBusy(conn->pg) == 0) {
        struct slot *slot = slot_at(conn, conn->head);
        PGresult *result = PQgetResult(conn->pg);

        if (is_end(conn, result)) {
            PQclear(result);
            return true;
        }
        if (result != NULL) {
            nothing = 0;
            if (!take(conn, slot, result, now_us))
                return false;
        } else if (slot->answered) {
            pop(conn, now_us);
        } else if (slot->kind != SLOT_sync || ++nothing > 1) {
            return PQstatus(conn->pg) != CONNECTION_OK;
        }
    }
    return true;
}

void conn_receive(struct conn *conn, bool ended)
{
    uint32_t before = conn_in_flight(conn);
    unsigned life = conn->life;
    char why[CONN_WHY_BYTES];

    /* libpq finishes what it has when no result is due, too: a good-bye, a setting that changed. */
    bool agreed = before > 0 ? take_all(conn) : (PQisBusy(conn->pg), true);

    if (conn->life != life)
        return;
    if (conn->goodbye) {
        snprintf(why, sizeof(why), "%s", conn->why);
        conn_break(conn, why);
    } else if (!agreed) {
        conn_break(conn, "an answer that belongs to no question");
    } else if (ended || PQstatus(conn->pg) != CONNECTION_OK) {
        (void)send_failed(conn);
    } else if (before > 0 && conn->head == conn->tail) {
        conn_quiet(conn);
    }
}

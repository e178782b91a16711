/* Stores a translation: one transaction, rows by COPY. */
#include "store.h"

#include <stdio.h>

enum { COPY_CHUNK_BYTES = 256 << 10 };

struct storing {
    PGconn *conn;              /* in the transaction */
    const struct bible *bible; /* what is stored */
    char id[16];               /* of the translation's row */
    struct buffer rows;        /* of COPY, not yet sent */
    char *message;             /* why not; STORE_MESSAGE_BYTES */
};

static int failed(struct storing *storing, const PGresult *result)
{
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (state != NULL && strcmp(state, "42P01") == 0) /* undefined_table */
        text = "the database is not migrated: run `lectern migrate`";
    if (text == NULL)
        text = PQerrorMessage(storing->conn);
    snprintf(storing->message, STORE_MESSAGE_BYTES, "%.*s", (int)strcspn(text, "\n"), text);
    return -1;
}

/* -1 unless the result, which is freed, is as expected. */
static int settle(struct storing *storing, PGresult *result, ExecStatusType expected)
{
    int outcome = PQresultStatus(result) == expected ? 0 : failed(storing, result);

    PQclear(result);
    return outcome;
}

static int exec(struct storing *storing, const char *sql)
{
    return settle(storing, PQexec(storing->conn, sql), PGRES_COMMAND_OK);
}

/* Makes or renews the translation's row, which locks it against a second import. */
static int put_translation(struct storing *storing, const struct translation *translation)
{
    const char *values[] = {translation->code, translation->name, translation->source,
                            translation->requires_pro ? "t" : "f"};
    PGresult *result = PQexecParams(
        storing->conn,
        "insert into bible_translations (code, name, source, requires_pro)"
        " values ($1, $2, $3, $4::boolean) on conflict (code) do update"
        " set name = excluded.name, source = excluded.source, requires_pro = excluded.requires_pro,"
        " version = excluded.version, imported_at = now() returning id",
        4, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        snprintf(storing->id, sizeof(storing->id), "%s", PQgetvalue(result, 0, 0));
    return settle(storing, result, PGRES_TUPLES_OK);
}

static int drop_rows(struct storing *storing, const char *sql)
{
    const char *values[] = {storing->id};
    PGresult *result = PQexecParams(storing->conn, sql, 1, NULL, values, NULL, NULL, 0);

    return settle(storing, result, PGRES_COMMAND_OK);
}

/* A field of COPY's text format. */
static void add_field(struct buffer *row, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '\\' || c == '\n' || c == '\r' || c == '\t')
            buffer_add_char(row, '\\');
        buffer_add_char(row, c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c);
    }
}

static int flush(struct storing *storing)
{
    if (storing->rows.failed) {
        snprintf(storing->message, STORE_MESSAGE_BYTES, "no memory");
        return -1;
    }
    if (storing->rows.len > 0 &&
        PQputCopyData(storing->conn, storing->rows.data, (int)storing->rows.len) != 1)
        return failed(storing, NULL);
    buffer_drop(&storing->rows, storing->rows.len);
    return 0;
}

static int end_row(struct storing *storing)
{
    buffer_add_char(&storing->rows, '\n');
    return storing->rows.len < COPY_CHUNK_BYTES ? 0 : flush(storing);
}

static int send_verses(struct storing *storing)
{
    for (size_t i = 0; i < storing->bible->verse_count; i++) {
        const struct verse_row *verse = &storing->bible->verses[i];

        buffer_add_format(&storing->rows, "%s\t%d\t%d\t%d\t", storing->id, verse->book,
                          verse->chapter, verse->verse);
        add_field(&storing->rows, bible_text(storing->bible, verse));
        if (end_row(storing) != 0)
            return -1;
    }
    return flush(storing);
}

static int send_chapters(struct storing *storing)
{
    for (size_t i = 0; i < storing->bible->chapter_count; i++) {
        const struct chapter_row *chapter = &storing->bible->chapters[i];

        buffer_add_format(&storing->rows, "%s\t%d\t%d\t", storing->id, chapter->book,
                          chapter->chapter);
        add_field(&storing->rows, bible_content(storing->bible, chapter));
        buffer_add_char(&storing->rows, '\t');
        add_field(&storing->rows, bible_footnotes(storing->bible, chapter));
        if (end_row(storing) != 0)
            return -1;
    }
    return flush(storing);
}

/* Takes all results of a COPY, so that the connection can be used again. */
static int settle_copy(struct storing *storing)
{
    PGresult *result;
    int outcome = 0;

    while ((result = PQgetResult(storing->conn)) != NULL) {
        if (outcome == 0)
            outcome = settle(storing, result, PGRES_COMMAND_OK);
        else
            PQclear(result);
    }
    return outcome;
}

static int copy(struct storing *storing, const char *sql, int (*send)(struct storing *storing))
{
    if (settle(storing, PQexec(storing->conn, sql), PGRES_COPY_IN) != 0)
        return -1;
    if (send(storing) != 0) {
        char cause[STORE_MESSAGE_BYTES];

        snprintf(cause, sizeof(cause), "%s", storing->message);
        if (PQputCopyEnd(storing->conn, "the import failed") == 1)
            settle_copy(storing);
        snprintf(storing->message, STORE_MESSAGE_BYTES, "%s", cause);
        return -1;
    }
    if (PQputCopyEnd(storing->conn, NULL) != 1)
        return failed(storing, NULL);
    return settle_copy(storing);
}

static int store(struct storing *storing, const struct translation *translation)
{
    if (put_translation(storing, translation) != 0 ||
        drop_rows(storing, "delete from bible_verses where translation_id = $1::integer") != 0 ||
        drop_rows(storing, "delete from bible_chapters where translation_id = $1::integer") != 0)
        return -1;
    if (copy(storing,
             "copy bible_chapters (translation_id, book, chapter, content, footnotes) from stdin",
             send_chapters) != 0)
        return -1;
    return copy(storing,
                "copy bible_verses (translation_id, book, chapter, verse, text) from stdin",
                send_verses);
}

int bible_store(PGconn *conn, const struct translation *translation, const struct bible *bible,
                char message[STORE_MESSAGE_BYTES])
{
    struct storing storing = {.conn = conn, .bible = bible, .message = message};
    int outcome;

    if (exec(&storing, "begin; set local client_encoding = 'UTF8'") != 0)
        return -1;
    buffer_init(&storing.rows, NULL, 2 * BIBLE_MAX_BYTES);
    outcome = store(&storing, translation);
    buffer_free(&storing.rows);
    if (outcome != 0) {
        PQclear(PQexec(conn, "rollback"));
        return -1;
    }
    if (exec(&storing, "commit") != 0)
        return -1;
    /* so that the first readers get good plans; not having them is no failure */
    PQclear(PQexec(conn, "analyze bible_verses, bible_chapters"));
    return 0;
}

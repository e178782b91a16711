/* Stores a translation: one transaction, rows by COPY. */
#include "store.h"

#include <inttypes.h>
#include <stdio.h>

enum { COPY_CHUNK_BYTES = 256 << 10 };

static int failed(PGconn *conn, const PGresult *result, char *message)
{
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (state != NULL && strcmp(state, "42P01") == 0) /* undefined_table */
        text = "the database is not migrated: run `lectern migrate`";
    if (text == NULL)
        text = PQerrorMessage(conn);
    snprintf(message, STORE_MESSAGE_BYTES, "%.*s", (int)strcspn(text, "\n"), text);
    return -1;
}

/* -1 unless the result, which is freed, is as expected. */
static int settle(PGconn *conn, PGresult *result, ExecStatusType expected, char *message)
{
    int outcome = 0;

    if (PQresultStatus(result) != expected)
        outcome = failed(conn, result, message);
    PQclear(result);
    return outcome;
}

static int exec(PGconn *conn, const char *sql, ExecStatusType expected, char *message)
{
    return settle(conn, PQexec(conn, sql), expected, message);
}

/* Makes or renews the translation's row, which locks it against a second import; its id in `id`. */
static int put_translation(PGconn *conn, const struct translation *translation, char id[16],
                           char *message)
{
    const char *values[] = {translation->code, translation->name, translation->source,
                            translation->requires_pro ? "t" : "f"};
    PGresult *result = PQexecParams(
        conn,
        "insert into bible_translations as old (code, name, source, requires_pro)"
        " values ($1, $2, $3, $4::boolean) on conflict (code) do update"
        " set name = excluded.name, source = excluded.source, requires_pro = excluded.requires_pro,"
        " version = excluded.version, imported_at = now() returning id",
        4, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        snprintf(id, 16, "%s", PQgetvalue(result, 0, 0));
    return settle(conn, result, PGRES_TUPLES_OK, message);
}

static int drop_old(PGconn *conn, const char *id, char *message)
{
    static const char *const tables[] = {
        "delete from bible_verses where translation_id = $1::integer",
        "delete from bible_chapters where translation_id = $1::integer"};

    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        if (settle(conn, PQexecParams(conn, tables[i], 1, NULL, &id, NULL, NULL, 0),
                   PGRES_COMMAND_OK, message) != 0)
            return -1;
    return 0;
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

/* Sends what has gathered; the end of the data follows the last. */
static int flush(PGconn *conn, struct buffer *rows, char *message)
{
    if (rows->failed) {
        snprintf(message, STORE_MESSAGE_BYTES, "no memory");
        return -1;
    }
    if (rows->len > 0 && PQputCopyData(conn, rows->data, (int)rows->len) != 1)
        return failed(conn, NULL, message);
    buffer_drop(rows, rows->len);
    return 0;
}

static int flush_if_full(PGconn *conn, struct buffer *rows, char *message)
{
    return rows->len < COPY_CHUNK_BYTES ? 0 : flush(conn, rows, message);
}

static int copy_verses(PGconn *conn, const char *id, const struct bible *bible, struct buffer *rows,
                       char *message)
{
    for (size_t i = 0; i < bible->verse_count; i++) {
        const struct bible_verse *verse = &bible->verses[i];

        buffer_add_format(rows, "%s\t%d\t%d\t%d\t", id, verse->book, verse->chapter, verse->verse);
        add_field(rows, bible_text(bible, verse));
        buffer_add_char(rows, '\n');
        if (flush_if_full(conn, rows, message) != 0)
            return -1;
    }
    return flush(conn, rows, message);
}

static int copy_chapters(PGconn *conn, const char *id, const struct bible *bible,
                         struct buffer *rows, char *message)
{
    for (size_t i = 0; i < bible->chapter_count; i++) {
        const struct bible_chapter *chapter = &bible->chapters[i];

        buffer_add_format(rows, "%s\t%d\t%d\t", id, chapter->book, chapter->chapter);
        add_field(rows, bible_content(bible, chapter));
        buffer_add_char(rows, '\t');
        add_field(rows, bible_footnotes(bible, chapter));
        buffer_add_char(rows, '\n');
        if (flush_if_full(conn, rows, message) != 0)
            return -1;
    }
    return flush(conn, rows, message);
}

typedef int copy_rows(PGconn *conn, const char *id, const struct bible *bible, struct buffer *rows,
                      char *message);

static int copy(PGconn *conn, const char *sql, copy_rows *send, const char *id,
                const struct bible *bible, char *message)
{
    struct buffer rows;
    int outcome;

    if (exec(conn, sql, PGRES_COPY_IN, message) != 0)
        return -1;
    buffer_init(&rows, NULL, 2 * BIBLE_MAX_BYTES);
    outcome = send(conn, id, bible, &rows, message);
    buffer_free(&rows);
    if (PQputCopyEnd(conn, outcome == 0 ? NULL : "the import failed") != 1)
        return outcome == 0 ? failed(conn, NULL, message) : -1;
    for (PGresult *result; (result = PQgetResult(conn)) != NULL;)
        if (settle(conn, result, PGRES_COMMAND_OK,
                   outcome == 0 ? message : (char[STORE_MESSAGE_BYTES]){0}) != 0)
            outcome = -1;
    return outcome;
}

static int store(PGconn *conn, const struct translation *translation, const struct bible *bible,
                 char *message)
{
    char id[16] = "";

    if (put_translation(conn, translation, id, message) != 0 || drop_old(conn, id, message) != 0)
        return -1;
    if (copy(conn,
             "copy bible_chapters (translation_id, book, chapter, content, footnotes) from stdin",
             copy_chapters, id, bible, message) != 0)
        return -1;
    return copy(conn, "copy bible_verses (translation_id, book, chapter, verse, text) from stdin",
                copy_verses, id, bible, message);
}

int bible_store(PGconn *conn, const struct translation *translation, const struct bible *bible,
                char message[STORE_MESSAGE_BYTES])
{
    if (exec(conn, "set client_encoding = 'UTF8'", PGRES_COMMAND_OK, message) != 0 ||
        exec(conn, "begin", PGRES_COMMAND_OK, message) != 0)
        return -1;
    if (store(conn, translation, bible, message) != 0) {
        PQclear(PQexec(conn, "rollback"));
        return -1;
    }
    if (exec(conn, "commit", PGRES_COMMAND_OK, message) != 0)
        return -1;
    /* so that the first readers get good plans; not having them is no failure */
    PQclear(PQexec(conn, "analyze bible_verses, bible_chapters"));
    return 0;
}

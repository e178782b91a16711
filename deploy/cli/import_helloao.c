/* `lectern import-bible helloao`: reads translations of that collection into the database.
 *
 * Each translation is stored in a transaction of its own, but before the first one is, all that are
 * wanted have been read once: a file that is broken anywhere in them changes nothing. What was read
 * is thrown away again, because all translations together need more memory than one. */
#include "books.h"
#include "collection.h"
#include "database.h"
#include "helloao.h"
#include "import.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

enum { SKIPPED_SAID = 10 };

/* A translation that is to be taken. */
struct wanted {
    const struct helloao_translation *row; /* of the file */
    const char *code;                      /* that it gets */
    bool requires_pro;                     /* readable for pro users only */
};

struct import {
    const struct import_arguments *arguments; /* as they were given */
    struct helloao *file;                     /* open */
    struct buffer rows;                       /* struct helloao_translation, all of the file */
    struct buffer wanted;                     /* struct wanted */
    PGconn *conn;                             /* NULL before the first is stored */
    int count;                                /* of `wanted` */
    int number;                               /* of the one being read, from 1 */
};

static const struct wanted *wanted_at(const struct import *import, int index)
{
    return (const struct wanted *)(const void *)import->wanted.data + index;
}

/* ---- which ones ---- */

static const struct helloao_translation *find_row(const struct import *import, const char *id)
{
    const struct helloao_translation *rows = (const void *)import->rows.data;

    for (size_t i = 0; i < import->rows.len / sizeof(*rows); i++)
        if (strcmp(rows[i].id, id) == 0)
            return &rows[i];
    return NULL;
}

static int want(struct import *import, const struct helloao_translation *row, const char *code,
                bool requires_pro)
{
    struct wanted wanted = {row, code, requires_pro};

    for (int i = 0; i < import->count; i++)
        if (wanted_at(import, i)->row == row)
            return EX_OK;
    buffer_add(&import->wanted, &wanted, sizeof(wanted));
    if (import->wanted.failed)
        return import_complain(EX_OSERR, "no memory", "");
    import->count++;
    return EX_OK;
}

/* One that is named: by its code, by its id, or, where it has no code of ours, by an id that can be
 * one. */
static int want_named(struct import *import, const char *name)
{
    const struct edition *edition = edition_of_code(name);
    const struct helloao_translation *row;

    if (edition == NULL)
        edition = edition_of_id(name);
    row = find_row(import, edition != NULL ? edition->id : name);
    if (row == NULL)
        return import_complain(EX_DATAERR, "the file has no translation ", name);
    if (edition != NULL)
        return want(import, row, edition->code, edition->requires_pro);
    if (!import_code_is_valid(row->id))
        return import_complain(
            EX_DATAERR, "the id is no code of at most 10 letters, digits, _ or -: ", row->id);
    return want(import, row, row->id, false);
}

/* Names the first of those that are left out. */
static void say_skipped(const struct import *import, int skipped)
{
    const struct helloao_translation *rows = (const void *)import->rows.data;
    int said = 0;

    if (skipped == 0)
        return;
    fputs("skipped, having no code here (--only ID takes one):", stderr);
    for (size_t i = 0; said < skipped && said < SKIPPED_SAID; i++)
        if (edition_of_id(rows[i].id) == NULL)
            fprintf(stderr, "%s %s", said++ > 0 ? "," : "", rows[i].id);
    if (said < skipped)
        fprintf(stderr, " and %d more", skipped - said);
    fputc('\n', stderr);
}

static int want_listed(struct import *import)
{
    const struct helloao_translation *rows = (const void *)import->rows.data;
    int code = EX_OK, skipped = 0;

    for (size_t i = 0; i < import->rows.len / sizeof(*rows) && code == EX_OK; i++) {
        const struct edition *edition = edition_of_id(rows[i].id);

        if (edition != NULL)
            code = want(import, &rows[i], edition->code, edition->requires_pro);
        else
            skipped++;
    }
    say_skipped(import, skipped);
    if (code == EX_OK && import->count == 0)
        return import_complain(EX_DATAERR, "the file has no translation that has a code here", "");
    return code;
}

static int choose(struct import *import)
{
    int code = EX_OK;

    if (import->arguments->only_count == 0)
        return want_listed(import);
    for (int i = 0; i < import->arguments->only_count && code == EX_OK; i++)
        code = want_named(import, import->arguments->only[i]);
    return code;
}

/* ---- reading and storing ---- */

static void chapter_done(void *data, int book, size_t chapters, size_t verses)
{
    const struct import *import = data;
    const struct wanted *wanted = wanted_at(import, import->number - 1);

    import_clear_line();
    if (isatty(STDERR_FILENO) == 1)
        fprintf(stderr, "%d/%d %s: %s, %zu chapters, %zu verses", import->number, import->count,
                wanted->code, book_at(book)->name, chapters, verses);
}

static int read_one(struct import *import, const struct wanted *wanted, struct bible *bible)
{
    struct bible_error error;
    char place[300];
    int result;

    result = helloao_read(import->file, wanted->row->id, bible, chapter_done, import, &error);
    import_clear_line();
    if (result == 0)
        return EX_OK;
    bible_error_format(&error, place, sizeof(place));
    fprintf(stderr, "lectern import-bible: %s: %s: %s\n", import->arguments->source,
            wanted->row->id, place);
    return EX_DATAERR;
}

static int store_one(struct import *import, const struct wanted *wanted, const struct bible *bible)
{
    char source[sizeof("helloao:") + HELLOAO_ID_BYTES];
    struct translation translation = {wanted->code, wanted->row->name, source,
                                      wanted->requires_pro};
    int code = EX_OK;

    snprintf(source, sizeof(source), "helloao:%s", wanted->row->id);
    if (import->conn == NULL)
        import->conn = cli_connect("import-bible", &code);
    return import->conn != NULL ? import_store(import->conn, &translation, bible) : code;
}

/* Reads each; `storing`: and stores it. */
static int take_all(struct import *import, bool storing)
{
    int code = EX_OK;

    for (int i = 0; i < import->count && code == EX_OK; i++) {
        const struct wanted *wanted = wanted_at(import, i);
        struct bible bible;

        import->number = i + 1;
        bible_init(&bible);
        code = read_one(import, wanted, &bible);
        if (code == EX_OK && storing)
            code = store_one(import, wanted, &bible);
        else if (code == EX_OK)
            fprintf(stderr, "%d/%d %s is well-formed: %zu verses\n", i + 1, import->count,
                    wanted->code, bible.verse_count);
        bible_free(&bible);
    }
    return code;
}

static int run(struct import *import)
{
    char message[HELLOAO_MESSAGE_BYTES];
    int code;

    if (helloao_list(import->file, &import->rows, message) != 0) {
        fprintf(stderr, "lectern import-bible: %s: %s\n", import->arguments->source, message);
        return EX_DATAERR;
    }
    code = choose(import);
    if (code == EX_OK && import->count > 1)
        code = take_all(import, false);
    return code == EX_OK ? take_all(import, true) : code;
}

int import_helloao(const struct import_arguments *arguments)
{
    struct import import = {.arguments = arguments};
    char message[HELLOAO_MESSAGE_BYTES];
    bool missing;
    int code;

    import.file = helloao_open(arguments->source, message, &missing);
    if (import.file == NULL) {
        fprintf(stderr, "lectern import-bible: %s: %s\n", arguments->source, message);
        return missing ? EX_NOINPUT : EX_DATAERR;
    }
    buffer_init(&import.rows, NULL, SIZE_MAX);
    buffer_init(&import.wanted, NULL, SIZE_MAX);
    code = run(&import);
    if (import.conn != NULL)
        PQfinish(import.conn);
    buffer_free(&import.rows);
    buffer_free(&import.wanted);
    helloao_close(import.file);
    return code;
}

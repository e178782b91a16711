/* Reads the collection's file. Before a table is asked for anything its form is looked at: a view,
 * a virtual table or a generated column is code that comes with the file, and is not run. Every
 * value is taken by the type that it must have. */
#include "helloao.h"

#include "base/time.h"
#include "books.h"
#include "fold.h"
#include "helloao_chapter.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    MEMORY_BYTES = 128 << 20,
    VALUE_BYTES = 4 << 20,       /* of a value, and of a row */
    CHAPTER_MOST = 200,          /* no book has a chapter beyond it */
    STEPS_BETWEEN_LOOKS = 100000 /* of SQLite's machine, at the clock */
};

struct helloao {
    sqlite3 *db;      /* the file */
    int64_t until_us; /* when the look that is taken now is given up */
    bool has_names;   /* translations have names */
};

struct reading {
    struct compose compose;     /* takes the chapters */
    struct bible *bible;        /* that it fills */
    struct bible_error *error;  /* where the first cause goes */
    helloao_chapter_done *done; /* may be NULL */
    void *done_data;            /* for it */
    size_t rows;                /* read so far */
};

/* ---- messages ---- */

static int say(char *message, size_t room, const char *format, ...) PRINTF_LIKE(3, 4);

/* What stands in a message may come from the file, and the message goes to a terminal. */
static int say(char *message, size_t room, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(message, room, format, args);
    va_end(args);
    for (char *at = message; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at > '~')
            *at = '?';
    return -1;
}

#define SAY(message, ...) say((message), HELLOAO_MESSAGE_BYTES, __VA_ARGS__)

/* Why SQLite did not answer. */
static const char *cause(const struct helloao *file)
{
    int code = sqlite3_errcode(file->db) & 0xFF;

    if (code == SQLITE_INTERRUPT)
        return "reading takes too long";
    return code == SQLITE_TOOBIG ? "a value is too large" : sqlite3_errmsg(file->db);
}

/* ---- opening ---- */

static int over_time(void *data)
{
    const struct helloao *file = data;

    return time_now_us() >= file->until_us;
}

/* The file's URI, freed by the caller; NULL without memory. */
static char *uri_of(const char *path)
{
    static const char hex[] = "0123456789ABCDEF";
    struct buffer uri;

    buffer_init(&uri, NULL, SIZE_MAX);
    buffer_add_text(&uri, "file:");
    for (; *path != '\0'; path++) {
        unsigned char c = (unsigned char)*path;

        if (isalnum(c) || c == '/' || c == '.' || c == '-' || c == '_') {
            buffer_add_char(&uri, (char)c);
        } else {
            buffer_add_char(&uri, '%');
            buffer_add_char(&uri, hex[c >> 4]);
            buffer_add_char(&uri, hex[c & 15]);
        }
    }
    buffer_add(&uri, "?mode=ro&immutable=1", sizeof("?mode=ro&immutable=1"));
    if (uri.failed)
        buffer_free(&uri);
    return uri.data;
}

static int limit(struct helloao *file, char *message)
{
    static const struct {
        int what, most;
    } limits[] = {
        {SQLITE_LIMIT_LENGTH, VALUE_BYTES}, {SQLITE_LIMIT_SQL_LENGTH, 64 << 10},
        {SQLITE_LIMIT_COLUMN, 100},         {SQLITE_LIMIT_EXPR_DEPTH, 50},
        {SQLITE_LIMIT_COMPOUND_SELECT, 2},  {SQLITE_LIMIT_VDBE_OP, 10000},
        {SQLITE_LIMIT_FUNCTION_ARG, 8},     {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_VARIABLE_NUMBER, 8},  {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 1},    {SQLITE_LIMIT_WORKER_THREADS, 0},
    };
    static const struct {
        int what, on;
    } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},       {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},     {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},         {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    };

    sqlite3_hard_heap_limit64(MEMORY_BYTES);
    sqlite3_drop_modules(file->db, NULL);
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
        sqlite3_limit(file->db, limits[i].what, limits[i].most);
    for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
        if (sqlite3_db_config(file->db, settings[i].what, settings[i].on, NULL) != SQLITE_OK)
            return SAY(message, "SQLite cannot be made safe: %s", cause(file));
    sqlite3_progress_handler(file->db, STEPS_BETWEEN_LOOKS, over_time, file);
    file->until_us = time_now_us() + TIME_S(HELLOAO_SILENCE_S);
    if (sqlite3_exec(file->db, "pragma cell_size_check = on; pragma mmap_size = 0", NULL, NULL,
                     NULL) != SQLITE_OK)
        return SAY(message, "%s", cause(file));
    return 0;
}

static sqlite3_stmt *prepare(struct helloao *file, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    file->until_us = time_now_us() + TIME_S(HELLOAO_SILENCE_S);
    if (sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return NULL;
    return statement;
}

/* The next row: 1, none: 0, or -1: cause(). */
static int step(struct helloao *file, sqlite3_stmt *statement)
{
    int code;

    file->until_us = time_now_us() + TIME_S(HELLOAO_SILENCE_S);
    code = sqlite3_step(statement);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

/* ---- the form of the tables ---- */

static bool column_is(sqlite3_stmt *statement, int column, const char *text)
{
    const char *value = (const char *)sqlite3_column_text(statement, column);

    return value != NULL && strcasecmp(value, text) == 0;
}

/* Whether there is a table of that name, and whether it is a plain one. A file that lies about that
 * gets no further: views are off, and virtual tables have no modules. */
static int check_table(struct helloao *file, const char *table, char *message)
{
    sqlite3_stmt *statement =
        prepare(file, "select type = 'table' and rootpage > 0 from main.sqlite_schema"
                      " where name = ?1 collate nocase and type in ('table', 'view')");
    int found = -1, result = 0;

    if (statement != NULL && sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC) == SQLITE_OK)
        found = step(file, statement);
    if (found < 0)
        result = SAY(message, "%s", cause(file));
    else if (found == 0)
        result = SAY(message, "it has no table %s", table);
    else if (sqlite3_column_int(statement, 0) != 1)
        result = SAY(message, "%s is no plain table", table);
    sqlite3_finalize(statement);
    return result;
}

/* Whether the table has that column, as a plain one; -1 with `message` when it is generated, or
 * cannot be known. */
static int find_column(struct helloao *file, const char *table, const char *column, char *message)
{
    enum { NAME = 1, HIDDEN = 6 };
    sqlite3_stmt *statement;
    int more, result = 0;
    char sql[80];

    snprintf(sql, sizeof(sql), "pragma main.table_xinfo('%s')", table);
    statement = prepare(file, sql);
    more = statement != NULL ? step(file, statement) : -1;
    while (more > 0 && result == 0) {
        if (column_is(statement, NAME, column))
            result = sqlite3_column_int(statement, HIDDEN) == 0
                         ? 1
                         : SAY(message, "%s.%s is no plain column", table, column);
        else
            more = step(file, statement);
    }
    if (more < 0)
        result = SAY(message, "%s", cause(file));
    sqlite3_finalize(statement);
    return result;
}

static int check_form(struct helloao *file, char *message)
{
    static const struct {
        const char *table, *column;
        bool needed;
    } columns[] = {
        {"Translation", "id", true},        {"Translation", "name", false},
        {"Chapter", "translationId", true}, {"Chapter", "bookId", true},
        {"Chapter", "number", true},        {"Chapter", "json", true},
    };

    if (check_table(file, "Translation", message) != 0 ||
        check_table(file, "Chapter", message) != 0)
        return -1;
    for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
        int found = find_column(file, columns[i].table, columns[i].column, message);

        if (found < 0)
            return -1;
        if (found == 0 && columns[i].needed)
            return SAY(message, "its table %s has no column %s", columns[i].table,
                       columns[i].column);
        if (!columns[i].needed)
            file->has_names = found == 1;
    }
    return 0;
}

/* Opens a regular file. */
static int open_file(struct helloao *file, const char *path, char *message, bool *missing)
{
    char *whole = realpath(path, NULL);
    char *uri = whole != NULL ? uri_of(whole) : NULL;
    struct stat status;
    int result = 0;

    if (whole == NULL || stat(whole, &status) != 0) {
        *missing = true;
        result = SAY(message, "%s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        result = SAY(message, "it is no regular file");
    } else if (uri == NULL) {
        result = SAY(message, "no memory");
    } else if (sqlite3_open_v2(uri, &file->db,
                               SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
                                   SQLITE_OPEN_PRIVATECACHE,
                               NULL) != SQLITE_OK) {
        *missing = true;
        result = SAY(message, "%s", file->db != NULL ? cause(file) : "no memory");
    }
    free(uri);
    free(whole);
    return result;
}

struct helloao *helloao_open(const char *path, char message[HELLOAO_MESSAGE_BYTES], bool *missing)
{
    struct helloao *file = calloc(1, sizeof(*file));

    *missing = false;
    if (file == NULL) {
        SAY(message, "no memory");
        return NULL;
    }
    if (open_file(file, path, message, missing) == 0 && limit(file, message) == 0 &&
        check_form(file, message) == 0)
        return file;
    helloao_close(file);
    return NULL;
}

void helloao_close(struct helloao *file)
{
    sqlite3_close(file->db);
    free(file);
}

/* ---- values ---- */

/* A value that must be text; the absent str when it is not. It lasts until the next step. */
static struct str column_str(sqlite3_stmt *statement, int column)
{
    const char *text;

    if (sqlite3_column_type(statement, column) != SQLITE_TEXT)
        return NO_STR;
    text = (const char *)sqlite3_column_text(statement, column);
    return (struct str){text, text != NULL ? (size_t)sqlite3_column_bytes(statement, column) : 0};
}

/* Whether `text` can be an id: visible ASCII, and not too long. */
static bool is_id(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    return text.len > 0 && text.len < HELLOAO_ID_BYTES;
}

/* A name on one line, without what a terminal would obey; the id where nothing is left. */
static void take_name(struct helloao_translation *translation, struct str name)
{
    struct fold fold = {0};
    struct buffer folded;
    struct str kept;

    buffer_init(&folded, NULL, VALUE_BYTES);
    for (const char *at = name.ptr, *from = at; at < name.ptr + name.len; from = at) {
        uint32_t point = text_next(&at, name.ptr + name.len);

        if (point >= ' ' && (point < 0x7F || point > 0x9F))
            fold_add(&fold, &folded, (struct str){from, (size_t)(at - from)});
        else
            fold.space = true;
    }
    kept = text_cut(buffer_str(&folded), HELLOAO_NAME_BYTES - 1);
    if (kept.len == 0)
        kept = str_of(translation->id);
    snprintf(translation->name, sizeof(translation->name), "%.*s", STR_ARG(kept));
    buffer_free(&folded);
}

/* ---- translations ---- */

static int take_translation(struct helloao *file, sqlite3_stmt *statement, struct buffer *list,
                            char *message)
{
    size_t count = list->len / sizeof(struct helloao_translation);
    struct helloao_translation translation = {0};
    struct str id = column_str(statement, 0), name = STR("");

    if (count == HELLOAO_MOST_TRANSLATIONS)
        return SAY(message, "it has too many translations");
    if (!is_id(id))
        return SAY(message, "translation %zu of it: its id is none", count + 1);
    memcpy(translation.id, id.ptr, id.len);
    if (file->has_names)
        name = column_str(statement, 1);
    if (name.ptr == NULL || !text_is_utf8(name))
        return SAY(message, "translation %s: its name is no text", translation.id);
    for (size_t i = 0; i < count; i++)
        if (strcmp(((struct helloao_translation *)(void *)list->data)[i].id, translation.id) == 0)
            return SAY(message, "translation %s stands in it twice", translation.id);
    take_name(&translation, name);
    buffer_add(list, &translation, sizeof(translation));
    return list->failed ? SAY(message, "no memory") : 0;
}

int helloao_list(struct helloao *file, struct buffer *list, char message[HELLOAO_MESSAGE_BYTES])
{
    sqlite3_stmt *statement =
        prepare(file, file->has_names ? "select id, name from main.Translation"
                                      : "select id from main.Translation");
    int more = statement != NULL ? step(file, statement) : -1;
    int result = 0;

    while (more > 0 && result == 0) {
        result = take_translation(file, statement, list, message);
        if (result == 0)
            more = step(file, statement);
    }
    if (more < 0)
        result = SAY(message, "%s", cause(file));
    sqlite3_finalize(statement);
    return result;
}

/* ---- chapters ---- */

static int refuse(struct reading *reading, const char *what)
{
    return say(reading->error->text, sizeof(reading->error->text), "%s", what);
}

/* Looks at the columns of a row but its text. `*book` is NULL where it is none of the 66. */
static int take_place(struct reading *reading, sqlite3_stmt *statement, const struct book **book)
{
    struct bible_error *error = reading->error;
    struct str id = column_str(statement, 0);
    sqlite3_int64 number = 0;

    *error = (struct bible_error){0};
    if (!is_id(id))
        return say(error->text, sizeof(error->text), "chapter %zu of it: its book has no id",
                   reading->rows);
    *book = book_find(id);
    error->book = *book != NULL ? (*book)->number : 0;
    if (sqlite3_column_type(statement, 1) == SQLITE_INTEGER)
        number = sqlite3_column_int64(statement, 1);
    if (number < 1 || number > CHAPTER_MOST)
        return say(error->text, sizeof(error->text), "book %.*s has a chapter without a number",
                   STR_ARG(id));
    error->chapter = (int)number;
    return 0;
}

/* Reads one row of the table, if it is of one of the 66 books. */
static int take_chapter(struct reading *reading, sqlite3_stmt *statement)
{
    const struct book *book = NULL;
    struct str json;
    int chapter;

    if (++reading->rows > HELLOAO_MOST_CHAPTERS)
        return refuse(reading, "it has too many chapters");
    if (take_place(reading, statement, &book) != 0)
        return -1;
    chapter = reading->error->chapter;
    json = column_str(statement, 2);
    if (json.ptr == NULL)
        return refuse(reading, "the chapter is no text");
    if (book == NULL || chapter > book->max_chapter)
        return 0;
    if (helloao_chapter(&reading->compose, book->number, chapter, json, reading->error) != 0)
        return -1;
    if (reading->done != NULL)
        reading->done(reading->done_data, book->number, reading->bible->chapter_count,
                      reading->bible->verse_count);
    return 0;
}

static int read_rows(struct helloao *file, const char *id, struct reading *reading)
{
    sqlite3_stmt *statement =
        prepare(file, "select bookId, number, json from main.Chapter where translationId = ?1");
    int result = 0, more = -1;

    if (statement != NULL && sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC) == SQLITE_OK)
        more = step(file, statement);
    while (more > 0 && result == 0) {
        result = take_chapter(reading, statement);
        if (result == 0)
            more = step(file, statement);
    }
    if (more < 0)
        result = refuse(reading, cause(file));
    sqlite3_finalize(statement);
    return result;
}

int helloao_read(struct helloao *file, const char *id, struct bible *bible,
                 helloao_chapter_done *done, void *done_data, struct bible_error *error)
{
    struct reading reading = {.bible = bible, .error = error, .done = done, .done_data = done_data};
    int result;

    *error = (struct bible_error){0};
    compose_init(&reading.compose, bible);
    result = read_rows(file, id, &reading);
    compose_free(&reading.compose);
    if (result == 0 && bible->verse_count == 0) {
        *error = (struct bible_error){0};
        result = refuse(&reading, "there is no verse of any of the 66 books");
    }
    return result;
}

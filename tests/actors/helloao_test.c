/* The file of the HelloAO collection, through the command as a person calls it: what is taken, and
 * that a broken file changes nothing. The files are made here, in a folder of the test's own. */
#include "helloao.h"

#include "books.h"
#include "osis.h"
#include "postgres.h"
#include "sword.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static PGconn *conn;
static char program[400];    /* the command */
static char folder[64];      /* of this test */
static char said[64 << 10];  /* by the last call, both streams */
static struct buffer before; /* bytes of the file that was called with */

static void init(void)
{
    const char *url = postgres_database();
    ssize_t len = readlink("/proc/self/exe", program, 300);

    cr_assert_gt(len, 0);
    program[len] = '\0';
    snprintf(strrchr(program, '/'), 20, "/lectern");
    setenv("DATABASE_URL", url, 1);
    conn = postgres_connect(url);
    snprintf(folder, sizeof(folder), "/tmp/helloao-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    buffer_init(&before, NULL, SIZE_MAX);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void fini(void)
{
    buffer_free(&before);
    PQfinish(conn);
    cr_assert_eq(chdir("/"), 0);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(helloao, .init = init, .fini = fini, .timeout = 120);

/* ---- files ---- */

/* Only the columns that are needed, and nothing that SQLite would keep right by itself. */
#define TABLES                                                                                     \
    "create table Translation (id, name);"                                                         \
    "create table Chapter (translationId, bookId, number, json);"

#define CHAPTER(id, book, number, json)                                                            \
    "insert into Chapter values ('" id "', '" book "', " #number ", '" json "');"
#define VERSE(number, text) "{\"type\":\"verse\",\"number\":" #number ",\"content\":[\"" text "\"]}"

#define ROWS                                                                                       \
    "insert into Translation values ('ENGWEBP', 'World English Bible'), ('eng_kjv', 'King "        \
    "James'),"                                                                                     \
    " ('xyz_abc', 'Other'), ('far_too_long', 'Other');" CHAPTER(                                   \
        "ENGWEBP", "JHN", 3, "{\"number\":3,\"content\":[" VERSE(16, "For God") "]}")              \
        CHAPTER(                                                                                   \
            "ENGWEBP", "GEN", 1,                                                                   \
            "{\"chapter\":{\"number\":1,\"content\":[{\"type\":\"heading\",\"content\":[\"H\"]},"  \
            "{\"type\":\"line_break\"}," VERSE(1, "In") "]}}")                                     \
            CHAPTER("ENGWEBP", "TOB", 1, "{\"content\":[" VERSE(1, "Tobit") "]}")                  \
                CHAPTER("ENGWEBP", "PSA", 151, "{\"content\":[" VERSE(1, "I was small") "]}")      \
                    CHAPTER("eng_kjv", "GEN", 1,                                                   \
                            "{\"content\":[" VERSE(1, "IN") "," VERSE(2, "AND") "]}")              \
                        CHAPTER("xyz_abc", "REV", 22, "{\"content\":[" VERSE(21, "Amen") "]}")     \
                            CHAPTER("far_too_long", "REV", 22,                                     \
                                    "{\"content\":[" VERSE(21, "Amen") "]}")

static void make(const char *path, const char *sql, const char *more)
{
    sqlite3 *db;
    char *why = NULL;

    unlink(path);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, &why), SQLITE_OK, "%s", why);
    cr_assert_eq(sqlite3_exec(db, more, NULL, NULL, &why), SQLITE_OK, "%s: %s", more, why);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static void read_file(const char *path, struct buffer *bytes)
{
    FILE *file = fopen(path, "rb");
    char *room;
    size_t got = 1;

    cr_assert_not_null(file, "%s", path);
    while (got > 0 && (room = buffer_reserve(bytes, BUFSIZ)) != NULL) {
        got = fread(room, 1, BUFSIZ, file);
        bytes->len += got;
    }
    fclose(file);
}

static void write_file(const char *path, struct str bytes)
{
    FILE *file = fopen(path, "wb");

    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    cr_assert_eq(fclose(file), 0);
}

/* ---- calls ---- */

/* Calls `lectern import-bible` with arguments as a shell reads them; its exit code. */
static int call(const char *arguments)
{
    char command[600];
    size_t len;
    FILE *pipe;
    int status;

    snprintf(command, sizeof(command), "exec '%s' import-bible %s 2>&1 </dev/null", program,
             arguments);
    pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    len = fread(said, 1, sizeof(said) - 1, pipe);
    said[len] = '\0';
    status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s: %s", arguments, said);
    return WEXITSTATUS(status);
}

static void ends(const char *arguments, int code, const char *text)
{
    int got = call(arguments);

    cr_assert_eq(got, code, "%s: exit code %d: %s", arguments, got, said);
    cr_assert_not_null(strstr(said, text), "%s: expected: %s\ngot: %s", arguments, text, said);
}

static void answers(const char *sql, const char *expected)
{
    const char *got = postgres_value(conn, sql);

    cr_assert_str_eq(got, expected, "%s\ngot:      %s\nexpected: %s", sql, got, expected);
}

/* Everything that an import could have changed. */
static const char everything[] =
    "select md5(concat((select string_agg(t::text, ';' order by id) from bible_translations t),"
    " (select string_agg(c::text, ';' order by c::text) from bible_chapters c),"
    " (select string_agg(v::text, ';' order by v::text) from bible_verses v)))";

static const char codes[] =
    "select string_agg(code || ':' || name || ':' || source || ':' || requires_pro, ' '"
    " order by code) from bible_translations";

/* ---- what is taken ---- */

Test(helloao, all_that_have_a_code)
{
    make("a.db", TABLES ROWS, "");
    ends("helloao a.db", EX_OK, "KJV, King James: 2 verses in 1 chapters\n");
    cr_assert_not_null(strstr(said, "WEB, World English Bible: 2 verses in 2 chapters\n"));
    cr_assert_not_null(strstr(said, ": xyz_abc, far_too_long\n"), "%s", said);
    answers(codes, "KJV:King James:helloao:eng_kjv:false"
                   " WEB:World English Bible:helloao:ENGWEBP:false");
    answers("select string_agg(concat_ws(' ', code, book, chapter, verse, text), ', '"
            " order by code, book, verse) from bible_verses join bible_translations"
            " on id = translation_id",
            "KJV 1 1 1 IN, KJV 1 1 2 AND, WEB 1 1 1 In, WEB 43 3 16 For God");
    answers("select content from bible_chapters join bible_translations on id = translation_id"
            " where code = 'WEB' and book = 1",
            "[{\"type\": \"heading\", \"content\": [\"H\"]}, {\"type\": \"line_break\"},"
            " {\"type\": \"verse\", \"number\": 1, \"content\": [\"In\"]}]");
}

Test(helloao, only_those_that_are_named)
{
    static const struct {
        const char *arguments, *codes;
    } cases[] = {
        {"helloao a.db --only KJV", "KJV"},
        {"helloao a.db --only=eng_kjv", "KJV"},
        {"helloao --only KJV a.db", "KJV"},
        {"helloao a.db --only ENGWEBP KJV", "KJV WEB"},
        {"helloao a.db --only ENGWEBP,KJV", "KJV WEB"},
        {"helloao a.db --only WEB --only KJV", "KJV WEB"},
        {"helloao a.db --only WEB ENGWEBP WEB", "WEB"},
        {"helloao a.db --only xyz_abc WEB", "WEB xyz_abc"},
        {"helloao a.db --only NRSV", "NRSV"},
    };

    make("a.db", TABLES ROWS,
         "insert into Translation values ('NRSV', 'New Revised');" CHAPTER(
             "NRSV", "JUD", 1, "{\"content\":[" VERSE(1, "Jude") "]}"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        postgres_exec(conn, "delete from bible_translations");
        ends(cases[i].arguments, EX_OK, "");
        answers("select string_agg(code, ' ' order by code collate \"C\") from bible_translations",
                cases[i].codes);
    }
    answers(codes, "NRSV:New Revised:helloao:NRSV:true");
}

Test(helloao, again_and_it_is_replaced)
{
    make("a.db", TABLES ROWS, "");
    ends("helloao a.db", EX_OK, "");
    make("a.db", TABLES ROWS, "update Chapter set json = replace(json, 'IN', 'On')");
    ends("helloao a.db --only KJV", EX_OK, "1 chapters");
    answers("select string_agg(text, ' ' order by text) from bible_verses", "AND For God In On");
}

Test(helloao, the_whole_form_and_other_files_of_sqlite)
{
    static const char whole[] =
        "create table Translation (id text not null primary key, name text not null,"
        " website text not null default '', sha256 text);"
        "create table Book (id text, translationId text references Translation(id), name text);"
        "create table Chapter (number integer not null, bookId text not null, translationId text"
        " not null, json text not null, sha256 text, primary key (translationId, bookId, number));"
        "insert into Translation (id, name) values ('BSB', 'Berean');"
        "insert into Chapter values (1, 'GEN', 'BSB', '{\"content\":[" VERSE(1, "In") "]}', null);";
    static const struct {
        const char *path, *before, *after;
    } cases[] = {
        {"a.db", "", ""},
        {"a.db", "pragma encoding = 'UTF-16le'", ""},
        {"a.db", "pragma page_size = 512", ""},
        {"a.db", "pragma page_size = 65536", ""},
        {"a.db", "", "pragma journal_mode = wal"},
        {"a.db", "", "create view Other as select * from None"},
        {"a.db", "", "create virtual table Other using fts5(a)"},
        {"a b%20?#&mode=rw.db", "", ""},
        {":memory:", "", ""},
    };
    char path[200], arguments[300], *sql = NULL;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        postgres_exec(conn, "delete from bible_translations");
        snprintf(path, sizeof(path), "%s/%s", folder, cases[i].path);
        cr_assert_gt(asprintf(&sql, "%s;%s", cases[i].before, whole), 0);
        make(path, sql, cases[i].after);
        free(sql);
        snprintf(arguments, sizeof(arguments), "helloao '%s'", cases[i].path);
        ends(arguments, EX_OK, "BSB, Berean: 1 verses");
    }
}

Test(helloao, names_are_shown_on_one_line)
{
    make("a.db", TABLES ROWS,
         "update Translation set name = ' Wörld' || char(10, 27, 155) || '[2J  B ' where id ="
         " 'ENGWEBP'; update Translation set name = ' ' where id = 'eng_kjv'");
    ends("helloao a.db", EX_OK, "WEB, Wörld [2J B: 2 verses");
    cr_assert_not_null(strstr(said, "KJV, eng_kjv: 2 verses"), "%s", said);
}

/* Writes a Bible as a translation of the collection. */
static void make_from(const char *path, const struct bible *bible)
{
    sqlite3_stmt *statement;
    sqlite3 *db;

    make(path, TABLES "insert into Translation values ('ENGWEBP', 'World English Bible')", "");
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "begin", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db,
                                    "insert into Chapter values ('ENGWEBP', ?1, ?2,"
                                    " '{\"content\":' || ?3 || ',\"footnotes\":' || ?4 || '}')",
                                    -1, &statement, NULL),
                 SQLITE_OK);
    for (size_t i = 0; i < bible->chapter_count; i++) {
        const struct chapter_row *row = &bible->chapters[i];
        struct str content = bible_content(bible, row), notes = bible_footnotes(bible, row);

        sqlite3_bind_text(statement, 1, book_at(row->book)->id, -1, SQLITE_STATIC);
        sqlite3_bind_int(statement, 2, row->chapter);
        sqlite3_bind_text(statement, 3, content.ptr, (int)content.len, SQLITE_STATIC);
        sqlite3_bind_text(statement, 4, notes.ptr, (int)notes.len, SQLITE_STATIC);
        cr_assert_eq(sqlite3_step(statement), SQLITE_DONE);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    cr_assert_eq(sqlite3_exec(db, "commit", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static void same_bible(const struct bible *got, const struct bible *expected)
{
    cr_assert_eq(got->verse_count, expected->verse_count);
    cr_assert_eq(got->chapter_count, expected->chapter_count);
    for (size_t i = 0; i < got->verse_count; i++) {
        struct str text = bible_text(got, &got->verses[i]);
        struct str wanted = bible_text(expected, &expected->verses[i]);

        cr_assert(str_equal(text, wanted), "got:      %.*s\nexpected: %.*s", STR_ARG(text),
                  STR_ARG(wanted));
    }
    for (size_t i = 0; i < got->chapter_count; i++) {
        struct str text = bible_content(got, &got->chapters[i]);
        struct str wanted = bible_content(expected, &expected->chapters[i]);

        cr_assert(str_equal(text, wanted), "got:      %.*s\nexpected: %.*s", STR_ARG(text),
                  STR_ARG(wanted));
    }
}

/* What the other importer made of a whole Bible, poetry, notes, headings and all, is read as it is.
 */
Test(helloao, a_whole_bible_comes_back_as_it_was)
{
    char message[HELLOAO_MESSAGE_BYTES];
    struct bible expected, got;
    struct bible_error error;
    struct helloao *file;
    struct buffer text;
    bool missing;

    bible_init(&expected);
    bible_init(&got);
    buffer_init(&text, NULL, SWORD_MAX_BYTES);
    cr_assert_eq(sword_export("engWEB2015eb", &text, message), 0, "%s", message);
    cr_assert_eq(osis_read(buffer_str(&text), &expected, NULL, NULL, &error), 0, "%s", error.text);
    make_from("web.db", &expected);
    file = helloao_open("web.db", message, &missing);
    cr_assert_not_null(file, "%s", message);
    cr_assert_eq(helloao_read(file, "ENGWEBP", &got, NULL, NULL, &error), 0, "%s", error.text);
    same_bible(&got, &expected);
    cr_assert_eq(got.verse_count, 31095);
    helloao_close(file);
    buffer_free(&text);
    bible_free(&expected);
    bible_free(&got);
}

/* ---- what is refused ---- */

Test(helloao, wrong_usage)
{
    static const struct {
        const char *arguments, *why;
        int code;
    } cases[] = {
        {"helloao", "are needed", EX_USAGE},
        {"hello a.db", "`sword` or `helloao`", EX_USAGE},
        {"helloao a.db KJV", "what is KJV", EX_USAGE},
        {"helloao a.db --only", "requires an argument", EX_USAGE},
        {"helloao a.db --only ,", "no translation", EX_USAGE},
        {"helloao a.db --only ''", "no translation", EX_USAGE},
        {"helloao a.db --code KJV", "no option but --only", EX_USAGE},
        {"helloao a.db --pro", "no option but --only", EX_USAGE},
        {"helloao a.db --only $(seq 65)", "too many", EX_USAGE},
        {"sword engKJV --code KJV --only KJV", "no option of `sword`", EX_USAGE},
        {"sword engKJV KJV --code KJV", "what is KJV", EX_USAGE},
        {"helloao a.db --only kjv", "no translation kjv", EX_DATAERR},
        {"helloao a.db --only WEB BSB", "no translation BSB", EX_DATAERR},
        {"helloao a.db --only far_too_long", "10 letters", EX_DATAERR},
        {"helloao none.db", "No such file", EX_NOINPUT},
        {"helloao a.db/b.db", "Not a directory", EX_NOINPUT},
        {"helloao ''", "No such file", EX_NOINPUT},
    };

    make("a.db", TABLES ROWS, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        ends(cases[i].arguments, cases[i].code, cases[i].why);
    ends("--help", EX_OK, "helloao FILE.db");
    answers("select count(*) from bible_translations", "0");
}

/* Puts other JSON into the last chapter of the second translation. */
#define JSON(json) "update Chapter set json = '" json "' where translationId = 'eng_kjv'"
#define AT_JSON(text) "broken.db: eng_kjv: Genesis 1" text

static const struct hostile {
    const char *sql; /* run on a good file */
    const char *why; /* what is said of it */
} hostile[] = {
    /* the tables */
    {"drop table Chapter", "it has no table Chapter"},
    {"drop table Translation", "it has no table Translation"},
    {"alter table Chapter rename column json to text", "no column json"},
    {"alter table Chapter rename column number to n", "no column number"},
    {"alter table Translation rename column id to code", "no column id"},
    {"alter table Chapter rename to c; create view Chapter as select * from c",
     "Chapter is no plain table"},
    {"alter table Translation rename to t; create view Translation as select * from t",
     "Translation is no plain table"},
    {"drop table Chapter; create virtual table Chapter using fts5(translationId, bookId, number,"
     " json)",
     "Chapter is no plain table"},
    {"alter table Chapter rename to c; create table Chapter (translationId, bookId, number, x,"
     " json as (replace(x, 'a', 'b'))); insert into Chapter select * from c",
     "Chapter.json is no plain column"},
    {"alter table Chapter rename to c; create view Chapter as select * from c;"
     " pragma writable_schema = on; update sqlite_schema set type = 'table', rootpage = 2"
     " where name = 'Chapter'",
     "broken.db: "},
    {"pragma writable_schema = on; update sqlite_schema set sql = 'create table Chapter ('",
     "broken.db: "},
    {"pragma writable_schema = on; update sqlite_schema set rootpage = 999999", "broken.db: "},
    {"pragma writable_schema = on; update sqlite_schema set rootpage = 1", "broken.db: "},
    {"pragma writable_schema = on; update sqlite_schema set sql ="
     " 'create virtual table Chapter using fts5(translationId, bookId, number, json)'"
     " where name = 'Chapter'",
     "broken.db: "},
    {"pragma writable_schema = on; update sqlite_schema set sql ="
     " replace(sql, 'translationId', 'translationId collate odd') where name = 'Chapter'",
     "no such collation"},
    /* translations */
    {"delete from Translation", "no translation that has a code"},
    {"update Translation set id = id || 'x'", "no translation that has a code"},
    {"update Translation set id = null", "translation 1 of it: its id is none"},
    {"update Translation set id = 7", "its id is none"},
    {"update Translation set id = x'454e47'", "its id is none"},
    {"update Translation set id = ''", "its id is none"},
    {"update Translation set id = 'a b'", "its id is none"},
    {"update Translation set id = 'a' || char(27) || 'b'", "its id is none"},
    {"update Translation set id = printf('%.*c', 64, 'a')", "its id is none"},
    {"update Translation set id = 'ENGWEBP'", "translation ENGWEBP stands in it twice"},
    {"update Translation set name = null", "translation ENGWEBP: its name is no text"},
    {"update Translation set name = 7", "its name is no text"},
    {"update Translation set name = cast(x'ff' as text)", "its name is no text"},
    {"update Translation set name = printf('%.*c', 5000000, 'a')", "a value is too large"},
    {"with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)"
     " insert into Translation select 't' || i, 'T' from n",
     "too many translations"},
    /* places of chapters */
    {"update Chapter set bookId = null", "chapter 1 of it: its book has no id"},
    {"update Chapter set bookId = 1", "its book has no id"},
    {"update Chapter set bookId = ''", "its book has no id"},
    {"update Chapter set bookId = 'TOB'", "no verse of any of the 66 books"},
    {"update Chapter set translationId = null", "no verse of any of the 66 books"},
    {"update Chapter set number = null where bookId = 'GEN'", "book GEN has a chapter without"},
    {"update Chapter set number = -1 where bookId = 'GEN'", "book GEN has a chapter without"},
    {"update Chapter set number = 0 where bookId = 'GEN'", "book GEN has a chapter without"},
    {"update Chapter set number = '1' where bookId = 'GEN'", "book GEN has a chapter without"},
    {"update Chapter set number = 1.5 where bookId = 'GEN'", "book GEN has a chapter without"},
    {"update Chapter set number = 201 where bookId = 'TOB'", "book TOB has a chapter without"},
    {"update Chapter set number = 9223372036854775807", "has a chapter without a number"},
    {"insert into Chapter select * from Chapter where translationId = 'eng_kjv'",
     AT_JSON(": the chapter stands here a second time")},
    {"with recursive n(i) as (select 1 union all select i + 1 from n where i < 10001)"
     " insert into Chapter select 'eng_kjv', 'TOB', 1, '{}' from n",
     "too many chapters"},
    /* their text; more of it in the tests of a chapter */
    {"update Chapter set json = null where translationId = 'eng_kjv'",
     AT_JSON(": the chapter is no text")},
    {"update Chapter set json = 7 where translationId = 'eng_kjv'",
     AT_JSON(": the chapter is no text")},
    {"update Chapter set json = cast(json as blob) where translationId = 'eng_kjv'",
     AT_JSON(": the chapter is no text")},
    {"update Chapter set json = null where bookId = 'TOB'", "the chapter is no text"},
    {JSON(""), AT_JSON(": its JSON is broken at byte 0")},
    {JSON("{\"content\":["), AT_JSON(": its JSON is broken at byte 12")},
    {JSON("{}"), AT_JSON(": the chapter's content is no list")},
    {JSON("{\"content\":[" VERSE(3, "a") "," VERSE(3, "b") "]}"),
     AT_JSON(":3: verse 3 stands behind verse 3")},
    {JSON("{\"content\":[" VERSE(-3, "a") "]}"), AT_JSON(": the number of a verse")},
    {JSON("{\"number\":2,\"content\":[" VERSE(3, "a") "]}"),
     AT_JSON(": its JSON is of another chapter")},
    {JSON("{\"content\":[" VERSE(3, "\\ud800") "]}"), AT_JSON(":3: a text holds half")},
    {"update Chapter set json = cast(x'7bff7d' as text) where translationId = 'eng_kjv'",
     AT_JSON(": it is not UTF-8 at byte 1")},
    {"update Chapter set json = json || char(0) where translationId = 'eng_kjv'",
     AT_JSON(": its JSON is broken at byte")},
    {"update Chapter set json = printf('%.*c', 100000, '[') where translationId = 'eng_kjv'",
     AT_JSON(": its JSON is broken at byte 22: nested too deeply")},
    {"update Chapter set json = printf('%.*c', 3000000, ' ') where translationId = 'eng_kjv'",
     AT_JSON(": the chapter is too large")},
    {"update Chapter set json = printf('%.*c', 5000000, ' ') where translationId = 'eng_kjv'",
     "eng_kjv: a value is too large"},
};

static void refuses_broken(const struct hostile *row, const char *state)
{
    struct buffer after;

    buffer_drop(&before, before.len);
    read_file("broken.db", &before);
    ends("helloao broken.db", EX_DATAERR, row->why);
    cr_assert_null(strchr(said, 27), "%s", said);
    answers(everything, state);
    buffer_init(&after, NULL, SIZE_MAX);
    read_file("broken.db", &after);
    cr_assert(str_equal(buffer_str(&before), buffer_str(&after)), "%s", row->sql);
    cr_assert_eq(access("broken.db-journal", F_OK) & access("broken.db-wal", F_OK), -1);
    buffer_free(&after);
}

Test(helloao, what_is_broken_changes_nothing)
{
    char state[64];

    make("good.db", TABLES ROWS, "");
    ends("helloao good.db", EX_OK, "");
    snprintf(state, sizeof(state), "%s", postgres_value(conn, everything));
    for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
        make("broken.db", TABLES ROWS "update Translation set name = name || ' 2'", hostile[i].sql);
        refuses_broken(&hostile[i], state);
    }
}

Test(helloao, what_is_no_file_of_sqlite_changes_nothing)
{
    static const struct hostile nothing = {"", "broken.db: "};
    char state[64];
    struct buffer good;

    make("good.db", TABLES ROWS, "");
    ends("helloao good.db", EX_OK, "");
    snprintf(state, sizeof(state), "%s", postgres_value(conn, everything));
    buffer_init(&good, NULL, SIZE_MAX);
    read_file("good.db", &good);
    for (size_t len = 0; len < good.len; len += len < 200 ? 10 : 1024) {
        write_file("broken.db", (struct str){good.data, len});
        refuses_broken(&nothing, state);
    }
    write_file("broken.db", STR("This is a letter and no file of SQLite at all.\n"));
    refuses_broken(&nothing, state);
    buffer_free(&good);
}

Test(helloao, what_is_no_file_changes_nothing)
{
    static const char *const no_files[] = {"fifo",      "folder", "/dev/zero",
                                           "/dev/null", "link",   "/proc/self/fd/0"};
    char arguments[100];

    cr_assert_eq(mkfifo("fifo", 0600), 0);
    cr_assert_eq(mkdir("folder", 0700), 0);
    cr_assert_eq(symlink("fifo", "link"), 0);
    for (size_t i = 0; i < sizeof(no_files) / sizeof(*no_files); i++) {
        snprintf(arguments, sizeof(arguments), "helloao %s", no_files[i]);
        ends(arguments, EX_DATAERR, "no regular file");
    }
}

/* Reads whatever can be read of a file. */
static void read_what_can_be(const char *path)
{
    char message[HELLOAO_MESSAGE_BYTES];
    bool missing;
    struct helloao *file = helloao_open(path, message, &missing);
    const struct helloao_translation *rows;
    struct bible_error error;
    struct buffer list;
    struct bible bible;

    if (file == NULL)
        return;
    buffer_init(&list, NULL, SIZE_MAX);
    if (helloao_list(file, &list, message) == 0) {
        rows = (const void *)list.data;
        for (size_t i = 0; i < list.len / sizeof(*rows) && i < 5; i++) {
            bible_init(&bible);
            if (helloao_read(file, rows[i].id, &bible, NULL, NULL, &error) != 0)
                cr_assert_neq(error.text[0], '\0');
            bible_free(&bible);
        }
    }
    buffer_free(&list);
    helloao_close(file);
}

/* Bytes changed as if by chance, the same ones each time. */
Test(helloao, a_damaged_file_is_survived)
{
    uint64_t state = 88172645463325252u;
    struct buffer good;

    make("good.db", "pragma page_size = 512;" TABLES ROWS,
         "create index i on Chapter (translationId, bookId, number)");
    buffer_init(&good, NULL, SIZE_MAX);
    read_file("good.db", &good);
    for (int round = 0; round < 2000; round++) {
        char *bytes = malloc(good.len);

        memcpy(bytes, good.data, good.len);
        for (int i = 0; i <= round % 8; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes[(state >> 8) % good.len] = (char)(state >> 40);
        }
        write_file("damaged.db", (struct str){bytes, good.len});
        free(bytes);
        read_what_can_be("damaged.db");
    }
    buffer_free(&good);
}

/* The two Bibles that a fresh Lectern loads, and how a translation is stored. */
#include "books.h"
#include "osis.h"
#include "postgres.h"
#include "store.h"
#include "sword.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static PGconn *conn;
static struct bible bible;

static void init(void)
{
    conn = postgres_connect(postgres_database());
    bible_init(&bible);
}

static void fini(void)
{
    bible_free(&bible);
    PQfinish(conn);
}

TestSuite(import, .init = init, .fini = fini, .timeout = 60);

static void store(const char *code, const char *name)
{
    const struct translation translation = {code, name, "test", false};
    char message[STORE_MESSAGE_BYTES];

    cr_assert_eq(bible_store(conn, &translation, &bible, message), 0, "%s", message);
}

static void import(const char *module, const char *code)
{
    char message[SWORD_MESSAGE_BYTES];
    struct bible_error error;
    struct buffer text;

    buffer_init(&text, NULL, SWORD_MAX_BYTES);
    cr_assert_eq(sword_export(module, &text, message), 0, "%s", message);
    cr_assert_eq(osis_read(buffer_str(&text), &bible, NULL, NULL, &error), 0, "%s", error.text);
    buffer_free(&text);
    store(code, module);
}

static void answers(const char *sql, const char *expected)
{
    const char *got = postgres_value(conn, sql);

    cr_assert_str_eq(got, expected, "%s\n%s", sql, got);
}

static void verse_is(const char *place, const char *expected)
{
    char sql[200];

    snprintf(sql, sizeof(sql), "select text from bible_verses where (book, chapter, verse) = (%s)",
             place);
    answers(sql, expected);
}

/* How many items of `chapter` (book, chapter) fulfil a condition over `item`. */
static void items_are(const char *chapter, const char *condition, const char *expected)
{
    char sql[400];

    snprintf(sql, sizeof(sql),
             "select count(*) from bible_chapters, jsonb_array_elements(content) as item"
             " where (book, chapter) = (%s) and %s",
             chapter, condition);
    answers(sql, expected);
}

Test(import, king_james_version)
{
    import("engKJV2006eb", "KJV");
    answers("select count(*) from bible_verses", "31102");
    answers("select count(*) from bible_chapters", "1189");
    answers("select count(distinct book) from bible_verses", "66");
    answers("select count(*) from bible_verses where book = 19 and chapter = 119", "176");
    answers("select count(*) from bible_verses where text ~ '¶|strong:[HG]|[<>]|  |^ | $|\\\\'",
            "0");
    verse_is("1, 1, 1", "In the beginning God created the heaven and the earth.");
    verse_is("43, 3, 16", "For God so loved the world, that he gave his only begotten Son, that "
                          "whosoever believeth in "
                          "him should not perish, but have everlasting life.");
    verse_is("2, 6, 3", "And I appeared unto Abraham, unto Isaac, and unto Jacob, by the name of "
                        "God Almighty, but by "
                        "my name JEHOVAH was I not known to them.");
    verse_is("19, 23, 1", "The LORD is my shepherd; I shall not want.");
    answers("select content ->> 0 from bible_chapters where book = 19 and chapter = 3",
            "{\"type\": \"hebrew_subtitle\", \"content\": [\"A Psalm of David, when he fled from "
            "Absalom "
            "his son.\"]}");
    answers("select footnotes -> 0 ->> 'text' from bible_chapters where book = 1 and chapter = 1",
            "the light from…: Heb. between the light and between the darkness");
    answers("select count(*) from bible_chapters, jsonb_array_elements(content) as item"
            " where item ->> 'type' = 'hebrew_subtitle'",
            "116");
    items_are("19, 119", "item ->> 'type' = 'heading'", "22");
    items_are("1, 1", "item ->> 'type' = 'line_break'", "8");
}

Test(import, world_english_bible)
{
    import("engWEB2015eb", "WEB");
    answers("select count(*) from bible_verses", "31095");
    answers("select count(*) from bible_chapters", "1189");
    answers("select count(*) from bible_verses where book = 19 and chapter = 119", "176");
    answers("select count(*) from bible_verses where text ~ '¶|strong:[HG]|[<>]|  |^ | $|\\\\'",
            "0");
    answers("select count(*) from bible_verses where text like '%Glossary%' or text = ''", "0");
    verse_is("1, 1, 1", "In the beginning, God created the heavens and the earth.");
    verse_is(
        "43, 3, 16",
        "For God so loved the world, that he gave his only born Son, that whoever believes in him "
        "should not perish, but have eternal life.");
    verse_is("45, 16, 25", "");
    verse_is("66, 22, 21", "The grace of the Lord Jesus Christ be with all the saints. Amen.");
    verse_is("19, 1, 1", "Blessed is the man who doesn’t walk in the counsel of the wicked, nor "
                         "stand on the path of "
                         "sinners, nor sit in the seat of scoffers;");
    answers("select item -> 'content' from bible_chapters, jsonb_array_elements(content) as item"
            " where book = 19 and chapter = 1 and item ->> 'number' = '1'",
            "[{\"poem\": 1, \"text\": \"Blessed is the man who doesn’t walk in the counsel of the "
            "wicked,\"},"
            " {\"poem\": 2, \"text\": \"nor stand on the path of sinners,\"},"
            " {\"poem\": 2, \"text\": \"nor sit in the seat of scoffers;\"}]");
    answers("select content ->> 0 from bible_chapters where book = 19 and chapter = 3",
            "{\"type\": \"hebrew_subtitle\", \"content\": [\"A Psalm by David, when he fled from "
            "Absalom his "
            "son.\"]}");
    answers(
        "select content #>> '{0,content}' from bible_chapters where book = 1 and chapter = 1",
        "[\"In the beginning, God\", {\"noteId\": 1}, \" created the heavens and the earth.\"]");
    answers("select footnotes ->> 0 from bible_chapters where book = 44 and chapter = 8",
            "{\"text\": \"TR adds Philip said, “If you believe with all your heart, you may.” He "
            "answered, “I "
            "believe that Jesus Christ is the Son of God.”\", \"verse\": 37, \"noteId\": 1}");
    answers("select count(*) from bible_chapters, jsonb_array_elements(content) as item"
            " where item ->> 'type' = 'hebrew_subtitle'",
            "116");
    answers("select count(*) from bible_chapters as c, jsonb_array_elements(content) as item"
            " join bible_verses as v on verse = (item ->> 'number')::int"
            " where item ->> 'type' = 'verse' and (v.book, v.chapter) = (c.book, c.chapter)",
            "31095");
}

Test(import, the_same_code_is_replaced_and_another_is_not_touched)
{
    int version;

    cr_assert_eq(bible_add_verse(&bible, 1, 1, 1, STR("One.")), 0);
    cr_assert_eq(bible_add_chapter(&bible, 1, 1, STR("[1]"), STR("[]")), 0);
    store("A", "first");
    store("B", "other");
    version = atoi(postgres_value(conn, "select max(version) from bible_translations"));
    cr_assert_eq(bible_add_verse(&bible, 1, 1, 2, STR("Two\tand \\ more\n.")), 0);
    store("A", "second");
    answers("select string_agg(code || ' ' || name, ', ' order by code) from bible_translations",
            "A second, B other");
    answers("select string_agg(code || verse, ' ' order by code, verse) from bible_verses"
            " join bible_translations on id = translation_id",
            "A1 A2 B1");
    answers("select text from bible_verses where verse = 2", "Two\tand \\ more\n.");
    cr_assert_gt(
        atoi(postgres_value(conn, "select version from bible_translations where code = 'A'")),
        version);
}

Test(import, what_the_database_refuses_changes_nothing)
{
    const struct translation translation = {"A", "second", "test", false};
    char message[STORE_MESSAGE_BYTES] = "";

    cr_assert_eq(bible_add_verse(&bible, 1, 1, 1, STR("One.")), 0);
    cr_assert_eq(bible_add_chapter(&bible, 1, 1, STR("[1]"), STR("[]")), 0);
    store("A", "first");
    cr_assert_eq(bible_add_chapter(&bible, 1, 2, STR("[no json"), STR("[]")), 0);
    cr_assert_eq(bible_store(conn, &translation, &bible, message), -1);
    cr_assert_not_null(strstr(message, "json"), "%s", message);
    cr_assert_eq(PQtransactionStatus(conn), PQTRANS_IDLE);
    answers("select name from bible_translations", "first");
    answers("select count(*) from bible_chapters", "1");
}

Test(import, a_database_without_tables_says_what_to_do)
{
    const struct translation translation = {"A", "name", "test", false};
    char message[STORE_MESSAGE_BYTES] = "";
    PGconn *empty = postgres_connect(postgres_empty_database());

    cr_assert_eq(bible_add_verse(&bible, 1, 1, 1, STR("One.")), 0);
    cr_assert_eq(bible_store(empty, &translation, &bible, message), -1);
    cr_assert_not_null(strstr(message, "lectern migrate"), "%s", message);
    PQfinish(empty);
}

Test(import, modules)
{
    struct sword_module module;
    char message[SWORD_MESSAGE_BYTES];
    struct buffer text;

    cr_assert(sword_find("engKJV2006eb", &module));
    cr_assert_str_eq(module.description, "King James Version");
    cr_assert_str_eq(module.source_type, "OSIS");
    cr_assert_not(sword_find("nosuch", &module));
    cr_assert(sword_name_is_valid("engWEB2015eb"));
    cr_assert_not(sword_name_is_valid("-s"));
    cr_assert_not(sword_name_is_valid(""));
    cr_assert_not(sword_name_is_valid("a b"));
    cr_assert_not(sword_name_is_valid("../x"));
    buffer_init(&text, NULL, SWORD_MAX_BYTES);
    cr_assert_eq(sword_export("nosuch", &text, message), -1);
    cr_assert_not_null(strstr(message, "nosuch"), "%s", message);
    buffer_free(&text);
    buffer_init(&text, NULL, 1 << 20);
    cr_assert_eq(sword_export("engKJV2006eb", &text, message), -1);
    cr_assert_str_eq(message, "the module is too large");
    buffer_free(&text);
    setenv("PATH", "/nonexistent", 1);
    cr_assert_eq(sword_export("engKJV2006eb", &text, message), -1);
    cr_assert_not_null(strstr(message, "not installed"), "%s", message);
}

/* The table of what a user owns (db/owned.def) against the foreign keys of a migrated database: a
 * table that refers to users, or to a text that a user may have imported, and has no row there is
 * found here. What merging and clearing do with the rows: tests/flow/merge_test.py, clear_test.py.
 */
#include "owned.h"
#include "postgres.h"
#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(owned, .timeout = 60);

enum { TEXT_BYTES = 8192 };

static PGconn *conn;

static void set_up(void)
{
    conn = postgres_connect(postgres_database());
}

static void tear_down(void)
{
    PQfinish(conn);
}

/* What stands on one side only, or has another `on delete`. `rows` are those of the list as values:
 * table, column, referred-to table, on delete (null: it does not matter). */
static const char *differences(const char *rows)
{
    char query[2 * TEXT_BYTES];

    snprintf(
        query, sizeof(query),
        "with listed (tab, col, refers, del) as (values %s),"
        " keys as (select conrelid::regclass::text as tab, attname::text as col,"
        "                 confrelid::regclass::text as refers, confdeltype::text as del"
        "            from pg_constraint join pg_attribute on attrelid = conrelid"
        "                 and attnum = any (conkey)"
        "           where contype = 'f' and confrelid::regclass::text in"
        "                 (select refers from listed))"
        " select string_agg(tab || '.' || col || case when listed.tab is null then ' has no row'"
        "                   else ' is no such key' end, ', ' order by tab, col)"
        "   from listed full join keys using (tab, col, refers)"
        "  where keys.del is null or listed.refers is null or listed.del <> keys.del",
        rows);
    return postgres_value(conn, query);
}

static const char *owned_rows(void)
{
    static char text[TEXT_BYTES];
    size_t len = 0;

    for (const struct owned *row = owned; row->table != NULL; row++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s('%s', '%s', 'users', '%s')",
                                len > 0 ? ", " : "", row->table, row->column,
                                row->on_delete == OWNED_cascade ? "c" : "n");
    return text;
}

/* The texts themselves are rows too, which no key refers to. */
static const char *joined_rows(void)
{
    static char text[TEXT_BYTES];
    size_t len = 0;

    for (const struct owned_join *row = owned_joins; row->table != NULL; row++)
        if (strcmp(row->table, row->text) != 0)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s('%s', '%s', '%s', null)",
                                    len > 0 ? ", " : "", row->table, row->column, row->text);
    return text;
}

Test(owned, every_key_to_users_has_a_row, .init = set_up, .fini = tear_down)
{
    cr_expect_str_eq(differences(owned_rows()), "");
}

Test(owned, every_key_to_a_text_has_a_row, .init = set_up, .fini = tear_down)
{
    cr_expect_str_eq(differences(joined_rows()), "");
}

Test(owned, a_new_table_without_a_row_is_found, .init = set_up, .fini = tear_down)
{
    postgres_exec(conn, "create table notes (writer integer references users);"
                        "create table marks (insight integer references saved_insights)");
    cr_expect_str_eq(differences(owned_rows()), "notes.writer has no row");
    cr_expect_str_eq(differences(joined_rows()), "marks.insight has no row");
}

Test(owned, a_row_without_a_key_is_found, .init = set_up, .fini = tear_down)
{
    postgres_exec(conn, "alter table chat_messages drop constraint chat_messages_user_id_fkey;"
                        "alter table user_devices drop constraint user_devices_user_id_fkey,"
                        " add foreign key (user_id) references users on delete set null");
    cr_expect_str_eq(differences(owned_rows()),
                     "chat_messages.user_id is no such key, user_devices.user_id is no such key");
}

/* A text goes only after what is a user's was counted, and after what refers to it was moved. */
Test(owned, texts_come_after_what_refers_to_them)
{
    bool texts = false;

    for (const struct owned *row = owned; row->table != NULL; row++) {
        bool is_text = strcmp(row->column, "imported_by") == 0;

        cr_expect(!texts || is_text || row->clear == NULL, "%s", row->table);
        texts = texts || is_text;
    }
    cr_expect(texts);
}

Test(owned, sections_are_cleared_and_each_belongs_to_one_table)
{
    int found[SECTION_COUNT] = {0};

    for (const struct owned *row = owned; row->table != NULL; row++) {
        found[row->section]++;
        cr_expect(row->section == SECTION_none || row->clear != NULL, "%s", row->table);
        cr_expect_gt(strlen(row->prose), 0);
    }
    for (int section = SECTION_none + 1; section < SECTION_COUNT; section++)
        cr_expect_eq(found[section], 1, "section %d", section);
}

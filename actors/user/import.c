/* What a user takes with him from elsewhere: a document that was exported becomes his data.
 *
 * It is checked as a whole first; then one transaction stores it, a statement a section. The user
 * is locked in it, so that two imports of one document find each other's rows. What is there
 * already is found again: texts by all they say, conversations and messages by what the contract
 * names, the n-th of equal ones by the n-th. */
#include "document.h"
#include "handlers.h"
#include "owned.h"

/* ---- texts: insights and definitions ---- */

/* $1 is the user; `arrays` are the columns. A text that says the same and may be answered to this
 * user is linked; else his own is stored. He can have only one of his own for a passage: of several
 * that say different things of it the first one stays. The subquery keeps the search to the index,
 * a row at a time. */
#define SAVE_TEXTS(kind, columns, arrays, key, text, same_key, same)                               \
    "with doc as materialized"                                                                     \
    "  (select *, md5(" text ") as sum from unnest(" arrays ") with ordinality"                    \
    "       as doc (" columns ", created_at, n)),"                                                 \
    " known as materialized"                                                                       \
    "  (select n, (select id from saved_" kind "s as saved"                                        \
    "               where " same_key " and md5(saved." text ") = doc.sum"                          \
    "                 and coalesce(saved.imported_by, 0) in (0, $1)"                               \
    "                 and saved." text " = doc." text " and " same                                 \
    "               order by saved.imported_by nulls first, id limit 1) as id"                     \
    "     from doc),"                                                                              \
    " fresh as"                                                                                    \
    "  (select distinct on (" key ", sum) n from doc join known using (n) where known.id is null"  \
    "    order by " key ", sum, n),"                                                               \
    " made as"                                                                                     \
    "  (insert into saved_" kind "s (" columns ", created_at, imported_by)"                        \
    "   select " columns ", created_at, $1 from doc join fresh using (n) order by n"               \
    "   on conflict (" key ", md5(" text "), coalesce(imported_by, 0)) do nothing"                 \
    "   returning id, " key ", md5(" text ") as sum),"                                             \
    " found as materialized"                                                                       \
    "  (select n, created_at, coalesce(known.id, made.id,"                                         \
    "              (select id from saved_" kind "s as saved"                                       \
    "                where " same_key " and md5(saved." text ") = doc.sum"                         \
    "                  and coalesce(saved.imported_by, 0) = $1)) as id"                            \
    "     from doc join known using (n) left join made using (" key ", sum)),"                     \
    " linked as"                                                                                   \
    "  (insert into user_" kind "s (user_id, " kind "_id, created_at)"                             \
    "   select $1, id, min(created_at) from found group by id on conflict do nothing returning 1)" \
    " select id, (select count(*) from linked) as added from found order by n"

STATEMENT_WRITE(
    import_insights,
    SAVE_TEXTS("insight",
               "passage_reference, passage_text, historical_context, theological_significance,"
               " practical_application",
               "$2, $3, $4, $5, $6, $7", "passage_reference", "passage_text",
               "saved.passage_reference = doc.passage_reference",
               "saved.historical_context = doc.historical_context"
               " and saved.theological_significance = doc.theological_significance"
               " and saved.practical_application = doc.practical_application"));

STATEMENT_WRITE(
    import_definitions,
    SAVE_TEXTS("definition",
               "word, passage_reference, verse_text, definition, biblical_usage, original_language",
               "$2, $3, $4, $5, $6, $7, $8", "word, passage_reference", "verse_text",
               "saved.word = doc.word and saved.passage_reference = doc.passage_reference",
               "saved.definition = doc.definition"
               " and saved.biblical_usage = doc.biblical_usage"
               " and saved.original_language = doc.original_language"));

/* ---- conversations that stand alone ---- */

STATEMENT_WRITE(
    import_chats,
    "with doc as materialized"
    "  (select *, md5(passage_text) as sum,"
    "          row_number() over (partition by created_at, title, passage_reference,"
    "                             md5(passage_text) order by n) as nth"
    "     from unnest($2, $3, $4, $5, $6) with ordinality"
    "       as doc (title, passage_reference, passage_text, created_at, updated_at, n)),"
    " held as"
    "  (select id, created_at, title, passage_reference, md5(passage_text) as sum,"
    "          row_number() over (partition by created_at, title, passage_reference,"
    "                             md5(passage_text) order by id) as nth"
    "     from standalone_chats where user_id = $1 and created_at = any ($5)),"
    " found as materialized"
    "  (select n, held.id is null as fresh,"
    "          coalesce(held.id, nextval(pg_get_serial_sequence('standalone_chats', "
    "'id')))::integer"
    "              as id"
    "     from doc left join held on held.created_at = doc.created_at and held.nth = doc.nth"
    "      and held.title is not distinct from doc.title"
    "      and held.passage_reference is not distinct from doc.passage_reference"
    "      and held.sum is not distinct from doc.sum"
    "    order by n),"
    " made as"
    "  (insert into standalone_chats"
    "          (id, user_id, title, passage_reference, passage_text, created_at, updated_at)"
    "   select id, $1, title, passage_reference, passage_text, created_at, updated_at"
    "     from doc join found using (n) where fresh order by n returning 1)"
    " select id, (select count(*) from made) as added from found order by n");

/* ---- messages ---- */

/* $2 to $5 are the columns, $6 the number of each message's owner, $7 the owners' ids by number.
 * `owner` is the column that refers to it, `mine` what else holds of the user's own. */
#define SAVE_MESSAGES(table, owner, mine, more_columns, more_values)                               \
    "with doc as materialized"                                                                     \
    "  (select ($7)[number] as owner, role, content, created_at, was_truncated, n,"                \
    "          md5(content) as sum"                                                                \
    "     from unnest($2, $3, $4, $5, $6) with ordinality"                                         \
    "       as doc (role, content, created_at, was_truncated, number, n)),"                        \
    " counted as"                                                                                  \
    "  (select n, owner, role, created_at, sum,"                                                   \
    "          row_number() over (partition by owner, role, created_at, sum order by n) as nth"    \
    "     from doc),"                                                                              \
    " held as"                                                                                     \
    "  (select " owner " as owner, role, created_at, md5(content) as sum, count(*) as times"       \
    "     from " table "    where " owner " = any ($7) and " mine "      and (" owner              \
    ", created_at) in (select owner, created_at from doc)"                                         \
    "    group by 1, 2, 3, 4),"                                                                    \
    " made as"                                                                                     \
    "  (insert into " table " (" owner ", role, content, was_truncated, created_at" more_columns   \
    ")"                                                                                            \
    "   select doc.owner, doc.role, content, was_truncated, doc.created_at" more_values            \
    "     from doc join counted using (n)"                                                         \
    "     left join held on held.owner = doc.owner and held.role = doc.role"                       \
    "      and held.created_at = doc.created_at and held.sum = doc.sum"                            \
    "    where nth > coalesce(times, 0) order by n returning 1)"                                   \
    " select count(*) as added from made"

STATEMENT_WRITE(import_insight_messages,
                SAVE_MESSAGES("chat_messages", "insight_id", "user_id = $1", ", user_id", ", $1"));
STATEMENT_WRITE(import_chat_messages,
                SAVE_MESSAGES("standalone_chat_messages", "chat_id", "$1 is not null", "", ""));

/* ---- storing ---- */

struct import {
    struct document *document;
    struct user_counts *added;
    struct array owners; /* ids of the section whose messages come next */
};

/* Stores a section; `owners` NULL: it has none. */
static int ask(struct call *call, const struct statement *statement,
               struct document_section *section, struct array *owners, struct rows *rows)
{
    struct param items[COLUMNS_MOST + 3];
    unsigned count = 0;

    items[count++] = p_i32(call->user_id);
    for (unsigned i = 0; i < section->column_count; i++)
        items[count++] = p_array(&section->columns[i]);
    if (owners != NULL) {
        items[count++] = p_array(&section->owner);
        items[count++] = p_array(owners);
    }
    return db_query(call, statement, (struct params){items, count}, rows);
}

/* Stores the items of a section and keeps their ids. */
static int store_items(struct call *call, struct import *import, enum document_part part,
                       const struct statement *statement, int64_t *added)
{
    struct document_section *section = &import->document->sections[part];
    struct rows rows;

    *added = 0;
    if (section->count == 0)
        return 0;
    if (ask(call, statement, section, NULL, &rows) != 0)
        return -1;
    *added = row_i64(&rows, 0, "added");
    array_free(&import->owners);
    array_init(&import->owners, ARRAY_i32, sizeof(int64_t) * (rows.count + COLUMNS_MOST));
    for (size_t i = 0; i < rows.count; i++)
        array_add_i32(&import->owners, (int32_t)row_i64(&rows, i, "id"));
    return array_failed(&import->owners) ? fail(call, busy, "no memory for ids") : 0;
}

static int store_messages(struct call *call, struct import *import, enum document_part part,
                          const struct statement *statement, int64_t *added)
{
    struct document_section *section = &import->document->sections[part];
    struct rows rows;

    *added = 0;
    if (section->count == 0)
        return 0;
    if (ask(call, statement, section, &import->owners, &rows) != 0)
        return -1;
    *added = row_i64(&rows, 0, "added");
    return 0;
}

/* Plans are made for the arrays as they are: one made for few rows would join many by trying all
 * pairs. */
STATEMENT_WRITE(plan_anew, "set local plan_cache_mode = force_custom_plan");

/* The transaction. */
static int store(struct call *call, void *arg)
{
    struct import *import = arg;
    struct user_counts *added = import->added;
    int64_t in_chats; /* messages of conversations that stand alone are not counted */
    struct rows rows;

    if (owned_lock(call) != 0 || db_query(call, &plan_anew, NO_PARAMS, &rows) != 0 ||
        store_items(call, import, PART_insights, &import_insights, &added->insights) != 0 ||
        store_messages(call, import, PART_insight_messages, &import_insight_messages,
                       &added->chat_messages) != 0 ||
        store_items(call, import, PART_chats, &import_chats, &added->standalone_chats) != 0 ||
        store_messages(call, import, PART_chat_messages, &import_chat_messages, &in_chats) != 0)
        return -1;
    return store_items(call, import, PART_definitions, &import_definitions, &added->definitions);
}

/* Whether there is such a user is told before what is wrong with the document. */
STATEMENT(import_for, WITH_ME " select me.id, me.kept from me");

static int run(struct call *call, struct str bytes, struct user_counts *added)
{
    struct import import = {.added = added};
    struct rows rows;
    int result;

    if (db_query_as_user(call, &import_for, NO_PARAMS, &rows) != 0)
        return -1;
    import.document = document_read(call, bytes);
    if (import.document == NULL)
        return -1;
    result = tx_run(call, store, &import);
    array_free(&import.owners);
    return result;
}

int user_import_user_data(struct call *call, const struct user_import_user_data_in *in,
                          struct user_import_user_data_out *out)
{
    struct user_counts *added = arena_zalloc(&call->arena, sizeof(*added));

    if (added == NULL)
        return fail(call, busy, "no memory for the counts");
    if (run(call, in->data, added) != 0)
        return -1;
    out->message = STR("User data imported successfully");
    out->imported = added;
    return 0;
}

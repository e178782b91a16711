/* Statements made from the rows of owned.def; see owned.h. */
#include "owned.h"
#include <inttypes.h>

/* ---- merging: $1 is the user who is kept, $2 the one who goes ---- */

#define MERGE_move(table, column, key)                                                             \
    "update " #table " set " #column " = $1 where " #column " = $2"

/* What is left over goes with the user. */
#define MERGE_once(table, column, key)                                                             \
    "update " #table " set " #column " = $1 where " #column " = $2 and not exists"                 \
    " (select from " #table " as own where own." #column " = $1 and own." #key " = " #table        \
    "." #key ")"

/* Deleting waits for those who count at that moment, and takes what they leave. */
#define MERGE_add(table, column, key)                                                              \
    "with theirs as (delete from " #table " where " #column " = $2 returning *)"                   \
    " insert into " #table " as own (" #column ", " #key ", llm_calls, reserved, created_at)"      \
    " select $1, " #key ", llm_calls, reserved, created_at from theirs"                            \
    " on conflict (" #column ", " #key ") do update set updated_at = now(),"                       \
    "     llm_calls = own.llm_calls + excluded.llm_calls,"                                         \
    "     reserved = own.reserved || excluded.reserved"

/* Texts are the same where the unique index says so. */
#define SAME_saved_insights "md5(own.passage_text) = md5(theirs.passage_text)"
#define SAME_saved_definitions                                                                     \
    "own.word = theirs.word and md5(own.verse_text) = md5(theirs.verse_text)"

#define PAIRS(text)                                                                                \
    "(select theirs.id as gone, own.id as kept from " #text " as theirs join " #text " as own"     \
    "     on own.passage_reference = theirs.passage_reference and " SAME_##text                    \
        "  where theirs.imported_by = $2 and coalesce(own.imported_by, 0) = $1) as pair"

#define JOIN_many(text, table, column)                                                             \
    "update " #table " set " #column " = pair.kept from " PAIRS(text) " where " #column            \
                                                                      " = pair.gone"
#define JOIN_once(text, table, column)                                                             \
    JOIN_many(text, table, column) " and not exists (select from " #table " as own"                \
                                   "                  where own.user_id = " #table                 \
                                   ".user_id and own." #column " = pair.kept)"
#define JOIN_drop(text, table, column)                                                             \
    "delete from " #table " using " PAIRS(text) " where " #table "." #column " = pair.gone"

#define OWNED(table, column, merge, key, ...)                                                      \
    STATEMENT_WRITE(merge_##table##_##column, MERGE_##merge(table, column, key));
#define JOINED(text, table, column, rule, ...)                                                     \
    STATEMENT_WRITE(join_##table##_##column, JOIN_##rule(text, table, column));
#include "owned.def"
#undef OWNED
#undef JOINED

#define OWNED(table, column, ...) &merge_##table##_##column,
#define JOINED(text, table, column, ...) &join_##table##_##column,
static const struct statement *const merge_steps[] = {
#include "owned.def"
};
#undef OWNED
#undef JOINED

/* ---- clearing: $1 is the user ---- */

#define CLEAR_cleared(table, column)                                                               \
    "with gone as (delete from " #table " where " #column " = $1 returning 1)"                     \
    " select count(*) as gone from gone"

/* No key says that the summary of a conversation belongs to it. */
#define CLEAR_cleared_chats(table, column)                                                         \
    "with gone as (delete from " #table " where " #column " = $1 returning id),"                   \
    " summaries as (delete from conversation_summaries"                                            \
    "                where conversation_type = 'standalone'"                                       \
    "                  and conversation_id = any (array(select id from gone)))"                    \
    " select count(*) as gone from gone"

#define JOINED(...)
#define CLEARS_cleared(table, column)                                                              \
    STATEMENT_WRITE(clear_##table##_##column, CLEAR_cleared(table, column));
#define CLEARS_cleared_chats(table, column)                                                        \
    STATEMENT_WRITE(clear_##table##_##column, CLEAR_cleared_chats(table, column));
#define CLEARS_stays(table, column)
#define OWNED(table, column, merge, key, on_delete, clear, ...) CLEARS_##clear(table, column)
#include "owned.def"
#undef OWNED
#undef JOINED

/* ---- the rows ---- */

#define CLEARED_BY_cleared(table, column) &clear_##table##_##column
#define CLEARED_BY_cleared_chats(table, column) &clear_##table##_##column
#define CLEARED_BY_stays(table, column) NULL
#define JOINED(...)
#define OWNED(table, column, merge, key, on_delete, clear, section, prose)                         \
    {#table, #column, OWNED_##on_delete, CLEARED_BY_##clear(table, column), SECTION_##section,     \
     prose},
const struct owned owned[] = {
#include "owned.def"
    {.table = NULL}};
#undef OWNED
#undef JOINED

#define OWNED(...)
#define JOINED(text, table, column, rule, prose) {#text, #table, #column, prose},
const struct owned_join owned_joins[] = {
#include "owned.def"
    {.table = NULL}};

/* ---- what is done with them ---- */

/* Whom a lock waited for may have been merged or deleted meanwhile: then `locked` is false, and the
 * next look shows what became of him. */
#define LOCK(strength)                                                                             \
    WITH_ME ", locked as (select users.id from users join me using (id) for " strength             \
            " of users)"                                                                           \
            " select me.id, me.kept, exists (select from locked) as locked from me"

STATEMENT_WRITE(lock_owner, LOCK("no key update"));
STATEMENT_WRITE(lock_owner_all, LOCK("update"));

static int lock(struct call *call, const struct statement *statement)
{
    struct rows rows;

    do {
        call->reply_user = NO_STR;
        if (db_query_as_user(call, statement, NO_PARAMS, &rows) != 0)
            return -1;
    } while (!row_bool(&rows, 0, "locked"));
    return 0;
}

int owned_lock(struct call *call)
{
    return lock(call, &lock_owner);
}

int owned_lock_all(struct call *call)
{
    return lock(call, &lock_owner_all);
}

STATEMENT_WRITE(end_merge,
                "with gone as (delete from users where id = $2"
                "              returning anonymous_id, pro_subscription),"
                " remembered as (insert into merged_users (anonymous_id, user_id)"
                "                select anonymous_id, $1 from gone)"
                " update users set device_count = greatest(1, (select count(*) from user_devices"
                "                                               where user_id = $1)),"
                "        pro_subscription = users.pro_subscription or gone.pro_subscription"
                "   from gone where id = $1 returning device_count");

int owned_merge(struct call *call, int32_t kept, int32_t gone, int64_t *device_count)
{
    struct params params = PARAMS(p_i32(kept), p_i32(gone));
    struct rows rows;

    for (size_t i = 0; i < sizeof(merge_steps) / sizeof(merge_steps[0]); i++)
        if (db_query(call, merge_steps[i], params, &rows) != 0)
            return -1;
    if (db_query(call, &end_merge, params, &rows) != 0)
        return -1;
    if (rows.count == 0)
        return fail(call, internal, "user %" PRId32 " or %" PRId32 " is not there", kept, gone);
    *device_count = row_i64(&rows, 0, "device_count");
    return 0;
}

int owned_clear(struct call *call, int32_t user_id, int64_t counts[SECTION_COUNT])
{
    struct rows rows;

    memset(counts, 0, SECTION_COUNT * sizeof(*counts));
    for (const struct owned *row = owned; row->table != NULL; row++) {
        if (row->clear == NULL)
            continue;
        if (db_query(call, row->clear, PARAMS(p_i32(user_id)), &rows) != 0)
            return -1;
        counts[row->section] += row_i64(&rows, 0, "gone");
    }
    return 0;
}

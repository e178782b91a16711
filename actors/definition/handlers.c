/* The domain `definition`: what is said about words in their verses, and who saved it.
 *
 * A definition is everybody's, unless somebody imported it: then it is found by, linked to and
 * shown to that user alone. */
#include "definition.h"
#include "list.h"
#include "llm/llm.h"
#include <inttypes.h>

/* ---- save_definition ---- */

/* Links what is stored for the word and verse; the user's own comes before everybody's. */
STATEMENT_WRITE(find_definition, WITH_ME_LOCKED
                ", known as (select saved_definitions.id, definition, biblical_usage,"
                "                   original_language"
                "              from me join saved_definitions"
                "                on word = $2 and passage_reference = $3"
                "               and md5(verse_text) = md5($4)"
                "               and coalesce(imported_by, 0) in (0, me.id) and verse_text = $4"
                "             order by imported_by limit 1),"
                " linked as (insert into user_definitions (user_id, definition_id)"
                "            select me.id, known.id from me, known on conflict do nothing)"
                " select me.id as user_id, me.kept, known.* from me left join known on true");

/* Stores it, for everybody or ($8) as the user's own, and links it. No id: one of that word,
 * reference and MD5 is there. */
STATEMENT_WRITE(make_definition, WITH_ME_LOCKED
                ", made as (insert into saved_definitions (word, passage_reference, verse_text,"
                "                       definition, biblical_usage, original_language,"
                "                       imported_by)"
                "           select $2, $3, $4, $5, $6, $7, case when $8 then me.id end"
                "             from me on conflict do nothing returning id),"
                " linked as (insert into user_definitions (user_id, definition_id)"
                "            select me.id, made.id from me, made)"
                " select me.id as user_id, me.kept, made.id from me left join made on true");

int definition_find(struct call *call, const struct definition_key *key, int64_t *id,
                    struct definition_parts *parts)
{
    struct rows rows;

    if (db_query_as_user(call, &find_definition,
                         PARAMS(p_str(key->word), p_str(key->reference), p_str(key->verse)),
                         &rows) != 0)
        return -1;
    *id = row_i64(&rows, 0, "id");
    if (*id != INT_ABSENT)
        row_fill(&rows, 0, &record_definition_parts, parts);
    return 0;
}

/* 0 with out->stored: whether nothing stood in the way. */
static int make(struct call *call, const struct definition_save_definition_in *in, bool own,
                struct definition_save_definition_out *out)
{
    struct rows rows;

    if (db_query_as_user(call, &make_definition,
                         PARAMS(p_str(in->word), p_str(in->passage_reference),
                                p_str(in->verse_text), p_str(in->definition),
                                p_str(in->biblical_usage), p_str(in->original_language),
                                p_bool(own)),
                         &rows) != 0)
        return -1;
    out->id = row_i64(&rows, 0, "id");
    out->stored = out->id != INT_ABSENT;
    return 0;
}

/* What stands in the way is a definition of the same word and verse that came after the look for
 * it, which the next look finds; or one for another text of the same MD5. Then this one is stored
 * as the user's own. */
int definition_save_definition(struct call *call, const struct definition_save_definition_in *in,
                               struct definition_save_definition_out *out)
{
    struct definition_parts *parts = arena_alloc(&call->arena, sizeof(*parts));
    struct definition_key key = {in->word, in->passage_reference, in->verse_text};

    if (parts == NULL)
        return fail(call, busy, "no memory for the definition");
    *parts = (struct definition_parts){in->definition, in->biblical_usage, in->original_language};
    out->definition = parts;
    for (int made = 0;; made++) {
        if (definition_find(call, &key, &out->id, parts) != 0)
            return -1;
        if (out->id != INT_ABSENT)
            return 0;
        if (made == 2)
            return fail(call, definition_collides, "one more text of a known MD5");
        if (make(call, in, made == 1, out) != 0)
            return -1;
        if (out->stored)
            return 0;
    }
}

/* ---- link_definition_to_user ---- */

STATEMENT_WRITE(link_definition, WITH_ME_LOCKED
                ", known as (select saved_definitions.id from me join saved_definitions"
                "                on saved_definitions.id = $2"
                "               and (imported_by is null or imported_by = me.id)),"
                " linked as (insert into user_definitions (user_id, definition_id)"
                "            select me.id, known.id from me, known"
                "            on conflict do nothing returning 1)"
                " select me.id as user_id, me.kept, exists (select from known) as known,"
                "        exists (select from linked) as linked from me");

int definition_link_definition_to_user(struct call *call,
                                       const struct definition_link_definition_to_user_in *in,
                                       struct definition_link_definition_to_user_out *out)
{
    struct rows rows;

    if (db_query_as_user(call, &link_definition, PARAMS(p_i64(in->definition_id)), &rows) != 0)
        return -1;
    if (!row_bool(&rows, 0, "known"))
        return fail(call, definition_not_found, "definition %" PRId64, in->definition_id);
    out->linked = row_bool(&rows, 0, "linked");
    return 0;
}

/* ---- get_user_definitions ---- */

LIST_STATEMENT(list_definitions,
               "list_id::text as id, word, passage_reference, verse_text, definition,"
               " biblical_usage, original_language, list_time as timestamp",
               "select definition_id as list_id, created_at as list_time, saved.* from"
               " (select definition_id, created_at from user_definitions"
               "   where user_id = me.id and (created_at, definition_id) < ($2, $3)"
               "   order by created_at desc, definition_id desc limit $4) as link"
               " cross join lateral"
               " (select word, passage_reference, verse_text, definition, biblical_usage,"
               "         original_language,"
               "         octet_length(verse_text) + octet_length(definition)"
               "         + octet_length(biblical_usage) + octet_length(original_language)"
               "           as list_size"
               "    from saved_definitions where id = definition_id offset 0) as saved");

static int fill_history(const struct list *list, const struct rows *rows,
                        struct definition_get_user_definitions_out *out)
{
    struct definition_parts *parts = rows_fill(list->call, rows, &record_definition_parts);
    struct definition_saved *items =
        list_fill(list, rows, &record_definition_saved, &out->definitions.count);

    if (parts == NULL || items == NULL)
        return -1;
    for (size_t i = 0; i < out->definitions.count; i++)
        items[i].definition = &parts[i];
    out->definitions.items = items;
    return 0;
}

int definition_get_user_definitions(struct call *call,
                                    const struct definition_get_user_definitions_in *in,
                                    struct definition_get_user_definitions_out *out)
{
    struct list list;
    struct rows rows;

    list_open(&list, call, in->limit, LIST_NEWEST_FIRST);
    do {
        if (db_query_as_user(call, &list_definitions, PARAMS(LIST_PARAMS(&list)), &rows) != 0 ||
            fill_history(&list, &rows, out) != 0)
            return -1;
    } while (list_goes_on(&list, &rows, out));
    return list_result(&list);
}

/* ---- clear_user_definitions ---- */

STATEMENT_WRITE(
    clear_definitions,
    WITH_ME ", gone as (delete from user_definitions using me where user_id = me.id returning 1)"
            " select me.id as user_id, me.kept, (select count(*) from gone) as gone from me");

int definition_clear_user_definitions(struct call *call,
                                      const struct definition_clear_user_definitions_in *in,
                                      struct definition_clear_user_definitions_out *out)
{
    struct rows rows;

    (void)in;
    if (db_query_as_user(call, &clear_definitions, NO_PARAMS, &rows) != 0)
        return -1;
    out->message = arena_format(&call->arena, "Cleared %" PRId64 " definitions from history",
                                row_i64(&rows, 0, "gone"));
    return out->message.ptr != NULL ? 0 : fail(call, busy, "no memory for the message");
}

const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 8, .open = definition_open,
                                     .close = llm_close};

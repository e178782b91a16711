/* The domain `insight`: what is said about passages, and who saved it.
 *
 * An insight is everybody's, unless somebody imported it: then it is found by, linked to and shown
 * to that user alone. */
#include "insight.h"
#include "list.h"
#include "llm/llm.h"
#include <inttypes.h>

/* ---- save_insight ---- */

/* Links what is stored for the passage; the user's own comes before everybody's. */
STATEMENT_WRITE(find_insight, WITH_ME_LOCKED
                ", known as (select saved_insights.id, historical_context,"
                "                   theological_significance, practical_application"
                "              from me join saved_insights"
                "                on passage_reference = $2"
                "               and md5(passage_text) = md5($3)"
                "               and coalesce(imported_by, 0) in (0, me.id) and passage_text = $3"
                "             order by imported_by limit 1),"
                " linked as (insert into user_insights (user_id, insight_id)"
                "            select me.id, known.id from me, known on conflict do nothing)"
                " select me.id as user_id, me.kept, known.* from me left join known on true");

/* Stores it, for everybody or ($7) as the user's own, and links it. No id: one of that reference
 * and MD5 is there. */
STATEMENT_WRITE(make_insight, WITH_ME_LOCKED
                ", made as (insert into saved_insights (passage_reference, passage_text,"
                "                       historical_context, theological_significance,"
                "                       practical_application, imported_by)"
                "           select $2, $3, $4, $5, $6, case when $7 then me.id end"
                "             from me on conflict do nothing returning id),"
                " linked as (insert into user_insights (user_id, insight_id)"
                "            select me.id, made.id from me, made)"
                " select me.id as user_id, me.kept, made.id from me left join made on true");

int insight_find(struct call *call, struct str reference, struct str text, int64_t *id,
                 struct insight_parts *parts)
{
    struct rows rows;

    if (db_query_as_user(call, &find_insight, PARAMS(p_str(reference), p_str(text)), &rows) != 0)
        return -1;
    *id = row_i64(&rows, 0, "id");
    if (*id != INT_ABSENT)
        row_fill(&rows, 0, &record_insight_parts, parts);
    return 0;
}

/* 0 with out->stored: whether nothing stood in the way. */
static int make(struct call *call, const struct insight_save_insight_in *in, bool own,
                struct insight_save_insight_out *out)
{
    struct rows rows;

    if (db_query_as_user(call, &make_insight,
                         PARAMS(p_str(in->passage_reference), p_str(in->passage_text),
                                p_str(in->historical_context), p_str(in->theological_significance),
                                p_str(in->practical_application), p_bool(own)),
                         &rows) != 0)
        return -1;
    out->id = row_i64(&rows, 0, "id");
    out->stored = out->id != INT_ABSENT;
    return 0;
}

/* What stands in the way is an insight for the same passage that came after the look for it, which
 * the next look finds; or one for another text of the same MD5. Then this one is stored as the
 * user's own. */
int insight_save_insight(struct call *call, const struct insight_save_insight_in *in,
                         struct insight_save_insight_out *out)
{
    struct insight_parts *parts = arena_alloc(&call->arena, sizeof(*parts));

    if (parts == NULL)
        return fail(call, busy, "no memory for the insight");
    *parts = (struct insight_parts){in->historical_context, in->theological_significance,
                                    in->practical_application};
    out->insight = parts;
    for (int made = 0;; made++) {
        if (insight_find(call, in->passage_reference, in->passage_text, &out->id, parts) != 0)
            return -1;
        if (out->id != INT_ABSENT)
            return 0;
        if (made == 2)
            return fail(call, insight_collides, "one more text of a known MD5");
        if (make(call, in, made == 1, out) != 0)
            return -1;
        if (out->stored)
            return 0;
    }
}

/* ---- link_insight_to_user ---- */

STATEMENT_WRITE(link_insight, WITH_ME_LOCKED
                ", known as (select saved_insights.id from me join saved_insights"
                "                on saved_insights.id = $2"
                "               and (imported_by is null or imported_by = me.id)),"
                " linked as (insert into user_insights (user_id, insight_id)"
                "            select me.id, known.id from me, known"
                "            on conflict do nothing returning 1)"
                " select me.id as user_id, me.kept, exists (select from known) as known,"
                "        exists (select from linked) as linked from me");

int insight_link_insight_to_user(struct call *call,
                                 const struct insight_link_insight_to_user_in *in,
                                 struct insight_link_insight_to_user_out *out)
{
    struct rows rows;

    if (db_query_as_user(call, &link_insight, PARAMS(p_i64(in->insight_id)), &rows) != 0)
        return -1;
    if (!row_bool(&rows, 0, "known"))
        return fail(call, insight_not_found, "insight %" PRId64, in->insight_id);
    out->linked = row_bool(&rows, 0, "linked");
    return 0;
}

/* ---- get_user_insights ---- */

LIST_STATEMENT(list_insights,
               "list_id::text as id, reference, text, historical_context,"
               " theological_significance, practical_application, list_time as timestamp",
               "select insight_id as list_id, created_at as list_time, saved.* from"
               " (select insight_id, created_at from user_insights"
               "   where user_id = me.id and (created_at, insight_id) < ($2, $3)"
               "   order by created_at desc, insight_id desc limit $4) as link"
               " cross join lateral"
               " (select passage_reference as reference, passage_text as text,"
               "         historical_context, theological_significance, practical_application,"
               "         octet_length(passage_text) + octet_length(historical_context)"
               "         + octet_length(theological_significance)"
               "         + octet_length(practical_application) as list_size"
               "    from saved_insights where id = insight_id offset 0) as saved");

static int fill_history(const struct list *list, const struct rows *rows,
                        struct insight_get_user_insights_out *out)
{
    struct insight_parts *parts = rows_fill(list->call, rows, &record_insight_parts);
    struct insight_saved *items =
        list_fill(list, rows, &record_insight_saved, &out->insights.count);

    if (parts == NULL || items == NULL)
        return -1;
    for (size_t i = 0; i < out->insights.count; i++)
        items[i].insight = &parts[i];
    out->insights.items = items;
    return 0;
}

int insight_get_user_insights(struct call *call, const struct insight_get_user_insights_in *in,
                              struct insight_get_user_insights_out *out)
{
    struct list list;
    struct rows rows;

    list_open(&list, call, in->limit, LIST_NEWEST_FIRST);
    do {
        if (db_query_as_user(call, &list_insights, PARAMS(LIST_PARAMS(&list)), &rows) != 0 ||
            fill_history(&list, &rows, out) != 0)
            return -1;
    } while (list_goes_on(&list, &rows, out));
    return list_result(&list);
}

/* ---- clear_user_insights ---- */

STATEMENT_WRITE(clear_insights, WITH_ME_LOCKED
                ", gone as (delete from user_insights using me where user_id = me.id returning 1)"
                " select me.id as user_id, me.kept, (select count(*) from gone) as gone from me");

int insight_clear_user_insights(struct call *call, const struct insight_clear_user_insights_in *in,
                                struct insight_clear_user_insights_out *out)
{
    struct rows rows;

    (void)in;
    if (db_query_as_user(call, &clear_insights, NO_PARAMS, &rows) != 0)
        return -1;
    out->message = arena_format(&call->arena, "Cleared %" PRId64 " insights from history",
                                row_i64(&rows, 0, "gone"));
    return out->message.ptr != NULL ? 0 : fail(call, busy, "no memory for the message");
}

const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 8, .open = insight_open,
                                     .close = llm_close};

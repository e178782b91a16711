/* The domain `chat`: conversations about an insight, and those that stand alone.
 *
 * A conversation about an insight is one user's, although the insight is everybody's. */
#include "converse.h"
#include "list.h"
#include "llm/llm.h"
#include <inttypes.h>

/* ---- get_chat_messages ---- */

LIST_STATEMENT(list_chat_messages, "list_id as id, role, content, list_time as timestamp",
               "select id as list_id, created_at as list_time, role, content,"
               "       octet_length(content) as list_size from chat_messages"
               " where user_id = me.id and insight_id = $6 and (created_at, id) > ($2, $3)"
               " order by created_at, id limit $4");

int chat_get_chat_messages(struct call *call, const struct chat_get_chat_messages_in *in,
                           struct chat_get_chat_messages_out *out)
{
    struct list list;
    struct rows rows;

    list_open(&list, call, LIST_ALL, LIST_OLDEST_FIRST);
    do {
        if (db_query_as_user(call, &list_chat_messages,
                             PARAMS(LIST_PARAMS(&list), p_i64(in->insight_id)), &rows) != 0)
            return -1;
        out->messages.items = list_fill(&list, &rows, &record_chat_message, &out->messages.count);
        if (out->messages.items == NULL)
            return -1;
    } while (list_goes_on(&list, &rows, out));
    return list_result(&list);
}

/* ---- clear_chat_messages ---- */

STATEMENT_WRITE(clear_chat_messages, WITH_ME_LOCKED
                ", gone as (delete from chat_messages using me"
                "            where user_id = me.id and insight_id = $2 returning 1),"
                " forgotten as (delete from insight_chat_summaries using me"
                "                where user_id = me.id and insight_id = $2)"
                " select me.id as user_id, me.kept, (select count(*) from gone) as gone from me");

int chat_clear_chat_messages(struct call *call, const struct chat_clear_chat_messages_in *in,
                             struct chat_clear_chat_messages_out *out)
{
    struct rows rows;

    if (db_query_as_user(call, &clear_chat_messages, PARAMS(p_i64(in->insight_id)), &rows) != 0)
        return -1;
    out->message =
        arena_format(&call->arena, "Cleared %" PRId64 " chat messages", row_i64(&rows, 0, "gone"));
    return out->message.ptr != NULL ? 0 : fail(call, busy, "no memory for the message");
}

/* ---- get_standalone_chats ---- */

LIST_STATEMENT(list_chats,
               "list_id as id, title, passage_reference, passage_text, created_at,"
               " list_time as updated_at",
               "select id as list_id, updated_at as list_time, title, passage_reference,"
               "       passage_text, created_at,"
               "       octet_length(coalesce(passage_text, '')) as list_size"
               "  from standalone_chats"
               " where user_id = me.id and (updated_at, id) < ($2, $3)"
               " order by updated_at desc, id desc limit $4");

int chat_get_standalone_chats(struct call *call, const struct chat_get_standalone_chats_in *in,
                              struct chat_get_standalone_chats_out *out)
{
    struct list list;
    struct rows rows;

    list_open(&list, call, in->limit, LIST_NEWEST_FIRST);
    do {
        if (db_query_as_user(call, &list_chats, PARAMS(LIST_PARAMS(&list)), &rows) != 0)
            return -1;
        out->chats.items = list_fill(&list, &rows, &record_chat_chat, &out->chats.count);
        if (out->chats.items == NULL)
            return -1;
    } while (list_goes_on(&list, &rows, out));
    return list_result(&list);
}

/* ---- get_standalone_chat_messages ---- */

LIST_STATEMENT(list_standalone_chat_messages,
               "list_id as id, role, content, list_time as timestamp",
               "select said.* from standalone_chats as chat cross join lateral"
               " (select id as list_id, created_at as list_time, role, content,"
               "         octet_length(content) as list_size from standalone_chat_messages"
               "   where chat_id = chat.id and (created_at, id) > ($2, $3)"
               "   order by created_at, id limit $4) as said"
               " where chat.id = $6 and chat.user_id = me.id");

int chat_get_standalone_chat_messages(struct call *call,
                                      const struct chat_get_standalone_chat_messages_in *in,
                                      struct chat_get_standalone_chat_messages_out *out)
{
    struct list list;
    struct rows rows;

    list_open(&list, call, LIST_ALL, LIST_OLDEST_FIRST);
    do {
        if (db_query_as_user(call, &list_standalone_chat_messages,
                             PARAMS(LIST_PARAMS(&list), p_i64(in->chat_id)), &rows) != 0)
            return -1;
        out->messages.items = list_fill(&list, &rows, &record_chat_message, &out->messages.count);
        if (out->messages.items == NULL)
            return -1;
    } while (list_goes_on(&list, &rows, out));
    return list_result(&list);
}

/* ---- delete_standalone_chat ---- */

/* Its messages go with it, by their foreign key. */
STATEMENT_WRITE(delete_chat, WITH_ME_LOCKED
                ", gone as (delete from standalone_chats as chat using me"
                "            where user_id = me.id and chat.id = $2 returning chat.id),"
                " forgotten as (delete from conversation_summaries using gone"
                "                where conversation_type = 'standalone'"
                "                  and conversation_id = gone.id)"
                " select me.id as user_id, me.kept, exists (select from gone) as gone from me");

int chat_delete_standalone_chat(struct call *call, const struct chat_delete_standalone_chat_in *in,
                                struct chat_delete_standalone_chat_out *out)
{
    struct rows rows;

    if (db_query_as_user(call, &delete_chat, PARAMS(p_i64(in->chat_id)), &rows) != 0)
        return -1;
    if (!row_bool(&rows, 0, "gone"))
        return fail(call, chat_not_found, "chat %" PRId64, in->chat_id);
    out->message = STR("Chat deleted successfully");
    return 0;
}

const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 8, .open = chat_open,
                                     .close = llm_close};

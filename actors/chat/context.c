/* The context of conversations; see context.h. */
#include "context.h"
#include "base/log.h"
#include "base/time.h"
#include "llm/material.h"
#include <stdio.h>
#include <stdlib.h>

extern const char prompt_chat_summary[];

enum { SUMMARY_BYTES = 256 * 1024 };

#define SUMMARY_BUDGET_US TIME_S(90)

static struct {
    struct actor *actor;
    int64_t most_chars;  /* of messages that the model is told */
    int64_t most_tokens; /* of a summary */
} context;

void context_open(struct actor *actor, int64_t most_chars, int64_t most_tokens)
{
    context.actor = actor;
    context.most_chars = most_chars;
    context.most_tokens = most_tokens;
}

/* ---- reading ---- */

/* The last messages, a bounded number of them; nobody tells a model more. */
#define LATEST "200"

/* Messages of a conversation with what stands between them and its end. */
#define BACKWARDS(columns, from)                                                                   \
    "(select " columns ", sum(length(content)) over backwards as chars,"                           \
    "        row_number() over backwards as place"                                                 \
    "   from " from " window backwards as (order by message.created_at desc, message.id desc))"

/* A summary holds as long as the last of its messages is there. */
#define INSIGHT_SUMMARY(columns)                                                                   \
    "(select " columns " from me join insight_chat_summaries as summary"                           \
    "     on summary.user_id = me.id and summary.insight_id = $2"                                  \
    "   where exists (select from chat_messages as last where last.id = last_message_id"           \
    "                    and last.user_id = me.id and last.insight_id = $2))"

#define STANDALONE_SUMMARY(columns)                                                                \
    "(select " columns " from chat join conversation_summaries"                                    \
    "     on conversation_type = 'standalone' and conversation_id = chat.id)"

#define INSIGHT_MESSAGES                                                                           \
    "me join chat_messages as message on message.user_id = me.id and message.insight_id = $2"
#define STANDALONE_MESSAGES                                                                        \
    "chat join standalone_chat_messages as message on message.chat_id = chat.id"

#define CHAT                                                                                       \
    ", chat as (select standalone_chats.* from me join standalone_chats"                           \
    "             on user_id = me.id and standalone_chats.id = $2)"

#define LATEST_OF(messages)                                                                        \
    "(select message.* from " messages " order by message.created_at desc, message.id desc"        \
    "   limit " LATEST ") as message"

STATEMENT(
    insight_context,
    WITH_ME ", said as " BACKWARDS(
        "id, role, content, created_at",
        LATEST_OF(INSIGHT_MESSAGES)) " select me.id as user_id, me.kept,"
                                     "        exists (select from saved_insights where id = $2"
                                     "                and (imported_by is null or imported_by = "
                                     "me.id)) as known,"
                                     "        null::text as reference, null::text as passage,"
                                     "        " INSIGHT_SUMMARY(
                                         "summary_text") " as summary,"
                                                         "        role, content from me left join "
                                                         "said on chars <= $3"
                                                         "  order by said.created_at, said.id");

STATEMENT(
    standalone_context,
    WITH_ME CHAT ", said as " BACKWARDS(
        "id, role, content, created_at",
        LATEST_OF(
            STANDALONE_MESSAGES)) " select me.id as user_id, me.kept, chat.id is not null as known,"
                                  "        passage_reference as reference, passage_text as passage,"
                                  "        " STANDALONE_SUMMARY(
                                      "summary_text") " as summary,"
                                                      "        role, content from me left join "
                                                      "chat on true"
                                                      "   left join said on chars <= $3 order by "
                                                      "said.created_at, said.id");

/* The messages of the rows from the first of the user's on, with room for one more. */
static int fill_messages(struct call *call, const struct rows *rows, struct context *out)
{
    struct llm_message *messages = arena_alloc(&call->arena, (rows->count + 1) * sizeof(*messages));

    if (messages == NULL)
        return fail(call, busy, "no memory for a conversation");
    for (size_t i = 0; i < rows->count; i++) {
        struct str role = row_str(rows, i, "role");

        if (role.ptr != NULL && (out->count > 0 || str_is(role, "user")))
            messages[out->count++] = (struct llm_message){role, row_str(rows, i, "content")};
    }
    out->messages = messages;
    return 0;
}

int context_read(struct call *call, const struct conversation *conversation, struct context *out)
{
    const struct statement *statement =
        conversation->kind == ABOUT_INSIGHT ? &insight_context : &standalone_context;
    struct rows rows;

    if (db_query_as_user(call, statement,
                         PARAMS(p_i64(conversation->id), p_i64(context.most_chars)), &rows) != 0)
        return -1;
    *out = (struct context){.known = row_bool(&rows, 0, "known"),
                            .reference = row_str(&rows, 0, "reference"),
                            .passage = row_str(&rows, 0, "passage"),
                            .summary = row_str(&rows, 0, "summary")};
    return fill_messages(call, &rows, out);
}

/* ---- telling ---- */

struct str context_system(struct call *call, const char *prompt, const struct context *what,
                          struct str explanation)
{
    struct buffer out;

    buffer_init(&out, &call->arena, SIZE_MAX);
    buffer_add_str(&out, str_of(prompt));
    material_add(&out, "reference", what->reference);
    material_add(&out, "passage", what->passage);
    material_add(&out, "explanation", explanation);
    material_add(&out, "summary_of_what_was_said_before", what->summary);
    if (!out.failed)
        return buffer_str(&out);
    fail(call, busy, "no memory for a question");
    return NO_STR;
}

/* ---- summaries ---- */

/* What is not told and is in no summary yet, oldest first, and the summary so far. What is told
 * begins with the user's first message that fits. */
#define UNSUMMARIZED(messages)                                                                     \
    ", said as " BACKWARDS("message.id, role, content, message.created_at",                        \
                           messages " and message.id > coalesce((select last_message_id from "     \
                                    "old), 0)") ", told as (select created_at, id from said"       \
                                                "            where role = 'user' and chars <= $3 " \
                                                "and place <= " LATEST                             \
                                                "            order by created_at, id limit 1),"    \
                                                " fallen as (select said.*, sum(length(content)) " \
                                                "over (order by created_at, id) as read"           \
                                                "              from said where not exists "        \
                                                "(select from told"                                \
                                                "                where (told.created_at, "         \
                                                "told.id) <= (said.created_at, said.id)))"         \
                                                " select me.id as user_id, (select summary_text "  \
                                                "from old) as summary,"                            \
                                                "        coalesce((select message_count from "     \
                                                "old), 0) as summarized,"                          \
                                                "        fallen.id as message_id, role, content"   \
                                                "   from me left join fallen on read <= $4 or "    \
                                                "read = length(content)"                           \
                                                "  order by created_at, fallen.id"

#define OLD "summary_text, message_count, last_message_id"

STATEMENT(insight_unsummarized,
          WITH_ME ", old as " INSIGHT_SUMMARY(OLD) UNSUMMARIZED(INSIGHT_MESSAGES));

STATEMENT(standalone_unsummarized,
          WITH_ME CHAT ", old as " STANDALONE_SUMMARY(OLD) UNSUMMARIZED(STANDALONE_MESSAGES));

/* A summary that was made meanwhile of more messages stays. */
STATEMENT_WRITE(store_insight_summary,
                WITH_ME ", stored as (insert into insight_chat_summaries as old"
                        "     (user_id, insight_id, summary_text, message_count, last_message_id)"
                        "   select me.id, $2, $3, $4, $5 from me where me.id is not null"
                        "      and exists (select from chat_messages where id = $5"
                        "                     and user_id = me.id and insight_id = $2)"
                        "   on conflict (user_id, insight_id) do update set"
                        "     summary_text = excluded.summary_text,"
                        "     message_count = excluded.message_count,"
                        "     last_message_id = excluded.last_message_id, updated_at = now()"
                        "   where coalesce(old.last_message_id, 0) < excluded.last_message_id)"
                        " select me.id as user_id from me");

STATEMENT_WRITE(store_standalone_summary,
                WITH_ME ", stored as (insert into conversation_summaries as old"
                        "     (conversation_type, conversation_id, summary_text, message_count,"
                        "      last_message_id)"
                        "   select 'standalone', chat.id, $3, $4, $5"
                        "     from me join standalone_chats as chat"
                        "       on user_id = me.id and chat.id = $2"
                        "   on conflict (conversation_type, conversation_id) do update set"
                        "     summary_text = excluded.summary_text,"
                        "     message_count = excluded.message_count,"
                        "     last_message_id = excluded.last_message_id, updated_at = now()"
                        "   where coalesce(old.last_message_id, 0) < excluded.last_message_id)"
                        " select me.id as user_id from me");

/* Whose conversation is to be summarized; on the heap. */
struct summarizing {
    struct conversation conversation;
    char user[64];
};

static struct str fallen_text(struct call *call, const struct rows *rows)
{
    struct buffer said, text;

    buffer_init(&said, &call->arena, SIZE_MAX);
    buffer_init(&text, &call->arena, SIZE_MAX);
    for (size_t i = 0; i < rows->count; i++) {
        buffer_add_str(&said, row_str(rows, i, "role"));
        buffer_add_text(&said, ": ");
        buffer_add_str(&said, row_str(rows, i, "content"));
        buffer_add_char(&said, '\n');
    }
    material_add(&text, "summary", row_str(rows, 0, "summary"));
    material_add(&text, "conversation", buffer_str(&said));
    return said.failed || text.failed ? NO_STR : buffer_str(&text);
}

static int ask_summary(struct call *call, const struct rows *rows, struct str *summary)
{
    struct llm_message message = {STR("user"), fallen_text(call, rows)};
    struct llm_question question = {.system = str_of(prompt_chat_summary),
                                    .messages = &message,
                                    .count = 1,
                                    .most_tokens = context.most_tokens};

    if (message.text.ptr == NULL)
        return fail(call, busy, "no memory for a summary");
    return llm_ask(call, &question, summary);
}

static int store_summary(struct call *call, const struct conversation *conversation,
                         const struct rows *fallen, struct str summary)
{
    const struct statement *statement =
        conversation->kind == ABOUT_INSIGHT ? &store_insight_summary : &store_standalone_summary;
    int64_t count = row_i64(fallen, 0, "summarized") + (int64_t)fallen->count;
    int64_t last = row_i64(fallen, fallen->count - 1, "message_id");
    struct rows rows;

    return db_query_as_user(
        call, statement, PARAMS(p_i64(conversation->id), p_str(summary), p_i64(count), p_i64(last)),
        &rows);
}

static int summarize(struct call *call, const struct conversation *conversation)
{
    const struct statement *statement =
        conversation->kind == ABOUT_INSIGHT ? &insight_unsummarized : &standalone_unsummarized;
    struct rows rows;
    struct str summary;

    if (db_query_as_user(
            call, statement,
            PARAMS(p_i64(conversation->id), p_i64(context.most_chars), p_i64(SUMMARY_BYTES)),
            &rows) != 0)
        return -1;
    if (row_is_null(&rows, 0, "message_id"))
        return 0;
    if (ask_summary(call, &rows, &summary) != 0)
        return -1;
    return store_summary(call, conversation, &rows, summary);
}

static int work(struct call *call, void *arg)
{
    struct summarizing *summarizing = arg;
    int error;

    call->user = str_of(summarizing->user);
    error = summarize(call, &summarizing->conversation);
    if (error != 0)
        log_info(call, "a conversation stays without a summary: %s", call->failure.text);
    call->user = NO_STR;
    free(summarizing);
    return error;
}

static void start_work(void *arg)
{
    if (actor_work(context.actor, "summarize a conversation", SUMMARY_BUDGET_US, work, arg) != 0)
        free(arg);
}

void context_summarize_later(struct call *call, const struct conversation *conversation)
{
    struct summarizing *summarizing = calloc(1, sizeof(*summarizing));

    if (summarizing == NULL)
        return;
    summarizing->conversation = *conversation;
    (void)snprintf(summarizing->user, sizeof(summarizing->user), "%.*s", STR_ARG(call->user));
    if (call_on_end(call, start_work, summarizing) != 0) {
        failure_clear(&call->failure);
        free(summarizing);
    }
}

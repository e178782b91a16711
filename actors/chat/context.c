/* The context of conversations; see context.h. */
#include "context.h"
#include "base/log.h"
#include "base/time.h"
#include "llm/material.h"
#include "text.h"
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

/* The conversation, where it is one that must be found first. */
#define CHAT                                                                                       \
    ", chat as (select standalone_chats.* from me join standalone_chats"                           \
    "             on user_id = me.id and standalone_chats.id = $2)"

/* The summary so far. It holds as long as the last of its messages is there, which is looked up by
 * its id. */
#define INSIGHT_OLD                                                                                \
    ", old as (select summary_text, message_count, last_message_id"                                \
    "   from me join insight_chat_summaries as summary"                                            \
    "     on summary.user_id = me.id and summary.insight_id = $2"                                  \
    "  where (select last.user_id = me.id and last.insight_id = $2"                                \
    "           from chat_messages as last where last.id = last_message_id))"
#define STANDALONE_OLD                                                                             \
    ", old as (select summary_text, message_count, last_message_id"                                \
    "   from chat join conversation_summaries"                                                     \
    "     on conversation_type = 'standalone' and conversation_id = chat.id)"

#define INSIGHT_MESSAGES "chat_messages as message where user_id = me.id and insight_id = $2"
#define STANDALONE_MESSAGES "standalone_chat_messages as message where chat_id = chat.id"

/* Some of its messages, with what stands between them and its end. */
#define SAID                                                                                       \
    ", said as (select id, role, content, created_at,"                                             \
    "                  sum(length(content)) over backwards as chars,"                              \
    "                  row_number() over backwards as place from "
#define BACKWARDS " as message window backwards as (order by created_at desc, id desc))"

/* From the end of an index, and no further. */
#define UP_TO " order by created_at desc, id desc limit " LATEST ")"
#define INSIGHT_LATEST                                                                             \
    SAID "(select message.* from me cross join lateral (select * from " INSIGHT_MESSAGES UP_TO     \
         " as message)" BACKWARDS
#define STANDALONE_LATEST                                                                          \
    SAID                                                                                           \
        "(select message.* from chat cross join lateral (select * from " STANDALONE_MESSAGES UP_TO \
        " as message)" BACKWARDS

STATEMENT(insight_context, WITH_ME INSIGHT_OLD INSIGHT_LATEST
          " select me.id as user_id, me.kept,"
          "        (select exists (select from saved_insights where id = $2"
          "                           and (imported_by is null or imported_by = me.id))"
          "           from me) as known,"
          "        null::text as reference, null::text as passage,"
          "        (select summary_text from old) as summary, role, content"
          "   from me left join said on chars <= $3 order by created_at, said.id");

STATEMENT(standalone_context, WITH_ME CHAT STANDALONE_OLD STANDALONE_LATEST
          " select me.id as user_id, me.kept, chat.id is not null as known,"
          "        passage_reference as reference, passage_text as passage,"
          "        (select summary_text from old) as summary, role, content"
          "   from me left join chat on true left join said on chars <= $3"
          "  order by said.created_at, said.id");

int context_add(struct call *call, struct context *what, struct str role, struct str text)
{
    struct llm_message *last = &what->messages[what->count];

    if (what->count > 0 && str_equal(last[-1].role, role)) {
        last--;
        text = arena_format(&call->arena, "%.*s\n\n%.*s", STR_ARG(last->text), STR_ARG(text));
        if (text.ptr == NULL)
            return fail(call, busy, "no memory for a conversation");
    } else {
        what->count++;
    }
    *last = (struct llm_message){role, text};
    return 0;
}

/* The messages of the rows from the first of the user's on, without blank ones, which an import may
 * have and no provider takes; with room for one more. */
static int fill_messages(struct call *call, const struct rows *rows, struct context *out)
{
    out->messages = arena_alloc(&call->arena, (rows->count + 1) * sizeof(*out->messages));
    if (out->messages == NULL)
        return fail(call, busy, "no memory for a conversation");
    for (size_t i = 0; i < rows->count; i++) {
        struct str role = row_str(rows, i, "role"), text = row_str(rows, i, "content");

        if (text_trim(text).len == 0 || (out->count == 0 && !str_is(role, "user")))
            continue;
        if (context_add(call, out, role, text) != 0)
            return -1;
    }
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
#define INSIGHT_SINCE                                                                              \
    SAID "(select message.* from me cross join lateral (select * from " INSIGHT_MESSAGES SINCE     \
         " as message)" BACKWARDS
#define STANDALONE_SINCE                                                                           \
    SAID                                                                                           \
        "(select message.* from chat cross join lateral (select * from " STANDALONE_MESSAGES SINCE \
        " as message)" BACKWARDS
#define SINCE " and message.id > coalesce((select last_message_id from old), 0))"

#define UNSUMMARIZED                                                                               \
    ", told as (select created_at, id from said where role = 'user' and chars <= $3"               \
    "              and place <= " LATEST " order by created_at, id limit 1),"                      \
    " fallen as (select said.*, sum(length(content)) over (order by created_at, id) as read"       \
    "   from said where not exists (select from told"                                              \
    "                    where (told.created_at, told.id) <= (said.created_at, said.id)))"         \
    " select me.id as user_id, (select summary_text from old) as summary,"                         \
    "        coalesce((select message_count from old), 0) as summarized,"                          \
    "        fallen.id as message_id, role, content"                                               \
    "   from me left join fallen on read <= $4 or read = length(content)"                          \
    "  order by created_at, fallen.id"

STATEMENT(insight_unsummarized, WITH_ME INSIGHT_OLD INSIGHT_SINCE UNSUMMARIZED);
STATEMENT(standalone_unsummarized, WITH_ME CHAT STANDALONE_OLD STANDALONE_SINCE UNSUMMARIZED);

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

/* Whoever deleted the chat at the same time has not seen its summary: it goes with it all the same.
 */
STATEMENT_WRITE(forget_orphan,
                "with chat as (select id from standalone_chats where id = $1 for key share)"
                " delete from conversation_summaries"
                "  where conversation_type = 'standalone' and conversation_id = $1"
                "    and not exists (select from chat)");

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

    if (db_query_as_user(call, statement,
                         PARAMS(p_i64(conversation->id), p_str(summary), p_i64(count), p_i64(last)),
                         &rows) != 0)
        return -1;
    if (conversation->kind == ABOUT_INSIGHT)
        return 0;
    return db_query(call, &forget_orphan, PARAMS(p_i64(conversation->id)), &rows);
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

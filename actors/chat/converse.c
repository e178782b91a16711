/* Conversations with the language model: three messages, one way.
 *
 * Read what was said, reserve a call of the day, accept; then pass on the answer as it comes, store
 * both messages in one transaction, and say that it is complete. Who leaves before that has said
 * nothing. While the model is awaited nothing is open in the database. */
#include "converse.h"
#include "base/time.h"
#include "context.h"
#include "generate.h"
#include "owned.h"
#include "quota.h"
#include "stream.h"
#include "text.h"
#include <inttypes.h>

extern const char prompt_chat_insight[], prompt_chat_standalone[];

enum { TITLE_CHARS = 50, ANSWER_BYTES = 1024 * 1024 };

static int64_t most_tokens;

void chat_open(struct actor *actor)
{
    struct llm_options options = actor_llm_options(actor);

    most_tokens = options.max_tokens_chat;
    llm_open(&options);
    context_open(actor, options.history_chars, options.max_tokens_chat);
}

/* One turn of a conversation, from the message to what is stored. */
struct turn {
    struct conversation conversation; /* id 0: it begins with this turn */
    struct context context;           /* what was said before */
    const char *prompt;               /* what the model is told to be */
    struct str explanation;           /* of the passage; may be absent */
    struct str message;               /* what the user says */
    struct reservation *reservation;  /* of the day */
    struct buffer answer;             /* so far, in the call's memory */
    struct str stop_reason;           /* why it ended; may be absent */
    bool truncated;                   /* it ended at the limit of tokens */
};

/* ---- storing ---- */

/* Pairs of messages stand together, because whoever stores one holds its user until it commits: he
 * is not merged or deleted meanwhile either. The time is the statement's and not the transaction's,
 * which began before it had the lock. */
STATEMENT_WRITE(add_insight_messages,
                WITH_ME ", insight as (select saved_insights.id from me join saved_insights"
                        "     on saved_insights.id = $2"
                        "        and (imported_by is null or imported_by = me.id)"
                        "    for key share of saved_insights),"
                        " said as (insert into chat_messages"
                        "     (insight_id, user_id, role, content, was_truncated, created_at)"
                        "   select insight.id, me.id, role, content, was_truncated,"
                        "          statement_timestamp()"
                        "     from me cross join insight cross join"
                        "          (values (1, 'user', $3, false), (2, 'assistant', $4, $5))"
                        "            as pair (place, role, content, was_truncated)"
                        "    order by place returning 1)"
                        " select me.id as user_id, exists (select from said) as stored from me");

STATEMENT_WRITE(begin_chat,
                WITH_ME ", chat as (insert into standalone_chats"
                        "     (user_id, title, passage_reference, passage_text)"
                        "   select me.id, $2, $3, $4 from me where me.id is not null returning id)"
                        " select me.id as user_id, chat.id from me left join chat on true");

STATEMENT_WRITE(use_chat,
                WITH_ME ", used as (update standalone_chats as chat"
                        "     set updated_at = statement_timestamp()"
                        "   from me where user_id = me.id and chat.id = $2 returning chat.id)"
                        " select me.id as user_id, used.id from me left join used on true");

STATEMENT_WRITE(add_standalone_messages,
                "insert into standalone_chat_messages"
                "     (chat_id, role, content, was_truncated, created_at)"
                " select $1, role, content, was_truncated, statement_timestamp()"
                "   from (values (1, 'user', $2, false), (2, 'assistant', $3, $4))"
                "     as pair (place, role, content, was_truncated) order by place");

static int store_insight_turn(struct call *call, void *arg)
{
    struct turn *turn = arg;
    struct rows rows;

    if (owned_lock(call) != 0 ||
        db_query_as_user(call, &add_insight_messages,
                         PARAMS(p_i64(turn->conversation.id), p_str(turn->message),
                                p_str(buffer_str(&turn->answer)), p_bool(turn->truncated)),
                         &rows) != 0)
        return -1;
    if (!row_bool(&rows, 0, "stored"))
        return fail(call, insight_not_found, "insight %" PRId64 " went meanwhile",
                    turn->conversation.id);
    return allowance_settle(call, turn->reservation);
}

/* The first characters, with dots where more follow. */
static struct str title_of(struct call *call, struct str message)
{
    size_t chars = 0, len = 0;

    while (len < message.len) {
        bool starts = ((unsigned char)message.ptr[len] & 0xC0) != 0x80;

        if (starts && chars++ == TITLE_CHARS)
            break;
        len++;
    }
    if (len == message.len)
        return message;
    return arena_format(&call->arena, "%.*s...", (int)len, message.ptr);
}

static int begin_or_use_chat(struct call *call, struct turn *turn)
{
    struct rows rows;
    int error;

    if (turn->conversation.id == 0)
        error =
            db_query_as_user(call, &begin_chat,
                             PARAMS(p_str(title_of(call, turn->message)),
                                    p_str(turn->context.reference), p_str(turn->context.passage)),
                             &rows);
    else
        error = db_query_as_user(call, &use_chat, PARAMS(p_i64(turn->conversation.id)), &rows);
    if (error != 0)
        return -1;
    if (row_is_null(&rows, 0, "id"))
        return fail(call, chat_not_found, "chat %" PRId64 " went meanwhile", turn->conversation.id);
    turn->conversation.id = row_i64(&rows, 0, "id");
    return 0;
}

static int store_standalone_turn(struct call *call, void *arg)
{
    struct turn *turn = arg;
    struct rows rows;

    if (owned_lock(call) != 0 || begin_or_use_chat(call, turn) != 0 ||
        db_query(call, &add_standalone_messages,
                 PARAMS(p_i64(turn->conversation.id), p_str(turn->message),
                        p_str(buffer_str(&turn->answer)), p_bool(turn->truncated)),
                 &rows) != 0)
        return -1;
    return allowance_settle(call, turn->reservation);
}

/* Run again after a conflict, it begins the same chat again. */
static int store_new_chat(struct call *call, void *arg)
{
    struct turn *turn = arg;

    turn->conversation.id = 0;
    return store_standalone_turn(call, arg);
}

/* ---- asking ---- */

static int pass_on(struct call *call, struct turn *turn, struct llm_stream *stream)
{
    struct str text;

    for (;;) {
        if (llm_next(stream, &text) != 0)
            return -1;
        if (text.ptr == NULL)
            return 0;
        buffer_add_str(&turn->answer, text);
        if (turn->answer.failed)
            return fail(call, model_failed, "the answer is too large");
        if (call_event(call, &record_chat_token, &(struct chat_token){text}) != 0)
            return -1;
        allowance_used(turn->reservation);
    }
}

static int ask(struct call *call, struct turn *turn)
{
    struct context *context = &turn->context;
    struct llm_question question = {
        .system = context_system(call, turn->prompt, context, turn->explanation),
        .most_tokens = most_tokens,
    };
    struct llm_stream *stream;

    if (question.system.ptr == NULL || context_add(call, context, STR("user"), turn->message) != 0)
        return -1;
    question.messages = context->messages;
    question.count = context->count;
    if (llm_begin(call, &question, &stream) != 0)
        return -1;
    buffer_init(&turn->answer, &call->arena, ANSWER_BYTES);
    if (pass_on(call, turn, stream) != 0)
        return -1;
    if (text_trim(buffer_str(&turn->answer)).len == 0)
        return fail(call, model_failed, "the answer is blank");
    turn->stop_reason = arena_copy(&call->arena, llm_stop_reason(stream));
    turn->truncated = str_is(turn->stop_reason, "max_tokens");
    return 0;
}

/* From the acceptance to what is stored. What failed is given back, unless the reader left with
 * some of the answer: then what is due is done when the call ends. */
static int converse(struct call *call, struct turn *turn, int (*store)(struct call *, void *))
{
    if (ask(call, turn) == 0 && generation_store(call, store, turn) == 0) {
        allowance_settled(turn->reservation);
        context_summarize_later(call, &turn->conversation);
        return 0;
    }
    if (!call_is_left(call))
        allowance_give_back(call, turn->reservation);
    return -1;
}

/* What can be known before is no event but the answer's status. */
static int accept(struct call *call, struct turn *turn)
{
    if (llm_check(call) != 0)
        return -1;
    turn->reservation = allowance_reserve(call);
    return turn->reservation != NULL ? call_accept(call) : -1;
}

/* ---- send_chat_message ---- */

static struct str explanation_of(struct call *call, const struct chat_insight_context *context)
{
    return arena_format(&call->arena, "%.*s\n\n%.*s\n\n%.*s", STR_ARG(context->historical_context),
                        STR_ARG(context->theological_significance),
                        STR_ARG(context->practical_application));
}

int chat_send_chat_message(struct call *call, const struct chat_send_chat_message_in *in,
                           struct chat_send_chat_message_out *out)
{
    struct turn turn = {.conversation = {ABOUT_INSIGHT, in->insight_id},
                        .prompt = prompt_chat_insight,
                        .explanation = explanation_of(call, in->insight_context),
                        .message = in->message};

    if (context_read(call, &turn.conversation, &turn.context) != 0)
        return -1;
    if (!turn.context.known)
        return fail(call, insight_not_found, "insight %" PRId64, in->insight_id);
    turn.context.reference = in->passage_reference;
    turn.context.passage = in->passage_text;
    if (accept(call, &turn) != 0 || converse(call, &turn, store_insight_turn) != 0)
        return -1;
    out->status = STR("complete");
    out->stop_reason = turn.stop_reason;
    return 0;
}

/* ---- create_standalone_chat ---- */

int chat_create_standalone_chat(struct call *call, const struct chat_create_standalone_chat_in *in,
                                struct chat_create_standalone_chat_out *out)
{
    struct llm_message *first = arena_alloc(&call->arena, sizeof(*first));
    struct turn turn = {.conversation = {STANDALONE, 0},
                        .context = {.reference = in->passage_reference,
                                    .passage = in->passage_text,
                                    .messages = first},
                        .prompt = prompt_chat_standalone,
                        .message = in->message};
    struct chat_chat_id begun;

    if (first == NULL)
        return fail(call, busy, "no memory for a conversation");
    if (accept(call, &turn) != 0 || converse(call, &turn, store_new_chat) != 0)
        return -1;
    begun.chat_id = turn.conversation.id;
    if (call_event(call, &record_chat_chat_id, &begun) != 0) {
        failure_clear(&call->failure);
        return fail(call, outcome_unknown, "the chat was begun, and its id cannot be told");
    }
    out->status = STR("complete");
    out->stop_reason = turn.stop_reason;
    return 0;
}

/* ---- send_standalone_chat_message ---- */

int chat_send_standalone_chat_message(struct call *call,
                                      const struct chat_send_standalone_chat_message_in *in,
                                      struct chat_send_standalone_chat_message_out *out)
{
    struct turn turn = {.conversation = {STANDALONE, in->chat_id},
                        .prompt = prompt_chat_standalone,
                        .message = in->message};

    if (context_read(call, &turn.conversation, &turn.context) != 0)
        return -1;
    if (!turn.context.known) {
        /* Clients expect this one within the stream. */
        if (call_accept(call) != 0)
            return -1;
        return fail(call, chat_not_found, "chat %" PRId64, in->chat_id);
    }
    if (accept(call, &turn) != 0 || converse(call, &turn, store_standalone_turn) != 0)
        return -1;
    out->status = STR("complete");
    out->stop_reason = turn.stop_reason;
    return 0;
}

/* An actor whose handlers misbehave: what tests of the runtime run. Its rows are the contract's. */
#include "actor.h"
#include "llm/llm.h"
#include "stream.h"
#include <stdlib.h>

static const struct fault fault_kept_one = {.name = "kept_one", .status = 409, .kept = true};
static const struct fault fault_plain_one = {.name = "plain_one", .status = 409};

STATEMENT_WRITE(
    store_note,
    "insert into saved_passages (reference, book, chapter, verse_start, translation, text)"
    " values ($1, 'b', 1, 1, 'x', 't') returning id");
STATEMENT(raise_conflict, "select raise_conflict($1) as runs");

/* session: waits until its time is over or somebody cancels it. */
static int wait_for_nothing(struct call *call, const void *in, void *out)
{
    (void)in, (void)out;
    return call_wait_foreign(call, "nothing");
}

/* translations: nothing to do. */
static int answer_at_once(struct call *call, const void *in, void *out)
{
    (void)in, (void)out;
    if (call->user.ptr != NULL)
        call->reply_user = call->user;
    return 0;
}

static int end_as_told(struct call *call, struct str reference, struct bible_save_passage_out *out)
{
    struct rows rows;

    if (str_is(reference, "kept"))
        return fail(call, kept_one, "kept");
    if (str_is(reference, "plain"))
        return fail(call, plain_one, "not kept");
    if (str_is(reference, "foreign"))
        return call_wait_foreign(call, "another service");
    if (str_is(reference, "silent"))
        return -1;
    if (str_is(reference, "recovered"))
        return fail(call, plain_one, "but never mind") + 1;
    if (str_is(reference, "conflict") || str_is(reference, "hopeless")) {
        if (db_query(call, &raise_conflict, PARAMS(p_str(reference)), &rows) != 0)
            return -1;
        out->id = row_i64(&rows, 0, "runs");
    }
    return 0;
}

/* save_passage, a transaction: stores, then ends as its reference says. */
static int store_and_end(struct call *call, const void *in, void *out)
{
    const struct bible_save_passage_in *passage = in;
    struct rows rows;

    if (db_query(call, &store_note, PARAMS(p_str(passage->reference)), &rows) != 0)
        return -1;
    ((struct bible_save_passage_out *)out)->id = 7;
    return end_as_told(call, passage->reference, out);
}

/* Within a transaction: what its message says. */
static int store_and_do(struct call *call, void *arg)
{
    const struct chat_create_standalone_chat_in *in = arg;
    struct llm_message message = {STR("user"), in->message};
    struct llm_question question = {.messages = &message, .count = 1, .most_tokens = 1};
    struct llm_stream *stream;
    struct rows rows;

    if (db_query(call, &store_note, PARAMS(p_str(in->message)), &rows) != 0)
        return -1;
    if (str_is(in->message, "ask"))
        return llm_ask(call, &question, &message.text);
    if (str_is(in->message, "begin"))
        return llm_begin(call, &question, &stream);
    if (str_is(in->message, "event"))
        return call_event(call, &record_chat_token, &(struct chat_token){in->message});
    return str_is(in->message, "accept") ? call_accept(call) : 0;
}

/* create_standalone_chat, a stream: has an event that its row does not declare, or stores and does
 * something that takes long. */
static int stream_and_end(struct call *call, const void *in, void *out)
{
    const struct chat_create_standalone_chat_in *asked = in;
    struct chat_create_standalone_chat_out *done = out;

    if (str_is(asked->message, "undeclared"))
        return call_event(call, &record_chat_message, &(struct chat_message){.id = 1});
    if (tx_run(call, store_and_do, (void *)(uintptr_t)in) != 0)
        return -1;
    done->status = STR("complete");
    return 0;
}

static void open_model(struct actor *actor)
{
    struct llm_options options = actor_llm_options(actor);

    llm_open(&options);
}

static const struct handler handlers[] = {
    {&methods[METHOD_user_session], wait_for_nothing},
    {&methods[METHOD_bible_translations], answer_at_once},
    {&methods[METHOD_bible_save_passage], store_and_end},
    {&methods[METHOD_user_get_user_by_anonymous_id], wait_for_nothing},
    {&methods[METHOD_chat_create_standalone_chat], stream_and_end},
};

/* LECTERN_TEST_SCHEMA: the schema that it says it needs. */
int main(int argc, char **argv)
{
    const char *schema = getenv("LECTERN_TEST_SCHEMA");
    struct domain domain = {.name = "user",
                            .handlers = handlers,
                            .count = sizeof(handlers) / sizeof(*handlers),
                            .schema_version = schema != NULL ? atoi(schema) : 0,
                            .open = open_model,
                            .close = llm_close};

    return actor_main(&domain, argc, argv);
}

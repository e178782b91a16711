/* What the language model is told of a conversation: its last messages, as many as fit, and a
 * summary of what fell out.
 *
 * The summary is made after an answer was delivered, as work of the actor's own; it is not counted,
 * and where it fails nothing else does. It covers the messages up to one of them, and is read
 * together with the messages, so a conversation that was cleared has none. */
#pragma once

#include "handlers.h"
#include "llm/llm.h"

enum conversation_kind { ABOUT_INSIGHT, STANDALONE };

struct conversation {
    enum conversation_kind kind;
    int64_t id; /* of the insight, or of the chat */
};

/* A conversation as it is stored, in the call's memory. */
struct context {
    bool known;                   /* there is such an insight, or such a chat of the user's */
    struct str reference;         /* of the passage of a chat; may be absent */
    struct str passage;           /* its text; may be absent */
    struct str summary;           /* of what came before; may be absent */
    struct llm_message *messages; /* oldest first, the first is the user's; then it is the other's
                                   * turn each time */
    size_t count;                 /* of them; room for one more stands behind */
};

/* Before messages are taken. */
void context_open(struct actor *actor, int64_t most_chars, int64_t most_tokens);

/* Reads it, and finds the user: 0, or -1 (unknown_user, or the database's). */
int context_read(struct call *call, const struct conversation *conversation,
                 struct context *context) MUST;

/* Adds a message, joined with the last one where that is of the same role: providers refuse a
 * conversation in which somebody speaks twice. -1: no memory. */
int context_add(struct call *call, struct context *context, struct str role, struct str text) MUST;

/* What the model is told to be: the prompt, and what belongs to the conversation, between tags. */
struct str context_system(struct call *call, const char *prompt, const struct context *context,
                          struct str explanation) MUST;

/* When the call has ended: has a summary made of what no longer fits, if there is any. */
void context_summarize_later(struct call *call, const struct conversation *conversation);

/* Asking a language model from a handler, as one asks the database: call, wait, read on.
 *
 *   struct llm_stream *stream;
 *   struct str text;
 *
 *   if (llm_begin(call, &question, &stream) != 0)
 *       return -1;
 *   while (llm_next(stream, &text) == 0 && text.ptr != NULL)
 *       …
 *
 * Every function here that may wait does so within the call's deadline, is refused while a
 * transaction is open, and ends with the connection to the provider closed when the call is
 * cancelled. A failure is recorded in the call: model_absent (none is configured), model_busy (too
 * many questions at one time, or the breaker is open), model_refused_key, model_failed, timeout,
 * cancelled; the log has the provider's words. Before the first text one more attempt is made where
 * the provider is overloaded, limits requests or cannot be reached. */
#pragma once

#include "call.h"
#include "options.h"

/* One text of a structured answer. */
struct llm_part {
    const char *name;  /* of the JSON member */
    const char *prose; /* what the model should put there */
};

/* A structured answer: texts by name, none of them empty. */
struct llm_form {
    const char *name;             /* letters and `_` */
    const char *prose;            /* what it is for */
    const struct llm_part *parts; /* in order */
    size_t count;                 /* of parts */
};

struct llm_message {
    struct str role; /* `user` or `assistant` */
    struct str text;
};

struct llm_question {
    struct str system;                  /* what the model is told to be */
    const struct llm_message *messages; /* the last one is the user's */
    size_t count;                       /* of messages */
    int64_t most_tokens;                /* of the answer */
    const struct llm_form *form;        /* NULL: the answer is text */
};

struct llm_stream;

/* Reads the keys and begins to be able to ask; once, at start-up. Ends the program where a key
 * cannot be read or the choice of a provider cannot be followed. */
void llm_open(const struct llm_options *options);
/* After the last call. */
void llm_close(void);

/* Whether a question could be asked now: 0, or -1 with model_absent or model_busy recorded. Waits
 * for nothing, and promises nothing for later. */
int llm_check(struct call *call) MUST;

/* Asks for a whole answer. `values` gets one text a part of the form, or the one text where there
 * is no form, in the call's arena. */
int llm_ask(struct call *call, const struct llm_question *question, struct str *values) MUST;

/* Asks for an answer as it comes: waits until its first text is there. What `question` points to
 * may go after this. The stream ends with the call, or by llm_end(). */
int llm_begin(struct call *call, const struct llm_question *question,
              struct llm_stream **stream) MUST;

/* Waits for more of it: all that has come and was not taken yet, good until the next call. Absent:
 * the answer is complete. */
int llm_next(struct llm_stream *stream, struct str *text) MUST;

/* Why a complete answer ended, in Anthropic's words (`end_turn`, `max_tokens`); absent where the
 * provider did not say. Good until the stream ends. */
struct str llm_stop_reason(const struct llm_stream *stream);

/* Ends a stream, which closes its connection unless the answer was complete. NULLs the pointer. */
void llm_end(struct llm_stream **stream);

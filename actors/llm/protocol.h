/* How providers of language models are spoken to: what is sent, and what their answers mean.
 *
 * A protocol turns a question into the JSON of a request and reads answers, whole or event by
 * event, into one form: text as it comes, why it ended, or what the trouble is. Nothing here waits
 * or knows of connections. */
#pragma once

#include "codec.h"
#include "llm.h"

/* What can go wrong, told apart. */
#define LLM_TROUBLES(TROUBLE)                                                                      \
    TROUBLE(none, "")                                                                              \
    TROUBLE(refused_key, "the provider refused the key or the account")                            \
    TROUBLE(limited, "the provider limits requests")                                               \
    TROUBLE(overloaded, "the provider is overloaded or fails")                                     \
    TROUBLE(unreachable, "the provider cannot be reached")                                         \
    TROUBLE(rejected, "the provider rejects the request")                                          \
    TROUBLE(refusal, "the model refused to answer")                                                \
    TROUBLE(too_long, "the answer did not fit into its tokens")                                    \
    TROUBLE(empty, "the answer is empty")                                                          \
    TROUBLE(malformed, "the answer is malformed")                                                  \
    TROUBLE(cut, "the connection was lost within the answer")                                      \
    TROUBLE(slow, "the answer did not come in time")

enum llm_trouble {
#define TROUBLE(name, text) LLM_##name,
    LLM_TROUBLES(TROUBLE)
#undef TROUBLE
        LLM_TROUBLE_COUNT
};

/* Its words. */
const char *llm_trouble_text(enum llm_trouble trouble);

enum { LLM_STOP_BYTES = 32, LLM_WHY_BYTES = 160 };

/* An answer as far as it is read. */
struct llm_reading {
    const struct llm_form *form;      /* what the question asks for; NULL: text */
    const char *secret;               /* what `why` must not hold; NULL: nothing */
    struct buffer text;               /* on the heap: text that came and was not taken */
    struct str *values;               /* of the form, where it is filled, in `arena` */
    struct arena *arena;              /* of them */
    char stop_reason[LLM_STOP_BYTES]; /* in Anthropic's words, terminated; empty: none was given */
    bool ended;                       /* the provider said that it is complete */
    bool any;                         /* some text came */
    size_t bytes;                     /* of all text so far */
    enum llm_trouble trouble;         /* what went wrong */
    char why[LLM_WHY_BYTES];          /* the provider's own words for it, terminated, for the log */
};

/* Records trouble, the first one only; words that hold the secret are left out. Always false. */
bool llm_fail(struct llm_reading *reading, enum llm_trouble trouble, struct str why);

struct llm_protocol {
    const char *name; /* as LECTERN_LLM has it */
    const char *path; /* behind the base URL */
    /* Appends the request's JSON. `stream`: the answer shall come in events. */
    void (*write)(struct buffer *out, const struct llm_question *question, const char *model,
                  bool stream);
    /* Reads one event of a streamed answer; false: nothing more is wanted. */
    bool (*event)(struct llm_reading *reading, const char *name, struct str data);
    /* Reads a whole answer with the status 200. */
    void (*answer)(struct llm_reading *reading, struct str body);
};

extern const struct llm_protocol llm_anthropic;
extern const struct llm_protocol llm_openai;        /* of every compatible server */
extern const struct llm_protocol llm_openai_itself; /* of OpenAI's own */

/* Reads the body of an answer that is an error: both protocols have {"error":{"message":…}}. */
void llm_read_error(struct llm_reading *reading, int status, struct str body);

/* ---- for protocols: JSON values ---- */

/* The member of a map; NULL: it is none, or has no such member. */
const msgpack_object *llm_member(const msgpack_object *map, const char *name);
/* A member that is a text; absent where it is none. */
struct str llm_text(const msgpack_object *map, const char *name);
/* The first item of a list that is a member; NULL where there is none. */
const msgpack_object *llm_first(const msgpack_object *map, const char *name);

/* Reads JSON into `arena`; false with `malformed` recorded. */
bool llm_json(struct llm_reading *reading, struct arena *arena, struct str text,
              msgpack_object *value);

/* Takes the parts of the form out of a map: each must be there, a text, and not blank. */
void llm_fill_form(struct llm_reading *reading, const msgpack_object *map);

/* Appends a piece of text; what is not UTF-8 becomes U+FFFD, U+0000 is trouble. */
void llm_add_text(struct llm_reading *reading, struct str text);

/* Notes why the answer ended; a refusal is trouble. */
void llm_note_stop(struct llm_reading *reading, struct str reason);

/* The JSON Schema of a form, and the list of its messages, both as values. */
void llm_write_schema(struct buffer *out, const struct llm_form *form);
void llm_write_messages(struct buffer *out, const struct llm_question *question, bool first);

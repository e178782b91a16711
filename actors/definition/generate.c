/* Definitions that the language model is asked for.
 *
 * What is stored is answered from there; equal questions in flight are asked once; only then the
 * model is asked, and the call counted. Nothing is open in the database meanwhile. */
#include "generate.h"
#include "definition.h"
#include "flight.h"
#include "llm/material.h"

extern const char prompt_definition[];

enum { PARTS = 3 };

static const struct llm_part form_parts[PARTS] = {
    {"definition", "what the word means in this verse"},
    {"biblical_usage", "how the Bible uses it elsewhere"},
    {"original_language", "the Hebrew, Aramaic or Greek word behind it"},
};

static const struct llm_form form = {
    .name = "explain_word",
    .prose = "Gives the explanation of the word, in its three parts.",
    .parts = form_parts,
    .count = PARTS,
};

static struct actor *actor;
static int64_t most_tokens;

void definition_open(struct actor *self)
{
    struct llm_options options = actor_llm_options(self);

    actor = self;
    most_tokens = options.max_tokens_definition;
    llm_open(&options);
    flight_open();
}

/* ---- the work of a flight ---- */

/* Finds what is stored, and links it: 0 with an id, or INT_ABSENT. */
static int find(struct call *call, const struct definition_generate_definition_in *in,
                struct flight_result *result)
{
    struct definition_key key = {in->word, in->passage_reference, in->verse_text};
    struct definition_parts parts;

    if (definition_find(call, &key, &result->id, &parts) != 0)
        return -1;
    if (result->id != INT_ABSENT)
        memcpy(result->texts,
               (struct str[]){parts.definition, parts.biblical_usage, parts.original_language},
               PARTS * sizeof(struct str));
    return 0;
}

/* What is stored, and for which question. */
struct storing {
    const struct definition_generate_definition_in *in;
    struct flight_result *result;
};

/* What somebody else stored in the meantime is what is answered. */
static int store(struct call *call, void *arg)
{
    struct storing *storing = arg;
    const struct definition_generate_definition_in *in = storing->in;
    struct flight_result *result = storing->result;
    struct definition_save_definition_in save = {
        .word = in->word,
        .passage_reference = in->passage_reference,
        .verse_text = in->verse_text,
        .definition = result->texts[0],
        .biblical_usage = result->texts[1],
        .original_language = result->texts[2],
    };
    struct definition_save_definition_out saved;

    if (definition_save_definition(call, &save, &saved) != 0) {
        if (!failed_with(&call->failure, &fault_definition_collides))
            return -1;
        failure_clear(&call->failure); /* it is answered all the same */
        return 0;
    }
    *result = (struct flight_result){.id = saved.id,
                                     .texts = {saved.definition->definition,
                                               saved.definition->biblical_usage,
                                               saved.definition->original_language}};
    return 0;
}

static struct str material_of(struct call *call, const struct definition_generate_definition_in *in)
{
    struct buffer text;

    buffer_init(&text, &call->arena, SIZE_MAX);
    material_add(&text, "word", in->word);
    material_add(&text, "reference", in->passage_reference);
    material_add(&text, "verse", in->verse_text);
    return text.failed ? NO_STR : buffer_str(&text);
}

static int ask(struct call *call, const struct definition_generate_definition_in *in,
               struct flight_result *result)
{
    struct storing storing = {in, result};
    struct llm_message message = {STR("user"), material_of(call, in)};
    struct llm_question question = {.system = str_of(prompt_definition),
                                    .messages = &message,
                                    .count = 1,
                                    .most_tokens = most_tokens,
                                    .form = &form};
    struct generation generation = {.question = &question,
                                    .texts = result->texts,
                                    .store = in->save ? store : NULL,
                                    .arg = &storing};

    if (message.text.ptr == NULL)
        return fail(call, busy, "no memory for a question");
    return generate(call, &generation);
}

/* A flight that was over just before this one began may have stored it. */
static int find_or_ask(struct call *call, const void *input, struct flight_result *result)
{
    const struct definition_generate_definition_in *in = input;

    if (in->save && find(call, in, result) != 0)
        return -1;
    result->found = result->id != INT_ABSENT;
    return result->found ? 0 : ask(call, in, result);
}

/* ---- generate_definition ---- */

/* What another call's flight stored is looked for like anything else: so it comes into this user's
 * history, and so it is not answered where it is that other user's own. */
static int find_or_join(struct call *call, const struct definition_generate_definition_in *in,
                        struct flight_result *result, bool *cached)
{
    bool shared;

    *cached = true;
    do {
        if (in->save && find(call, in, result) != 0)
            return -1;
        if (result->id != INT_ABSENT)
            return 0;
        if (flight_run(actor, call, in, find_or_ask, result, &shared) != 0)
            return generate_failed(call, &fault_definition_failed);
        *cached = shared || result->found;
    } while (shared && in->save);
    return 0;
}

int definition_generate_definition(struct call *call,
                                   const struct definition_generate_definition_in *in,
                                   struct definition_generate_definition_out *out)
{
    struct flight_result result = {.id = INT_ABSENT};

    if (find_or_join(call, in, &result, &out->cached) != 0)
        return -1;
    out->id = result.id;
    out->word = in->word;
    out->definition = result.texts[0];
    out->biblical_usage = result.texts[1];
    out->original_language = result.texts[2];
    return 0;
}

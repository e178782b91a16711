/* Insights that the language model is asked for.
 *
 * What is stored is answered from there; equal questions in flight are asked once; only then the
 * model is asked, and the call counted. Nothing is open in the database meanwhile. */
#include "generate.h"
#include "flight.h"
#include "insight.h"
#include "llm/material.h"

extern const char prompt_insight[];

enum { PARTS = 3 };

static const struct llm_part form_parts[PARTS] = {
    {"historical_context", "the time and the world it was written in"},
    {"theological_significance", "what it says of God and people"},
    {"practical_application", "what it may mean for a life today"},
};

static const struct llm_form form = {
    .name = "explain_passage",
    .prose = "Gives the explanation of the passage, in its three parts.",
    .parts = form_parts,
    .count = PARTS,
};

static struct actor *actor;
static int64_t most_tokens;

void insight_open(struct actor *self)
{
    struct llm_options options = actor_llm_options(self);

    actor = self;
    most_tokens = options.max_tokens_insights;
    llm_open(&options);
    flight_open();
}

/* ---- the work of a flight ---- */

/* Finds what is stored, and links it: 0 with an id, or INT_ABSENT. */
static int find(struct call *call, const struct insight_generate_insight_in *in,
                struct flight_result *result)
{
    struct insight_parts parts;

    if (insight_find(call, in->passage_reference, in->passage_text, &result->id, &parts) != 0)
        return -1;
    if (result->id != INT_ABSENT)
        memcpy(result->texts,
               (struct str[]){parts.historical_context, parts.theological_significance,
                              parts.practical_application},
               PARTS * sizeof(struct str));
    return 0;
}

/* What is stored, and for which question. */
struct storing {
    const struct insight_generate_insight_in *in;
    struct flight_result *result;
};

/* What somebody else stored in the meantime is what is answered. */
static int store(struct call *call, void *arg)
{
    struct storing *storing = arg;
    const struct insight_generate_insight_in *in = storing->in;
    struct flight_result *result = storing->result;
    struct insight_save_insight_in save = {
        .passage_reference = in->passage_reference,
        .passage_text = in->passage_text,
        .historical_context = result->texts[0],
        .theological_significance = result->texts[1],
        .practical_application = result->texts[2],
    };
    struct insight_save_insight_out saved;

    if (insight_save_insight(call, &save, &saved) != 0) {
        if (!failed_with(&call->failure, &fault_insight_collides))
            return -1;
        failure_clear(&call->failure); /* it is answered all the same */
        return 0;
    }
    *result = (struct flight_result){.id = saved.id,
                                     .texts = {saved.insight->historical_context,
                                               saved.insight->theological_significance,
                                               saved.insight->practical_application}};
    return 0;
}

static struct str material_of(struct call *call, const struct insight_generate_insight_in *in)
{
    struct buffer text;

    buffer_init(&text, &call->arena, SIZE_MAX);
    material_add(&text, "reference", in->passage_reference);
    material_add(&text, "passage", in->passage_text);
    return text.failed ? NO_STR : buffer_str(&text);
}

static int ask(struct call *call, const struct insight_generate_insight_in *in,
               struct flight_result *result)
{
    struct storing storing = {in, result};
    struct llm_message message = {STR("user"), material_of(call, in)};
    struct llm_question question = {.system = str_of(prompt_insight),
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
    const struct insight_generate_insight_in *in = input;

    if (in->save && find(call, in, result) != 0)
        return -1;
    result->found = result->id != INT_ABSENT;
    return result->found ? 0 : ask(call, in, result);
}

/* ---- generate_insight ---- */

/* What another call's flight stored is looked for like anything else: so it comes into this user's
 * history, and so it is not answered where it is that other user's own. */
static int find_or_join(struct call *call, const struct insight_generate_insight_in *in,
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
            return generate_failed(call, &fault_insights_failed);
        *cached = shared || result->found;
    } while (shared && in->save);
    return 0;
}

int insight_generate_insight(struct call *call, const struct insight_generate_insight_in *in,
                             struct insight_generate_insight_out *out)
{
    struct flight_result result = {.id = INT_ABSENT};

    if (find_or_join(call, in, &result, &out->cached) != 0)
        return -1;
    out->id = result.id;
    out->historical_context = result.texts[0];
    out->theological_significance = result.texts[1];
    out->practical_application = result.texts[2];
    return 0;
}

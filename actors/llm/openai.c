/* OpenAI's chat completions, as every compatible server speaks them (platform.openai.com, "Chat").
 *
 * A form is asked for as a JSON Schema that the answer's text must fit. Why an answer ended is told
 * in Anthropic's words, so that the rest knows one language. */
#include "json.h"
#include "protocol.h"
#include <inttypes.h>

enum { VALUES_BYTES = 16 * 1024 * 1024 };

static void write_form(struct buffer *out, const struct llm_form *form)
{
    buffer_add_text(out, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
                         "\"strict\":true,\"name\":");
    json_write_str(out, str_of(form->name));
    buffer_add_text(out, ",\"schema\":");
    llm_write_schema(out, form);
    buffer_add_text(out, "}}");
}

static void write_request(struct buffer *out, const struct llm_question *question,
                          const char *model, bool stream)
{
    buffer_add_text(out, "{\"model\":");
    json_write_str(out, str_of(model));
    buffer_add_format(out, ",\"stream\":%s", stream ? "true" : "false");
    buffer_add_text(out, ",\"messages\":[{\"role\":\"system\",\"content\":");
    json_write_str(out, question->system);
    buffer_add_char(out, '}');
    llm_write_messages(out, question, false);
    buffer_add_char(out, ']');
    if (question->form != NULL)
        write_form(out, question->form);
}

static void write(struct buffer *out, const struct llm_question *question, const char *model,
                  bool stream)
{
    write_request(out, question, model, stream);
    buffer_add_format(out, ",\"max_tokens\":%" PRId64 "}", question->most_tokens);
}

/* OpenAI's newer models take the limit by its newer name alone, which few other servers know. */
static void write_to_openai(struct buffer *out, const struct llm_question *question,
                            const char *model, bool stream)
{
    write_request(out, question, model, stream);
    buffer_add_format(out, ",\"max_completion_tokens\":%" PRId64 "}", question->most_tokens);
}

static struct str stop_of(struct str reason)
{
    if (str_is(reason, "length"))
        return STR("max_tokens");
    if (str_is(reason, "stop"))
        return STR("end_turn");
    return str_is(reason, "content_filter") ? STR("refusal") : reason;
}

/* ---- events ---- */

static void take_choice(struct llm_reading *reading, const msgpack_object *choice)
{
    const msgpack_object *delta = llm_member(choice, "delta");

    if (llm_text(delta, "refusal").len > 0)
        llm_fail(reading, LLM_refusal, llm_text(delta, "refusal"));
    llm_add_text(reading, llm_text(delta, "content"));
    llm_note_stop(reading, stop_of(llm_text(choice, "finish_reason")));
}

/* This protocol has no names of events; one that has another is not even read. */
static bool is_meant(struct str name)
{
    return name.len == 0 || str_is(name, "message") || str_is(name, "error");
}

/* Servers say it as a map or as a text. */
static bool take_error(struct llm_reading *reading, const msgpack_object *event)
{
    const msgpack_object *error = llm_member(event, "error");

    if (error == NULL || error->type == MSGPACK_OBJECT_NIL)
        return false;
    llm_fail(reading, LLM_overloaded,
             error->type == MSGPACK_OBJECT_MAP ? llm_text(error, "message")
                                               : llm_text(event, "error"));
    return true;
}

static bool read_event(struct llm_reading *reading, const char *name, struct str data)
{
    struct arena arena;
    msgpack_object event;

    if (!is_meant(str_of(name)))
        return true;
    if (str_is(data, "[DONE]")) {
        reading->ended = true;
        return false;
    }
    arena_init(&arena, VALUES_BYTES);
    if (llm_json(reading, &arena, data, &event) && !take_error(reading, &event))
        take_choice(reading, llm_first(&event, "choices"));
    arena_clear(&arena);
    return reading->trouble == LLM_none;
}

/* ---- whole answers ---- */

static void take_form(struct llm_reading *reading, struct arena *arena, struct str text)
{
    msgpack_object form;

    if (str_is(str_of(reading->stop_reason), "max_tokens"))
        llm_fail(reading, LLM_too_long, NO_STR);
    else if (text.len == 0)
        llm_fail(reading, LLM_empty, NO_STR);
    else if (llm_json(reading, arena, text, &form))
        llm_fill_form(reading, &form);
}

static void take_message(struct llm_reading *reading, struct arena *arena,
                         const msgpack_object *choice)
{
    const msgpack_object *message = llm_member(choice, "message");
    struct str text = llm_text(message, "content");

    if (message == NULL)
        llm_fail(reading, LLM_malformed, STR("it has no message"));
    if (llm_text(message, "refusal").len > 0)
        llm_fail(reading, LLM_refusal, llm_text(message, "refusal"));
    llm_note_stop(reading, stop_of(llm_text(choice, "finish_reason")));
    if (reading->form != NULL)
        take_form(reading, arena, text);
    else
        llm_add_text(reading, text);
}

static void read_answer(struct llm_reading *reading, struct str body)
{
    struct arena arena;
    msgpack_object answer;

    arena_init(&arena, VALUES_BYTES);
    if (llm_json(reading, &arena, body, &answer)) {
        if (!take_error(reading, &answer))
            take_message(reading, &arena, llm_first(&answer, "choices"));
        reading->ended = true;
    }
    arena_clear(&arena);
}

const struct llm_protocol llm_openai = {
    .name = "openai",
    .path = "/chat/completions",
    .write = write,
    .event = read_event,
    .answer = read_answer,
};

const struct llm_protocol llm_openai_itself = {
    .name = "openai",
    .path = "/chat/completions",
    .write = write_to_openai,
    .event = read_event,
    .answer = read_answer,
};

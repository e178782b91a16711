/* Anthropic's Messages API (docs.anthropic.com, "Messages" and "Streaming Messages").
 *
 * A form is asked for as the input of a tool that the model is made to use. Of a stream's events
 * those count that bring text or end it; `ping` and any that is not known are skipped. */
#include "json.h"
#include "protocol.h"
#include <inttypes.h>

enum { VALUES_BYTES = 16 * 1024 * 1024 };

static void write_form(struct buffer *out, const struct llm_form *form)
{
    buffer_add_text(out, ",\"tools\":[{\"name\":");
    json_write_str(out, str_of(form->name));
    buffer_add_text(out, ",\"description\":");
    json_write_str(out, str_of(form->prose));
    buffer_add_text(out, ",\"input_schema\":");
    llm_write_schema(out, form);
    buffer_add_text(out, "}],\"tool_choice\":{\"type\":\"tool\",\"name\":");
    json_write_str(out, str_of(form->name));
    buffer_add_char(out, '}');
}

static void write(struct buffer *out, const struct llm_question *question, const char *model,
                  bool stream)
{
    buffer_add_text(out, "{\"model\":");
    json_write_str(out, str_of(model));
    buffer_add_format(out, ",\"max_tokens\":%" PRId64 ",\"stream\":%s", question->most_tokens,
                      stream ? "true" : "false");
    buffer_add_text(out, ",\"system\":");
    json_write_str(out, question->system);
    buffer_add_text(out, ",\"messages\":[");
    llm_write_messages(out, question, true);
    buffer_add_char(out, ']');
    if (question->form != NULL)
        write_form(out, question->form);
    buffer_add_char(out, '}');
}

/* ---- events ---- */

/* The types of errors that come as events (docs: "Errors"). */
static enum llm_trouble trouble_of(struct str type)
{
    if (str_is(type, "authentication_error") || str_is(type, "permission_error") ||
        str_is(type, "billing_error"))
        return LLM_refused_key;
    if (str_is(type, "rate_limit_error"))
        return LLM_limited;
    if (str_is(type, "invalid_request_error") || str_is(type, "not_found_error") ||
        str_is(type, "request_too_large"))
        return LLM_rejected;
    return LLM_overloaded;
}

static bool take_event(struct llm_reading *reading, struct str type, const msgpack_object *event)
{
    const msgpack_object *delta = llm_member(event, "delta");

    if (str_is(type, "content_block_delta") && str_is(llm_text(delta, "type"), "text_delta"))
        llm_add_text(reading, llm_text(delta, "text"));
    else if (str_is(type, "message_delta"))
        llm_note_stop(reading, llm_text(delta, "stop_reason"));
    else if (str_is(type, "message_stop"))
        reading->ended = true;
    else if (str_is(type, "error"))
        llm_fail(reading, trouble_of(llm_text(llm_member(event, "error"), "type")),
                 llm_text(llm_member(event, "error"), "message"));
    return !reading->ended && reading->trouble == LLM_none;
}

/* Others are not even read. */
static bool is_meant(struct str name)
{
    return name.len == 0 || str_is(name, "content_block_delta") || str_is(name, "message_delta") ||
           str_is(name, "message_stop") || str_is(name, "error");
}

static bool read_event(struct llm_reading *reading, const char *name, struct str data)
{
    struct arena arena;
    msgpack_object event;
    bool more = false;

    if (!is_meant(str_of(name)))
        return true;
    arena_init(&arena, VALUES_BYTES);
    if (llm_json(reading, &arena, data, &event))
        more = take_event(reading, llm_text(&event, "type"), &event);
    arena_clear(&arena);
    return more;
}

/* ---- whole answers ---- */

static void take_block(struct llm_reading *reading, const msgpack_object *block)
{
    struct str type = llm_text(block, "type");

    if (reading->form == NULL && str_is(type, "text"))
        llm_add_text(reading, llm_text(block, "text"));
    if (reading->form != NULL && str_is(type, "tool_use") && reading->values == NULL)
        llm_fill_form(reading, llm_member(block, "input"));
}

static void take_content(struct llm_reading *reading, const msgpack_object *content)
{
    for (uint32_t i = 0; i < content->via.array.size; i++)
        take_block(reading, &content->via.array.ptr[i]);
    if (reading->form != NULL && reading->values == NULL)
        llm_fail(reading, LLM_malformed, STR("it does not use the tool"));
}

static void read_answer(struct llm_reading *reading, struct str body)
{
    struct arena arena;
    msgpack_object answer;
    const msgpack_object *content;

    arena_init(&arena, VALUES_BYTES);
    if (llm_json(reading, &arena, body, &answer)) {
        llm_note_stop(reading, llm_text(&answer, "stop_reason"));
        content = llm_member(&answer, "content");
        if (reading->form != NULL && str_is(str_of(reading->stop_reason), "max_tokens"))
            llm_fail(reading, LLM_too_long, NO_STR);
        else if (content == NULL || content->type != MSGPACK_OBJECT_ARRAY)
            llm_fail(reading, LLM_malformed, STR("it has no content"));
        else
            take_content(reading, content);
        reading->ended = true;
    }
    arena_clear(&arena);
}

const struct llm_protocol llm_anthropic = {
    .name = "anthropic",
    .path = "/v1/messages",
    .write = write,
    .event = read_event,
    .answer = read_answer,
};

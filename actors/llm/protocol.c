/* What the protocols share. */
#include "protocol.h"
#include "json.h"
#include <stdio.h>

enum { TEXT_MOST_BYTES = 1024 * 1024 };

const char *llm_trouble_text(enum llm_trouble trouble)
{
    static const char *const texts[] = {
#define TROUBLE(name, text) text,
        LLM_TROUBLES(TROUBLE)
#undef TROUBLE
    };

    return texts[trouble];
}

bool llm_fail(struct llm_reading *reading, enum llm_trouble trouble, struct str why)
{
    if (reading->trouble == LLM_none) {
        reading->trouble = trouble;
        (void)snprintf(reading->why, sizeof(reading->why), "%.*s",
                       why.len < LLM_WHY_BYTES ? (int)why.len : LLM_WHY_BYTES - 1,
                       why.ptr != NULL ? why.ptr : "");
    }
    return false;
}

/* ---- values ---- */

const msgpack_object *llm_member(const msgpack_object *map, const char *name)
{
    if (map == NULL || map->type != MSGPACK_OBJECT_MAP)
        return NULL;
    return msgpack_member(map, str_of(name));
}

struct str llm_text(const msgpack_object *map, const char *name)
{
    const msgpack_object *value = llm_member(map, name);

    if (value == NULL || value->type != MSGPACK_OBJECT_STR)
        return NO_STR;
    return (struct str){value->via.str.ptr, value->via.str.size};
}

const msgpack_object *llm_first(const msgpack_object *map, const char *name)
{
    const msgpack_object *list = llm_member(map, name);

    if (list == NULL || list->type != MSGPACK_OBJECT_ARRAY || list->via.array.size == 0)
        return NULL;
    return &list->via.array.ptr[0];
}

bool llm_json(struct llm_reading *reading, struct arena *arena, struct str text,
              msgpack_object *value)
{
    const char *why;
    size_t offset;

    if (json_read(arena, text, value, &why, &offset) == 0)
        return true;
    return llm_fail(reading, LLM_malformed, why != NULL ? str_of(why) : STR("no memory"));
}

/* ---- what an answer has ---- */

void llm_add_text(struct llm_reading *reading, struct str text)
{
    if (text.len == 0)
        return;
    if (text.len > TEXT_MOST_BYTES - reading->text.len) {
        llm_fail(reading, LLM_malformed, STR("it is too large"));
        return;
    }
    buffer_add_str(&reading->text, text);
    reading->any = true;
}

void llm_note_stop(struct llm_reading *reading, struct str reason)
{
    if (reason.len == 0)
        return;
    if (str_is(reason, "refusal"))
        llm_fail(reading, LLM_refusal, NO_STR);
    (void)snprintf(reading->stop_reason, sizeof(reading->stop_reason), "%.*s",
                   reason.len < LLM_STOP_BYTES ? (int)reason.len : LLM_STOP_BYTES - 1, reason.ptr);
}

void llm_fill_form(struct llm_reading *reading, const msgpack_object *map)
{
    const struct llm_form *form = reading->form;
    struct str *values = arena_zalloc(reading->arena, form->count * sizeof(*values));

    for (size_t i = 0; values != NULL && i < form->count; i++) {
        struct str value = llm_text(map, form->parts[i].name);

        if (value.len == 0) {
            llm_fail(reading, LLM_malformed, str_of(form->parts[i].name));
            return;
        }
        values[i] = arena_copy(reading->arena, value);
        if (values[i].ptr == NULL)
            values = NULL;
    }
    if (values == NULL)
        llm_fail(reading, LLM_malformed, STR("no memory"));
    else
        reading->values = values;
}

static enum llm_trouble trouble_of(int status)
{
    if (status == 401 || status == 403)
        return LLM_refused_key;
    if (status == 429)
        return LLM_limited;
    return status >= 500 ? LLM_overloaded : LLM_rejected;
}

void llm_read_error(struct llm_reading *reading, int status, struct str body)
{
    char why[LLM_WHY_BYTES];
    struct arena arena;
    msgpack_object value;
    struct str message = NO_STR;
    const char *unread;
    size_t offset;
    int len;

    arena_init(&arena, TEXT_MOST_BYTES);
    if (json_read(&arena, body, &value, &unread, &offset) == 0)
        message = llm_text(llm_member(&value, "error"), "message");
    len = snprintf(why, sizeof(why), "status %d: %.*s", status,
                   message.len < 120 ? (int)message.len : 120,
                   message.ptr != NULL ? message.ptr : "");
    arena_clear(&arena);
    llm_fail(reading, trouble_of(status), (struct str){why, (size_t)len});
}

/* ---- what a question has ---- */

void llm_write_schema(struct buffer *out, const struct llm_form *form)
{
    buffer_add_text(out, "{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < form->count; i++) {
        if (i > 0)
            buffer_add_char(out, ',');
        json_write_str(out, str_of(form->parts[i].name));
        buffer_add_text(out, ":{\"type\":\"string\",\"description\":");
        json_write_str(out, str_of(form->parts[i].prose));
        buffer_add_char(out, '}');
    }
    buffer_add_text(out, "},\"required\":[");
    for (size_t i = 0; i < form->count; i++) {
        if (i > 0)
            buffer_add_char(out, ',');
        json_write_str(out, str_of(form->parts[i].name));
    }
    buffer_add_text(out, "],\"additionalProperties\":false}");
}

void llm_write_messages(struct buffer *out, const struct llm_question *question, bool first)
{
    for (size_t i = 0; i < question->count; i++) {
        if (!first)
            buffer_add_char(out, ',');
        first = false;
        buffer_add_text(out, "{\"role\":");
        json_write_str(out, question->messages[i].role);
        buffer_add_text(out, ",\"content\":");
        json_write_str(out, question->messages[i].text);
        buffer_add_char(out, '}');
    }
}

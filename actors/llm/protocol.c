/* What the protocols share. */
#include "protocol.h"
#include "json.h"
#include "text.h"
#include <stdio.h>

enum { TEXT_MOST_BYTES = 1024 * 1024, MESSAGE_MOST_BYTES = 120 };

const char *llm_trouble_text(enum llm_trouble trouble)
{
    static const char *const texts[] = {
#define TROUBLE(name, text) text,
        LLM_TROUBLES(TROUBLE)
#undef TROUBLE
    };

    return texts[trouble];
}

/* Providers repeat a key that they do not know. */
static struct str without_secret(const struct llm_reading *reading, struct str words)
{
    const char *secret = reading->secret;

    if (secret == NULL || secret[0] == '\0' || words.len == 0 ||
        memmem(words.ptr, words.len, secret, strlen(secret)) == NULL)
        return words;
    return STR("(words with the key in them)");
}

bool llm_fail(struct llm_reading *reading, enum llm_trouble trouble, struct str why)
{
    why = without_secret(reading, why);
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

/* A copy that may be stored and sent on; absent with trouble recorded. */
static struct str take_text(struct llm_reading *reading, struct arena *arena, struct str text)
{
    if (memchr(text.ptr, '\0', text.len) != NULL) {
        llm_fail(reading, LLM_malformed, STR("a text has U+0000"));
        return NO_STR;
    }
    if (!text_is_utf8(text))
        text = text_repair(arena, text);
    text = arena_copy(arena, text);
    if (text.len == 0)
        llm_fail(reading, LLM_malformed, STR("no memory"));
    reading->bytes += text.len;
    if (reading->bytes <= TEXT_MOST_BYTES)
        return text;
    llm_fail(reading, LLM_malformed, STR("it is too large"));
    return NO_STR;
}

static void append(struct llm_reading *reading, struct str text)
{
    buffer_add_str(&reading->text, text);
    if (reading->text.failed)
        llm_fail(reading, LLM_malformed, STR("no memory"));
    reading->any = true;
}

void llm_add_text(struct llm_reading *reading, struct str text)
{
    struct arena arena;

    if (text.len == 0)
        return;
    arena_init(&arena, WIRE_MOST_BODY_BYTES);
    text = take_text(reading, &arena, text);
    if (text.len > 0)
        append(reading, text);
    arena_clear(&arena);
}

/* A word that may be sent on. */
static bool is_word(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    return text.len < LLM_STOP_BYTES;
}

void llm_note_stop(struct llm_reading *reading, struct str reason)
{
    if (reason.len == 0)
        return;
    if (!is_word(reason))
        reason = STR("other");
    if (str_is(reason, "refusal"))
        llm_fail(reading, LLM_refusal, NO_STR);
    memcpy(reading->stop_reason, reason.ptr, reason.len);
    reading->stop_reason[reason.len] = '\0';
}

/* A part's text; absent with trouble recorded. */
static struct str take_part(struct llm_reading *reading, const msgpack_object *map,
                            const char *name)
{
    struct str text = text_trim(llm_text(map, name));

    if (text.len > 0)
        return take_text(reading, reading->arena, text);
    llm_fail(reading, LLM_malformed, str_of(name));
    return NO_STR;
}

void llm_fill_form(struct llm_reading *reading, const msgpack_object *map)
{
    const struct llm_form *form = reading->form;
    struct str *values = arena_zalloc(reading->arena, form->count * sizeof(*values));

    if (values == NULL) {
        llm_fail(reading, LLM_malformed, STR("no memory"));
        return;
    }
    for (size_t i = 0; i < form->count; i++) {
        values[i] = take_part(reading, map, form->parts[i].name);
        if (values[i].len == 0)
            return;
    }
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

/* The words of {"error":{"message":…}}, or of {"error":…}. */
static struct str error_words(const msgpack_object *body)
{
    struct str words = llm_text(llm_member(body, "error"), "message");

    return words.len > 0 ? words : llm_text(body, "error");
}

/* What is said of a refused key may hold some of it. */
void llm_read_error(struct llm_reading *reading, int status, struct str body)
{
    enum llm_trouble trouble = trouble_of(status);
    char why[LLM_WHY_BYTES];
    struct arena arena;
    msgpack_object value;
    struct str words = NO_STR;
    const char *unread;
    size_t offset;
    int len;

    arena_init(&arena, TEXT_MOST_BYTES);
    if (trouble != LLM_refused_key && json_read(&arena, body, &value, &unread, &offset) == 0)
        words = without_secret(reading, error_words(&value));
    len = snprintf(why, sizeof(why), "status %d: %.*s", status,
                   words.len < MESSAGE_MOST_BYTES ? (int)words.len : MESSAGE_MOST_BYTES,
                   words.ptr != NULL ? words.ptr : "");
    arena_clear(&arena);
    llm_fail(reading, trouble, (struct str){why, (size_t)len});
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

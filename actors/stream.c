/* Events are replies that are not the last one: {"<name>": {…}}; that it was accepted is an empty
 * one. */
#include "stream.h"
#include "frame.h"
#include "runtime.h"

enum { EVENT_BYTES = 2 * 1024 * 1024 };

int call_accept(struct call *call)
{
    return pieces_send(mail_of(call), STR("\x80"));
}

bool call_is_left(struct call *call)
{
    return mail_of(call)->left;
}

static bool is_declared(const struct method *method, const struct record *record)
{
    for (size_t i = 0; method->events[i] != NULL; i++)
        if (method->events[i] == record)
            return true;
    return false;
}

int call_event(struct call *call, const struct record *record, const void *values)
{
    struct buffer body;
    int error;

    if (!is_declared(call->method, record))
        return fail(call, internal, "%s has no event %s", call->method->name, record->name);
    buffer_init(&body, NULL, EVENT_BYTES);
    buffer_add_char(&body, '\x81');
    codec_encode_str(&body, str_of(record->name));
    codec_encode(&body, record, values);
    if (body.failed)
        error = fail(call, busy, "no memory for an event");
    else
        error = pieces_send(mail_of(call), buffer_str(&body));
    buffer_free(&body);
    return error;
}

/* Sending a message and printing its answer; see message.h.
 *
 * The answer is printed by the message's row, in the form that HTTP gives it, and piece by piece
 * where it comes so. What goes wrong is told apart by exit codes: 1 for a declared fault, and those
 * of sysexits.h for all that kept the message from being answered. */
#include "message.h"
#include "base/option.h"
#include "base/time.h"
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum { MARGIN_MS = 500 }; /* so that the actor's own `timeout` arrives */

#define CREDIT_BYTES ((int64_t)1 << 40) /* pieces are printed as fast as they come */

/* ---- the answer ---- */

static void print_line(FILE *where, struct buffer *text)
{
    buffer_add_char(text, '\n');
    (void)fwrite(text->data, 1, text->failed ? 0 : text->len, where);
}

static int print_fault(struct message *message, const struct client_reply *reply)
{
    const struct fault *fault = contract_fault(reply->header.status);
    const msgpack_object *detail = NULL;
    struct buffer text;

    if (reply->body.type == MSGPACK_OBJECT_MAP)
        detail = msgpack_member(&reply->body, STR("detail"));
    buffer_init(&text, message->arena, MESSAGE_ARENA_BYTES);
    buffer_add_text(&text, "{\"fault\":");
    json_write_str(&text, reply->header.status);
    if (fault != NULL)
        buffer_add_format(&text, ",\"status\":%d", fault->status);
    buffer_add_text(&text, ",\"detail\":");
    if (detail != NULL)
        json_write(&text, detail);
    else
        buffer_add_text(&text, "null");
    buffer_add_char(&text, '}');
    print_line(stderr, &text);
    return EXIT_FAULT;
}

/* Prints what a reply adds to the answer, which may come in pieces; `last`: and its end. */
static int print_part(struct message *message, const struct client_reply *reply, bool last)
{
    struct buffer text;
    int error;

    buffer_init(&text, NULL, MESSAGE_ARENA_BYTES);
    if (message->pieces.record == NULL)
        json_pieces_begin(&message->pieces, &message->method->out, &text);
    error = json_pieces_add(&message->pieces, &text, &reply->body);
    if (error == 0 && last)
        error = json_pieces_end(&message->pieces, &text);
    if (error != 0)
        fprintf(stderr, "%s: the answer lacks what %s always gives\n", message->command,
                message->method->name);
    else if (last)
        print_line(stdout, &text);
    else
        (void)fwrite(text.data, 1, text.failed ? 0 : text.len, stdout);
    buffer_free(&text);
    return error == 0 ? EX_OK : EX_PROTOCOL;
}

/* Prints an event, `{"<name>": {…}}`, as its content has it; that it was accepted is an empty one.
 */
static int print_event(const struct message *message, const struct client_reply *reply)
{
    const struct record *const *events = message->method->events;
    const msgpack_object *value = NULL;
    struct buffer text;
    int error;

    if (reply->body.type == MSGPACK_OBJECT_MAP && reply->body.via.map.size == 0)
        return EX_OK;
    for (; value == NULL && *events != NULL; events++)
        if (reply->body.type == MSGPACK_OBJECT_MAP)
            value = msgpack_member(&reply->body, str_of((*events)->name));
    buffer_init(&text, NULL, MESSAGE_ARENA_BYTES);
    error = value != NULL ? json_write_record(&text, events[-1], value) : -1;
    if (error == 0)
        print_line(stdout, &text);
    else
        fprintf(stderr, "%s: %s has no such event\n", message->command, message->method->name);
    buffer_free(&text);
    (void)fflush(stdout);
    return error == 0 ? EX_OK : EX_PROTOCOL;
}

static int report_end(const struct message *message, enum client_end end)
{
    switch (end) {
    case CLIENT_ABSENT:
        fprintf(stderr, "%s: the actor `%s` went away\n", message->command,
                message->method->domain);
        return EX_UNAVAILABLE;
    case CLIENT_TIMEOUT:
        fprintf(stderr, "%s: no answer within %lld ms\n", message->command,
                (long long)message->timeout_ms);
        return EX_TEMPFAIL;
    case CLIENT_LOST:
        fprintf(stderr, "%s: the actor was lost; the message may have been done\n",
                message->command);
        return EX_TEMPFAIL;
    default:
        fprintf(stderr, "%s: what the actor sent is no reply\n", message->command);
        return EX_PROTOCOL;
    }
}

static int print_reply(struct message *message, const struct client_reply *reply, bool *more)
{
    *more = str_is(reply->header.status, "more");
    if (*more && message->method->kind == KIND_stream)
        return print_event(message, reply);
    if (*more || str_is(reply->header.status, "ok"))
        return print_part(message, reply, !*more);
    if (message->pieces.record != NULL)
        (void)putchar('\n'); /* the part that came stays a line */
    return print_fault(message, reply);
}

static int print_replies(struct message *message, struct client *client)
{
    int64_t deadline_us = message->deadline_us + TIME_MS(MARGIN_MS);
    bool more = true;
    int code = EX_OK;

    while (code == EX_OK && more) {
        struct client_reply reply;
        struct arena arena;
        enum client_end end;

        arena_init(&arena, MESSAGE_ARENA_BYTES);
        end = client_receive(client, &arena, deadline_us, &reply);
        code = end == CLIENT_DONE ? print_reply(message, &reply, &more) : report_end(message, end);
        arena_clear(&arena);
    }
    return code;
}

/* ---- the message ---- */

static struct client *connect_actor(const struct message *message)
{
    const char *where = getenv("LECTERN_ACTORS");
    char folder[512], state[256], cause[640];
    struct client *client;

    if (where == NULL || where[0] == '\0') {
        const char *given = getenv("LECTERN_STATE");

        if (option_state(given != NULL ? given : "", state, sizeof(state)) != 0)
            return NULL;
        (void)snprintf(folder, sizeof(folder), "%s/actors", state);
        where = folder;
    }
    client =
        client_open(message->method->domain, where, message->deadline_us, cause, sizeof(cause));
    if (client == NULL)
        fprintf(stderr, "%s: %s\n", message->command, cause);
    return client;
}

int message_send(struct message *message, struct str body)
{
    struct common_request header = {.v = WIRE_VERSION,
                                    .method = str_of(message->method->name),
                                    .budget = message->timeout_ms,
                                    .user = str_of(message->user),
                                    .credit = INT_ABSENT};
    struct client *client;
    enum client_end end;
    int code;

    message->deadline_us = time_now_us() + TIME_MS(message->timeout_ms);
    client = connect_actor(message);
    if (client == NULL)
        return EX_UNAVAILABLE;
    if (message->method->pieces || message->method->kind == KIND_stream)
        header.credit = CREDIT_BYTES;
    end = client_send(client, &header, body, message->deadline_us);
    code = end == CLIENT_DONE ? print_replies(message, client) : report_end(message, end);
    client_close(&client);
    return code;
}

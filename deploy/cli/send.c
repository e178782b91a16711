/* `lectern send`: one message, straight to an actor.
 *
 * The input goes out as it was written, so that the actor itself judges it; the answer is printed
 * by the message's row, in the form that HTTP gives it, and the events of a stream as they come, a
 * line each. What goes wrong is told apart by exit
 * codes: 1 for a declared fault, and those of sysexits.h for all that kept the message from being
 * answered. */
#include "base/option.h"
#include "base/time.h"
#include "cli.h"
#include "client.h"
#include "json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    SEND_TIMEOUT_MS = 10000,
    SEND_STREAM_TIMEOUT_MS = 300000,
    SEND_MOST_TIMEOUT_MS = 600000,
    SEND_MARGIN_MS = 500, /* so that the actor's own `timeout` arrives */
    SEND_ARENA_BYTES = 1 << 28,
    EXIT_FAULT = 1
};

#define SEND_CREDIT_BYTES ((int64_t)1 << 40) /* pieces are printed as fast as they come */

struct sending {
    struct arena arena;          /* everything of this message */
    const struct method *method; /* the message's row */
    const char *message;         /* its name as it was written */
    const char *json;            /* the input; NULL or `-`: standard input */
    const char *user;            /* anonymous id, or NULL */
    int64_t timeout_ms;          /* time in all; 0: none was given yet */
    int64_t deadline_us;         /* monotonic */
    struct json_pieces pieces;   /* of the answer, as it is printed; no record: nothing is yet */
};

static const char help[] =
    "usage: lectern send DOMAIN.MESSAGE [JSON|-] [--user ID] [--timeout MS]\n\n"
    "Sends a message straight to an actor of its domain and prints the answer as JSON.\n"
    "JSON is the message's input, an object; absent or `-`: it is read from standard input\n"
    "(nothing there, or a terminal where no JSON was given: `{}`).\n\n"
    "options:\n"
    "  --user ID     the anonymous id of the user it acts for\n"
    "  --timeout MS  time for the answer (default 10000; of a stream 300000)\n\n"
    "environment:\n"
    "  LECTERN_ACTORS  folder of the actors' sockets, or a list `user=tcp://host:port,…`\n"
    "                  (default: actors/ in the state folder)\n"
    "  LECTERN_STATE   the state folder\n\n"
    "Of a stream each event is printed as it comes, as a line of JSON, and then the output.\n"
    "A fault is printed on standard error as {\"fault\":…,\"status\":…,\"detail\":…}.\n"
    "exit codes: 0 answered, 1 a fault, 64 wrong usage, 65 wrong JSON, 69 no actor answers,\n"
    "75 no answer in time, or the actor was lost: it may have been done\n\n"
    "example:\n"
    "  lectern send bible.passage '{\"book\":\"John\",\"chapter\":3,\"verse_start\":16}'\n";

/* ---- arguments ---- */

static int refuse_message(const char *name)
{
    struct nearest nearest = nearest_to(name);

    for (unsigned i = 0; i < METHOD_COUNT; i++)
        nearest_try(&nearest, methods[i].name);
    if (nearest.name != NULL)
        fprintf(stderr, "lectern send: no message `%s`; did you mean `%s`?\n", name, nearest.name);
    else
        fprintf(stderr, "lectern send: no message `%s`; `lectern ls` lists them\n", name);
    return EX_USAGE;
}

static int read_timeout(const char *text, int64_t *timeout_ms)
{
    char *end;

    errno = 0;
    *timeout_ms = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && *timeout_ms > 0 &&
        *timeout_ms <= SEND_MOST_TIMEOUT_MS)
        return EX_OK;
    fprintf(stderr, "lectern send: --timeout takes 1 to %d milliseconds, not `%s`\n",
            SEND_MOST_TIMEOUT_MS, text);
    return EX_USAGE;
}

/* One option and its value. */
static int read_option(struct sending *sending, const char *option, const char *value)
{
    bool user = strcmp(option, "--user") == 0;

    if (!user && strcmp(option, "--timeout") != 0) {
        fprintf(stderr, "lectern send: no option `%s`; `lectern send --help` lists them\n", option);
        return EX_USAGE;
    }
    if (value == NULL) {
        fprintf(stderr, "lectern send: `%s` needs a value\n", option);
        return EX_USAGE;
    }
    if (!user)
        return read_timeout(value, &sending->timeout_ms);
    sending->user = value;
    return EX_OK;
}

static int read_operand(struct sending *sending, const char *operand)
{
    if (sending->message == NULL) {
        sending->message = operand;
    } else if (sending->json == NULL) {
        sending->json = operand;
    } else {
        fprintf(stderr, "lectern send: `%s` is one argument too many\n", operand);
        return EX_USAGE;
    }
    return EX_OK;
}

static int read_arguments(struct sending *sending, int argc, char **argv)
{
    int code = EX_OK;

    for (int i = 1; i < argc && code == EX_OK; i++) {
        if (argv[i][0] == '-' && argv[i][1] == '-') {
            code = read_option(sending, argv[i], argv[i + 1]);
            i++;
        } else {
            code = read_operand(sending, argv[i]);
        }
    }
    if (code != EX_OK)
        return code;
    if (sending->message == NULL) {
        fprintf(stderr, "lectern send: which message? `lectern ls` lists them\n");
        return EX_USAGE;
    }
    sending->method = contract_method(str_of(sending->message));
    return sending->method != NULL ? EX_OK : refuse_message(sending->message);
}

/* ---- the input ---- */

static struct str read_stdin(struct arena *arena)
{
    struct buffer text;
    size_t got;

    buffer_init(&text, arena, WIRE_MOST_BODY_BYTES);
    do {
        char *room = buffer_reserve(&text, JSON_SLICE_BYTES);

        got = room != NULL ? fread(room, 1, JSON_SLICE_BYTES, stdin) : 0;
        text.len += got;
    } while (got > 0);
    return text.failed ? NO_STR : buffer_str(&text);
}

static bool is_blank(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(" \t\r\n", text.ptr[i]) == NULL)
            return false;
    }
    return true;
}

static struct str input_text(struct sending *sending)
{
    struct str text;

    if (sending->json == NULL && isatty(STDIN_FILENO))
        return STR("{}");
    if (sending->json != NULL && strcmp(sending->json, "-") != 0)
        return str_of(sending->json);
    text = read_stdin(&sending->arena);
    return text.ptr != NULL && is_blank(text) ? STR("{}") : text;
}

/* The input as msgpack. */
static int read_input(struct sending *sending, struct buffer *body)
{
    struct str text = input_text(sending);
    msgpack_object value;
    const char *why;
    size_t offset;

    buffer_init(body, &sending->arena, WIRE_MOST_BODY_BYTES);
    if (text.ptr == NULL) {
        fprintf(stderr, "lectern send: the input is larger than a message may be\n");
        return EX_DATAERR;
    }
    if (json_read(&sending->arena, text, &value, &why, &offset) != 0) {
        fprintf(stderr, "lectern send: the input is no JSON: %s at byte %zu\n", why, offset);
        return EX_DATAERR;
    }
    if (value.type != MSGPACK_OBJECT_MAP) {
        fprintf(stderr, "lectern send: the input must be a JSON object: {…}\n");
        return EX_DATAERR;
    }
    msgpack_write(body, &value);
    if (!body->failed)
        return EX_OK;
    fprintf(stderr, "lectern send: the input is larger than a message may be\n");
    return EX_DATAERR;
}

/* ---- the answer ---- */

static void print_line(FILE *where, struct buffer *text)
{
    buffer_add_char(text, '\n');
    (void)fwrite(text->data, 1, text->failed ? 0 : text->len, where);
}

static int print_fault(struct sending *sending, const struct client_reply *reply)
{
    const struct fault *fault = contract_fault(reply->header.status);
    const msgpack_object *detail = NULL;
    struct buffer text;

    if (reply->body.type == MSGPACK_OBJECT_MAP)
        detail = msgpack_member(&reply->body, STR("detail"));
    buffer_init(&text, &sending->arena, SEND_ARENA_BYTES);
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
static int print_part(struct sending *sending, const struct client_reply *reply, bool last)
{
    struct buffer text;
    int error;

    buffer_init(&text, NULL, SEND_ARENA_BYTES);
    if (sending->pieces.record == NULL)
        json_pieces_begin(&sending->pieces, &sending->method->out, &text);
    error = json_pieces_add(&sending->pieces, &text, &reply->body);
    if (error == 0 && last)
        error = json_pieces_end(&sending->pieces, &text);
    if (error != 0)
        fprintf(stderr, "lectern send: the answer lacks what %s always gives\n", sending->message);
    else if (last)
        print_line(stdout, &text);
    else
        (void)fwrite(text.data, 1, text.failed ? 0 : text.len, stdout);
    buffer_free(&text);
    return error == 0 ? EX_OK : EX_PROTOCOL;
}

/* Prints an event, `{"<name>": {…}}`, as its content has it; that it was accepted is an empty one.
 */
static int print_event(struct sending *sending, const struct client_reply *reply)
{
    const struct record *const *events = sending->method->events;
    const msgpack_object *value = NULL;
    struct buffer text;
    int error;

    if (reply->body.type == MSGPACK_OBJECT_MAP && reply->body.via.map.size == 0)
        return EX_OK;
    for (; value == NULL && *events != NULL; events++)
        if (reply->body.type == MSGPACK_OBJECT_MAP)
            value = msgpack_member(&reply->body, str_of((*events)->name));
    buffer_init(&text, NULL, SEND_ARENA_BYTES);
    error = value != NULL ? json_write_record(&text, events[-1], value) : -1;
    if (error == 0)
        print_line(stdout, &text);
    else
        fprintf(stderr, "lectern send: %s has no such event\n", sending->message);
    buffer_free(&text);
    (void)fflush(stdout);
    return error == 0 ? EX_OK : EX_PROTOCOL;
}

static int report_end(const struct sending *sending, enum client_end end)
{
    switch (end) {
    case CLIENT_ABSENT:
        fprintf(stderr, "lectern send: the actor `%s` went away\n", sending->method->domain);
        return EX_UNAVAILABLE;
    case CLIENT_TIMEOUT:
        fprintf(stderr, "lectern send: no answer within %lld ms\n", (long long)sending->timeout_ms);
        return EX_TEMPFAIL;
    case CLIENT_LOST:
        fprintf(stderr, "lectern send: the actor was lost; the message may have been done\n");
        return EX_TEMPFAIL;
    default:
        fprintf(stderr, "lectern send: what the actor sent is no reply\n");
        return EX_PROTOCOL;
    }
}

static int print_reply(struct sending *sending, const struct client_reply *reply, bool *more)
{
    *more = str_is(reply->header.status, "more");
    if (*more && sending->method->kind == KIND_stream)
        return print_event(sending, reply);
    if (*more || str_is(reply->header.status, "ok"))
        return print_part(sending, reply, !*more);
    if (sending->pieces.record != NULL)
        (void)putchar('\n'); /* the part that came stays a line */
    return print_fault(sending, reply);
}

static int print_replies(struct sending *sending, struct client *client)
{
    int64_t deadline_us = sending->deadline_us + TIME_MS(SEND_MARGIN_MS);
    bool more = true;
    int code = EX_OK;

    while (code == EX_OK && more) {
        struct client_reply reply;
        struct arena arena;
        enum client_end end;

        arena_init(&arena, SEND_ARENA_BYTES);
        end = client_receive(client, &arena, deadline_us, &reply);
        code = end == CLIENT_DONE ? print_reply(sending, &reply, &more) : report_end(sending, end);
        arena_clear(&arena);
    }
    return code;
}

/* ---- the message ---- */

static struct client *connect_actor(const struct sending *sending)
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
        client_open(sending->method->domain, where, sending->deadline_us, cause, sizeof(cause));
    if (client == NULL)
        fprintf(stderr, "lectern send: %s\n", cause);
    return client;
}

static int exchange(struct sending *sending, struct str body)
{
    struct common_request header = {.v = WIRE_VERSION,
                                    .method = str_of(sending->method->name),
                                    .budget = sending->timeout_ms,
                                    .user = str_of(sending->user),
                                    .credit = INT_ABSENT};
    struct client *client = connect_actor(sending);
    enum client_end end;
    int code;

    if (client == NULL)
        return EX_UNAVAILABLE;
    if (sending->method->pieces || sending->method->kind == KIND_stream)
        header.credit = SEND_CREDIT_BYTES;
    end = client_send(client, &header, body, sending->deadline_us);
    code = end == CLIENT_DONE ? print_replies(sending, client) : report_end(sending, end);
    client_close(&client);
    return code;
}

int cli_send(int argc, char **argv)
{
    struct sending sending = {.timeout_ms = 0};
    struct buffer body;
    int code;

    if (cli_wants_help(argc, argv)) {
        (void)fputs(help, stdout);
        return EX_OK;
    }
    arena_init(&sending.arena, SEND_ARENA_BYTES);
    code = read_arguments(&sending, argc, argv);
    if (code == EX_OK && sending.timeout_ms == 0)
        sending.timeout_ms = sending.method->kind == KIND_stream ? (int64_t)SEND_STREAM_TIMEOUT_MS
                                                                 : (int64_t)SEND_TIMEOUT_MS;
    if (code == EX_OK)
        code = read_input(&sending, &body);
    sending.deadline_us = time_now_us() + TIME_MS(sending.timeout_ms);
    if (code == EX_OK)
        code = exchange(&sending, buffer_str(&body));
    arena_clear(&sending.arena);
    return code;
}

/* `lectern send`: one message, straight to an actor.
 *
 * The input goes out as it was written, so that the actor itself judges it. */
#include "cli.h"
#include "message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

struct sending {
    struct arena arena;     /* everything of this message */
    struct message message; /* what is sent */
    const char *name;       /* of the message, as it was written */
    const char *json;       /* the input; NULL or `-`: standard input */
};

static const char help[] =
    "usage: lectern send DOMAIN.MESSAGE [JSON|-] [--user ID] [--timeout MS]\n\n"
    "Sends a message straight to an actor of its domain and prints the answer as JSON.\n"
    "JSON is the message's input, an object; absent or `-`: it is read from standard input\n"
    "(nothing there, or a terminal where no JSON was given: `{}`).\n\n"
    "options:\n"
    "  --user ID     the anonymous id of the user it acts for\n"
    "  --timeout MS  time for the answer (default 10000; of a stream 300000)\n\n"
    "Of a stream each event is printed as it comes, as a line of JSON, and then the "
    "output.\n\n" MESSAGE_HELP "\n"
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
        *timeout_ms <= MESSAGE_MOST_TIMEOUT_MS)
        return EX_OK;
    fprintf(stderr, "lectern send: --timeout takes 1 to %d milliseconds, not `%s`\n",
            MESSAGE_MOST_TIMEOUT_MS, text);
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
        return read_timeout(value, &sending->message.timeout_ms);
    sending->message.user = value;
    return EX_OK;
}

static int read_operand(struct sending *sending, const char *operand)
{
    if (sending->name == NULL) {
        sending->name = operand;
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
    if (sending->name == NULL) {
        fprintf(stderr, "lectern send: which message? `lectern ls` lists them\n");
        return EX_USAGE;
    }
    sending->message.method = contract_method(str_of(sending->name));
    return sending->message.method != NULL ? EX_OK : refuse_message(sending->name);
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

/* ---- the command ---- */

int cli_send(int argc, char **argv)
{
    struct sending sending = {.message = {.command = "lectern send"}};
    struct buffer body;
    int code;

    if (cli_wants_help(argc, argv)) {
        (void)fputs(help, stdout);
        return EX_OK;
    }
    arena_init(&sending.arena, MESSAGE_ARENA_BYTES);
    sending.message.arena = &sending.arena;
    code = read_arguments(&sending, argc, argv);
    if (code == EX_OK && sending.message.timeout_ms == 0)
        sending.message.timeout_ms = sending.message.method->kind == KIND_stream
                                         ? MESSAGE_STREAM_TIMEOUT_MS
                                         : MESSAGE_TIMEOUT_MS;
    if (code == EX_OK)
        code = read_input(&sending, &body);
    if (code == EX_OK)
        code = message_send(&sending.message, buffer_str(&body));
    arena_clear(&sending.arena);
    return code;
}

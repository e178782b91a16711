/* A message to an actor, its answer printed: what the sub-commands that send one share. */
#pragma once

#include "contract.h"
#include "json.h"

enum {
    MESSAGE_TIMEOUT_MS = 10000,
    MESSAGE_STREAM_TIMEOUT_MS = 300000,
    MESSAGE_MOST_TIMEOUT_MS = 600000,
    MESSAGE_ARENA_BYTES = 1 << 28,
    EXIT_FAULT = 1
};

/* What the help of such a sub-command says of where actors are and how it ends. */
#define MESSAGE_HELP                                                                               \
    "environment:\n"                                                                               \
    "  LECTERN_ACTORS  folder of the actors' sockets, or a list `user=tcp://host:port,…`\n"      \
    "                  (default: actors/ in the state folder)\n"                                   \
    "  LECTERN_STATE   the state folder\n\n"                                                       \
    "A fault is printed on standard error as {\"fault\":…,\"status\":…,\"detail\":…}.\n"     \
    "exit codes: 0 answered, 1 a fault, 64 wrong usage, 65 wrong JSON, 69 no actor answers,\n"     \
    "75 no answer in time, or the actor was lost: it may have been done\n"

struct message {
    const char *command;         /* `lectern send`, for what goes wrong */
    struct arena *arena;         /* the caller's, for all that it needs */
    const struct method *method; /* the row */
    const char *user;            /* anonymous id of whom it acts for, or NULL */
    int64_t timeout_ms;          /* time in all */
    int64_t deadline_us;         /* monotonic; set by message_send() */
    struct json_pieces pieces;   /* of the answer, as it is printed; no record: nothing is yet */
};

/* Sends it with `body` (a msgpack map) and prints the answer as JSON on standard output, or what
 * went wrong on standard error. An exit code. */
int message_send(struct message *message, struct str body);

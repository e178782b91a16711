/* The command `lectern`: one row a sub-command, one file a sub-command.
 *
 * A sub-command gets its own name as argv[0] and what followed it, prints its own help for
 * `--help`, writes results to standard output and causes to standard error, and returns an exit
 * code of sysexits.h. */
#pragma once

#include "base/arena.h"

#define CLI_COMMANDS(COMMAND)                                                                      \
    COMMAND(send, "send", "send a message straight to an actor and print its answer")              \
    COMMAND(ls, "ls", "list the messages, with what they take, give and fail with")                \
    COMMAND(user, "user", "give and end pro subscriptions")                                        \
    COMMAND(migrate, "migrate", "bring the database's schema up to date")                          \
    COMMAND(import_bible, "import-bible", "read Bibles into the database")

int cli_send(int argc, char **argv);
int cli_ls(int argc, char **argv);
int cli_user(int argc, char **argv);
int cli_migrate(int argc, char **argv);
int cli_import_bible(int argc, char **argv);

/* Whether help is asked for: `--help` or `-h` is among the arguments, before any `--`. */
bool cli_wants_help(int argc, char **argv);

/* Which of the names is nearest to `text` by edits, or NULL when none is near enough to be meant.
 */
struct nearest {
    const char *text; /* what was written */
    const char *name; /* the nearest so far, or NULL */
    size_t edits;     /* its distance */
};

/* Begins a search. */
struct nearest nearest_to(const char *text);
/* Looks at one more name, which must outlive the search. */
void nearest_try(struct nearest *nearest, const char *name);

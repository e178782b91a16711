/* Options by rows: flag, then environment, then file, then default.
 *
 * A program has one list of rows; the struct that holds the values, the parsing of flags,
 * environment and file, `--help`, `--check-config` and the reference page come from it.
 *
 *   #define GATEWAY_OPTIONS(OPTION)
 *       OPTION(connections, number, "LECTERN_CONNECTIONS", "20000", 1, 1000000, fixed,
 *              "clients that may be connected at one time")
 *   OPTIONS_STRUCT(gateway_options, GATEWAY_OPTIONS);
 *   OPTIONS_TABLE(gateway_option_rows, gateway_options, GATEWAY_OPTIONS);
 *
 * The flag is the member with dashes (`--connections N`, `--connections=N`), the key in the file
 * the same without the dashes in front. The file has lines `key = value`; `#` begins a comment,
 * double quotes keep blanks and `#`. Several programs can share a file: what follows a line
 * `[lectern-chat]` is for that program only and wins over what stands above all sections. An
 * environment variable that is empty counts as unset. Values of rows whose name contains `key`,
 * `password` or `url` are never shown. */
#pragma once

#include "arena.h"

/* Types: the C type of the member, and how a value is written.
 *   text      const char *   anything; empty means unset ("" in the struct, never NULL)
 *   number    int64_t        decimal
 *   duration  int64_t        microseconds; `500ms`, `10s`, `5m`, `2h`; a number alone is seconds
 *   bytes     int64_t        `64KiB`, `2MiB`, `1GiB`; a number alone is bytes
 *   flag      bool           on off true false yes no 1 0; `--name` alone: on, `--no-name`: off
 *   choice    const char *   one of the words that the prose lists */
typedef const char *option_c_text;
typedef const char *option_c_choice;
typedef int64_t option_c_number;
typedef int64_t option_c_duration;
typedef int64_t option_c_bytes;
typedef bool option_c_flag;

enum option_type {
    OPTION_text,
    OPTION_choice,
    OPTION_number,
    OPTION_duration,
    OPTION_bytes,
    OPTION_flag
};
enum option_reload { OPTION_fixed, OPTION_reloadable };

struct option_row {
    const char *name;          /* the member's */
    enum option_type type;     /* how its value is written */
    const char *env;           /* environment variable */
    const char *standard;      /* the default, as text */
    int64_t least, most;       /* of numbers, durations (us) and bytes; both 0: any */
    enum option_reload reload; /* whether SIGHUP takes a new value */
    const char *prose;         /* one sentence; of a choice: ends with "(one of: a b c)" */
    size_t offset;             /* in the struct */
};

#define OPTION_MEMBER(name, type, env, standard, least, most, reload, prose) option_c_##type name;
#define OPTIONS_STRUCT(tag, LIST)                                                                  \
    struct tag {                                                                                   \
        LIST(OPTION_MEMBER)                                                                        \
    }

/* OPTIONS_TABLE needs the struct's tag inside each row: a typedef of that scope carries it. */
#define OPTION_ROW(name_, type_, env_, standard_, least_, most_, reload_, prose_)                  \
    {#name_,           OPTION_##type_, env_,                                                       \
     standard_,        least_,         most_,                                                      \
     OPTION_##reload_, prose_,         offsetof(option_values, name_)},

/* Defines `static const struct option_row rows[]` and `enum { rows##_count }`. One a file. */
#define OPTIONS_TABLE(rows, tag, LIST)                                                             \
    typedef struct tag option_values;                                                              \
    static const struct option_row rows[] = {LIST(OPTION_ROW)};                                    \
    enum { rows##_count = sizeof(rows) / sizeof((rows)[0]) }

/* What every process has. `state` is empty where nothing was given: option_state() then decides. */
#define COMMON_OPTIONS(OPTION)                                                                     \
    OPTION(config, text, "LECTERN_CONFIG", "", 0, 0, fixed, "file with more options")              \
    OPTION(state, text, "LECTERN_STATE", "", 0, 0, fixed,                                          \
           "folder of sockets, logs and the private database")                                     \
    OPTION(admin, text, "LECTERN_ADMIN", "127.0.0.1:0", 0, 0, fixed,                               \
           "address of /ready and /metrics of this process; port 0: a free one, `off`: none")      \
    OPTION(log_level, choice, "LECTERN_LOG_LEVEL", "info", 0, 0, reloadable,                       \
           "least level that is logged (one of: debug info warn error)")                           \
    OPTION(log_format, choice, "LECTERN_LOG_FORMAT", "logfmt", 0, 0, fixed,                        \
           "form of a log line (one of: logfmt json)")                                             \
    OPTION(scheduling, choice, "LECTERN_SCHEDULING", "batch", 0, 0, fixed,                         \
           "what the kernel is told: batch lets the process gather work before it is woken, "      \
           "which is faster under load (one of: batch normal)")                                    \
    OPTION(watchdog, duration, "LECTERN_WATCHDOG", "50ms", 0, 0, fixed,                            \
           "turns of the loop longer than this are logged; 0: none")                               \
    OPTION(drain, duration, "LECTERN_DRAIN", "30s", 0, 0, fixed,                                   \
           "time for what is in flight after SIGTERM")

struct option_program {
    const char *name;  /* `lectern-gateway` */
    const char *prose; /* one sentence, for --help */
    const struct option_row *rows;
    unsigned count;
    /* Checks what rows cannot say (an address, a combination); returns NULL, or what is wrong
     * (static or in `text`). May be NULL. */
    const char *(*check)(const void *values, char *text, size_t text_bytes);
};

/* Fills `values` (zeroed by it). Mistakes go to stderr, one line each, as `lectern.conf:12: …` or
 * `--flag: …` or `LECTERN_X: …`, with the nearest name where one is unknown; then it exits: 64
 * (EX_USAGE) for flags, 78 (EX_CONFIG) for environment and file, 66 (EX_NOINPUT) for a file that
 * cannot be read. `--help`, `--version` and `--check-config` print and exit 0. Texts live as long
 * as the process. */
void option_load(const struct option_program *program, void *values, int argc, char **argv);

/* Reads file and environment again, all or nothing: reloadable rows take their new values, a
 * changed fixed row is named in the log. 0, or -1 after logging what is wrong; then nothing
 * changed. Reads a file: the caller does it off the loop or accepts a local read on SIGHUP. */
int option_reload(const struct option_program *program, void *values);

/* Frees texts (before exit). */
void option_close(void);

/* The state folder: `given` where it is not empty, else /var/lib/lectern for root, else
 * $XDG_STATE_HOME/lectern, else ~/.local/state/lectern. Into `out`; -1 and a line on stderr when it
 * is too long for the sockets in it (a UNIX socket's path ends at 107 bytes). */
int option_state(const char *given, char *out, size_t out_bytes);

/* Where root calls and the folder `run` of the state is another user's, becomes that user, for
 * good, so that what is started by hand fits to what runs there. 0, or -1 and a line on stderr. At
 * start-up only. */
int option_become_owner(const char *state) MUST;

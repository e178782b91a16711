/* Where options come from: flags, environment and file, read into one setting a row. Only for
 * option.c. */
#pragma once

#include "option.h"

/* The stronger one later. */
enum source { FROM_DEFAULT, FROM_FILE, FROM_ENV, FROM_FLAG };

struct setting {
    const char *text;   /* as given */
    enum source source; /* where */
    int line;           /* in the file; 0: not there */
    bool own;           /* that line stands in the program's own section */
};

/* One pass over the sources. */
struct reading {
    const struct option_program *program;
    struct setting *settings; /* one a row */
    bool to_log;              /* mistakes go to the log, not to stderr */
    const char *path;         /* the file's, or NULL */
    unsigned wrong_flags;     /* mistakes so far */
    unsigned wrong_others;    /* mistakes elsewhere */
    bool unreadable;          /* the file */
};

/* What `--help`, `--version` and `--check-config` ask for. */
enum wish { WISH_run, WISH_check, WISH_version, WISH_help };

/* One a row, each at its default, to be freed with free(); NULL without memory. */
struct setting *option_settings_new(const struct option_program *program) MUST;

/* The row's setting. */
struct setting *option_setting(const struct reading *reading, const struct option_row *row);

/* Reports and counts a mistake. */
void option_wrong(struct reading *reading, enum source source, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Each reads one source. What was given by a stronger one stays. */
enum wish option_read_flags(struct reading *reading, int argc, char **argv);
void option_read_environment(struct reading *reading);
void option_read_file(struct reading *reading);

/* Frees the texts of all settings. */
void option_texts_free(void);

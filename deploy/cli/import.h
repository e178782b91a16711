/* What the kinds of `lectern import-bible` share. A kind is one function, which gets the arguments
 * read and returns an exit code. */
#pragma once

#include "store.h"

#include <stdbool.h>

enum { IMPORT_CODE_MAX = 10, IMPORT_NAME_MAX = 200, IMPORT_ONLY_MAX = 64 };

struct import_arguments {
    const char *kind;                  /* `sword` or `helloao` */
    const char *source;                /* a module's name or a file's path */
    const char *code;                  /* of the translation; NULL: not given */
    const char *name;                  /* of the translation; NULL: not given */
    bool pro;                          /* for pro users only */
    bool help;                         /* show the page and nothing else */
    const char *only[IMPORT_ONLY_MAX]; /* the translations to take */
    int only_count;                    /* of them; 0: all */
};

int import_helloao(const struct import_arguments *arguments);

/* Prints a line to standard error; returns `code`. */
int import_complain(int code, const char *what, const char *more);

/* Whether a translation may have that code: at most IMPORT_CODE_MAX letters, digits, `_` or `-`. */
bool import_code_is_valid(const char *code);

/* Begins a line of progress on a terminal in place of the one before; nothing elsewhere. */
void import_clear_line(void);

/* Stores a translation over `conn` and says so on standard output; an exit code. */
int import_store(PGconn *conn, const struct translation *translation, const struct bible *bible);

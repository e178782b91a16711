/* Puts a translation into the database. */
#pragma once

#include "bible.h"

#include <libpq-fe.h>

struct translation {
    const char *code;   /* `WEB`; at most 10 characters */
    const char *name;   /* for people */
    const char *source; /* where it came from, and which release */
    bool requires_pro;  /* readable for pro users only */
};

enum { STORE_MESSAGE_BYTES = 300 };

/* Stores `bible` in one transaction, in place of what the code's translation held before: readers
 * see the old text or the new one, never a part. Waits for the database. -1 with `message`, one
 * line, when nothing was changed. */
int bible_store(PGconn *conn, const struct translation *translation, const struct bible *bible,
                char message[STORE_MESSAGE_BYTES]) MUST;

/* The export format of SWORD's tools: `$$$` and a key on a line, then the text of that key. */
#pragma once

#include "base/arena.h"

struct imp_entry {
    struct str key;  /* without the `$$$` */
    struct str body; /* without the line end before the next key */
    long line;       /* where the body begins, from 1 */
};

struct imp {
    struct str rest; /* what is not read yet */
    long line;       /* of its first byte */
};

/* A place in the Bible, as a key names it. */
struct imp_place {
    struct str book; /* SWORD's name of it */
    int chapter;     /* 0: an introduction to the book */
    int verse;       /* 0: what stands before the first verse */
};

/* Starts reading `text`, which stays the caller's and must stay as long as entries are used. */
void imp_init(struct imp *imp, struct str text);

/* The next entry; false at the end. What stands before the first key is skipped. */
bool imp_next(struct imp *imp, struct imp_entry *entry);

/* Whether `key` is a place (`I Samuel 3:16`), which is then taken apart; others are headings of the
 * module. */
bool imp_place(struct str key, struct imp_place *place);

/* The 66 books of the Bible: their numbers, names and ids.
 *
 * One row a book in books.def; a book is known by its number, 1 (Genesis) to 66 (Revelation).
 * Nothing here allocates. */
#pragma once

#include "base/arena.h"

enum { BOOK_COUNT = 66 };

struct book {
    int number;        /* 1 to 66 */
    const char *id;    /* three letters, `JHN` */
    const char *name;  /* English, `1 Samuel`, `Song of Solomon` */
    const char *osis;  /* OSIS id, `1Sam` */
    const char *sword; /* the name in the keys of SWORD's modules, `I Samuel` */
    int max_chapter;   /* the highest in any usual numbering; what lies beyond is deuterocanon */
};

/* The book of a number; NULL when it is not 1 to 66. */
const struct book *book_at(int number);

/* By English name or three-letter id, in any case; NULL when it is neither. */
const struct book *book_find(struct str name_or_id);

/* By OSIS id, in its own case; NULL when there is none. */
const struct book *book_of_osis(struct str id);

/* By the name that SWORD's keys use; NULL when there is none among the 66 (`Tobit`). */
const struct book *book_of_sword(struct str name);

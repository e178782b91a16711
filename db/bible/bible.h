/* A translation of the Bible in memory, as the database will hold it.
 *
 * Every importer fills one of these, and only then is it stored: what is broken is noticed before
 * the database is touched. A verse is a number and plain text; a chapter is the JSON array that the
 * API answers, and a JSON array of its footnotes. Sizes are bounded; texts must be valid UTF-8
 * without NUL. Nothing here waits. */
#pragma once

#include "base/arena.h"

enum {
    BIBLE_MAX_BYTES = 256 << 20,     /* of all texts together */
    BIBLE_MAX_TEXT_BYTES = 64 << 10, /* of one verse, heading or footnote as it is read */
    BIBLE_MAX_NOTE_BYTES = 4000, /* of a footnote as it is kept; longer ones end with an ellipsis */
    BIBLE_MAX_CHAPTER_BYTES = 4 << 20,
    BIBLE_MAX_CHAPTER = 150,
    BIBLE_MAX_VERSE = 250
};

struct verse_row {
    uint8_t book;    /* 1 to 66 */
    uint8_t chapter; /* from 1 */
    uint8_t verse;   /* from 1 */
    uint32_t at;     /* where its text begins in `bytes` */
    uint32_t len;    /* bytes of it, at least 1 */
};

struct chapter_row {
    uint8_t book;           /* 1 to 66 */
    uint8_t chapter;        /* from 1 */
    uint32_t content_at;    /* where the JSON array of items begins in `bytes` */
    uint32_t content_len;   /* bytes of it */
    uint32_t footnotes_at;  /* where the JSON array of footnotes begins in `bytes` */
    uint32_t footnotes_len; /* bytes of it */
};

struct bible {
    struct buffer bytes;          /* all texts, one behind the other */
    struct verse_row *verses;     /* in the order they were added */
    size_t verse_count;           /* in use */
    size_t verse_room;            /* allocated */
    struct chapter_row *chapters; /* in the order they were added */
    size_t chapter_count;         /* in use */
    size_t chapter_room;          /* allocated */
};

/* What is wrong with a source, and where. */
struct bible_error {
    int book;       /* 1 to 66; 0: not within a book */
    int chapter;    /* 0: not within one */
    int verse;      /* 0: before the first */
    long line;      /* of the source, from 1; 0: none */
    char text[200]; /* what is wrong, terminated */
};

void bible_init(struct bible *bible);
void bible_free(struct bible *bible);

/* Copy what they are given; -1 when a limit is passed or memory is short. */
int bible_add_verse(struct bible *bible, int book, int chapter, int verse, struct str text) MUST;
int bible_add_chapter(struct bible *bible, int book, int chapter, struct str content,
                      struct str footnotes) MUST;

/* Views of what was added, valid until more is. */
struct str bible_text(const struct bible *bible, const struct verse_row *verse);
struct str bible_content(const struct bible *bible, const struct chapter_row *chapter);
struct str bible_footnotes(const struct bible *bible, const struct chapter_row *chapter);

/* The verse, or NULL when there is no such. */
const struct verse_row *bible_find_verse(const struct bible *bible, int book, int chapter,
                                         int verse);
const struct chapter_row *bible_find_chapter(const struct bible *bible, int book, int chapter);

/* Writes `Genesis 1:3, line 12: what is wrong` to `out`, terminated, leaving out what is not known.
 */
void bible_error_format(const struct bible_error *error, char *out, size_t room_bytes);

/* Composes chapters from events: text, lines of poetry, paragraphs, headings, notes.
 *
 * A reader of some source calls these in the order of its text; at the end of each verse and
 * chapter the result is added to a `bible`. What a chapter holds is the array that the API answers:
 *   {"type":"verse","number":1,"content":[…]}   parts: text as a string, {"text":…,"poem":level},
 * {"lineBreak":true} and {"noteId":n}
 *   {"type":"heading","content":[text]}, {"type":"hebrew_subtitle","content":[text]},
 * {"type":"line_break"} The parts of a verse follow one another as they stand, and a new line of
 * poetry begins on a line of its own: a part that goes on behind a note begins with the blank that
 * belongs there. A paragraph's end is a `line_break` between two verses and a `lineBreak` within
 * one. A heading in the middle of a verse is put behind it. A verse without text is no item: a note
 * of it stands at the end of the verse before (of the next one where there is none). Notes are
 * numbered from 1 in each chapter. A source that has breaks and numbers of notes of its own keeps
 * them: the last five functions are for it. */
#pragma once

#include "bible.h"
#include "fold.h"

enum heading { HEADING_PLAIN, HEADING_PSALM_TITLE };

enum compose_item { ITEM_NONE, ITEM_VERSE, ITEM_HEADING, ITEM_BREAK };

struct compose {
    struct bible *bible;    /* what is filled; not owned */
    int book;               /* of the open chapter; 0: none is open */
    int chapter;            /* the open one */
    int verse;              /* the open one; 0: none */
    int last_verse;         /* the last one that was open in this chapter */
    int notes_count;        /* of the open chapter */
    int poem;               /* level of the open line; 0: prose */
    enum compose_item last; /* what stands last in `content` */
    bool break_due;         /* a paragraph ended since the last text */
    bool line_start;        /* a line or paragraph began since the last text */
    struct fold fold;       /* of the open verse */
    struct buffer content;  /* JSON items of the chapter */
    struct buffer notes;    /* JSON items of its footnotes */
    struct buffer parts;    /* JSON items of the open verse */
    struct buffer part;     /* text of the open part */
    struct buffer text;     /* plain text of the open verse */
    struct buffer late;     /* JSON items that follow the open verse */
};

void compose_init(struct compose *compose, struct bible *bible);
void compose_free(struct compose *compose);

/* Ends what is open and opens a chapter; -1 with `error->text` when what was open passed a limit.
 */
int compose_chapter(struct compose *compose, int book, int chapter, struct bible_error *error) MUST;

/* Ends the open verse and opens another of the open chapter; -1 as above, or when the number does
 * not rise. */
int compose_verse(struct compose *compose, int verse, struct bible_error *error) MUST;

/* Ends what is open; -1 as above. */
int compose_end(struct compose *compose, struct bible_error *error) MUST;

/* Text of the open verse; without one it is dropped. A pilcrow begins a paragraph. */
void compose_text(struct compose *compose, struct str text);

/* A word element begins (`word` counted from 1) or ends (0): a note within one does not part it. */
void compose_word(struct compose *compose, unsigned word);

/* A line of poetry begins, `level` 1 or more; 0: it ends. */
void compose_line(struct compose *compose, int level);

/* A paragraph or stanza begins or ends here. */
void compose_break(struct compose *compose);

void compose_heading(struct compose *compose, enum heading kind, struct str text);

/* A footnote; an empty one is only a place where words are parted, as is compose_gap(). */
void compose_note(struct compose *compose, struct str text);
void compose_gap(struct compose *compose);

/* Ends the open verse, if one is: what comes next stands behind it. -1 as above. */
int compose_verse_end(struct compose *compose, struct bible_error *error) MUST;

/* A break that stays where it is: a `lineBreak` of the open verse, else a `line_break`. */
void compose_line_break(struct compose *compose);

/* Text goes on behind a blank, whatever it begins with. */
void compose_blank(struct compose *compose);

/* A place that refers to a footnote by the source's number, and such a footnote; its verse is 0
 * where that is not known. A chapter has these or those of compose_note(). */
void compose_note_mark(struct compose *compose, int number);
void compose_note_text(struct compose *compose, int number, int verse, struct str text);

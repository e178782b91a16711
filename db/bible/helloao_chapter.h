/* Reads one chapter of the HelloAO collection: a JSON object with the items of the chapter, its
 * footnotes and its number, which stands at the top or under `chapter`.
 *
 * Items are what the API answers too, so they keep their order, breaks and numbers of notes. What
 * changes: white space is folded; neighbouring parts of prose become one; a part that goes on
 * behind a note begins with the blank that belongs there; a heading within a verse is put behind
 * it; a reference to a footnote that is not there is dropped, and so are members that mean nothing
 * here. Whatever else is not as it should be is refused. Nothing here waits. */
#pragma once

#include "compose.h"

enum {
    HELLOAO_CHAPTER_BYTES = 2 << 20, /* of the JSON of a chapter */
    HELLOAO_MOST_NOTES = 2000        /* in one chapter */
};

/* Adds the chapter to the Bible that `compose` fills; one that has no text in any verse is none and
 * adds nothing. -1 with `error`, its place filled, when it is
 * broken or there already; the Bible is then to be thrown away. */
int helloao_chapter(struct compose *compose, int book, int chapter, struct str json,
                    struct bible_error *error) MUST;

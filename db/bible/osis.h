/* Reads an OSIS Bible, as SWORD's modules hold it and `mod2imp` writes it, into a `bible`.
 *
 * Taken are the 66 books; chapters of the deuterocanon, introductions and glossaries are not. Kept
 * are poetry, paragraphs, headings, psalm titles and footnotes; dropped are word attributes
 * (Strong's numbers), cross references and pilcrows. Unknown elements are passed through for their
 * text. Input is never trusted: whatever it holds, the answer is a Bible or an error with its
 * place. Nothing here waits. */
#pragma once

#include "bible.h"

enum { OSIS_MAX_ENTRY_BYTES = 1 << 20 };

/* Called when a book was read. */
typedef void osis_book_done(void *data, int book, int chapters, int verses);

/* Fills `bible` (initialized by the caller) from `imp`. `done` may be NULL. -1 with `error` when
 * the input is broken, a limit was passed, or it holds no verse at all; the Bible is then to be
 * thrown away. */
int osis_read(struct str imp, struct bible *bible, osis_book_done *done, void *done_data,
              struct bible_error *error) MUST;

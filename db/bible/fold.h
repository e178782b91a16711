/* Running text: folding white space, joining words, and writing JSON strings.
 *
 * Markup is taken out of a verse and what is left must read as it is printed: white space becomes
 * one blank, and where a note stood between two words (sources often have no blank there) they stay
 * two words. */
#pragma once

#include "base/arena.h"

/* What is remembered from one piece of a text to the next. */
struct fold {
    uint32_t last;  /* the last code point written; 0: none yet */
    unsigned word;  /* the word element that is open, counted from 1; 0: none */
    unsigned noted; /* that word, when the note stood in it; else 0 */
    bool space;     /* white space came since `last` */
    bool note;      /* a note came since `last` */
};

/* The code point at `*at`, which moves behind it. Wrong UTF-8 gives U+FFFD, a byte at a time. */
uint32_t text_next(const char **at, const char *end);

bool text_is_space(uint32_t point);

/* Code points that are never shown: zero-width space, word joiner, soft hyphen, byte order mark. */
bool text_is_invisible(uint32_t point);

/* Punctuation that stands without a blank before it, straight quotation marks among it. */
bool text_is_closing(uint32_t point);

/* Whether a blank belongs between what was written and `point`. */
bool fold_parts(const struct fold *fold, uint32_t point);

/* Notes that `point` was written. */
void fold_wrote(struct fold *fold, uint32_t point);

/* Notes that a note, or anything else that is no text, stood here. */
void fold_note(struct fold *fold);

/* Adds `text` to `out`, folded and joined. */
void fold_add(struct fold *fold, struct buffer *out, struct str text);

/* Bytes of a marker of USFM (`\nd `, `\+nd*`) at the start of `text`, left behind by a converter;
 * 0: none. */
size_t text_usfm_marker(struct str text);

/* The longest beginning of `text` of at most `limit_bytes` that does not cut a code point. */
struct str text_cut(struct str text, size_t limit_bytes);

/* Adds `text` as a JSON string, quotes included. */
void json_add_string(struct buffer *out, struct str text);

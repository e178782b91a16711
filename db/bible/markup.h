/* Makes the markup of one verse well-formed where it is known to be cut by design.
 *
 * SWORD stores a text verse by verse, so an element that spans verses (a list, a quotation, a
 * paragraph) opens in one entry and closes in another. Such elements are closed at the entry's end
 * and their late end tags dropped; so are `divineName`s, which converters are known to lose. Any
 * other tag without its partner stays, for the XML parser to refuse. */
#pragma once

#include "base/arena.h"

enum { MARKUP_MAX_DEPTH = 64 };

/* Adds `body` to `out`, mended; line ends stay where they are. -1 when elements nest deeper than
 * MARKUP_MAX_DEPTH. */
int markup_balance(struct str body, struct buffer *out) MUST;

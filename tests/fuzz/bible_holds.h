/* What holds for every Bible that an importer made, whatever it was made from. */
#pragma once

#include "bible.h"

/* Ends the program where it does not: texts are UTF-8 without U+0000 and within their limits, no
 * verse is there twice, chapters and footnotes are JSON lists of the items that the API answers,
 * each verse of a chapter has a text, and each reference to a note has a note. */
void bible_holds(const struct bible *bible);

/* What readers sent, set apart in a question by tags, which its prompt names. */
#pragma once

#include "base/arena.h"

/* Appends the text between <tag> and </tag>, on lines of their own; nothing where it is absent or
 * empty. It cannot end the tag itself: a blank parts its `</`. */
void material_add(struct buffer *out, const char *tag, struct str text);

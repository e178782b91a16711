/* What the files of the domain `insight` share. */
#pragma once

#include "handlers.h"

/* Finds what is stored for a passage, the user's own before everybody's, and links it to the user.
 * 0 with its parts and id, or with INT_ABSENT where nothing is stored. */
int insight_find(struct call *call, struct str reference, struct str text, int64_t *id,
                 struct insight_parts *parts) MUST;

/* Before messages are taken. */
void insight_open(struct actor *actor);

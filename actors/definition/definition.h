/* What the files of the domain `definition` share. */
#pragma once

#include "handlers.h"

/* What a definition is found by. */
struct definition_key {
    struct str word, reference, verse;
};

/* Finds what is stored for a word and verse, the user's own before everybody's, and links it to the
 * user. 0 with its parts and id, or with INT_ABSENT where nothing is stored. */
int definition_find(struct call *call, const struct definition_key *key, int64_t *id,
                    struct definition_parts *parts) MUST;

/* Before messages are taken. */
void definition_open(struct actor *actor);

/* Conversations with the language model: their messages are handled in converse.c. */
#pragma once

#include "handlers.h"

/* Before messages are taken. */
void chat_open(struct actor *actor);

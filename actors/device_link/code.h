/* Codes by which another device becomes a user's. */
#pragma once

#include "actor.h"

/* Marks codes whose time is over as expired, at once and every minute. */
void code_open(struct actor *actor);

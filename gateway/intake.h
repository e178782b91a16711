/* A request's input: from path, query, headers and body to what an actor is sent. */
#pragma once

#include "exchange.h"

/* Reads and checks every field of the message, each from its place. Sets `in`, `writes`, `input`.
 * Waits a turn of the loop between the slices of a large body. -1: `invalid` with all faults in the
 * detail, `too_large` where the body has too many values for the arena,
 * `busy` without memory, `cancelled`. */
int intake_read(struct exchange *exchange) MUST;

/* A request's input: from path, query, headers and body to what an actor is sent. */
#pragma once

#include "exchange.h"

/* Reads and checks every field of the message, each from its place. Sets `writes`,
 * `affinity` and `input`. A large body waits until few others are being parsed, and then a turn of
 * the loop between its slices. -1: `invalid` with all faults in the detail, `too_large` where the
 * body has too many values, `busy`, `timeout`, `cancelled`. */
int intake_read(struct exchange *exchange) MUST;

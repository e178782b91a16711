/* An answer that comes in pieces, passed on as it comes: chunks of one JSON text.
 *
 * The next piece is asked for when the client has taken the one before, so a slow client holds up
 * its own actor's call and nothing else. Once the first piece is out a failure can only be shown by
 * cutting the connection. */
#pragma once

#include "exchange.h"

/* Answers an exchange whose trip is in pieces, to its end. Waits. */
void stream_run(struct exchange *exchange);

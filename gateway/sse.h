/* An answer as server-sent events (the WHATWG's HTML standard, 9.2), passed on as they come.
 *
 * A stream's replies are its events, each under the name of its record; the last one is the event
 * `done` with the message's output, or `error`. While nothing comes a comment is sent now and then,
 * so that nobody on the way takes the connection for dead. A client that does not read holds up its
 * own stream and nothing else. */
#pragma once

#include "exchange.h"

/* Answers an exchange whose trip is in pieces, to its end. Waits. */
void sse_run(struct exchange *exchange);

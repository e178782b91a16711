/* Streams: what a handler of that kind sends before its output.
 *
 * First call_accept(): until then a failure is the answer's status, from then on an event. Then
 * events, each a record of the row's EVENTS. Both may wait for the reader's credit, at most 30 s,
 * and are refused while a transaction is open. What the call takes for an event is not given back:
 * handlers keep what an event needs small, or in memory of their own. */
#pragma once

#include "actor.h"

/* Tells the caller that the message was accepted. Once. */
int call_accept(struct call *call) MUST;

/* Sends an event: `values`, a struct of `record`. */
int call_event(struct call *call, const struct record *record, const void *values) MUST;

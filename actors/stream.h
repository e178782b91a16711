/* Streams: what a handler of that kind sends before its output.
 *
 * First call_accept(): until then a failure is the answer's status, from then on an event. Then
 * events, each a record of the row's EVENTS. Both may wait for the reader, at most 30 s, and are
 * refused while a transaction is open. An event takes nothing of the call's memory. A reader that
 * is gone is the failure `cancelled`, one that takes nothing more is `timeout`. */
#pragma once

#include "actor.h"

/* Tells the caller that the message was accepted. Once. */
int call_accept(struct call *call) MUST;

/* Whether the caller took the call back, is gone, or takes no more; false where the actor itself
 * ends it. */
bool call_is_left(struct call *call);

/* Sends an event: `values`, a struct of `record`. */
int call_event(struct call *call, const struct record *record, const void *values) MUST;

/* Actors at addresses that are listed: `user=tcp://10.0.0.7:7001,bible=tcp://bible.internal:7002`.
 */
#pragma once

#include "discovery.h"

struct addresses;

/* What is wrong with a list, or NULL; `text` is room for the sentence. */
const char *addresses_check(const char *list, char *text, size_t text_bytes);

/* Reports literal addresses at once, those of names as they are found, from the loop. Ends the
 * program without memory or a thread. */
struct addresses *addresses_open(const char *list, const struct discovery_events *events,
                                 void *arg) MUST;
void addresses_close(struct addresses *addresses);

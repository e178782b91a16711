/* Server-sent events, read as they come (the WHATWG's HTML standard, 9.2): lines cut at any byte,
 * ended by LF, CR or both. What has no data is no event. `id` and `retry` mean nothing here. */
#pragma once

#include "base/arena.h"

enum { EVENT_NAME_BYTES = 64, EVENT_MOST_BYTES = 1024 * 1024 };

struct event_reader {
    struct buffer line;          /* the one that is being read */
    struct buffer data;          /* the event's data so far */
    char name[EVENT_NAME_BYTES]; /* the event's name, terminated; empty: `message` */
    bool after_cr;               /* an LF now belongs to the CR before it */
    bool has_data;               /* a data field was there */
};

void event_reader_init(struct event_reader *reader);
void event_reader_free(struct event_reader *reader);

/* Reads on; `event` is called for each that is complete and may say false: nothing more is read.
 * 0, or -1 when one is larger than EVENT_MOST_BYTES. */
int event_feed(struct event_reader *reader, struct str bytes,
               bool (*event)(void *arg, const char *name, struct str data), void *arg) MUST;

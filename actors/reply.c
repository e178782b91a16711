/* Replies: two frames, encoded in memory of their own, which is small but for a large answer. */
#include "base/stat.h"
#include "frame.h"
#include "runtime.h"
#include "tally.h"
#include <errno.h>

/* The header, in the arena; absent: it does not fit. */
static struct str encode(struct arena *arena, const struct common_reply *reply)
{
    struct buffer header;

    arena_init(arena, WIRE_MOST_HEADER_BYTES * 4);
    buffer_init(&header, arena, WIRE_MOST_HEADER_BYTES);
    frame_reply(&header, reply);
    return header.failed ? NO_STR : buffer_str(&header);
}

void reply_send(struct actor *actor, const struct link_peer *to, const struct common_reply *reply,
                struct str body)
{
    struct arena arena;
    struct str header = encode(&arena, reply);

    if (header.ptr == NULL)
        stat_add(&replies_dropped_total, 1);
    else
        link_post(actor->link, to, header, body);
    arena_clear(&arena);
}

int reply_try(struct actor *actor, const struct link_peer *to, const struct common_reply *reply,
              struct str body)
{
    struct arena arena;
    struct str header = encode(&arena, reply);
    int error;

    errno = EMSGSIZE;
    error = header.ptr == NULL ? -1 : link_send(actor->link, to, header, body);
    arena_clear(&arena);
    return error;
}

void reply_fault(struct actor *actor, const struct link_peer *to, int64_t id,
                 const struct failure *failure)
{
    struct common_reply reply = {
        .v = WIRE_VERSION, .id = id, .status = str_of(failure->fault->name)};
    struct arena arena;
    struct buffer body;

    arena_init(&arena, WIRE_MOST_DETAIL_BYTES * 4);
    buffer_init(&body, &arena, WIRE_MOST_DETAIL_BYTES * 2);
    frame_fault_body(&body, failure);
    reply_send(actor, to, &reply, body.failed ? STR("\x80") : buffer_str(&body));
    arena_clear(&arena);
}

/* The two frames of a message: a header and a body, both msgpack maps.
 *
 * The headers are records of the contract (common.request, common.reply); README.md in this folder
 * describes them for people who write clients. */
#pragma once

#include "codec.h"

enum {
    WIRE_VERSION = 1,
    WIRE_MOST_HEADER_BYTES = 8 * 1024,
    WIRE_PIECE_BYTES = 128 * 1024 /* texts of one piece, as a rule; a row is never divided */
};

/* Encodes a header into `out`. */
void frame_request(struct buffer *out, const struct common_request *request);
void frame_reply(struct buffer *out, const struct common_reply *reply);

/* Reads a header; strings point into `bytes`. NULL when it is one, else what is wrong (static
 * text); `id` is filled wherever one could be read, else 0. */
const char *frame_read_request(struct arena *arena, struct str bytes,
                               struct common_request *request);
const char *frame_read_reply(struct arena *arena, struct str bytes, struct common_reply *reply);

/* The body of a reply with a fault: {"detail": text} or {"detail": <the value>}. */
void frame_fault_body(struct buffer *out, const struct failure *failure);

/* The two frames of a message; see frame.h. */
#include "frame.h"

void frame_request(struct buffer *out, const struct common_request *request)
{
    codec_encode(out, &record_common_request, request);
}

void frame_reply(struct buffer *out, const struct common_reply *reply)
{
    codec_encode(out, &record_common_reply, reply);
}

/* What every header must say first, so that a fault can be answered at all. */
static const char *check_header(const char *why, int64_t version, int64_t id)
{
    if (why != NULL)
        return why;
    if (version < 1)
        return "v: there is no such version";
    return id < 0 ? "id: it is negative" : NULL;
}

const char *frame_read_request(struct arena *arena, struct str bytes,
                               struct common_request *request)
{
    const char *why;

    *request = (struct common_request){.v = INT_ABSENT, .id = INT_ABSENT, .budget = INT_ABSENT};
    if (bytes.len > WIRE_MOST_HEADER_BYTES)
        why = "it is larger than a header may be";
    else
        why = codec_decode(arena, &record_common_request, bytes, request);
    why = check_header(why, request->v, request->id);
    if (request->id == INT_ABSENT)
        request->id = 0;
    return why;
}

const char *frame_read_reply(struct arena *arena, struct str bytes, struct common_reply *reply)
{
    const char *why;

    *reply = (struct common_reply){.v = INT_ABSENT, .id = INT_ABSENT};
    if (bytes.len > WIRE_MOST_HEADER_BYTES)
        why = "it is larger than a header may be";
    else
        why = codec_decode(arena, &record_common_reply, bytes, reply);
    why = check_header(why, reply->v, reply->id);
    if (reply->id == INT_ABSENT)
        reply->id = 0;
    return why;
}

void frame_fault_body(struct buffer *out, const struct failure *failure)
{
    const char *text = failure->fault->text != NULL ? failure->fault->text : failure->text;
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, buffer_append);
    msgpack_pack_map(&packer, 1);
    codec_encode_str(out, STR("detail"));
    if (failure->detail.ptr != NULL)
        buffer_add_str(out, failure->detail);
    else
        codec_encode_str(out, str_of(text));
}

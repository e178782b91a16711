/* The domain `chat`: conversations. */
#include "handlers.h"

int chat_get_chat_messages(struct call *call, const struct chat_get_chat_messages_in *in,
                           struct chat_get_chat_messages_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int chat_clear_chat_messages(struct call *call, const struct chat_clear_chat_messages_in *in,
                             struct chat_clear_chat_messages_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int chat_get_standalone_chats(struct call *call, const struct chat_get_standalone_chats_in *in,
                              struct chat_get_standalone_chats_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int chat_get_standalone_chat_messages(struct call *call,
                                      const struct chat_get_standalone_chat_messages_in *in,
                                      struct chat_get_standalone_chat_messages_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int chat_delete_standalone_chat(struct call *call, const struct chat_delete_standalone_chat_in *in,
                                struct chat_delete_standalone_chat_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 4};

/* The domain `definition`: what is said about words, and who saved it. */
#include "handlers.h"

int definition_save_definition(struct call *call, const struct definition_save_definition_in *in,
                               struct definition_save_definition_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int definition_link_definition_to_user(struct call *call,
                                       const struct definition_link_definition_to_user_in *in,
                                       struct definition_link_definition_to_user_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int definition_get_user_definitions(struct call *call,
                                    const struct definition_get_user_definitions_in *in,
                                    struct definition_get_user_definitions_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int definition_clear_user_definitions(struct call *call,
                                      const struct definition_clear_user_definitions_in *in,
                                      struct definition_clear_user_definitions_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 4};

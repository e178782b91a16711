/* The domain `insight`: what is said about passages, and who saved it. */
#include "handlers.h"

int insight_save_insight(struct call *call, const struct insight_save_insight_in *in,
                         struct insight_save_insight_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int insight_link_insight_to_user(struct call *call,
                                 const struct insight_link_insight_to_user_in *in,
                                 struct insight_link_insight_to_user_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int insight_get_user_insights(struct call *call, const struct insight_get_user_insights_in *in,
                              struct insight_get_user_insights_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int insight_clear_user_insights(struct call *call, const struct insight_clear_user_insights_in *in,
                                struct insight_clear_user_insights_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 4};

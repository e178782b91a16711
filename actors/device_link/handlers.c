/* The domain `device_link`: devices, and what makes them one user's. */
#include "handlers.h"

int device_link_create_or_update_device(struct call *call,
                                        const struct device_link_create_or_update_device_in *in,
                                        struct device_link_create_or_update_device_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int device_link_generate_link_code(struct call *call,
                                   const struct device_link_generate_link_code_in *in,
                                   struct device_link_generate_link_code_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int device_link_accept_link_code(struct call *call,
                                 const struct device_link_accept_link_code_in *in,
                                 struct device_link_accept_link_code_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int device_link_merge_users(struct call *call, const struct device_link_merge_users_in *in,
                            struct device_link_merge_users_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int device_link_get_user_devices(struct call *call,
                                 const struct device_link_get_user_devices_in *in,
                                 struct device_link_get_user_devices_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int device_link_unlink_device(struct call *call, const struct device_link_unlink_device_in *in,
                              struct device_link_unlink_device_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int device_link_revoke_user_codes(struct call *call,
                                  const struct device_link_revoke_user_codes_in *in,
                                  struct device_link_revoke_user_codes_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

int device_link_cleanup_expired_codes(struct call *call,
                                      const struct device_link_cleanup_expired_codes_in *in,
                                      struct device_link_cleanup_expired_codes_out *out)
{
    (void)in, (void)out;
    return fail(call, internal, "not there yet");
}

const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 4};

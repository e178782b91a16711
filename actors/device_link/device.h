/* Devices of a user. */
#pragma once

#include "call.h"

/* What a device says of itself; what is absent stays as it was. */
struct device {
    struct str user_agent; /* by which it is known again; absent or empty: by having none */
    struct str name;       /* for people */
    struct str type;       /* `phone`, … */
};

/* How it stands in the database. */
struct recorded_device {
    int32_t id;    /* user_devices.id */
    bool created;  /* it was not there before */
    int64_t count; /* devices that the user has now */
};

/* Records that the user is on that device: the newest with its user agent is updated, else one is
 * made; users.device_count follows. The user's row must be locked. */
int device_record(struct call *call, int32_t user_id, const struct device *device,
                  struct recorded_device *recorded) MUST;

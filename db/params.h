/* Parameters in the form that libpq takes. */
#pragma once

#include "query.h"
#include <libpq-fe.h>

enum { PARAMS_MOST = 32 };

struct packed_params {
    Oid types[PARAMS_MOST];
    const char *values[PARAMS_MOST];
    int lengths[PARAMS_MOST];
    int formats[PARAMS_MOST]; /* all binary */
    char *made[PARAMS_MOST];  /* values that had to be copied, or NULL */
    int count;
};

/* They point into `params`. -1 when there are too many, one is too large, or there is no memory. */
int params_pack(struct params params, struct packed_params *packed) MUST;
void params_release(struct packed_params *packed);

/* The domain `device_link`: devices, and what makes them one user's. Its handlers stand with what
 * they are about: device.c, code.c, pair.c. */
#include "handlers.h"
#include "code.h"

const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 5, .open = code_open};

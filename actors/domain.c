/* A domain's table of handlers, from its rows. Compiled once for each domain. */
#include "handlers.h"

/* Each handler has the types of its message; the runtime knows none of them. */
#define MESSAGE(name, ...)                                                                         \
    static int IN_DOMAIN(name, _run)(struct call * call, const void *in, void *out)                \
    {                                                                                              \
        return IN_DOMAIN(name, )(call, in, out);                                                   \
    }
#include "contract_rest.h"
#include ACTOR_ROWS
#include "contract_undef.h"

const struct handler DOMAIN_HANDLERS[HANDLER_COUNT] = {
#define MESSAGE(name, ...) {&methods[IN_DOMAIN_METHOD(name)], IN_DOMAIN(name, _run)},
#include "contract_rest.h"
#include ACTOR_ROWS
#include "contract_undef.h"
};

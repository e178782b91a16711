/* The handlers of one domain, from its rows: a folder of handlers and domain.c include this.
 *
 * For each row MESSAGE(name, …) a function must be there:
 *
 *   int <domain>_<name>(struct call *call, const struct <domain>_<name>_in *in,
 *                       struct <domain>_<name>_out *out);
 *
 * and the folder says what else the domain is:
 *
 *   const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 4, .open = bible_open};
 *
 * The build gives ACTOR_DOMAIN, the domain's name as a word, and ACTOR_ROWS, the file of its rows.
 */
#pragma once

#include "actor.h"

#define DOMAIN ACTOR_DOMAIN

#define MESSAGE(name, ...)                                                                         \
    int IN_DOMAIN(name, )(struct call * call, const struct IN_DOMAIN(name, _in) * in,              \
                          struct IN_DOMAIN(name, _out) * out);
#include "contract_rest.h"
#include ACTOR_ROWS
#include "contract_undef.h"

enum {
    HANDLER_COUNT = 0
#define MESSAGE(name, ...) +1
#include "contract_rest.h"
#include ACTOR_ROWS
#include "contract_undef.h"
};

#define DOMAIN_HANDLERS IN_DOMAIN(all, _handlers)
extern const struct handler DOMAIN_HANDLERS[HANDLER_COUNT];

#define DOMAIN_ITSELF PASTE2(domain_, ACTOR_DOMAIN)
extern const struct domain DOMAIN_ITSELF;

#define DOMAIN_TEXT_(name) #name
#define DOMAIN_TEXT(name) DOMAIN_TEXT_(name)
#define DOMAIN_ROWS                                                                                \
    .name = DOMAIN_TEXT(ACTOR_DOMAIN), .handlers = DOMAIN_HANDLERS, .count = HANDLER_COUNT

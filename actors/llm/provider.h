/* Whom we ask: the provider that the options choose, its address and key, and whether it is well.
 *
 * The breaker: after some failures in a row nobody is asked for a while, then one question now and
 * then tries whether it goes again. */
#pragma once

#include "protocol.h"

struct provider {
    const struct llm_protocol *protocol; /* NULL: none is configured */
    const char *model;                   /* the model's name */
    char *url;                           /* of requests */
    char *headers[4];                    /* lines, NULL-terminated; the key is in one */
    const char *key;                     /* there; NULL: none is needed */
    int64_t first_token_us;              /* for a streamed answer to begin */
    int64_t next_token_us;               /* between two parts of one */
    unsigned most;                       /* questions at one time */
    unsigned asking;                     /* questions now */
    unsigned failures;                   /* in a row */
    int64_t closed_until_us;             /* monotonic; nobody is asked before, after failures */
};

/* Fills it from the options. Ends the program on what cannot be followed. */
void provider_open(struct provider *provider, const struct llm_options *options);
void provider_close(struct provider *provider);

/* Whether somebody might ask now. */
bool provider_may_begin(const struct provider *provider);

/* Whether somebody may ask now; then provider_end() is due. */
bool provider_begin(struct provider *provider);

/* How it ended. `blame`: the provider failed; `known`: it did or did not, else (the caller left)
 * nothing was learnt. */
void provider_end(struct provider *provider, bool known, bool blame);

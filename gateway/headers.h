/* The field lines that stand in every answer: security headers, Vary, and CORS's.
 *
 * They depend on the options and on the asking origin only, so each possible block is built once.
 */
#pragma once

#include "cors.h"

struct headers;

/* Builds the blocks. `cors` must stay. NULL without memory. */
struct headers *headers_new(const struct cors *cors, bool production) MUST;
void headers_free(struct headers *headers);

/* The block for an answer to a page of `origin` (may be absent), each line with its CRLF. */
struct str headers_for(const struct headers *headers, struct str origin);

/* What stands in every answer to nobody in particular, for a request that could not be read. */
struct str headers_plain(const struct headers *headers);

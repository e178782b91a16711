/* The contract as an OpenAPI 3.1 document: what HTTP offers of it. */
#pragma once

#include "base/arena.h"

/* Appends the document, as JSON. Check `out->failed`. */
void openapi_write(struct buffer *out);

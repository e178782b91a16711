/* The chunked transfer coding (RFC 9112, 7.1), taken off as the bytes come.
 *
 * Exact: a size of 1 to 8 hex digits, CR and LF after it and after the data. Extensions and trailer
 * fields are checked, bounded and dropped. Pure: no input or output, no allocation. */
#pragma once

#include "http.h"

enum {
    HTTP_CHUNK_EXTRA_BYTES = 16 * 1024, /* most of all extensions and trailers of a body */
};

/* Where decoding stands; zero before the first byte. */
struct http_chunk {
    int state;      /* what the next byte may be; private */
    unsigned count; /* digits of the size so far */
    unsigned extra; /* bytes of extensions and trailers so far */
    uint64_t left;  /* bytes of this chunk's data that have not come */
};

/* Bytes of data that the chunk whose size was read last still has to bring. */
uint64_t http_chunk_left(const struct http_chunk *chunk);

/* Decodes in[0..len) to `out`, which may be `in` or lie before it in the same buffer. `*used` is
 * what was read, `*got` what was written (never more). HTTP_fine: the body has ended, and what
 * follows *used is the next request. HTTP_more: all was used. Else refuse. */
enum http_result http_chunk_decode(struct http_chunk *chunk, const char *in, size_t len, char *out,
                                   size_t *used, size_t *got) MUST;

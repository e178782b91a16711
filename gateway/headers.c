/* One text a block, in an arena. */
#include "headers.h"
#include <stdlib.h>

enum { BLOCK_BYTES = 4096, HEADERS_BYTES = 2 * 1024 * 1024 };

struct headers {
    struct arena arena;      /* of the blocks */
    const struct cors *cors; /* whose origins */
    struct str plain;        /* for no origin, or a foreign one */
    struct str allowed[];    /* one an allowed origin */
};

static const char security[] =
    "Content-Security-Policy: default-src 'self'; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; font-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'\r\n"
    "X-Frame-Options: DENY\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: strict-origin-when-cross-origin\r\n"
    "Permissions-Policy: geolocation=(), microphone=(), camera=(), payment=(), usb=(), "
    "magnetometer=(), gyroscope=(), accelerometer=()\r\n"
    "X-XSS-Protection: 1; mode=block\r\n";

static const char only_tls[] =
    "Strict-Transport-Security: max-age=31536000; includeSubDomains; preload\r\n";

static struct str build(struct headers *headers, bool production, struct str origin)
{
    struct buffer block;

    buffer_init(&block, &headers->arena, BLOCK_BYTES);
    buffer_add(&block, security, sizeof(security) - 1);
    if (production)
        buffer_add(&block, only_tls, sizeof(only_tls) - 1);
    buffer_add_text(&block, "Vary: Origin\r\n");
    if (origin.ptr != NULL) {
        buffer_add_text(&block, "Access-Control-Allow-Origin: ");
        buffer_add_str(&block, origin);
        buffer_add_text(&block, "\r\nAccess-Control-Allow-Credentials: true\r\n");
    }
    return block.failed ? NO_STR : buffer_str(&block);
}

struct headers *headers_new(const struct cors *cors, bool production)
{
    size_t count = cors_count(cors);
    struct headers *headers = calloc(1, sizeof(*headers) + count * sizeof(struct str));
    bool whole;

    if (headers == NULL)
        return NULL;
    arena_init(&headers->arena, HEADERS_BYTES);
    headers->cors = cors;
    headers->plain = build(headers, production, NO_STR);
    whole = headers->plain.ptr != NULL;
    for (size_t i = 0; i < count; i++) {
        headers->allowed[i] = build(headers, production, cors_origin(cors, i));
        whole = whole && headers->allowed[i].ptr != NULL;
    }
    if (whole)
        return headers;
    headers_free(headers);
    return NULL;
}

void headers_free(struct headers *headers)
{
    if (headers == NULL)
        return;
    arena_clear(&headers->arena);
    free(headers);
}

struct str headers_for(const struct headers *headers, struct str origin)
{
    int at = cors_find(headers->cors, origin);

    return at < 0 ? headers->plain : headers->allowed[at];
}

struct str headers_plain(const struct headers *headers)
{
    return headers->plain;
}

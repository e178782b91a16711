/* Each answers at once, without a fiber. The contract's document is made once, at the start. */
#include "service.h"
#include "http_value.h"
#include "openapi.h"
#include "reply.h"
#include "router.h"
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum { MISSING_BYTES = 16 * 1024, DOCUMENT_BYTES = 4 * 1024 * 1024, TAG_BYTES = 32 };

static struct {
    struct buffer document; /* the contract as OpenAPI */
    char tag[TAG_BYTES];    /* its entity tag, quoted */
} service;

static void serve_root(struct exchange *exchange)
{
    reply_json(exchange, 200, NO_STR,
               STR("{\"message\":\"Lectern, the back end of a Bible reading app\","
                   "\"version\":\"" LECTERN_VERSION "\"}"));
}

static void serve_health(struct exchange *exchange)
{
    reply_json(exchange, 200, NO_STR, STR("{\"status\":\"healthy\"}"));
}

static void serve_ready(struct exchange *exchange)
{
    struct buffer body;

    buffer_init(&body, &exchange->arena, MISSING_BYTES);
    buffer_add_text(&body, "{\"status\":\"not ready\",\"missing\":");
    if (balance_ready(exchange->setup->balance, &body)) {
        reply_json(exchange, 200, NO_STR, STR("{\"status\":\"ready\"}"));
        return;
    }
    buffer_add_char(&body, '}');
    reply_json(exchange, 503, STR("Retry-After: 1\r\n"), buffer_str(&body));
}

static void serve_openapi(struct exchange *exchange)
{
    struct str tag = str_of(service.tag);
    struct str more =
        arena_format(&exchange->arena, "ETag: %s\r\nCache-Control: no-cache\r\n", service.tag);

    if (http_none_match(exchange->head, tag))
        reply_not_modified(exchange, more);
    else
        reply_json(exchange, 200, more, buffer_str(&service.document));
}

static const struct own_route routes[] = {
    {"/", serve_root},
    {"/health", serve_health},
    {"/ready", serve_ready},
    {"/openapi.json", serve_openapi},
};

static void set_tag(void)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < service.document.len; i++)
        hash = (hash ^ (unsigned char)service.document.data[i]) * 0x100000001b3U;
    snprintf(service.tag, sizeof(service.tag), "\"%016llx\"", (unsigned long long)hash);
}

void service_open(void)
{
    router_open(routes, sizeof(routes) / sizeof(*routes));
    buffer_init(&service.document, NULL, DOCUMENT_BYTES);
    openapi_write(&service.document);
    if (service.document.failed) {
        fputs("no memory for the contract's document\n", stderr);
        exit(EX_OSERR);
    }
    set_tag();
}

void service_close(void)
{
    buffer_free(&service.document);
    router_close();
}

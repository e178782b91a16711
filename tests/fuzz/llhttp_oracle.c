/* llhttp's callbacks gather into buffers on the heap; it is paused at the end of the request. */
#include "llhttp_oracle.h"

#include "fuzz.h"

#include <llhttp.h>

static int on_method(llhttp_t *parser, const char *at, size_t len)
{
    struct oracle *oracle = parser->data;

    buffer_add(&oracle->method, at, len);
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct oracle *oracle = parser->data;

    buffer_add(&oracle->target, at, len);
    return 0;
}

/* Trailers come by the same callbacks: they are dropped. */
static void add_to_field(struct oracle *oracle, const char *at, size_t len)
{
    if (!oracle->head_complete)
        buffer_add(&oracle->fields, at, len);
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    add_to_field(parser->data, at, len);
    return 0;
}

static int on_name_complete(llhttp_t *parser)
{
    add_to_field(parser->data, ":", 1);
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    add_to_field(parser->data, at, len);
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct oracle *oracle = parser->data;
    struct buffer *fields = &oracle->fields;

    while (!oracle->head_complete && fields->len > 0 &&
           (fields->data[fields->len - 1] == ' ' || fields->data[fields->len - 1] == '\t'))
        fields->len--;
    add_to_field(oracle, "\n", 1);
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct oracle *oracle = parser->data;

    oracle->head_complete = true;
    oracle->major = parser->http_major;
    oracle->minor = parser->http_minor;
    oracle->chunked = (parser->flags & F_CHUNKED) != 0;
    oracle->content_length = parser->content_length;
    oracle->keep_alive = llhttp_should_keep_alive(parser) != 0;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct oracle *oracle = parser->data;

    buffer_add(&oracle->body, at, len);
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct oracle *oracle = parser->data;

    oracle->end = ORACLE_COMPLETE;
    return HPE_PAUSED;
}

static void open_oracle(struct oracle *oracle)
{
    *oracle = (struct oracle){.end = ORACLE_MORE};
    buffer_init(&oracle->method, NULL, SIZE_MAX);
    buffer_init(&oracle->target, NULL, SIZE_MAX);
    buffer_init(&oracle->fields, NULL, SIZE_MAX);
    buffer_init(&oracle->body, NULL, SIZE_MAX);
}

void oracle_read(struct str bytes, struct oracle *oracle)
{
    llhttp_settings_t settings;
    llhttp_errno_t error;
    llhttp_t parser;

    open_oracle(oracle);
    llhttp_settings_init(&settings);
    settings.on_method = on_method;
    settings.on_url = on_url;
    settings.on_header_field = on_name;
    settings.on_header_field_complete = on_name_complete;
    settings.on_header_value = on_value;
    settings.on_header_value_complete = on_value_complete;
    settings.on_headers_complete = on_headers_complete;
    settings.on_body = on_body;
    settings.on_message_complete = on_message_complete;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = oracle;
    error = llhttp_execute(&parser, bytes.ptr, bytes.len);
    oracle->in_trailers = (parser.flags & F_TRAILING) != 0;
    if (error == HPE_OK)
        return;
    oracle->used = (size_t)(llhttp_get_error_pos(&parser) - bytes.ptr);
    if (oracle->end == ORACLE_COMPLETE)
        return;
    oracle->end = ORACLE_REFUSED;
    snprintf(oracle->why, sizeof(oracle->why), "%s: %s", llhttp_errno_name(error),
             llhttp_get_error_reason(&parser));
}

void oracle_free(struct oracle *oracle)
{
    buffer_free(&oracle->method);
    buffer_free(&oracle->target);
    buffer_free(&oracle->fields);
    buffer_free(&oracle->body);
}

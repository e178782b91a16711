/* The origins as a list of texts in an arena; there are few, so that looking is comparing. */
#include "cors.h"
#include "json.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>

enum { CORS_BYTES = 256 * 1024, ORIGINS_MOST = 256 };

struct cors {
    struct arena arena;               /* of the texts */
    size_t count;                     /* of origins */
    struct str origins[ORIGINS_MOST]; /* as browsers send them */
};

/* scheme://host[:port], without a path. */
static bool is_origin(struct str text)
{
    const char *colon = memmem(text.ptr, text.len, "://", 3);
    struct str host;

    if (colon == NULL || colon == text.ptr)
        return false;
    for (const char *c = text.ptr; c < colon; c++)
        if ((*c < 'a' || *c > 'z') && (*c < '0' || *c > '9') && *c != '+' && *c != '-')
            return false;
    host = (struct str){colon + 3, (size_t)(text.ptr + text.len - colon - 3)};
    return http_host_valid(host);
}

static const char *add(struct cors *cors, struct str text)
{
    text = text_trim(text);
    if (text.len == 0)
        return NULL;
    if (text.ptr[text.len - 1] == '/')
        text.len--;
    if (cors->count == ORIGINS_MOST)
        return "has too many origins";
    if (!is_origin(text))
        return "is no origin as https://app.example.org is one";
    cors->origins[cors->count] = arena_copy(&cors->arena, text);
    return cors->origins[cors->count++].ptr != NULL ? NULL : "is too long";
}

static const char *add_json(struct cors *cors, struct str text, struct str *which)
{
    msgpack_object list;
    size_t offset;
    const char *why;

    if (json_read(&cors->arena, text, &list, &why, &offset) != 0 ||
        list.type != MSGPACK_OBJECT_ARRAY)
        return "is no JSON list";
    for (uint32_t i = 0; i < list.via.array.size; i++) {
        const msgpack_object *item = &list.via.array.ptr[i];

        if (item->type != MSGPACK_OBJECT_STR)
            return "has an item that is no text";
        *which = (struct str){item->via.str.ptr, item->via.str.size};
        why = add(cors, *which);
        if (why != NULL)
            return why;
    }
    return NULL;
}

static const char *add_list(struct cors *cors, struct str text, struct str *which)
{
    const char *why = NULL;

    while (text.len > 0 && why == NULL) {
        const char *comma = memchr(text.ptr, ',', text.len);

        *which = (struct str){text.ptr, comma != NULL ? (size_t)(comma - text.ptr) : text.len};
        why = add(cors, *which);
        text.ptr += which->len + (comma != NULL);
        text.len -= which->len + (comma != NULL);
    }
    return why;
}

struct cors *cors_parse(const char *text, char *wrong, size_t wrong_bytes)
{
    struct cors *cors = calloc(1, sizeof(*cors));
    struct str all = text_trim(str_of(text));
    struct str which = all;
    const char *why;

    if (cors == NULL) {
        snprintf(wrong, wrong_bytes, "no memory");
        return NULL;
    }
    arena_init(&cors->arena, CORS_BYTES);
    if (all.len > 0 && all.ptr[0] == '[')
        why = add_json(cors, all, &which);
    else
        why = add_list(cors, all, &which);
    if (why == NULL)
        return cors;
    snprintf(wrong, wrong_bytes, "%.*s %s", STR_ARG(which), why);
    cors_free(cors);
    return NULL;
}

void cors_free(struct cors *cors)
{
    if (cors == NULL)
        return;
    arena_clear(&cors->arena);
    free(cors);
}

size_t cors_count(const struct cors *cors)
{
    return cors->count;
}

struct str cors_origin(const struct cors *cors, size_t at)
{
    return cors->origins[at];
}

int cors_find(const struct cors *cors, struct str origin)
{
    for (size_t i = 0; i < cors->count && origin.ptr != NULL; i++)
        if (str_equal(cors->origins[i], origin))
            return (int)i;
    return -1;
}

enum preflight cors_preflight(const struct cors *cors, const struct http_head *head)
{
    struct str origin, method;

    if (head->method != HTTP_OPTIONS)
        return PREFLIGHT_NONE;
    origin = http_field(head, "origin");
    method = http_field(head, "access-control-request-method");
    if (origin.ptr == NULL || method.ptr == NULL)
        return PREFLIGHT_NONE;
    if (cors_find(cors, origin) < 0)
        return PREFLIGHT_FOREIGN;
    if (!str_is(method, "GET") && !str_is(method, "POST") && !str_is(method, "DELETE"))
        return PREFLIGHT_FOREIGN;
    return PREFLIGHT_ALLOWED;
}

struct str cors_preflight_fields(void)
{
    return STR("Access-Control-Allow-Methods: GET, POST, DELETE\r\n"
               "Access-Control-Allow-Headers: Content-Type, Accept, Cookie, Authorization\r\n"
               "Access-Control-Max-Age: 600\r\n");
}

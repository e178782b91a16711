/* The routing table: literal paths in a hash, paths with fields in a list.
 *
 * A path is an entry with a slot for each verb. There are some dozens of paths and fewer with
 * fields, so a list of these is as fast as a tree and much shorter. */
#include "router.h"
#include "http_value.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum { BUCKETS = 256, VERBS = 4, PREFIX = 4 };

static const char prefix[] = "/api";

struct path {
    struct path *next;                   /* in its bucket, or of those with fields */
    struct str text;                     /* of a message, below the prefix; static */
    const struct method *by_verb[VERBS]; /* messages; NULL: none */
    const struct own_route *own;         /* instead of messages */
};

static struct {
    struct path *literal[BUCKETS]; /* by hash of the path below the prefix */
    struct path *with_fields;      /* in the order of the rows */
} router;

/* For Allow, by the set of verbs that there are. */
static const char *const allow_texts[1 << VERBS] = {
    [1 << VERB_GET] = "GET, HEAD",
    [1 << VERB_POST] = "POST",
    [1 << VERB_DELETE] = "DELETE",
    [1 << VERB_GET | 1 << VERB_POST] = "GET, HEAD, POST",
    [1 << VERB_GET | 1 << VERB_DELETE] = "GET, HEAD, DELETE",
    [1 << VERB_POST | 1 << VERB_DELETE] = "POST, DELETE",
    [1 << VERB_GET | 1 << VERB_POST | 1 << VERB_DELETE] = "GET, HEAD, POST, DELETE",
};

static unsigned bucket_of(struct str text)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * 16777619U;
    return (hash ^ hash >> 16) % BUCKETS;
}

static bool has_fields(struct str text)
{
    return memchr(text.ptr, '{', text.len) != NULL;
}

/* Takes the next segment, without its slash, off a path. */
static bool next_segment(struct str *rest, struct str *segment)
{
    const char *slash;

    if (rest->len == 0 || *rest->ptr != '/')
        return false;
    rest->ptr++;
    rest->len--;
    slash = memchr(rest->ptr, '/', rest->len);
    *segment = (struct str){rest->ptr, slash != NULL ? (size_t)(slash - rest->ptr) : rest->len};
    rest->ptr += segment->len;
    rest->len -= segment->len;
    return true;
}

static bool is_field(struct str segment)
{
    return segment.len > 2 && segment.ptr[0] == '{';
}

/* Whether a decoded path has the form of a template. */
static bool matches(struct str template, struct str path)
{
    struct str wanted, got;

    while (next_segment(&template, &wanted)) {
        if (!next_segment(&path, &got))
            return false;
        if (is_field(wanted) ? got.len == 0 : !str_equal(wanted, got))
            return false;
    }
    return path.len == 0;
}

static struct path *path_add(struct str text, const struct own_route *own)
{
    struct path **link = &router.with_fields;
    struct path *path;

    if (!has_fields(text))
        link = &router.literal[bucket_of(text)];
    while (*link != NULL &&
           (!str_equal((*link)->text, text) || own != NULL || (*link)->own != NULL))
        link = &(*link)->next;
    if (*link != NULL)
        return *link;
    path = calloc(1, sizeof(*path));
    if (path == NULL) {
        fputs("no memory for the routes\n", stderr);
        exit(EX_OSERR);
    }
    path->text = text;
    path->own = own;
    *link = path;
    return path;
}

void router_open(const struct own_route *own, size_t count)
{
    static_assert(sizeof(prefix) - 1 == PREFIX, "the prefix");
    for (size_t i = 0; i < count; i++)
        path_add(str_of(own[i].path), &own[i]);
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const struct method *method = &methods[i];
        struct path *path;

        if (method->verb == VERB_NONE || method->who == WHO_operators)
            continue;
        path = path_add(str_of(method->path), NULL);
        assert(path->by_verb[method->verb] == NULL && "two messages on one path and method");
        path->by_verb[method->verb] = method;
    }
}

static void list_free(struct path *path)
{
    while (path != NULL) {
        struct path *next = path->next;

        free(path);
        path = next;
    }
}

void router_close(void)
{
    for (size_t i = 0; i < BUCKETS; i++)
        list_free(router.literal[i]);
    list_free(router.with_fields);
    memset(&router, 0, sizeof(router));
}

static enum verb verb_of(enum http_method method)
{
    switch (method) {
    case HTTP_GET:
    case HTTP_HEAD:
        return VERB_GET;
    case HTTP_POST:
        return VERB_POST;
    case HTTP_DELETE:
        return VERB_DELETE;
    default:
        return VERB_NONE;
    }
}

/* One path that matches: takes it where it has the verb, else notes what it has. */
static bool take(const struct path *path, enum verb verb, unsigned *have, struct route_match *match)
{
    for (unsigned i = 0; i < VERBS; i++)
        if (path->by_verb[i] != NULL)
            *have |= 1U << i;
    if (path->own != NULL)
        *have |= 1U << VERB_GET;
    match->method = path->by_verb[verb];
    match->own = verb == VERB_GET ? path->own : NULL;
    return match->method != NULL || match->own != NULL;
}

static bool below_prefix(struct str whole, struct str *below)
{
    if (whole.len < PREFIX || memcmp(whole.ptr, prefix, PREFIX) != 0)
        return false;
    *below = (struct str){whole.ptr + PREFIX, whole.len - PREFIX};
    return true;
}

/* Of a decoded path. */
static struct route_match find(enum verb verb, struct str whole)
{
    struct route_match match = {.outcome = ROUTE_FOUND};
    struct str below = NO_STR;
    unsigned have = 0;

    for (const struct path *path = router.literal[bucket_of(whole)]; path; path = path->next)
        if (path->own != NULL && str_equal(path->text, whole) && take(path, verb, &have, &match))
            return match;
    if (below_prefix(whole, &below)) {
        for (const struct path *path = router.literal[bucket_of(below)]; path; path = path->next)
            if (path->own == NULL && str_equal(path->text, below) &&
                take(path, verb, &have, &match))
                return match;
        for (const struct path *path = router.with_fields; path != NULL; path = path->next)
            if (matches(path->text, below) && take(path, verb, &have, &match))
                return match;
    }
    match.outcome = have != 0 ? ROUTE_WRONG_VERB : ROUTE_UNKNOWN;
    match.allow = allow_texts[have];
    return match;
}

/* Of a path that may be encoded. */
static struct route_match find_encoded(enum verb verb, struct str path)
{
    char decoded[HTTP_TARGET_BYTES];

    if (path.len > sizeof(decoded))
        return (struct route_match){.outcome = ROUTE_UNKNOWN};
    if (memchr(path.ptr, '%', path.len) == NULL)
        return find(verb, path);
    return find(verb, (struct str){decoded, http_decode(path, false, decoded)});
}

struct route_match router_find(enum http_method method, struct str path)
{
    enum verb verb = verb_of(method);
    struct route_match match = find_encoded(verb, path);
    struct str short_path = path;

    if (match.outcome != ROUTE_UNKNOWN || path.len < 2 || path.ptr[path.len - 1] != '/')
        return match;
    while (short_path.len > 1 && short_path.ptr[short_path.len - 1] == '/')
        short_path.len--;
    if (find_encoded(verb, short_path).outcome == ROUTE_UNKNOWN)
        return match;
    match.outcome = ROUTE_SLASH;
    match.short_path = short_path;
    return match;
}

int router_fields(const struct method *method, struct str path, struct arena *arena,
                  struct str values[ROUTE_MOST_FIELDS])
{
    struct str template = str_of(method->path);
    struct str below, wanted, got;
    char *decoded;
    int count = 0;

    if (!has_fields(template))
        return 0;
    decoded = arena_alloc(arena, path.len);
    if (decoded == NULL ||
        !below_prefix((struct str){decoded, http_decode(path, false, decoded)}, &below))
        return -1;
    while (next_segment(&template, &wanted) && next_segment(&below, &got))
        if (is_field(wanted) && count < ROUTE_MOST_FIELDS)
            values[count++] = got;
    return count;
}

int router_field_at(const struct method *method, struct str name)
{
    struct str template = str_of(method->path);
    struct str segment;
    int count = 0;

    while (next_segment(&template, &segment)) {
        if (!is_field(segment))
            continue;
        if (str_equal((struct str){segment.ptr + 1, segment.len - 2}, name))
            return count;
        count++;
    }
    return -1;
}

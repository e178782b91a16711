/* Readers of what targets and fields hold. Each goes over its text once, by a cursor that is the
 * rest of the text. */
#include "http_value.h"

#include <strings.h>

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that three characters at `at` encode, -1 when they do not. */
static int encoded_byte(const char *at, size_t len)
{
    int high, low;

    if (len < 3 || at[0] != '%')
        return -1;
    high = hex_of(at[1]);
    low = hex_of(at[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

size_t http_decode(struct str raw, bool plus, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < raw.len; i++) {
        int byte = encoded_byte(raw.ptr + i, raw.len - i);

        if (byte >= 0) {
            out[len++] = (char)byte;
            i += 2;
        } else {
            out[len++] = plus && raw.ptr[i] == '+' ? ' ' : raw.ptr[i];
        }
    }
    return len;
}

static struct str without(struct str s, size_t len)
{
    return (struct str){s.ptr + len, s.len - len};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct str trim(struct str s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = without(s, 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Takes what stands before `mark` off `rest`, and the mark; all of it where there is none. */
static struct str take_until(struct str *rest, char mark)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, mark, rest->len) : NULL;
    struct str part = *rest;

    if (at != NULL)
        part.len = (size_t)(at - rest->ptr);
    *rest = without(*rest, at != NULL ? part.len + 1 : part.len);
    return part;
}

bool http_query_next(struct str *rest, struct str *name, struct str *value)
{
    while (rest->len > 0) {
        *value = take_until(rest, '&');
        if (value->len == 0)
            continue;
        *name = take_until(value, '=');
        return true;
    }
    return false;
}

static struct str cookie_in(struct str rest, struct str wanted)
{
    while (rest.len > 0) {
        struct str value = take_until(&rest, ';');
        struct str name = trim(take_until(&value, '='));

        /* Without a `=` the value is empty and ends where the name does. */
        if (!str_equal(name, wanted) || value.ptr[-1] != '=')
            continue;
        value = trim(value);
        if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
            value = (struct str){value.ptr + 1, value.len - 2};
        return value;
    }
    return NO_STR;
}

struct str http_cookie(const struct http_head *head, const char *name)
{
    struct str wanted = str_of(name);

    for (unsigned i = 0; i < head->count; i++) {
        struct str value = NO_STR;

        if (http_same(head->fields[i].name, STR("cookie")))
            value = cookie_in(head->fields[i].value, wanted);
        if (value.ptr != NULL)
            return value;
    }
    return NO_STR;
}

static struct str strong_part(struct str tag)
{
    return tag.len >= 2 && memcmp(tag.ptr, "W/", 2) == 0 ? without(tag, 2) : tag;
}

/* Takes the next entity tag off a list, without its `W/` and with its quotes; absent at the end and
 * where the list is malformed. Commas may stand inside the quotes. */
static struct str take_tag(struct str *rest)
{
    const char *close;
    struct str tag;

    while (rest->len > 0 && (is_blank(*rest->ptr) || *rest->ptr == ','))
        *rest = without(*rest, 1);
    tag = strong_part(*rest);
    if (tag.len < 2 || tag.ptr[0] != '"')
        return NO_STR;
    close = memchr(tag.ptr + 1, '"', tag.len - 1);
    if (close == NULL)
        return NO_STR;
    *rest = without(tag, (size_t)(close - tag.ptr) + 1);
    tag.len = (size_t)(close - tag.ptr) + 1;
    return tag;
}

static bool list_names(struct str list, struct str tag)
{
    struct str item;

    if (str_is(list, "*"))
        return true;
    while ((item = take_tag(&list)).ptr != NULL)
        if (str_equal(item, strong_part(tag)))
            return true;
    return false;
}

bool http_none_match(const struct http_head *head, struct str tag)
{
    for (unsigned i = 0; i < head->count; i++)
        if (http_same(head->fields[i].name, STR("if-none-match")) &&
            list_names(head->fields[i].value, tag))
            return true;
    return false;
}

bool http_is_json(struct str content_type)
{
    const struct str prefix = STR("application/");
    const struct str suffix = STR("+json");
    struct str type;

    if (content_type.len == 0)
        return false;
    type = trim(take_until(&content_type, ';'));
    if (type.len <= prefix.len || !http_same((struct str){type.ptr, prefix.len}, prefix))
        return false;
    type = without(type, prefix.len);
    for (size_t i = 0; i < type.len; i++)
        if (!http_is_token(type.ptr[i]))
            return false;
    if (http_same(type, STR("json")))
        return true;
    return type.len > suffix.len && http_same(without(type, type.len - suffix.len), suffix);
}

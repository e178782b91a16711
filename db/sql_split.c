/* Splits an SQL file into statements, for those that cannot stand in a transaction: sent together
 * they would. */
#include "migrate_internal.h"

static const char *find(const char *at, const char *end, const char *what, size_t len)
{
    const char *found = memmem(at, (size_t)(end - at), what, len);

    return found != NULL ? found + len : end;
}

static bool is_tag_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Behind the `$tag$ … $tag$` that begins at `at`; behind the dollar where it is none. */
static const char *skip_dollar(const char *at, const char *end)
{
    const char *tag_end = at + 1;

    while (tag_end < end && is_tag_char(*tag_end))
        tag_end++;
    if (tag_end == end || *tag_end != '$')
        return at + 1;
    tag_end++;
    return find(tag_end, end, at, (size_t)(tag_end - at));
}

/* Behind whatever begins at `at`: a quoted text, a comment, or one character. */
static const char *skip(const char *at, const char *end)
{
    if (*at == '\'' || *at == '"')
        return find(at + 1, end, at, 1);
    if (*at == '$')
        return skip_dollar(at, end);
    if (end - at >= 2 && memcmp(at, "--", 2) == 0)
        return find(at, end, "\n", 1);
    if (end - at >= 2 && memcmp(at, "/*", 2) == 0)
        return find(at + 2, end, "*/", 2);
    return at + 1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ';';
}

struct str sql_next(struct str *rest)
{
    const char *at = rest->ptr, *end = rest->ptr + rest->len, *from;

    /* comments and blanks between two statements are part of neither */
    while (at < end && (is_blank(*at) || (end - at >= 2 && memcmp(at, "--", 2) == 0)))
        at = skip(at, end);
    from = at;
    while (at < end && *at != ';')
        at = skip(at, end);
    *rest = (struct str){at, (size_t)(end - at)};
    return from < at ? (struct str){from, (size_t)(at - from)} : NO_STR;
}

bool sql_without_transaction(struct str file)
{
    static const char head[] = "-- no transaction\n";

    return file.len >= sizeof(head) - 1 && memcmp(file.ptr, head, sizeof(head) - 1) == 0;
}

/* The export format of SWORD's tools, cut into entries without copying. */
#include "imp.h"

static const char mark[] = "$$$";
enum { MARK = sizeof(mark) - 1, NUMBER_MAX = 9999 };

void imp_init(struct imp *imp, struct str text)
{
    imp->rest = text;
    imp->line = 1;
}

/* The first key's `$$$` in `text`, at the start of a line; its end where there is none. */
static const char *find_key(struct str text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;

    while (at < end) {
        const char *newline;

        if (end - at >= MARK && memcmp(at, mark, MARK) == 0)
            return at;
        newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            break;
        at = newline + 1;
    }
    return end;
}

/* Takes everything before `to` from what is left, and counts its lines. */
static struct str take(struct imp *imp, const char *to)
{
    struct str taken = {imp->rest.ptr, (size_t)(to - imp->rest.ptr)};

    for (size_t i = 0; i < taken.len; i++)
        imp->line += taken.ptr[i] == '\n';
    imp->rest.ptr = to;
    imp->rest.len -= taken.len;
    return taken;
}

static struct str without_line_end(struct str s)
{
    while (s.len > 0 && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r'))
        s.len--;
    return s;
}

bool imp_next(struct imp *imp, struct imp_entry *entry)
{
    const char *newline, *end;

    if (imp->rest.len == 0)
        return false;
    take(imp, find_key(imp->rest));
    if (imp->rest.len == 0)
        return false;
    end = imp->rest.ptr + imp->rest.len;
    newline = memchr(imp->rest.ptr, '\n', imp->rest.len);
    entry->key = without_line_end(take(imp, newline != NULL ? newline + 1 : end));
    entry->key.ptr += MARK;
    entry->key.len -= MARK;
    entry->line = imp->line;
    entry->body = without_line_end(take(imp, find_key(imp->rest)));
    return true;
}

/* The number that ends `s`, which is cut before it; -1 when none does. */
static int take_number(struct str *s)
{
    int number = 0, unit = 1;
    size_t from = s->len;

    while (s->len > 0 && s->ptr[s->len - 1] >= '0' && s->ptr[s->len - 1] <= '9') {
        if (unit > NUMBER_MAX)
            return -1;
        number += unit * (s->ptr[--s->len] - '0');
        unit *= 10;
    }
    return s->len < from ? number : -1;
}

static bool take_char(struct str *s, char c)
{
    if (s->len == 0 || s->ptr[s->len - 1] != c)
        return false;
    s->len--;
    return true;
}

bool imp_place(struct str key, struct imp_place *place)
{
    place->verse = take_number(&key);
    if (place->verse < 0 || !take_char(&key, ':'))
        return false;
    place->chapter = take_number(&key);
    if (place->chapter < 0 || !take_char(&key, ' ') || key.len == 0)
        return false;
    place->book = key;
    return true;
}

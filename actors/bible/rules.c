/* See rules.h. */
#include "rules.h"
#include <inttypes.h>

bool range_of(int64_t start, int64_t end, struct range *range)
{
    *range = (struct range){start, end != INT_ABSENT ? end : start};
    return start > 0 && range->last >= start;
}

void range_select(const struct range *range, const struct chapter *chapter, size_t *from,
                  size_t *count)
{
    size_t at = 0;

    while (at < chapter->count && chapter->verses[at].number < range->first)
        at++;
    *from = at;
    while (at < chapter->count && chapter->verses[at].number <= range->last)
        at++;
    *count = at - *from;
}

struct str passage_reference(struct arena *arena, struct str book, int64_t chapter,
                             const struct range *range)
{
    if (range->first == range->last)
        return arena_format(arena, "%.*s %" PRId64 ":%" PRId64, STR_ARG(book), chapter,
                            range->first);
    return arena_format(arena, "%.*s %" PRId64 ":%" PRId64 "-%" PRId64, STR_ARG(book), chapter,
                        range->first, range->last);
}

struct str chapter_reference(struct arena *arena, struct str book, int64_t chapter)
{
    return arena_format(arena, "%.*s %" PRId64, STR_ARG(book), chapter);
}

struct str bible_validator(struct arena *arena, struct str code, int64_t version)
{
    return arena_format(arena, "%.*s-%" PRId64, STR_ARG(code), version);
}

struct str join_texts(struct arena *arena, const struct bible_verse *verses, size_t count)
{
    size_t bytes = 0;
    char *text, *at;

    for (size_t i = 0; i < count; i++)
        bytes += verses[i].text.len + 1;
    text = at = arena_alloc(arena, bytes);
    if (text == NULL)
        return NO_STR;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *at++ = ' ';
        memcpy(at, verses[i].text.ptr, verses[i].text.len);
        at += verses[i].text.len;
    }
    return (struct str){text, (size_t)(at - text)};
}

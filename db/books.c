/* The 66 books of the Bible: a table, and looking things up in it.
 *
 * The table is short and every look-up a scan of it: some hundred nanoseconds, once a request or
 * once a verse. */
#include "books.h"

#include <strings.h>

static const struct book books[BOOK_COUNT] = {
#define BOOK(number, id, name, osis, sword, max_chapter)                                           \
    [(number)-1] = {number, id, name, osis, sword, max_chapter},
#include "books.def"
#undef BOOK
};

static bool same_in_any_case(struct str s, const char *text)
{
    return strlen(text) == s.len && strncasecmp(s.ptr, text, s.len) == 0;
}

const struct book *book_at(int number)
{
    return number >= 1 && number <= BOOK_COUNT ? &books[number - 1] : NULL;
}

const struct book *book_find(struct str name_or_id)
{
    if (name_or_id.ptr == NULL)
        return NULL;
    for (int i = 0; i < BOOK_COUNT; i++)
        if (same_in_any_case(name_or_id, books[i].name) ||
            same_in_any_case(name_or_id, books[i].id))
            return &books[i];
    return NULL;
}

const struct book *book_of_osis(struct str id)
{
    for (int i = 0; i < BOOK_COUNT; i++)
        if (str_is(id, books[i].osis))
            return &books[i];
    return NULL;
}

const struct book *book_of_sword(struct str name)
{
    for (int i = 0; i < BOOK_COUNT; i++)
        if (str_is(name, books[i].sword))
            return &books[i];
    return NULL;
}

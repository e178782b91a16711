/* A translation in memory: one pool of bytes, and rows that point into it. */
#include "bible.h"

#include "books.h"

#include <stdio.h>
#include <stdlib.h>

void bible_init(struct bible *bible)
{
    *bible = (struct bible){0};
    buffer_init(&bible->bytes, NULL, BIBLE_MAX_BYTES);
}

void bible_free(struct bible *bible)
{
    buffer_free(&bible->bytes);
    free(bible->verses);
    free(bible->chapters);
    *bible = (struct bible){0};
}

/* Room for one more row of `size` bytes; -1 when there is none. */
static int grow(void **rows, size_t *room, size_t count, size_t size)
{
    size_t more = *room == 0 ? 1024 : *room * 2;
    void *moved;

    if (count < *room)
        return 0;
    moved = realloc(*rows, more * size);
    if (moved == NULL)
        return -1;
    *rows = moved;
    *room = more;
    return 0;
}

static int keep(struct bible *bible, struct str text, uint32_t *at, uint32_t *len)
{
    *at = (uint32_t)bible->bytes.len;
    *len = (uint32_t)text.len;
    buffer_add_str(&bible->bytes, text);
    return bible->bytes.failed ? -1 : 0;
}

int bible_add_verse(struct bible *bible, int book, int chapter, int verse, struct str text)
{
    struct verse_row row = {(uint8_t)book, (uint8_t)chapter, (uint8_t)verse, 0, 0};

    if (book_at(book) == NULL || chapter < 1 || chapter > BIBLE_MAX_CHAPTER || verse < 1 ||
        verse > BIBLE_MAX_VERSE || text.len == 0 || text.len > BIBLE_MAX_TEXT_BYTES)
        return -1;
    if (grow((void **)&bible->verses, &bible->verse_room, bible->verse_count, sizeof(row)) != 0 ||
        keep(bible, text, &row.at, &row.len) != 0)
        return -1;
    bible->verses[bible->verse_count++] = row;
    return 0;
}

int bible_add_chapter(struct bible *bible, int book, int chapter, struct str content,
                      struct str footnotes)
{
    struct chapter_row row = {.book = (uint8_t)book, .chapter = (uint8_t)chapter};

    if (book_at(book) == NULL || chapter < 1 || chapter > BIBLE_MAX_CHAPTER ||
        content.len > BIBLE_MAX_CHAPTER_BYTES || footnotes.len > BIBLE_MAX_CHAPTER_BYTES)
        return -1;
    if (grow((void **)&bible->chapters, &bible->chapter_room, bible->chapter_count, sizeof(row)) !=
            0 ||
        keep(bible, content, &row.content_at, &row.content_len) != 0 ||
        keep(bible, footnotes, &row.footnotes_at, &row.footnotes_len) != 0)
        return -1;
    bible->chapters[bible->chapter_count++] = row;
    return 0;
}

static struct str view(const struct bible *bible, uint32_t at, uint32_t len)
{
    return (struct str){bible->bytes.data + at, len};
}

struct str bible_text(const struct bible *bible, const struct verse_row *verse)
{
    return view(bible, verse->at, verse->len);
}

struct str bible_content(const struct bible *bible, const struct chapter_row *chapter)
{
    return view(bible, chapter->content_at, chapter->content_len);
}

struct str bible_footnotes(const struct bible *bible, const struct chapter_row *chapter)
{
    return view(bible, chapter->footnotes_at, chapter->footnotes_len);
}

const struct verse_row *bible_find_verse(const struct bible *bible, int book, int chapter,
                                         int verse)
{
    for (size_t i = 0; i < bible->verse_count; i++) {
        const struct verse_row *row = &bible->verses[i];

        if (row->book == book && row->chapter == chapter && row->verse == verse)
            return row;
    }
    return NULL;
}

const struct chapter_row *bible_find_chapter(const struct bible *bible, int book, int chapter)
{
    for (size_t i = 0; i < bible->chapter_count; i++)
        if (bible->chapters[i].book == book && bible->chapters[i].chapter == chapter)
            return &bible->chapters[i];
    return NULL;
}

void bible_error_format(const struct bible_error *error, char *out, size_t room_bytes)
{
    const struct book *book = book_at(error->book);
    char place[64] = "", line[32] = "";

    if (book != NULL && error->verse > 0)
        snprintf(place, sizeof(place), "%s %d:%d", book->name, error->chapter, error->verse);
    else if (book != NULL && error->chapter > 0)
        snprintf(place, sizeof(place), "%s %d", book->name, error->chapter);
    else if (book != NULL)
        snprintf(place, sizeof(place), "%s", book->name);
    if (error->line > 0)
        snprintf(line, sizeof(line), "%sline %ld", place[0] != '\0' ? ", " : "", error->line);
    snprintf(out, room_bytes, "%s%s%s%s", place, line,
             place[0] != '\0' || line[0] != '\0' ? ": " : "", error->text);
}

/* Chapters are read back by the JSON reader and walked. */
#include "bible_holds.h"

#include "fuzz.h"
#include "json.h"
#include "text.h"

enum { ARENA_BYTES = 256 << 20 };

/* One chapter, read back. */
struct page {
    const struct bible *bible;       /* it is of */
    const struct chapter_row *row;   /* its place */
    const msgpack_object *footnotes; /* its list */
    int verse;                       /* the last one */
};

static void text_holds(struct str text, size_t most)
{
    HOLDS(text.len <= most, "%zu bytes, at most %zu", text.len, most);
    HOLDS(text_is_utf8(text), "not UTF-8: `%.*s`", STR_ARG(text));
    HOLDS(text.len == 0 || memchr(text.ptr, '\0', text.len) == NULL, "a byte 0");
}

static void verse_holds(const struct bible *bible, const struct verse_row *row)
{
    struct str text = bible_text(bible, row);

    text_holds(text, BIBLE_MAX_TEXT_BYTES);
    HOLDS(text.len > 0, "%d:%d is empty", row->chapter, row->verse);
    HOLDS(row->book >= 1 && row->book <= 66 && row->chapter >= 1 && row->verse >= 1,
          "%d %d:%d is no place", row->book, row->chapter, row->verse);
    HOLDS(bible_find_verse(bible, row->book, row->chapter, row->verse) == row,
          "%d %d:%d is there twice", row->book, row->chapter, row->verse);
}

static const msgpack_object *member(const msgpack_object *map, const char *name,
                                    msgpack_object_type type)
{
    const msgpack_object *value = msgpack_member(map, str_of(name));

    HOLDS(value != NULL && value->type == type, "`%s` is missing or of another type", name);
    return value;
}

static bool has_note(const msgpack_object *footnotes, uint64_t number)
{
    for (uint32_t i = 0; i < footnotes->via.array.size; i++)
        if (member(&footnotes->via.array.ptr[i], "noteId", MSGPACK_OBJECT_POSITIVE_INTEGER)
                ->via.u64 == number)
            return true;
    return false;
}

/* `{"text":…}` with or without `poem`, `{"lineBreak":true}`, `{"noteId":n}` or a text. */
static void part_holds(const struct page *page, const msgpack_object *part)
{
    const msgpack_object *note;

    if (part->type == MSGPACK_OBJECT_STR)
        return;
    HOLDS(part->type == MSGPACK_OBJECT_MAP, "a part is neither text nor object");
    note = msgpack_member(part, STR("noteId"));
    if (note != NULL)
        HOLDS(note->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
                  has_note(page->footnotes, note->via.u64),
              "there is no such note");
    else if (msgpack_member(part, STR("lineBreak")) == NULL)
        (void)member(part, "text", MSGPACK_OBJECT_STR);
}

static void item_holds(struct page *page, const msgpack_object *item)
{
    const msgpack_object *type, *content;
    int number;

    HOLDS(item->type == MSGPACK_OBJECT_MAP, "an item is no object");
    type = member(item, "type", MSGPACK_OBJECT_STR);
    if (type->via.str.size == strlen("line_break"))
        return;
    content = member(item, "content", MSGPACK_OBJECT_ARRAY);
    for (uint32_t i = 0; i < content->via.array.size; i++)
        part_holds(page, &content->via.array.ptr[i]);
    if (type->via.str.size != strlen("verse"))
        return;
    number = (int)member(item, "number", MSGPACK_OBJECT_POSITIVE_INTEGER)->via.u64;
    HOLDS(number > page->verse, "verse %d behind %d", number, page->verse);
    page->verse = number;
    HOLDS(bible_find_verse(page->bible, page->row->book, page->row->chapter, number) != NULL,
          "verse %d has no text", number);
}

static msgpack_object read_list(struct arena *arena, struct str json)
{
    msgpack_object list;
    const char *why;
    size_t offset;

    text_holds(json, BIBLE_MAX_CHAPTER_BYTES);
    HOLDS(json_read(arena, json, &list, &why, &offset) == 0, "%s at %zu of `%.*s`", why, offset,
          STR_ARG(json));
    HOLDS(list.type == MSGPACK_OBJECT_ARRAY, "no list: `%.*s`", STR_ARG(json));
    return list;
}

static void chapter_holds(const struct bible *bible, const struct chapter_row *row)
{
    struct arena arena;
    msgpack_object content, footnotes;
    struct page page = {.bible = bible, .row = row, .footnotes = &footnotes};

    arena_init(&arena, ARENA_BYTES);
    content = read_list(&arena, bible_content(bible, row));
    footnotes = read_list(&arena, bible_footnotes(bible, row));
    for (uint32_t i = 0; i < footnotes.via.array.size; i++)
        (void)member(&footnotes.via.array.ptr[i], "noteId", MSGPACK_OBJECT_POSITIVE_INTEGER);
    for (uint32_t i = 0; i < content.via.array.size; i++)
        item_holds(&page, &content.via.array.ptr[i]);
    HOLDS(bible_find_chapter(bible, row->book, row->chapter) == row, "%d %d is there twice",
          row->book, row->chapter);
    arena_clear(&arena);
}

void bible_holds(const struct bible *bible)
{
    HOLDS(bible->bytes.len <= BIBLE_MAX_BYTES, "%zu bytes", bible->bytes.len);
    for (size_t i = 0; i < bible->verse_count; i++)
        verse_holds(bible, &bible->verses[i]);
    for (size_t i = 0; i < bible->chapter_count; i++)
        chapter_holds(bible, &bible->chapters[i]);
}

/* Reads a chapter's JSON: the whole text becomes a value, which is walked item by item; each kind
 * of item is one row of a table. Footnotes are found by the numbers that parts refer to. */
#include "helloao_chapter.h"

#include "json.h"
#include "text.h"

#include <stdio.h>

enum { POEM_MAX_LEVEL = 9, NOTE_MAX_NUMBER = 999999, VALUES_MAX_BYTES = 128 << 20 };

struct note {
    int number;      /* by which parts refer to it */
    int verse;       /* where it belongs; 0: not known */
    struct str text; /* folded; never empty */
};

struct reader {
    struct arena arena;        /* of the JSON's values, and the notes */
    struct compose *compose;   /* takes the events */
    struct bible_error *error; /* where the first cause goes */
    struct note *notes;        /* of the chapter */
    size_t note_count;         /* of them */
    struct buffer aside;       /* text of the open heading */
    struct fold fold;          /* how that goes on */
};

static int refuse(struct reader *reader, const char *what)
{
    snprintf(reader->error->text, sizeof(reader->error->text), "%s", what);
    return -1;
}

/* ---- values ---- */

/* The member of an object; NULL where it is absent or null. */
static const msgpack_object *member(const msgpack_object *map, struct str name)
{
    const msgpack_object *value = msgpack_member(map, name);

    return value != NULL && value->type != MSGPACK_OBJECT_NIL ? value : NULL;
}

static bool is_map(const msgpack_object *value)
{
    return value != NULL && value->type == MSGPACK_OBJECT_MAP;
}

static bool is_list(const msgpack_object *value)
{
    return value != NULL && value->type == MSGPACK_OBJECT_ARRAY;
}

/* Whether the value is an integer from `least` to `most`. */
static bool read_integer(const msgpack_object *value, int least, int most, int *integer)
{
    if (value == NULL || value->type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        value->via.u64 < (uint64_t)least || value->via.u64 > (uint64_t)most)
        return false;
    *integer = (int)value->via.u64;
    return true;
}

static int read_text(struct reader *reader, const msgpack_object *value, struct str *text)
{
    if (value == NULL || value->type != MSGPACK_OBJECT_STR)
        return refuse(reader, "a text is no string");
    *text = (struct str){value->via.str.ptr, value->via.str.size};
    if (text->len > BIBLE_MAX_TEXT_BYTES)
        return refuse(reader, "a text is too long");
    if (!text_is_utf8(*text) || memchr(text->ptr, '\0', text->len) != NULL)
        return refuse(reader, "a text holds half of a surrogate pair or U+0000");
    return 0;
}

/* ---- footnotes ---- */

static struct note *find_note(struct reader *reader, int number)
{
    for (size_t i = 0; i < reader->note_count; i++)
        if (reader->notes[i].number == number)
            return &reader->notes[i];
    return NULL;
}

/* Whether the object's `noteId` is one. */
static bool read_number(const msgpack_object *map, int *number)
{
    return read_integer(member(map, STR("noteId")), 0, NOTE_MAX_NUMBER, number);
}

static int read_note(struct reader *reader, const msgpack_object *value)
{
    struct note note = {0};
    struct fold fold = {0};
    struct buffer folded;
    struct str text;

    if (!is_map(value) || !read_number(value, &note.number))
        return refuse(reader, "a footnote has no `noteId`");
    if (find_note(reader, note.number) != NULL)
        return refuse(reader, "two footnotes have the same `noteId`");
    if (read_text(reader, member(value, STR("text")), &text) != 0)
        return -1;
    value = member(value, STR("reference"));
    if (is_map(value))
        (void)read_integer(member(value, STR("verse")), 1, BIBLE_MAX_VERSE, &note.verse);
    buffer_init(&folded, &reader->arena, SIZE_MAX);
    fold_add(&fold, &folded, text);
    note.text = buffer_str(&folded);
    if (folded.failed)
        return refuse(reader, "the chapter is too large");
    if (note.text.len > 0)
        reader->notes[reader->note_count++] = note;
    return 0;
}

static int read_notes(struct reader *reader, const msgpack_object *list)
{
    if (list == NULL)
        return 0;
    if (!is_list(list))
        return refuse(reader, "the footnotes are no list");
    if (list->via.array.size > HELLOAO_MOST_NOTES)
        return refuse(reader, "there are too many footnotes");
    reader->notes = arena_alloc(&reader->arena, list->via.array.size * sizeof(*reader->notes));
    if (reader->notes == NULL)
        return refuse(reader, "the chapter is too large");
    for (uint32_t i = 0; i < list->via.array.size; i++)
        if (read_note(reader, &list->via.array.ptr[i]) != 0)
            return -1;
    return 0;
}

static void put_notes(struct reader *reader)
{
    for (size_t i = 0; i < reader->note_count; i++) {
        const struct note *note = &reader->notes[i];

        compose_note_text(reader->compose, note->number, note->verse, note->text);
    }
}

/* A part that refers to a footnote. */
static int put_mark(struct reader *reader, const msgpack_object *part)
{
    struct note *note;
    int number;

    if (!read_number(part, &number))
        return refuse(reader, "a `noteId` is no number of a footnote");
    note = find_note(reader, number);
    if (note == NULL) {
        compose_gap(reader->compose);
        return 0;
    }
    if (note->verse == 0)
        note->verse = reader->compose->verse;
    compose_note_mark(reader->compose, number);
    return 0;
}

/* ---- the parts of a verse ---- */

static bool is_letter(uint32_t point)
{
    return (point | 0x20) - 'a' < 26 || (point >= 0xC0 && point < 0x2000);
}

/* How many letters stand at `at`, two being enough to count. */
static int count_letters(const char *at, const char *end)
{
    int count = 0;

    while (count < 2 && at < end && is_letter(text_next(&at, end)))
        count++;
    return count;
}

/* What the beginning of a part says about what it follows. */
enum seam { SEAM_OPEN, SEAM_QUOTE, SEAM_CLOSED };

/* A mark that may open or close a quotation, or be an apostrophe, opens where a word follows. */
static enum seam seam_of(struct str text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    uint32_t point = ' ';

    while (at < end && (text_is_space(point) || text_is_invisible(point)))
        point = text_next(&at, end);
    if (!text_is_closing(point))
        return SEAM_OPEN;
    if (point == '"' && count_letters(at, end) > 0)
        return SEAM_QUOTE;
    if ((point == '\'' || point == 0x2019) && count_letters(at, end) > 1)
        return SEAM_QUOTE;
    return SEAM_CLOSED;
}

/* Whether a part goes on in the line before it: what only ends something, and what begins with a
 * blank at the same level. */
static bool goes_on(const struct compose *compose, int level, struct str text, enum seam seam)
{
    const char *at = text.ptr;

    if (seam == SEAM_CLOSED)
        return true;
    return level == compose->poem && text.len > 0 && text_is_space(text_next(&at, at + text.len));
}

/* Text of the open verse. A part of poetry is a line, unless it goes on. */
static void put_text(struct reader *reader, int level, struct str text)
{
    struct compose *compose = reader->compose;
    enum seam seam = seam_of(text);

    if (compose->text.len == 0)
        compose_line(compose, level);
    else if ((level > 0 || compose->poem > 0) && !goes_on(compose, level, text, seam))
        compose_line(compose, level);
    else if (seam == SEAM_QUOTE)
        compose_blank(compose);
    else
        compose_gap(compose);
    compose_text(compose, text);
}

static int put_formatted(struct reader *reader, const msgpack_object *part)
{
    const msgpack_object *poem = member(part, STR("poem"));
    struct str text;
    int level = 0;

    if (poem != NULL && !read_integer(poem, 0, INT32_MAX, &level))
        return refuse(reader, "the level of a line of poetry is no number");
    if (read_text(reader, member(part, STR("text")), &text) != 0)
        return -1;
    put_text(reader, level > POEM_MAX_LEVEL ? POEM_MAX_LEVEL : level, text);
    return 0;
}

static int put_inner_heading(struct reader *reader, const msgpack_object *part)
{
    struct fold fold = {0};
    struct str text;

    if (read_text(reader, member(part, STR("heading")), &text) != 0)
        return -1;
    buffer_drop(&reader->aside, reader->aside.len);
    fold_add(&fold, &reader->aside, text);
    compose_heading(reader->compose, HEADING_PLAIN, buffer_str(&reader->aside));
    return 0;
}

static int put_inner_break(struct reader *reader, const msgpack_object *part)
{
    const msgpack_object *set = member(part, STR("lineBreak"));

    if (set->type != MSGPACK_OBJECT_BOOLEAN)
        return refuse(reader, "a `lineBreak` is neither true nor false");
    if (set->via.boolean)
        compose_line_break(reader->compose);
    return 0;
}

/* A part is known by a member that it has. */
static const struct {
    struct str mark; /* its name */
    int (*put)(struct reader *reader, const msgpack_object *part);
} parts[] = {
    {{"text", 4}, put_formatted},
    {{"noteId", 6}, put_mark},
    {{"lineBreak", 9}, put_inner_break},
    {{"heading", 7}, put_inner_heading},
};

static int put_part(struct reader *reader, const msgpack_object *part)
{
    struct str text;

    if (!is_map(part)) {
        if (read_text(reader, part, &text) != 0)
            return -1;
        put_text(reader, 0, text);
        return 0;
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (member(part, parts[i].mark) != NULL)
            return parts[i].put(reader, part);
    return refuse(reader, "a part of the verse is of no known kind");
}

/* ---- the items of a chapter ---- */

static int put_verse(struct reader *reader, const msgpack_object *item)
{
    const msgpack_object *content = member(item, STR("content"));
    struct compose *compose = reader->compose;
    int number;

    if (!read_integer(member(item, STR("number")), 1, BIBLE_MAX_VERSE, &number))
        return refuse(reader, "the number of a verse is no number of one");
    reader->error->verse = number;
    if (!is_list(content))
        return refuse(reader, "the content of the verse is no list");
    if (compose_verse(compose, number, reader->error) != 0)
        return -1;
    for (uint32_t i = 0; i < content->via.array.size; i++)
        if (put_part(reader, &content->via.array.ptr[i]) != 0)
            return -1;
    return compose_verse_end(compose, reader->error);
}

/* A piece of a heading: text, or a note, which then belongs to the next verse. */
static int add_aside(struct reader *reader, const msgpack_object *piece)
{
    struct str text;

    if (is_map(piece) && member(piece, STR("noteId")) != NULL)
        return put_mark(reader, piece);
    if (is_map(piece) && member(piece, STR("lineBreak")) != NULL)
        text = STR(" ");
    else if (read_text(reader, is_map(piece) ? member(piece, STR("text")) : piece, &text) != 0)
        return -1;
    fold_note(&reader->fold);
    fold_add(&reader->fold, &reader->aside, text);
    return 0;
}

static int put_title(struct reader *reader, const msgpack_object *item, enum heading kind)
{
    const msgpack_object *content = member(item, STR("content"));

    if (!is_list(content))
        return refuse(reader, "the content of a heading is no list");
    buffer_drop(&reader->aside, reader->aside.len);
    reader->fold = (struct fold){0};
    for (uint32_t i = 0; i < content->via.array.size; i++)
        if (add_aside(reader, &content->via.array.ptr[i]) != 0)
            return -1;
    compose_heading(reader->compose, kind, buffer_str(&reader->aside));
    return 0;
}

static int put_heading(struct reader *reader, const msgpack_object *item)
{
    return put_title(reader, item, HEADING_PLAIN);
}

static int put_subtitle(struct reader *reader, const msgpack_object *item)
{
    return put_title(reader, item, HEADING_PSALM_TITLE);
}

static int put_break(struct reader *reader, const msgpack_object *item)
{
    (void)item;
    compose_line_break(reader->compose);
    return 0;
}

static const struct {
    const char *type;
    int (*put)(struct reader *reader, const msgpack_object *item);
} items[] = {
    {"verse", put_verse},
    {"heading", put_heading},
    {"hebrew_subtitle", put_subtitle},
    {"line_break", put_break},
};

static int put_item(struct reader *reader, const msgpack_object *item)
{
    const msgpack_object *type = is_map(item) ? member(item, STR("type")) : NULL;

    if (type == NULL || type->type != MSGPACK_OBJECT_STR)
        return refuse(reader, "an item of the chapter has no type");
    for (size_t i = 0; i < sizeof(items) / sizeof(*items); i++)
        if (str_is((struct str){type->via.str.ptr, type->via.str.size}, items[i].type))
            return items[i].put(reader, item);
    return refuse(reader, "an item of the chapter is of no known type");
}

static int put_items(struct reader *reader, const msgpack_object *list)
{
    if (!is_list(list))
        return refuse(reader, "the chapter's content is no list");
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        if (put_item(reader, &list->via.array.ptr[i]) != 0)
            return -1;
        if (reader->aside.failed)
            return refuse(reader, "a heading is too long");
    }
    return 0;
}

/* ---- the whole ---- */

static int parse(struct reader *reader, struct str json, msgpack_object *value)
{
    struct bible_error *error = reader->error;
    const char *why;
    size_t offset;

    if (json.len > HELLOAO_CHAPTER_BYTES)
        return refuse(reader, "the chapter is too large");
    if (!text_is_utf8(json)) {
        snprintf(error->text, sizeof(error->text), "it is not UTF-8 at byte %zu",
                 text_valid_bytes(json));
        return -1;
    }
    if (json_read(&reader->arena, json, value, &why, &offset) == 0)
        return 0;
    if (why == NULL)
        return refuse(reader, "the chapter is too large");
    snprintf(error->text, sizeof(error->text), "its JSON is broken at byte %zu: %s", offset, why);
    return -1;
}

static int read_chapter(struct reader *reader, const msgpack_object *root, int book, int chapter)
{
    const msgpack_object *inner = is_map(root) ? member(root, STR("chapter")) : NULL;
    const msgpack_object *number;
    int said;

    if (is_map(inner))
        root = inner;
    if (!is_map(root))
        return refuse(reader, "its JSON is no object");
    number = member(root, STR("number"));
    if (number != NULL && (!read_integer(number, 1, BIBLE_MAX_CHAPTER, &said) || said != chapter))
        return refuse(reader, "its JSON is of another chapter");
    if (compose_chapter(reader->compose, book, chapter, reader->error) != 0 ||
        read_notes(reader, member(root, STR("footnotes"))) != 0 ||
        put_items(reader, member(root, STR("content"))) != 0)
        return -1;
    put_notes(reader);
    return compose_end(reader->compose, reader->error);
}

int helloao_chapter(struct compose *compose, int book, int chapter, struct str json,
                    struct bible_error *error)
{
    struct reader reader = {.compose = compose, .error = error};
    msgpack_object root;
    int result;

    *error = (struct bible_error){.book = book, .chapter = chapter};
    arena_init(&reader.arena, VALUES_MAX_BYTES);
    buffer_init(&reader.aside, NULL, BIBLE_MAX_TEXT_BYTES);
    result = parse(&reader, json, &root);
    if (result == 0)
        result = read_chapter(&reader, &root, book, chapter);
    buffer_free(&reader.aside);
    arena_clear(&reader.arena);
    return result;
}

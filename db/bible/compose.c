/* Composes chapters from events. Each buffer holds one level: the text of a part, the parts of a
 * verse, the items of a chapter; closing a level adds it to the next. */
#include "compose.h"

#include "books.h"

#include <stdio.h>

enum { PILCROW = 0xB6 };

void compose_init(struct compose *compose, struct bible *bible)
{
    *compose = (struct compose){.bible = bible};
    buffer_init(&compose->content, NULL, BIBLE_MAX_CHAPTER_BYTES - 2);
    buffer_init(&compose->notes, NULL, BIBLE_MAX_CHAPTER_BYTES - 2);
    buffer_init(&compose->parts, NULL, BIBLE_MAX_CHAPTER_BYTES);
    buffer_init(&compose->part, NULL, BIBLE_MAX_TEXT_BYTES);
    buffer_init(&compose->text, NULL, BIBLE_MAX_TEXT_BYTES);
    buffer_init(&compose->late, NULL, BIBLE_MAX_CHAPTER_BYTES);
}

void compose_free(struct compose *compose)
{
    buffer_free(&compose->content);
    buffer_free(&compose->notes);
    buffer_free(&compose->parts);
    buffer_free(&compose->part);
    buffer_free(&compose->text);
    buffer_free(&compose->late);
}

static void empty(struct buffer *buffer)
{
    buffer_drop(buffer, buffer->len);
}

static void add_comma(struct buffer *items)
{
    if (items->len > 0)
        buffer_add_char(items, ',');
}

static void close_part(struct compose *compose)
{
    if (compose->part.len == 0)
        return;
    add_comma(&compose->parts);
    if (compose->poem == 0) {
        json_add_string(&compose->parts, buffer_str(&compose->part));
    } else {
        buffer_add_text(&compose->parts, "{\"text\":");
        json_add_string(&compose->parts, buffer_str(&compose->part));
        buffer_add_format(&compose->parts, ",\"poem\":%d}", compose->poem);
    }
    empty(&compose->part);
}

static void add_item(struct compose *compose, enum compose_item item, struct str json)
{
    add_comma(&compose->content);
    buffer_add_str(&compose->content, json);
    compose->last = item;
}

/* Puts the paragraph that ended before the text that comes now. */
static void settle_break(struct compose *compose)
{
    if (!compose->break_due)
        return;
    compose->break_due = false;
    if (compose->text.len > 0) {
        close_part(compose);
        add_comma(&compose->parts);
        buffer_add_text(&compose->parts, "{\"lineBreak\":true}");
    } else if (compose->last == ITEM_VERSE) {
        add_item(compose, ITEM_BREAK, STR("{\"type\":\"line_break\"}"));
    }
}

static void add_point(struct compose *compose, struct str bytes, uint32_t point)
{
    bool parted = compose->line_start ? compose->fold.last != 0 : fold_parts(&compose->fold, point);

    settle_break(compose);
    if (parted) {
        buffer_add_char(&compose->text, ' ');
        if (!compose->line_start)
            buffer_add_char(&compose->part, ' ');
    }
    buffer_add_str(&compose->text, bytes);
    buffer_add_str(&compose->part, bytes);
    fold_wrote(&compose->fold, point);
    compose->line_start = false;
}

void compose_text(struct compose *compose, struct str text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;

    if (compose->verse == 0)
        return;
    while (at < end) {
        size_t marker = text_usfm_marker((struct str){at, (size_t)(end - at)});
        const char *from = at;
        uint32_t point;

        if (marker > 0) {
            at += marker;
            continue;
        }
        point = text_next(&at, end);
        if (text_is_space(point))
            compose->fold.space = true;
        else if (point == PILCROW)
            compose_break(compose);
        else if (!text_is_invisible(point))
            add_point(compose, (struct str){from, (size_t)(at - from)}, point);
    }
}

void compose_word(struct compose *compose, unsigned word)
{
    compose->fold.word = word;
}

void compose_line(struct compose *compose, int level)
{
    close_part(compose);
    compose->poem = level;
    compose->line_start = true;
}

void compose_break(struct compose *compose)
{
    compose->break_due = true;
    compose->line_start = true;
}

void compose_heading(struct compose *compose, enum heading kind, struct str text)
{
    struct buffer *items = compose->text.len > 0 ? &compose->late : &compose->content;

    if (text.len == 0 || compose->book == 0)
        return;
    add_comma(items);
    if (kind == HEADING_PLAIN)
        buffer_add_text(items, "{\"type\":\"heading\",\"content\":[");
    else
        buffer_add_text(items, "{\"type\":\"hebrew_subtitle\",\"content\":[");
    json_add_string(items, text);
    buffer_add_text(items, "]}");
    if (items == &compose->content) {
        compose->last = ITEM_HEADING;
        compose->break_due = false;
    } else {
        compose_break(compose);
    }
}

void compose_gap(struct compose *compose)
{
    fold_note(&compose->fold);
}

void compose_blank(struct compose *compose)
{
    compose->fold.note = false;
    compose->fold.space = true;
}

void compose_line_break(struct compose *compose)
{
    compose->break_due = false;
    compose->line_start = true;
    if (compose->verse == 0) {
        add_item(compose, ITEM_BREAK, STR("{\"type\":\"line_break\"}"));
        return;
    }
    close_part(compose);
    add_comma(&compose->parts);
    buffer_add_text(&compose->parts, "{\"lineBreak\":true}");
}

void compose_note_mark(struct compose *compose, int number)
{
    compose_gap(compose);
    close_part(compose);
    add_comma(&compose->parts);
    buffer_add_format(&compose->parts, "{\"noteId\":%d}", number);
}

void compose_note_text(struct compose *compose, int number, int verse, struct str text)
{
    struct str kept = text_cut(text, BIBLE_MAX_NOTE_BYTES - sizeof("…"));
    struct buffer whole;

    buffer_init(&whole, NULL, BIBLE_MAX_NOTE_BYTES);
    buffer_add_str(&whole, kept);
    if (kept.len < text.len)
        buffer_add_text(&whole, "…");
    add_comma(&compose->notes);
    buffer_add_format(&compose->notes, "{\"noteId\":%d,\"text\":", number);
    json_add_string(&compose->notes, buffer_str(&whole));
    buffer_add_format(&compose->notes, ",\"verse\":%d}", verse);
    buffer_free(&whole);
}

void compose_note(struct compose *compose, struct str text)
{
    compose_gap(compose);
    if (text.len == 0 || compose->book == 0)
        return;
    compose_note_mark(compose, ++compose->notes_count);
    compose_note_text(compose, compose->notes_count, compose->verse, text);
}

static int too_much(struct bible_error *error, const char *what)
{
    snprintf(error->text, sizeof(error->text), "%s is too long", what);
    return -1;
}

/* The notes of a verse without text go to the end of the verse before, else they wait for the next.
 */
static void hand_over_notes(struct compose *compose)
{
    if (compose->parts.len == 0 || compose->last != ITEM_VERSE)
        return;
    compose->content.len -= 2; /* its "]}" */
    buffer_add_char(&compose->content, ',');
    buffer_add_str(&compose->content, buffer_str(&compose->parts));
    buffer_add_text(&compose->content, "]}");
    empty(&compose->parts);
}

static int close_verse(struct compose *compose, struct bible_error *error)
{
    if (compose->verse == 0)
        return 0;
    close_part(compose);
    if (compose->text.failed || compose->part.failed || compose->parts.failed)
        return too_much(error, "the verse");
    if (compose->text.len == 0) {
        hand_over_notes(compose);
    } else {
        if (bible_add_verse(compose->bible, compose->book, compose->chapter, compose->verse,
                            buffer_str(&compose->text)) != 0)
            return too_much(error, "the Bible");
        add_comma(&compose->content);
        buffer_add_format(&compose->content, "{\"type\":\"verse\",\"number\":%d,\"content\":[",
                          compose->verse);
        buffer_add_str(&compose->content, buffer_str(&compose->parts));
        buffer_add_text(&compose->content, "]}");
        compose->last = ITEM_VERSE;
        empty(&compose->parts);
    }
    if (compose->late.len > 0) {
        add_item(compose, ITEM_HEADING, buffer_str(&compose->late));
        compose->break_due = false;
    }
    empty(&compose->late);
    empty(&compose->text);
    compose->fold = (struct fold){0};
    compose->verse = 0;
    return compose->content.failed || compose->notes.failed ? too_much(error, "the chapter") : 0;
}

static int add_chapter(struct compose *compose)
{
    struct buffer content, notes;
    int result;

    buffer_init(&content, NULL, BIBLE_MAX_CHAPTER_BYTES);
    buffer_init(&notes, NULL, BIBLE_MAX_CHAPTER_BYTES);
    buffer_add_format(&content, "[");
    buffer_add_str(&content, buffer_str(&compose->content));
    buffer_add_text(&content, "]");
    buffer_add_text(&notes, "[");
    buffer_add_str(&notes, buffer_str(&compose->notes));
    buffer_add_text(&notes, "]");
    result = content.failed || notes.failed
                 ? -1
                 : bible_add_chapter(compose->bible, compose->book, compose->chapter,
                                     buffer_str(&content), buffer_str(&notes));
    buffer_free(&content);
    buffer_free(&notes);
    return result;
}

static bool has_verses(const struct compose *compose)
{
    const struct bible *bible = compose->bible;
    const struct verse_row *last;

    if (bible->verse_count == 0)
        return false;
    last = &bible->verses[bible->verse_count - 1];
    return last->book == compose->book && last->chapter == compose->chapter;
}

int compose_end(struct compose *compose, struct bible_error *error)
{
    if (close_verse(compose, error) != 0)
        return -1;
    if (compose->book != 0 && has_verses(compose) && add_chapter(compose) != 0)
        return too_much(error, "the Bible");
    compose->book = 0;
    return 0;
}

int compose_chapter(struct compose *compose, int book, int chapter, struct bible_error *error)
{
    if (compose_end(compose, error) != 0)
        return -1;
    if (chapter < 1 || chapter > BIBLE_MAX_CHAPTER || book_at(book) == NULL) {
        snprintf(error->text, sizeof(error->text), "there is no chapter %d", chapter);
        return -1;
    }
    if (bible_find_chapter(compose->bible, book, chapter) != NULL) {
        snprintf(error->text, sizeof(error->text), "the chapter stands here a second time");
        return -1;
    }
    empty(&compose->content);
    empty(&compose->notes);
    empty(&compose->parts);
    compose->book = book;
    compose->chapter = chapter;
    compose->last_verse = 0;
    compose->notes_count = 0;
    compose->poem = 0;
    compose->last = ITEM_NONE;
    compose->break_due = false;
    return 0;
}

int compose_verse(struct compose *compose, int verse, struct bible_error *error)
{
    if (close_verse(compose, error) != 0)
        return -1;
    if (verse <= compose->last_verse || verse > BIBLE_MAX_VERSE) {
        snprintf(error->text, sizeof(error->text), "verse %d stands behind verse %d", verse,
                 compose->last_verse);
        return -1;
    }
    compose->verse = verse;
    compose->last_verse = verse;
    compose->line_start = false;
    return 0;
}

int compose_verse_end(struct compose *compose, struct bible_error *error)
{
    return close_verse(compose, error);
}

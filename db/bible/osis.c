/* Reads OSIS: entries are cut from the export, made well-formed, parsed by expat, and each
 * element's meaning is one row of a table. What an element's start did is undone at its end by its
 * effect, which stands on a stack. */
#include "osis.h"

#include "books.h"
#include "compose.h"
#include "imp.h"
#include "markup.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>

enum { SID_MAX = 64, POEM_MAX_LEVEL = 9 };

/* What the end of an element undoes. */
enum effect { PASS, SKIP, NOTE, TITLE, PSALM_TITLE, WORD, LINE, BLOCK, GAP };

/* Text that is no verse's. */
struct aside {
    struct fold fold;   /* how it goes on */
    struct buffer text; /* as it will be kept */
};

struct reader {
    XML_Parser parser;                       /* used again for each entry */
    struct compose compose;                  /* takes the events */
    struct bible_error *error;               /* where the first cause goes */
    struct buffer xml;                       /* the entry, well-formed */
    enum effect stack[MARKUP_MAX_DEPTH + 2]; /* of the open elements */
    int depth;                               /* of it */
    int skipping;                            /* open elements whose text is dropped */
    int notes;                               /* open notes */
    int titles;                              /* open titles */
    unsigned words;                          /* word elements so far */
    char outside[SID_MAX];                   /* sID of the open introduction; "" : none is open */
    struct aside title;                      /* the open one */
    struct aside note;                       /* the open one; it may stand in a title */
};

static const char *attribute(const char **attributes, const char *name)
{
    for (; attributes[0] != NULL; attributes += 2)
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    return "";
}

static bool attribute_is(const char **attributes, const char *name, const char *value)
{
    return strcmp(attribute(attributes, name), value) == 0;
}

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, list[i]) == 0)
            return true;
    return false;
}

#define ONE_OF(word, list) is_one_of(word, list, sizeof(list) / sizeof(*(list)))

static bool is_milestone(const char **attributes)
{
    return attribute(attributes, "sID")[0] != '\0' || attribute(attributes, "eID")[0] != '\0';
}

static void begin_aside(struct aside *aside)
{
    buffer_drop(&aside->text, aside->text.len);
    aside->fold = (struct fold){0};
}

/* Where text goes now: a note, a title, or NULL, the verse. */
static struct aside *open_aside(struct reader *reader)
{
    if (reader->notes > 0)
        return &reader->note;
    return reader->titles > 0 ? &reader->title : NULL;
}

static enum effect start_word(struct reader *reader, const char **attributes)
{
    (void)attributes;
    if (open_aside(reader) != NULL)
        return PASS;
    compose_word(&reader->compose, ++reader->words);
    return WORD;
}

static enum effect start_note(struct reader *reader, const char **attributes)
{
    static const char *const dropped[] = {"crossReference", "x-crossReference", "strongsMarkup",
                                          "x-strongsMarkup"};

    if (reader->notes > 0)
        return PASS;
    if (reader->titles > 0)
        fold_note(&reader->title.fold);
    else
        compose_gap(&reader->compose);
    if (ONE_OF(attribute(attributes, "type"), dropped))
        return SKIP;
    begin_aside(&reader->note);
    return NOTE;
}

static enum effect start_title(struct reader *reader, const char **attributes)
{
    static const char *const dropped[] = {"main", "chapter", "parallel", "x-introduction"};
    const char *type = attribute(attributes, "type");

    if (open_aside(reader) != NULL)
        return PASS;
    if (ONE_OF(type, dropped))
        return SKIP;
    begin_aside(&reader->title);
    return strcmp(type, "psalm") == 0 ? PSALM_TITLE : TITLE;
}

static enum effect start_speaker(struct reader *reader, const char **attributes)
{
    (void)attributes;
    return start_title(reader, (const char *[]){NULL});
}

/* Within a note or title a reference is a part of the sentence, but for the one that says where the
 * note belongs. */
static enum effect start_reference(struct reader *reader, const char **attributes)
{
    if (attribute_is(attributes, "type", "annotateRef"))
        return SKIP;
    if (open_aside(reader) != NULL)
        return PASS;
    compose_gap(&reader->compose);
    return SKIP;
}

static int level_of(const char **attributes)
{
    int level = atoi(attribute(attributes, "level"));

    return level < 1 ? 1 : level > POEM_MAX_LEVEL ? POEM_MAX_LEVEL : level;
}

static enum effect start_line(struct reader *reader, const char **attributes)
{
    if (open_aside(reader) != NULL)
        return GAP;
    if (attribute(attributes, "eID")[0] != '\0') {
        compose_line(&reader->compose, 0);
        return PASS;
    }
    compose_line(&reader->compose, level_of(attributes));
    return is_milestone(attributes) ? PASS : LINE;
}

/* A paragraph, a stanza, a list's item: parts what is before it from what is in it, and that from
 * what follows. */
static enum effect start_block(struct reader *reader, const char **attributes)
{
    if (open_aside(reader) != NULL)
        return GAP;
    compose_break(&reader->compose);
    return is_milestone(attributes) ? PASS : BLOCK;
}

static enum effect start_gap(struct reader *reader, const char **attributes)
{
    (void)reader, (void)attributes;
    return GAP;
}

static enum effect start_skipped(struct reader *reader, const char **attributes)
{
    (void)reader, (void)attributes;
    return SKIP;
}

/* An introduction or the like; as a pair of milestones it is left at the one with the same id. */
static enum effect start_outside(struct reader *reader, const char **attributes)
{
    const char *start = attribute(attributes, "sID");

    if (!is_milestone(attributes))
        return SKIP;
    if (start[0] != '\0' && reader->outside[0] == '\0')
        snprintf(reader->outside, sizeof(reader->outside), "%s", start);
    else if (strncmp(reader->outside, attribute(attributes, "eID"), SID_MAX - 1) == 0)
        reader->outside[0] = '\0';
    return PASS;
}

static enum effect start_div(struct reader *reader, const char **attributes)
{
    static const char *const paragraphs[] = {"x-p", "paragraph", "x-m", "x-pi", "x-nb"};
    static const char *const outside[] = {
        "introduction", "front",     "back",         "glossary",  "preface",    "appendix",
        "index",        "gazetteer", "concordance",  "titlePage", "imprimatur", "publicationData",
        "afterword",    "annotant",  "bibliography", "coverPage", "dedication", "map"};
    const char *type = attribute(attributes, "type");

    if (ONE_OF(type, paragraphs))
        return start_block(reader, attributes);
    if (ONE_OF(type, outside))
        return start_outside(reader, attributes);
    if (strcmp(type, "colophon") == 0 && !is_milestone(attributes))
        return start_title(reader, (const char *[]){NULL});
    /* behind the end of a book only other matter follows, up to the next key */
    if (strcmp(type, "book") == 0 && attribute(attributes, "eID")[0] != '\0')
        snprintf(reader->outside, sizeof(reader->outside), "after a book");
    return PASS;
}

static enum effect start_milestone(struct reader *reader, const char **attributes)
{
    static const char *const breaks[] = {"x-p", "x-extra-p", "line", "lb"};

    if (ONE_OF(attribute(attributes, "type"), breaks))
        compose_break(&reader->compose);
    return PASS;
}

static void add_text(struct reader *reader, struct str text);

/* Quotation marks that stand in an attribute are printed. */
static enum effect start_quote(struct reader *reader, const char **attributes)
{
    if (is_milestone(attributes))
        add_text(reader, str_of(attribute(attributes, "marker")));
    return PASS;
}

static const struct element {
    const char *name;
    enum effect (*start)(struct reader *reader, const char **attributes);
} elements[] = {
    {"w", start_word},
    {"note", start_note},
    {"title", start_title},
    {"speaker", start_speaker},
    {"l", start_line},
    {"lg", start_block},
    {"lb", start_block},
    {"div", start_div},
    {"p", start_block},
    {"item", start_block},
    {"row", start_block},
    {"cell", start_gap},
    {"q", start_quote},
    {"reference", start_reference},
    {"milestone", start_milestone},
    {"figure", start_skipped},
    {"header", start_skipped},
    {"index", start_skipped},
    {"work", start_skipped},
};

static void add_text(struct reader *reader, struct str text)
{
    struct aside *aside = open_aside(reader);

    if (reader->skipping > 0 || reader->outside[0] != '\0')
        return;
    if (aside != NULL)
        fold_add(&aside->fold, &aside->text, text);
    else
        compose_text(&reader->compose, text);
}

static void part_words(struct reader *reader)
{
    struct aside *aside = open_aside(reader);

    if (aside != NULL)
        aside->fold.space = true;
    else
        compose_text(&reader->compose, STR(" "));
}

static void begin(struct reader *reader, enum effect effect)
{
    reader->skipping += effect == SKIP;
    reader->notes += effect == NOTE;
    reader->titles += effect == TITLE || effect == PSALM_TITLE;
    if (effect == GAP)
        part_words(reader);
}

/* A letter's name in capitals (`BETH`, `SIN AND SHIN`): converters mark the heads of an acrostic's
 * stanzas as psalm titles. */
static bool is_letter_name(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.ptr[i] < 'A' || text.ptr[i] > 'Z') && text.ptr[i] != ' ')
            return false;
    return text.len > 0;
}

static void finish_title(struct reader *reader, enum effect effect)
{
    struct str text = buffer_str(&reader->title.text);
    bool psalm = effect == PSALM_TITLE && !is_letter_name(text);

    compose_heading(&reader->compose, psalm ? HEADING_PSALM_TITLE : HEADING_PLAIN, text);
}

static void finish(struct reader *reader, enum effect effect)
{
    bool dropped = reader->skipping > 0 || reader->outside[0] != '\0';

    reader->skipping -= effect == SKIP;
    reader->notes -= effect == NOTE;
    reader->titles -= effect == TITLE || effect == PSALM_TITLE;
    if (effect == WORD)
        compose_word(&reader->compose, 0);
    else if (effect == LINE)
        compose_line(&reader->compose, 0);
    else if (effect == BLOCK)
        compose_break(&reader->compose);
    else if (effect == GAP)
        part_words(reader);
    else if (effect == NOTE && !dropped)
        compose_note(&reader->compose, buffer_str(&reader->note.text));
    else if ((effect == TITLE || effect == PSALM_TITLE) && !dropped)
        finish_title(reader, effect);
}

static void XMLCALL on_start(void *data, const char *name, const char **attributes)
{
    struct reader *reader = data;
    enum effect effect = PASS;

    for (size_t i = 0; i < sizeof(elements) / sizeof(*elements) && reader->skipping == 0; i++) {
        if (strcmp(elements[i].name, name) == 0) {
            effect = elements[i].start(reader, attributes);
            break;
        }
    }
    begin(reader, effect);
    reader->stack[reader->depth++] = effect;
}

static void XMLCALL on_end(void *data, const char *name)
{
    struct reader *reader = data;

    (void)name;
    finish(reader, reader->stack[--reader->depth]);
}

static void XMLCALL on_text(void *data, const char *text, int len)
{
    add_text(data, (struct str){text, (size_t)len});
}

static int broken(struct reader *reader, long line, const char *what)
{
    reader->error->line = line;
    if (what != NULL)
        snprintf(reader->error->text, sizeof(reader->error->text), "%s", what);
    return -1;
}

static int parse(struct reader *reader, struct str xml)
{
    XML_Parser parser = reader->parser;

    XML_ParserReset(parser, "UTF-8");
    XML_SetUserData(parser, reader);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    /* one root around the entry; it has no line of its own */
    if (XML_Parse(parser, "<v>", 3, 0) != XML_STATUS_OK ||
        XML_Parse(parser, xml.ptr, (int)xml.len, 0) != XML_STATUS_OK ||
        XML_Parse(parser, "</v>", 4, 1) != XML_STATUS_OK)
        return -1;
    return 0;
}

/* Where the parser stopped in the entry that begins in line `first`. The parser takes a CR alone
 * for a line end too, which the export's lines are not. */
static long line_of(const struct reader *reader, long first)
{
    XML_Index within = XML_GetCurrentByteIndex(reader->parser) - (XML_Index)strlen("<v>");
    XML_Index len = (XML_Index)reader->xml.len;
    long line = first;

    for (XML_Index i = 0; i < within && i < len; i++)
        line += reader->xml.data[i] == '\n';
    return line;
}

/* Reads one entry's markup into the open verse or, before the first, the open chapter. */
static int read_body(struct reader *reader, const struct imp_entry *entry)
{
    if (entry->body.len > OSIS_MAX_ENTRY_BYTES)
        return broken(reader, entry->line, "the verse is too long");
    buffer_drop(&reader->xml, reader->xml.len);
    if (markup_balance(entry->body, &reader->xml) != 0)
        return broken(reader, entry->line, "elements are nested too deeply");
    if (reader->xml.failed)
        return broken(reader, entry->line, "the verse is too long");
    reader->depth = reader->skipping = reader->notes = reader->titles = 0;
    reader->outside[0] = '\0';
    if (parse(reader, buffer_str(&reader->xml)) != 0)
        return broken(reader, line_of(reader, entry->line),
                      XML_ErrorString(XML_GetErrorCode(reader->parser)));
    if (reader->note.text.failed || reader->title.text.failed)
        return broken(reader, entry->line, "a note or title is too long");
    return 0;
}

/* The book that `place` is in, if it is to be read at all. */
static const struct book *wanted(const struct imp_place *place)
{
    const struct book *book = book_of_sword(place->book);

    if (book == NULL || place->chapter < 1 || place->chapter > book->max_chapter)
        return NULL;
    return book;
}

static int read_entry(struct reader *reader, const struct imp_entry *entry)
{
    struct compose *compose = &reader->compose;
    struct bible_error *error = reader->error;
    const struct book *book;
    struct imp_place place;

    if (!imp_place(entry->key, &place))
        return 0;
    book = wanted(&place);
    if (book == NULL)
        return 0;
    error->book = book->number;
    error->chapter = place.chapter;
    error->verse = place.verse;
    if ((compose->book != book->number || compose->chapter != place.chapter) &&
        compose_chapter(compose, book->number, place.chapter, error) != 0)
        return broken(reader, entry->line, NULL);
    if (place.verse > 0 && compose_verse(compose, place.verse, error) != 0)
        return broken(reader, entry->line, NULL);
    return read_body(reader, entry);
}

/* Counts what was added of each book, to say when one is done. */
struct progress {
    osis_book_done *done; /* may be NULL */
    void *data;           /* for it */
    int book;             /* the one being read; 0: none yet */
    size_t chapters;      /* there were before it */
    size_t verses;        /* there were before it */
};

static void report(struct progress *progress, const struct bible *bible, int book)
{
    if (book == progress->book)
        return;
    if (progress->book != 0 && progress->done != NULL)
        progress->done(progress->data, progress->book,
                       (int)(bible->chapter_count - progress->chapters),
                       (int)(bible->verse_count - progress->verses));
    progress->book = book;
    progress->chapters = bible->chapter_count;
    progress->verses = bible->verse_count;
}

static int read_all(struct reader *reader, struct str text, struct progress *progress)
{
    struct compose *compose = &reader->compose;
    struct imp_entry entry;
    struct imp imp;

    imp_init(&imp, text);
    while (imp_next(&imp, &entry)) {
        if (read_entry(reader, &entry) != 0)
            return -1;
        /* an open chapter is not counted yet: the book before is complete when the next one opened
         */
        report(progress, compose->bible, reader->error->book);
    }
    if (compose_end(compose, reader->error) != 0)
        return broken(reader, imp.line, NULL);
    report(progress, compose->bible, 0);
    if (compose->bible->verse_count > 0)
        return 0;
    *reader->error = (struct bible_error){0};
    return broken(reader, 0, "there is no verse of any of the 66 books");
}

int osis_read(struct str imp, struct bible *bible, osis_book_done *done, void *done_data,
              struct bible_error *error)
{
    struct progress progress = {.done = done, .data = done_data};
    struct reader reader = {.error = error, .parser = XML_ParserCreate("UTF-8")};
    int result;

    *error = (struct bible_error){0};
    if (reader.parser == NULL)
        return broken(&reader, 0, "no memory");
    compose_init(&reader.compose, bible);
    buffer_init(&reader.xml, NULL, OSIS_MAX_ENTRY_BYTES * 2);
    buffer_init(&reader.note.text, NULL, BIBLE_MAX_TEXT_BYTES);
    buffer_init(&reader.title.text, NULL, BIBLE_MAX_TEXT_BYTES);
    result = read_all(&reader, imp, &progress);
    compose_free(&reader.compose);
    buffer_free(&reader.xml);
    buffer_free(&reader.note.text);
    buffer_free(&reader.title.text);
    XML_ParserFree(reader.parser);
    return result;
}

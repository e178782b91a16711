#include "markup.h"
#include "osis.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct bible bible;
static struct bible_error error;

static void fini(void)
{
    bible_free(&bible);
}

TestSuite(osis, .fini = fini);

static int try_read(const char *imp)
{
    bible_free(&bible);
    bible_init(&bible);
    return osis_read(str_of(imp), &bible, NULL, NULL, &error);
}

static void reads(const char *imp)
{
    cr_assert_eq(try_read(imp), 0, "%s: %s", imp, error.text);
}

static void verse_is(int book, int chapter, int verse, const char *expected)
{
    const struct verse_row *row = bible_find_verse(&bible, book, chapter, verse);
    struct str text;

    cr_assert_not_null(row, "no verse %d:%d, expected: %s", chapter, verse, expected);
    text = bible_text(&bible, row);
    cr_assert(str_is(text, expected), "got: %.*s\nexpected: %s", STR_ARG(text), expected);
}

static void content_is(int book, int chapter, const char *expected)
{
    const struct chapter_row *row = bible_find_chapter(&bible, book, chapter);
    struct str text;

    cr_assert_not_null(row);
    text = bible_content(&bible, row);
    cr_assert(str_is(text, expected), "got: %.*s\nexpected: %s", STR_ARG(text), expected);
}

static void footnotes_are(int book, int chapter, const char *expected)
{
    const struct chapter_row *row = bible_find_chapter(&bible, book, chapter);
    struct str text;

    cr_assert_not_null(row);
    text = bible_footnotes(&bible, row);
    cr_assert(str_is(text, expected), "got: %.*s\nexpected: %s", STR_ARG(text), expected);
}

Test(osis, words_are_joined_as_they_are_printed)
{
    static const struct {
        const char *markup, *text;
    } cases[] = {
        {"<w>God</w><note>n</note><w>created</w>", "God created"},
        {"<w>God</w> <note>n</note> <w>created</w>", "God created"},
        {"east,<note>n</note>they", "east, they"},
        {"<w>God</w><note>n</note>, who", "God, who"},
        {"<w>God</w> <note>n</note>, who", "God, who"},
        {"(gerahs<note>n</note>); half", "(gerahs); half"},
        {"said,<note>n</note>“Hear", "said, “Hear"},
        {"Saul.<note>n</note>”", "Saul.”"},
        {"Yahweh<note>n</note>’s", "Yahweh’s"},
        {"“<note>n</note>Hear", "“Hear"},
        {"well<note>n</note>-known", "well-known"},
        {"word—<note>n</note>that", "word—that"},
        {"end<note>n</note>[of days", "end [of days"},
        {"<w>be<note>n</note>ginning</w>", "beginning"},
        {"<w>God<note>n</note></w><w>created</w>", "God created"},
        {"one<note>n</note><note>m</note>two", "one two"},
        {"born<note type=\"crossReference\">Dt 8:3</note>Son", "born Son"},
        {"only born</q><note>n</note><q>Son, that</q>", "only born Son, that"},
        {"in<w>to</w>", "into"},
        {"a \t\n b\xc2\xa0"
         "c",
         "a b c"},
        {"¶ And¶ God", "And God"},
        {"the <divineName><w lemma=\"strong:H3068\">LORD</w></divineName>’s", "the LORD’s"},
        {"it <transChange type=\"added\">was</transChange> good", "it was good"},
        {"name \\nd <w>JEHOVAH</w></divineName> was", "name JEHOVAH was"},
        {"<divineName>LORD\\+nd* my", "LORD my"},
        {"see <reference osisRef=\"Gen.1.1\">Gen 1:1</reference> there", "see there"},
        {"a &amp; b &lt; c", "a & b < c"},
        {"<l level=\"1\">One,</l><l level=\"2\">two.</l>", "One, two."},
        {"One.<lb/>Two.", "One. Two."},
        {"<q marker=\"“\" sID=\"a\"/>Go<q marker=\"”\" eID=\"a\"/>", "“Go”"},
        {"cities: <list><item>A</item><item>B</item></list>", "cities: A B"},
        {"soft\xc2\xad"
         "hyphen\xe2\x80\x8b",
         "softhyphen"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char imp[512];

        snprintf(imp, sizeof(imp), "$$$Genesis 1:1\n%s\n", cases[i].markup);
        reads(imp);
        verse_is(1, 1, 1, cases[i].text);
    }
}

Test(osis, only_verses_of_the_66_books_are_rows)
{
    reads(
        "$$$[ Module Heading ]\n\n$$$Genesis 0:0\nAn introduction.\n$$$Genesis 1:0\nText before.\n"
        "$$$Genesis 1:1\nOne.\n$$$Genesis 1:2\n\n$$$Genesis 1:3\n<note>n</note>\n"
        "$$$Tobit 1:1\nTobit.\n$$$Esther (Greek) 1:1\nNot this.\n$$$Daniel 13:1\nSusanna.\n"
        "$$$Revelation of John 22:21\nAmen.<div type=\"book\" eID=\"x\" osisID=\"Rev\"/>"
        "<title>Glossary</title> Abba is a word.\n");
    cr_assert_eq(bible.verse_count, 2);
    cr_assert_eq(bible.chapter_count, 2);
    verse_is(1, 1, 1, "One.");
    verse_is(66, 22, 21, "Amen.");
}

Test(osis, introductions_are_left_out)
{
    reads("$$$Genesis 1:1\n<div type=\"introduction\" sID=\"i\"/>Of this book."
          "<div type=\"introduction\" eID=\"i\"/>In the <div type=\"preface\">not "
          "this</div>beginning.");
    verse_is(1, 1, 1, "In the beginning.");
}

Test(osis, poetry)
{
    reads(
        "$$$Psalms 1:0\n<chapter osisID=\"Ps.1\" sID=\"Ps.1\"/><title>BOOK 1</title><lg sID=\"a\"/>"
        "<l level=\"1\" sID=\"b\"/>\n"
        "$$$Psalms 1:1\nBlessed is the man,<l eID=\"b\" level=\"1\"/> <l level=\"2\" sID=\"c\"/>"
        "nor stand,<note placement=\"foot\"><reference type=\"annotateRef\">1:1 </reference>or, sit"
        "</note>ever. <l eID=\"c\" level=\"2\"/>\n"
        "$$$Psalms 1:2\n<l level=\"1\" sID=\"d\"/>But.<l eID=\"d\" level=\"1\"/><lb type=\"x-p\"/>"
        "<l sID=\"e\" type=\"selah\"/>Selah.<l eID=\"e\"/><lg eID=\"a\"/>\n$$$Psalms "
        "1:3\nProse.\n");
    content_is(
        19, 1,
        "[{\"type\":\"heading\",\"content\":[\"BOOK 1\"]},"
        "{\"type\":\"verse\",\"number\":1,\"content\":[{\"text\":\"Blessed is the "
        "man,\",\"poem\":1},"
        "{\"text\":\"nor stand,\",\"poem\":2},{\"noteId\":1},{\"text\":\" ever.\",\"poem\":2}]},"
        "{\"type\":\"verse\",\"number\":2,\"content\":[{\"text\":\"But.\",\"poem\":1},"
        "{\"lineBreak\":true},{\"text\":\"Selah.\",\"poem\":1}]},{\"type\":\"line_break\"},"
        "{\"type\":\"verse\",\"number\":3,\"content\":[\"Prose.\"]}]");
    footnotes_are(19, 1, "[{\"noteId\":1,\"text\":\"or, sit\",\"verse\":1}]");
    verse_is(19, 1, 1, "Blessed is the man, nor stand, ever.");
    verse_is(19, 1, 2, "But. Selah.");
}

Test(osis, titles)
{
    reads("$$$Psalms 3:1\n<title canonical=\"true\" type=\"psalm\">A <w>Psalm</w> by  "
          "David,<note>n</note>"
          "when</title><lg sID=\"a\"/>How\n$$$Psalms 3:2\n<title type=\"psalm\">BETH</title>Many\n"
          "$$$Psalms 3:3\nBut <speaker>Friends</speaker>you\n$$$Psalms 3:4\n<title "
          "type=\"main\">x</title>"
          "Last<title>A colophon.</title>\n");
    content_is(
        19, 3,
        "[{\"type\":\"hebrew_subtitle\",\"content\":[\"A Psalm by David, when\"]},"
        "{\"type\":\"verse\",\"number\":1,\"content\":[{\"noteId\":1},\"How\"]},"
        "{\"type\":\"heading\",\"content\":[\"BETH\"]},"
        "{\"type\":\"verse\",\"number\":2,\"content\":[\"Many\"]},"
        "{\"type\":\"verse\",\"number\":3,\"content\":[\"But\",{\"lineBreak\":true},\"you\"]},"
        "{\"type\":\"heading\",\"content\":[\"Friends\"]},"
        "{\"type\":\"verse\",\"number\":4,\"content\":[\"Last\"]},"
        "{\"type\":\"heading\",\"content\":[\"A colophon.\"]}]");
    verse_is(19, 3, 3, "But you");
}

Test(osis, paragraphs)
{
    reads(
        "$$$Genesis 1:1\n<div type=\"x-p\" sID=\"a\"/>One. <div type=\"x-p\" eID=\"a\"/>\n"
        "$$$Genesis 1:2\n<div type=\"x-p\" sID=\"b\"/>Two. <p>Three.</p>\n$$$Genesis 1:3\n¶ Four.\n"
        "$$$Genesis 1:4\nFive.\n");
    content_is(
        1, 1,
        "[{\"type\":\"verse\",\"number\":1,\"content\":[\"One.\"]},{\"type\":\"line_break\"},"
        "{\"type\":\"verse\",\"number\":2,\"content\":[\"Two.\",{\"lineBreak\":true},\"Three.\"]},"
        "{\"type\":\"line_break\"},{\"type\":\"verse\",\"number\":3,\"content\":[\"Four.\"]},"
        "{\"type\":\"verse\",\"number\":4,\"content\":[\"Five.\"]}]");
}

Test(osis, the_note_of_an_empty_verse_goes_to_the_one_before)
{
    reads("$$$Acts 8:36\nWhy not?\n$$$Acts 8:37\n<div type=\"x-p\" sID=\"a\"/><note>TR adds "
          "<rdg type=\"alternate\">more</rdg></note>\n$$$Acts 8:38\nHe went.\n");
    cr_assert_eq(bible.verse_count, 2);
    content_is(
        44, 8,
        "[{\"type\":\"verse\",\"number\":36,\"content\":[\"Why not?\",{\"noteId\":1}]},"
        "{\"type\":\"line_break\"},{\"type\":\"verse\",\"number\":38,\"content\":[\"He went.\"]}]");
    footnotes_are(44, 8, "[{\"noteId\":1,\"text\":\"TR adds more\",\"verse\":37}]");
}

Test(osis, text_is_escaped_as_json)
{
    reads("$$$Genesis 1:1\nSay \"yes\" \\ no<note>a \"b\"</note>\n");
    verse_is(1, 1, 1, "Say \"yes\" \\ no");
    content_is(1, 1,
               "[{\"type\":\"verse\",\"number\":1,\"content\":[\"Say \\\"yes\\\" \\\\ "
               "no\",{\"noteId\":1}]}]");
    footnotes_are(1, 1, "[{\"noteId\":1,\"text\":\"a \\\"b\\\"\",\"verse\":1}]");
}

Test(osis, elements_that_span_verses)
{
    reads("$$$Ezra 8:2\n<list><item>Of Phinehas.</item><item>Of\n$$$Ezra "
          "8:3\nIthamar.</item></list>\n"
          "$$$Ezra 8:4\n<q who=\"Jesus\">Go.\n$$$Ezra 8:5\nCome.</q>\n");
    verse_is(15, 8, 2, "Of Phinehas. Of");
    verse_is(15, 8, 3, "Ithamar.");
    verse_is(15, 8, 5, "Come.");
}

Test(osis, a_long_footnote_is_cut_between_characters)
{
    struct buffer imp;
    struct str notes;

    buffer_init(&imp, NULL, 1 << 20);
    buffer_add_text(&imp, "$$$Genesis 1:1\nText<note>");
    for (int i = 0; i < 4000; i++)
        buffer_add_text(&imp, "é");
    buffer_add_text(&imp, "</note>\n");
    buffer_add_char(&imp, '\0');
    reads(imp.data);
    buffer_free(&imp);
    notes = bible_footnotes(&bible, bible_find_chapter(&bible, 1, 1));
    cr_assert_lt(notes.len, BIBLE_MAX_NOTE_BYTES + 64);
    cr_assert_not_null(memmem(notes.ptr, notes.len, "é…\"", strlen("é…\"")));
}

static void breaks(const char *imp, int chapter, int verse, long line)
{
    cr_assert_eq(try_read(imp), -1, "was read: %s", imp);
    cr_assert_eq(error.chapter, chapter, "%s", imp);
    cr_assert_eq(error.verse, verse, "%s", imp);
    cr_assert_eq(error.line, line, "line %ld: %s", error.line, imp);
    cr_assert_neq(error.text[0], '\0');
}

Test(osis, what_is_broken_is_said_with_its_place)
{
    static const char good[] = "$$$Genesis 1:1\nGood.\n";
    static const char *const bad[] = {
        "<w>God",
        "God</w>",
        "<note>never closed",
        "<w>God</note>",
        "<w lemma=>God</w>",
        "<w lemma=\"x>God</w>",
        "a < b",
        "a &nbsp; b",
        "\xff",
        "cut \xe2\x80",
        "a\x01",
        "<!DOCTYPE x [<!ENTITY a \"b\">]>&a;",
        "</v>",
        "<",
    };
    char text[300], imp[512];

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        snprintf(imp, sizeof(imp), "%s$$$Genesis 1:2\n%s\n$$$Genesis 1:3\nGood.\n", good, bad[i]);
        breaks(imp, 1, 2, 4);
    }
    breaks("$$$Genesis 1:1\nOne\r\r\ntwo\rthree\n<w>four\r</x>\n", 1, 1, 4);
    breaks("$$$Genesis 1:1\nOne\ntwo\n<w>three</x>\n", 1, 1, 4);
    bible_error_format(&error, text, sizeof(text));
    cr_assert_str_eq(text, "Genesis 1:1, line 4: mismatched tag");
}

Test(osis, keys_out_of_order_are_refused)
{
    breaks("$$$Genesis 1:2\na\n$$$Genesis 1:1\nb\n", 1, 1, 4);
    breaks("$$$Genesis 1:1\na\n$$$Genesis 1:1\nb\n", 1, 1, 4);
    breaks("$$$Genesis 1:1\na\n$$$Genesis 2:1\nb\n$$$Genesis 1:2\nc\n", 1, 2, 6);
    breaks("$$$Genesis 1:9999\na\n", 1, 9999, 2);
}

Test(osis, a_source_without_a_verse_is_refused)
{
    breaks("", 0, 0, 0);
    breaks("nothing here", 0, 0, 0);
    breaks("$$$Tobit 1:1\nTobit.\n", 0, 0, 0);
    breaks("$$$Genesis 1:1\n<note>only</note>\n", 0, 0, 0);
    breaks("$$$Genesis 99999999999999999999:1\nx\n", 0, 0, 0);
}

Test(osis, limits)
{
    struct buffer imp;

    buffer_init(&imp, NULL, 8 << 20);
    buffer_add_text(&imp, "$$$Genesis 1:1\n");
    for (int i = 0; i <= MARKUP_MAX_DEPTH; i++)
        buffer_add_text(&imp, "<hi>");
    buffer_add_char(&imp, '\0');
    breaks(imp.data, 1, 1, 2);
    buffer_drop(&imp, imp.len);
    buffer_add_text(&imp, "$$$Genesis 1:1\n");
    for (int i = 0; i < BIBLE_MAX_TEXT_BYTES; i++)
        buffer_add_text(&imp, "ab ");
    buffer_add_char(&imp, '\0');
    breaks(imp.data, 1, 1, 2);
    for (int i = 0; i < OSIS_MAX_ENTRY_BYTES; i++)
        imp.data[15] = 'x', buffer_add_text(&imp, "x");
    buffer_free(&imp);
}

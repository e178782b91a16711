/* One chapter of the collection: what it becomes, and what is refused. */
#include "helloao_chapter.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct bible bible;
static struct compose compose;
static struct bible_error error;

static void init(void)
{
    bible_init(&bible);
    compose_init(&compose, &bible);
}

static void fini(void)
{
    compose_free(&compose);
    bible_free(&bible);
}

TestSuite(helloao_chapter, .init = init, .fini = fini);

static int try_read(const char *json)
{
    fini();
    init();
    return helloao_chapter(&compose, 19, 3, str_of(json), &error);
}

static int try_content(const char *content, const char *notes)
{
    char *json = NULL;
    int result;

    cr_assert_gt(
        asprintf(&json, "{\"number\":3,\"content\":[%s],\"footnotes\":[%s]}", content, notes), 0);
    result = try_read(json);
    free(json);
    return result;
}

static void is(const char *what, struct str got, const char *expected)
{
    cr_assert(str_is(got, expected), "%s\ngot:      %.*s\nexpected: %s", what, STR_ARG(got),
              expected);
}

Test(helloao_chapter, parts_are_kept_and_joined_as_they_are_printed)
{
    static const struct {
        const char *parts, *content, *text;
    } cases[] = {
        {"\"In the  beginning \"", "\"In the beginning\"", "In the beginning"},
        {"\"one\",\"two\"", "\"one two\"", "one two"},
        {"\"God\",{\"noteId\":4},\"created\"", "\"God\",{\"noteId\":4},\" created\"",
         "God created"},
        {"\"God\",{\"noteId\":4},\", who\"", "\"God\",{\"noteId\":4},\", who\"", "God, who"},
        {"\"God \",{\"noteId\":4},\" , who\"", "\"God\",{\"noteId\":4},\", who\"", "God, who"},
        {"\"a\",{\"noteId\":4},{\"noteId\":4},\"b\"", "\"a\",{\"noteId\":4},{\"noteId\":4},\" b\"",
         "a b"},
        {"\"a\",{\"noteId\":77},\"b\"", "\"a b\"", "a b"},
        {"\"said,\",\"\\\"Hear\"", "\"said, \\\"Hear\"", "said, \"Hear"},
        {"\"Saul.\",\"\\\" He\"", "\"Saul.\\\" He\"", "Saul.\" He"},
        {"\"Yahweh\",\"’s house\"", "\"Yahweh’s house\"", "Yahweh’s house"},
        {"\"Yahweh\",\"'s house\"", "\"Yahweh's house\"", "Yahweh's house"},
        {"\"he said\",\"‘Go\"", "\"he said ‘Go\"", "he said ‘Go"},
        {"\"he said\",\"'Go up\"", "\"he said 'Go up\"", "he said 'Go up"},
        {"\"(\",\"gerahs\",\")\"", "\"(gerahs)\"", "(gerahs)"},
        {"\"word—\",\"that\"", "\"word—that\"", "word—that"},
        {"{\"text\":\"Yes\",\"poem\":1},{\"text\":\"no.\",\"poem\":2}",
         "{\"text\":\"Yes\",\"poem\":1},{\"text\":\"no.\",\"poem\":2}", "Yes no."},
        {"{\"text\":\"Yes\",\"poem\":1},{\"noteId\":4},{\"text\":\", no\",\"poem\":1}",
         "{\"text\":\"Yes\",\"poem\":1},{\"noteId\":4},{\"text\":\", no\",\"poem\":1}", "Yes, no"},
        {"{\"text\":\"Yes\",\"poem\":1},\"Selah.\"", "{\"text\":\"Yes\",\"poem\":1},\"Selah.\"",
         "Yes Selah."},
        {"{\"text\":\"Yes\",\"poem\":1},{\"noteId\":4},{\"text\":\" no\",\"poem\":1}",
         "{\"text\":\"Yes\",\"poem\":1},{\"noteId\":4},{\"text\":\" no\",\"poem\":1}", "Yes no"},
        {"{\"text\":\"Yes\",\"poem\":1},{\"noteId\":4},{\"text\":\" no\",\"poem\":2}",
         "{\"text\":\"Yes\",\"poem\":1},{\"noteId\":4},{\"text\":\"no\",\"poem\":2}", "Yes no"},
        {"{\"text\":\"Yes\",\"poem\":99}", "{\"text\":\"Yes\",\"poem\":9}", "Yes"},
        {"{\"text\":\"Yes\",\"poem\":0,\"wordsOfJesus\":true},\"no\"", "\"Yes no\"", "Yes no"},
        {"{\"text\":\"Yes\",\"poem\":null}", "\"Yes\"", "Yes"},
        {"\"a\",{\"lineBreak\":true},\"b\",{\"lineBreak\":true}",
         "\"a\",{\"lineBreak\":true},\"b\",{\"lineBreak\":true}", "a b"},
        {"\"a\",{\"lineBreak\":false},\"b\"", "\"a b\"", "a b"},
        {"\"\",\" \",\"a\",\"\"", "\"a\"", "a"},
        {"\"\\u00e9\\ud83d\\ude00\"", "\"é😀\"", "é😀"},
        {"\"\\\\nd Lord\\\\nd*\"", "\"Lord\"", "Lord"},
    };
    char expected[400], content[400];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        snprintf(content, sizeof(content), "{\"type\":\"verse\",\"number\":1,\"content\":[%s]}",
                 cases[i].parts);
        snprintf(expected, sizeof(expected), "[{\"type\":\"verse\",\"number\":1,\"content\":[%s]}]",
                 cases[i].content);
        cr_assert_eq(try_content(content, "{\"noteId\":4,\"text\":\"n\"}"), 0, "%s: %s",
                     cases[i].parts, error.text);
        is(cases[i].parts, bible_text(&bible, &bible.verses[0]), cases[i].text);
        is(cases[i].parts, bible_content(&bible, &bible.chapters[0]), expected);
    }
}

#define VERSE(number, parts) "{\"type\":\"verse\",\"number\":" #number ",\"content\":[" parts "]}"
#define HEADING(text) "{\"type\":\"heading\",\"content\":[\"" text "\"]}"
#define BREAK "{\"type\":\"line_break\"}"

Test(helloao_chapter, items_keep_their_order)
{
    static const struct {
        const char *items, *content;
    } cases[] = {
        {BREAK "," HEADING("H") "," BREAK "," VERSE(1, "\"a\"") "," BREAK "," HEADING(
             "I") "," BREAK "," BREAK "," VERSE(2, "\"b\"") "," BREAK,
         "[" BREAK "," HEADING("H") "," BREAK "," VERSE(1, "\"a\"") "," BREAK "," HEADING(
             "I") "," BREAK "," BREAK "," VERSE(2, "\"b\"") "," BREAK "]"},
        {"{\"type\":\"hebrew_subtitle\",\"content\":[\"A\",{\"noteId\":0},{\"text\":\" Psalm\"},"
         "\".\"]}," VERSE(1, "\"a\""),
         "[{\"type\":\"hebrew_subtitle\",\"content\":[\"A Psalm.\"]}," VERSE(
             1, "{\"noteId\":0},\"a\"") "]"},
        {HEADING("") "," HEADING(" ") "," VERSE(1, "\"a\""), "[" VERSE(1, "\"a\"") "]"},
        {VERSE(1, "\"a\",{\"heading\":\"H\"},\"b\"") "," VERSE(2, "\"c\""),
         "[" VERSE(1, "\"a\",{\"lineBreak\":true},\"b\"") "," HEADING("H") "," VERSE(2,
                                                                                     "\"c\"") "]"},
        {VERSE(1, "\"a\"") "," VERSE(2, "{\"noteId\":0}") "," VERSE(4, "\"b\""),
         "[" VERSE(1, "\"a\",{\"noteId\":0}") "," VERSE(4, "\"b\"") "]"},
        {VERSE(1, "\"a\"") "," VERSE(2, "\"¶ b\""),
         "[" VERSE(1, "\"a\"") "," BREAK "," VERSE(2, "\"b\"") "]"},
        {VERSE(1, "\"a\"") "," BREAK "," VERSE(2, "\"¶ b\""),
         "[" VERSE(1, "\"a\"") "," BREAK "," VERSE(2, "\"b\"") "]"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        cr_assert_eq(try_content(cases[i].items, "{\"noteId\":0,\"text\":\"n\"}"), 0, "%s: %s",
                     cases[i].items, error.text);
        is(cases[i].items, bible_content(&bible, &bible.chapters[0]), cases[i].content);
    }
}

Test(helloao_chapter, footnotes_keep_their_numbers)
{
    static const char notes[] = "{\"noteId\":7,\"text\":\" Or,\\n a \\\"note\\\". \","
                                "\"caller\":\"+\",\"reference\":{\"chapter\":3,\"verse\":9}},"
                                "{\"noteId\":0,\"text\":\"referred to\"},"
                                "{\"noteId\":3,\"text\":\"\"},"
                                "{\"noteId\":2,\"text\":\"nowhere\",\"reference\":null}";

    cr_assert_eq(try_content(VERSE(2, "\"a\",{\"noteId\":0},\"b\",{\"noteId\":3}"), notes), 0, "%s",
                 error.text);
    is("footnotes", bible_footnotes(&bible, &bible.chapters[0]),
       "[{\"noteId\":7,\"text\":\"Or, a \\\"note\\\".\",\"verse\":9},"
       "{\"noteId\":0,\"text\":\"referred to\",\"verse\":2},"
       "{\"noteId\":2,\"text\":\"nowhere\",\"verse\":0}]");
    is("content", bible_content(&bible, &bible.chapters[0]),
       "[" VERSE(2, "\"a\",{\"noteId\":0},\" b\"") "]");
}

Test(helloao_chapter, the_chapter_stands_at_the_top_or_within)
{
    static const char *const forms[] = {
        "{\"content\":[" VERSE(1, "\"a\"") "]}",
        "{\"number\":3,\"footnotes\":null,\"content\":[" VERSE(1, "\"a\"") "]}",
        "{\"translation\":{},\"book\":{\"number\":7},\"chapter\":{\"number\":3,\"content\":[" VERSE(
            1, "\"a\"") "],\"footnotes\":[]},\"numberOfVerses\":1}",
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        cr_assert_eq(try_read(forms[i]), 0, "%s: %s", forms[i], error.text);
        is(forms[i], bible_content(&bible, &bible.chapters[0]), "[" VERSE(1, "\"a\"") "]");
    }
}

Test(helloao_chapter, a_chapter_without_text_is_none)
{
    cr_assert_eq(try_content(HEADING("H") "," VERSE(1, ""), ""), 0);
    cr_assert_eq(bible.chapter_count, 0);
    cr_assert_eq(bible.verse_count, 0);
}

Test(helloao_chapter, what_is_broken_is_refused)
{
    static const struct {
        const char *json, *why;
        int verse;
    } cases[] = {
        {"", "ends too early", 0},
        {"[]", "no object", 0},
        {"null", "no object", 0},
        {"{\"content\":[", "ends too early", 0},
        {"{\"content\":[]} x", "follows the value", 0},
        {"{\"content\":{}}", "content is no list", 0},
        {"{\"content\":null}", "content is no list", 0},
        {"{\"chapter\":3}", "content is no list", 0},
        {"{\"number\":4,\"content\":[]}", "another chapter", 0},
        {"{\"number\":\"3\",\"content\":[]}", "another chapter", 0},
        {"{\"number\":-3,\"content\":[]}", "another chapter", 0},
        {"{\"number\":3.5,\"content\":[]}", "another chapter", 0},
        {"{\"content\":[1]}", "no type", 0},
        {"{\"content\":[{\"type\":7}]}", "no type", 0},
        {"{\"content\":[{\"type\":\"image\"}]}", "no known type", 0},
        {"{\"content\":[{\"type\":\"heading\",\"content\":\"H\"}]}", "heading is no list", 0},
        {"{\"content\":[{\"type\":\"heading\",\"content\":[7]}]}", "no string", 0},
        {"{\"content\":[{\"type\":\"verse\",\"content\":[]}]}", "number of a verse", 0},
        {"{\"content\":[" VERSE(0, "") "]}", "number of a verse", 0},
        {"{\"content\":[" VERSE(-1, "") "]}", "number of a verse", 0},
        {"{\"content\":[" VERSE(251, "") "]}", "number of a verse", 0},
        {"{\"content\":[" VERSE(99999999999999999999, "") "]}", "number of a verse", 0},
        {"{\"content\":[" VERSE("1", "") "]}", "number of a verse", 0},
        {"{\"content\":[" VERSE(1.0, "") "]}", "number of a verse", 0},
        {"{\"content\":[" VERSE(null, "") "]}", "number of a verse", 0},
        {"{\"content\":[{\"type\":\"verse\",\"number\":5}]}", "verse is no list", 5},
        {"{\"content\":[" VERSE(5, "7") "]}", "no string", 5},
        {"{\"content\":[" VERSE(5, "null") "]}", "no string", 5},
        {"{\"content\":[" VERSE(5, "[]") "]}", "no string", 5},
        {"{\"content\":[" VERSE(5, "{}") "]}", "no known kind", 5},
        {"{\"content\":[" VERSE(5, "{\"image\":\"x\"}") "]}", "no known kind", 5},
        {"{\"content\":[" VERSE(5, "{\"text\":7}") "]}", "no string", 5},
        {"{\"content\":[" VERSE(5, "{\"text\":\"a\",\"poem\":\"1\"}") "]}", "poetry", 5},
        {"{\"content\":[" VERSE(5, "{\"text\":\"a\",\"poem\":-1}") "]}", "poetry", 5},
        {"{\"content\":[" VERSE(5, "{\"lineBreak\":1}") "]}", "neither true", 5},
        {"{\"content\":[" VERSE(5, "{\"noteId\":\"1\"}") "]}", "no number", 5},
        {"{\"content\":[" VERSE(5, "{\"noteId\":-1}") "]}", "no number", 5},
        {"{\"content\":[" VERSE(5, "{\"heading\":[]}") "]}", "no string", 5},
        {"{\"content\":[" VERSE(5, "\"\\ud800\"") "]}", "surrogate", 5},
        {"{\"content\":[" VERSE(5, "\"\\u0000\"") "]}", "U+0000", 5},
        {"{\"content\":[" VERSE(5, "\"a\"") "," VERSE(5, "\"b\"") "]}", "behind verse 5", 5},
        {"{\"content\":[" VERSE(5, "\"a\"") "," VERSE(4, "\"b\"") "]}", "behind verse 5", 4},
        {"{\"content\":[" VERSE(5, "\"\xff\"") "]}", "not UTF-8 at byte", 0},
        {"{\"content\":[" VERSE(5, "\"\xed\xa0\x80\"") "]}", "not UTF-8 at byte", 0},
        {"{\"content\":[" VERSE(5, "\"\n\"") "]}", "control character", 0},
        {"{\"content\":[],\"footnotes\":{}}", "footnotes are no list", 0},
        {"{\"content\":[],\"footnotes\":[7]}", "no `noteId`", 0},
        {"{\"content\":[],\"footnotes\":[{\"text\":\"a\"}]}", "no `noteId`", 0},
        {"{\"content\":[],\"footnotes\":[{\"noteId\":1000000,\"text\":\"a\"}]}", "no `noteId`", 0},
        {"{\"content\":[],\"footnotes\":[{\"noteId\":1}]}", "no string", 0},
        {"{\"content\":[],\"footnotes\":[{\"noteId\":1,\"text\":\"a\"},{\"noteId\":1,\"text\":"
         "\"b\"}]}",
         "same `noteId`", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        cr_assert_eq(try_read(cases[i].json), -1, "%s", cases[i].json);
        cr_assert_not_null(strstr(error.text, cases[i].why), "%s: %s", cases[i].json, error.text);
        cr_assert_eq(error.book, 19);
        cr_assert_eq(error.chapter, 3);
        cr_assert_eq(error.verse, cases[i].verse, "%s: %d", cases[i].json, error.verse);
    }
}

/* Reads a chapter in which `piece` stands `count` times between `before` and `after`. */
static void refuses_many(const char *before, const char *piece, size_t count, const char *after,
                         const char *why)
{
    struct buffer json;

    buffer_init(&json, NULL, SIZE_MAX);
    buffer_add_str(&json, str_of(before));
    for (size_t i = 0; i < count; i++)
        buffer_add_str(&json, str_of(piece));
    buffer_add_str(&json, str_of(after));
    cr_assert_eq(helloao_chapter(&compose, 19, 3, buffer_str(&json), &error), -1, "%s", piece);
    cr_assert_not_null(strstr(error.text, why), "%s: %s", piece, error.text);
    buffer_free(&json);
    fini();
    init();
}

Test(helloao_chapter, everything_is_bounded)
{
    refuses_many("", "[", 100, "", "nested too deeply");
    refuses_many("", "[", 1 << 20, "", "nested too deeply");
    refuses_many("", "{\"chapter\":", 100, "", "nested too deeply");
    refuses_many("", " ", HELLOAO_CHAPTER_BYTES + 1, "", "too large");
    refuses_many("[", "[7],", 500000, "7]", "is no object"); /* as many values as fit */
    refuses_many("{\"content\":[{\"type\":\"verse\",\"number\":1,\"content\":[\"", "a",
                 BIBLE_MAX_TEXT_BYTES + 1, "\"]}]}", "too long");
    refuses_many("{\"content\":[{\"type\":\"verse\",\"number\":1,\"content\":[\"a\"",
                 ",\"aaaaaaa\"", BIBLE_MAX_TEXT_BYTES / 8, "]}]}", "too long");
    refuses_many("{\"content\":[{\"type\":\"heading\",\"content\":[\"a\"", ",\"aaaaaaa\"",
                 BIBLE_MAX_TEXT_BYTES / 8, "]}]}", "too long");
    refuses_many("{\"content\":[],\"footnotes\":[7", ",7", HELLOAO_MOST_NOTES, "]}", "too many");
}

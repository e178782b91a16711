/* Outputs in pieces: cut anywhere, they are the JSON that the whole is. */
#include "codec.h"
#include "json.h"
#include <criterion/criterion.h>
#include <stdio.h>

static struct arena arena;

static void open_arena(void)
{
    contract_open();
    arena_init(&arena, 64 << 20);
}

static void close_arena(void)
{
    arena_clear(&arena);
    arena_trim();
}

TestSuite(json_pieces, .init = open_arena, .fini = close_arena, .timeout = 60);

/* A piece, written as JSON. */
static msgpack_object piece_of(const char *text)
{
    struct json_reader *reader = json_reader_new(&arena);
    msgpack_object value;

    cr_assert_not_null(reader);
    cr_assert_eq(json_feed(reader, str_of(text)), 0, "%s", text);
    cr_assert_eq(json_end(reader, &value), 0, "%s", text);
    return value;
}

/* The text that the pieces make; NULL where one of them, or the end, is refused. */
static const char *join(const struct record *record, const char *const *texts, size_t count)
{
    struct json_pieces pieces;
    struct buffer out;

    buffer_init(&out, &arena, 1 << 20);
    json_pieces_begin(&pieces, record, &out);
    for (size_t i = 0; i < count; i++) {
        msgpack_object map = piece_of(texts[i]);

        if (json_pieces_add(&pieces, &out, &map) != 0)
            return NULL;
    }
    if (json_pieces_end(&pieces, &out) != 0)
        return NULL;
    buffer_add_char(&out, '\0');
    return out.data;
}

enum { PIECES_MOST = 8 };

struct join_case {
    const char *pieces[PIECES_MOST]; /* up to the first NULL */
    const char *whole;               /* NULL: refused */
};

static void expect_joins(const struct record *record, const struct join_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t pieces = 0;
        const char *got;

        while (pieces < PIECES_MOST && cases[i].pieces[pieces] != NULL)
            pieces++;
        got = join(record, cases[i].pieces, pieces);
        if (cases[i].whole == NULL || got == NULL)
            cr_expect(got == cases[i].whole, "case %zu: %s", i, got != NULL ? got : "refused");
        else
            cr_expect_str_eq(got, cases[i].whole, "case %zu: %s", i, got);
    }
}

#define COUNT(cases) (sizeof(cases) / sizeof((cases)[0]))

/* ---- one list that stands for the whole ---- */

#define MESSAGE(id) "{\"id\":" id ",\"role\":\"user\",\"content\":\"c\",\"timestamp\":1000}"
#define SHOWN(id) "{\"id\":" id ",\"role\":\"user\",\"content\":\"c\",\"timestamp\":1}"

Test(json_pieces, a_bare_list)
{
    static const struct join_case cases[] = {
        {{"{\"messages\":[]}"}, "[]"},
        {{NULL}, "[]"},
        {{"{}", "{}"}, "[]"},
        {{"{\"messages\":[" MESSAGE("1") "]}"}, "[" SHOWN("1") "]"},
        {{"{\"messages\":[" MESSAGE("1") "]}", "{\"messages\":[" MESSAGE("2") "]}"},
         "[" SHOWN("1") "," SHOWN("2") "]"},
        {{"{\"messages\":[" MESSAGE("1") "," MESSAGE("2") "]}", "{\"messages\":[]}", "{}",
          "{\"messages\":[" MESSAGE("3") "]}", "{\"messages\":[]}"},
         "[" SHOWN("1") "," SHOWN("2") "," SHOWN("3") "]"},
        {{"{\"messages\":1}"}, NULL},
        {{"{\"messages\":{}}"}, NULL},
        {{"{\"messages\":null}"}, NULL},
        {{"{\"messages\":[1]}"}, NULL},
        {{"{\"messages\":[{\"id\":1}]}"}, NULL},
        {{"[]"}, NULL},
    };

    expect_joins(&methods[METHOD_chat_get_chat_messages].out, cases, COUNT(cases));
}

/* ---- members and lists, whose items end with lists ---- */

#define USER "\"user\":{\"anonymous_id\":\"a\",\"created_at\":0}"
#define USER_SHOWN                                                                                 \
    "\"user\":{\"anonymous_id\":\"a\",\"created_at\":\"1970-01-01T00:00:00.000000+00:00\"}"
#define SAID(text) "{\"role\":\"user\",\"content\":\"" text "\",\"created_at\":0}"
#define SAID_SHOWN(text)                                                                           \
    "{\"role\":\"user\",\"content\":\"" text                                                       \
    "\",\"created_at\":\"1970-01-01T00:00:00.000000+00:00\"}"
#define CHAT(title, messages)                                                                      \
    "{\"title\":\"" title "\",\"created_at\":0,\"updated_at\":0,\"messages\":[" messages "]}"
#define CHAT_SHOWN(title, messages)                                                                \
    "{\"title\":\"" title "\",\"passage_reference\":null,\"passage_text\":null,\"created_at\":"    \
    "\"1970-01-01T00:00:00.000000+00:00\",\"updated_at\":\"1970-01-01T00:00:00.000000+00:00\","    \
    "\"messages\":[" messages "]}"
#define INSIGHT(reference, messages)                                                               \
    "{\"passage_reference\":\"" reference "\",\"passage_text\":\"t\",\"historical_context\":"      \
    "\"h\",\"theological_significance\":\"s\",\"practical_application\":\"p\",\"created_at\":0,"   \
    "\"chat_messages\":[" messages "]}"
#define INSIGHT_SHOWN(reference, messages)                                                         \
    "{\"passage_reference\":\"" reference "\",\"passage_text\":\"t\",\"historical_context\":"      \
    "\"h\",\"theological_significance\":\"s\",\"practical_application\":\"p\",\"created_at\":"     \
    "\"1970-01-01T00:00:00.000000+00:00\",\"chat_messages\":[" messages "]}"
#define MORE(messages) "{\"insights\":[{\"chat_messages\":[" messages "]}]}"
#define WHOLE(insights, chats)                                                                     \
    "{" USER_SHOWN ",\"insights\":[" insights "],\"standalone_chats\":[" chats                     \
    "],\"definitions\":[]}"

Test(json_pieces, lists_within_lists)
{
    static const struct join_case cases[] = {
        {{"{" USER "}"}, WHOLE("", "")},
        {{"{" USER ",\"insights\":[" INSIGHT("1", SAID("a")) "]}", MORE(SAID("b") "," SAID("c")),
          MORE(""), MORE(SAID("d"))},
         WHOLE(INSIGHT_SHOWN("1", SAID_SHOWN("a") "," SAID_SHOWN("b") "," SAID_SHOWN(
                                      "c") "," SAID_SHOWN("d")),
               "")},
        {{"{" USER "}", "{\"insights\":[" INSIGHT("1", "") "]}", MORE(SAID("a")),
          "{\"insights\":[" INSIGHT("2", "") "," INSIGHT("3", SAID("b")) "]}", MORE(SAID("c"))},
         WHOLE(INSIGHT_SHOWN("1", SAID_SHOWN("a")) "," INSIGHT_SHOWN("2", "") "," INSIGHT_SHOWN(
                   "3", SAID_SHOWN("b") "," SAID_SHOWN("c")),
               "")},
        /* the rest of an item and a new one in one piece, and the next list in the same */
        {{"{" USER ",\"insights\":[" INSIGHT("1", SAID("a")) "]}",
          "{\"insights\":[{\"chat_messages\":[" SAID("b") "]}," INSIGHT(
              "2", "") "],\"standalone_chats\":[" CHAT("x", "") "]}",
          "{\"standalone_chats\":[{\"messages\":[" SAID("c") "]}]}"},
         WHOLE(INSIGHT_SHOWN("1", SAID_SHOWN("a") "," SAID_SHOWN("b")) "," INSIGHT_SHOWN("2", ""),
               CHAT_SHOWN("x", SAID_SHOWN("c")))},
        {{"{" USER "}", "{\"standalone_chats\":[" CHAT("x", SAID("a")) "]}"},
         WHOLE("", CHAT_SHOWN("x", SAID_SHOWN("a")))},
    };

    expect_joins(&methods[METHOD_user_export_user_data].out, cases, COUNT(cases));
}

Test(json_pieces, what_is_none_of_the_answer)
{
    static const struct join_case cases[] = {
        {{NULL}, NULL},                                    /* no user */
        {{"{\"insights\":[" INSIGHT("1", "") "]}"}, NULL}, /* none before what follows */
        {{"{" USER "}", "{" USER "}"}, NULL},              /* twice */
        {{"{" USER "}", MORE(SAID("a"))}, NULL},           /* the rest of nothing */
        {{"{" USER "}", "{\"insights\":[{}]}"}, NULL},     /* the same, and no list */
        {{"{" USER ",\"insights\":[{\"passage_reference\":\"1\"}]}"}, NULL},
        /* out of order */
        {{"{" USER ",\"standalone_chats\":[" CHAT("x", "") "]}",
          "{\"insights\":[" INSIGHT("1", "") "]}"},
         NULL},
        {{"{" USER ",\"insights\":[" INSIGHT("1", "") "]}",
          "{\"standalone_chats\":[" CHAT("x", "") "]}", MORE(SAID("a"))},
         NULL},
        /* the rest of an item, and no list in it */
        {{"{" USER ",\"insights\":[" INSIGHT("1", "") "]}", "{\"insights\":[{\"created_at\":1}]}"},
         NULL},
        {{"{" USER ",\"insights\":[" INSIGHT("1", "") "]}",
          "{\"insights\":[{\"chat_messages\":[1]}]}"},
         NULL},
    };

    expect_joins(&methods[METHOD_user_export_user_data].out, cases, COUNT(cases));
}

/* ---- every cut ---- */

enum { ITEMS = 9 };

/* A list of ITEMS messages, cut where the bits of `cuts` are set. */
static void cut_at(unsigned cuts, const char *whole)
{
    const char *texts[ITEMS + 1];
    size_t count = 0;
    struct buffer piece;
    const char *got;

    for (int i = 0; i < ITEMS;) {
        buffer_init(&piece, &arena, 1 << 20);
        buffer_add_text(&piece, "{\"messages\":[");
        do
            buffer_add_format(&piece, "%s" MESSAGE("%d"), piece.len > 13 ? "," : "", i);
        while ((cuts & 1u << i++) == 0 && i < ITEMS);
        buffer_add_text(&piece, "]}");
        buffer_add_char(&piece, '\0');
        texts[count++] = piece.data;
    }
    got = join(&methods[METHOD_chat_get_chat_messages].out, texts, count);
    cr_assert_not_null(got, "cuts %x", cuts);
    cr_assert_str_eq(got, whole, "cuts %x", cuts);
}

Test(json_pieces, cut_anywhere)
{
    struct buffer whole;

    buffer_init(&whole, &arena, 1 << 20);
    buffer_add_char(&whole, '[');
    for (int i = 0; i < ITEMS; i++)
        buffer_add_format(&whole, "%s" SHOWN("%d"), i > 0 ? "," : "", i);
    buffer_add_text(&whole, "]");
    buffer_add_char(&whole, '\0');
    for (unsigned cuts = 0; cuts < 1u << (ITEMS - 1); cuts++)
        cut_at(cuts, whole.data);
}

/* Values from bytes nobody can trust, structs to msgpack and back. */
#include "codec.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static struct arena arena;

static void open_arena(void)
{
    contract_open();
    arena_init(&arena, 1 << 20);
}

static void close_arena(void)
{
    arena_clear(&arena);
    arena_trim();
}

TestSuite(codec, .init = open_arena, .fini = close_arena, .timeout = 30);

#define BYTES(literal) ((struct str){literal, sizeof(literal) - 1})

Test(codec, what_is_not_one_value_is_refused)
{
    static const struct {
        struct str bytes;
        const char *why;
    } cases[] = {
        {{"", 0}, "it ends too early"},
        {{"\xC0\xC0", 2}, "bytes follow the value"},
        {{"\xC1", 1}, "it has a type that is not used here"},
        {{"\xD4\x01\x02", 3}, "it has a type that is not used here"}, /* an extension */
        {{"\xA5"
          "abc",
          4},
         "it ends within a string"},
        {{"\xA2\xC3\x28", 3}, "a string is not UTF-8"},
        {{"\xCD\x01", 2}, "it ends within a value"},
        {{"\xDB\xFF\xFF\xFF\xFF", 5}, "it ends within a string"},
        {{"\xDD\xFF\xFF\xFF\xFF\x01", 6}, "a length is larger than what follows"},
        {{"\xDF\x00\x00\x00\x02\x01\x01", 7}, "a length is larger than what follows"},
        {{"\xC6\xFF\xFF\xFF\xFF", 5}, "it ends within binary data"},
        {{"\x92\x01", 2}, "a length is larger than what follows"},
        {{"\x81\x90\x01", 3}, "a key is a list or a map"},
        {{"\x81\x80\x01", 3}, "a key is a list or a map"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        msgpack_object value;
        const char *why = NULL;

        cr_assert_eq(msgpack_read(&arena, cases[i].bytes, &value, &why), -1, "case %zu", i);
        cr_assert_str_eq(why, cases[i].why, "case %zu", i);
    }
}

Test(codec, depth_is_bounded)
{
    char deep[WIRE_MOST_DEPTH + 2];
    msgpack_object value;
    const char *why;

    memset(deep, '\x91', sizeof(deep));
    deep[WIRE_MOST_DEPTH] = '\x01';
    cr_assert_eq(msgpack_read(&arena, (struct str){deep, WIRE_MOST_DEPTH + 1}, &value, &why), 0);
    deep[WIRE_MOST_DEPTH] = '\x91';
    deep[WIRE_MOST_DEPTH + 1] = '\x01';
    cr_assert_eq(msgpack_read(&arena, (struct str){deep, sizeof(deep)}, &value, &why), -1);
    cr_assert_str_eq(why, "it is nested too deeply");
}

Test(codec, memory_is_bounded_by_the_arena)
{
    enum { ITEMS = 100000 };
    char *bytes = malloc(ITEMS + 5);
    msgpack_object value;
    const char *why = "unset";

    memcpy(bytes, "\xDD\x00\x01\x86\xA0", 5);
    memset(bytes + 5, 1, ITEMS);
    cr_assert_eq(msgpack_read(&arena, (struct str){bytes, ITEMS + 5}, &value, &why), -1);
    cr_assert_null(why, "no memory is told apart from a malformed value");
    free(bytes);
}

Test(codec, numbers_of_every_width)
{
    static const struct {
        struct str bytes;
        int64_t number;
    } cases[] = {
        {{"\x00", 1}, 0},
        {{"\x7F", 1}, 127},
        {{"\xFF", 1}, -1},
        {{"\xE0", 1}, -32},
        {{"\xCC\xFF", 2}, 255},
        {{"\xCD\xFF\xFF", 3}, 65535},
        {{"\xCE\xFF\xFF\xFF\xFF", 5}, 4294967295},
        {{"\xCF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 9}, INT64_MAX},
        {{"\xD0\x80", 2}, -128},
        {{"\xD1\x80\x00", 3}, -32768},
        {{"\xD2\x80\x00\x00\x00", 5}, -2147483648},
        {{"\xD3\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE", 9}, -2},
        {{"\xD1\x00\x05", 3}, 5},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        msgpack_object value;
        const char *why;

        cr_assert_eq(msgpack_read(&arena, cases[i].bytes, &value, &why), 0, "case %zu", i);
        cr_assert_eq(value.via.i64, cases[i].number, "case %zu", i);
        cr_assert_eq(value.type == MSGPACK_OBJECT_NEGATIVE_INTEGER, cases[i].number < 0, "case %zu",
                     i);
    }
}

Test(codec, every_prefix_of_a_frame_is_refused)
{
    struct common_request request = {.v = 1,
                                     .id = 77,
                                     .op = NO_STR,
                                     .method = STR("user.session"),
                                     .budget = 5000,
                                     .user = STR("3f0c1a9e-6f2a-4e0e-9a53-1f6d7a0b9c11"),
                                     .client = NO_STR,
                                     .validator = NO_STR,
                                     .credit = INT_ABSENT,
                                     .trace = STR("abc")};
    struct common_request read;
    struct buffer bytes;

    buffer_init(&bytes, &arena, 4096);
    codec_encode(&bytes, &record_common_request, &request);
    cr_assert_not(bytes.failed);
    for (size_t len = 0; len < bytes.len; len++) {
        struct str part = {bytes.data, len};

        cr_assert_not_null(codec_decode(&arena, &record_common_request, part, &read), "%zu", len);
    }
    cr_assert_null(codec_decode(&arena, &record_common_request, buffer_str(&bytes), &read));
    cr_assert_eq(read.id, 77);
    cr_assert_eq(read.budget, 5000);
    cr_assert(str_is(read.method, "user.session"));
    cr_assert_null(read.client.ptr);
    cr_assert_eq(read.credit, INT_ABSENT);
}

Test(codec, records_nest)
{
    static const struct bible_verse verses[] = {
        {STR("John"), 3, 16, STR("For God so loved"), STR("WEB"), BYTES("\x91\xA1x")},
        {STR("John"), 3, 17, STR("For God didn\xE2\x80\x99t"), STR("WEB"), NO_STR},
    };
    struct bible_passage_out out = {STR("John 3:16-17"), {verses, 2}, STR("WEB")}, read;
    const struct record *record = &methods[METHOD_bible_passage].out;
    struct buffer bytes;

    buffer_init(&bytes, &arena, 4096);
    codec_encode(&bytes, record, &out);
    cr_assert_null(codec_decode(&arena, record, buffer_str(&bytes), &read));
    cr_assert_eq(read.verses.count, 2);
    cr_assert(str_equal(read.verses.items[1].text, verses[1].text));
    cr_assert(str_equal(read.verses.items[0].text_parts, verses[0].text_parts));
    cr_assert_null(read.verses.items[1].text_parts.ptr);
    cr_assert_eq(read.verses.items[1].verse, 17);
}

Test(codec, unknown_members_are_ignored)
{
    struct common_pong pong;

    cr_assert_null(codec_decode(&arena, &record_common_pong,
                                BYTES("\x84\xA6"
                                      "domain\xA4user\xA5"
                                      "ready\xC3\xA3new\x93\x01\x02\x03"
                                      "\xAB"
                                      "outstanding\x05"),
                                &pong));
    cr_assert(pong.ready);
    cr_assert_eq(pong.outstanding, 5);
    cr_assert_null(pong.missing.ptr);
}

Test(codec, what_is_wrong_is_named)
{
    struct common_pong pong;
    const char *why = codec_decode(&arena, &record_common_pong,
                                   BYTES("\x82\xA6"
                                         "domain\x01\xA5"
                                         "ready\xC3"),
                                   &pong);

    cr_assert_str_eq(why, "domain: Input should be a valid string");
    cr_assert_str_eq(codec_decode(&arena, &record_common_pong, BYTES("\x90"), &pong),
                     "it is no map");
}

/* ---- value by value ---- */

/* What a walk comes past, each value's bytes as its length. */
static void expect_walk(struct msgpack_walk *walk, const char *lengths)
{
    char found[64] = "";
    struct str value;

    while ((value = msgpack_walk_next(walk)).ptr != NULL)
        sprintf(found + strlen(found), "%zu ", value.len);
    cr_expect_str_eq(found, lengths);
    cr_expect_eq(walk->left, 0);
}

Test(codec, lists_and_maps_are_walked_through)
{
    struct msgpack_walk walk;

    cr_assert(msgpack_walk_list(&walk, BYTES("\x93\x01\xA3"
                                             "abc\x92\x90\x81\x01\xC0")));
    expect_walk(&walk, "1 4 5 ");
    cr_assert(msgpack_walk_list(&walk, BYTES("\xDC\x00\x02\xC2\xC3")));
    expect_walk(&walk, "1 1 ");
    cr_assert(msgpack_walk_list(&walk, BYTES("\xDD\x00\x00\x00\x00")));
    expect_walk(&walk, "");
    cr_assert(msgpack_walk_map(&walk, BYTES("\x82\xA1"
                                            "a\xCD\x01\x00\xA1"
                                            "b\x80")));
    expect_walk(&walk, "2 3 2 1 ");
    cr_assert(msgpack_walk_map(&walk, BYTES("\xDE\x00\x01\x01\x02")));
    expect_walk(&walk, "1 1 ");
    cr_assert(!msgpack_walk_map(&walk, BYTES("\x90")));
    cr_assert(!msgpack_walk_list(&walk, BYTES("\x80")));
    cr_assert(!msgpack_walk_list(&walk, BYTES("\xA1"
                                              "x")));
    cr_assert(!msgpack_walk_map(&walk, NO_STR));
}

Test(codec, members_are_found_by_name)
{
    struct str map = BYTES("\x85\xA1"
                           "a\x01\x07\xA1"
                           "a\xA1"
                           "b\x93\x01\x02\x03\xA2"
                           "ab\xC0\xA1"
                           "a\x05");

    cr_expect(str_equal(msgpack_find(map, STR("a")), BYTES("\x05")), "the last one");
    cr_expect(str_equal(msgpack_find(map, STR("b")), BYTES("\x93\x01\x02\x03")));
    cr_expect(str_equal(msgpack_find(map, STR("ab")), BYTES("\xC0")));
    cr_expect_null(msgpack_find(map, STR("c")).ptr);
    cr_expect_null(msgpack_find(BYTES("\x91\xA1"
                                      "a"),
                                STR("a"))
                       .ptr);
}

Test(codec, a_flat_value_has_nothing_within)
{
    msgpack_object value;

    msgpack_read_flat(BYTES("\xA3"
                            "abc"),
                      &value);
    cr_expect_eq(value.type, MSGPACK_OBJECT_STR);
    cr_expect_eq(value.via.str.size, 3);
    msgpack_read_flat(BYTES("\x92\x01\x02"), &value);
    cr_expect(value.type == MSGPACK_OBJECT_ARRAY && value.via.array.size == 0);
    msgpack_read_flat(BYTES("\x81\x01\x02"), &value);
    cr_expect(value.type == MSGPACK_OBJECT_MAP && value.via.map.size == 0);
    msgpack_read_flat(BYTES("\xD0\xFF"), &value);
    cr_expect(value.type == MSGPACK_OBJECT_NEGATIVE_INTEGER && value.via.i64 == -1);
}

Test(codec, texts_may_be_left_to_others)
{
    struct str bytes = BYTES("\xA3\xED\xA0\x80");
    msgpack_object value;
    const char *why;

    cr_expect_eq(msgpack_read_slowly(&arena, bytes, false, &value, &why), -1);
    cr_expect_str_eq(why, "a string is not UTF-8");
    cr_expect_eq(msgpack_read_slowly(&arena, bytes, true, &value, &why), 0);
    cr_expect_eq(value.via.str.size, 3);
}

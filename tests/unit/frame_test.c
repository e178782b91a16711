/* Headers and bodies of faults on the wire. */
#include "frame.h"
#include "json.h"
#include <criterion/criterion.h>

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

TestSuite(frame, .init = open_arena, .fini = close_arena, .timeout = 30);

Test(frame, a_reply_comes_back)
{
    struct common_rate rate = {600, 599, 1769850300};
    struct common_reply reply = {.v = WIRE_VERSION,
                                 .id = INT64_MAX,
                                 .status = STR("ok"),
                                 .user = STR("u"),
                                 .validator = STR("WEB-7"),
                                 .public = true,
                                 .rate = &rate};
    struct common_reply read;
    struct buffer bytes;

    buffer_init(&bytes, &arena, 4096);
    frame_reply(&bytes, &reply);
    cr_assert_null(frame_read_reply(&arena, buffer_str(&bytes), &read));
    cr_assert_eq(read.id, INT64_MAX);
    cr_assert(str_is(read.status, "ok"));
    cr_assert(read.public);
    cr_assert_eq(read.rate->remaining, 599);
    cr_assert_null(read.spent.ptr);
}

Test(frame, the_id_is_read_wherever_it_can_be)
{
    static const struct {
        struct str bytes;
        int64_t id;
        const char *why;
    } cases[] = {
        {{"\x81\xA2"
          "id\x05",
          5},
         5,
         "v: Field required"},
        {{"\x82\xA1v\x01\xA2"
          "id\x05",
          8},
         5,
         NULL},
        {{"\x82\xA1v\xA1x\xA2"
          "id\x05",
          9},
         5,
         "v: Input should be a valid integer"},
        {{"\x82\xA1v\x01\xA2"
          "id\xFF",
          8},
         -1,
         "id: it is negative"},
        {{"\x81\xA1v\x01", 4}, 0, "id: Field required"},
        {{"\x83\xA1v\x00\xA2"
          "id\x05\xA6method\x01",
          16},
         5,
         "method: Input should be a valid string"},
        {{"\x82\xA1v\x00\xA2"
          "id\x05",
          8},
         5,
         "v: there is no such version"},
        {{"\x01", 1}, 0, "it is no map"},
        {{"", 0}, 0, "it ends too early"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct common_request request;
        const char *why = frame_read_request(&arena, cases[i].bytes, &request);

        if (cases[i].why == NULL)
            cr_assert_null(why, "case %zu: %s", i, why);
        else
            cr_assert_str_eq(why, cases[i].why, "case %zu", i);
        cr_assert_eq(request.id, cases[i].id, "case %zu", i);
    }
}

Test(frame, a_header_is_bounded)
{
    struct common_request request;
    struct str large = {arena_zalloc(&arena, WIRE_MOST_HEADER_BYTES + 1),
                        WIRE_MOST_HEADER_BYTES + 1};

    cr_assert_str_eq(frame_read_request(&arena, large, &request),
                     "it is larger than a header may be");
}

/* A fault's body as JSON. */
static const char *body_of(const struct failure *failure)
{
    struct buffer bytes, out;
    msgpack_object map;
    const char *why;

    buffer_init(&bytes, &arena, 4096);
    frame_fault_body(&bytes, failure);
    cr_assert_eq(msgpack_read(&arena, buffer_str(&bytes), &map, &why), 0);
    buffer_init(&out, &arena, 4096);
    json_write(&out, &map);
    buffer_add_char(&out, '\0');
    return out.data;
}

Test(frame, bodies_of_faults)
{
    struct failure plain = {.fault = &fault_passage_not_found, .text = "for the log"};
    struct failure own = {.fault = &fault_unsupported_version, .text = "version 2, not 1"};
    struct failure detail = {.fault = &fault_translation_requires_pro,
                             .detail = STR("\x81\xAC"
                                           "requires_pro\xC3")};

    cr_assert_str_eq(body_of(&plain), "{\"detail\":\"Passage not found\"}");
    cr_assert_str_eq(body_of(&own), "{\"detail\":\"version 2, not 1\"}");
    cr_assert_str_eq(body_of(&detail), "{\"detail\":{\"requires_pro\":true}}");
}

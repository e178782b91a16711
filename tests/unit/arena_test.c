/* Arenas and buffers: limits, alignment, growth, and a comparison with plain memory. */
#include "base/arena.h"
#include "base/sanitize.h"
#include <criterion/criterion.h>
#include <stdlib.h>

Test(arena, aligns_everything, .timeout = 10)
{
    struct arena arena;

    arena_init(&arena, 1 << 20);
    for (size_t size = 0; size < 300; size++) {
        char *memory = arena_alloc(&arena, size);

        cr_assert_not_null(memory);
        cr_assert_eq((uintptr_t)memory % 16, 0);
        memset(memory, 0x5a, size);
    }
    arena_clear(&arena);
    cr_assert_eq(arena.held_bytes, 0);
    arena_trim();
}

Test(arena, keeps_its_limit, .timeout = 10)
{
    static const struct {
        size_t limit, size;
        unsigned fit; /* at least so many allocations fit, and no more than `most` */
        unsigned most;
    } cases[] = {
        {0, 1, 0, 0},          {16, 1, 0, 0},
        {64, 16, 3, 3},        {4096, 1024, 3, 3},
        {8192, 1024, 7, 7},    {100000, 60000, 1, 1},
        {65536, 4000, 14, 16}, {8191, 16, 500, 511},
        {30000, 10000, 2, 2},  {1 << 20, 1 << 20, 0, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena;
        unsigned count = 0;

        arena_init(&arena, cases[i].limit);
        while (arena_alloc(&arena, cases[i].size) != NULL)
            count++;
        cr_expect(count >= cases[i].fit && count <= cases[i].most, "case %zu: %u", i, count);
        cr_expect(arena.held_bytes <= cases[i].limit, "case %zu holds %zu", i, arena.held_bytes);
        arena_clear(&arena);
    }
    arena_trim();
}

Test(arena, refuses_absurd_sizes, .timeout = 10)
{
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    cr_assert_null(arena_alloc(&arena, SIZE_MAX));
    cr_assert_null(arena_alloc(&arena, SIZE_MAX / 2 + 1));
    arena_clear(&arena);
}

Test(arena, small_goes_on_behind_big, .timeout = 10)
{
    struct arena arena;
    char *first, *big, *second;

    arena_init(&arena, 1 << 20);
    first = arena_alloc(&arena, 32);
    big = arena_alloc(&arena, 100000);
    second = arena_alloc(&arena, 32);
    cr_assert(first != NULL && big != NULL);
    cr_assert_eq(second, first + 32);
    memset(big, 1, 100000);
    arena_clear(&arena);
    arena_trim();
}

Test(arena, clears_and_zeroes, .timeout = 10)
{
    struct arena arena;
    unsigned char *memory;

    arena_init(&arena, 1 << 16);
    memory = arena_alloc(&arena, 5000);
    cr_assert_not_null(memory);
    memset(memory, 0xff, 5000);
    arena_clear(&arena);
    memory = arena_zalloc(&arena, 5000);
    cr_assert_not_null(memory);
    for (size_t i = 0; i < 5000; i++)
        cr_assert_eq(memory[i], 0);
    arena_clear(&arena);
    arena_trim();
}

Test(arena, copies_and_formats, .timeout = 10)
{
    struct arena arena;
    struct str copy, text;
    char in[400];

    arena_init(&arena, 1 << 16);
    copy = arena_copy(&arena, STR("a\0b"));
    cr_assert(str_equal(copy, STR("a\0b")) && copy.ptr[3] == '\0');
    cr_assert_null(arena_copy(&arena, NO_STR).ptr);
    copy = arena_copy(&arena, STR(""));
    cr_assert(copy.ptr != NULL && copy.len == 0);
    memset(in, 'x', sizeof(in) - 1);
    in[sizeof(in) - 1] = '\0';
    text = arena_format(&arena, "%d %s", 7, in);
    cr_assert_eq(text.len, 401);
    cr_assert_eq(text.ptr[401], '\0');
    cr_assert(str_is(arena_format(&arena, "%s", "short"), "short"));
    arena_clear(&arena);
    arena_init(&arena, 64);
    cr_assert_null(arena_format(&arena, "%s", in).ptr);
    arena_clear(&arena);
    arena_trim();
}

/* The same random appends and drops on a buffer and on plain memory. */
static void compare(struct arena *arena, size_t limit, unsigned seed)
{
    char *plain = malloc(limit);
    struct buffer buffer;
    size_t len = 0;

    buffer_init(&buffer, arena, limit);
    srand(seed);
    for (int step = 0; step < 400 && !buffer.failed; step++) {
        size_t add = (size_t)(rand() % 300);
        char bytes[300];

        memset(bytes, 'a' + rand() % 26, add);
        if (len + add <= limit)
            memcpy(plain + len, bytes, add);
        if (rand() % 8 == 0 && len > 0) {
            buffer_drop(&buffer, len / 2);
            memmove(plain, plain + len / 2, len - len / 2);
            len -= len / 2;
        } else if (len + add <= limit) {
            buffer_add(&buffer, bytes, add);
            len += add;
        } else {
            buffer_add(&buffer, bytes, add);
            cr_assert(buffer.failed);
        }
        if (arena != NULL && rand() % 4 == 0)
            cr_assert_not_null(arena_alloc(arena, 24));
        cr_assert(str_equal(buffer_str(&buffer), (struct str){plain, len}));
    }
    buffer_free(&buffer);
    cr_assert(buffer.len == 0 && !buffer.failed && buffer.limit_bytes == limit);
    free(plain);
}

Test(buffer, is_like_plain_memory, .timeout = 30)
{
    for (unsigned seed = 1; seed < 60; seed++) {
        struct arena arena;

        arena_init(&arena, 1 << 22);
        compare(NULL, 1000 * seed, seed);
        compare(&arena, 1000 * seed, seed);
        arena_clear(&arena);
    }
    arena_trim();
}

Test(buffer, fails_once_and_stays_failed, .timeout = 10)
{
    struct buffer buffer;

    buffer_init(&buffer, NULL, 10);
    buffer_add_text(&buffer, "12345678");
    buffer_add_text(&buffer, "abc");
    cr_assert(buffer.failed);
    buffer_add_char(&buffer, 'x');
    buffer_add_format(&buffer, "%d", 1);
    cr_assert_null(buffer_reserve(&buffer, 1));
    cr_assert(str_is(buffer_str(&buffer), "12345678"));
    buffer_free(&buffer);
    buffer_add_format(&buffer, "%s", "1234567890");
    cr_assert(!buffer.failed && buffer.len == 10);
    buffer_add_char(&buffer, 'x');
    cr_assert(buffer.failed && buffer.len == 10);
    buffer_free(&buffer);
}

Test(buffer, grows_in_place_in_an_arena, .timeout = 10)
{
    struct arena arena;
    struct buffer buffer;
    const char *before;

    arena_init(&arena, 1 << 20);
    buffer_init(&buffer, &arena, 1 << 20);
    buffer_add_text(&buffer, "x");
    before = buffer.data;
    for (int i = 0; i < 4000; i++)
        buffer_add_char(&buffer, 'y');
    cr_assert_eq(buffer.data, before);
    for (int i = 0; i < 500000; i++)
        buffer_add_char(&buffer, 'z');
    cr_assert(!buffer.failed);
    cr_assert(arena.held_bytes < 600000, "%zu", arena.held_bytes);
    arena_clear(&arena);
    arena_trim();
}

Test(buffer, takes_what_the_limit_of_the_arena_leaves, .timeout = 10)
{
    struct arena arena;
    struct buffer buffer;

    arena_init(&arena, 20000);
    buffer_init(&buffer, &arena, 1 << 20);
    for (int i = 0; i < 30000 && !buffer.failed; i++)
        buffer_add_char(&buffer, 'y');
    cr_assert(buffer.failed);
    cr_assert(buffer.len >= 8000 && arena.held_bytes <= 20000);
    arena_clear(&arena);
    arena_trim();
}

Test(buffer, gives_back_what_it_has_not_used, .timeout = 10)
{
    struct arena arena;
    struct buffer buffer;
    char *next;

    arena_init(&arena, 1 << 20);
    buffer_init(&buffer, &arena, SIZE_MAX);
    buffer_trim(&buffer);
    cr_assert_null(buffer.data);
    buffer_add_text(&buffer, "0123456789");
    buffer_trim(&buffer);
    next = arena_alloc(&arena, 1);
    cr_assert_eq(next, buffer.data + 16);
    /* Nothing is at the end any more; it may still grow, elsewhere. */
    buffer_trim(&buffer);
    buffer_add_text(&buffer, "abcdef0123456789");
    cr_assert(str_is(buffer_str(&buffer), "0123456789abcdef0123456789"));
    cr_assert_neq(buffer.data + 16, next);
    arena_clear(&arena);
}

Test(buffer, formats_long_text, .timeout = 10)
{
    struct buffer buffer;
    char in[1000];

    memset(in, 'q', sizeof(in) - 1);
    in[sizeof(in) - 1] = '\0';
    buffer_init(&buffer, NULL, 100000);
    buffer_add_format(&buffer, "<%s>", in);
    buffer_add_str(&buffer, STR("!"));
    buffer_add_str(&buffer, NO_STR);
    cr_assert_eq(buffer.len, 1002);
    cr_assert_eq(buffer.data[1001], '!');
    buffer_free(&buffer);
}

#ifdef SANITIZED
Test(arena, what_was_not_given_is_poisoned, .timeout = 10)
{
    struct arena arena;
    char *memory;

    arena_init(&arena, 1 << 16);
    memory = arena_alloc(&arena, 20);
    cr_assert(!__asan_address_is_poisoned(memory + 19));
    cr_assert(__asan_address_is_poisoned(memory + 20));
    cr_assert(__asan_address_is_poisoned(memory + 32));
    arena_clear(&arena);
    cr_assert(__asan_address_is_poisoned(memory));
    arena_trim();
}
#endif

/* One of each size, marked; `marks` are where they stand. */
static void fill(struct arena *arena, const size_t *sizes, size_t count, char **marks, char mark)
{
    for (size_t i = 0; i < count; i++) {
        marks[i] = arena_alloc(arena, sizes[i]);
        cr_assert_not_null(marks[i]);
        memset(marks[i], mark, sizes[i]);
    }
}

static void expect_marks(const size_t *sizes, size_t count, char *const *marks, char mark)
{
    for (size_t i = 0; i < count; i++)
        for (size_t at = 0; at < sizes[i]; at++)
            cr_assert_eq(marks[i][at], mark, "allocation %zu, byte %zu", i, at);
}

Test(arena, joins, .timeout = 10)
{
    static const size_t sizes[] = {1, 100, 100000, 5000, 20000, 16};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };

    for (size_t mine = 0; mine <= COUNT; mine++) {
        for (size_t theirs = 0; theirs <= COUNT; theirs++) {
            struct arena to, from;
            char *to_marks[COUNT], *from_marks[COUNT], *later[COUNT];
            size_t held;

            arena_init(&to, 1 << 20);
            arena_init(&from, 2 << 20);
            fill(&to, sizes, mine, to_marks, 't');
            fill(&from, sizes, theirs, from_marks, 'f');
            held = to.held_bytes + from.held_bytes;
            arena_join(&to, &from);
            cr_expect_eq(to.held_bytes, held);
            cr_expect_eq(to.limit_bytes, 1 << 20);
            cr_expect_eq(from.held_bytes, 0);
            fill(&from, sizes, COUNT, later, 'x');
            fill(&to, sizes, COUNT, later, 'l');
            arena_clear(&from);
            expect_marks(sizes, mine, to_marks, 't');
            expect_marks(sizes, theirs, from_marks, 'f');
            expect_marks(sizes, COUNT, later, 'l');
            arena_clear(&to);
            cr_expect_eq(to.held_bytes, 0);
        }
    }
    arena_trim();
}

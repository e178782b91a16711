/* Scopes of a call: work in parts that does not pile up. */
#include "call.h"
#include <criterion/criterion.h>

enum { LIMIT = 1 << 20, PART = 100 * 1000 };

static struct call call;
static char trace[64]; /* which ends ran, in their order */

static void open_call(void)
{
    contract_open();
    call_init(&call, &methods[METHOD_user_session], LIMIT);
    trace[0] = '\0';
}

static void close_call(void)
{
    call_close(&call);
    arena_trim();
}

TestSuite(call, .init = open_call, .fini = close_call, .timeout = 10);

static void note(void *arg)
{
    strcat(trace, arg);
}

static void end_with(const char *name)
{
    cr_assert_eq(call_on_end(&call, note, (void *)(uintptr_t)name), 0);
}

Test(call, ends_run_in_reverse_when_it_ends)
{
    end_with("a");
    end_with("b");
    call_close(&call);
    cr_expect_str_eq(trace, "ba");
    call_close(&call);
    cr_expect_str_eq(trace, "ba");
}

Test(call, the_next_scope_gives_back_what_the_last_took)
{
    end_with("a");
    cr_assert_not_null(arena_alloc(&call.arena, PART));
    for (int i = 0; i < 100; i++) {
        call_scope_next(&call);
        cr_assert_not_null(arena_alloc(&call.arena, PART), "scope %d", i);
        end_with("s");
        trace[0] = '\0';
    }
    call_scope_next(&call);
    cr_expect_str_eq(trace, "s");
    end_with("t");
    call_close(&call);
    cr_expect_str_eq(trace, "sta");
}

Test(call, what_was_there_before_a_scope_stays)
{
    struct str before = arena_copy(&call.arena, STR("before"));

    call_scope_next(&call);
    cr_assert_not_null(arena_alloc(&call.arena, PART));
    call_scope_next(&call);
    cr_expect(str_is(before, "before"));
}

Test(call, what_lasts_outlives_scopes)
{
    struct str text;

    cr_expect_eq(call_lasting(&call), &call.arena);
    call_scope_next(&call);
    text = arena_copy(call_lasting(&call), STR("text"));
    call_scope_next(&call);
    cr_assert_not_null(memset(arena_alloc(&call.arena, 64), 'x', 64));
    cr_expect(str_is(text, "text"));
    call_scope_keep(&call);
    cr_expect(str_is(text, "text"));
    cr_expect_eq(call_lasting(&call), &call.arena);
}

Test(call, a_kept_scope_is_the_calls)
{
    struct str text;

    end_with("a");
    call_scope_next(&call);
    text = arena_copy(&call.arena, STR("text"));
    end_with("s");
    call_scope_keep(&call);
    call_scope_keep(&call);
    cr_expect_str_eq(trace, "");
    end_with("b");
    call_scope_next(&call);
    cr_expect(str_is(text, "text"));
    cr_expect_str_eq(trace, "");
    call_close(&call);
    cr_expect_str_eq(trace, "bsa");
}

Test(call, an_empty_scope)
{
    end_with("a");
    call_scope_next(&call);
    call_scope_next(&call);
    call_scope_keep(&call);
    cr_assert_not_null(arena_alloc(&call.arena, 1));
    call_close(&call);
    cr_expect_str_eq(trace, "a");
}

Test(call, scopes_keep_the_calls_limit)
{
    size_t parts = 0;

    cr_assert_not_null(arena_alloc(&call.arena, LIMIT / 2));
    call_scope_next(&call);
    while (arena_alloc(&call.arena, PART) != NULL)
        parts++;
    cr_expect(parts <= LIMIT / 2 / PART, "%zu", parts);
    call_scope_keep(&call);
    cr_expect(call.arena.held_bytes <= LIMIT);
}

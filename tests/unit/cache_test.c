/* The gateway's cache: what is found, what goes, what stays while it is held. */
#include "cache.h"
#include <criterion/criterion.h>
#include <stdio.h>

static struct cache *cache;

static void open_cache(void)
{
    cache = cache_new(64 * 1024);
    cr_assert_not_null(cache);
}

static void close_cache(void)
{
    cache_free(&cache);
}

TestSuite(cache, .init = open_cache, .fini = close_cache, .timeout = 30);

static void store(unsigned key, struct str input, struct str body)
{
    struct cached answer = {.validator = STR("WEB-1"), .body = body, .checked_us = 7};

    cache_store(cache, key, input, &answer);
}

static bool has(unsigned key, struct str input)
{
    struct cached *cached = cache_hold(cache, key, input);

    cache_release(cache, cached);
    return cached != NULL;
}

Test(cache, an_answer_is_found_by_message_and_input)
{
    struct cached *cached;

    store(1, STR("a"), STR("answer"));
    cr_assert(has(1, STR("a")));
    cr_assert_not(has(2, STR("a")));
    cr_assert_not(has(1, STR("b")));
    cr_assert_not(has(1, STR("")));
    cached = cache_hold(cache, 1, STR("a"));
    cr_assert(str_is(cached->body, "answer"));
    cr_assert(str_is(cached->validator, "WEB-1"));
    cr_assert_eq(cached->checked_us, 7);
    cache_release(cache, cached);
}

Test(cache, a_newer_answer_replaces_an_older_one)
{
    struct cached *older, *newer;

    store(1, STR("a"), STR("older"));
    older = cache_hold(cache, 1, STR("a"));
    store(1, STR("a"), STR("newer"));
    newer = cache_hold(cache, 1, STR("a"));
    cr_assert(str_is(older->body, "older"), "it stays whole for who holds it");
    cr_assert(str_is(newer->body, "newer"));
    cache_release(cache, older);
    cache_release(cache, newer);
}

Test(cache, what_is_longest_unused_goes_first)
{
    static char body[1000];
    char input[16];

    store(1, STR("kept"), (struct str){body, sizeof(body)});
    for (int i = 0; i < 1000; i++) {
        snprintf(input, sizeof(input), "%d", i);
        store(1, str_of(input), (struct str){body, sizeof(body)});
        cr_assert(has(1, STR("kept")), "it was used after %d", i);
        cr_assert_leq(cache_bytes(cache), 64 * 1024);
    }
    cr_assert_not(has(1, STR("0")));
    cr_assert(has(1, STR("999")));
}

Test(cache, what_is_held_stays_whole_when_it_goes)
{
    static char body[1000];
    struct cached *held;
    char input[16];

    store(1, STR("held"), STR("body"));
    held = cache_hold(cache, 1, STR("held"));
    for (int i = 0; i < 200; i++) {
        snprintf(input, sizeof(input), "%d", i);
        store(1, str_of(input), (struct str){body, sizeof(body)});
    }
    cr_assert_not(has(1, STR("held")));
    cr_assert(str_is(held->body, "body"));
    cache_forget(cache, held);
    cache_release(cache, held);
}

Test(cache, what_does_not_hold_is_forgotten)
{
    struct cached *cached;

    store(1, STR("a"), STR("answer"));
    cached = cache_hold(cache, 1, STR("a"));
    cache_forget(cache, cached);
    cr_assert_not(has(1, STR("a")));
    cr_assert_eq(cache_bytes(cache), 0);
    cache_release(cache, cached);
}

Test(cache, one_answer_does_not_push_out_all_others)
{
    static char body[16 * 1024];

    store(1, STR("small"), STR("answer"));
    store(1, STR("large"), (struct str){body, sizeof(body)});
    cr_assert(has(1, STR("small")));
    cr_assert_not(has(1, STR("large")));
}

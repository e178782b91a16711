/* Windows, their bounds, and who is known. */
#include "base/time.h"
#include "guard.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW TIME_S(1200000030)

static struct guard *guard;

static void open_guard(void)
{
    guard = guard_new();
    cr_assert_not_null(guard);
}

static void close_guard(void)
{
    guard_free(guard);
}

TestSuite(guard, .init = open_guard, .fini = close_guard, .timeout = 20);

static uint64_t address_key(const char *text)
{
    struct in6_addr address;

    cr_assert_eq(inet_pton(AF_INET6, text, &address), 1);
    return guard_address_key(guard, GUARD_WRITE, &address);
}

Test(guard, a_window_of_a_minute)
{
    uint64_t key = address_key("::ffff:10.0.0.1");
    struct common_rate left;

    for (int i = 2; i >= 0; i--) {
        cr_assert(guard_take(guard, key, 3, NOW, &left));
        cr_assert_eq(left.limit, 3);
        cr_assert_eq(left.remaining, i);
        cr_assert_eq(left.reset, 1200000060);
    }
    cr_assert_not(guard_take(guard, key, 3, NOW + TIME_S(29), &left));
    cr_assert_eq(left.remaining, 0);
    cr_assert(guard_take(guard, key, 3, NOW + TIME_S(30), &left));
    cr_assert_eq(left.remaining, 2);
    cr_assert_eq(left.reset, 1200000120);
}

Test(guard, a_changed_limit_holds_at_once)
{
    uint64_t key = address_key("::ffff:10.0.0.1");
    struct common_rate left;

    cr_assert(guard_take(guard, key, 3, NOW, &left));
    cr_assert(guard_take(guard, key, 3, NOW, &left));
    cr_assert_not(guard_take(guard, key, 2, NOW, &left));
    cr_assert(guard_take(guard, key, 0, NOW, &left), "0 is no limit");
}

Test(guard, keys_differ)
{
    struct in6_addr address = {.s6_addr = {1}};
    struct str user = STR("0f8fad5b-d9cb-469f-a165-70867728950e");
    struct str other = STR("0f8fad5b-d9cb-469f-a165-70867728950f");

    cr_assert_neq(guard_user_key(guard, GUARD_WRITE, user),
                  guard_user_key(guard, GUARD_WRITE, other));
    cr_assert_neq(guard_user_key(guard, GUARD_WRITE, user),
                  guard_user_key(guard, GUARD_NEW_USER, user));
    cr_assert_neq(guard_address_key(guard, GUARD_WRITE, &address),
                  guard_address_key(guard, GUARD_NEW_USER, &address));
    cr_assert_neq(address_key("::ffff:10.0.0.1"), address_key("::ffff:10.0.0.2"));
    cr_assert_eq(address_key("2001:db8::1"), address_key("2001:db8::ffff:2"), "one client's /64");
    cr_assert_neq(address_key("2001:db8::1"), address_key("2001:db8:0:1::1"));
}

/* Crowding never gives anybody a fresh window: whoever is at the limit stays there. */
Test(guard, crowding_gains_nothing)
{
    uint64_t key = address_key("::ffff:10.0.0.1");
    struct common_rate left;
    int allowed = 0;

    for (int i = 0; i < 5; i++)
        cr_assert(guard_take(guard, key, 5, NOW, &left));
    for (unsigned i = 0; i < 400000; i++) {
        struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

        memcpy(&address.s6_addr[12], &i, sizeof(i));
        allowed +=
            guard_take(guard, guard_address_key(guard, GUARD_WRITE, &address), 5, NOW, &left);
        if (i % 1000 == 0)
            cr_assert_not(guard_take(guard, key, 5, NOW, &left));
    }
    cr_assert_leq(allowed, 4096 * 8 * 5, "as many as the windows can hold");
    cr_assert_geq(allowed, 4096 * 8);
}

Test(guard, who_is_known)
{
    struct str user = STR("0f8fad5b-d9cb-469f-a165-70867728950e");
    int known = 0;

    cr_assert_not(guard_knows(guard, user));
    guard_know(guard, user);
    guard_know(guard, user);
    cr_assert(guard_knows(guard, user));
    cr_assert_not(guard_knows(guard, STR("0f8fad5b-d9cb-469f-a165-708677289500")));
    for (int i = 0; i < 100000; i++) {
        char text[40];
        struct str name = {text, (size_t)snprintf(text, sizeof(text), "%036d", i)};

        guard_know(guard, name);
        known += guard_knows(guard, name);
    }
    cr_assert_eq(known, 100000, "the newest is never forgotten for itself");
}

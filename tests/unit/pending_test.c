/* Ids that are never used twice. */
#include "pending.h"
#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(pending, .timeout = 20);

Test(pending, a_place_is_found_until_it_ends)
{
    struct pending *pending = pending_new(2);
    int a, b;
    int64_t first = pending_add(pending, &a), second = pending_add(pending, &b);

    cr_assert(first > 0 && second > 0 && first != second);
    cr_assert_eq(pending_add(pending, &a), 0, "it is full");
    cr_assert_eq(pending_count(pending), 2);
    cr_assert_eq(pending_find(pending, first), &a);
    cr_assert_eq(pending_find(pending, second), &b);
    pending_remove(pending, first);
    cr_assert_null(pending_find(pending, first));
    cr_assert_neq(pending_add(pending, &b), first);
    cr_assert_null(pending_find(pending, first));
    pending_free(pending);
}

Test(pending, any_number_may_come)
{
    struct pending *pending = pending_new(3);
    int who;
    int64_t id = pending_add(pending, &who);
    const int64_t wrong[] = {0,      -1,           1,           INT64_MIN, INT64_MAX,
                             id + 1, id + 0x10000, id ^ 0xffff, -id,       id | INT64_MIN};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        cr_expect_null(pending_find(pending, wrong[i]), "%lld", (long long)wrong[i]);
    pending_free(pending);
}

/* Against a plain list of who is in. */
Test(pending, at_random)
{
    enum { PLACES = 64, ROUNDS = 100000 };
    struct pending *pending = pending_new(PLACES);
    int64_t ids[PLACES] = {0}, old = 0;
    char whos[PLACES];

    srand(7);
    for (int i = 0; i < ROUNDS; i++) {
        int at = rand() % PLACES;

        if (ids[at] == 0) {
            ids[at] = pending_add(pending, &whos[at]);
            cr_assert_neq(ids[at], 0);
            cr_assert_neq(ids[at], old);
        } else {
            cr_assert_eq(pending_find(pending, ids[at]), &whos[at]);
            pending_remove(pending, ids[at]);
            old = ids[at];
            ids[at] = 0;
        }
        cr_assert_null(pending_find(pending, old));
    }
    pending_free(pending);
}

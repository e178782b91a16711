#include "migrate_internal.h"

#include <criterion/criterion.h>

static void splits(const char *sql, const char *const *expected, int count)
{
    struct str rest = str_of(sql), statement;
    int got = 0;

    while ((statement = sql_next(&rest)).ptr != NULL) {
        cr_assert_lt(got, count, "more than %d in: %s", count, sql);
        cr_assert(str_is(statement, expected[got]), "%.*s", STR_ARG(statement));
        got++;
    }
    cr_assert_eq(got, count, "%d of %d in: %s", got, count, sql);
}

#define SPLITS(sql, ...)                                                                           \
    splits(sql, (const char *const[]){__VA_ARGS__},                                                \
           (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

Test(sql_split, at_semicolons_that_end_something)
{
    SPLITS("a; b", "a", "b");
    SPLITS(" ;; a ;\n\n; b;\n", "a ", "b");
    SPLITS("-- c; d\na -- e;\n f; -- g\n", "a -- e;\n f");
    SPLITS("select ';', \"x;y\", 'it''s;'; b", "select ';', \"x;y\", 'it''s;'", "b");
    SPLITS("do $$ a; b $$; c", "do $$ a; b $$", "c");
    SPLITS("do $x$ $$;$y$; $x$; c", "do $x$ $$;$y$; $x$", "c");
    SPLITS("a /* ; */ b; c", "a /* ; */ b", "c");
    SPLITS("select $1; c", "select $1", "c");
}

Test(sql_split, what_is_not_closed_goes_to_the_end)
{
    SPLITS("a 'b; c", "a 'b; c");
    SPLITS("a $$ b; c", "a $$ b; c");
    SPLITS("a /* b; c", "a /* b; c");
    SPLITS("a $", "a $");
    splits("", NULL, 0);
    splits("-- nothing", NULL, 0);
}

Test(sql_split, head_of_a_file)
{
    cr_assert(sql_without_transaction(STR("-- no transaction\ncreate")));
    cr_assert_not(sql_without_transaction(STR("-- no transactions\n")));
    cr_assert_not(sql_without_transaction(STR("")));
}

#include "url.h"

#include <criterion/criterion.h>

Test(url, spellings)
{
    static const struct {
        const char *url, *expected; /* NULL: refused */
    } cases[] = {
        {NULL, ""},
        {"", ""},
        {"postgresql://u@h/d", "postgresql://u@h/d"},
        {"postgres://u@h/d", "postgresql://u@h/d"},
        {"postgresql+asyncpg://u:p%40@h:1/d?host=/tmp/a", "postgresql://u:p%40@h:1/d?host=/tmp/a"},
        {"postgresql+psycopg2://h/d", "postgresql://h/d"},
        {"host=/tmp dbname=d", "host=/tmp dbname=d"},
        {"host=h options=a://b", "host=h options=a://b"},
        {"mysql://h/d", NULL},
        {"sqlite+aiosqlite:///x.db", NULL},
        {"://", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char out[DATABASE_URL_MAX];
        int result = database_url_normalize(cases[i].url, out, sizeof(out));

        cr_assert_eq(result, cases[i].expected != NULL ? 0 : -1, "case %zu", i);
        if (cases[i].expected != NULL)
            cr_assert_str_eq(out, cases[i].expected);
    }
}

Test(url, one_that_does_not_fit_is_refused)
{
    char out[20];

    cr_assert_eq(database_url_normalize("postgresql://host12", out, sizeof(out)), 0);
    cr_assert_eq(database_url_normalize("postgresql://host123", out, sizeof(out)), -1);
    cr_assert_eq(database_url_normalize("postgres://host12345", out, sizeof(out)), -1);
    cr_assert_eq(database_url_normalize("host=a dbname=12345678", out, sizeof(out)), -1);
}

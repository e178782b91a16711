/* Arrays as parameters, as PostgreSQL reads them. */
#include "actors/caller.h"
#include "arrays.h"
#include "oid.h"
#include <criterion/criterion.h>

TestSuite(arrays, .timeout = 60);

STATEMENT(arrays_texts,
          "select count(*) as found, $1::text as shown, array_ndims($1) is null as empty,"
          "       string_agg(coalesce(word, '-'), '|' order by n) as words"
          "  from unnest($1) with ordinality as given (word, n)");
STATEMENT(arrays_columns,
          "select string_agg(concat_ws(' ', word, at at time zone 'UTC', truth, number), '|'"
          "                  order by n) as lines"
          "  from unnest($1, $2, $3, $4) with ordinality as given (word, at, truth, number, n)");
STATEMENT(arrays_sum,
          "select sum(length(word)) as chars, count(*) as found from unnest($1) as word");

enum { MOST = 1 << 20, MANY = 100000 };

static int with(struct call *call, const struct statement *statement, struct params params,
                struct rows *rows)
{
    cr_assert_eq(db_query(call, statement, params, rows), 0, "%s", call->failure.text);
    return 0;
}

static int texts(struct call *call, void *arg)
{
    struct array words;
    struct rows rows;

    (void)arg;
    array_init(&words, ARRAY_text, MOST);
    with(call, &arrays_texts, PARAMS(p_array(&words)), &rows);
    cr_expect_eq(row_i64(&rows, 0, "found"), 0);
    cr_expect(row_bool(&rows, 0, "empty"));
    array_add_str(&words, STR("a"));
    array_add_str(&words, STR(""));
    with(call, &arrays_texts, PARAMS(p_array(&words)), &rows);
    cr_expect(str_is(row_str(&rows, 0, "shown"), "{a,\"\"}"));
    array_add_str(&words, NO_STR);
    array_add_str(&words, STR("\xCE\xBB{},\"NULL\" '\\"));
    with(call, &arrays_texts, PARAMS(p_array(&words)), &rows);
    cr_expect_eq(row_i64(&rows, 0, "found"), 4);
    cr_expect(str_is(row_str(&rows, 0, "words"), "a||-|\xCE\xBB{},\"NULL\" '\\"));
    array_free(&words);
    return 0;
}

/* Each type, with nulls where there can be some, one beside the other. */
static int columns(struct call *call, void *arg)
{
    struct array words, times, truths, numbers;
    struct rows rows;

    (void)arg;
    array_init(&words, ARRAY_text, MOST);
    array_init(&times, ARRAY_time, MOST);
    array_init(&truths, ARRAY_boolean, MOST);
    array_init(&numbers, ARRAY_i32, MOST);
    array_add_str(&words, STR("one"));
    array_add_time(&times, 1);
    array_add_bool(&truths, true);
    array_add_i32(&numbers, INT32_MAX);
    array_add_str(&words, NO_STR);
    array_add_time(&times, INT_ABSENT);
    array_add_bool(&truths, false);
    array_add_i32(&numbers, INT32_MIN);
    array_add_str(&words, STR("three"));
    array_add_time(&times, TIME_LAST);
    with(call, &arrays_columns,
         PARAMS(p_array(&words), p_array(&times), p_array(&truths), p_array(&numbers)), &rows);
    cr_expect(str_is(row_str(&rows, 0, "lines"), "one 1970-01-01 00:00:00.000001 t 2147483647"
                                                 "|f -2147483648|three infinity"),
              "%.*s", STR_ARG(row_str(&rows, 0, "lines")));
    array_free(&words);
    array_free(&times);
    array_free(&truths);
    array_free(&numbers);
    return 0;
}

static int many(struct call *call, void *arg)
{
    struct array words;
    struct rows rows;

    (void)arg;
    array_init(&words, ARRAY_text, 1 << 24);
    for (int i = 0; i < MANY; i++)
        array_add_str(&words, STR("0123456789"));
    cr_assert(!array_failed(&words));
    with(call, &arrays_sum, PARAMS(p_array(&words)), &rows);
    cr_expect_eq(row_i64(&rows, 0, "chars"), 10 * MANY);
    cr_expect_eq(row_i64(&rows, 0, "found"), MANY);
    array_free(&words);
    return 0;
}

static void run(int (*handler)(struct call *, void *))
{
    struct pool_config config = caller_config(postgres_database());
    struct task task = {.kind = KIND_read, .handler = handler};

    caller_open(&config, true);
    caller_run(&task);
    cr_expect_eq(task.result, 0, "%s", task.failure.text);
    caller_close();
}

Test(arrays, texts_and_nulls)
{
    run(texts);
}

Test(arrays, one_of_each_type)
{
    run(columns);
}

Test(arrays, many_values)
{
    run(many);
}

Test(arrays, what_does_not_fit_is_told)
{
    struct array words;

    array_init(&words, ARRAY_text, 40);
    array_add_str(&words, STR("0123456789"));
    cr_expect(!array_failed(&words));
    array_add_str(&words, STR("0123456789"));
    cr_expect(array_failed(&words));
    array_free(&words);
}

Test(arrays, what_is_freed_may_be_freed_again)
{
    struct array none = {0}, used;

    array_free(&none);
    array_init(&used, ARRAY_i32, MOST);
    array_free(&used);
    array_free(&used);
    array_init(&used, ARRAY_i32, MOST);
    array_add_i32(&used, 1);
    cr_expect_eq(p_array(&used).type, OID_int4_array);
    cr_expect_eq(p_array(&used).value.len, 28);
    array_free(&used);
}

/* Columns and parameters: what goes in and comes out, in binary. */
#include "actors/caller.h"
#include <criterion/criterion.h>
#include <inttypes.h>

TestSuite(rows, .timeout = 60);

STATEMENT(rows_types,
          "select 7::int2 as two, -8::int4 as four, 9000000000::int8 as eight, true as truth,"
          " 'Gott'::text as words, 'abc'::varchar(10) as varied, '{\"a\": 1}'::json as js,"
          " '{\"b\": 2}'::jsonb as jsb, '\\x0102'::bytea as bytes,"
          " '2026-01-31 09:05:00.123456+00'::timestamptz as moment,"
          " 'infinity'::timestamptz as never, '-infinity'::timestamptz as ever,"
          " null::int4 as no_number, null::text as no_text, null::timestamptz as no_time,"
          " null::bool as no_truth, ''::text as empty");

STATEMENT(rows_echo, "select $1::text as t, $2::int4 as i, $3::int8 as l, $4::bool as b,"
                     " $5::timestamptz as w, $6::jsonb as j, $6::jsonb ->> 'k' as k");

STATEMENT(rows_many, "select n::int8 as id, 'name ' || n as name, case when n % 2 = 0 then now()"
                     " end as made_at, n % 3 = 0 as third, '\\x93010203'::bytea as parts"
                     " from generate_series(1, $1) n");

struct thing {
    int64_t id;
    struct str name;
    int64_t made_at;
    bool third;
    struct str parts;
    int64_t untouched;
};

#define THING_FIELD(member, kind)                                                                  \
    {                                                                                              \
        NAMED(#member), .type = TYPE_##kind, .offset = offsetof(struct thing, member)              \
    }
static const struct field thing_fields[] = {
    THING_FIELD(id, id),         THING_FIELD(name, str),  THING_FIELD(made_at, time),
    THING_FIELD(third, boolean), THING_FIELD(parts, any), THING_FIELD(untouched, integer)};
static const struct record thing_record = {.name = "thing",
                                           .fields = thing_fields,
                                           .count = sizeof(thing_fields) / sizeof(thing_fields[0]),
                                           .size_bytes = sizeof(struct thing)};

static void run(int (*handler)(struct call *call, void *arg), bool names)
{
    struct pool_config config = caller_config(postgres_empty_database());
    struct task task = {.kind = KIND_read, .handler = handler};

    config.statement_names = names;
    caller_open(&config, true);
    caller_run(&task);
    cr_expect_eq(task.result, 0, "%s", task.failure.text);
    caller_close();
}

static int read_types(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    if (db_query(call, &rows_types, NO_PARAMS, &rows) != 0)
        return -1;
    cr_expect_eq(rows.count, 1);
    cr_expect_eq(row_i64(&rows, 0, "two"), 7);
    cr_expect_eq(row_i64(&rows, 0, "four"), -8);
    cr_expect_eq(row_i64(&rows, 0, "eight"), INT64_C(9000000000));
    cr_expect(row_bool(&rows, 0, "truth"));
    cr_expect(str_is(row_str(&rows, 0, "words"), "Gott"));
    cr_expect(str_is(row_str(&rows, 0, "varied"), "abc"));
    cr_expect(str_is(row_str(&rows, 0, "js"), "{\"a\": 1}"));
    cr_expect(str_is(row_str(&rows, 0, "jsb"), "{\"b\": 2}"));
    cr_expect(str_is(row_str(&rows, 0, "bytes"), "\x01\x02"));
    cr_expect_eq(row_time(&rows, 0, "moment"), INT64_C(1769850300123456));
    cr_expect_eq(row_time(&rows, 0, "never"), INT64_MAX);
    cr_expect_eq(row_time(&rows, 0, "ever"), INT_ABSENT);
    cr_expect(row_is_null(&rows, 0, "no_number"));
    cr_expect_not(row_is_null(&rows, 0, "empty"));
    cr_expect_eq(row_i64(&rows, 0, "no_number"), INT_ABSENT);
    cr_expect_null(row_str(&rows, 0, "no_text").ptr);
    cr_expect_eq(row_time(&rows, 0, "no_time"), INT_ABSENT);
    cr_expect_not(row_bool(&rows, 0, "no_truth"));
    cr_expect_not_null(row_str(&rows, 0, "empty").ptr);
    cr_expect_eq(row_str(&rows, 0, "empty").len, 0);
    return 0;
}

Test(rows, every_type_is_read)
{
    run(read_types, true);
}

static int echo(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    if (db_query(call, &rows_echo,
                 PARAMS(p_str(STR("Übel")), p_i32(-3), p_i64(INT64_MAX), p_bool(true),
                        p_time(INT64_C(1769850300123456)), p_json(STR("{\"k\": \"v\"}"))),
                 &rows) != 0)
        return -1;
    cr_expect(str_is(row_str(&rows, 0, "t"), "Übel"));
    cr_expect_eq(row_i64(&rows, 0, "i"), -3);
    cr_expect_eq(row_i64(&rows, 0, "l"), INT64_MAX);
    cr_expect(row_bool(&rows, 0, "b"));
    cr_expect_eq(row_time(&rows, 0, "w"), INT64_C(1769850300123456));
    cr_expect(str_is(row_str(&rows, 0, "j"), "{\"k\": \"v\"}"));
    cr_expect(str_is(row_str(&rows, 0, "k"), "v"));
    if (db_query(call, &rows_echo,
                 PARAMS(p_str(NO_STR), p_i32(INT32_MIN), p_i64(INT_ABSENT), p_bool(false),
                        p_time(INT_ABSENT), p_json(NO_STR)),
                 &rows) != 0)
        return -1;
    cr_expect(row_is_null(&rows, 0, "t"));
    cr_expect_eq(row_i64(&rows, 0, "i"), INT32_MIN);
    cr_expect(row_is_null(&rows, 0, "l"));
    cr_expect_not(row_is_null(&rows, 0, "b"));
    cr_expect(row_is_null(&rows, 0, "w"));
    cr_expect(row_is_null(&rows, 0, "j"));
    return 0;
}

Test(rows, parameters_come_back)
{
    run(echo, true);
}

Test(rows, parameters_come_back_without_names)
{
    run(echo, false);
}

static int fill(struct call *call, void *arg)
{
    struct thing *things, one = {.untouched = 42};
    struct rows rows;

    (void)arg;
    if (db_query(call, &rows_many, PARAMS(p_i32(1000)), &rows) != 0)
        return -1;
    things = rows_fill(call, &rows, &thing_record);
    cr_assert_not_null(things);
    cr_expect_eq(rows.count, 1000);
    for (int64_t i = 0; i < 1000; i++) {
        char name[32];

        snprintf(name, sizeof(name), "name %" PRId64, i + 1);
        cr_assert_eq(things[i].id, i + 1);
        cr_assert(str_is(things[i].name, name));
        cr_assert_eq(things[i].made_at == INT_ABSENT, i % 2 == 0);
        cr_assert_eq(things[i].third, (i + 1) % 3 == 0);
        cr_assert(str_is(things[i].parts, "\x93\x01\x02\x03"));
        cr_assert_eq(things[i].untouched, 0);
    }
    row_fill(&rows, 5, &thing_record, &one);
    cr_expect_eq(one.id, 6);
    cr_expect_eq(one.untouched, 42, "a member without a column is left alone");
    return 0;
}

Test(rows, structs_are_filled)
{
    run(fill, true);
}

static int fill_nothing(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    if (db_query(call, &rows_many, PARAMS(p_i32(0)), &rows) != 0)
        return -1;
    cr_expect_eq(rows.count, 0);
    cr_expect_not_null(rows_fill(call, &rows, &thing_record));
    return 0;
}

Test(rows, no_rows_are_no_failure)
{
    run(fill_nothing, true);
}

static int fill_too_many(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    if (db_query(call, &rows_many, PARAMS(p_i32(200000)), &rows) != 0)
        return -1;
    cr_expect_null(rows_fill(call, &rows, &thing_record));
    cr_expect_str_eq(call->failure.fault->name, "busy");
    return 0;
}

Test(rows, an_arena_that_is_full_is_busy)
{
    run(fill_too_many, true);
}

/* Failures: the first cause wins, and nothing is written past the text. */
#include "base/fail.h"
#include <criterion/criterion.h>

static const struct fault fault_first = {.name = "first", .status = 404, .text = "First"};
static const struct fault fault_second = {.name = "second", .status = 500, .text = "Second"};

struct holder {
    int other;
    struct failure failure;
};

Test(fail, first_cause_wins, .timeout = 10)
{
    struct holder holder = {.other = 1};
    int line = __LINE__ + 2;

    cr_assert_eq(fail(&holder, first, "chat %d", 7), -1);
    cr_assert_eq(fail(&holder, second, "later"), -1);
    cr_assert(failed_with(&holder.failure, &fault_first));
    cr_assert(!failed_with(&holder.failure, &fault_second));
    cr_assert_str_eq(holder.failure.text, "chat 7");
    cr_assert_eq(holder.failure.line, line);
    cr_assert_not_null(strstr(holder.failure.file, "fail_test.c"));
}

Test(fail, long_text_is_cut, .timeout = 10)
{
    struct holder holder = {.other = 1};
    char in[1000];

    memset(in, 'x', sizeof(in) - 1);
    in[sizeof(in) - 1] = '\0';
    cr_assert_eq(fail(&holder, first, "%s", in), -1);
    cr_assert_eq(strlen(holder.failure.text), sizeof(holder.failure.text) - 1);
}

Test(fail, cleared_it_takes_another, .timeout = 10)
{
    struct holder holder = {.other = 1};

    cr_assert_eq(fail(&holder, first, "one"), -1);
    failure_clear(&holder.failure);
    cr_assert(holder.failure.fault == NULL && holder.failure.text[0] == '\0');
    cr_assert_eq(fail(&holder, second, "two"), -1);
    cr_assert(failed_with(&holder.failure, &fault_second));
}

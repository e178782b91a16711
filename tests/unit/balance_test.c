/* Choosing among instances that are only made up: the rules, without sockets that answer. */
#include "balance.h"
#include "base/fail.h"
#include "base/loop.h"
#include "base/stat.h"
#include "contract.h"
#include <criterion/criterion.h>
#include <stdio.h>

/* The domains of which there is no actor here, as JSON. */
#define OTHERS "\"bible\",\"insight\",\"definition\",\"chat\",\"device_link\""

static struct balance *balance;
static struct instance *instances[3];

/* Three actors that nobody is behind. The first choice of each tells which object it is. */
static void open_world(void)
{
    struct balance_config config = {.where = "user=tcp://127.0.0.1:9,user=tcp://127.0.0.2:9,"
                                             "user=tcp://127.0.0.3:9",
                                    .calls = 16,
                                    .calls_each = 4,
                                    .bytes_each = 1000};

    contract_open();
    loop_open(0);
    link_open();
    balance = balance_open(&config);
}

static void close_world(void)
{
    balance_close(balance);
    loop_close();
    link_shut();
    stat_close();
}

TestSuite(balance, .init = open_world, .fini = close_world, .timeout = 20);

static struct instance *choose(struct str affinity, size_t bytes, enum choice wanted)
{
    struct instance *instance = NULL;

    cr_assert_eq(balance_choose(balance, "user", affinity, bytes, &instance), wanted);
    return instance;
}

static void bring_up(void)
{
    struct instance *at = balance_first(balance, "user");

    for (int i = 0; i < 3; i++, at = at->next) {
        at->connected = at->ready = true;
        at->silent = false;
        instances[i] = at;
    }
    cr_assert_null(at);
}

Test(balance, nobody_is_there)
{
    struct buffer list;

    choose(NO_STR, 10, CHOICE_ABSENT);
    buffer_init(&list, NULL, 1000);
    cr_assert_not(balance_ready(balance, &list));
    cr_assert(str_is(buffer_str(&list), "[\"user\"," OTHERS "]"));
    buffer_free(&list);
    cr_assert_eq(balance_live(balance, "user"), 0);
}

Test(balance, equals_take_turns)
{
    unsigned counts[3] = {0, 0, 0};

    bring_up();
    cr_assert_eq(balance_live(balance, "user"), 3);
    for (int i = 0; i < 300; i++) {
        struct instance *chosen = choose(NO_STR, 10, CHOICE_MADE);

        for (int at = 0; at < 3; at++)
            counts[at] += chosen == instances[at];
    }
    for (int at = 0; at < 3; at++)
        cr_expect_eq(counts[at], 100);
}

Test(balance, fewest_outstanding_first)
{
    bring_up();
    instances[0]->calls = 2;
    instances[1]->calls = 1;
    instances[2]->calls = 3;
    for (int i = 0; i < 10; i++)
        cr_assert_eq(choose(NO_STR, 10, CHOICE_MADE), instances[1]);
    instances[1]->leaving = true;
    cr_assert_eq(choose(NO_STR, 10, CHOICE_MADE), instances[0]);
    instances[0]->silent = true;
    cr_assert_eq(choose(NO_STR, 10, CHOICE_MADE), instances[2]);
    instances[2]->ready = false;
    cr_assert_eq(choose(NO_STR, 10, CHOICE_MADE), instances[2], "there is no other");
    instances[0]->silent = false;
    cr_assert_eq(choose(NO_STR, 10, CHOICE_MADE), instances[0]);
    for (int i = 0; i < 3; i++)
        instances[i]->calls = 0;
}

Test(balance, full)
{
    bring_up();
    for (int i = 0; i < 3; i++)
        instances[i]->calls = 4;
    choose(NO_STR, 10, CHOICE_FULL);
    instances[1]->calls = 3;
    cr_assert_eq(choose(NO_STR, 10, CHOICE_MADE), instances[1]);
    instances[1]->bytes = 995;
    choose(NO_STR, 10, CHOICE_FULL);
    cr_assert_eq(choose(NO_STR, 5, CHOICE_MADE), instances[1]);
    instances[1]->bytes = 0;
    for (int i = 0; i < 3; i++)
        instances[i]->calls = 0;
}

/* Requests are let in as long as there is room for the calls of all that were. */
Test(balance, promises)
{
    cr_expect(balance_promise(balance, "user"), "nobody is there, which is said later");
    balance_begun(balance, "user");
    bring_up();
    for (int i = 0; i < 3; i++)
        instances[i]->calls = 3;
    instances[0]->silent = true;
    cr_expect(balance_promise(balance, "user"));
    cr_expect(balance_promise(balance, "user"));
    cr_expect_not(balance_promise(balance, "user"));
    cr_expect(balance_promise(balance, "bible"), "every domain has its own");
    balance_begun(balance, "user");
    cr_expect(balance_promise(balance, "user"));
    balance_begun(balance, "user");
    balance_begun(balance, "user");
    balance_begun(balance, "bible");
    instances[1]->calls = instances[2]->calls = 4;
    cr_expect_not(balance_promise(balance, "user"));
    for (int i = 0; i < 3; i++)
        instances[i]->calls = 0;
}

/* Equal questions meet; when one goes only its own move; each has about a third. */
Test(balance, affinity)
{
    enum { QUESTIONS = 900 };
    struct instance *before[QUESTIONS];
    unsigned counts[3] = {0, 0, 0}, moved = 0;
    char text[32];

    bring_up();
    instances[0]->calls = 3;
    for (int i = 0; i < QUESTIONS; i++) {
        struct str question = {text, (size_t)snprintf(text, sizeof(text), "question %d", i)};

        before[i] = choose(question, 10, CHOICE_MADE);
        cr_assert_eq(choose(question, 10, CHOICE_MADE), before[i]);
        for (int at = 0; at < 3; at++)
            counts[at] += before[i] == instances[at];
    }
    for (int at = 0; at < 3; at++)
        cr_expect(counts[at] > 240 && counts[at] < 360, "%u", counts[at]);
    instances[2]->connected = false;
    for (int i = 0; i < QUESTIONS; i++) {
        struct str question = {text, (size_t)snprintf(text, sizeof(text), "question %d", i)};

        moved += choose(question, 10, CHOICE_MADE) != before[i];
    }
    cr_assert_eq(moved, counts[2]);
    instances[0]->calls = 0;
}

Test(balance, what_is_missing)
{
    struct buffer list;

    bring_up();
    buffer_init(&list, NULL, 1000);
    for (int i = 0; i < 3; i++) {
        instances[i]->ready = false;
        strcpy(instances[i]->missing, "the \"database\"");
    }
    cr_assert_not(balance_ready(balance, &list));
    cr_assert(str_is(buffer_str(&list), "[\"the \\\"database\\\"\"," OTHERS "]"));
    list.len = 0;
    instances[1]->ready = true;
    cr_assert_not(balance_ready(balance, &list));
    cr_assert(str_is(buffer_str(&list), "[" OTHERS "]"));
    buffer_free(&list);
}

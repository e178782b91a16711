/* How long the loop is held while a large JSON body is read, checked and encoded for its message:
 * the longest turn for each of several shapes, the turns, and the time of all of them. Times are
 * the thread's own, without what other processes took. */
#include "intake.h"
#include "base/loop.h"
#include "base/time.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MIB = 1024 * 1024, BODY_MIB = 16, RUNS = 3 };

struct input {
    struct str data; /* the one field, any JSON */
};

static const struct field fields[] = {
    {NAMED("data"), .type = TYPE_any, .place = PLACE_body, .offset = offsetof(struct input, data)}};

static const struct method method = {
    .name = "bench.intake",
    .domain = "bench",
    .path = "/bench",
    .kind = KIND_tx,
    .verb = VERB_POST,
    .in = {"intake", "", fields, 1, sizeof(struct input)},
};

/* What the body's list is made of; a shape that is one text has its items without quotes. */
static const struct shape {
    const char *name, *open, *item, *close;
} shapes[] = {
    {"an export's records", "{\"data\":[",
     "{\"id\":\"4711\",\"reference\":\"John 3:16\",\"text\":\"For God so loved the world\","
     "\"insight\":{\"historical_context\":\"Written late in the first century, in Greek.\","
     "\"theological_significance\":\"L\\u00f6we \\\"und\\\" Lamm\"},\"timestamp\":1767225600000},",
     "1]}"},
    {"short texts", "{\"data\":[", "\"In the beginning God created\",", "1]}"},
    {"lists of numbers", "{\"data\":[",
     "[1234567,-12.5e3,true,null,\"as many values as there may be\"],", "1]}"},
    {"one text", "{\"data\":\"", "In the beginning God created the heavens and the earth. ", "\"}"},
    {"one text of escapes", "{\"data\":\"", "\\u05d1\\u05e8\\ud83d\\ude00\\n", "\"}"},
};

static struct exchange exchange;
static struct http_head head;
static int result;
static struct {
    ev_check woke;
    struct loop_hook worked;
    int64_t began_us; /* the turn */
    int64_t longest_us;
    unsigned count;
} turns;

static int64_t cpu_us(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

static void on_wake(struct ev_loop *loop, ev_check *watcher, int events)
{
    (void)loop, (void)watcher, (void)events;
    turns.began_us = cpu_us();
    turns.count++;
}

/* The last hook of a turn: fibers have run. */
static bool on_worked(struct loop_hook *hook)
{
    int64_t took_us = cpu_us() - turns.began_us;

    (void)hook;
    if (took_us > turns.longest_us)
        turns.longest_us = took_us;
    return false;
}

static void watch_turns(void)
{
    ev_check_init(&turns.woke, on_wake);
    ev_set_priority(&turns.woke, EV_MAXPRI);
    ev_check_start(loop_get(), &turns.woke);
    turns.worked.run = on_worked;
    loop_hook_add(LOOP_LINKS, &turns.worked);
}

static void run(void *arg)
{
    (void)arg;
    result = intake_read(&exchange);
    loop_stop();
}

static struct str body_of(const struct shape *shape, size_t len)
{
    size_t step = strlen(shape->item), end = strlen(shape->close), at = strlen(shape->open);
    char *text = malloc(len);

    if (text == NULL)
        exit(1);
    memset(text, ' ', len);
    memcpy(text, shape->open, at);
    for (; at + step + end <= len; at += step)
        memcpy(text + at, shape->item, step);
    memcpy(text + len - end, shape->close, end);
    return (struct str){text, len};
}

static int64_t read_once(struct str body)
{
    int64_t began_us = cpu_us();

    arena_init(&exchange.arena, 4 * MIB + 4 * body.len);
    failure_clear(&exchange.failure);
    exchange.method = &method;
    exchange.head = &head;
    exchange.content = body;
    exchange.connection = (void *)&exchange;
    exchange.deadline_us = time_now_us() + TIME_S(60);
    turns.began_us = began_us;
    if (fiber_start(run, NULL) == NULL)
        exit(1);
    loop_run();
    arena_clear(&exchange.arena);
    return cpu_us() - began_us;
}

static int measure(const struct shape *shape, size_t len)
{
    struct str body = body_of(shape, len);
    int64_t least_us = INT64_MAX, took_us;

    turns.longest_us = 0;
    for (int i = 0; i < RUNS; i++) {
        turns.count = 0;
        took_us = read_once(body);
        least_us = took_us < least_us ? took_us : least_us;
    }
    free((void *)(uintptr_t)body.ptr);
    printf("%-20s %5zu MiB  longest turn %6.2f ms  %4u turns  %7.1f ms%s\n", shape->name, len / MIB,
           (double)turns.longest_us * 1e-3, turns.count, (double)least_us * 1e-3,
           result == 0 ? "" : "  refused");
    return result;
}

int main(void)
{
    size_t len = (size_t)BODY_MIB * MIB;
    int failed = 0;

    contract_open();
    loop_open(0);
    fiber_open(4);
    watch_turns();
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
        failed |= measure(&shapes[i], len);
    ev_check_stop(loop_get(), &turns.woke);
    arena_trim();
    fiber_close();
    loop_close();
    return failed != 0;
}

/* Calls of made-up messages; see caller.h. */
#include "caller.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/stat.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { FIBERS_MOST = 4096, CALL_BYTES = 8 << 20 };

struct pool *caller_pool;
static unsigned running;

struct pool_config caller_config(const char *url)
{
    return (struct pool_config){.url = url,
                                .read_connections = 1,
                                .other_connections = 4,
                                .waiters = 256,
                                .idle_us = TIME_S(60),
                                .statement_timeout_us = TIME_S(10),
                                .statement_names = true,
                                .application_name = "lectern test"};
}

void caller_open(const struct pool_config *config, bool wait)
{
    contract_open();
    loop_open(0);
    fiber_open(FIBERS_MOST);
    caller_pool = pool_open(config);
    if (wait)
        cr_assert(caller_wait_ready(TIME_S(10)), "the pool did not get ready");
}

void caller_close(void)
{
    pool_close(&caller_pool);
    fiber_close();
    loop_close();
    stat_close();
    arena_trim();
}

static void run_task(void *arg)
{
    static const struct method methods_of[] = {
        [KIND_read] = {.name = "test.read", .domain = "test", .kind = KIND_read},
        [KIND_single] = {.name = "test.single", .domain = "test", .kind = KIND_single},
        [KIND_tx] = {.name = "test.tx", .domain = "test", .kind = KIND_tx},
        [KIND_steps] = {.name = "test.steps", .domain = "test", .kind = KIND_steps},
        [KIND_stream] = {.name = "test.stream", .domain = "test", .kind = KIND_stream}};
    struct task *task = arg;
    struct call call;
    int64_t start_us = time_now_us();
    bool keep;

    call_init(&call, &methods_of[task->kind], CALL_BYTES);
    call.fiber = fiber_self();
    call.deadline_us = start_us + (task->budget_us != 0 ? task->budget_us : TIME_S(5));
    db_attach(&call, caller_pool);
    task->result = task->handler(&call, task->arg);
    keep = task->result == 0 || (call.failure.fault != NULL && call.failure.fault->kept);
    if (task->kind == KIND_tx && db_finish(&call, keep) != 0)
        task->result = -1;
    task->failure = call.failure;
    task->failure.detail = NO_STR;
    call_close(&call);
    task->took_us = time_now_us() - start_us;
    task->fiber = NULL;
    if (--running == 0)
        loop_stop();
}

void caller_start(struct task *task)
{
    running++;
    task->result = -2;
    task->fiber = fiber_start(run_task, task);
    cr_assert_not_null(task->fiber);
}

void caller_wait(void)
{
    if (running > 0)
        loop_run();
}

void caller_run(struct task *task)
{
    caller_start(task);
    caller_wait();
}

void caller_rest(int64_t us)
{
    int64_t until_us = time_now_us() + us;

    while (time_now_us() < until_us && fiber_wait(until_us) == WAKE_DONE)
        continue;
}

static void wait_ready(void *arg)
{
    int64_t until_us = time_now_us() + *(const int64_t *)arg;
    const char *missing;

    while (!pool_ready(caller_pool, &missing) && time_now_us() < until_us)
        caller_rest(2000);
    if (--running == 0)
        loop_stop();
}

bool caller_wait_ready(int64_t most_us)
{
    const char *missing;

    running++;
    cr_assert_not_null(fiber_start(wait_ready, &most_us));
    loop_run();
    return pool_ready(caller_pool, &missing);
}

const char *fault_of(const struct task *task)
{
    return task->failure.fault != NULL ? task->failure.fault->name : "";
}

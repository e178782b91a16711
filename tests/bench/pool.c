/* What the pool costs: fibers that each read one row by its primary key, again and again, through
 * one shared connection. Compare with `pgbench -M prepared` of the same statement.
 *
 *   bench_pool URL [SECONDS]
 *
 * Makes the table `bench_pool` with 100,000 rows where it is missing. */
#include "base/loop.h"
#include "base/stat.h"
#include "base/time.h"
#include "numbers.h"
#include "query.h"
#include "tx.h"
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { ROWS = 100000, CROWD_MOST = 1024, WAITS_MOST = 1 << 20 };

STATEMENT(bench_read, "select id, name, made from bench_pool where id = $1");

static const struct method method = {.name = "bench.read", .domain = "bench", .kind = KIND_read};
static struct pool *pool;
static int64_t end_us;
static int64_t reads;
static int32_t waits_us[WAITS_MOST];
static uint32_t seed = 1;

static void make_table(const char *url)
{
    PGconn *conn = PQconnectdb(url);

    PQclear(PQexec(conn, "create table if not exists bench_pool as select n as id, 'row ' || n as"
                         " name, now() as made from generate_series(1, 100000) n"));
    PQclear(PQexec(conn, "create unique index if not exists bench_pool_id on bench_pool (id)"));
    PQclear(PQexec(conn, "vacuum analyze bench_pool"));
    PQfinish(conn);
}

/* One message, as the runtime makes it. */
static void read_one(int32_t id)
{
    struct call call;
    struct rows rows;
    int64_t start_us = time_now_us();

    call_init(&call, &method, 1 << 20);
    call.fiber = fiber_self();
    call.deadline_us = start_us + TIME_S(5);
    db_attach(&call, pool);
    if (db_query(&call, &bench_read, PARAMS(p_i32(id)), &rows) != 0) {
        fprintf(stderr, "%s: %s\n", call.failure.fault->name, call.failure.text);
        exit(1);
    }
    if (row_i64(&rows, 0, "id") != id)
        abort();
    call_close(&call);
    waits_us[reads++ % WAITS_MOST] = (int32_t)(time_now_us() - start_us);
}

static void reader(void *arg)
{
    (void)arg;
    while (time_now_us() < end_us) {
        seed = seed * 1664525 + 1013904223;
        read_one((int32_t)(seed >> 8) % ROWS + 1);
    }
    if (fiber_count() == 1)
        loop_stop();
}

static int by_size(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

static double cpu_us(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void run(int crowd, double seconds)
{
    double cpu = cpu_us(), syncs = stat_value_at(&database_syncs_total, 0);
    size_t count;

    reads = 0;
    end_us = time_now_us() + (int64_t)(seconds * 1e6);
    for (int i = 0; i < crowd; i++)
        if (fiber_start(reader, NULL) == NULL)
            abort();
    loop_run();
    syncs = stat_value_at(&database_syncs_total, 0) - syncs;
    count = reads < WAITS_MOST ? (size_t)reads : WAITS_MOST;
    qsort(waits_us, count, sizeof(*waits_us), by_size);
    printf("%5d fibers  %8.0f reads/s  p50 %6d us  p99 %6d us  %5.2f us CPU here  %5.1f a sync\n",
           crowd, (double)reads / seconds, waits_us[count / 2], waits_us[count * 99 / 100],
           (cpu_us() - cpu) / (double)reads, (double)reads / syncs);
}

int main(int argc, char **argv)
{
    static const int crowds[] = {1, 16, 64, 256, 1024};
    struct pool_config config = {.read_connections = 1,
                                 .other_connections = 4,
                                 .waiters = 256,
                                 .idle_us = TIME_S(60),
                                 .statement_timeout_us = TIME_S(10),
                                 .statement_names = true,
                                 .application_name = "bench_pool"};

    if (argc < 2) {
        fprintf(stderr, "usage: %s URL [SECONDS]\n", argv[0]);
        return 64;
    }
    make_table(argv[1]);
    contract_open();
    loop_open(0);
    fiber_open(CROWD_MOST + 16);
    config.url = argv[1];
    pool = pool_open(&config);
    for (size_t i = 0; i < sizeof(crowds) / sizeof(crowds[0]); i++)
        run(crowds[i], argc > 2 ? atof(argv[2]) : 2.);
    pool_close(&pool);
    fiber_close();
    loop_close();
    stat_close();
    arena_trim();
    return 0;
}

/* The connections of an actor to PostgreSQL, none of which ever blocks the loop.
 *
 * One (or a few) shared, pipelined connections carry single reads: a query is sent at once while
 * its connection is quiet, and the reads of a turn are gathered behind one sync when it is busy.
 * Others carry single writes (a sync each) and transactions (exclusively); they are opened on
 * demand and closed when idle. Lost connections come back by themselves, with back-off and jitter.
 */
#pragma once

#include "base/arena.h"

struct pool;

#define POOL_OPTIONS(OPTION)                                                                       \
    OPTION(database_url, text, "DATABASE_URL", "", 0, 0, fixed,                                    \
           "where PostgreSQL is (postgresql://…); without it libpq's PG* variables say it")        \
    OPTION(read_connections, number, "LECTERN_READ_CONNECTIONS", "1", 1, 64, fixed,                \
           "shared, pipelined connections for single reads")                                       \
    OPTION(connections, number, "LECTERN_DB_CONNECTIONS", "16", 1, 256, fixed,                     \
           "most other connections, for writes and transactions")                                  \
    OPTION(connection_idle, duration, "LECTERN_DB_IDLE", "60s", 1000000, 86400000000, fixed,       \
           "idle time after which such a connection is closed")                                    \
    OPTION(connection_waiters, number, "LECTERN_DB_WAITERS", "256", 1, 100000, fixed,              \
           "most calls that wait for such a connection")                                           \
    OPTION(database_wait, duration, "LECTERN_DB_WAIT", "1s", 10000, 600000000, fixed,              \
           "calls that would wait longer for the database, as it answers now, are refused")        \
    OPTION(statement_timeout, duration, "LECTERN_STATEMENT_TIMEOUT", "10s", 100000, 600000000,     \
           fixed, "the server ends a statement that takes longer")                                 \
    OPTION(statement_names, flag, "LECTERN_STATEMENT_NAMES", "on", 0, 0, fixed,                    \
           "prepare statements by name; off behind a pooler that cannot keep them")

struct pool_config {
    const char *url;              /* empty: libpq's environment; SQLAlchemy's spellings are taken */
    unsigned read_connections;    /* shared, pipelined */
    unsigned other_connections;   /* at most */
    unsigned waiters;             /* calls that may wait for one of the others; beyond: busy */
    int64_t wait_us;              /* that a call may have to expect; beyond: busy; 0: any */
    int64_t idle_us;              /* after which one of the others is closed */
    int64_t statement_timeout_us; /* set on each connection */
    bool statement_names;         /* prepare by name */
    int schema_version;           /* least migration that the database must have; 0: any */
    const char *application_name; /* shown in pg_stat_activity */
};

/* Reads what may need a file or the environment (service, password file), once, then begins to
 * connect. Ends the program on a URL that libpq does not understand. Never waits. PGSERVICE is
 * taken out of the environment, or libpq would read its file again for each connection. */
struct pool *pool_open(const struct pool_config *config);

/* Whether a read connection is up and the schema is new enough; else `*missing` says in words what
 * is awaited ("the database", "schema 3, the database has 2"); a static or pool-owned text. */
bool pool_ready(const struct pool *pool, const char **missing);

/* Closes all connections; whatever is in flight fails. NULLs the pointer. */
void pool_close(struct pool **pool);

/* Brings a database's tables to what this program needs.
 *
 * Migrations are SQL files, numbered without gaps, embedded in the program and applied in order,
 * each in a transaction of its own with the row in `lectern_migrations` that records it. A file
 * whose first line is `-- no transaction` is run a statement at a time, so each of its statements
 * must bear being run again. Whatever does not fit (a newer database, a changed file, a file out of
 * order) is refused before anything is changed. A database of the service before Lectern is
 * adopted: compared with the baseline, given what it lacks, and taken from there.
 *
 * Everything here waits for the database, on a connection of its own: it is for the command and for
 * tests, never for a loop. */
#pragma once

#include "base/arena.h"

#include <libpq-fe.h>

struct migration {
    int version;      /* from 1 */
    const char *name; /* `0001_baseline` */
    const char *sql;  /* the file, terminated */
};

struct migration_set {
    const struct migration *list; /* by version, rising */
    int count;                    /* of it */
};

enum migrate_result {
    MIGRATE_DONE,    /* the database is at the latest version */
    MIGRATE_REFUSED, /* it does not fit; nothing was changed */
    MIGRATE_BUSY,    /* somebody else migrates, or uses a table, for longer than we wait */
    MIGRATE_FAILED   /* a statement failed; what was applied before it stays */
};

enum { MIGRATE_LOCK_WAIT_MS = 10 * 60 * 1000, MIGRATE_MESSAGE_BYTES = 16384 };

struct migrate {
    PGconn *conn;             /* connected, idle, not through a pooler; the caller's */
    struct migration_set set; /* what to apply: migrations_embedded() */
    void (*say)(void *data, const char *line); /* told of each step; may be NULL */
    void *say_data;                            /* for it */
    int lock_wait_ms; /* how long to wait for another that migrates, and for tables in use */
    int applied;      /* out: migrations applied by this run */
    char message[MIGRATE_MESSAGE_BYTES]; /* out: why not, terminated; one line, but for a list of
                                            differences */
};

/* The migrations that were embedded when this program was built. */
struct migration_set migrations_embedded(void);

/* The newest version among them. A database has what this program needs when the highest `version`
 * in `lectern_migrations` is at least that. */
int migrations_latest(void);

/* Checks, and applies what is missing. May be called by many at once: one does it, the others wait
 * and find it done. */
enum migrate_result migrate_run(struct migrate *migrate) MUST;

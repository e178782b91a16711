/* `lectern migrate`: brings the database's schema up to date. */
#include "migrate.h"
#include "cli.h"
#include "database.h"

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

static const char help[] =
    "usage: lectern migrate\n"
    "\n"
    "Brings the tables of the database to what this version needs. Run it before the actors of a "
    "new version start; it may\n"
    "run any number of times, and in several places at once. A database of the service before "
    "Lectern is adopted: compared\n"
    "with what is known of it, given what it lacks, and left usable by that service.\n"
    "\n"
    "options:\n"
    "  --help    this page\n"
    "\n"
    "environment:\n"
    "  DATABASE_URL   postgresql://USER@HOST/NAME, a direct connection (not PgBouncer's); without "
    "it libpq's PG*\n"
    "\n"
    "Exit codes: 0 done, 64 wrong usage, 69 no connection, 70 a statement failed, 75 somebody else "
    "migrates or uses a table\n"
    "(try again), 78 the database does not fit, and nothing was changed.\n";

static const int exit_codes[] = {
    [MIGRATE_DONE] = EX_OK,
    [MIGRATE_REFUSED] = EX_CONFIG,
    [MIGRATE_BUSY] = EX_TEMPFAIL,
    [MIGRATE_FAILED] = EX_SOFTWARE,
};

static void say(void *data, const char *line)
{
    (void)data;
    fprintf(stderr, "lectern migrate: %s\n", line);
}

static int run(PGconn *conn)
{
    struct migrate migrate = {.conn = conn,
                              .set = migrations_embedded(),
                              .say = say,
                              .lock_wait_ms = MIGRATE_LOCK_WAIT_MS};
    enum migrate_result result = migrate_run(&migrate);

    if (result == MIGRATE_DONE)
        printf("the database is at version %d (%d applied)\n", migrations_latest(),
               migrate.applied);
    else
        fprintf(stderr, "lectern migrate: %s\n", migrate.message);
    return exit_codes[result];
}

int cli_migrate(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int option, code;
    PGconn *conn;

    optind = 1;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return EX_OK;
        }
        return EX_USAGE;
    }
    if (optind < argc) {
        fprintf(stderr, "lectern migrate: takes no argument, `%s` was given\n", argv[optind]);
        return EX_USAGE;
    }
    conn = cli_connect("migrate", &code);
    if (conn == NULL)
        return code;
    code = run(conn);
    PQfinish(conn);
    return code;
}

/* A real PostgreSQL for tests.
 *
 * A test program that links this has a server while it runs: the one that LECTERN_TEST_PG names, or
 * a private one that is started before the first test and stopped after the last. Each test takes
 * databases of its own from it. All that can go wrong here ends the program with a message. */
#pragma once

#include <libpq-fe.h>

/* A fresh database that is migrated; its URL, which lasts as long as the test. */
const char *postgres_database(void);

/* A fresh database with nothing in it. */
const char *postgres_empty_database(void);

/* Connects to it; the test ends the connection with PQfinish(). */
PGconn *postgres_connect(const char *url);

/* Runs statements that must succeed. */
void postgres_exec(PGconn *conn, const char *sql);

/* The first value that a query answers, as text; "" for null or no row. It lasts until the next
 * call but three. */
const char *postgres_value(PGconn *conn, const char *sql);

/* The database of sub-commands that speak to it directly. */
#pragma once

#include <libpq-fe.h>

/* Connects, waiting at most some seconds, to what `DATABASE_URL` names, or without it libpq's own
 * variables. NULL when that fails, after a line on standard error and with the exit code in
 * `*code`. The caller ends it with PQfinish(). */
PGconn *cli_connect(const char *command, int *code);

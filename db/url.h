/* How a database is named: `DATABASE_URL`, in the spellings that other programs use too. */
#pragma once

#include "base/arena.h"

enum { DATABASE_URL_MAX = 2048 };

/* Writes what libpq understands for `url` to `out`, terminated: `postgresql://…` and `key=value …`
 * as they stand, `postgresql+asyncpg://…` and `postgresql+psycopg2://…` (any driver's name) without
 * the driver. NULL or empty gives the empty text, with which libpq takes its own `PG*` variables.
 * -1 when it is another scheme or does not fit. */
int database_url_normalize(const char *url, char *out, size_t room_bytes) MUST;

/* Where neither `url` nor libpq's PGHOST, PGHOSTADDR or PGSERVICE says where the database is, and
 * the state folder holds the socket of a private one: sets PGHOST, PGUSER and PGDATABASE to that.
 * At start-up only. */
void database_find_private(const char *url, const char *state);

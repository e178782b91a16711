/* What a call does with the pool. Each request is finished later, or at once where it is refused.
 */
#pragma once

#include "conn.h"
#include "pool.h"
#include "request.h"

/* Sends a read, alone and at once where a connection is quiet, else with those of this turn. */
void pool_read(struct pool *pool, struct request *request);

/* Sends a single write. */
void pool_write(struct pool *pool, struct request *request);

/* Asks for a connection alone: request->conn. Its taker makes `conn->holder` point to where he
 * keeps it. */
void pool_take(struct pool *pool, struct request *request);

/* Gives a connection back; it is used again once it is clean, else closed. */
void pool_give_back(struct pool *pool, struct conn *conn);

/* Closes a connection that is not worth cleaning. */
void pool_drop(struct pool *pool, struct conn *conn, const char *why);

/* The caller does not wait for the request any more, finished or not: takes it out of wherever it
 * stands and frees what it holds, a connection that it was given included. */
void pool_leave(struct pool *pool, struct request *request);

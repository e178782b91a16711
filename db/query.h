/* Asking the database from a handler.
 *
 *   STATEMENT(find_user, "select current_user_id($1) …");
 *   …
 *   struct rows rows;
 *   if (db_query(call, &find_user, PARAMS(p_str(call->user)), &rows) != 0)
 *       return -1;
 *
 * What a query runs in follows from the message's kind: `read` and `single` run each statement as
 * its own transaction, `tx` runs all in the one that the runtime commits or rolls back; `steps`
 * reads outside of tx_run() and is in a transaction within. Every function here may wait, within
 * the call's deadline; a failure is recorded in the call: unavailable, busy, timeout, cancelled,
 * outcome_unknown, unknown_user, or internal with the server's SQLSTATE and message for the log. */
#pragma once

#include "call.h"
#include "pool.h"
#include "rows.h"

struct statement {
    const char *name; /* unique in the program; the prepared statement's name */
    const char *sql;  /* with $1 … $n */
    bool write;       /* changes something: STATEMENT_WRITE */
};

/* Defines a statement in file scope; all of a program stand in one section, so that tests and the
 * pool can list them (statements_first() … statements_end()). */
#define STATEMENT(ident, text) STATEMENT_ROW(ident, text, false)
#define STATEMENT_WRITE(ident, text) STATEMENT_ROW(ident, text, true)
#define STATEMENT_ROW(ident, text, writes)                                                         \
    static const struct statement ident = {#ident, text, writes};                                  \
    static const struct statement *const ident##_listed                                            \
        __attribute__((used, section("statements"))) = &ident

/* All statements of the program: pointers from first to before end. */
const struct statement *const *statements_first(void);
const struct statement *const *statements_end(void);

/* A parameter; what a str points to must live until the query was answered. Absent is NULL. */
struct param {
    uint32_t type;    /* the type's oid */
    struct str value; /* binary form (text as it is); ptr NULL: NULL; see is_number */
    char number[8];   /* big endian */
    bool is_number;   /* the value is in `number`, value.len bytes of it */
};

struct param p_str(struct str value);  /* text */
struct param p_i32(int32_t value);     /* integer */
struct param p_i64(int64_t value);     /* bigint; INT_ABSENT is NULL */
struct param p_bool(bool value);       /* boolean */
struct param p_time(int64_t epoch_us); /* timestamptz; INT_ABSENT is NULL, TIME_LAST infinity */
struct param p_json(struct str text);  /* jsonb, from JSON text */

struct params {
    const struct param *items;
    unsigned count;
};

#define PARAMS(...)                                                                                \
    ((struct params){(const struct param[]){__VA_ARGS__},                                          \
                     sizeof((const struct param[]){__VA_ARGS__}) / sizeof(struct param)})
#define NO_PARAMS ((struct params){NULL, 0})

/* Runs a statement; its rows live until the call ends. */
int db_query(struct call *call, const struct statement *statement, struct params params,
             struct rows *rows) MUST;

/* How a statement for db_query_as_user() begins: whom it acts for, found once. `me.id` is its first
 * column; `me.kept` is one where the answer is to tell a device that its user was merged. */
#define WITH_ME "with me as materialized (select id, kept from acting_user($1))"

/* The same for what writes: holds the user's row, so that he is not merged into another meanwhile.
 * Whoever waits for a merge finds nobody here, which is unknown_user, and asks again as the kept
 * user; without it he would find that his things are no longer his. */
#define WITH_ME_LOCKED                                                                             \
    "with me as materialized (select users.id, kept from acting_user($1) as acting"                \
    "                           join users on users.id = acting.id for key share of users)"

/* As db_query(), with call->user put in as $1 before `params`; the first column is the user's id:
 * NULL or no row is the fault unknown_user, else it becomes call->user_id. A column `kept` that is
 * not NULL becomes call->reply_user. */
int db_query_as_user(struct call *call, const struct statement *statement, struct params params,
                     struct rows *rows) MUST;

/* As db_query_as_user(), on an exclusive connection, for reads that are long or large. */
int db_query_long_as_user(struct call *call, const struct statement *statement,
                          struct params params, struct rows *rows) MUST;

/* As db_query(), and COMMIT travels with it: the transaction is over when it returns 0. Only in a
 * transaction. */
int db_query_last(struct call *call, const struct statement *statement, struct params params,
                  struct rows *rows) MUST;

/* As db_query(), on an exclusive connection, for reads that are long or large. */
int db_query_long(struct call *call, const struct statement *statement, struct params params,
                  struct rows *rows) MUST;

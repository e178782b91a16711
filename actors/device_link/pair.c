/* Merging two users.
 *
 * Both rows are locked for update, the lower id first, before anything is read: two merges that
 * share a user follow each other, and what either user writes meanwhile waits for the outcome. Who
 * waits for a lock may find that its user was merged into a third. To lock that one as well would
 * break the order, so the locks are given back first, by a savepoint. */
#include "pair.h"
#include "handlers.h"
#include "owned.h"
#include <inttypes.h>

/* ---- locking ---- */

STATEMENT_WRITE(pair_savepoint, "savepoint pair");
STATEMENT_WRITE(pair_rollback, "rollback to savepoint pair");

int pair_lock(struct call *call, query_fn query, const struct statement *statement,
              struct params params, struct rows *rows)
{
    struct rows none;

    if (db_query(call, &pair_savepoint, NO_PARAMS, &none) != 0)
        return -1;
    for (;;) {
        call->reply_user = NO_STR;
        if (query(call, statement, params, rows) != 0)
            return -1;
        if (row_bool(rows, 0, "locked"))
            return 0;
        if (db_query(call, &pair_rollback, NO_PARAMS, &none) != 0)
            return -1;
    }
}

/* ---- merging ---- */

STATEMENT(rank_pair, "select id, anonymous_id from users where id in ($1, $2)"
                     " order by greatest(1, (select count(*) from user_devices"
                     "                        where user_id = users.id)) desc,"
                     "          created_at desc nulls last, id desc");

int pair_merge(struct call *call, int32_t one, int32_t other, struct merged *merged)
{
    struct rows rows;

    if (db_query(call, &rank_pair, PARAMS(p_i32(one), p_i32(other)), &rows) != 0)
        return -1;
    if (rows.count != 2)
        return fail(call, internal, "users %" PRId32 " and %" PRId32 " are not two", one, other);
    merged->kept = row_str(&rows, 0, "anonymous_id");
    merged->gone = row_str(&rows, 1, "anonymous_id");
    return owned_merge(call, (int32_t)row_i64(&rows, 0, "id"), (int32_t)row_i64(&rows, 1, "id"),
                       &merged->device_count);
}

STATEMENT_WRITE(lock_two,
                "with named as materialized"
                "   (select current_user_id($1) as one_id, current_user_id($2) as other_id),"
                " pair as (select one_id as id from named where one_id is not null"
                "          union select other_id from named where other_id is not null),"
                " locked as (select users.id from users join pair using (id)"
                "             order by users.id for update of users)"
                " select one_id, other_id,"
                "        (select count(*) from locked) = (select count(*) from pair) as locked"
                "   from named");

int device_link_merge_users(struct call *call, const struct device_link_merge_users_in *in,
                            struct device_link_merge_users_out *out)
{
    struct merged merged;
    struct rows rows;
    int32_t one, other;

    if (pair_lock(call, db_query, &lock_two,
                  PARAMS(p_str(in->anonymous_id), p_str(in->other_anonymous_id)), &rows) != 0)
        return -1;
    if (row_is_null(&rows, 0, "one_id") || row_is_null(&rows, 0, "other_id"))
        return fail(call, user_not_found, "nobody has that anonymous id");
    one = (int32_t)row_i64(&rows, 0, "one_id");
    other = (int32_t)row_i64(&rows, 0, "other_id");
    if (one == other)
        return fail(call, same_user, "both are user %" PRId32, one);
    if (pair_merge(call, one, other, &merged) != 0)
        return -1;
    out->anonymous_id = merged.kept;
    out->merged_anonymous_id = merged.gone;
    out->device_count = merged.device_count;
    return 0;
}

/* Pro subscriptions, as operators give and end them. */
#include "handlers.h"
#include "list.h"

/* ---- set_pro_subscription ---- */

STATEMENT_WRITE(set_pro, "with me as materialized (select current_user_id($1) as id)"
                         " update users set pro_subscription = $2 from me where users.id = me.id"
                         " returning anonymous_id, pro_subscription");

int user_set_pro_subscription(struct call *call, const struct user_set_pro_subscription_in *in,
                              struct user_set_pro_subscription_out *out)
{
    struct params params = PARAMS(p_str(in->anonymous_id), p_bool(in->pro_subscription));
    struct rows rows;

    if (db_query(call, &set_pro, params, &rows) != 0)
        return -1;
    if (rows.count == 0)
        return fail(call, user_not_found, "nobody has that anonymous id");
    row_fill(&rows, 0, &call->method->out, out);
    return 0;
}

/* ---- get_pro_users ---- */

/* The place in the list is the id alone, and a page is bounded by its rows. */
STATEMENT(pro_users,
          "select *, sum(100) over (rows unbounded preceding) as list_bytes"
          "  from (select anonymous_id, coalesce(created_at, 'epoch') as created_at, id as list_id,"
          "               timestamptz 'epoch' as list_time"
          "          from users where pro_subscription and id > $1 order by id limit $2) as pro");

int user_get_pro_users(struct call *call, const struct user_get_pro_users_in *in,
                       struct user_get_pro_users_out *out)
{
    struct list list;
    struct rows rows;

    (void)in;
    list_open(&list, call, LIST_ALL, LIST_OLDEST_FIRST);
    do {
        struct params params = PARAMS(p_i64(list.id), p_i64(list.rows));

        if (db_query(call, &pro_users, params, &rows) != 0)
            return -1;
        out->users.items = list_fill(&list, &rows, &record_user_pro_user, &out->users.count);
        if (out->users.items == NULL)
            return -1;
    } while (list_goes_on(&list, &rows, out));
    return list_result(&list);
}

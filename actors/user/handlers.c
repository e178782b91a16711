/* The domain `user`: who somebody is, and what is left of his day. */
#include "handlers.h"
#include "quota.h"

/* ---- get_or_create_user ---- */

STATEMENT_WRITE(find_or_make_user,
                "with known as (select current_user_id($1) as id),"
                " made as (insert into users (anonymous_id, device_count, pro_subscription)"
                "          select gen_random_uuid()::text, 1, false from known where id is null"
                "          returning id, anonymous_id, created_at)"
                " select users.id, anonymous_id, created_at, false as created"
                "   from users join known using (id)"
                " union all select id, anonymous_id, created_at, true from made");

int user_get_or_create_user(struct call *call, const struct user_get_or_create_user_in *in,
                            struct user_get_or_create_user_out *out)
{
    struct rows rows;

    if (db_query(call, &find_or_make_user, PARAMS(p_str(in->anonymous_id)), &rows) != 0)
        return -1;
    if (rows.count == 0)
        return fail(call, internal, "a user went while he was looked for");
    row_fill(&rows, 0, &call->method->out, out);
    if (!str_equal(out->anonymous_id, in->anonymous_id))
        call->reply_user = out->anonymous_id;
    return 0;
}

/* ---- get_user_by_anonymous_id ---- */

STATEMENT(find_user, "select id, anonymous_id, created_at,"
                     "       greatest(device_count, 1) as device_count, pro_subscription"
                     "  from users where id = current_user_id($1)");

int user_get_user_by_anonymous_id(struct call *call,
                                  const struct user_get_user_by_anonymous_id_in *in,
                                  struct user_get_user_by_anonymous_id_out *out)
{
    struct rows rows;

    if (db_query(call, &find_user, PARAMS(p_str(in->anonymous_id)), &rows) != 0)
        return -1;
    if (rows.count == 0)
        return fail(call, user_not_found, "nobody has that anonymous id");
    row_fill(&rows, 0, &call->method->out, out);
    return 0;
}

/* ---- session ---- */

/* A call that is reserved counts until its reservation expires. */
STATEMENT(session,
          "select users.id, anonymous_id, users.created_at, pro_subscription as is_pro,"
          "       coalesce(llm_calls, 0) as calls,"
          "       case when reserved <> '{}' then"
          "           (select count(*) from unnest(reserved) as expiry where expiry > now())"
          "       else 0 end as reservations"
          "  from users"
          "  left join usage_tracking on user_id = users.id"
          "        and date = date_trunc('day', now(), 'UTC')"
          " where users.id = current_user_id($1)");

static void count_usage(const struct rows *rows, struct user_usage *usage)
{
    int64_t calls = row_i64(rows, 0, "calls") + row_i64(rows, 0, "reservations");

    usage->is_pro = row_bool(rows, 0, "is_pro");
    usage->daily_limit = usage->is_pro ? 0 : ALLOWANCE_A_DAY;
    usage->calls_today = usage->is_pro ? 0 : calls;
    usage->remaining = calls < ALLOWANCE_A_DAY ? ALLOWANCE_A_DAY - calls : 0;
    if (usage->is_pro)
        usage->remaining = -1;
}

int user_session(struct call *call, const struct user_session_in *in, struct user_session_out *out)
{
    struct user_usage *usage = arena_alloc(&call->arena, sizeof(*usage));
    struct rows rows;

    (void)in;
    if (usage == NULL)
        return fail(call, busy, "no memory for the usage");
    if (db_query_as_user(call, &session, NO_PARAMS, &rows) != 0)
        return -1;
    row_fill(&rows, 0, &call->method->out, out);
    count_usage(&rows, usage);
    out->usage = usage;
    if (!str_equal(out->anonymous_id, call->user))
        call->reply_user = out->anonymous_id;
    return 0;
}

const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 5};

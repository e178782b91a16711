/* Windows of a minute and days of calls, each a row that the counting statement itself locks. */
#include "quota.h"
#include "base/log.h"
#include "base/time.h"
#include "patience.h"
#include "runtime.h"
#include <stdio.h>
#include <stdlib.h>

#define SWEEP_EVERY_US TIME_S(60)
#define SWEEP_BUDGET_US TIME_S(10)
#define END_BUDGET_US TIME_S(30)
#define PAST_DEADLINE_US TIME_S(60) /* to settle an answer that came at the last moment */

static struct actor *actor;

/* ---- limits of a minute ---- */

/* A window that began later than ours was opened by a statement that overtook this one. */
STATEMENT_WRITE(
    count_minute, WITH_ME
    ", counted as (insert into rate_windows as old (who, method, began, calls)"
    "   select coalesce(left('a' || $3, 64), 'u' || me.id), $2, date_trunc('minute', now()), 1"
    "     from me where me.id is not null"
    "   on conflict (who, method) do update set"
    "     calls = case when old.began >= excluded.began then old.calls + 1 else 1 end,"
    "     began = greatest(old.began, excluded.began)"
    "   returning calls, began + interval '1 minute' as ends)"
    " select me.id, me.kept, calls, ends from me left join counted on true");

STATEMENT(look_at_minute, "select calls, began + interval '1 minute' as ends from rate_windows"
                          " where who = left('a' || $1, 64) and method = $2"
                          "   and began >= date_trunc('minute', now())");

STATEMENT_WRITE(sweep_minutes,
                "delete from rate_windows where began < now() - interval '2 minutes'");

/* Where nothing is counted, the user is looked for all the same, before anything is done for him.
 */
STATEMENT(find_caller, WITH_ME " select me.id, me.kept from me");

static int64_t limit_of(const struct method *method)
{
    if (method->rate == RATE_ai)
        return actor->options.ai_limit;
    return actor->options.chat_limit;
}

/* The window as the reply shows it; a call more than the limit is refused. */
static int judge_window(struct call *call, const struct rows *rows, int64_t limit)
{
    int64_t calls = row_i64(rows, 0, "calls");

    call->reply_rate = (struct common_rate){
        .limit = limit,
        .remaining = calls < limit ? limit - calls : 0,
        .reset = row_time(rows, 0, "ends") / TIME_S(1),
    };
    return calls <= limit ? 0 : fail(call, rate_limited, "%lld of a minute", (long long)limit);
}

/* Nobody is known yet: only a window that is full already is of interest. */
static int look(struct call *call, int64_t limit)
{
    struct rows rows;

    if (call->client.ptr == NULL)
        return 0;
    if (db_query(call, &look_at_minute,
                 PARAMS(p_str(call->client), p_str(str_of(call->method->name))), &rows) != 0)
        return -1;
    if (rows.count == 0 || row_i64(&rows, 0, "calls") < limit)
        return 0;
    call->reply_rate =
        (struct common_rate){.limit = limit, .reset = row_time(&rows, 0, "ends") / TIME_S(1)};
    return fail(call, rate_limited, "%lld of a minute", (long long)limit);
}

/* Nobody has that id; a client that is over its limit is told so first. */
static int look_for_unknown(struct call *call, int64_t limit)
{
    failure_clear(&call->failure);
    if (look(call, limit) != 0)
        return -1;
    return fail(call, unknown_user, "nobody has the id of a call that is counted");
}

/* Whether a count was made before its answer was lost is nothing that a caller needs to know. */
static void note_nothing_begun(struct call *call)
{
    if (failed_with(&call->failure, &fault_outcome_unknown))
        call->failure.fault = &fault_unavailable;
}

int quota_count(struct call *call)
{
    struct str client = call->by_client ? call->client : NO_STR;
    int64_t limit;
    struct rows rows;

    if (!is_counted_by_actor(call->method))
        return 0;
    limit = limit_of(call->method);
    if (call->user.ptr == NULL)
        return limit != 0 ? look(call, limit) : 0;
    if (limit == 0)
        return db_query_as_user(call, &find_caller, NO_PARAMS, &rows);
    if (db_query_as_user(call, &count_minute,
                         PARAMS(p_str(str_of(call->method->name)), p_str(client)), &rows) == 0)
        return judge_window(call, &rows, limit);
    note_nothing_begun(call);
    return failed_with(&call->failure, &fault_unknown_user) ? look_for_unknown(call, limit) : -1;
}

static int sweep(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    return db_query(call, &sweep_minutes, NO_PARAMS, &rows);
}

/* ---- the day's allowance ---- */

enum reservation_state { RESERVED, USED, ENDED };

struct reservation {
    int64_t day_us;               /* the UTC day that is charged */
    int64_t expires_us;           /* names it among the day's; INT_ABSENT: nothing is counted */
    struct str user;              /* whose, in the call's memory */
    enum reservation_state state; /* what is still due */
};

/* Reservations that have expired are dropped by the next one. */
STATEMENT_WRITE(reserve_call, WITH_ME_LOCKED
                ", taken as (insert into usage_tracking as day (user_id, date, llm_calls, reserved)"
                "   select me.id, date_trunc('day', now(), 'UTC'), 0,"
                "          array[now() + $2 * interval '1 microsecond']"
                "     from me join users on users.id = me.id where not pro_subscription"
                "   on conflict (user_id, date) do update set updated_at = now(),"
                "     reserved = array(select expiry from unnest(day.reserved) as expiry"
                "                       where expiry > now()) || excluded.reserved"
                "   where day.llm_calls + (select count(*) from unnest(day.reserved) as expiry"
                "                           where expiry > now()) < $3"
                "   returning date, reserved[cardinality(reserved)] as expires)"
                " select me.id, me.kept, pro_subscription, taken.date as day, expires"
                "   from me left join users on users.id = me.id left join taken on true");

STATEMENT_WRITE(settle_call, WITH_ME_LOCKED
                ", counted as (insert into usage_tracking as day (user_id, date, llm_calls)"
                "   select me.id, $2, 1 from me where me.id is not null"
                "   on conflict (user_id, date) do update set updated_at = now(),"
                "     llm_calls = day.llm_calls + 1, reserved = without_one(day.reserved, $3)"
                "   returning 1)"
                " select me.id from me, counted");

STATEMENT_WRITE(give_back_call,
                WITH_ME_LOCKED ", counted as (update usage_tracking as day"
                               "     set reserved = without_one(reserved, $3), updated_at = now()"
                               "    from me where user_id = me.id and date = $2 returning 1)"
                               " select me.id from me");

static int refuse_day(struct call *call)
{
    char text[160];
    struct common_daily_limit detail = {
        .current_usage = ALLOWANCE_A_DAY, .limit = ALLOWANCE_A_DAY, .is_pro = false};

    (void)snprintf(text, sizeof(text),
                   "Daily limit of %d AI requests reached. Please try again tomorrow or upgrade to "
                   "pro.",
                   ALLOWANCE_A_DAY);
    detail.message = str_of(text);
    return fail_with(call, daily_limit_reached, &detail, "%d calls today", ALLOWANCE_A_DAY);
}

/* A user who was merged into another while the statement waited is found by the next one. */
static int end_reservation(struct call *call, const struct statement *statement,
                           const struct reservation *reservation)
{
    struct params params = PARAMS(p_time(reservation->day_us), p_time(reservation->expires_us));
    struct rows rows;

    if (reservation->expires_us == INT_ABSENT)
        return 0;
    if (db_query_as_user(call, statement, params, &rows) == 0)
        return 0;
    if (!failed_with(&call->failure, &fault_unknown_user))
        return -1;
    failure_clear(&call->failure);
    return db_query_as_user(call, statement, params, &rows);
}

/* A reservation whose call is over; a copy on the heap. */
struct leftover {
    struct reservation reservation;
    char user[64];
};

static int end_once(struct call *call, void *arg)
{
    const struct reservation *reservation = &((const struct leftover *)arg)->reservation;

    return end_reservation(call, reservation->state == USED ? &settle_call : &give_back_call,
                           reservation);
}

static int end_leftover(struct call *call, void *arg)
{
    struct leftover *leftover = arg;
    int error;

    call->user = str_of(leftover->user);
    error = try_patiently(call, END_BUDGET_US, end_once, leftover);
    if (error != 0 && failed_with(&call->failure, &fault_unknown_user))
        error = 0; /* who was deleted has no allowance */
    if (error != 0)
        log_warn(call, "a reservation is left to expire: %s", call->failure.text);
    free(leftover);
    return error;
}

/* The call ends, perhaps cancelled: what is due is done in a fiber of its own. */
static void end_with_call(void *arg)
{
    const struct reservation *reservation = arg;
    struct leftover *leftover;

    if (reservation->state == ENDED || reservation->expires_us == INT_ABSENT)
        return;
    leftover = calloc(1, sizeof(*leftover));
    if (leftover == NULL)
        return;
    leftover->reservation = *reservation;
    (void)snprintf(leftover->user, sizeof(leftover->user), "%.*s", STR_ARG(reservation->user));
    if (actor_work(actor, "end a reservation", END_BUDGET_US, end_leftover, leftover) != 0)
        free(leftover);
}

struct reservation *allowance_reserve(struct call *call)
{
    struct reservation *reservation = arena_zalloc(&call->arena, sizeof(*reservation));
    int64_t for_us = call->deadline_us - time_now_us() + PAST_DEADLINE_US;
    struct rows rows;

    if (reservation == NULL || call_on_end(call, end_with_call, reservation) != 0) {
        fail(call, busy, "no memory left in the call");
        return NULL;
    }
    *reservation =
        (struct reservation){.expires_us = INT_ABSENT, .user = call->user, .state = ENDED};
    if (db_query_as_user(call, &reserve_call, PARAMS(p_i64(for_us), p_i64(ALLOWANCE_A_DAY)),
                         &rows) != 0) {
        note_nothing_begun(call);
        return NULL;
    }
    if (row_bool(&rows, 0, "pro_subscription"))
        return reservation;
    if (row_is_null(&rows, 0, "expires")) {
        refuse_day(call);
        return NULL;
    }
    reservation->day_us = row_time(&rows, 0, "day");
    reservation->expires_us = row_time(&rows, 0, "expires");
    reservation->state = RESERVED;
    return reservation;
}

int allowance_settle(struct call *call, const struct reservation *reservation)
{
    return end_reservation(call, &settle_call, reservation);
}

void allowance_settled(struct reservation *reservation)
{
    reservation->state = ENDED;
}

void allowance_used(struct reservation *reservation)
{
    if (reservation->state == RESERVED)
        reservation->state = USED;
}

void allowance_give_back(struct call *call, struct reservation *reservation)
{
    struct failure why = call->failure;

    if (reservation->state == ENDED)
        return;
    failure_clear(&call->failure);
    reservation->state = RESERVED; /* also where it cannot be ended yet */
    if (end_reservation(call, &give_back_call, reservation) == 0)
        reservation->state = ENDED;
    call->failure = why;
}

void quota_open(struct actor *self)
{
    actor = self;
    actor_every(self, "sweep the minute's windows", SWEEP_EVERY_US, SWEEP_BUDGET_US, sweep, NULL);
}

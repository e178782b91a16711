/* Codes by which another device becomes a user's: making, accepting, taking back, and marking those
 * whose time is over.
 *
 * A code's row is changed by who holds its user's row, and by the sweep, which skips what is
 * locked. Times are the database's. */
#include "code.h"
#include "base/time.h"
#include "device.h"
#include "handlers.h"
#include "owned.h"
#include "pair.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

enum {
    CODE_CHARS = 12,
    CODE_GROUP = 4,
    CODE_BYTES = CODE_CHARS + 3,
    TOKEN_BYTES = 32,
    CODE_TRIES = 8, /* for one that nobody has: the first is taken with one in 10^18 / codes */
    CODES_MOST = 3  /* that may be pending */
};

static const char alphabet[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
static_assert(sizeof(alphabet) == 32 + 1, "five bits of a byte choose a character evenly");

/* ---- making ---- */

/* A code for people, and a token of which the database keeps the hash. */
struct secret {
    char code[CODE_BYTES];
    char token[2 * TOKEN_BYTES + 1];
};

static int make_secret(struct call *call, struct secret *secret)
{
    unsigned char bytes[CODE_CHARS + TOKEN_BYTES];
    char *end = secret->code;

    if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != (ssize_t)sizeof(bytes))
        return fail(call, busy, "no random bytes: %s", strerror(errno));
    for (int i = 0; i < CODE_CHARS; i++) {
        if (i > 0 && i % CODE_GROUP == 0)
            *end++ = '-';
        *end++ = alphabet[bytes[i] & 31];
    }
    *end = '\0';
    for (int i = 0; i < TOKEN_BYTES; i++)
        snprintf(secret->token + 2 * i, 3, "%02x", bytes[CODE_CHARS + i]);
    return 0;
}

/* No row is made where three are pending, or where the code is somebody's. */
STATEMENT_WRITE(make_code,
                "with pending as (select count(*) as pending from device_link_codes"
                "                  where source_user_id = $1 and status = 'pending'"
                "                    and expires_at > now()),"
                " made as (insert into device_link_codes (code, display_code, source_user_id,"
                "                 source_device_id, expires_at, status)"
                "          select encode(sha256(convert_to($3, 'UTF8')), 'hex'), $4, $1, $2,"
                "                 now() + interval '5 minutes', 'pending'"
                "            from pending where pending < $5"
                "          on conflict do nothing returning display_code, expires_at)"
                " select pending, display_code, expires_at from pending left join made on true");

static int insert_code(struct call *call, int32_t device_id, struct rows *rows)
{
    struct secret secret;

    for (int tries = 0; tries < CODE_TRIES; tries++) {
        if (make_secret(call, &secret) != 0)
            return -1;
        if (db_query(call, &make_code,
                     PARAMS(p_i32(call->user_id), p_i32(device_id), p_str(str_of(secret.token)),
                            p_str(str_of(secret.code)), p_i32(CODES_MOST)),
                     rows) != 0)
            return -1;
        if (row_i64(rows, 0, "pending") >= CODES_MOST)
            return fail(call, too_many_link_codes, "user %" PRId32, call->user_id);
        if (!row_is_null(rows, 0, "display_code"))
            return 0;
    }
    return fail(call, internal, "no code was free");
}

int device_link_generate_link_code(struct call *call,
                                   const struct device_link_generate_link_code_in *in,
                                   struct device_link_generate_link_code_out *out)
{
    struct device device = {.user_agent = in->user_agent};
    struct recorded_device recorded;
    struct rows rows;

    if (owned_lock(call) != 0 || device_record(call, call->user_id, &device, &recorded) != 0 ||
        insert_code(call, recorded.id, &rows) != 0)
        return -1;
    row_fill(&rows, 0, &call->method->out, out);
    out->qr_data = out->display_code;
    return 0;
}

/* ---- accepting ---- */

/* The user of the code as it stands now; when it passes to another user, its own has gone. */
STATEMENT_WRITE(lock_linked,
                WITH_ME ","
                        " code as materialized (select id, source_user_id from device_link_codes"
                        "                        where display_code = upper($2)),"
                        " pair as (select id from me where id is not null"
                        "          union select source_user_id from code),"
                        " locked as (select users.id from users join pair using (id)"
                        "             order by users.id for update of users)"
                        " select me.id, me.kept, code.id as code_id, source_user_id,"
                        "        (select count(*) from locked) = (select count(*) from pair)"
                        "        as locked from me left join code on true");

STATEMENT_WRITE(lock_code, "select status, expires_at <= clock_timestamp() as over"
                           "  from device_link_codes where id = $1 for update");

STATEMENT_WRITE(expire_code, "update device_link_codes set status = 'expired' where id = $1");

/* The change of the status stays, although the caller is refused. */
static int refuse_expired(struct call *call, int32_t code_id)
{
    struct rows rows;

    if (db_query(call, &expire_code, PARAMS(p_i32(code_id)), &rows) != 0)
        return -1;
    return fail(call, link_code_expired, "code %" PRId32, code_id);
}

static int check_code(struct call *call, int32_t code_id)
{
    struct str status;
    struct rows rows;

    if (db_query(call, &lock_code, PARAMS(p_i32(code_id)), &rows) != 0)
        return -1;
    if (rows.count == 0)
        return fail(call, link_code_invalid, "code %" PRId32 " went", code_id);
    status = row_str(&rows, 0, "status");
    if (str_is(status, "used"))
        return fail(call, link_code_used, "code %" PRId32, code_id);
    if (str_is(status, "revoked"))
        return fail(call, link_code_revoked, "code %" PRId32, code_id);
    if (!str_is(status, "pending") || row_bool(&rows, 0, "over"))
        return refuse_expired(call, code_id);
    return 0;
}

STATEMENT_WRITE(use_code, "update device_link_codes set status = 'used',"
                          "       used_at = clock_timestamp(), target_user_id = $2,"
                          "       target_device_id = $3 where id = $1");

/* Records the caller's device and that the code brought it here. */
static int use(struct call *call, int32_t code_id, const struct device *device)
{
    struct recorded_device recorded;
    struct rows rows;

    if (device_record(call, call->user_id, device, &recorded) != 0)
        return -1;
    return db_query(call, &use_code,
                    PARAMS(p_i32(code_id), p_i32(call->user_id), p_i32(recorded.id)), &rows);
}

int device_link_accept_link_code(struct call *call,
                                 const struct device_link_accept_link_code_in *in,
                                 struct device_link_accept_link_code_out *out)
{
    struct device device = {in->user_agent, in->device_name, in->device_type};
    int32_t code_id, source_id;
    struct merged merged;
    struct rows rows;

    if (pair_lock(call, db_query_as_user, &lock_linked, PARAMS(p_str(in->code)), &rows) != 0)
        return -1;
    if (row_is_null(&rows, 0, "code_id"))
        return fail(call, link_code_invalid, "nobody has it");
    code_id = (int32_t)row_i64(&rows, 0, "code_id");
    source_id = (int32_t)row_i64(&rows, 0, "source_user_id");
    if (source_id == call->user_id)
        return fail(call, link_code_own, "code %" PRId32, code_id);
    if (check_code(call, code_id) != 0 || use(call, code_id, &device) != 0 ||
        pair_merge(call, source_id, call->user_id, &merged) != 0)
        return -1;
    out->success = true;
    out->new_anonymous_id = call->reply_user = merged.kept;
    out->message = STR("Devices linked successfully");
    return 0;
}

/* ---- taking back ---- */

STATEMENT_WRITE(revoke_codes,
                "with me as materialized (select users.id, kept from acting_user($1) as acting"
                "                           join users on users.id = acting.id"
                "                            for no key update of users),"
                " revoked as (update device_link_codes set status = 'revoked' from me"
                "              where source_user_id = me.id and status = 'pending' returning 1)"
                " select me.id, me.kept, (select count(*) from revoked) as count from me");

int device_link_revoke_user_codes(struct call *call,
                                  const struct device_link_revoke_user_codes_in *in,
                                  struct device_link_revoke_user_codes_out *out)
{
    struct rows rows;

    (void)in;
    if (db_query_as_user(call, &revoke_codes, NO_PARAMS, &rows) != 0)
        return -1;
    out->count = row_i64(&rows, 0, "count");
    out->message = arena_format(&call->arena, "Revoked %" PRId64 " pending link codes", out->count);
    return out->message.ptr != NULL ? 0 : fail(call, busy, "no memory left in the call");
}

/* ---- the sweep ---- */

STATEMENT_WRITE(expire_codes,
                "with over as (select id from device_link_codes"
                "               where status = 'pending' and expires_at <= now()"
                "                 for update skip locked),"
                " expired as (update device_link_codes as code set status = 'expired' from over"
                "              where code.id = over.id returning 1)"
                " select count(*) as count from expired");

int device_link_cleanup_expired_codes(struct call *call,
                                      const struct device_link_cleanup_expired_codes_in *in,
                                      struct device_link_cleanup_expired_codes_out *out)
{
    struct rows rows;

    (void)in;
    if (db_query(call, &expire_codes, NO_PARAMS, &rows) != 0)
        return -1;
    out->count = row_i64(&rows, 0, "count");
    return 0;
}

static int sweep(struct call *call, void *arg)
{
    struct rows rows;

    (void)arg;
    return db_query(call, &expire_codes, NO_PARAMS, &rows);
}

void code_open(struct actor *actor)
{
    actor_every(actor, "sweep of link codes", TIME_S(60), TIME_S(10), sweep, NULL);
}

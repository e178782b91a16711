/* From the mailbox to the reply: a call's fiber.
 *
 * The input is checked, the handler runs, what it left open is committed or rolled back, and only
 * then it is answered. A transaction that failed because of another one is run again. */
#include "base/stat.h"
#include "base/time.h"
#include "frame.h"
#include "inject.h"
#include "quota.h"
#include "runtime.h"
#include "tally.h"

enum { RUNS_MOST = 5 };

static const struct str empty_map = {"\x80", 1};

/* ---- before the handler ---- */

static int check_still_wanted(struct mail *mail)
{
    struct call *call = &mail->call;

    if (fiber_cancelled())
        return fail(call, cancelled, "before it began");
    if (time_now_us() < call->deadline_us)
        return 0;
    stat_add(&expired_total, 1);
    return fail(call, timeout, "before it began");
}

static int fail_invalid(struct call *call, struct check *check)
{
    struct str detail;

    if (check->no_memory)
        return fail(call, busy, "no memory for the input");
    detail = check_detail(check);
    if (detail.ptr == NULL)
        return fail(call, busy, "no memory for the input's faults");
    fail(call, invalid, "%zu inputs are not valid", check->count);
    call->failure.detail = detail;
    return -1;
}

/* Whether an input is a document, whose texts the handler judges. */
static bool takes_document(const struct method *method)
{
    for (size_t i = 0; i < method->in.count; i++)
        if (method->in.fields[i].document)
            return true;
    return false;
}

/* Reads the body with its values in `values`, for no longer than the check of the input. */
static int read_body(struct mail *mail, struct arena *values, void *in)
{
    struct call *call = &mail->call;
    msgpack_object map;
    const char *why;
    struct check check;

    if (msgpack_read_slowly(values, mail->body, takes_document(call->method), &map, &why) != 0)
        return why != NULL ? fail(call, malformed, "body: %s", why)
                           : fail(call, busy, "no memory for the body");
    if (map.type != MSGPACK_OBJECT_MAP)
        return fail(call, malformed, "body: it is not a map");
    check_init(&check, &call->arena, false);
    check.body = &map;
    check.bytes = mail->body;
    check_inputs(&check, &call->method->in, &map, in);
    return check.count == 0 && !check.no_memory ? 0 : fail_invalid(call, &check);
}

static int read_input(struct mail *mail, void *in)
{
    struct arena values;
    int result;

    arena_init(&values, (size_t)mail->actor->options.call_memory);
    result = read_body(mail, &values, in);
    arena_clear(&values);
    return result;
}

static int check_user(struct call *call)
{
    if (call->method->who != WHO_user || call->user.ptr != NULL)
        return 0;
    return fail(call, unknown_user, "no user is named");
}

/* ---- the handler and its transaction ---- */

/* Commits or rolls back what the handler left open; a kept fault commits too. */
static int finish(struct call *call, int result)
{
    bool commit = result == 0 || call->failure.fault->kept;

    if (result == 0)
        failure_clear(&call->failure); /* of what it tried and could do without */
    return db_finish(call, commit) != 0 ? -1 : result;
}

static int run_once(struct mail *mail, const void *in, void *out)
{
    struct call *call = &mail->call;
    int result;

    memset(out, 0, call->method->out.size_bytes);
    result = mail->handler->run(call, in, out);
    call_scope_keep(call);
    if (result != 0 && call->failure.fault == NULL)
        fail(call, internal, "the handler did not say why it failed");
    return finish(call, result != 0 ? -1 : 0);
}

/* `steps` retry each of their transactions themselves; what was sent cannot be taken back. */
static bool may_run_again(const struct mail *mail, int runs)
{
    const struct call *call = &mail->call;

    if (call->method->kind == KIND_steps || call->method->kind == KIND_stream || mail->pieces > 0)
        return false;
    return runs < RUNS_MOST && db_may_retry(call) && time_now_us() < call->deadline_us;
}

static int run(struct mail *mail, const void *in, void *out)
{
    struct call *call = &mail->call;

    db_attach(call, mail->actor->pool);
    if (call->failure.fault != NULL || quota_count(call) != 0 || check_user(call) != 0)
        return -1;
    for (int runs = 1; run_once(mail, in, out) != 0; runs++) {
        if (!may_run_again(mail, runs))
            return -1;
        failure_clear(&call->failure);
        call->reply_user = call->reply_validator = NO_STR;
        call->reply_public = call->reply_not_modified = false;
    }
    return 0;
}

/* NULL when the call failed, else its output. */
static void *handle(struct mail *mail)
{
    struct call *call = &mail->call;
    void *in, *out;

    if (check_still_wanted(mail) != 0)
        return NULL;
    in = arena_zalloc(&call->arena, call->method->in.size_bytes);
    out = arena_alloc(&call->arena, call->method->out.size_bytes);
    if (in == NULL || out == NULL || INJECT(input_refused_memory)) {
        fail(call, busy, "no memory for input and output");
        return NULL;
    }
    if (read_input(mail, in) != 0)
        return NULL;
    INJECT_WAIT(handler_slow, time_now_us() + TIME_MS(300));
    return run(mail, in, out) == 0 ? out : NULL;
}

/* ---- after it ---- */

/* Nobody took it back: it was cut because a drain took too long. */
static void tell_leaving(struct call *call)
{
    failure_clear(&call->failure);
    fail(call, leaving, "it did not end within the drain");
}

static struct common_reply header_of(const struct mail *mail)
{
    const struct call *call = &mail->call;
    struct common_reply reply = {.v = WIRE_VERSION, .id = mail->id, .user = call->reply_user};

    if (call->reply_rate.limit > 0)
        reply.rate = &call->reply_rate;

    if (call->failure.fault != NULL) {
        reply.status = str_of(call->failure.fault->name);
        return reply;
    }
    reply.status = call->reply_not_modified ? STR("not_modified") : STR("ok");
    reply.validator = call->reply_validator;
    reply.public = call->reply_public;
    return reply;
}

/* What was done stays done when its answer cannot be told, and nobody is told that it was not. */
static void fail_output(struct call *call)
{
    if (call->db != NULL && call->db->has_committed)
        fail(call, outcome_unknown, "it was done, and its answer does not fit into memory");
    else
        fail(call, internal, "the answer is larger than %d bytes, or than the call's memory",
             WIRE_MOST_BODY_BYTES);
}

/* The output, or the fault. */
static struct str encode_body(struct call *call, const void *out)
{
    struct buffer body;

    buffer_init(&body, &call->arena, WIRE_MOST_BODY_BYTES);
    if (call->failure.fault == NULL && call->reply_not_modified)
        return empty_map;
    if (call->failure.fault == NULL) {
        codec_encode(&body, &call->method->out, out);
        if (!body.failed && !INJECT(output_refused_memory))
            return buffer_str(&body);
        fail_output(call);
        buffer_init(&body, &call->arena, WIRE_MOST_DETAIL_BYTES);
    }
    frame_fault_body(&body, &call->failure);
    return body.failed ? empty_map : buffer_str(&body);
}

static void give(struct mail *mail, const struct common_reply *reply, struct str body)
{
    if (mail->pieces > 0)
        pieces_end(mail, reply, body);
    else
        reply_send(mail->actor, &mail->from, reply, body);
}

static void answer(struct mail *mail, const void *out)
{
    struct str body = encode_body(&mail->call, out);
    struct common_reply reply = header_of(mail);

    INJECT_WAIT(reply_late, mail->call.deadline_us + TIME_MS(500));
    if (INJECT(reply_wrong_id))
        reply.id ^= INT64_C(1) << 50;
    if (INJECT(reply_twice))
        give(mail, &reply, body);
    if (!INJECT(reply_dropped))
        give(mail, &reply, body);
}

static void log_end(struct mail *mail, int64_t took_us)
{
    const struct failure *failure = &mail->call.failure;

    if (failure->fault == NULL)
        log_debug(&mail->call, "ok in %lld us, of these %lld in the database", (long long)took_us,
                  (long long)mail->call.database_us);
    else if (failure->fault == &fault_internal || failure->fault == &fault_outcome_unknown)
        log_warn(&mail->call, "%s: %s (%s:%d)", failure->fault->name, failure->text, failure->file,
                 failure->line);
    else
        log_debug(&mail->call, "%s: %s", failure->fault->name, failure->text);
}

/* The mail stands in its own call's arena, which is the last to go. */
static void mail_end(struct mail *mail)
{
    struct arena arena = mail->call.arena;

    arena_init(&mail->call.arena, 0);
    mailbox_remove(&mail->actor->mailbox, mail);
    call_close(&mail->call);
    arena_clear(&arena);
}

void handle_mail(void *arg)
{
    struct mail *mail = arg;
    struct call *call = &mail->call;
    const void *out;
    int64_t took_us;

    fiber_announce(call->method->name, call->log.trace);
    out = handle(mail);
    if (failed_with(&call->failure, &fault_cancelled) && !mail->left)
        tell_leaving(call);
    answer(mail, out);
    took_us = time_now_us() - mail->came_us;
    tally_ended((unsigned)(mail->handler - mail->actor->domain->handlers), call->failure.fault,
                took_us);
    log_end(mail, took_us);
    mail_end(mail);
}

/* From the socket to the mailbox: what comes in is read, refused at once or given a fiber.
 *
 * A message's header is copied into a new arena, which becomes its call's. Nothing that a peer
 * sends ends more than its own message: it is answered with a fault where an id could be read, and
 * counted where not. */
#include "base/stat.h"
#include "base/time.h"
#include "frame.h"
#include "inject.h"
#include "runtime.h"
#include "tally.h"
#include "text.h"
#include <inttypes.h>

enum {
    BUDGET_MOST_MS = 600000,
    BUDGET_READ_MS = 5000,
    BUDGET_MS = 10000,
    BUDGET_STREAM_MS = 300000
};

/* A message that came, as far as it is read. */
struct arrival {
    struct actor *actor;           /* which got it */
    const struct link_peer *from;  /* who sent it */
    uint64_t peer_hash;            /* of `from` */
    int64_t came_us;               /* when it came; at the earliest, where that is not known */
    int64_t now_us;                /* when it was taken */
    struct arena arena;            /* the call's, once it is one */
    struct common_request request; /* its header; texts in the arena */
    struct str body;               /* ZeroMQ's bytes */
    size_t bytes;                  /* of both frames */
    bool has_id;                   /* there is somebody to answer */
    struct failure failure;        /* why it is refused */
};

/* ---- what is no call ---- */

static void answer_ping(struct arrival *arrival)
{
    struct actor *actor = arrival->actor;
    const char *missing = NULL;
    bool ready = !actor->draining && pool_ready(actor->pool, &missing);
    struct common_pong pong = {.domain = str_of(actor->domain->name),
                               .ready = ready,
                               .missing = str_of(ready ? NULL : missing),
                               .outstanding = actor->mailbox.count};
    struct common_reply reply = {.v = WIRE_VERSION, .id = arrival->request.id, .status = STR("ok")};
    struct buffer body;

    if (actor->draining)
        pong.missing = STR("leaving");
    buffer_init(&body, &arrival->arena, WIRE_MOST_HEADER_BYTES);
    codec_encode(&body, &record_common_pong, &pong);
    if (!body.failed)
        reply_send(actor, arrival->from, &reply, buffer_str(&body));
}

static struct mail *find(const struct arrival *arrival)
{
    int64_t id = arrival->request.id;

    return mailbox_find(&arrival->actor->mailbox, mail_hash(arrival->peer_hash, id), arrival->from,
                        id);
}

/* What is not a call. -1: refused. */
static int take_op(struct arrival *arrival)
{
    struct str op = arrival->request.op;
    struct mail *mail;

    if (str_is(op, "ping")) {
        answer_ping(arrival);
        return 0;
    }
    if (str_is(op, "cancel")) {
        mail = find(arrival);
        if (mail != NULL) {
            mail->left = true;
            fiber_cancel(mail->call.fiber);
        }
        return 0;
    }
    if (str_is(op, "credit")) {
        mail = find(arrival);
        if (mail != NULL)
            pieces_grant(mail, arrival->request.credit);
        return 0;
    }
    return fail(arrival, malformed, "op: there is no %.*s", STR_ARG(op));
}

/* ---- a call ---- */

static int64_t budget_us(const struct method *method, int64_t asked_ms)
{
    if (asked_ms != INT_ABSENT && asked_ms <= 0)
        return 0;
    if (asked_ms != INT_ABSENT)
        return TIME_MS(asked_ms < BUDGET_MOST_MS ? asked_ms : BUDGET_MOST_MS);
    if (method->budget_ms > 0)
        return TIME_MS(method->budget_ms);
    if (method->pieces)
        return TIME_MS(BUDGET_STREAM_MS);
    switch (method->kind) {
    case KIND_read:
        return TIME_MS(BUDGET_READ_MS);
    case KIND_stream:
        return TIME_MS(BUDGET_STREAM_MS);
    default:
        return TIME_MS(BUDGET_MS);
    }
}

static int64_t deadline_us(const struct arrival *arrival, const struct method *method)
{
    return arrival->came_us + budget_us(method, arrival->request.budget);
}

static const struct handler *find_handler(struct arrival *arrival)
{
    struct str name = arrival->request.method;
    const struct method *method = name.ptr != NULL ? contract_method(name) : NULL;
    const struct handler *handler =
        method != NULL ? arrival->actor->by_method[method->number] : NULL;

    if (name.ptr == NULL)
        fail(arrival, malformed, "method: it is missing");
    else if (handler == NULL)
        fail(arrival, unknown_message, "%.*s", STR_ARG(name));
    return handler;
}

static int check_room(struct arrival *arrival, const struct handler *handler)
{
    const struct actor *actor = arrival->actor;

    if (actor->draining)
        return fail(arrival, leaving, "draining");
    if (!mailbox_has_room(&actor->mailbox, arrival->bytes)) {
        stat_add(&busy_total, 1);
        return fail(arrival, busy, "%u calls and %zu bytes are in the mailbox",
                    actor->mailbox.count, actor->mailbox.bytes);
    }
    if (find(arrival) != NULL)
        return fail(arrival, malformed, "id: %" PRId64 " is in flight", arrival->request.id);
    if (deadline_us(arrival, handler->method) <= arrival->now_us) {
        stat_add(&expired_total, 1);
        return fail(arrival, timeout, "it came without time");
    }
    return 0;
}

/* Something that is no user's id names nobody. */
static struct str user_of(const struct common_request *request)
{
    return request->user.ptr != NULL && text_is_uuid(request->user) ? request->user : NO_STR;
}

static void fill_call(struct call *call, const struct arrival *arrival, const struct method *method)
{
    const struct common_request *request = &arrival->request;

    call_init(call, method, 0);
    call->arena = arrival->arena;
    call->deadline_us = deadline_us(arrival, method);
    call->user = user_of(request);
    call->client = request->client;
    call->by_client = request->by_client;
    call->validator = request->validator;
    if (request->trace.ptr != NULL)
        call->log.trace = arena_copy(&call->arena, request->trace).ptr;
}

/* The mail in its own arena, or NULL; the arrival's arena is then still its own. */
static struct mail *mail_new(struct arrival *arrival, const struct handler *handler)
{
    struct mail *mail = arena_alloc(&arrival->arena, sizeof(*mail));
    struct str body = arena_copy(&arrival->arena, arrival->body);

    if (mail == NULL || body.ptr == NULL || INJECT(call_refused_memory))
        return NULL;
    *mail = (struct mail){.actor = arrival->actor,
                          .handler = handler,
                          .body = body,
                          .id = arrival->request.id,
                          .hash = mail_hash(arrival->peer_hash, arrival->request.id),
                          .bytes = arrival->bytes,
                          .came_us = arrival->came_us,
                          .credit = arrival->request.credit};
    fill_call(&mail->call, arrival, handler->method);
    peer_copy(&mail->from, arrival->from);
    return mail;
}

/* On success the arena has gone over to the mail's call. */
static int take_call(struct arrival *arrival)
{
    const struct handler *handler = find_handler(arrival);
    struct mail *mail;

    if (handler == NULL || check_room(arrival, handler) != 0)
        return -1;
    mail = mail_new(arrival, handler);
    if (mail == NULL)
        return fail(arrival, busy, "no memory for the call");
    mail->call.fiber = INJECT(call_refused_fiber) ? NULL : fiber_start(handle_mail, mail);
    if (mail->call.fiber == NULL) {
        arrival->arena = mail->call.arena;
        stat_add(&busy_total, 1);
        return fail(arrival, busy, "no fiber for the call");
    }
    mailbox_add(&arrival->actor->mailbox, mail);
    arena_init(&arrival->arena, 0);
    return 0;
}

/* ---- what comes in ---- */

/* Reads the header. -1: refused. */
static int read_header(struct arrival *arrival, struct str header)
{
    struct common_request *request = &arrival->request;
    struct str copy = header;
    const char *why;

    if (header.len <= WIRE_MOST_HEADER_BYTES)
        copy = arena_copy(&arrival->arena, header);
    if (copy.ptr == NULL)
        return fail(arrival, busy, "no memory for the header");
    why = frame_read_request(&arrival->arena, copy, request);
    arrival->has_id = why == NULL || request->id > 0;
    if (request->v > WIRE_VERSION)
        return fail(arrival, unsupported_version,
                    "version %" PRId64 " of the wire is not known here, which speaks %d",
                    request->v, WIRE_VERSION);
    return why == NULL ? 0 : fail(arrival, malformed, "%s", why);
}

static int take(struct arrival *arrival, struct str header)
{
    if (read_header(arrival, header) != 0)
        return -1;
    return arrival->request.op.ptr != NULL ? take_op(arrival) : take_call(arrival);
}

static void refuse(struct arrival *arrival)
{
    const struct failure *failure = &arrival->failure;

    if (!arrival->has_id) {
        stat_add(&garbage_total, 1);
        log_debug(&process, "a message without an id: %s", failure->text);
        return;
    }
    log_debug(&process, "refused with %s: %s", failure->fault->name, failure->text);
    reply_fault(arrival->actor, arrival->from, arrival->request.id, failure);
}

static void received(void *arg, const struct link_peer *from, struct str header, struct str body)
{
    struct arrival arrival = {.actor = arg, .from = from, .body = body};

    arrival.now_us = arrival.actor->heard_us = time_now_us();
    arrival.came_us =
        arrival.now_us - standstill_age_us(&arrival.actor->standstill, arrival.now_us);
    arrival.peer_hash = peer_hash(from);
    arrival.bytes = header.len + body.len;
    peers_heard(&arrival.actor->peers, from, arrival.peer_hash, arrival.now_us);
    arena_init(&arrival.arena, (size_t)arrival.actor->options.call_memory);
    if (take(&arrival, header) != 0)
        refuse(&arrival);
    arena_clear(&arrival.arena);
}

static void garbage(void *arg, const struct link_peer *from, size_t frames)
{
    (void)arg, (void)from;
    stat_add(&garbage_total, 1);
    log_debug(&process, "a message of %zu frames", frames);
}

static void dropped(void *arg)
{
    (void)arg;
    stat_add(&replies_dropped_total, 1);
}

const struct link_events admit_events = {
    .received = received, .garbage = garbage, .dropped = dropped};

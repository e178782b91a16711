/* The calls of an instance stand in a list, so that all of them can be ended, and in the table of
 * pending ids, by which replies find them. A reply is taken only from the instance that was asked.
 */
#include "instance.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/stat.h"
#include "base/time.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADER_BYTES = 1024, SCRATCH_BYTES = 256 * 1024 };

#define PING_US TIME_S(1)          /* between two pings of one that answers */
#define PING_AGAIN_US TIME_MS(200) /* of one that has not answered yet, or is not ready */
#define SILENT_US TIME_S(3)
#define STILL_US TIME_S(1) /* between two ticks: this process stood still */

STAT(wire_late_replies_total, counter, "Replies that nobody waited for any more.");
STAT(wire_garbage_total, counter, "Frames from actors that are no reply.");

void instance_register_stats(void)
{
    stat_register(&wire_late_replies_total);
    stat_register(&wire_garbage_total);
}

/* ---- the calls that are outstanding ---- */

static void list_add(struct instance *instance, struct outstanding *call)
{
    call->instance = instance;
    call->before = instance->ends.before;
    call->after = &instance->ends;
    call->before->after = call->after->before = call;
    instance->calls++;
    instance->bytes += call->bytes;
}

static void list_remove(struct outstanding *call)
{
    struct instance *instance = call->instance;

    call->before->after = call->after;
    call->after->before = call->before;
    call->before = call->after = NULL;
    call->instance = NULL;
    instance->calls--;
    instance->bytes -= call->bytes;
    pending_remove(instance->limits->pending, call->id);
}

static void end_all(struct instance *instance)
{
    while (instance->ends.after != &instance->ends) {
        struct outstanding *call = instance->ends.after;

        list_remove(call);
        call->lost(call);
    }
}

static void forget_ping(struct instance *instance)
{
    if (instance->ping_id != 0)
        pending_remove(instance->limits->pending, instance->ping_id);
    instance->ping_id = 0;
}

/* ---- what comes in ---- */

static void take_pong(struct instance *instance, struct arena *scratch, struct str body)
{
    struct common_pong pong;
    size_t len;

    forget_ping(instance);
    if (codec_decode(scratch, &record_common_pong, body, &pong) != NULL) {
        stat_add(&wire_garbage_total, 1);
        return;
    }
    if (instance->silent)
        log_info(&process, "actor %s answers", instance->name);
    instance->answered_us = time_now_us();
    instance->silent = false;
    instance->ready = pong.ready;
    len = pong.missing.ptr != NULL && !pong.ready ? pong.missing.len : 0;
    if (len >= sizeof(instance->missing))
        len = sizeof(instance->missing) - 1;
    memcpy(instance->missing, len > 0 ? pong.missing.ptr : "", len);
    instance->missing[len] = '\0';
}

static void take_leaving(struct instance *instance)
{
    if (!instance->leaving)
        log_info(&process, "actor %s is leaving", instance->name);
    instance->leaving = true;
}

static void take_reply(struct instance *instance, const struct common_reply *reply, struct str body)
{
    struct outstanding *call = pending_find(instance->limits->pending, reply->id);

    if (call == NULL || call->instance != instance) {
        stat_add(&wire_late_replies_total, 1);
        return;
    }
    if (call->more != NULL && str_is(reply->status, "more")) {
        call->more(call, reply, body);
        return;
    }
    list_remove(call);
    if (str_is(reply->status, "leaving"))
        take_leaving(instance);
    call->arrived(call, reply, body);
}

static void received(void *arg, const struct link_peer *from, struct str header, struct str body)
{
    struct instance *instance = arg;
    struct common_reply reply;
    struct arena scratch;
    const char *why;

    (void)from;
    arena_init(&scratch, SCRATCH_BYTES);
    why = frame_read_reply(&scratch, header, &reply);
    if (why != NULL && reply.id == 0) {
        stat_add(&wire_garbage_total, 1);
        log_warn(&process, "actor %s sent a header that is none: %s", instance->name, why);
    } else if (reply.id == 0) {
        if (str_is(reply.status, "leaving"))
            take_leaving(instance);
    } else if (reply.id == instance->ping_id) {
        take_pong(instance, &scratch, body);
    } else {
        if (why != NULL)
            reply.status = NO_STR;
        take_reply(instance, &reply, body);
    }
    arena_clear(&scratch);
}

static void garbage(void *arg, const struct link_peer *from, size_t frames)
{
    const struct instance *instance = arg;

    (void)from;
    stat_add(&wire_garbage_total, 1);
    log_warn(&process, "actor %s sent a message of %zu frames", instance->name, frames);
}

/* ---- coming, going, answering ---- */

static int send_op(struct instance *instance, int64_t id, struct str op, int64_t credit)
{
    struct common_request request = {
        .v = WIRE_VERSION, .id = id, .op = op, .budget = INT_ABSENT, .credit = credit};
    char room[HEADER_BYTES];
    struct buffer header;

    buffer_init(&header, NULL, sizeof(room));
    header.data = room;
    header.room = sizeof(room);
    frame_request(&header, &request);
    assert(!header.failed && header.data == room);
    return link_send(instance->link, NULL, buffer_str(&header), STR("\x80"));
}

static void ping(struct instance *instance, int64_t now_us)
{
    forget_ping(instance);
    instance->asked_us = now_us;
    instance->ping_id = pending_add(instance->limits->pending, instance);
    if (instance->ping_id != 0 &&
        send_op(instance, instance->ping_id, STR("ping"), INT_ABSENT) != 0)
        forget_ping(instance);
}

static void here(void *arg)
{
    struct instance *instance = arg;

    instance->connected = true;
    instance->leaving = false;
    ping(instance, time_now_us());
}

static void gone(void *arg)
{
    struct instance *instance = arg;

    if (instance->connected)
        log_info(&process, "actor %s is gone, %u calls were outstanding", instance->name,
                 instance->calls);
    instance->connected = instance->ready = false;
    instance->silent = true;
    instance->missing[0] = '\0';
    forget_ping(instance);
    end_all(instance);
}

/* A call did not go out after all, and nothing says which one: whoever waits for this actor asks
 * another, as when it is gone. It is asked at once how it is. */
static void dropped(void *arg)
{
    struct instance *instance = arg;

    instance->silent = true; /* until the next pong */
    end_all(instance);
    if (instance->connected)
        ping(instance, time_now_us());
}

/* What passed while this process stood still is not the actor's silence: its answers may lie in
 * the socket, which is looked at after the timers. */
static void forgive_standstill(struct instance *instance, int64_t now_us)
{
    int64_t since_us = now_us - instance->ticked_us;

    if (instance->ticked_us != 0 && since_us > STILL_US)
        instance->answered_us += since_us;
    instance->ticked_us = now_us;
}

void instance_tick(struct instance *instance, int64_t now_us)
{
    int64_t period_us = instance->silent || !instance->ready ? PING_AGAIN_US : PING_US;

    forgive_standstill(instance, now_us);
    if (!instance->connected)
        return;
    if (!instance->silent && now_us - instance->answered_us > SILENT_US) {
        log_warn(&process, "actor %s does not answer", instance->name);
        instance->silent = true;
    }
    if (now_us - instance->asked_us >= period_us)
        ping(instance, now_us);
}

/* FNV-1a with a last mixing: the same in every gateway. */
static uint64_t hash_of(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3U;
    return hash ^ hash >> 32;
}

struct instance *instance_open(const char *name, const char *endpoint,
                               const struct instance_limits *limits)
{
    static const struct link_events events = {
        .received = received, .garbage = garbage, .dropped = dropped, .here = here, .gone = gone};
    struct instance *instance = calloc(1, sizeof(*instance));

    if (instance == NULL) {
        log_error(&process, "no memory for actor %s", name);
        return NULL;
    }
    snprintf(instance->name, sizeof(instance->name), "%s", name);
    instance->hash = hash_of(name);
    instance->limits = limits;
    instance->silent = true;
    instance->ends.before = instance->ends.after = &instance->ends;
    instance->link = link_connect(endpoint, WIRE_MOST_BODY_BYTES, &events, instance);
    if (instance->link != NULL)
        return instance;
    log_error(&process, "cannot connect to actor %s at %s: %s", name, endpoint, strerror(errno));
    free(instance);
    return NULL;
}

void instance_close(struct instance *instance)
{
    forget_ping(instance);
    link_close(&instance->link);
    end_all(instance);
    loop_free_later(instance);
}

/* ---- calls ---- */

bool instance_usable(const struct instance *instance)
{
    return instance->connected && !instance->silent && !instance->leaving && !instance->retired;
}

bool instance_has_room(const struct instance *instance, size_t bytes)
{
    return instance->calls < instance->limits->calls &&
           bytes <= instance->limits->bytes - instance->bytes;
}

int instance_send(struct instance *instance, struct outstanding *call,
                  struct common_request *request, struct str body)
{
    char room[HEADER_BYTES];
    struct buffer header;

    assert(call->instance == NULL);
    if (!instance->connected) {
        errno = EHOSTUNREACH;
        return -1;
    }
    call->id = pending_add(instance->limits->pending, call);
    if (call->id == 0) {
        errno = ENOBUFS;
        return -1;
    }
    request->v = WIRE_VERSION;
    request->id = call->id;
    buffer_init(&header, NULL, sizeof(room));
    header.data = room;
    header.room = sizeof(room);
    frame_request(&header, request);
    if (header.failed || body.len > WIRE_MOST_BODY_BYTES) {
        errno = EMSGSIZE;
        pending_remove(instance->limits->pending, call->id);
        return -1;
    }
    call->bytes = header.len + body.len;
    list_add(instance, call);
    link_post(instance->link, NULL, buffer_str(&header), body);
    return 0;
}

void instance_grant(struct outstanding *call, size_t bytes)
{
    struct instance *instance = call->instance;

    if (instance != NULL && send_op(instance, call->id, STR("credit"), (int64_t)bytes) != 0)
        log_debug(&process, "credit for %lld did not reach %s", (long long)call->id,
                  instance->name);
}

void instance_forget(struct outstanding *call, bool cancel)
{
    struct instance *instance = call->instance;

    if (instance == NULL)
        return;
    list_remove(call);
    if (cancel && send_op(instance, call->id, STR("cancel"), INT_ABSENT) != 0)
        log_debug(&process, "cancel of %lld did not reach %s", (long long)call->id, instance->name);
}

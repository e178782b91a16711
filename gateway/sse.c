/* Events of a stream; see sse.h. */
#include "sse.h"
#include "base/loop.h"
#include "base/time.h"
#include "json.h"
#include "reply.h"

enum { EVENT_BYTES = 4 * 1024 * 1024 };

#define PING_EVERY_S 15.

struct sse {
    struct exchange *exchange; /* that is answered */
    struct buffer text;        /* an event, on the heap */
    ev_timer ping;             /* since the last one */
};

/* ---- writing ---- */

static void begin(struct sse *sse)
{
    reply_begin(sse->exchange, STR("text/event-stream; charset=utf-8"),
                STR("Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"), NO_STR);
}

static void write_text(struct sse *sse)
{
    struct connection *connection = sse->exchange->connection;

    if (connection != NULL)
        (void)connection_write(connection, buffer_str(&sse->text));
    sse->text.len = 0;
    ev_timer_again(loop_get(), &sse->ping);
}

static void on_ping(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct sse *sse = timer->data;

    (void)loop, (void)events;
    if (sse->exchange->connection != NULL)
        (void)connection_write(sse->exchange->connection, STR(": ping\n\n"));
}

static void begin_event(struct sse *sse, struct str name)
{
    buffer_add_text(&sse->text, "event: ");
    buffer_add_str(&sse->text, name);
    buffer_add_text(&sse->text, "\ndata: ");
}

static int end_event(struct sse *sse)
{
    buffer_add_text(&sse->text, "\n\n");
    return sse->text.failed ? fail(sse->exchange, busy, "no memory for an event") : 0;
}

/* ---- events ---- */

static const struct record *event_of(const struct method *method, struct str name)
{
    for (size_t i = 0; method->events[i] != NULL; i++)
        if (str_is(name, method->events[i]->name))
            return method->events[i];
    return NULL;
}

/* {"<name>": {…}} as an event; the empty map, which says that it was accepted, is none. */
static int add_event(struct sse *sse, const msgpack_object *map)
{
    const msgpack_object_kv *only;
    const struct record *record;
    struct str name;

    if (map->type != MSGPACK_OBJECT_MAP || map->via.map.size > 1)
        return fail(sse->exchange, internal, "a reply is no event");
    if (map->via.map.size == 0)
        return 0;
    only = map->via.map.ptr;
    name = only->key.type == MSGPACK_OBJECT_STR
               ? (struct str){only->key.via.str.ptr, only->key.via.str.size}
               : NO_STR;
    record = event_of(sse->exchange->method, name);
    if (record == NULL)
        return fail(sse->exchange, internal, "an event that the contract does not know");
    begin_event(sse, name);
    if (json_write_record(&sse->text, record, &only->val) != 0)
        return fail(sse->exchange, internal, "an event lacks what the contract promises");
    return end_event(sse);
}

static int add_done(struct sse *sse, const msgpack_object *output)
{
    begin_event(sse, STR("done"));
    if (json_write_record(&sse->text, &sse->exchange->method->out, output) != 0)
        return fail(sse->exchange, internal, "an output lacks what the contract promises");
    return end_event(sse);
}

/* Reads a body and adds what it says. */
static int add(struct sse *sse, struct str body,
               int (*add_value)(struct sse *sse, const msgpack_object *value))
{
    struct arena values;
    msgpack_object value;
    const char *why;
    int error;

    arena_init(&values, EVENT_BYTES);
    if (msgpack_read(&values, body, &value, &why) == 0)
        error = add_value(sse, &value);
    else
        error = fail(sse->exchange, internal, "an event is no msgpack: %s",
                     why != NULL ? why : "no memory");
    arena_clear(&values);
    return error;
}

static void add_error(struct sse *sse, const struct fault *fault)
{
    sse->text.len = 0;
    sse->text.failed = false;
    begin_event(sse, STR("error"));
    buffer_add_text(&sse->text, "{\"error\":");
    json_write_str(&sse->text, str_of(fault->text != NULL ? fault->text : fault->name));
    if (fault->error_type != NULL) {
        buffer_add_text(&sse->text, ",\"error_type\":");
        json_write_str(&sse->text, str_of(fault->error_type));
    }
    buffer_add_text(&sse->text, "}\n\n");
}

/* ---- the stream ---- */

/* Until the client has taken what was written. That the actor was lost is told behind the events
 * that had come. */
static int await_client(struct sse *sse)
{
    struct exchange *exchange = sse->exchange;
    enum wake why = WAKE_DONE;

    while (exchange->connection != NULL && why != WAKE_CANCEL) {
        size_t waiting = connection_write(exchange->connection, NO_STR);

        if (waiting == 0)
            return 0;
        if (waiting == SIZE_MAX)
            break;
        if (why == WAKE_TIMEOUT)
            return fail(exchange, timeout, "the client is too slow");
        why = fiber_wait(exchange->trip.deadline_us);
    }
    return fail(exchange, cancelled, "the client left");
}

/* Passes on event after event; 0 when the last reply is there. */
static int pass_on(struct sse *sse)
{
    struct trip *trip = &sse->exchange->trip;
    struct str piece;

    for (;;) {
        if (trip_next(trip, &piece) != 0) {
            sse->exchange->failure = trip->failure;
            return -1;
        }
        if (piece.ptr == NULL)
            return 0;
        if (add(sse, piece, add_event) != 0)
            return -1;
        if (sse->text.len > 0)
            write_text(sse);
        if (await_client(sse) != 0)
            return -1;
    }
}

static int finish(struct sse *sse)
{
    struct exchange *exchange = sse->exchange;

    if (exchange->trip.fault != NULL)
        return fail_at(&exchange->failure, exchange->trip.fault, __FILE__, __LINE__,
                       "the actor failed within its stream");
    return add(sse, exchange->trip.reply_body, add_done);
}

/* The last event, where somebody still listens. */
static void end(struct sse *sse, int error)
{
    struct exchange *exchange = sse->exchange;
    struct connection *connection = exchange->connection;

    if (connection == NULL)
        return;
    if (error != 0) {
        log_info(exchange, "a stream ends with %s: %s", exchange->failure.fault->name,
                 exchange->failure.text);
        add_error(sse, exchange->failure.fault);
    }
    write_text(sse);
    exchange->connection = NULL;
    connection_end(connection);
}

void sse_run(struct exchange *exchange)
{
    struct sse sse = {.exchange = exchange};
    int error;

    exchange->trip.deadline_us = exchange->begun_us + exchange->setup->options->stream_deadline;
    buffer_init(&sse.text, NULL, EVENT_BYTES);
    ev_timer_init(&sse.ping, on_ping, PING_EVERY_S, PING_EVERY_S);
    sse.ping.data = &sse;
    ev_timer_start(loop_get(), &sse.ping);
    begin(&sse);
    error = pass_on(&sse);
    if (error == 0)
        error = finish(&sse);
    end(&sse, error);
    ev_timer_stop(loop_get(), &sse.ping);
    buffer_free(&sse.text);
}

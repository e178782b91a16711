/* The handler of connections, and the fiber of each request.
 *
 * on_head() decides what the head alone decides: the route, and whether the body may come. The
 * exchange lives in its own arena from then until its fiber ends, which is after the answer, or
 * after the client left and the fiber noticed. */
#include "exchange.h"
#include "base/stat.h"
#include "base/time.h"
#include "http_value.h"
#include "inject.h"
#include "intake.h"
#include "json.h"
#include "reply.h"
#include "service.h"
#include "sse.h"
#include "stream.h"
#include "text.h"
#include <assert.h>
#include <stdio.h>

enum {
    LEAST_BYTES = 4 * 1024 * 1024,
    BYTES_A_BODY_BYTE = 4, /* the checked and the encoded input */
    REPLY_BYTES = 128 * 1024 * 1024,
    TARGET_FIELDS_BYTES = HTTP_TARGET_BYTES + 64,
    REFUSAL_BYTES = 256,
    TRIES_MOST = 4 /* of a request whose user was merged */
};

/* How long an answer is served before its validator is asked for again: with the time that an actor
 * takes to see a new import, less than a minute. */
#define CACHE_FRESH_US TIME_S(30)

static struct {
    const struct exchange_setup *setup;
    unsigned count; /* exchanges in flight */
} exchanges;

STAT_LABELED(exchange_seconds, histogram, "method", "From the read request to its answer.");
STAT_LABELED(guard_refused_total, counter, "limit", "Requests over a limit of a minute.");
STAT(crowded_total, counter, "Requests refused at once: each actor had enough to do.");
STAT(cache_hits_total, counter, "Answers from the cache that no actor was asked for.");
STAT(cache_bytes_held, gauge, "Bytes of answers in the cache.");
STAT(exchanges_in_flight, gauge, "Requests that wait for their answer.");

/* ---- the life of an exchange ---- */

static struct exchange *exchange_new(struct connection *connection, const struct http_head *head,
                                     const struct route_match *match)
{
    struct arena arena;
    struct exchange *exchange;

    arena_init(&arena, LEAST_BYTES);
    exchange = INJECT(request_no_memory) ? NULL : arena_zalloc(&arena, sizeof(*exchange));
    if (exchange == NULL)
        return NULL;
    exchange->arena = arena;
    exchange->setup = exchanges.setup;
    exchange->connection = connection;
    exchange->method = match->method;
    exchange->own = match->own;
    exchange->fields = headers_for(exchanges.setup->headers, http_field(head, "origin"));
    exchanges.count++;
    return exchange;
}

static void exchange_end(struct exchange *exchange)
{
    struct arena arena = exchange->arena;

    trip_leave(&exchange->trip);
    if (exchange->method != NULL && exchange->begun_us != 0)
        stat_observe_at(&exchange_seconds, exchange->method->number,
                        time_now_us() - exchange->begun_us);
    exchanges.count--;
    cache_release(exchange->setup->cache, exchange->cached);
    arena_clear(&arena);
}

/* ---- the minute's limits ---- */

static int refuse_limit(struct exchange *exchange, enum guard_kind kind)
{
    stat_add_at(&guard_refused_total, kind, 1);
    exchange->limited = true;
    return fail_at(&exchange->failure, &limit_reached, __FILE__, __LINE__, "limit of a minute");
}

/* A write counts for its user, or for its address where no cookie names a user. */
static int count_write(struct exchange *exchange)
{
    struct guard *guard = exchange->setup->guard;
    int64_t limit = exchange->setup->options->write_limit;
    uint64_t key;

    if (exchange->method->rate != RATE_write || !exchange->writes || limit == 0)
        return 0;
    exchange->by_address = exchange->cookie.ptr == NULL || !guard_knows(guard, exchange->cookie);
    key = exchange->by_address ? guard_address_key(guard, GUARD_WRITE, &exchange->address)
                               : guard_user_key(guard, GUARD_WRITE, exchange->cookie);
    exchange->limited = true;
    if (guard_take(guard, key, limit, time_wall_us(), &exchange->rate))
        return 0;
    return refuse_limit(exchange, GUARD_WRITE);
}

static int count_new_user(struct exchange *exchange)
{
    struct guard *guard = exchange->setup->guard;
    int64_t limit = exchange->setup->options->new_user_limit;
    struct common_rate rate;

    if (limit == 0 ||
        guard_take(guard, guard_address_key(guard, GUARD_NEW_USER, &exchange->address), limit,
                   time_wall_us(), &rate))
        return 0;
    exchange->rate = rate;
    return refuse_limit(exchange, GUARD_NEW_USER);
}

/* The cookie has shown to name a user: from now on that is who its writes count for, this one too.
 */
static void note_user(struct exchange *exchange)
{
    struct guard *guard = exchange->setup->guard;
    struct common_rate rate;
    bool counted = exchange->limited && exchange->by_address;

    if (guard_knows(guard, exchange->user))
        return;
    guard_know(guard, exchange->user);
    if (counted && !guard_take(guard, guard_user_key(guard, GUARD_WRITE, exchange->user),
                               exchange->setup->options->write_limit, time_wall_us(), &rate))
        log_debug(exchange, "a user's limit is reached");
}

/* ---- asking ---- */

static int travel(struct exchange *exchange, const struct method *method, struct str body)
{
    struct trip *trip = &exchange->trip;

    if (exchange->connection == NULL)
        return fail(exchange, cancelled, "the client left");
    *trip = (struct trip){.balance = exchange->setup->balance,
                          .method = method,
                          .body = body,
                          .trace = str_of(exchange->id),
                          .deadline_us = exchange->deadline_us,
                          .pieces_deadline_us =
                              exchange->begun_us + exchange->setup->options->stream_deadline,
                          .arena = &exchange->arena};
    if (method->rate != RATE_none)
        trip->client = client_text(&exchange->address, exchange->address_text);
    trip->writes = method == exchange->method ? exchange->writes : method->kind != KIND_read;
    if (method == exchange->method) {
        trip->user = exchange->user;
        trip->by_client = exchange->user_made;
        trip->affinity = exchange->affinity;
        if (exchange->cached != NULL)
            trip->validator = exchange->cached->validator;
        else if (!exchange->writes && method->verb == VERB_GET)
            trip->validator = reply_known_validator(exchange->head);
    }
    if (trip_run(trip) == 0)
        return 0;
    exchange->failure = trip->failure;
    return -1;
}

/* Makes a user, or finds the one that the cookie names after all. */
static int make_user(struct exchange *exchange)
{
    const struct method *method = &methods[METHOD_user_get_or_create_user];
    struct user_get_or_create_user_in in = {.anonymous_id = exchange->cookie};
    struct user_get_or_create_user_out out;
    struct buffer body;
    const char *why;

    if (count_new_user(exchange) != 0)
        return -1;
    buffer_init(&body, &exchange->arena, WIRE_MOST_BODY_BYTES);
    codec_encode(&body, &method->in, &in);
    if (body.failed)
        return fail(exchange, busy, "no memory for a new user");
    if (travel(exchange, method, buffer_str(&body)) != 0)
        return -1;
    if (exchange->trip.fault != NULL)
        return fail_at(&exchange->failure, exchange->trip.fault, __FILE__, __LINE__,
                       "no user was made");
    why = codec_decode(&exchange->arena, &method->out, exchange->trip.reply_body, &out);
    if (why != NULL)
        return fail(exchange, internal, "a new user is malformed: %s", why);
    exchange->user = out.anonymous_id;
    exchange->user_made = out.created;
    exchange->trip.reply.user = NO_STR;
    return 0;
}

/* Who it is. An actor that counts refuses a message before a user is made for nothing. */
static int find_user(struct exchange *exchange)
{
    if (exchange->method->who == WHO_anyone)
        return 0;
    exchange->user = exchange->cookie;
    if (exchange->method->who == WHO_user && exchange->user.ptr == NULL &&
        !is_counted_by_actor(exchange->method))
        return make_user(exchange);
    return 0;
}

/* Asks; where nobody has the user's id, again with one that somebody has. That one may have been
 * merged into a third meanwhile. */
static int ask(struct exchange *exchange)
{
    for (int tries = 1;; tries++) {
        if (travel(exchange, exchange->method, exchange->input) != 0)
            return -1;
        if (exchange->trip.fault != &fault_unknown_user || tries == TRIES_MOST ||
            (exchange->user.ptr == NULL && !is_counted_by_actor(exchange->method)))
            break;
        if (exchange->method->who != WHO_user)
            exchange->user = NO_STR;
        else if (make_user(exchange) != 0)
            return -1;
    }
    if (exchange->method->who == WHO_user && exchange->trip.fault != &fault_unknown_user)
        note_user(exchange);
    return 0;
}

/* A request that writes has longer, and some messages name their own time. A stream has it until it
 * is accepted. */
static void set_deadline(struct exchange *exchange)
{
    if (exchange->method->budget_ms > 0)
        exchange->deadline_us = exchange->begun_us + TIME_MS(exchange->method->budget_ms);
    else if (exchange->writes)
        exchange->deadline_us = exchange->begun_us + exchange->setup->options->write_deadline;
}

/* ---- the cache ---- */

static bool may_be_cached(const struct exchange *exchange)
{
    return exchange->method->immutable && !exchange->writes && exchange->setup->cache != NULL;
}

/* Answers from the cache, where an actor said not long ago that it holds. */
static bool answer_fresh(struct exchange *exchange)
{
    if (!may_be_cached(exchange))
        return false;
    exchange->cached =
        cache_hold(exchange->setup->cache, exchange->method->number, exchange->input);
    if (exchange->cached == NULL ||
        exchange->begun_us - exchange->cached->checked_us > CACHE_FRESH_US)
        return false;
    stat_add(&cache_hits_total, 1);
    reply_cached(exchange);
    return true;
}

/* The actor, or what it needs, is away for the moment. */
static bool is_away(const struct exchange *exchange)
{
    const struct fault *fault = exchange->failure.fault;

    if (fault == NULL)
        fault = exchange->trip.fault;
    return fault != NULL && (fault->retry || fault == &fault_timeout);
}

static int handle(struct exchange *exchange)
{
    if (intake_read(exchange) != 0)
        return -1;
    set_deadline(exchange);
    if (answer_fresh(exchange))
        return 0;
    exchange->arena.limit_bytes += REPLY_BYTES;
    if (count_write(exchange) != 0)
        return -1;
    if (find_user(exchange) != 0)
        return -1;
    return ask(exchange);
}

/* Under overload most requests are refused, so that must be cheap: before anything is read, copied
 * or given a fiber. What the cache may have is not refused. */
static bool let_in(struct exchange *exchange)
{
    if (exchange->method == NULL || may_be_cached(exchange))
        return true;
    exchange->promised = balance_promise(exchange->setup->balance, exchange->method->domain);
    return exchange->promised;
}

static void redeem(struct exchange *exchange)
{
    if (exchange->promised)
        balance_begun(exchange->setup->balance, exchange->method->domain);
    exchange->promised = false;
}

/* The fiber. */
static void run(void *arg)
{
    struct exchange *exchange = arg;
    int error;

    redeem(exchange);
    fiber_announce(exchange->method->name, exchange->id);
    error = handle(exchange);
    if (exchange->cached != NULL && is_away(exchange))
        reply_cached(exchange);
    else if (error != 0)
        reply_failure(exchange);
    else if (!trip_in_pieces(&exchange->trip))
        reply_result(exchange);
    else if (exchange->method->kind == KIND_stream)
        sse_run(exchange);
    else
        stream_run(exchange);
    exchange_end(exchange);
}

/* ---- what connections tell ---- */

static bool takes_body(const struct method *method)
{
    for (size_t i = 0; method != NULL && i < method->in.count; i++)
        if (method->in.fields[i].place == PLACE_body)
            return true;
    return false;
}

static uint32_t most_body(const struct method *method)
{
    if (method == NULL || method->most_body_bytes == 0)
        return METHOD_BODY_BYTES;
    return method->most_body_bytes;
}

static bool has_body(const struct http_head *head)
{
    return head->framing == HTTP_CHUNKED ||
           (head->framing == HTTP_LENGTH && head->content_length > 0);
}

static int64_t answer_preflight(struct connection *connection, const struct http_head *head,
                                enum preflight preflight)
{
    struct str fields = headers_for(exchanges.setup->headers, http_field(head, "origin"));

    if (preflight == PREFLIGHT_ALLOWED)
        reply_plain(connection, fields, 200, cors_preflight_fields(), NULL);
    else
        reply_plain(connection, fields, 400, NO_STR, "The origin or the method is not allowed");
    return -1;
}

static void answer_slash(struct connection *connection, const struct http_head *head,
                         struct str fields, struct str path)
{
    char text[TARGET_FIELDS_BYTES];
    struct str query = head->query;
    int len = snprintf(text, sizeof(text), "Location: %.*s%s%.*s\r\n", STR_ARG(path),
                       query.ptr != NULL ? "?" : "", STR_ARG(query));

    reply_plain(connection, fields, 307, (struct str){text, (size_t)len}, NULL);
}

/* A path or a method that there is not. */
static int64_t answer_no_route(struct connection *connection, const struct http_head *head,
                               const struct route_match *match)
{
    struct str fields = headers_for(exchanges.setup->headers, http_field(head, "origin"));
    char text[REFUSAL_BYTES];
    int len;

    switch (match->outcome) {
    case ROUTE_SLASH:
        answer_slash(connection, head, fields, match->short_path);
        break;
    case ROUTE_WRONG_VERB:
        len = snprintf(text, sizeof(text), "Allow: %s\r\n", match->allow);
        reply_plain(connection, fields, 405, (struct str){text, (size_t)len}, "Method Not Allowed");
        break;
    default:
        reply_plain(connection, fields, 404, NO_STR, "Not Found");
    }
    return -1;
}

static void refuse_busy(struct connection *connection, struct str fields)
{
    connection_pause(connection);
    reply_plain(connection, fields, 503, STR("Retry-After: 1\r\n"), "Too busy, try again");
}

static int64_t on_head(struct connection *connection, const struct http_head *head)
{
    enum preflight preflight = cors_preflight(exchanges.setup->cors, head);
    struct route_match match;
    struct exchange *exchange;
    struct str fields;

    connection_attach(connection, NULL);
    if (preflight != PREFLIGHT_NONE)
        return answer_preflight(connection, head, preflight);
    match = router_find(head->method, head->path);
    if (match.outcome != ROUTE_FOUND)
        return answer_no_route(connection, head, &match);
    fields = headers_for(exchanges.setup->headers, http_field(head, "origin"));
    if (has_body(head) && head->content_length <= most_body(match.method) &&
        takes_body(match.method) && !http_is_json(http_field(head, "content-type"))) {
        reply_plain(connection, fields, 415, NO_STR, "The body must be application/json");
        return -1;
    }
    exchange = exchange_new(connection, head, &match);
    if (exchange == NULL) {
        refuse_busy(connection, fields);
        return -1;
    }
    connection_attach(connection, exchange);
    return most_body(match.method);
}

/* The head, without the fields that are not there. */
static const struct http_head *copy_head(struct exchange *exchange, const struct http_head *head)
{
    size_t bytes = offsetof(struct http_head, fields) + head->count * sizeof(head->fields[0]);
    struct http_head *copy = arena_alloc(&exchange->arena, bytes);

    if (copy != NULL)
        memcpy(copy, head, bytes);
    return copy;
}

static int prepare(struct exchange *exchange, const struct http_head *head, struct str body)
{
    struct str id = connection_id(exchange->connection);
    struct str cookie = http_cookie(head, "verse_user_id");

    exchange->begun_us = time_now_us();
    exchange->deadline_us = exchange->begun_us + exchange->setup->options->read_deadline;
    exchange->arena.limit_bytes += BYTES_A_BODY_BYTE * body.len;
    exchange->content = body;
    memcpy(exchange->id, id.ptr, id.len < sizeof(exchange->id) ? id.len : sizeof(exchange->id) - 1);
    exchange->log = (struct log_tag){.trace = exchange->id};
    if (exchange->method != NULL) {
        exchange->log.domain = exchange->method->domain;
        exchange->log.message = exchange->method->name;
    }
    exchange->address =
        proxies_client(exchange->setup->proxies, connection_address(exchange->connection), head);
    exchange->cookie = text_is_uuid(cookie) ? arena_copy(&exchange->arena, cookie) : NO_STR;
    exchange->head = copy_head(exchange, head);
    if (exchange->head == NULL)
        return fail(exchange, busy, "no memory for the request");
    return 0;
}

static void on_request(struct connection *connection, const struct http_head *head, struct str body)
{
    struct exchange *exchange = connection_attached(connection);
    bool prepared;

    if (!let_in(exchange)) {
        stat_add(&crowded_total, 1);
        exchange->connection = NULL;
        refuse_busy(connection, exchange->fields);
        exchange_end(exchange);
        return;
    }
    prepared = prepare(exchange, head, body) == 0;
    if (prepared && exchange->own != NULL) {
        exchange->own->serve(exchange);
        exchange_end(exchange);
        return;
    }
    if (prepared) {
        exchange->fiber = INJECT(request_no_fiber) ? NULL : fiber_start(run, exchange);
        if (exchange->fiber != NULL)
            return;
        fail(exchange, busy, "too many requests are in flight");
    }
    redeem(exchange);
    reply_failure(exchange);
    exchange_end(exchange);
}

static void on_gone(struct connection *connection)
{
    struct exchange *exchange = connection_attached(connection);

    exchange->connection = NULL;
    if (exchange->fiber != NULL)
        fiber_cancel(exchange->fiber);
    else
        exchange_end(exchange);
}

static void on_drained(struct connection *connection)
{
    struct exchange *exchange = connection_attached(connection);

    fiber_wake(exchange->fiber, WAKE_DONE);
}

static void on_refusal(struct connection *connection, const struct http_head *head, int status,
                       const char *text, struct connection_answer *answer)
{
    static char body[REFUSAL_BYTES]; /* used before the next one is made */
    const struct headers *headers = exchanges.setup->headers;

    (void)connection, (void)status;
    answer->fields =
        head != NULL ? headers_for(headers, http_field(head, "origin")) : headers_plain(headers);
    answer->content_type = STR("application/json");
    answer->body =
        (struct str){body, (size_t)snprintf(body, sizeof(body), "{\"detail\":\"%s\"}", text)};
}

const struct connection_handler exchange_handler = {
    .on_head = on_head,
    .on_request = on_request,
    .on_gone = on_gone,
    .on_refusal = on_refusal,
    .on_drained = on_drained,
};

/* ---- the module ---- */

static void refresh_stats(void *arg)
{
    (void)arg;
    stat_set(&exchanges_in_flight, exchanges.count);
    if (exchanges.setup->cache != NULL)
        stat_set(&cache_bytes_held, (double)cache_bytes(exchanges.setup->cache));
}

void exchange_open(const struct exchange_setup *setup)
{
    static const char *const limits[] = {[GUARD_WRITE] = "write", [GUARD_NEW_USER] = "new_user"};
    static const char *names[METHOD_COUNT];

    exchanges.setup = setup;
    for (size_t i = 0; i < METHOD_COUNT; i++)
        names[i] = methods[i].name;
    stat_register_labels(&exchange_seconds, names, METHOD_COUNT);
    stat_register_labels(&guard_refused_total, limits, 2);
    stat_register(&exchanges_in_flight);
    stat_register(&crowded_total);
    stat_register(&cache_hits_total);
    stat_register(&cache_bytes_held);
    stat_on_render(refresh_stats, NULL);
    trip_register_stats();
    service_open();
}

void exchange_close(void)
{
    service_close();
}

unsigned exchange_count(void)
{
    return exchanges.count;
}

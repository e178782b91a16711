/* Answers are put together in the exchange's arena and handed over at once. The field lines that
 * every answer has are prebuilt; only what this one adds is written. */
#include "reply.h"
#include "base/time.h"
#include "http_value.h"
#include "inject.h"
#include "json.h"
#include <inttypes.h>

enum {
    FIELDS_BYTES = 64 * 1024,
    JSON_BYTES = 64 * 1024 * 1024,
    PLAIN_BYTES = 8 * 1024,
    VALIDATOR_BYTES = 128
};

const struct fault limit_reached = {
    .name = "limit_reached", .status = 429, .text = "Rate limit exceeded"};

/* ---- field lines ---- */

static void add_cookie(struct buffer *fields, const struct exchange *exchange, struct str id)
{
    buffer_add_text(fields, "Set-Cookie: verse_user_id=");
    buffer_add_str(fields, id);
    buffer_add_text(fields, "; Path=/; HttpOnly; SameSite=lax; Max-Age=315360000");
    if (exchange->setup->production)
        buffer_add_text(fields, "; Secure");
    buffer_add_text(fields, "\r\n");
}

/* The id that the client should keep from now on, where it is another than the one it has, or where
 * the actor names it. */
static struct str new_cookie(const struct exchange *exchange)
{
    struct str id = exchange->user;

    if (exchange->method == NULL || exchange->method->who != WHO_user)
        return NO_STR;
    if (exchange->trip.reply.user.len > 0)
        return exchange->trip.reply.user;
    return id.len > 0 && !str_equal(id, exchange->cookie) ? id : NO_STR;
}

static void add_rate(struct buffer *fields, const struct common_rate *rate, int status)
{
    int64_t left_s = rate->reset - time_wall_us() / TIME_S(1);

    buffer_add_format(fields,
                      "X-RateLimit-Limit: %" PRId64 "\r\nX-RateLimit-Remaining: %" PRId64
                      "\r\nX-RateLimit-Reset: %" PRId64 "\r\n",
                      rate->limit, rate->remaining, rate->reset);
    if (status == 429)
        buffer_add_format(fields, "Retry-After: %" PRId64 "\r\n", left_s > 1 ? left_s : 1);
}

/* The window that is shown: the actor's, else ours. */
static const struct common_rate *shown_rate(const struct exchange *exchange)
{
    if (exchange->trip.reply.rate != NULL)
        return exchange->trip.reply.rate;
    return exchange->limited ? &exchange->rate : NULL;
}

static struct str fields_of(struct exchange *exchange, int status, struct str more)
{
    struct str cookie = new_cookie(exchange);
    const struct common_rate *rate = shown_rate(exchange);
    struct buffer fields;

    if (cookie.ptr == NULL && rate == NULL && more.len == 0)
        return exchange->fields;
    buffer_init(&fields, &exchange->arena, FIELDS_BYTES);
    buffer_add_str(&fields, exchange->fields);
    if (cookie.ptr != NULL)
        add_cookie(&fields, exchange, cookie);
    if (rate != NULL)
        add_rate(&fields, rate, status);
    buffer_add_str(&fields, more);
    return fields.failed ? exchange->fields : buffer_str(&fields);
}

static void give(struct exchange *exchange, struct connection_answer *answer, struct str more)
{
    struct connection *connection = exchange->connection;

    if (connection == NULL)
        return;
    answer->fields = fields_of(exchange, answer->status, more);
    exchange->connection = NULL;
    connection_answer(connection, answer);
}

void reply_json(struct exchange *exchange, int status, struct str more, struct str body)
{
    struct connection_answer answer = {.status = status, .content_type = JSON_TYPE, .body = body};

    give(exchange, &answer, more);
}

void reply_begin(struct exchange *exchange, struct str type, struct str more, struct str body)
{
    struct connection_answer answer = {
        .status = exchange->method->status, .content_type = type, .body = body};

    answer.fields = fields_of(exchange, answer.status, more);
    if (exchange->connection != NULL)
        connection_begin(exchange->connection, &answer);
}

void reply_plain(struct connection *connection, struct str fields, int status, struct str more,
                 const char *detail)
{
    char all[PLAIN_BYTES + HTTP_TARGET_BYTES], body[VALIDATOR_BYTES];
    struct connection_answer answer = {.status = status, .fields = fields};

    if (more.len > 0 && fields.len + more.len <= sizeof(all)) {
        memcpy(all, fields.ptr, fields.len);
        memcpy(all + fields.len, more.ptr, more.len);
        answer.fields = (struct str){all, fields.len + more.len};
    }
    if (detail != NULL) {
        answer.content_type = JSON_TYPE;
        answer.body =
            (struct str){body, (size_t)snprintf(body, sizeof(body), "{\"detail\":\"%s\"}", detail)};
    }
    connection_answer(connection, &answer);
}

/* ---- faults ---- */

/* What actors say to each other about a message is no business of a client that sent none. */
static const struct fault *outward(const struct fault *fault)
{
    if (fault == &fault_malformed || fault == &fault_unsupported_version ||
        fault == &fault_unknown_message || fault == &fault_cancelled)
        return &fault_internal;
    return fault == &fault_unknown_user ? &fault_unavailable : fault;
}

static bool is_limit(const struct exchange *exchange, const struct fault *fault)
{
    return fault->status == 429 && fault->detail == NULL && shown_rate(exchange) != NULL;
}

/* `detail` as its row says; the fault's text where there is none, or no such. */
static void write_detail(struct buffer *body, const struct fault *fault,
                         const msgpack_object *detail)
{
    size_t start = body->len;

    if (fault->detail != NULL && detail != NULL && detail->type == MSGPACK_OBJECT_MAP) {
        if (json_write_record(body, fault->detail, detail) == 0)
            return;
        body->len = start;
    } else if (detail != NULL) {
        json_write(body, detail);
        return;
    }
    json_write_str(body, str_of(fault->text != NULL ? fault->text : fault->name));
}

static void reply_fault(struct exchange *exchange, const struct fault *fault,
                        const msgpack_object *detail)
{
    struct buffer body;

    if (fault == &fault_busy && exchange->connection != NULL)
        connection_pause(exchange->connection);
    buffer_init(&body, &exchange->arena, JSON_BYTES);
    if (is_limit(exchange, fault)) {
        buffer_add_format(&body, "{\"error\":\"Rate limit exceeded: %" PRId64 " per 1 minute\"}",
                          shown_rate(exchange)->limit);
    } else {
        buffer_add_text(&body, "{\"detail\":");
        write_detail(&body, fault, detail);
        buffer_add_char(&body, '}');
    }
    reply_json(exchange, fault->status, fault->retry ? STR("Retry-After: 1\r\n") : NO_STR,
               body.failed ? STR("{\"detail\":\"Too busy, try again\"}") : buffer_str(&body));
}

void reply_failure(struct exchange *exchange)
{
    const struct failure *failure = &exchange->failure;
    const struct fault *fault = outward(failure->fault);
    msgpack_object detail;
    const char *why;

    if (exchange->connection == NULL)
        return;
    if (fault == &fault_internal)
        log_error(exchange, "%s:%d: %s", failure->file, failure->line, failure->text);
    else if (fault == &fault_outcome_unknown)
        log_warn(exchange, "%s: %s", fault->name, failure->text);
    else
        log_debug(exchange, "%s: %s", fault->name, failure->text);
    if (failure->detail.ptr != NULL &&
        msgpack_read(&exchange->arena, failure->detail, &detail, &why) == 0)
        reply_fault(exchange, fault, &detail);
    else
        reply_fault(exchange, fault, NULL);
}

/* The actor's fault, with the `detail` of its body. */
static void reply_actor_fault(struct exchange *exchange)
{
    const struct fault *fault = outward(exchange->trip.fault);
    const msgpack_object *detail = NULL;
    msgpack_object body;
    const char *why;

    if (fault == &fault_internal)
        log_error(exchange, "the actor answered %s", exchange->trip.fault->name);
    if (fault == exchange->trip.fault &&
        msgpack_read(&exchange->arena, exchange->trip.reply_body, &body, &why) == 0 &&
        body.type == MSGPACK_OBJECT_MAP)
        detail = msgpack_member(&body, STR("detail"));
    reply_fault(exchange, fault, detail);
}

/* ---- results ---- */

/* Bytes that may stand within the quotes of an entity tag. */
static bool is_validator(struct str text)
{
    if (text.len == 0 || text.len > VALIDATOR_BYTES)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] == '"' || text.ptr[i] == 127)
            return false;
    return true;
}

struct str reply_known_validator(const struct http_head *head)
{
    struct str value = NO_STR;

    for (unsigned i = 0; i < head->count; i++) {
        if (!http_same(head->fields[i].name, STR("if-none-match")))
            continue;
        if (value.ptr != NULL)
            return NO_STR;
        value = head->fields[i].value;
    }
    if (value.len > 2 && memcmp(value.ptr, "W/", 2) == 0)
        value = (struct str){value.ptr + 2, value.len - 2};
    if (value.len < 3 || value.ptr[0] != '"' || value.ptr[value.len - 1] != '"')
        return NO_STR;
    value = (struct str){value.ptr + 1, value.len - 2};
    return is_validator(value) ? value : NO_STR;
}

/* ETag and Cache-Control for an answer with that validator; `*tag` is the quoted one. Absent where
 * there is none, or it cannot stand in a tag. */
static struct str validator_fields(struct exchange *exchange, struct str validator, bool public,
                                   struct str *tag)
{
    struct buffer fields;

    *tag = NO_STR;
    if (exchange->writes || !is_validator(validator))
        return NO_STR;
    buffer_init(&fields, &exchange->arena, FIELDS_BYTES);
    buffer_add_text(&fields, "ETag: \"");
    buffer_add_str(&fields, validator);
    buffer_add_text(&fields, "\"\r\nCache-Control: ");
    if (public)
        buffer_add_text(&fields, "public, max-age=3600\r\n");
    else
        buffer_add_text(&fields, "private, max-age=3600\r\n");
    if (fields.failed)
        return NO_STR;
    *tag = (struct str){fields.data + strlen("ETag: "), validator.len + 2};
    return buffer_str(&fields);
}

static int write_output(struct exchange *exchange, struct buffer *body)
{
    msgpack_object output;
    const char *why;

    if (msgpack_read(&exchange->arena, exchange->trip.reply_body, &output, &why) != 0) {
        if (why == NULL)
            return fail(exchange, busy, "no memory for the reply");
        return fail(exchange, internal, "a reply's body is no msgpack: %s", why);
    }
    if (output.type != MSGPACK_OBJECT_MAP ||
        json_write_record(body, &exchange->method->out, &output) != 0)
        return fail(exchange, internal, "a reply lacks what the contract promises");
    if (body->failed || INJECT(answer_no_memory))
        return fail(exchange, busy, "no memory for the answer");
    return 0;
}

/* What was written stays written when its answer cannot be told. */
static void fail_output(struct exchange *exchange)
{
    struct failure why = exchange->failure;

    if (!exchange->writes)
        return;
    failure_clear(&exchange->failure);
    fail(exchange, outcome_unknown, "it was done, but: %s", why.text);
}

void reply_not_modified(struct exchange *exchange, struct str more)
{
    struct connection_answer answer = {.status = 304};

    give(exchange, &answer, more);
}

void reply_cached(struct exchange *exchange)
{
    struct str tag;
    struct str more = validator_fields(exchange, exchange->cached->validator, true, &tag);

    if (tag.ptr != NULL && http_none_match(exchange->head, tag))
        reply_not_modified(exchange, more);
    else
        reply_json(exchange, exchange->method->status, more, exchange->cached->body);
}

/* The actor said that the validator holds that was sent along: the cache's, else the client's. */
static void reply_unchanged(struct exchange *exchange)
{
    struct str tag, more;

    if (exchange->cached != NULL) {
        exchange->cached->checked_us = time_now_us();
        reply_cached(exchange);
        return;
    }
    more = validator_fields(exchange, exchange->trip.validator, exchange->trip.reply.public, &tag);
    reply_not_modified(exchange, more);
}

/* Puts an answer that is the same for everybody into the cache, in the place of what it had. */
static void keep(struct exchange *exchange, struct str validator, struct str body)
{
    struct cache *cache = exchange->setup->cache;
    struct cached answer = {.validator = validator, .body = body, .checked_us = time_now_us()};

    if (cache == NULL || exchange->writes || !exchange->method->immutable)
        return;
    if (exchange->trip.reply.public && validator.ptr != NULL)
        cache_store(cache, exchange->method->number, exchange->input, &answer);
    else if (exchange->cached != NULL)
        cache_forget(cache, exchange->cached);
}

void reply_result(struct exchange *exchange)
{
    struct str validator = exchange->trip.reply.validator;
    struct str tag, more;
    struct buffer body;

    if (exchange->connection == NULL)
        return;
    if (exchange->trip.fault != NULL) {
        if (exchange->cached != NULL)
            cache_forget(exchange->setup->cache, exchange->cached);
        reply_actor_fault(exchange);
        return;
    }
    if (str_is(exchange->trip.reply.status, "not_modified")) {
        reply_unchanged(exchange);
        return;
    }
    buffer_init(&body, &exchange->arena, JSON_BYTES);
    if (write_output(exchange, &body) != 0) {
        fail_output(exchange);
        reply_failure(exchange);
        return;
    }
    keep(exchange, validator, buffer_str(&body));
    more = validator_fields(exchange, validator, exchange->trip.reply.public, &tag);
    if (tag.ptr != NULL && http_none_match(exchange->head, tag))
        reply_not_modified(exchange, more);
    else
        reply_json(exchange, exchange->method->status, more, buffer_str(&body));
}

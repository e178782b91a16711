/* What came back, as HTTP: status, fields and JSON.
 *
 * Each of these answers the connection, unless the client left; then nothing happens. None waits.
 */
#pragma once

#include "exchange.h"

#define JSON_TYPE STR("application/json")

/* 429 by a limit of a minute, whose window stands in the exchange's `rate`. */
extern const struct fault limit_reached;

/* The exchange failed: its failure's fault, as the client is to see it. */
void reply_failure(struct exchange *exchange);

/* The trip brought a reply: the output, 304, or the actor's fault. */
void reply_result(struct exchange *exchange);

/* The answer that the cache has for it, or 304. */
void reply_cached(struct exchange *exchange);

/* JSON of our own. `more` are further field lines, each with CRLF; may be absent. */
void reply_json(struct exchange *exchange, int status, struct str more, struct str body);

/* The head and the beginning of an answer in pieces, with `more` field lines, each with CRLF. The
 * connection stays the exchange's. */
void reply_begin(struct exchange *exchange, struct str type, struct str more, struct str body);

/* 304, with ETag among the `more` field lines. */
void reply_not_modified(struct exchange *exchange, struct str more);

/* Answers a head for which no exchange was made, in the same manner. */
void reply_plain(struct connection *connection, struct str fields, int status, struct str more,
                 const char *detail);

/* Whether an If-None-Match names exactly one validator: that, without its quotes, else absent. */
struct str reply_known_validator(const struct http_head *head);

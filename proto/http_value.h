/* What stands inside targets and fields: encoded text, queries, cookies, entity tags, media types.
 *
 * Pure functions over bytes that a valid head holds; what is malformed is passed over, never an
 * error, unless a function says otherwise. Nothing here says that text is UTF-8: who uses it checks
 * that. */
#pragma once

#include "http.h"

/* Decodes %XX, and with `plus` also `+` to a blank (a form's rule, for queries). A `%` that begins
 * no encoded byte stays as it is; a path that http_head_parse() accepted has none. `out` holds
 * raw.len bytes and may be where `raw` is; returns the bytes written. */
size_t http_decode(struct str raw, bool plus, char *out);

/* Takes the next parameter off a query: name and value still encoded, the value empty where there
 * is no `=`. False at the end; `rest` begins as the head's query. */
bool http_query_next(struct str *rest, struct str *name, struct str *value);

/* The value of the first cookie of that name (RFC 6265, 4.2), over all Cookie fields of the head,
 * without its quotes; absent when there is none. */
struct str http_cookie(const struct http_head *head, const char *name);

/* Whether one of the head's If-None-Match fields names the tag (RFC 9110, 13.1.2: weak comparison,
 * or
 * `*`): then a GET is answered 304. `tag` is quoted, with or without `W/`. */
bool http_none_match(const struct http_head *head, struct str tag);

/* Whether a Content-Type is application/json or application/<anything>+json, in any case and with
 * any parameters. */
bool http_is_json(struct str content_type);

/* Which other origins' pages may ask, and what browsers are told about it. */
#pragma once

#include "http.h"

struct cors; /* the list of allowed origins */

/* Reads a JSON list or a list with commas of origins (`https://app.example.org`). NULL: a sentence
 * about what is wrong in `wrong`. */
struct cors *cors_parse(const char *text, char *wrong, size_t wrong_bytes) MUST;
void cors_free(struct cors *cors);

size_t cors_count(const struct cors *cors);
struct str cors_origin(const struct cors *cors, size_t at);

/* Which of the allowed origins it is: an index, or -1. An absent one is none. */
int cors_find(const struct cors *cors, struct str origin);

enum preflight { PREFLIGHT_NONE, PREFLIGHT_ALLOWED, PREFLIGHT_FOREIGN };

/* Whether the request is a preflight, and whether what it asks for is allowed. */
enum preflight cors_preflight(const struct cors *cors, const struct http_head *head);

/* The field lines that only the answer to an allowed preflight has. */
struct str cors_preflight_fields(void);

/* The head of an HTTP/1.x request, read strictly (RFC 9110, RFC 9112).
 *
 * Pure functions over bytes: no input or output, no allocation, nothing that waits. The caller
 * gathers bytes, asks http_head_find() for the empty line, going on from where the last look ended,
 * and then http_head_parse() for the meaning, in place: each `str` of a head points into the
 * caller's bytes. Whatever two readers could take in two ways is refused; after a refusal the
 * connection answers with http_status_of() and closes, because nobody can say where the next
 * request begins. Bodies: http_chunk.h. Queries, cookies, tags, media types: http_value.h. */
#pragma once

#include "base/arena.h"

enum {
    HTTP_HEAD_BYTES = 16 * 1024,  /* most of a head, empty lines before it included */
    HTTP_TARGET_BYTES = 8 * 1024, /* most of a request target */
    HTTP_FIELDS = 100,            /* most fields of a head */
};

/* What reading can end with: name, status of the answer, sentence for people. */
#define HTTP_RESULTS(RESULT)                                                                       \
    RESULT(fine, 200, "complete and valid")                                                        \
    RESULT(more, 0, "not complete yet")                                                            \
    RESULT(bad_line_end, 400, "a line does not end with CR and LF")                                \
    RESULT(bad_method, 400, "the method is no token")                                              \
    RESULT(no_tunnel, 501, "CONNECT is not offered")                                               \
    RESULT(bad_target, 400, "the request target is malformed")                                     \
    RESULT(long_target, 414, "the request target is too long")                                     \
    RESULT(bad_version, 400, "the request line is malformed")                                      \
    RESULT(other_version, 505, "only HTTP/1.1 and HTTP/1.0 are spoken")                            \
    RESULT(long_head, 431, "the head of the request is too large")                                 \
    RESULT(many_fields, 431, "the request has too many fields")                                    \
    RESULT(folded_line, 400, "a field goes on in the next line")                                   \
    RESULT(bad_name, 400, "a field's name is no token followed by a colon")                        \
    RESULT(bad_value, 400, "a field's value has control bytes")                                    \
    RESULT(no_host, 400, "the request has no Host")                                                \
    RESULT(bad_host, 400, "Host is repeated or malformed")                                         \
    RESULT(bad_length, 400, "Content-Length is repeated or malformed")                             \
    RESULT(bad_coding, 400, "Transfer-Encoding is repeated, or not exactly chunked")               \
    RESULT(two_framings, 400, "the request has Content-Length and Transfer-Encoding")              \
    RESULT(bad_expect, 417, "the expectation is unknown")                                          \
    RESULT(bad_chunk, 400, "the chunked body is malformed")                                        \
    RESULT(long_chunk, 400, "chunk extensions or trailers are too large")

#define HTTP_RESULT_ENUM(name, status, text) HTTP_##name,
enum http_result { HTTP_RESULTS(HTTP_RESULT_ENUM) HTTP_RESULT_COUNT };
#undef HTTP_RESULT_ENUM

/* The status that a refusal is answered with, and its sentence. */
int http_status_of(enum http_result result);
const char *http_text_of(enum http_result result);

/* The methods known by name; any other token is HTTP_OTHER. */
#define HTTP_METHODS(METHOD)                                                                       \
    METHOD(GET) METHOD(HEAD) METHOD(POST) METHOD(PUT) METHOD(DELETE) METHOD(OPTIONS) METHOD(PATCH)

#define HTTP_METHOD_ENUM(name) HTTP_##name,
enum http_method { HTTP_METHODS(HTTP_METHOD_ENUM) HTTP_OTHER };
#undef HTTP_METHOD_ENUM

/* How the body is delimited (RFC 9112, 6.3). */
enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED };

/* One field line. */
struct http_field {
    struct str name;  /* as it was sent: compare without case */
    struct str value; /* without the blanks around it; any byte but control bytes */
};

/* A head that was found to be valid. */
struct http_head {
    enum http_method method;   /* HTTP_OTHER: see method_text */
    struct str method_text;    /* as it was sent */
    struct str target;         /* as it was sent */
    struct str path;           /* of the target, still encoded; "*" only of OPTIONS */
    struct str query;          /* behind the `?`, still encoded; absent without one */
    struct str host;           /* of an absolute target, else Host; absent in some 1.0 */
    int minor;                 /* 1 of HTTP/1.1, 0 of HTTP/1.0 */
    enum http_framing framing; /* of the body that follows */
    uint64_t content_length;   /* bytes of the body; 0 unless HTTP_LENGTH */
    bool keep_alive;           /* the client wants to go on (RFC 9112, 9.3) */
    bool expect_continue;      /* it waits for a 100 before it sends the body */
    unsigned count;            /* of `fields` */
    struct http_field fields[HTTP_FIELDS]; /* in order; the first `count` are valid */
};

/* Where the search for the end of a head stands; zero before the first look. */
struct http_scan {
    unsigned start;  /* the head's first byte: empty lines before it are skipped */
    unsigned line;   /* the first byte of the line that is not complete */
    unsigned looked; /* bytes that need no second look */
};

/* Looks for the end of a head in data[0..len), of which earlier calls saw a shorter beginning.
 * HTTP_fine: the head is data[scan->start .. scan->looked). HTTP_more: call again with more bytes.
 * Else refuse; bare CRs and LFs and heads that are too large are seen at once, not at their end. */
enum http_result http_head_find(const char *data, size_t len, struct http_scan *scan) MUST;

/* Reads one whole head, as http_head_find() delimits it. HTTP_fine, or why it is refused (`head` is
 * then of no use). */
enum http_result http_head_parse(const char *data, size_t len, struct http_head *head) MUST;

/* The value of the first field of that name (given in any case), absent when there is none. */
struct str http_field(const struct http_head *head, const char *name);

/* Whether two texts are equal but for the case of ASCII letters. */
bool http_same(struct str a, struct str b);

/* Whether `host` is `uri-host [":" port]` and not empty (RFC 9110, 7.2). */
bool http_host_valid(struct str host);

/* Whether c may stand in a token (RFC 9110, 5.6.2), and in a field's value. */
bool http_is_token(char c);
bool http_is_value(char c);

/* A client's HTTP/1.x connection, as the router and the exchanges see it.
 *
 * The connection reads a head, asks on_head() what to do with it, gathers the body, gives the whole
 * to on_request(), and then waits, as long as it takes, for one answer: connection_answer(), or a
 * stream of connection_begin(), connection_write() and connection_end(). The answer may be given
 * within the callback or in a later turn. One request is in flight; what a client sends behind it
 * waits.
 *
 * What a head and a body point to belongs to the connection. In on_head() it is valid during the
 * call; from on_request() on until the answer was given, or on_gone() returned. `struct http_head`
 * itself is scratch that the next request of any connection overwrites: take from it within the
 * callback.
 *
 * Nothing here waits: what the socket does not take at once is copied and sent as the client reads.
 */
#pragma once

#include "http.h"
#include <netinet/in.h>

struct connection;

/* A whole answer, or the beginning of a stream. All of it is used before the call returns. */
struct connection_answer {
    int status;              /* 200 to 599 */
    struct str fields;       /* more field lines, each with its CRLF; may be absent */
    struct str content_type; /* absent: the answer has no Content-Type */
    struct str body;         /* the content; of a stream its first piece, which may be empty */
    bool close;              /* the connection ends after it */
};

/* What the owner of a listener does with requests. */
struct connection_handler {
    /* A head was read. Returns the most bytes that its body may have (0: it must have none), or -1
     * after having given the answer; then, if a body follows, the connection ends. When it returned
     * a limit, exactly one of on_request() and on_gone() follows. */
    int64_t (*on_head)(struct connection *connection, const struct http_head *head);

    /* The request is complete: an answer is due, exactly one, unless on_gone() comes first. */
    void (*on_request)(struct connection *connection, const struct http_head *head,
                       struct str body);

    /* Nobody waits for the answer any more: the client left, stalled, or broke the rules. The last
     * call about this request; nothing may be called for the connection after it. */
    void (*on_gone)(struct connection *connection);

    /* The connection refuses a request itself (malformed, too large, too late): fill in everything
     * of `answer` but its status (a 503 gets its Retry-After). `head` is NULL where it could not be
     * read. on_gone() comes after it, where one is due. */
    void (*on_refusal)(struct connection *connection, const struct http_head *head, int status,
                       const char *text, struct connection_answer *answer);

    /* All that connection_write() took has been given to the socket, after some had to wait. May be
     * NULL; it may write and end the stream. */
    void (*on_drained)(struct connection *connection);
};

/* Answers the request in flight. */
void connection_answer(struct connection *connection, const struct connection_answer *answer);

/* Begins a streamed answer: chunked in HTTP/1.1, until the connection closes in 1.0. From then on a
 * client that ends its input counts as gone. If it has done so already, on_gone() comes in a later
 * turn. */
void connection_begin(struct connection *connection, const struct connection_answer *answer);

/* Sends a piece of a stream. Returns the bytes that wait for the client to read: when they are more
 * than the caller likes, it should write no more until on_drained(). SIZE_MAX: the client is gone,
 * and on_gone() comes in a later turn. */
size_t connection_write(struct connection *connection, struct str content);

/* Ends a stream, whole. */
void connection_end(struct connection *connection);

/* Ends a stream that cannot be completed, so that the client notices: the connection is cut. */
void connection_abort(struct connection *connection);

/* From now on, for the request in flight, a client that ends its input counts as gone, although it
 * may only have closed one direction. If it has done so already, on_gone() comes in a later turn.
 */
void connection_end_is_leaving(struct connection *connection);

/* To be called before the answer to the request in flight, where that is a refusal because there is
 * too much to do: the client's next request is read a moment later only. Whoever asks again at once
 * would else take the time in which others could be served. */
void connection_pause(struct connection *connection);

/* What the handler hangs on the request in flight; NULL before on_head(). */
void connection_attach(struct connection *connection, void *exchange);
void *connection_attached(const struct connection *connection);

/* The request's id: the client's X-Request-Id where that is 1 to 64 of [A-Za-z0-9._-], else 16
 * random hex digits. Terminated, valid until the answer was given. */
struct str connection_id(const struct connection *connection);

/* The peer's address, IPv4 as ::ffff:a.b.c.d. */
const struct in6_addr *connection_address(const struct connection *connection);

/* Reads requests: from the socket into a buffer, through the parser, to the handler, one at a time.
 *
 * connection_advance() takes steps as long as what has been read allows one: it parses a head,
 * gathers a body, hands a request over. An answer that the handler gives within its callback lets
 * the loop go on with the next request; one that comes later starts it again. `start` and `end`
 * delimit what was read and not yet used; all other offsets count from `start`, so that bytes may
 * move while nobody points to them: that is, in every phase but `away` and `send`. */
#include "connection_private.h"

#include "base/time.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DROP_BYTES = 16 * 1024 };

static void advance(struct connection *connection);

static struct connection *connection_of(struct deadline *deadline)
{
    return (struct connection *)(void *)((char *)deadline - offsetof(struct connection, deadline));
}

/* How far the body, or the answer, is. */
static int64_t progress(const struct connection *connection)
{
    if (connection->phase == PHASE_body)
        return (int64_t)connection->body_len;
    return connection->phase == PHASE_send ? connection_taken(connection) : 0;
}

void connection_move(struct connection *connection, enum phase phase)
{
    struct deadline_list *list = &connection->listener->phases[phase];

    connection->phase = phase;
    connection->paced = progress(connection);
    if (list->length_us > 0)
        deadline_start(list, &connection->deadline);
    else
        deadline_stop(&connection->deadline);
}

static void release_large(struct connection *connection)
{
    if (connection->large)
        connection->listener->large--;
    connection->large = false;
}

/* The handler's request ends without an answer. */
static void tell_gone(struct connection *connection)
{
    if (!connection->owed)
        return;
    connection->owed = false;
    connection->listener->config.handler->on_gone(connection);
}

void connection_lose(struct connection *connection)
{
    if (connection->phase == PHASE_closed)
        return;
    ev_io_stop(loop_get(), &connection->reading);
    ev_io_stop(loop_get(), &connection->writing);
    connection_move(connection, PHASE_closed);
    tell_gone(connection);
    release_large(connection);
    input_release(connection);
    buffer_free(&connection->out);
    close(connection->reading.fd);
    listener_forget(connection->listener, connection);
    loop_free_later(connection);
}

/* Ends with a reset: without chunks an orderly end would look like a whole answer, and what the
 * client does not read would stay in the kernel. */
static void cut(struct connection *connection)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};

    setsockopt(connection->reading.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    connection_lose(connection);
}

void connection_abort(struct connection *connection)
{
    assert(connection->streaming);
    connection->owed = connection->streaming = false;
    cut(connection);
}

/* Lets the client read the answer before the kernel resets what it still sends (RFC 9112, 9.6). */
static void linger_on(struct connection *connection)
{
    release_large(connection);
    input_release(connection);
    buffer_free(&connection->out);
    if (connection->ended || shutdown(connection->reading.fd, SHUT_WR) != 0) {
        connection_lose(connection);
        return;
    }
    connection_move(connection, PHASE_linger);
    ev_io_start(loop_get(), &connection->reading);
}

/* Refuses what the client sent; nothing it sends afterwards is read as a request. */
static void refuse(struct connection *connection, const struct http_head *head, int status,
                   const char *text, enum refusal refusal)
{
    struct connection_answer answer = {.status = status};

    stat_add_at(&http_refused_total, refusal, 1);
    ev_io_stop(loop_get(), &connection->reading);
    connection->listener->config.handler->on_refusal(connection, head, status, text, &answer);
    answer.status = status;
    tell_gone(connection);
    connection_send_refusal(connection, &answer, refusal == REFUSAL_busy);
}

static void refuse_malformed(struct connection *connection, const struct http_head *head,
                             enum http_result result)
{
    refuse(connection, head, http_status_of(result), http_text_of(result), REFUSAL_malformed);
}

/* Parses the head of the request in flight into the listener's scratch. */
static enum http_result parse_head(struct connection *connection)
{
    const char *data = connection->data + connection->start;
    size_t first = connection->scan.start;

    return http_head_parse(data + first, connection->scan.looked - first,
                           &connection->listener->head);
}

static bool id_allowed(struct str id)
{
    if (id.len == 0 || id.len > ID_BYTES)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!letter && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

static void name_request(struct connection *connection, struct str wished)
{
    static const char digits[] = "0123456789abcdef";

    if (id_allowed(wished)) {
        memcpy(connection->id, wished.ptr, wished.len);
        connection->id_len = (uint8_t)wished.len;
    } else {
        uint64_t random = listener_random(connection->listener);

        connection->id_len = 16;
        for (unsigned i = 0; i < 16; i++, random >>= 4)
            connection->id[i] = digits[random & 15];
    }
    connection->id[connection->id_len] = '\0';
}

/* Everything about the request before: forgotten. */
static void begin(struct connection *connection)
{
    connection->scan = (struct http_scan){0};
    connection->chunk = (struct http_chunk){0};
    connection->framing = HTTP_NO_BODY;
    connection->attached = NULL;
    connection->content_length = 0;
    connection->body_len = connection->head_len = connection->used = 0;
    connection->id_len = 0;
    connection->owed = connection->streaming = connection->chunked = false;
    connection->head_only = connection->old = connection->expects = connection->leaves = false;
    connection->pauses = false;
    connection->keep_alive = true;
}

static void note_head(struct connection *connection, const struct http_head *head)
{
    connection->head_len = connection->scan.looked;
    connection->framing = head->framing;
    if (head->framing == HTTP_LENGTH && head->content_length == 0)
        connection->framing = HTTP_NO_BODY;
    connection->content_length = head->content_length;
    connection->head_only = head->method == HTTP_HEAD;
    connection->old = head->minor == 0;
    connection->keep_alive = head->keep_alive;
    connection->expects = head->expect_continue;
    connection->used = connection->head_len;
    name_request(connection, http_field(head, "x-request-id"));
}

/* A place for a large body, once it is known to be one. False: refused. */
static bool admit_size(struct connection *connection, const struct http_head *head, uint64_t size)
{
    struct listener *listener = connection->listener;

    if (size > connection->body_limit) {
        refuse(connection, head, 413, "the body is larger than allowed here", REFUSAL_too_large);
        return false;
    }
    if (size <= LARGE_BODY || connection->large)
        return true;
    if (listener->large >= LARGE_BODIES) {
        refuse(connection, head, 503, "too many large bodies at one time", REFUSAL_busy);
        return false;
    }
    connection->large = true;
    listener->large++;
    return true;
}

/* Takes off the body what has come of it. HTTP_fine: it is complete. */
static enum http_result take_body(struct connection *connection)
{
    char *body = connection->data + connection->start + connection->head_len;
    char *raw = body + connection->body_len;
    size_t fresh = connection->end - connection->start - connection->head_len;
    size_t used = 0, got = 0;
    enum http_result result;

    if (connection->framing == HTTP_NO_BODY)
        return HTTP_fine;
    if (connection->framing == HTTP_LENGTH) {
        bool whole = fresh >= connection->content_length;

        connection->body_len = whole ? (size_t)connection->content_length : fresh;
        connection->used = connection->head_len + connection->body_len;
        return whole ? HTTP_fine : HTTP_more;
    }
    fresh -= connection->body_len;
    result = http_chunk_decode(&connection->chunk, raw, fresh, raw, &used, &got);
    connection->body_len += got;
    connection->used = connection->head_len + connection->body_len + (used - got);
    if (result == HTTP_more)
        connection->end -= used - got;
    return result;
}

/* The request is complete: over to the handler. `head` NULL: the scratch holds another's by now. */
static bool deliver(struct connection *connection, const struct http_head *head)
{
    struct str body = {connection->data + connection->start + connection->head_len,
                       connection->body_len};

    if (connection->framing == HTTP_NO_BODY)
        body = NO_STR;
    if (head == NULL) {
        enum http_result result = parse_head(connection);

        assert(result == HTTP_fine);
        (void)result;
        head = &connection->listener->head;
    }
    connection_move(connection, PHASE_away);
    connection->listener->config.handler->on_request(connection, head, body);
    return true;
}

/* The body is not there yet: wait for it, and say so to a client that waits for that (RFC
 * 9110, 10.1.1). */
static bool await_body(struct connection *connection)
{
    if (connection->ended) {
        connection_lose(connection);
        return false;
    }
    if (connection->phase == PHASE_body)
        return false;
    connection_move(connection, PHASE_body);
    if (connection->expects && connection->body_len == 0)
        connection_put(connection, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    return false;
}

/* For a refusal while the body comes: the head, read again. */
static const struct http_head *head_again(struct connection *connection)
{
    return parse_head(connection) == HTTP_fine ? &connection->listener->head : NULL;
}

/* Bytes of the body that came, or are sure to come. */
static uint64_t known_size(const struct connection *connection)
{
    return connection->body_len + http_chunk_left(&connection->chunk);
}

static bool read_body(struct connection *connection, const struct http_head *head)
{
    enum http_result result = take_body(connection);

    if (result != HTTP_fine && result != HTTP_more) {
        refuse_malformed(connection, head != NULL ? head : head_again(connection), result);
        return false;
    }
    if (known_size(connection) > connection->body_limit ||
        (known_size(connection) > LARGE_BODY && !connection->large)) {
        if (head == NULL)
            head = head_again(connection);
        if (!admit_size(connection, head, known_size(connection)))
            return false;
    }
    return result == HTTP_fine ? deliver(connection, head) : await_body(connection);
}

/* A head is complete: what does the handler say to it? */
static bool meet(struct connection *connection)
{
    const struct http_head *head = &connection->listener->head;
    enum http_result result = parse_head(connection);
    int64_t limit;

    if (result != HTTP_fine) {
        refuse_malformed(connection, NULL, result);
        return false;
    }
    note_head(connection, head);
    connection->owed = connection->heading = true;
    connection_move(connection, PHASE_away);
    limit = connection->listener->config.handler->on_head(connection, head);
    connection->heading = false;
    assert((limit < 0) == !connection->owed);
    if (limit < 0)
        return true;
    connection->body_limit = (uint64_t)limit;
    if (!admit_size(connection, head, head->content_length))
        return false;
    return read_body(connection, head);
}

/* Nothing of a next request is there. */
static void rest(struct connection *connection)
{
    input_release(connection);
    if (connection->ended || connection->listener->stopped)
        connection_lose(connection);
    else
        connection_move(connection, PHASE_idle);
}

static bool read_head(struct connection *connection)
{
    enum http_result result;

    if (connection->start == connection->end) {
        if (connection->phase == PHASE_next)
            rest(connection);
        return false;
    }
    result = http_head_find(connection->data + connection->start,
                            connection->end - connection->start, &connection->scan);
    if (result == HTTP_fine)
        return meet(connection);
    if (result != HTTP_more)
        refuse_malformed(connection, NULL, result);
    else if (connection->ended)
        connection_lose(connection);
    else if (connection->phase != PHASE_head)
        connection_move(connection, PHASE_head);
    return false;
}

/* One step; whether another one may be possible. */
static bool step(struct connection *connection)
{
    switch (connection->phase) {
    case PHASE_next:
    case PHASE_fresh:
    case PHASE_idle:
    case PHASE_head:
        return read_head(connection);
    case PHASE_body:
        return read_body(connection, NULL);
    default:
        return false;
    }
}

static void advance(struct connection *connection)
{
    if (connection->running)
        return;
    connection->running = true;
    while (step(connection))
        ;
    connection->running = false;
}

static void go_on(struct connection *connection)
{
    if (!connection->ended)
        ev_io_start(loop_get(), &connection->reading);
    connection_move(connection, PHASE_next);
    advance(connection);
}

static void pause_reading(struct connection *connection)
{
    if (connection->start == connection->end)
        input_release(connection);
    ev_io_stop(loop_get(), &connection->reading);
    connection_move(connection, PHASE_pause);
}

void connection_pause(struct connection *connection)
{
    connection->pauses = true;
}

void connection_finish(struct connection *connection)
{
    bool pauses = connection->pauses && !connection->ended && !connection->listener->stopped;
    bool unread = connection->end - connection->start > connection->used;

    if (connection->closes && (connection->lingers || unread)) {
        linger_on(connection);
        return;
    }
    if (connection->closes) {
        connection_lose(connection);
        return;
    }
    release_large(connection);
    buffer_free(&connection->out);
    connection->start += connection->used;
    input_shrink(connection);
    begin(connection);
    if (pauses)
        pause_reading(connection);
    else
        go_on(connection);
}

/* The client closed its sending side; all of it, or only that one. */
static void on_end(struct connection *connection)
{
    connection->ended = true;
    ev_io_stop(loop_get(), &connection->reading);
    if ((connection->phase != PHASE_away && connection->phase != PHASE_send) ||
        (connection->owed && connection->leaves))
        connection_lose(connection);
}

static void drop_input(struct connection *connection)
{
    char dropped[DROP_BYTES];
    ssize_t len = recv(connection->reading.fd, dropped, sizeof(dropped), 0);

    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
        connection_lose(connection);
}

/* One read a turn: the loop reports again what is left. */
static void read_input(struct connection *connection)
{
    ssize_t len;

    if (!input_make_room(connection)) {
        if (connection->phase == PHASE_away || connection->phase == PHASE_send)
            ev_io_stop(loop_get(), &connection->reading);
        else
            refuse(connection, NULL, 503, "too many bodies at one time", REFUSAL_busy);
        return;
    }
    len = recv(connection->reading.fd, connection->data + connection->end,
               connection->room - connection->end, 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (connection->end == connection->start && connection->pinned == NULL)
            input_release(connection);
        return;
    }
    if (len < 0) {
        connection_lose(connection);
        return;
    }
    if (len == 0) {
        on_end(connection);
        return;
    }
    stat_add(&http_received_bytes_total, (double)len);
    connection->end += (size_t)len;
    advance(connection);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct connection *connection = watcher->data;

    (void)loop;
    (void)events;
    if (connection->phase == PHASE_linger)
        drop_input(connection);
    else if (connection->broken || (connection->ended && connection->leaves && connection->owed))
        connection_lose(connection);
    else if (!connection->ended)
        read_input(connection);
}

void connection_nudge(struct connection *connection)
{
    if (connection->phase == PHASE_idle || connection->phase == PHASE_fresh)
        read_input(connection);
    if (connection->phase == PHASE_idle)
        connection_lose(connection);
}

/* Whether the body, or the answer, has made its least way since the last look. */
static bool keeps_pace(const struct connection *connection)
{
    const struct listener_times *times = &connection->listener->config.times;
    int64_t length_us = connection->listener->phases[connection->phase].length_us;
    int64_t way = progress(connection) - connection->paced;

    if (connection->phase == PHASE_body)
        return way * TIME_S(1) >= times->body_rate * length_us;
    return connection->phase == PHASE_send && way * TIME_S(1) >= times->send_rate * length_us;
}

void connection_expired(struct deadline *deadline)
{
    struct connection *connection = connection_of(deadline);
    enum phase phase = connection->phase;

    if (phase == PHASE_pause) {
        go_on(connection);
        return;
    }
    if (keeps_pace(connection)) {
        connection_move(connection, phase);
        return;
    }
    stat_add_at(&http_timeouts_total, phase, 1);
    if (phase == PHASE_send)
        cut(connection);
    else if (phase == PHASE_head)
        refuse(connection, NULL, 408, "the request did not come in time", REFUSAL_late);
    else if (phase == PHASE_body)
        refuse(connection, head_again(connection), 408, "the body came too slowly", REFUSAL_late);
    else
        connection_lose(connection);
}

struct connection *connection_open(struct listener *listener, int fd,
                                   const struct in6_addr *address)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL)
        return NULL;
    connection->listener = listener;
    connection->address = *address;
    buffer_init(&connection->out, NULL, SIZE_MAX);
    ev_io_init(&connection->reading, on_readable, fd, EV_READ);
    ev_io_init(&connection->writing, connection_on_writable, fd, EV_WRITE);
    connection->reading.data = connection->writing.data = connection;
    begin(connection);
    connection_move(connection, PHASE_fresh);
    ev_io_start(loop_get(), &connection->reading);
    return connection;
}

void connection_end_is_leaving(struct connection *connection)
{
    connection->leaves = true;
    if (connection->ended)
        ev_feed_event(loop_get(), &connection->reading, EV_READ);
}

void connection_attach(struct connection *connection, void *exchange)
{
    connection->attached = exchange;
}

void *connection_attached(const struct connection *connection)
{
    return connection->attached;
}

struct str connection_id(const struct connection *connection)
{
    return (struct str){connection->id, connection->id_len};
}

const struct in6_addr *connection_address(const struct connection *connection)
{
    return &connection->address;
}

/* Writes answers: a head, then the content, whole or in pieces.
 *
 * Everything is tried at once with one system call. What the socket does not take is copied to
 * `out`, and the connection is in the phase `send` until the client has read it, at its least rate.
 * What the kernel still holds has not been read: a socket that takes a lot at once and then nothing
 * for long is how a slow, steady reader looks from here. A socket that takes nothing any more is
 * noticed here but acted upon in a turn of its own, because the handler is still using the
 * connection. */
#include "connection_private.h"

#include "http_status.h"
#include "inject.h"
#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

enum {
    TEXT_BYTES = 512,         /* of the fields that stand in every answer */
    KEPT_BYTES = 64 * 1024,   /* a buffer up to this size is kept while a stream goes on */
    CHUNK_SIZE_BYTES = 16 + 2 /* a size in hex digits, and CRLF */
};

/* A head that is being written; what always stands there is bounded. */
struct text {
    char data[TEXT_BYTES];
    size_t len;
};

static void add(struct text *text, struct str s)
{
    assert(s.len <= TEXT_BYTES - text->len);
    memcpy(text->data + text->len, s.ptr, s.len);
    text->len += s.len;
}

static void add_number(struct text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add(text, (struct str){digits + at, sizeof(digits) - at});
}

static bool has_content(int status)
{
    return status != 204 && status != 304;
}

static struct str length_of(struct iovec vector)
{
    return (struct str){vector.iov_base, vector.iov_len};
}

/* The socket takes nothing any more: reported in a later turn. */
static void mark_broken(struct connection *connection)
{
    connection->broken = true;
    ev_feed_event(loop_get(), &connection->reading, EV_READ);
}

/* Bytes that the socket took of these; 0 too when it is full, or broken. */
static size_t try_send(struct connection *connection, struct iovec *vectors, size_t count)
{
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    ssize_t sent;

    if (INJECT(send_short))
        message.msg_iovlen = 1;
    do
        sent = sendmsg(connection->writing.fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        stat_add(&http_sent_bytes_total, (double)sent);
        return (size_t)sent;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS)
        mark_broken(connection);
    return 0;
}

/* Copies what is left behind the first `sent` bytes. */
static void keep(struct connection *connection, const struct iovec *vectors, size_t count,
                 size_t sent)
{
    bool waited = connection_waiting(connection) > 0;

    for (size_t i = 0; i < count; i++) {
        struct str left = length_of(vectors[i]);
        size_t skip = sent < left.len ? sent : left.len;

        buffer_add(&connection->out, left.ptr + skip, left.len - skip);
        sent -= skip;
    }
    if (connection->out.failed)
        mark_broken(connection);
    if (connection_waiting(connection) == 0 || waited)
        return;
    ev_io_start(loop_get(), &connection->writing);
    if (connection->phase == PHASE_away)
        connection_move(connection, PHASE_send);
}

static void put(struct connection *connection, struct iovec *vectors, size_t count)
{
    size_t sent = 0;

    if (connection->broken)
        return;
    if (connection_waiting(connection) == 0)
        sent = try_send(connection, vectors, count);
    if (!connection->broken)
        keep(connection, vectors, count, sent);
}

int64_t connection_taken(const struct connection *connection)
{
    int queued = 0;

    if (ioctl(connection->writing.fd, SIOCOUTQ, &queued) != 0)
        queued = 0;
    return (int64_t)connection->out_sent - queued;
}

static struct iovec vector_of(struct str s)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)s.ptr, .iov_len = s.len};
}

void connection_put(struct connection *connection, struct str bytes)
{
    struct iovec vector = vector_of(bytes);

    put(connection, &vector, 1);
}

/* Whether this answer is the connection's last. */
static void decide_end(struct connection *connection, bool asked)
{
    bool body_unread = connection->heading && connection->framing != HTTP_NO_BODY;
    bool ours = asked || connection->listener->stopped || body_unread;

    connection->closes = connection->closes || ours || !connection->keep_alive;
    connection->lingers = connection->lingers || (ours && connection->keep_alive) || body_unread;
}

/* The fields of every answer (RFC 9110, 6.6.1; RFC 9112, 9.3), without the empty line. */
static void add_common(struct text *text, const struct connection *connection, int status)
{
    add(text, STR("HTTP/1.1 "));
    add_number(text, (uint64_t)status);
    add(text, STR(" "));
    add(text, str_of(http_reason(status)));
    add(text, STR("\r\nDate: "));
    add(text, (struct str){listener_date(connection->listener), DATE_BYTES});
    if (connection->id_len > 0) {
        add(text, STR("\r\nX-Request-Id: "));
        add(text, connection_id(connection));
    }
    if (connection->closes)
        add(text, STR("\r\nConnection: close"));
    else if (connection->old)
        add(text, STR("\r\nConnection: keep-alive"));
    add(text, STR("\r\n"));
}

static struct str chunk_size(size_t size, char out[CHUNK_SIZE_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = CHUNK_SIZE_BYTES - 2;

    memcpy(out + at, "\r\n", 2);
    do {
        out[--at] = digits[size & 15];
        size >>= 4;
    } while (size > 0);
    return (struct str){out + at, CHUNK_SIZE_BYTES - at};
}

/* A piece of a stream in the form in which it is sent: size, bytes, CRLF. */
struct piece {
    struct iovec vectors[3];     /* of the parts; empty ones where there is no coding */
    char size[CHUNK_SIZE_BYTES]; /* what the first points to */
};

static void frame(struct piece *piece, struct str content, bool chunked)
{
    piece->vectors[0] = piece->vectors[2] = vector_of(NO_STR);
    piece->vectors[1] = vector_of(content);
    if (chunked && content.len > 0) {
        piece->vectors[0] = vector_of(chunk_size(content.len, piece->size));
        piece->vectors[2] = vector_of(STR("\r\n"));
    }
}

/* The head and the beginning of the content, in one go. */
static void put_answer(struct connection *connection, struct text *text,
                       const struct connection_answer *answer, const struct piece *piece)
{
    struct str type = answer->content_type;
    struct iovec vectors[] = {
        vector_of((struct str){text->data, text->len}),
        vector_of(answer->fields),
        vector_of(type.ptr != NULL ? STR("Content-Type: ") : NO_STR),
        vector_of(type),
        vector_of(type.ptr != NULL ? STR("\r\n\r\n") : STR("\r\n")),
        piece->vectors[0],
        piece->vectors[1],
        piece->vectors[2],
    };

    stat_add_at(&http_requests_total, (unsigned)answer->status / 100 - 1, 1);
    put(connection, vectors, sizeof(vectors) / sizeof(*vectors));
}

static void send_whole(struct connection *connection, const struct connection_answer *answer,
                       bool retry)
{
    struct text text = {.len = 0};
    struct str content = answer->body;
    struct piece piece;

    add_common(&text, connection, answer->status);
    if (has_content(answer->status)) {
        add(&text, STR("Content-Length: "));
        add_number(&text, content.len);
        add(&text, STR("\r\n"));
    }
    if (retry)
        add(&text, STR("Retry-After: 1\r\n"));
    if (connection->head_only || !has_content(answer->status))
        content = NO_STR;
    frame(&piece, content, false);
    put_answer(connection, &text, answer, &piece);
    if (connection->broken)
        return;
    if (connection_waiting(connection) == 0)
        connection_finish(connection);
    else
        connection_move(connection, PHASE_send);
}

void connection_answer(struct connection *connection, const struct connection_answer *answer)
{
    assert(connection->owed && !connection->streaming);
    connection->owed = false;
    decide_end(connection, answer->close);
    send_whole(connection, answer, false);
}

void connection_send_refusal(struct connection *connection, const struct connection_answer *answer,
                             bool retry)
{
    connection->closes = connection->lingers = true;
    send_whole(connection, answer, retry);
}

void connection_begin(struct connection *connection, const struct connection_answer *answer)
{
    struct text text = {.len = 0};
    struct piece piece;

    assert(connection->owed && !connection->streaming && has_content(answer->status));
    connection->streaming = true;
    connection->chunked = !connection->old;
    if (connection->old)
        connection->keep_alive = false;
    decide_end(connection, answer->close);
    add_common(&text, connection, answer->status);
    if (connection->chunked)
        add(&text, STR("Transfer-Encoding: chunked\r\n"));
    frame(&piece, connection->head_only ? NO_STR : answer->body, connection->chunked);
    put_answer(connection, &text, answer, &piece);
    connection_end_is_leaving(connection);
}

size_t connection_write(struct connection *connection, struct str content)
{
    struct piece piece;

    assert(connection->streaming);
    if (content.len > 0 && !connection->head_only) {
        frame(&piece, content, connection->chunked);
        put(connection, piece.vectors, 3);
    }
    return connection->broken ? SIZE_MAX : connection_waiting(connection);
}

void connection_end(struct connection *connection)
{
    assert(connection->streaming);
    if (connection->chunked && !connection->head_only)
        connection_put(connection, STR("0\r\n\r\n"));
    connection->owed = connection->streaming = false;
    if (!connection->broken && connection_waiting(connection) == 0)
        connection_finish(connection);
}

/* Everything was taken: the answer is out, or the stream may go on. */
static void on_sent(struct connection *connection)
{
    const struct connection_handler *handler = connection->listener->config.handler;

    ev_io_stop(loop_get(), &connection->writing);
    connection->out.len = connection->out_sent = 0;
    if (connection->out.room > KEPT_BYTES || !connection->streaming)
        buffer_free(&connection->out);
    if (connection->phase == PHASE_body)
        return;
    if (!connection->owed) {
        connection_finish(connection);
        return;
    }
    connection_move(connection, PHASE_away);
    if (handler->on_drained != NULL)
        handler->on_drained(connection);
}

void connection_on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct connection *connection = watcher->data;
    struct iovec left = {.iov_base = connection->out.data + connection->out_sent,
                         .iov_len = connection_waiting(connection)};
    size_t sent = try_send(connection, &left, 1);

    (void)loop;
    (void)events;
    if (connection->broken) {
        connection_lose(connection);
        return;
    }
    connection->out_sent += sent;
    if (connection_waiting(connection) == 0)
        on_sent(connection);
}

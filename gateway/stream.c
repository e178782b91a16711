/* From pieces of msgpack to chunks of JSON. A piece's values live only while it is written, so what
 * a stream costs is the pieces that are ahead of the client. */
#include "stream.h"
#include "base/time.h"
#include "http.h"
#include "json.h"
#include "reply.h"

enum { PIECE_VALUES_BYTES = 64 * 1024 * 1024, PIECE_JSON_BYTES = 64 * 1024 * 1024 };

struct stream {
    struct exchange *exchange; /* that is answered */
    struct json_pieces pieces; /* where the JSON text is */
    struct buffer text;        /* of it, what is not yet written */
    bool begun;                /* the answer's head is out */
};

/* Appends the JSON of a piece. */
static int add_piece(struct stream *stream, struct str body)
{
    struct exchange *exchange = stream->exchange;
    struct arena values;
    msgpack_object map;
    const char *why;
    int error;

    arena_init(&values, PIECE_VALUES_BYTES);
    error = msgpack_read(&values, body, &map, &why);
    if (error != 0 && why == NULL)
        fail(exchange, busy, "no memory for a piece");
    else if (error != 0 || json_pieces_add(&stream->pieces, &stream->text, &map) != 0)
        error = fail(exchange, internal, "a piece is none of the answer");
    arena_clear(&values);
    if (error == 0 && stream->text.failed)
        error = fail(exchange, busy, "no memory for a piece");
    return error;
}

/* Gives the connection what there is. */
static void write_text(struct stream *stream)
{
    struct exchange *exchange = stream->exchange;

    if (stream->begun)
        (void)connection_write(exchange->connection, buffer_str(&stream->text));
    else
        reply_begin(exchange, JSON_TYPE, NO_STR, buffer_str(&stream->text));
    stream->begun = true;
    buffer_free(&stream->text);
}

/* Until the client has taken what was written. */
static int await_client(struct stream *stream)
{
    struct exchange *exchange = stream->exchange;

    while (exchange->connection != NULL && connection_write(exchange->connection, NO_STR) > 0) {
        switch (fiber_wait(exchange->trip.deadline_us)) {
        case WAKE_DONE: /* all was taken, or another piece came */
            break;
        case WAKE_FAILED:
            return fail(exchange, domain_down, "the actor was lost");
        case WAKE_TIMEOUT:
            return fail(exchange, timeout, "the client is too slow");
        case WAKE_CANCEL:
            return fail(exchange, cancelled, "the client left");
        }
    }
    return exchange->connection != NULL ? 0 : fail(exchange, cancelled, "the client left");
}

static int pass_on(struct stream *stream)
{
    struct trip *trip = &stream->exchange->trip;
    struct str piece;

    for (;;) {
        if (trip_next(trip, &piece) != 0) {
            stream->exchange->failure = trip->failure;
            return -1;
        }
        if (piece.ptr == NULL)
            return 0;
        if (add_piece(stream, piece) != 0)
            return -1;
        write_text(stream);
        if (await_client(stream) != 0)
            return -1;
    }
}

/* The last reply: what is still to come of the output. */
static int finish(struct stream *stream)
{
    struct exchange *exchange = stream->exchange;

    if (exchange->trip.fault != NULL)
        return fail_at(&exchange->failure, exchange->trip.fault, __FILE__, __LINE__,
                       "the actor failed within its answer");
    if (add_piece(stream, exchange->trip.reply_body) != 0)
        return -1;
    if (json_pieces_end(&stream->pieces, &stream->text) != 0)
        return fail(exchange, internal, "an answer lacks what the contract promises");
    write_text(stream);
    return 0;
}

static void end(struct stream *stream, int error)
{
    struct exchange *exchange = stream->exchange;
    struct connection *connection = exchange->connection;

    if (error != 0 && !stream->begun) {
        reply_failure(exchange);
        return;
    }
    exchange->connection = NULL;
    if (connection == NULL)
        return;
    if (error == 0) {
        connection_end(connection);
        return;
    }
    log_warn(exchange, "an answer is cut: %s", exchange->failure.text);
    connection_abort(connection);
}

void stream_run(struct exchange *exchange)
{
    struct stream stream = {.exchange = exchange};
    int error = 0;

    exchange->trip.deadline_us = exchange->trip.pieces_deadline_us;
    buffer_init(&stream.text, NULL, PIECE_JSON_BYTES);
    json_pieces_begin(&stream.pieces, &exchange->method->out, &stream.text);
    if (exchange->head->method == HTTP_HEAD) {
        reply_begin(exchange, JSON_TYPE, NO_STR, NO_STR);
        stream.begun = true;
    } else {
        error = pass_on(&stream);
        if (error == 0)
            error = finish(&stream);
    }
    end(&stream, error);
    buffer_free(&stream.text);
}

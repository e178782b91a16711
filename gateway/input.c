/* The buffer that a connection reads into: none while it is idle, a pooled block for a head, what
 * its body needs after that. Bytes move only while no request points to them. */
#include "connection_private.h"

#include <stdlib.h>

enum { FIRST_BODY_ROOM = 64 * 1024 };

/* A buffer that is no block counts against what all bodies together may hold. */
static void free_large(struct connection *connection)
{
    connection->listener->body_bytes -= connection->room;
    free(connection->data);
}

void input_release(struct connection *connection)
{
    if (connection->data == NULL)
        return;
    if (connection->room == BLOCK_BYTES)
        listener_give_block(connection->listener, connection->data);
    else
        free_large(connection);
    connection->data = NULL;
    connection->room = connection->start = connection->end = 0;
}

/* Moves what is in use to the front of the buffer. */
static void compact(struct connection *connection)
{
    if (connection->start == 0)
        return;
    memmove(connection->data, connection->data + connection->start,
            connection->end - connection->start);
    connection->end -= connection->start;
    connection->start = 0;
}

/* A larger buffer for a body, up to what it can need. */
static bool grow(struct connection *connection)
{
    uint64_t most =
        connection->framing == HTTP_LENGTH ? connection->content_length : connection->body_limit;
    size_t target = connection->head_len + (size_t)most + SLACK_BYTES;
    size_t room = connection->room < FIRST_BODY_ROOM ? FIRST_BODY_ROOM : connection->room * 2;
    bool block = connection->room == BLOCK_BYTES;
    struct listener *listener = connection->listener;
    size_t others = listener->body_bytes - (block ? 0 : connection->room);
    char *data;

    if (room > target && target > connection->end)
        room = target;
    if (room > listener->config.body_bytes || others > listener->config.body_bytes - room)
        return false;
    data = realloc(block ? NULL : connection->data, room);
    if (data == NULL)
        return false;
    listener->body_bytes = others + room;
    if (block) {
        memcpy(data, connection->data, connection->end);
        listener_give_block(listener, connection->data);
    }
    connection->data = data;
    connection->room = room;
    return true;
}

bool input_make_room(struct connection *connection)
{
    if (connection->data == NULL) {
        connection->data = listener_take_block(connection->listener);
        connection->room = connection->data != NULL ? BLOCK_BYTES : 0;
    }
    if (connection->end < connection->room)
        return true;
    if (connection->phase == PHASE_away || connection->phase == PHASE_send ||
        connection->data == NULL)
        return false;
    compact(connection);
    if (connection->end < connection->room)
        return true;
    return connection->phase == PHASE_body && grow(connection);
}

void input_shrink(struct connection *connection)
{
    size_t left = connection->end - connection->start;
    char *block;

    if (left == 0) {
        input_release(connection);
        return;
    }
    if (connection->room == BLOCK_BYTES || left > BLOCK_BYTES)
        return;
    block = listener_take_block(connection->listener);
    if (block == NULL)
        return;
    memcpy(block, connection->data + connection->start, left);
    free_large(connection);
    connection->data = block;
    connection->room = BLOCK_BYTES;
    connection->start = 0;
    connection->end = left;
}

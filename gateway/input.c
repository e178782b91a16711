/* The buffer that a connection reads into: none while it is idle, a pooled block for a head, what
 * its body needs after that. Bytes move only while no request points to them: what comes behind a
 * request in flight, and has no room behind it, goes on in a buffer of its own. */
#include "connection_private.h"

#include <stdlib.h>

enum { FIRST_BODY_ROOM = 64 * 1024 };

/* A buffer that is no block counts against what all bodies together may hold. */
static void free_buffer(struct listener *listener, char *data, size_t room)
{
    if (room == BLOCK_BYTES) {
        listener_give_block(listener, data);
        return;
    }
    listener->body_bytes -= room;
    free(data);
}

static void unpin(struct connection *connection)
{
    if (connection->pinned != NULL)
        free_buffer(connection->listener, connection->pinned, connection->pinned_room);
    connection->pinned = NULL;
}

void input_release(struct connection *connection)
{
    unpin(connection);
    if (connection->data == NULL)
        return;
    free_buffer(connection->listener, connection->data, connection->room);
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

/* Leaves the buffer to the request in flight, and goes on in another one with what came behind it.
 * Not when that is much, so that each byte is copied but a few times. */
static bool set_apart(struct connection *connection)
{
    struct listener *listener = connection->listener;
    size_t behind = connection->end - connection->start - connection->used;
    size_t held = listener->body_bytes + BEHIND_BYTES;
    char *data;

    if (connection->pinned != NULL || behind > BEHIND_BYTES / 2 ||
        held > listener->config.body_bytes)
        return false;
    data = malloc(BEHIND_BYTES);
    if (data == NULL)
        return false;
    memcpy(data, connection->data + connection->start + connection->used, behind);
    listener->body_bytes = held;
    connection->pinned = connection->data;
    connection->pinned_room = connection->room;
    connection->data = data;
    connection->room = BEHIND_BYTES;
    connection->start = connection->used = 0;
    connection->end = behind;
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
    if (connection->data == NULL)
        return false;
    if (connection->phase == PHASE_away || connection->phase == PHASE_send)
        return set_apart(connection);
    compact(connection);
    if (connection->end < connection->room)
        return true;
    return connection->phase == PHASE_body && grow(connection);
}

void input_shrink(struct connection *connection)
{
    size_t left = connection->end - connection->start;
    char *block;

    unpin(connection);
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
    free_buffer(connection->listener, connection->data, connection->room);
    connection->data = block;
    connection->room = BLOCK_BYTES;
    connection->start = 0;
    connection->end = left;
}

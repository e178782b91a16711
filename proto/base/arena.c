/* Arenas: memory that is given back all at once.
 *
 * An arena is a list of chunks. All common ones are 8 KiB and come from a bounded list of spare
 * ones that the process keeps, so that the usual unit of work calls malloc() never. A request that
 * does not fit into such a chunk gets one of its own, behind the newest, which goes on serving.
 * Under AddressSanitizer whatever was not handed out is poisoned. Buffers stand on arenas or on the
 * heap. */
#include "arena.h"
#include "sanitize.h"
#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ALIGN = 16, CHUNK_BYTES = 8192, SPARE_MOST = 256, BUFFER_LEAST = 256, FORMAT_LOCAL = 256 };

struct arena_chunk {
    struct arena_chunk *next; /* the arena's, or the spare list's */
    size_t bytes;             /* with this head; CHUNK_BYTES: a common one */
    alignas(ALIGN) char room[];
};

enum { CHUNK_ROOM = CHUNK_BYTES - sizeof(struct arena_chunk) };

/* The chunks that wait for the next arena. */
static struct {
    struct arena_chunk *first;
    unsigned count;
} spare;

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static size_t room_of(const struct arena_chunk *chunk)
{
    return chunk->bytes - sizeof(*chunk);
}

static struct arena_chunk *chunk_new(size_t bytes)
{
    struct arena_chunk *chunk = spare.first;

    if (bytes == CHUNK_BYTES && chunk != NULL) {
        spare.first = chunk->next;
        spare.count--;
        return chunk;
    }
    chunk = malloc(bytes);
    if (chunk == NULL)
        return NULL;
    chunk->bytes = bytes;
    MEMORY_CLOSED(chunk->room, room_of(chunk));
    return chunk;
}

static void chunk_give_back(struct arena_chunk *chunk)
{
    if (chunk->bytes != CHUNK_BYTES || spare.count >= SPARE_MOST) {
        MEMORY_OPEN(chunk->room, room_of(chunk));
        free(chunk);
        return;
    }
    MEMORY_CLOSED(chunk->room, room_of(chunk));
    chunk->next = spare.first;
    spare.first = chunk;
    spare.count++;
}

/* How large the chunk for a request should be; 0 when the limit leaves no room for it. */
static size_t chunk_size_for(const struct arena *arena, size_t rounded)
{
    size_t left = arena->limit_bytes - arena->held_bytes;
    size_t least = rounded + sizeof(struct arena_chunk);

    if (arena->held_bytes > arena->limit_bytes || least > left)
        return 0;
    if (least > CHUNK_BYTES)
        return least;
    return left < CHUNK_BYTES ? left & ~(size_t)(ALIGN - 1) : (size_t)CHUNK_BYTES;
}

static void *alloc_in_new_chunk(struct arena *arena, size_t size_bytes, size_t rounded)
{
    size_t bytes = chunk_size_for(arena, rounded);
    struct arena_chunk *chunk = bytes >= rounded + sizeof(*chunk) ? chunk_new(bytes) : NULL;

    if (chunk == NULL)
        return NULL;
    arena->held_bytes += bytes;
    MEMORY_OPEN(chunk->room, size_bytes);
    if (bytes > CHUNK_BYTES && arena->chunks != NULL) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
        return chunk->room;
    }
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->next = chunk->room + rounded;
    arena->end = chunk->room + room_of(chunk);
    return chunk->room;
}

void arena_init(struct arena *arena, size_t limit_bytes)
{
    *arena = (struct arena){.limit_bytes = limit_bytes};
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    size_t rounded = round_up(size_bytes != 0 ? size_bytes : 1);
    char *at = arena->next;

    if (size_bytes > SIZE_MAX / 2)
        return NULL;
    if (rounded > (size_t)(arena->end - at))
        return alloc_in_new_chunk(arena, size_bytes, rounded);
    arena->next = at + rounded;
    MEMORY_OPEN(at, size_bytes);
    return at;
}

void *arena_zalloc(struct arena *arena, size_t size_bytes)
{
    void *memory = arena_alloc(arena, size_bytes);

    return memory != NULL ? memset(memory, 0, size_bytes) : NULL;
}

struct str arena_copy(struct arena *arena, struct str s)
{
    char *copy;

    if (s.ptr == NULL || s.len == SIZE_MAX)
        return NO_STR;
    copy = arena_alloc(arena, s.len + 1);
    if (copy == NULL)
        return NO_STR;
    memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return (struct str){copy, s.len};
}

struct str arena_format(struct arena *arena, const char *format, ...)
{
    char local[FORMAT_LOCAL];
    va_list args;
    char *text;
    int len;

    va_start(args, format);
    len = vsnprintf(local, sizeof(local), format, args);
    va_end(args);
    if (len < 0)
        return NO_STR;
    if ((size_t)len < sizeof(local))
        return arena_copy(arena, (struct str){local, (size_t)len});
    text = arena_alloc(arena, (size_t)len + 1);
    if (text == NULL)
        return NO_STR;
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return (struct str){text, (size_t)len};
}

void arena_join(struct arena *to, struct arena *from)
{
    struct arena_chunk **end = &to->chunks;

    if (to->chunks == NULL) {
        to->next = from->next;
        to->end = from->end;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = from->chunks;
    to->held_bytes += from->held_bytes;
    arena_init(from, from->limit_bytes);
}

void arena_clear(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;

    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;

        chunk_give_back(chunk);
        chunk = next;
    }
    arena_init(arena, arena->limit_bytes);
}

void arena_trim(void)
{
    while (spare.first != NULL) {
        struct arena_chunk *chunk = spare.first;

        spare.first = chunk->next;
        MEMORY_OPEN(chunk->room, room_of(chunk));
        free(chunk);
    }
    spare.count = 0;
}

/* Makes the arena's last allocation longer where it stands. */
static bool extend_last(struct arena *arena, char *at, size_t old_bytes, size_t new_bytes)
{
    size_t more = round_up(new_bytes) - round_up(old_bytes);

    if (at == NULL || at + round_up(old_bytes) != arena->next)
        return false;
    if (more > (size_t)(arena->end - arena->next))
        return false;
    arena->next += more;
    MEMORY_OPEN(at, new_bytes);
    return true;
}

/* Makes an allocation that has a chunk of its own longer, if it is the newest such. */
static char *extend_own_chunk(struct arena *arena, char *at, size_t new_bytes)
{
    struct arena_chunk **link = &arena->chunks;
    size_t bytes = round_up(new_bytes) + sizeof(struct arena_chunk);
    struct arena_chunk *chunk;

    if (*link != NULL && (*link)->room != at)
        link = &(*link)->next;
    chunk = *link;
    if (chunk == NULL || chunk->room != at || chunk->bytes <= CHUNK_BYTES)
        return NULL;
    if (bytes - chunk->bytes > arena->limit_bytes - arena->held_bytes)
        return NULL;
    MEMORY_OPEN(chunk->room, room_of(chunk));
    chunk = realloc(chunk, bytes);
    if (chunk == NULL)
        return NULL;
    arena->held_bytes += bytes - chunk->bytes;
    chunk->bytes = bytes;
    *link = chunk;
    if (link == &arena->chunks)
        arena->next = arena->end = chunk->room + room_of(chunk);
    return chunk->room;
}

/* The data in `new_room` bytes, perhaps elsewhere; NULL leaves everything as it was. */
static char *buffer_move(struct buffer *buffer, size_t new_room)
{
    char *data;

    if (buffer->arena == NULL)
        return realloc(buffer->data, new_room);
    if (extend_last(buffer->arena, buffer->data, buffer->room, new_room))
        return buffer->data;
    data = extend_own_chunk(buffer->arena, buffer->data, new_room);
    if (data != NULL)
        return data;
    data = arena_alloc(buffer->arena, new_room);
    if (data != NULL && buffer->len > 0)
        memcpy(data, buffer->data, buffer->len);
    return data;
}

void buffer_init(struct buffer *buffer, struct arena *arena, size_t limit_bytes)
{
    *buffer = (struct buffer){.arena = arena, .limit_bytes = limit_bytes};
}

static bool buffer_grow(struct buffer *buffer, size_t need)
{
    size_t room = buffer->room < BUFFER_LEAST / 2 ? (size_t)BUFFER_LEAST : buffer->room * 2;
    char *data;

    if (room < need)
        room = need;
    if (room > buffer->limit_bytes)
        room = buffer->limit_bytes;
    data = buffer_move(buffer, room);
    /* Near the limit: half as much more, so that it does not come down to growing by each piece. */
    while (data == NULL && room > need) {
        room = need + (room - need) / 2;
        data = buffer_move(buffer, room);
    }
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->room = room;
    return true;
}

char *buffer_reserve(struct buffer *buffer, size_t more_bytes)
{
    if (buffer->failed)
        return NULL;
    if (more_bytes > buffer->limit_bytes - buffer->len) {
        buffer->failed = true;
        return NULL;
    }
    if (more_bytes > buffer->room - buffer->len || buffer->data == NULL) {
        if (!buffer_grow(buffer, buffer->len + (more_bytes != 0 ? more_bytes : 1))) {
            buffer->failed = true;
            return NULL;
        }
    }
    return buffer->data + buffer->len;
}

void buffer_add(struct buffer *buffer, const void *bytes, size_t len)
{
    char *at = len != 0 ? buffer_reserve(buffer, len) : NULL;

    if (at == NULL)
        return;
    memcpy(at, bytes, len);
    buffer->len += len;
}

void buffer_add_str(struct buffer *buffer, struct str s)
{
    buffer_add(buffer, s.ptr, s.len);
}

void buffer_add_format(struct buffer *buffer, const char *format, ...)
{
    char local[FORMAT_LOCAL];
    va_list args;
    char *at;
    int len;

    va_start(args, format);
    len = vsnprintf(local, sizeof(local), format, args);
    va_end(args);
    if (len < 0) {
        buffer->failed = true;
        return;
    }
    if ((size_t)len < sizeof(local)) {
        buffer_add(buffer, local, (size_t)len);
        return;
    }
    at = buffer_reserve(buffer, (size_t)len + 1);
    if (at == NULL)
        return;
    va_start(args, format);
    vsnprintf(at, (size_t)len + 1, format, args);
    va_end(args);
    buffer->len += (size_t)len;
}

void buffer_drop(struct buffer *buffer, size_t len)
{
    assert(len <= buffer->len);
    if (len == 0)
        return;
    buffer->len -= len;
    memmove(buffer->data, buffer->data + len, buffer->len);
}

void buffer_trim(struct buffer *buffer)
{
    struct arena *arena = buffer->arena;

    if (arena == NULL || buffer->data == NULL ||
        buffer->data + round_up(buffer->room) != arena->next)
        return;
    MEMORY_CLOSED(buffer->data + buffer->len, buffer->room - buffer->len);
    arena->next = buffer->data + round_up(buffer->len);
    buffer->room = buffer->len;
}

void buffer_free(struct buffer *buffer)
{
    if (buffer->arena == NULL)
        free(buffer->data);
    buffer_init(buffer, buffer->arena, buffer->limit_bytes);
}

/* Memory of one unit of work, and the two shapes that bytes have here.
 *
 * An arena hands out memory that is given back all at once, so that a handler never frees. It takes
 * chunks from a list that the process keeps, has a limit, and returns NULL beyond it: the caller
 * answers `busy`. A `str` is a view of bytes that somebody else owns; a `buffer` is bytes that
 * grow. Nothing here waits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, first) __attribute__((format(printf, format_at, first)))

/* A view of bytes. Not terminated, unless a function says so. `ptr` NULL means absent. */
struct str {
    const char *ptr; /* the first byte, or NULL where there is no value */
    size_t len;      /* bytes */
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define NO_STR ((struct str){NULL, 0})
/* For "%.*s". */
#define STR_ARG(s) (int)(s).len, (s).ptr != NULL ? (s).ptr : ""

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Whether `s` equals the terminated `text`. */
static inline bool str_is(struct str s, const char *text)
{
    return s.ptr != NULL && strlen(text) == s.len && memcmp(s.ptr, text, s.len) == 0;
}

/* A view of a terminated text; NULL gives the absent str. */
static inline struct str str_of(const char *text)
{
    return (struct str){text, text != NULL ? strlen(text) : 0};
}

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    char *next;                 /* where the newest chunk goes on */
    char *end;                  /* where it ends */
    size_t held_bytes;          /* of all chunks */
    size_t limit_bytes;         /* `held_bytes` never passes it */
};

/* An empty arena that holds nothing yet. */
void arena_init(struct arena *arena, size_t limit_bytes);

/* Memory aligned for anything, not cleared; NULL at the limit. */
void *arena_alloc(struct arena *arena, size_t size_bytes) MUST;

/* As arena_alloc(), all zero. */
void *arena_zalloc(struct arena *arena, size_t size_bytes) MUST;

/* A terminated copy (the terminator is not counted in `len`); absent at the limit or of nothing. */
struct str arena_copy(struct arena *arena, struct str s) MUST;

/* Formatted, terminated text; absent at the limit. */
struct str arena_format(struct arena *arena, const char *format, ...) MUST PRINTF_LIKE(2, 3);

/* Moves what `from` holds into `to`, whatever its limit; `from` is empty then. */
void arena_join(struct arena *to, struct arena *from);

/* Gives everything back; the arena is empty and may be used again. */
void arena_clear(struct arena *arena);

/* Gives the process's spare chunks back to the system (before exit, so that leaks are seen). */
void arena_trim(void);

/* Bytes that grow: in an arena where one is given, else on the heap. When it cannot grow, `failed`
 * is set, the piece that did not fit is dropped, and appending more does nothing: check once, at
 * the end. */
struct buffer {
    struct arena *arena; /* NULL: the heap, and buffer_free() is due */
    char *data;          /* the bytes */
    size_t len;          /* bytes in use */
    size_t room;         /* bytes allocated */
    size_t limit_bytes;  /* `len` never passes it */
    bool failed;         /* something did not fit */
};

/* An empty buffer. `arena` may be NULL. */
void buffer_init(struct buffer *buffer, struct arena *arena, size_t limit_bytes);

/* Room for `more` bytes behind `len`; their address, or NULL (and `failed`). */
char *buffer_reserve(struct buffer *buffer, size_t more_bytes) MUST;

void buffer_add(struct buffer *buffer, const void *bytes, size_t len);
void buffer_add_str(struct buffer *buffer, struct str s);
void buffer_add_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/* A literal, its length known at compile time. */
#define buffer_add_text(buffer, literal) buffer_add((buffer), "" literal, sizeof(literal) - 1)

static inline void buffer_add_char(struct buffer *buffer, char c)
{
    if (buffer->len < buffer->room && !buffer->failed)
        buffer->data[buffer->len++] = c;
    else
        buffer_add(buffer, &c, 1);
}

/* The bytes so far; a view that the next append may move. */
static inline struct str buffer_str(const struct buffer *buffer)
{
    return (struct str){buffer->data != NULL ? buffer->data : "", buffer->len};
}

/* Drops the first `len` bytes (len <= buffer->len). */
void buffer_drop(struct buffer *buffer, size_t len);

/* Gives the room that is not used back to the arena, where nothing else was taken from it since. */
void buffer_trim(struct buffer *buffer);

/* Frees what is on the heap; the buffer is empty and may be used again. */
void buffer_free(struct buffer *buffer);

/* The chunked coding as a machine of states: data is moved in runs, all else goes byte by byte
 * through the step of its state. */
#include "http_chunk.h"

enum { SIZE_DIGITS = 8 };

enum state {
    SIZE,            /* a digit of the size, or what ends it */
    EXTENSION,       /* the first byte of an extension's name */
    EXTENSION_NAME,  /* more of it */
    EXTENSION_VALUE, /* the first byte of its value */
    EXTENSION_TOKEN, /* more of a value that is a token */
    QUOTED,          /* inside a quoted value */
    QUOTED_PAIR,     /* behind a backslash */
    QUOTED_END,      /* behind the closing quote */
    SIZE_LF,         /* the LF of the size's line */
    DATA,            /* the chunk's bytes */
    DATA_CR,         /* the CR behind them */
    DATA_LF,         /* and its LF */
    TRAILER,         /* the first byte of a trailer line, or the CR of the empty one */
    TRAILER_NAME,    /* more of its name */
    TRAILER_VALUE,   /* its value */
    TRAILER_LF,      /* the LF of a trailer line */
    LAST_LF,         /* the LF of the empty line */
    ENDED,           /* nothing more belongs to the body */
};

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Each step takes one byte and returns the next state, or -1 when the byte may not stand there. */

/* What may stand behind a whole size, name or value. */
static int step_size_end(char c)
{
    if (c == ';')
        return EXTENSION;
    return c == '\r' ? SIZE_LF : -1;
}

static int step_size(struct http_chunk *chunk, char c)
{
    int digit = hex_of(c);

    if (digit < 0)
        return chunk->count > 0 ? step_size_end(c) : -1;
    if (++chunk->count > SIZE_DIGITS)
        return -1;
    chunk->left = chunk->left * 16 + (uint64_t)digit;
    return SIZE;
}

/* RFC 9112, 7.1.1, without the blanks that it calls bad. */
static int step_extension(int state, char c)
{
    switch (state) {
    case EXTENSION:
        return http_is_token(c) ? EXTENSION_NAME : -1;
    case EXTENSION_NAME:
        if (c == '=')
            return EXTENSION_VALUE;
        return http_is_token(c) ? EXTENSION_NAME : step_size_end(c);
    case EXTENSION_VALUE:
        if (c == '"')
            return QUOTED;
        return http_is_token(c) ? EXTENSION_TOKEN : -1;
    case EXTENSION_TOKEN:
        return http_is_token(c) ? EXTENSION_TOKEN : step_size_end(c);
    case QUOTED:
        if (c == '"' || c == '\\')
            return c == '"' ? QUOTED_END : QUOTED_PAIR;
        return http_is_value(c) ? QUOTED : -1;
    case QUOTED_PAIR:
        return http_is_value(c) ? QUOTED : -1;
    default:
        return step_size_end(c);
    }
}

static int step_trailer(int state, char c)
{
    switch (state) {
    case TRAILER:
        if (c == '\r')
            return LAST_LF;
        return http_is_token(c) ? TRAILER_NAME : -1;
    case TRAILER_NAME:
        if (c == ':')
            return TRAILER_VALUE;
        return http_is_token(c) ? TRAILER_NAME : -1;
    case TRAILER_VALUE:
        if (c == '\r')
            return TRAILER_LF;
        return http_is_value(c) ? TRAILER_VALUE : -1;
    default:
        return c == '\n' ? TRAILER : -1;
    }
}

static int step(struct http_chunk *chunk, char c)
{
    switch (chunk->state) {
    case SIZE:
        return step_size(chunk, c);
    case SIZE_LF:
        if (c != '\n')
            return -1;
        return chunk->left > 0 ? DATA : TRAILER;
    case DATA_CR:
        return c == '\r' ? DATA_LF : -1;
    case DATA_LF:
        chunk->count = 0;
        return c == '\n' ? SIZE : -1;
    case LAST_LF:
        return c == '\n' ? ENDED : -1;
    default:
        chunk->extra++;
        return chunk->state < SIZE_LF ? step_extension(chunk->state, c)
                                      : step_trailer(chunk->state, c);
    }
}

/* Moves as much of the chunk's data as has come. */
static size_t move_data(struct http_chunk *chunk, const char *in, size_t len, char *out)
{
    size_t run = chunk->left < len ? (size_t)chunk->left : len;

    if (out != in)
        memmove(out, in, run);
    chunk->left -= run;
    if (chunk->left == 0)
        chunk->state = DATA_CR;
    return run;
}

uint64_t http_chunk_left(const struct http_chunk *chunk)
{
    return chunk->state == DATA ? chunk->left : 0;
}

enum http_result http_chunk_decode(struct http_chunk *chunk, const char *in, size_t len, char *out,
                                   size_t *used, size_t *got)
{
    *used = 0;
    *got = 0;
    while (*used < len && chunk->state != ENDED) {
        if (chunk->state == DATA) {
            size_t run = move_data(chunk, in + *used, len - *used, out + *got);

            *used += run;
            *got += run;
            continue;
        }
        chunk->state = step(chunk, in[(*used)++]);
        if (chunk->state < 0)
            return HTTP_bad_chunk;
        if (chunk->extra > HTTP_CHUNK_EXTRA_BYTES)
            return HTTP_long_chunk;
    }
    return chunk->state == ENDED ? HTTP_fine : HTTP_more;
}

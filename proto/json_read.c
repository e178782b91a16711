/* The JSON reader: a state machine over bytes that may end anywhere.
 *
 * The values of open arrays and objects stand on one stack, those of the innermost last; when it
 * ends they are copied, so that each value takes its room and no more. A scalar that the end of a
 * slice cuts is kept in `token` until it is whole. */
#include "json.h"
#include <errno.h>
#include <stdlib.h>

enum state {
    STATE_VALUE,       /* a value must come */
    STATE_FIRST_VALUE, /* a value or `]` */
    STATE_FIRST_KEY,   /* a key or `}` */
    STATE_KEY,         /* a key must come */
    STATE_COLON,       /* behind a key */
    STATE_AFTER,       /* behind a value within something: `,` or the end of it */
    STATE_END,         /* behind the one value */
    STATE_STRING,      /* in a string */
    STATE_ESCAPE,      /* behind a backslash */
    STATE_UNICODE,     /* in the digits of \uXXXX */
    STATE_NUMBER,      /* in a number */
    STATE_WORD         /* in true, false or null */
};

enum { NUMBER_MOST_BYTES = 4096, WORD_MOST_BYTES = 6 };

/* An open array or object. */
struct level {
    bool object;  /* with keys, each before its value */
    size_t start; /* where its values begin on the stack, in bytes */
};

static_assert(sizeof(msgpack_object_kv) == 2 * sizeof(msgpack_object), "a member is two values");

struct json_reader {
    struct arena *arena;
    enum state state;
    size_t offset;   /* bytes before the slice */
    const char *why; /* set with `failed`; NULL: no memory */
    bool failed;
    size_t failed_at;     /* offset of the fault */
    bool key;             /* the string being read is a key */
    size_t token_at;      /* offset where the token began */
    struct buffer token;  /* a string's bytes, which become the value's */
    struct buffer scalar; /* a number's or a word's text */
    unsigned digits;      /* of \uXXXX so far */
    uint32_t unit;        /* its value */
    uint32_t high;        /* a high surrogate that waits for its low one, or 0 */
    unsigned depth;
    struct level levels[JSON_MOST_DEPTH];
    struct buffer stack;  /* msgpack_object: what the open levels hold */
    size_t values;        /* so far, keys too */
    msgpack_object value; /* the whole text's */
};

struct json_reader *json_reader_new(struct arena *arena)
{
    struct json_reader *reader = arena_zalloc(arena, sizeof(*reader));

    if (reader == NULL)
        return NULL;
    reader->arena = arena;
    buffer_init(&reader->stack, arena, SIZE_MAX);
    buffer_init(&reader->scalar, arena, SIZE_MAX);
    return reader;
}

static int error_at(struct json_reader *reader, size_t offset, const char *why)
{
    if (!reader->failed) {
        reader->failed = true;
        reader->failed_at = offset;
        reader->why = why;
    }
    return -1;
}

static int no_memory(struct json_reader *reader)
{
    return error_at(reader, reader->offset, NULL);
}

/* ---- values ---- */

static int open_level(struct json_reader *reader, size_t at, bool object)
{
    struct level *level;

    if (reader->depth == JSON_MOST_DEPTH)
        return error_at(reader, at, "nested too deeply");
    level = &reader->levels[reader->depth++];
    level->object = object;
    level->start = reader->stack.len;
    reader->state = object ? STATE_FIRST_KEY : STATE_FIRST_VALUE;
    return 0;
}

static int push(struct json_reader *reader, const msgpack_object *value, enum state next)
{
    buffer_add(&reader->stack, value, sizeof(*value));
    reader->state = next;
    if (reader->stack.failed || ++reader->values > JSON_MOST_VALUES)
        return no_memory(reader);
    return 0;
}

static int add_value(struct json_reader *reader, const msgpack_object *value)
{
    if (reader->depth > 0)
        return push(reader, value, STATE_AFTER);
    reader->value = *value;
    reader->state = STATE_END;
    return 0;
}

static int close_level(struct json_reader *reader)
{
    const struct level *level = &reader->levels[--reader->depth];
    size_t bytes = reader->stack.len - level->start;
    msgpack_object value = {.type = MSGPACK_OBJECT_ARRAY};
    void *items = NULL;

    if (bytes > 0) {
        items = arena_alloc(reader->arena, bytes);
        if (items == NULL)
            return no_memory(reader);
        memcpy(items, reader->stack.data + level->start, bytes);
        reader->stack.len = level->start;
    }
    if (level->object) {
        value.type = MSGPACK_OBJECT_MAP;
        value.via.map.size = (uint32_t)(bytes / sizeof(msgpack_object_kv));
        value.via.map.ptr = items;
    } else {
        value.via.array.size = (uint32_t)(bytes / sizeof(msgpack_object));
        value.via.array.ptr = items;
    }
    return add_value(reader, &value);
}

/* ---- strings ---- */

static void begin_string(struct json_reader *reader, bool key, size_t at)
{
    buffer_init(&reader->token, reader->arena, SIZE_MAX);
    reader->key = key;
    reader->token_at = at;
    reader->high = 0;
    reader->state = STATE_STRING;
}

/* Appends a code point; a lone surrogate as the three bytes that no UTF-8 has. */
static void add_code_point(struct buffer *token, uint32_t code)
{
    char bytes[4];
    size_t len;

    if (code < 0x80) {
        bytes[0] = (char)code;
        len = 1;
    } else if (code < 0x800) {
        bytes[0] = (char)(0xC0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 0x3F));
        len = 2;
    } else if (code < 0x10000) {
        bytes[0] = (char)(0xE0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[2] = (char)(0x80 | (code & 0x3F));
        len = 3;
    } else {
        bytes[0] = (char)(0xF0 | code >> 18);
        bytes[1] = (char)(0x80 | (code >> 12 & 0x3F));
        bytes[2] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[3] = (char)(0x80 | (code & 0x3F));
        len = 4;
    }
    buffer_add(token, bytes, len);
}

/* A high surrogate that was not followed by a low one. */
static void flush_high(struct json_reader *reader)
{
    if (reader->high != 0)
        add_code_point(&reader->token, reader->high);
    reader->high = 0;
}

static int end_string(struct json_reader *reader)
{
    msgpack_object value = {.type = MSGPACK_OBJECT_STR};
    struct str text;

    flush_high(reader);
    if (reader->token.failed)
        return no_memory(reader);
    buffer_trim(&reader->token);
    text = buffer_str(&reader->token);
    value.via.str = (msgpack_object_str){(uint32_t)text.len, text.ptr};
    return reader->key ? push(reader, &value, STATE_COLON) : add_value(reader, &value);
}

static int end_unicode(struct json_reader *reader)
{
    uint32_t unit = reader->unit;

    reader->state = STATE_STRING;
    if (reader->high != 0 && unit >= 0xDC00 && unit <= 0xDFFF) {
        add_code_point(&reader->token, 0x10000 + ((reader->high - 0xD800) << 10) + unit - 0xDC00);
        reader->high = 0;
        return 0;
    }
    flush_high(reader);
    if (unit >= 0xD800 && unit <= 0xDBFF)
        reader->high = unit;
    else
        add_code_point(&reader->token, unit);
    return 0;
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_unicode(struct json_reader *reader, unsigned char c, size_t at)
{
    int digit = hex_value(c);

    if (digit < 0)
        return error_at(reader, at, "four hexadecimal digits must follow \\u");
    reader->unit = reader->unit << 4 | (uint32_t)digit;
    return ++reader->digits == 4 ? end_unicode(reader) : 0;
}

static int read_escape(struct json_reader *reader, unsigned char c, size_t at)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (c == 'u') {
        reader->digits = 0;
        reader->unit = 0;
        reader->state = STATE_UNICODE;
        return 0;
    }
    found = c != '\0' ? strchr(from, c) : NULL;
    if (found == NULL)
        return error_at(reader, at, "there is no such escape");
    flush_high(reader);
    buffer_add_char(&reader->token, to[found - from]);
    reader->state = STATE_STRING;
    return 0;
}

/* The part of a slice up to a quote, a backslash or a control byte. */
static size_t plain_part(const char *at, size_t len)
{
    size_t i = 0;

    while (i < len && at[i] != '"' && at[i] != '\\' && (unsigned char)at[i] >= 0x20)
        i++;
    return i;
}

/* Reads within a string; returns the bytes used, 0 after an error. */
static size_t read_string(struct json_reader *reader, const char *at, size_t len, size_t offset)
{
    size_t plain = plain_part(at, len);

    if (plain > 0) {
        flush_high(reader);
        buffer_add(&reader->token, at, plain);
        return plain;
    }
    if (*at == '\\')
        reader->state = STATE_ESCAPE;
    else if (*at != '"')
        (void)error_at(reader, offset, "a control character must be escaped in a string");
    else
        (void)end_string(reader);
    return 1;
}

/* ---- numbers and words ---- */

static int begin_scalar(struct json_reader *reader, enum state state, size_t at)
{
    reader->scalar.len = 0;
    reader->token_at = at;
    reader->state = state;
    return 1;
}

/* Where digits end. */
static const char *skip_digits(const char *at)
{
    while (*at >= '0' && *at <= '9')
        at++;
    return at;
}

/* Whether the terminated text is a number of RFC 8259, and whether it is an integer. */
static bool number_form(const char *text, bool *integer)
{
    const char *at = text + (*text == '-');
    const char *digits = at;

    at = skip_digits(at);
    if (at == digits || (*digits == '0' && at - digits > 1))
        return false;
    *integer = *at == '\0';
    if (*at == '.') {
        digits = ++at;
        at = skip_digits(at);
        if (at == digits)
            return false;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        digits = at;
        at = skip_digits(at);
        if (at == digits)
            return false;
    }
    return *at == '\0';
}

static int end_number(struct json_reader *reader)
{
    msgpack_object value = {.type = MSGPACK_OBJECT_FLOAT64};
    long long number;
    bool integer;

    buffer_add_char(&reader->scalar, '\0');
    if (reader->scalar.failed)
        return no_memory(reader);
    if (!number_form(reader->scalar.data, &integer))
        return error_at(reader, reader->token_at, "a number is malformed");
    if (!integer) {
        value.via.f64 = strtod(reader->scalar.data, NULL);
        return add_value(reader, &value);
    }
    errno = 0;
    number = strtoll(reader->scalar.data, NULL, 10);
    if (errno == ERANGE && number < 0)
        number = INT64_MIN + 1; /* the least number itself is no saturated one */
    if (number < 0) {
        value.type = MSGPACK_OBJECT_NEGATIVE_INTEGER;
        value.via.i64 = number;
    } else {
        value.type = MSGPACK_OBJECT_POSITIVE_INTEGER;
        value.via.u64 = (uint64_t)number;
    }
    return add_value(reader, &value);
}

static int end_word(struct json_reader *reader)
{
    struct str word = buffer_str(&reader->scalar);
    msgpack_object value = {.type = MSGPACK_OBJECT_BOOLEAN};

    if (reader->scalar.failed)
        return no_memory(reader);
    if (str_is(word, "null"))
        value.type = MSGPACK_OBJECT_NIL;
    else if (str_is(word, "true"))
        value.via.boolean = true;
    else if (!str_is(word, "false"))
        return error_at(reader, reader->token_at, "a value must come here");
    return add_value(reader, &value);
}

static bool in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static bool in_word(char c)
{
    return c >= 'a' && c <= 'z';
}

/* Reads a number or a word as far as it goes; returns the bytes used. */
static size_t read_scalar(struct json_reader *reader, const char *at, size_t len)
{
    bool number = reader->state == STATE_NUMBER;
    size_t most = number ? NUMBER_MOST_BYTES : WORD_MOST_BYTES;
    size_t used = 0;

    while (used < len && (number ? in_number(at[used]) : in_word(at[used])))
        used++;
    if (reader->scalar.len + used > most) {
        (void)error_at(reader, reader->token_at,
                       number ? "a number is too long" : "a value must come here");
        return used;
    }
    buffer_add(&reader->scalar, at, used);
    if (used < len)
        (void)(number ? end_number(reader) : end_word(reader));
    return used;
}

/* ---- structure ---- */

static int begin_value(struct json_reader *reader, char c, size_t at)
{
    switch (c) {
    case '{':
        return open_level(reader, at, true);
    case '[':
        return open_level(reader, at, false);
    case '"':
        begin_string(reader, false, at);
        return 0;
    default:
        break;
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return begin_scalar(reader, STATE_NUMBER, at);
    if (in_word(c))
        return begin_scalar(reader, STATE_WORD, at);
    return error_at(reader, at, "a value must come here");
}

static int begin_key(struct json_reader *reader, char c, size_t at)
{
    if (c != '"')
        return error_at(reader, at, "a key in double quotes must come here");
    begin_string(reader, true, at);
    return 0;
}

static int after_value(struct json_reader *reader, char c, size_t at)
{
    bool object = reader->levels[reader->depth - 1].object;

    if (c == ',') {
        reader->state = object ? STATE_KEY : STATE_VALUE;
        return 0;
    }
    if (c == (object ? '}' : ']'))
        return close_level(reader);
    return error_at(reader, at, object ? "`,` or `}` must come here" : "`,` or `]` must come here");
}

static int read_colon(struct json_reader *reader, char c, size_t at)
{
    if (c != ':')
        return error_at(reader, at, "`:` must come here");
    reader->state = STATE_VALUE;
    return 0;
}

/* One byte between tokens. 0: used, 1: it begins a scalar and is read again, -1: error. */
static int read_structure(struct json_reader *reader, char c, size_t at)
{
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
        return 0;
    switch (reader->state) {
    case STATE_VALUE:
        return begin_value(reader, c, at);
    case STATE_FIRST_VALUE:
        return c == ']' ? close_level(reader) : begin_value(reader, c, at);
    case STATE_FIRST_KEY:
        return c == '}' ? close_level(reader) : begin_key(reader, c, at);
    case STATE_KEY:
        return begin_key(reader, c, at);
    case STATE_COLON:
        return read_colon(reader, c, at);
    case STATE_AFTER:
        return after_value(reader, c, at);
    default:
        return error_at(reader, at, "something follows the value");
    }
}

/* Reads one token or one byte of structure; returns the bytes used. */
static size_t read_some(struct json_reader *reader, const char *at, size_t len, size_t offset)
{
    switch (reader->state) {
    case STATE_STRING:
        return read_string(reader, at, len, offset);
    case STATE_ESCAPE:
        (void)read_escape(reader, (unsigned char)*at, offset);
        return 1;
    case STATE_UNICODE:
        (void)read_unicode(reader, (unsigned char)*at, offset);
        return 1;
    case STATE_NUMBER:
    case STATE_WORD:
        return read_scalar(reader, at, len);
    default:
        return read_structure(reader, *at, offset) == 1 ? 0 : 1;
    }
}

int json_feed(struct json_reader *reader, struct str bytes)
{
    size_t i = 0;

    while (i < bytes.len && !reader->failed)
        i += read_some(reader, bytes.ptr + i, bytes.len - i, reader->offset + i);
    reader->offset += bytes.len;
    return reader->failed ? -1 : 0;
}

int json_end(struct json_reader *reader, msgpack_object *value)
{
    if (!reader->failed && reader->state == STATE_NUMBER)
        (void)end_number(reader);
    else if (!reader->failed && reader->state == STATE_WORD)
        (void)end_word(reader);
    if (!reader->failed && reader->state != STATE_END)
        (void)error_at(reader, reader->offset, "the text ends too early");
    if (reader->failed)
        return -1;
    *value = reader->value;
    return 0;
}

const char *json_error(const struct json_reader *reader, size_t *offset)
{
    *offset = reader->failed_at;
    return reader->why;
}

int json_read(struct arena *arena, struct str text, msgpack_object *value, const char **why,
              size_t *offset)
{
    struct json_reader *reader = json_reader_new(arena);

    if (reader == NULL) {
        *why = NULL;
        *offset = 0;
        return -1;
    }
    if (json_feed(reader, text) == 0 && json_end(reader, value) == 0)
        return 0;
    *why = json_error(reader, offset);
    return -1;
}

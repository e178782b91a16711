/* Text from outside: well-formed UTF-8 (RFC 3629), and numbers as a query writes them. */
#include "text.h"
#include <ctype.h>
#include <strings.h>

/* Bytes of the well-formed sequence at `at`, or 0. */
static size_t utf8_sequence(const unsigned char *at, const unsigned char *end)
{
    unsigned char lead = at[0];
    unsigned char low = 0x80, high = 0xBF;
    size_t length;

    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if ((size_t)(end - at) < length)
        return 0;
    if (lead == 0xE0)
        low = 0xA0; /* else overlong */
    else if (lead == 0xED)
        high = 0x9F; /* else a surrogate */
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F; /* else past U+10FFFF */
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

/* Whether 32 bytes are ASCII. */
static bool block_is_ascii(const unsigned char *at)
{
    uint64_t words[4];

    memcpy(words, at, sizeof(words));
    return ((words[0] | words[1] | words[2] | words[3]) & 0x8080808080808080u) == 0;
}

/* Skips ASCII, many bytes at a time. */
static const unsigned char *skip_ascii(const unsigned char *at, const unsigned char *end)
{
    while (end - at >= 32 && block_is_ascii(at))
        at += 32;
    while (end - at >= 8) {
        uint64_t word;

        memcpy(&word, at, 8);
        if ((word & 0x8080808080808080u) != 0)
            break;
        at += 8;
    }
    while (at < end && *at < 0x80)
        at++;
    return at;
}

size_t text_valid_bytes(struct str text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    const unsigned char *end = at + text.len;

    if (text.len == 0)
        return 0;
    for (;;) {
        size_t length;

        at = skip_ascii(at, end);
        if (at == end)
            return text.len;
        length = utf8_sequence(at, end);
        if (length == 0)
            return (size_t)(at - (const unsigned char *)text.ptr);
        at += length;
    }
}

bool text_is_utf8(struct str text)
{
    return text_valid_bytes(text) == text.len;
}

struct str text_repair(struct arena *arena, struct str text)
{
    struct buffer fixed;

    if (text_is_utf8(text))
        return text;
    buffer_init(&fixed, arena, SIZE_MAX);
    while (text.len > 0) {
        size_t valid = text_valid_bytes(text);

        buffer_add(&fixed, text.ptr, valid);
        if (valid == text.len)
            break;
        buffer_add_text(&fixed, "\xEF\xBF\xBD");
        text.ptr += valid + 1;
        text.len -= valid + 1;
    }
    return fixed.failed ? STR("") : buffer_str(&fixed);
}

size_t text_chars(struct str text)
{
    size_t chars = 0;

    for (size_t i = 0; i < text.len; i++)
        chars += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    return chars;
}

/* Bytes of a white space character at the start of `text`, as Python's str.isspace() has it, or 0.
 */
static size_t space_at(const unsigned char *at, size_t len)
{
    if (len >= 1 && (*at == ' ' || (*at >= 0x09 && *at <= 0x0D) || (*at >= 0x1C && *at <= 0x1F)))
        return 1;
    if (len >= 2 && at[0] == 0xC2 && (at[1] == 0x85 || at[1] == 0xA0))
        return 2;
    if (len < 3)
        return 0;
    if (at[0] == 0xE1 && at[1] == 0x9A && at[2] == 0x80)
        return 3; /* U+1680 */
    if (at[0] == 0xE2 && at[1] == 0x80 &&
        ((at[2] >= 0x80 && at[2] <= 0x8A) || at[2] == 0xA8 || at[2] == 0xA9 || at[2] == 0xAF))
        return 3; /* U+2000 to U+200A, U+2028, U+2029, U+202F */
    if (at[0] == 0xE2 && at[1] == 0x81 && at[2] == 0x9F)
        return 3;                                                   /* U+205F */
    return at[0] == 0xE3 && at[1] == 0x80 && at[2] == 0x80 ? 3 : 0; /* U+3000 */
}

/* Bytes of the white space character that ends `text`, or 0. */
static size_t space_before_end(struct str text)
{
    for (size_t length = 1; length <= 3 && length <= text.len; length++) {
        const unsigned char *at = (const unsigned char *)text.ptr + text.len - length;

        if (space_at(at, length) == length)
            return length;
    }
    return 0;
}

struct str text_trim(struct str text)
{
    size_t space;

    while ((space = space_at((const unsigned char *)text.ptr, text.len)) != 0) {
        text.ptr += space;
        text.len -= space;
    }
    while ((space = space_before_end(text)) != 0)
        text.len -= space;
    return text;
}

/* Adds a digit, saturating; the lowest of all numbers stands for an absent one (INT_ABSENT). */
static int64_t add_digit(int64_t value, int digit, bool negative)
{
    int64_t result;

    if (__builtin_mul_overflow(value, 10, &result) ||
        __builtin_add_overflow(result, negative ? -digit : digit, &result) || result == INT64_MIN)
        return negative ? INT64_MIN + 1 : INT64_MAX;
    return result;
}

bool text_integer(struct str text, int64_t *value)
{
    bool negative;
    size_t i = 0, digits = 0;
    int64_t result = 0;

    text = text_trim(text);
    negative = text.len > 0 && text.ptr[0] == '-';
    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+'))
        i++;
    for (; i < text.len && isdigit((unsigned char)text.ptr[i]); i++, digits++)
        result = add_digit(result, text.ptr[i] - '0', negative);
    if (digits == 0)
        return false;
    if (i < text.len && text.ptr[i] == '.') {
        size_t zeros = 0;

        for (i++; i < text.len && text.ptr[i] == '0'; i++)
            zeros++;
        if (zeros == 0)
            return false;
    }
    *value = result;
    return i == text.len;
}

bool text_boolean(struct str text, bool *value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"1", true},  {"0", false},
                 {"yes", true},  {"no", false},    {"on", true}, {"off", false},
                 {"t", true},    {"f", false},     {"y", true},  {"n", false}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strlen(words[i].word) == text.len &&
            strncasecmp(words[i].word, text.ptr, text.len) == 0) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

bool text_is_uuid(struct str text)
{
    if (text.len != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? text.ptr[i] != '-' : !isxdigit((unsigned char)text.ptr[i]))
            return false;
    }
    return true;
}

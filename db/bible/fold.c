/* Running text. The rules of joining stand in fold_parts(); everything else serves them. */
#include "fold.h"

enum { PILCROW = 0xB6, REPLACEMENT = 0xFFFD };

/* Bytes of a sequence by its first byte; 0 when none begins so. */
static int sequence_len(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF)
        return 3;
    return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

uint32_t text_next(const char **at, const char *end)
{
    static const unsigned char mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const unsigned char *s = (const unsigned char *)*at;
    int len = sequence_len(*s);
    uint32_t point;

    if (len == 0 || end - *at < len) {
        ++*at;
        return REPLACEMENT;
    }
    point = s[0] & mask[len];
    for (int i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            ++*at;
            return REPLACEMENT;
        }
        point = point << 6 | (s[i] & 0x3F);
    }
    *at += len;
    return point;
}

bool text_is_space(uint32_t point)
{
    return point == ' ' || (point >= '\t' && point <= '\r') || point == 0x85 || point == 0xA0 ||
           (point >= 0x2000 && point <= 0x200A) || point == 0x2028 || point == 0x2029 ||
           point == 0x202F || point == 0x205F || point == 0x3000;
}

bool text_is_invisible(uint32_t point)
{
    return point == 0x200B || point == 0x2060 || point == 0xFEFF || point == 0xAD;
}

static bool stands_in(const uint32_t *list, size_t count, uint32_t point)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == point)
            return true;
    return false;
}

#define STANDS_IN(list, point) stands_in(list, sizeof(list) / sizeof(*(list)), point)

static bool is_opening(uint32_t point)
{
    static const uint32_t list[] = {'(',    '[',    '{',  0x2018, 0x201C,
                                    0x201A, 0x201E, 0xAB, 0xBF,   0xA1};

    return STANDS_IN(list, point);
}

bool text_is_closing(uint32_t point)
{
    static const uint32_t list[] = {',', '.', ';',  ':',    '!',    '?',    ')', ']',
                                    '}', '"', '\'', 0x2019, 0x201D, 0x2026, 0xBB};

    return STANDS_IN(list, point);
}

static bool is_dash(uint32_t point)
{
    return point == '-' || (point >= 0x2010 && point <= 0x2015) || point == 0x5BE;
}

bool fold_parts(const struct fold *fold, uint32_t point)
{
    bool within_word = fold->noted != 0 && fold->noted == fold->word;

    if (fold->last == 0)
        return false;
    if (!fold->note || within_word)
        return fold->space;
    if (text_is_closing(point))
        return false;
    return fold->space || (!is_opening(fold->last) && !is_dash(fold->last) && !is_dash(point));
}

void fold_wrote(struct fold *fold, uint32_t point)
{
    fold->last = point;
    fold->space = false;
    fold->note = false;
    fold->noted = 0;
}

void fold_note(struct fold *fold)
{
    fold->note = true;
    fold->noted = fold->word;
}

void fold_add(struct fold *fold, struct buffer *out, struct str text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;

    while (at < end) {
        size_t marker = text_usfm_marker((struct str){at, (size_t)(end - at)});
        const char *from = at;
        uint32_t point;

        if (marker > 0) {
            at += marker;
            continue;
        }
        point = text_next(&at, end);
        if (text_is_space(point)) {
            fold->space = true;
        } else if (!text_is_invisible(point) && point != PILCROW) {
            if (fold_parts(fold, point))
                buffer_add_char(out, ' ');
            buffer_add(out, from, (size_t)(at - from));
            fold_wrote(fold, point);
        }
    }
}

size_t text_usfm_marker(struct str text)
{
    size_t i = 1, letters;

    if (text.len < 2 || text.ptr[0] != '\\')
        return 0;
    if (text.ptr[i] == '+')
        i++;
    letters = i;
    while (i < text.len && text.ptr[i] >= 'a' && text.ptr[i] <= 'z')
        i++;
    if (i == letters)
        return 0;
    while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9')
        i++;
    if (i < text.len && (text.ptr[i] == '*' || text.ptr[i] == ' '))
        i++;
    return i;
}

struct str text_cut(struct str text, size_t limit_bytes)
{
    size_t len = text.len;

    if (len <= limit_bytes)
        return text;
    len = limit_bytes;
    while (len > 0 && ((unsigned char)text.ptr[len] & 0xC0) == 0x80)
        len--;
    return (struct str){text.ptr, len};
}

static void add_escaped(struct buffer *out, unsigned char c)
{
    if (c == '"' || c == '\\') {
        buffer_add_char(out, '\\');
        buffer_add_char(out, (char)c);
    } else {
        buffer_add_format(out, "\\u%04x", c);
    }
}

void json_add_string(struct buffer *out, struct str text)
{
    size_t from = 0;

    buffer_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_add(out, text.ptr + from, i - from);
        add_escaped(out, c);
        from = i + 1;
    }
    buffer_add(out, text.ptr + from, text.len - from);
    buffer_add_char(out, '"');
}

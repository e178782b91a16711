/* Values of options: numbers with and without units, flags, choices; names and how far apart two of
 * them are. */
#include "option_value.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct unit {
    const char *name; /* behind the number */
    int64_t factor;   /* what one of it is */
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit duration_units[] = {{"", 1000000},      {"us", 1},       {"ms", 1000},
                                             {"s", 1000000},     {"m", 60000000}, {"h", 3600000000},
                                             {"d", 86400000000}, {NULL, 0}};
static const struct unit bytes_units[] = {{"", 1},          {"B", 1},         {"KiB", 1 << 10},
                                          {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

static const struct {
    const struct unit *units; /* of a number; NULL: it is none */
    const char *prose;        /* what a value should be */
    size_t bytes;             /* of the member */
} types[] = {
    [OPTION_text] = {NULL, "a text", sizeof(option_c_text)},
    [OPTION_choice] = {NULL, "one of the words", sizeof(option_c_choice)},
    [OPTION_number] = {no_units, "a number", sizeof(option_c_number)},
    [OPTION_duration] = {duration_units, "a duration such as 500ms, 10s, 5m or 2h",
                         sizeof(option_c_duration)},
    [OPTION_bytes] = {bytes_units, "a size such as 65536, 64KiB or 2MiB", sizeof(option_c_bytes)},
    [OPTION_flag] = {NULL, "on or off", sizeof(option_c_flag)},
};

static int read_amount(const struct unit *units, const char *text, int64_t *value)
{
    const char *digits = text + (*text == '-' && units == no_units);
    int64_t amount = 0;
    const char *at;

    for (at = digits; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(amount, 10, &amount) ||
            __builtin_add_overflow(amount, *at - '0', &amount))
            return -1;
    if (at == digits)
        return -1;
    while (units->name != NULL && strcmp(units->name, at) != 0)
        units++;
    if (units->name == NULL || __builtin_mul_overflow(amount, units->factor, value))
        return -1;
    if (*text == '-')
        *value = -*value;
    return 0;
}

static int read_flag(const char *text, bool *value)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes", "0", "1"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = i % 2 == 1;
            return 0;
        }
    }
    return -1;
}

/* The words of a choice: what stands in `(one of: a b c)`. */
static struct str words_of(const struct option_row *row)
{
    static const char start[] = "(one of: ";
    const char *from = strstr(row->prose, start);
    const char *end = from != NULL ? strchr(from, ')') : NULL;

    assert(end != NULL && "a choice's prose ends with its words");
    from += sizeof(start) - 1;
    return (struct str){from, (size_t)(end - from)};
}

static bool is_word_of(const struct option_row *row, const char *text)
{
    struct str words = words_of(row);
    size_t len = strlen(text);

    for (size_t at = 0; at < words.len && len > 0;) {
        const char *blank = memchr(words.ptr + at, ' ', words.len - at);
        size_t end = blank != NULL ? (size_t)(blank - words.ptr) : words.len;

        if (end - at == len && memcmp(words.ptr + at, text, len) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

static int say_wrong(const struct option_row *row, const char *text, char *wrong)
{
    const char *prose = types[row->type].prose;

    if (option_is_secret(row))
        snprintf(wrong, OPTION_WRONG_BYTES, "the value is not %s", prose);
    else if (row->type == OPTION_choice)
        snprintf(wrong, OPTION_WRONG_BYTES, "\"%.80s\" is none of: %.*s", text,
                 STR_ARG(words_of(row)));
    else
        snprintf(wrong, OPTION_WRONG_BYTES, "\"%.80s\" is not %s", text, prose);
    return -1;
}

static int set_amount(const struct option_row *row, const char *text, void *member, char *wrong)
{
    char bounds[OPTION_NAME_BYTES];
    int64_t value;

    if (read_amount(types[row->type].units, text, &value) != 0)
        return say_wrong(row, text, wrong);
    if ((row->least != 0 || row->most != 0) && (value < row->least || value > row->most)) {
        snprintf(wrong, OPTION_WRONG_BYTES, "\"%.80s\" is not in the bounds %s", text,
                 option_bounds(row, bounds));
        return -1;
    }
    memcpy(member, &value, sizeof(value));
    return 0;
}

int option_value_set(const struct option_row *row, const char *text, void *values,
                     char wrong[OPTION_WRONG_BYTES])
{
    void *member = (char *)values + row->offset;
    bool on;

    if (types[row->type].units != NULL)
        return set_amount(row, text, member, wrong);
    if (row->type == OPTION_flag) {
        if (read_flag(text, &on) != 0)
            return say_wrong(row, text, wrong);
        memcpy(member, &on, sizeof(on));
        return 0;
    }
    if (row->type == OPTION_choice && !is_word_of(row, text))
        return say_wrong(row, text, wrong);
    memcpy(member, &text, sizeof(text));
    return 0;
}

size_t option_value_bytes(const struct option_row *row)
{
    return types[row->type].bytes;
}

static const char *text_of(const struct option_row *row, const void *values)
{
    const char *text;

    memcpy(&text, (const char *)values + row->offset, sizeof(text));
    return text;
}

bool option_value_equal(const struct option_row *row, const void *a, const void *b)
{
    if (row->type == OPTION_text || row->type == OPTION_choice)
        return strcmp(text_of(row, a), text_of(row, b)) == 0;
    return memcmp((const char *)a + row->offset, (const char *)b + row->offset,
                  option_value_bytes(row)) == 0;
}

void option_value_copy(const struct option_row *row, void *to, const void *from)
{
    memcpy((char *)to + row->offset, (const char *)from + row->offset, option_value_bytes(row));
}

const char *option_flag_name(const struct option_row *row, char out[OPTION_NAME_BYTES])
{
    size_t i;

    for (i = 0; row->name[i] != '\0' && i < OPTION_NAME_BYTES - 1; i++)
        out[i] = row->name[i] == '_' ? '-' : row->name[i];
    out[i] = '\0';
    return out;
}

bool option_is_secret(const struct option_row *row)
{
    return strstr(row->name, "key") != NULL || strstr(row->name, "password") != NULL ||
           strstr(row->name, "url") != NULL;
}

/* With the largest unit that divides it. */
static int put_amount(const struct unit *units, int64_t value, char *out, size_t bytes)
{
    const struct unit *best = NULL;

    for (const struct unit *unit = units; unit->name != NULL; unit++)
        if (value % unit->factor == 0 && (best == NULL || unit->factor >= best->factor))
            best = unit;
    if (value == 0)
        best = units;
    return snprintf(out, bytes, "%" PRId64 "%s", value / best->factor, best->name);
}

const char *option_bounds(const struct option_row *row, char out[OPTION_NAME_BYTES])
{
    const struct unit *units = types[row->type].units;
    char least[24], most[24];

    out[0] = '\0';
    if (units == NULL || (row->least == 0 && row->most == 0))
        return out;
    put_amount(units, row->least, least, sizeof(least));
    put_amount(units, row->most, most, sizeof(most));
    snprintf(out, OPTION_NAME_BYTES, "%s to %s", least, most);
    return out;
}

static char same_dash(char c)
{
    return c == '-' ? '_' : c;
}

static bool is_named(const struct option_row *row, struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (row->name[i] == '\0' || row->name[i] != same_dash(name.ptr[i]))
            return false;
    return row->name[name.len] == '\0';
}

const struct option_row *option_find(const struct option_program *program, struct str name)
{
    for (unsigned i = 0; i < program->count; i++)
        if (is_named(&program->rows[i], name))
            return &program->rows[i];
    return NULL;
}

static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;

    return least < c ? least : c;
}

/* How many letters must be put in, taken out or changed to make `name` from `known`. */
static unsigned distance(const char *known, struct str name)
{
    unsigned row[OPTION_NAME_BYTES];

    for (unsigned j = 0; j <= name.len; j++)
        row[j] = j;
    for (unsigned i = 1; known[i - 1] != '\0'; i++) {
        unsigned corner = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= name.len; j++) {
            unsigned above = row[j];

            row[j] = least_of(above + 1, row[j - 1] + 1,
                              corner + (known[i - 1] != same_dash(name.ptr[j - 1])));
            corner = above;
        }
    }
    return row[name.len];
}

const struct option_row *option_nearest(const struct option_program *program, struct str name)
{
    const struct option_row *nearest = NULL;
    unsigned least = (unsigned)name.len / 3 + 2;

    if (name.len == 0 || name.len >= OPTION_NAME_BYTES)
        return NULL;
    for (unsigned i = 0; i < program->count; i++) {
        unsigned letters = distance(program->rows[i].name, name);

        if (letters < least) {
            least = letters;
            nearest = &program->rows[i];
        }
    }
    return nearest;
}

/* The name that was probably meant: the one with the fewest edits (Levenshtein), at most a third of
 * what was written. */
#include "cli.h"

enum { NEAREST_MOST_CHARS = 63 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* One row of the table of distances at a time: row[j] is that of a's first i and b's first j. */
static size_t edits_between(const char *a, const char *b)
{
    size_t row[NEAREST_MOST_CHARS + 1];
    size_t len = strlen(b);

    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t replaced = diagonal + (a[i] != b[j]);

            diagonal = row[j + 1];
            row[j + 1] = least(replaced, least(row[j], row[j + 1]) + 1);
        }
    }
    return row[len];
}

struct nearest nearest_to(const char *text)
{
    return (struct nearest){.text = text, .name = NULL, .edits = strlen(text) / 3 + 1};
}

void nearest_try(struct nearest *nearest, const char *name)
{
    size_t edits;

    if (strlen(name) > NEAREST_MOST_CHARS || strlen(nearest->text) > NEAREST_MOST_CHARS)
        return;
    edits = edits_between(nearest->text, name);
    if (edits > nearest->edits || (edits == nearest->edits && nearest->name != NULL))
        return;
    nearest->name = name;
    nearest->edits = edits;
}

/* Bibles in OSIS, as SWORD's tools export them: the input is the export.
 *
 * Whatever it holds, the answer is a Bible that could be stored and is not much larger than the
 * input, or an error with a sentence and a line that exists. */
#include "osis.h"

#include "bible_holds.h"
#include "fuzz.h"
#include "text.h"

enum { GROWTH = 64, PLACE_BYTES = 400 };

static void error_holds(const struct bible_error *error, struct str imp)
{
    struct str text = {error->text, strnlen(error->text, sizeof(error->text))};
    char place[PLACE_BYTES];
    long lines = 1;

    for (size_t i = 0; i < imp.len; i++)
        lines += imp.ptr[i] == '\n';
    HOLDS(text.len > 0 && text.len < sizeof(error->text), "no sentence");
    HOLDS(error->line >= 0 && error->line <= lines, "line %ld of %ld", error->line, lines);
    bible_error_format(error, place, sizeof(place));
    HOLDS(text_is_utf8(str_of(place)), "`%s` is not UTF-8", place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str imp = {size > 0 ? (const char *)data : "", size};
    struct bible_error error;
    struct bible bible;

    bible_init(&bible);
    if (osis_read(imp, &bible, NULL, NULL, &error) == 0) {
        HOLDS(bible.verse_count > 0, "no verse");
        HOLDS(bible.bytes.len <= GROWTH * size, "%zu bytes of %zu", bible.bytes.len, size);
        bible_holds(&bible);
    } else {
        error_holds(&error, imp);
    }
    bible_free(&bible);
    return 0;
}

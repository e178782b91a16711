/* Chapters of the HelloAO collection: the input is the JSON of one.
 *
 * Whatever it holds, the answer is a chapter that could be stored, or an error with a sentence. */
#include "helloao_chapter.h"

#include "bible_holds.h"
#include "fuzz.h"
#include "text.h"

enum { PSALMS = 19, CHAPTER = 3, PLACE_BYTES = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str json = {size > 0 ? (const char *)data : "", size};
    struct bible_error error = {0};
    struct compose compose;
    struct bible bible;
    char place[PLACE_BYTES];

    bible_init(&bible);
    compose_init(&compose, &bible);
    if (helloao_chapter(&compose, PSALMS, CHAPTER, json, &error) != 0) {
        HOLDS(error.text[0] != '\0', "no sentence");
        bible_error_format(&error, place, sizeof(place));
        HOLDS(text_is_utf8(str_of(place)), "`%s` is not UTF-8", place);
    } else {
        HOLDS(bible.chapter_count <= 1, "%zu chapters", bible.chapter_count);
        bible_holds(&bible);
    }
    compose_free(&compose);
    bible_free(&bible);
    return 0;
}

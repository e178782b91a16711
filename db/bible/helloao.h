/* The HelloAO collection: many translations in one SQLite file, from its tables Translation (id,
 * name) and Chapter (translationId, bookId, number, json); what else is in it is never looked at.
 *
 * The file is opened read-only and as one that nobody writes to. It is never trusted: its tables
 * must be plain ones, its values of the right types, and time, memory and sizes are bounded, so
 * that whatever it holds, the answer is a Bible or an error with its place. Taken are the 66 books;
 * other books and chapters of the deuterocanon are left out. */
#pragma once

#include "bible.h"

enum {
    HELLOAO_ID_BYTES = 64, /* of a translation's id, terminated */
    HELLOAO_NAME_BYTES = 201,
    HELLOAO_MOST_TRANSLATIONS = 4096,
    HELLOAO_MOST_CHAPTERS = 10000, /* of one translation, those left out among them */
    HELLOAO_SILENCE_S = 60,        /* so long may a look into the file take */
    HELLOAO_MESSAGE_BYTES = 300
};

struct helloao;

struct helloao_translation {
    char id[HELLOAO_ID_BYTES];     /* the collection's, unique in the file */
    char name[HELLOAO_NAME_BYTES]; /* for people; never empty */
};

/* Called when a chapter was read. */
typedef void helloao_chapter_done(void *data, int book, size_t chapters, size_t verses);

/* Opens a file. NULL with `message`, one line, when it is not there (`*missing`), or is no such
 * collection. helloao_close() is due. It limits SQLite's memory for the whole process. */
struct helloao *helloao_open(const char *path, char message[HELLOAO_MESSAGE_BYTES],
                             bool *missing) MUST;
void helloao_close(struct helloao *file);

/* Adds what it holds, as struct helloao_translation one behind the other, to `list`. -1 with
 * `message`. */
int helloao_list(struct helloao *file, struct buffer *list,
                 char message[HELLOAO_MESSAGE_BYTES]) MUST;

/* Fills `bible` (initialized by the caller) with the translation of that id. `done` may be NULL. -1
 * with `error` when it is broken, a limit was passed, or it has no verse at all; the Bible is then
 * to be thrown away. */
int helloao_read(struct helloao *file, const char *id, struct bible *bible,
                 helloao_chapter_done *done, void *done_data, struct bible_error *error) MUST;

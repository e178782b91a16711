/* SWORD modules: what their configuration says, and their text. */
#pragma once

#include "base/arena.h"

enum {
    SWORD_MODULE_MAX = 64,
    SWORD_MAX_BYTES = 256 << 20,
    SWORD_SILENCE_MS = 60 * 1000, /* so long may an export say nothing */
    SWORD_MESSAGE_BYTES = 200
};

/* What a module's configuration says; "" where it says nothing, or could not be found. */
struct sword_module {
    char description[256]; /* `King James Version` */
    char version[32];      /* of the module's data */
    char source_type[16];  /* its markup: `OSIS`, `ThML`, … */
};

/* Whether a module may be named so: letters, digits, and `_.+-` behind the first. */
bool sword_name_is_valid(const char *name);

/* Looks a module up in the folders where SWORD looks: $SWORD_PATH, ~/.sword, /usr/share/sword,
 * /usr/local/share/sword. False when it is in none of them; `module` is empty then. */
bool sword_find(const char *name, struct sword_module *module);

/* Runs `mod2imp` (from PATH) and adds what it writes to `out`. Waits for it. -1 with `message`, one
 * line, when it is not there, fails, hangs, or writes more than `out` may hold. */
int sword_export(const char *name, struct buffer *out, char message[SWORD_MESSAGE_BYTES]) MUST;

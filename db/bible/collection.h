/* The translations of the HelloAO collection that have a code here: one row each in collection.def.
 */
#pragma once

#include <stdbool.h>

struct edition {
    const char *code;  /* what it is asked for by, `WEB` */
    const char *id;    /* the collection's, `ENGWEBP` */
    bool requires_pro; /* readable for pro users only */
};

/* In the case of the list; NULL when it is not on it. */
const struct edition *edition_of_code(const char *code);
const struct edition *edition_of_id(const char *id);

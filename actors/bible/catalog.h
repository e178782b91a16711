/* The translations that are loaded, as the database had them a moment ago. */
#pragma once

#include "call.h"

struct translation {
    int32_t id;        /* bible_translations.id */
    struct str code;   /* `WEB` */
    struct str name;   /* for people */
    bool requires_pro; /* only pro users may read it */
    int64_t version;   /* of its import; grows */
};

/* Reads them anew, for actor_every(); chapters of older imports are dropped from the cache. `arg`
 * is unused. */
int catalog_refresh(struct call *call, void *arg);

/* All of them in the order of their codes, as the call may keep them; reads them where nothing was
 * read yet. May wait. -1 with a failure recorded. */
int catalog_list(struct call *call, const struct translation **list, size_t *count) MUST;

/* The one of a code: the exact one, else the one in capitals; NULL in `*found` where there is
 * none. As catalog_list(). */
int catalog_find(struct call *call, struct str code, const struct translation **found) MUST;

/* Frees all. */
void catalog_close(void);

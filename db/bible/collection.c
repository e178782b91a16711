/* The list of codes and ids. It is short: looking through it is enough. */
#include "collection.h"

#include <stddef.h>
#include <string.h>

#define EDITION(code, id, requires_pro) {code, id, requires_pro},
static const struct edition editions[] = {
#include "collection.def"
};

enum { EDITION_COUNT = sizeof(editions) / sizeof(editions[0]) };

const struct edition *edition_of_code(const char *code)
{
    for (int i = 0; i < EDITION_COUNT; i++)
        if (strcmp(editions[i].code, code) == 0)
            return &editions[i];
    return NULL;
}

const struct edition *edition_of_id(const char *id)
{
    for (int i = 0; i < EDITION_COUNT; i++)
        if (strcmp(editions[i].id, id) == 0)
            return &editions[i];
    return NULL;
}

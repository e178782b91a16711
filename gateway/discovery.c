/* Chooses between the two ways in which actors are found. */
#include "discovery.h"
#include "addresses.h"
#include "folder.h"
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

struct discovery {
    struct folder *folder;       /* either */
    struct addresses *addresses; /* or */
};

enum { FOLDER_BYTES = 80 };

static bool is_list(const char *where)
{
    return strstr(where, "://") != NULL;
}

const char *discovery_check(const char *where, char *text, size_t text_bytes)
{
    if (is_list(where))
        return addresses_check(where, text, text_bytes);
    if (strlen(where) < FOLDER_BYTES)
        return NULL;
    snprintf(text, text_bytes, "%s is too long a path for sockets in it", where);
    return text;
}

struct discovery *discovery_open(const char *where, const struct discovery_events *events,
                                 void *arg)
{
    struct discovery *discovery = calloc(1, sizeof(*discovery));

    if (discovery == NULL) {
        fputs("no memory to find actors\n", stderr);
        exit(EX_OSERR);
    }
    if (is_list(where))
        discovery->addresses = addresses_open(where, events, arg);
    else
        discovery->folder = folder_open(where, events, arg);
    return discovery;
}

void discovery_tick(struct discovery *discovery)
{
    if (discovery->folder != NULL)
        folder_tick(discovery->folder);
}

void discovery_close(struct discovery *discovery)
{
    if (discovery->addresses != NULL)
        addresses_close(discovery->addresses);
    if (discovery->folder != NULL)
        folder_close(discovery->folder);
    free(discovery);
}

/* An id is `occupant << PLACE_BITS | place`. The occupants' numbers begin at a random one, so that
 * a gateway that was started again does not take replies to the one before. */
#include "pending.h"
#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

enum { PLACE_BITS = 16, MOST = 1 << PLACE_BITS, OCCUPANT_BITS = 46 };

struct place {
    uint64_t occupant; /* the number of the present one, or of the last */
    void *who;         /* NULL: free */
    uint32_t next;     /* free: the next free one */
};

struct pending {
    unsigned most, count; /* places, and those in use */
    uint32_t free;        /* the first free one; `most`: none */
    struct place places[];
};

struct pending *pending_new(unsigned most)
{
    struct pending *pending = calloc(1, sizeof(*pending) + most * sizeof(struct place));
    uint32_t start = 0;

    assert(most > 0 && most <= MOST);
    if (pending == NULL)
        return NULL;
    if (getrandom(&start, sizeof(start), 0) != sizeof(start)) {
        free(pending);
        return NULL;
    }
    pending->most = most;
    for (uint32_t i = 0; i < most; i++)
        pending->places[i] = (struct place){.occupant = start, .next = i + 1};
    return pending;
}

void pending_free(struct pending *pending)
{
    free(pending);
}

int64_t pending_add(struct pending *pending, void *who)
{
    uint32_t at = pending->free;
    struct place *place;

    if (at == pending->most)
        return 0;
    place = &pending->places[at];
    pending->free = place->next;
    pending->count++;
    place->occupant = (place->occupant + 1) & ((UINT64_C(1) << OCCUPANT_BITS) - 1);
    if (place->occupant == 0)
        place->occupant = 1;
    place->who = who;
    return (int64_t)(place->occupant << PLACE_BITS | at);
}

static struct place *place_of(const struct pending *pending, int64_t id)
{
    uint64_t number = (uint64_t)id;
    uint64_t at = number & (MOST - 1);
    const struct place *place = &pending->places[at];

    if (at >= pending->most || place->who == NULL || place->occupant != number >> PLACE_BITS)
        return NULL;
    return (struct place *)place;
}

void *pending_find(const struct pending *pending, int64_t id)
{
    struct place *place = place_of(pending, id);

    return place != NULL ? place->who : NULL;
}

void pending_remove(struct pending *pending, int64_t id)
{
    struct place *place = place_of(pending, id);

    assert(place != NULL);
    place->who = NULL;
    place->next = pending->free;
    pending->free = (uint32_t)(place - pending->places);
    pending->count--;
}

unsigned pending_count(const struct pending *pending)
{
    return pending->count;
}

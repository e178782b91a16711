/* One generation of the list stands in an arena of its own; a refresh puts the next one in its
 * place, so a call takes a copy. */
#include "catalog.h"
#include "cache.h"
#include "query.h"
#include <ctype.h>

enum { CATALOG_MOST_BYTES = 4 * 1024 * 1024, CODE_MOST_BYTES = 10 };

STATEMENT(list_translations, "select id, code, name, requires_pro, version"
                             "  from bible_translations order by code collate \"C\"");

/* A list and the memory that it stands in. */
struct generation {
    struct arena arena;
    struct translation *list; /* NULL: nothing was read yet */
    size_t count;             /* of the list */
};

static struct generation catalog = {.arena.limit_bytes = CATALOG_MOST_BYTES};

static int copy(struct arena *arena, const struct translation *from, struct translation *to)
{
    *to = *from;
    to->code = arena_copy(arena, from->code);
    to->name = arena_copy(arena, from->name);
    return to->code.ptr != NULL && to->name.ptr != NULL ? 0 : -1;
}

static struct translation read_row(const struct rows *rows, size_t row)
{
    return (struct translation){.id = (int32_t)row_i64(rows, row, "id"),
                                .code = row_str(rows, row, "code"),
                                .name = row_str(rows, row, "name"),
                                .requires_pro = row_bool(rows, row, "requires_pro"),
                                .version = row_i64(rows, row, "version")};
}

static int read_all(const struct rows *rows, struct generation *into)
{
    into->list = arena_alloc(&into->arena, rows->count * sizeof(*into->list));
    if (into->list == NULL)
        return -1;
    for (into->count = 0; into->count < rows->count; into->count++) {
        struct translation row = read_row(rows, into->count);

        if (copy(&into->arena, &row, &into->list[into->count]) != 0)
            return -1;
    }
    return 0;
}

static int64_t version_of(int32_t translation)
{
    for (size_t i = 0; i < catalog.count; i++) {
        if (catalog.list[i].id == translation)
            return catalog.list[i].version;
    }
    return INT64_MAX; /* it is gone, and so is whatever was read of it */
}

int catalog_refresh(struct call *call, void *arg)
{
    struct generation next = {.arena.limit_bytes = CATALOG_MOST_BYTES};
    struct rows rows;

    (void)arg;
    if (db_query(call, &list_translations, NO_PARAMS, &rows) != 0)
        return -1;
    if (read_all(&rows, &next) != 0) {
        arena_clear(&next.arena);
        return fail(call, busy, "no memory for the list of translations");
    }
    arena_clear(&catalog.arena);
    catalog = next;
    cache_drop_older(version_of);
    return 0;
}

static int need(struct call *call)
{
    return catalog.list != NULL ? 0 : catalog_refresh(call, NULL);
}

int catalog_list(struct call *call, const struct translation **list, size_t *count)
{
    struct translation *copies;

    if (need(call) != 0)
        return -1;
    copies = arena_alloc(&call->arena, catalog.count * sizeof(*copies));
    *list = copies;
    *count = catalog.count;
    for (size_t i = 0; copies != NULL && i < catalog.count; i++) {
        if (copy(&call->arena, &catalog.list[i], &copies[i]) != 0)
            copies = NULL;
    }
    return copies != NULL ? 0 : fail(call, busy, "no memory for the list of translations");
}

static const struct translation *find_exact(struct str code)
{
    for (size_t i = 0; i < catalog.count; i++) {
        if (str_equal(catalog.list[i].code, code))
            return &catalog.list[i];
    }
    return NULL;
}

static const struct translation *find(struct str code)
{
    const struct translation *exact = find_exact(code);
    char capitals[CODE_MOST_BYTES];

    if (exact != NULL || code.len > sizeof(capitals))
        return exact;
    for (size_t i = 0; i < code.len; i++)
        capitals[i] = (char)toupper((unsigned char)code.ptr[i]);
    return find_exact((struct str){capitals, code.len});
}

int catalog_find(struct call *call, struct str code, const struct translation **found)
{
    const struct translation *here;
    struct translation *taken;

    *found = NULL;
    if (need(call) != 0)
        return -1;
    here = find(code);
    if (here == NULL)
        return 0;
    taken = arena_alloc(&call->arena, sizeof(*taken));
    if (taken == NULL || copy(&call->arena, here, taken) != 0)
        return fail(call, busy, "no memory for a translation");
    *found = taken;
    return 0;
}

void catalog_close(void)
{
    arena_clear(&catalog.arena);
    catalog.list = NULL;
    catalog.count = 0;
}

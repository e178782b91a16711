/* See cache.h. A chapter is one block of memory: the struct, its verses, then the bytes that they
 * point at. A table finds it by key; a list orders it by use, and the bound takes from its old end.
 */
#include "cache.h"
#include "base/stat.h"
#include "base/time.h"
#include "json.h"
#include "query.h"
#include <assert.h>
#include <stdlib.h>

enum { BUCKETS = 1024, CHAPTER_MOST_BYTES = 16 * 1024 * 1024 };

/* The chapter's own row is verse 0. */
STATEMENT(read_chapter, "select 0 as verse, content::text as text, version"
                        "  from bible_chapters join bible_translations on id = translation_id"
                        " where translation_id = $1 and book = $2 and chapter = $3"
                        " union all"
                        " select verse, text, 0 from bible_verses"
                        " where translation_id = $1 and book = $2 and chapter = $3"
                        " order by verse");

STAT(chapters_hit_total, counter, "Chapters that were in the cache.");
STAT(chapters_read_total, counter, "Chapters that were read from the database.");
STAT(chapters_bytes, gauge, "Bytes of the chapters in the cache.");

/* A chapter that is being read; it stands in the frame of the one who reads it. */
struct load {
    struct chapter_key key; /* which */
    struct waiter *waiters; /* who wants it too */
    struct load *next;      /* the cache's */
};

/* One who waits for another's load. */
struct waiter {
    struct fiber *fiber;     /* to wake */
    bool done;               /* the load ended, well or not */
    struct chapter *chapter; /* what came of it, pinned for the waiter; or NULL */
    struct failure *failure; /* its call's: why not; empty: look again */
    struct waiter *next;     /* the load's */
};

static struct {
    struct chapter *buckets[BUCKETS];
    struct chapter *newest, *oldest; /* by use */
    struct load *loads;              /* under way */
    size_t bytes, most_bytes;        /* of what is in the table */
} cache;

/* ---- the table ---- */

static bool key_equal(const struct chapter_key *a, const struct chapter_key *b)
{
    return a->translation == b->translation && a->book == b->book && a->chapter == b->chapter;
}

static struct chapter **bucket_of(const struct chapter_key *key)
{
    unsigned mix = (unsigned)key->translation * 31u + (unsigned)key->book;

    return &cache.buckets[(mix * 251u + (unsigned)key->chapter) % BUCKETS];
}

static void list_remove(struct chapter *chapter)
{
    *(chapter->newer != NULL ? &chapter->newer->older : &cache.newest) = chapter->older;
    *(chapter->older != NULL ? &chapter->older->newer : &cache.oldest) = chapter->newer;
}

static void list_add(struct chapter *chapter)
{
    chapter->newer = NULL;
    chapter->older = cache.newest;
    *(cache.newest != NULL ? &cache.newest->newer : &cache.oldest) = chapter;
    cache.newest = chapter;
}

static void drop(struct chapter *chapter)
{
    struct chapter **link = bucket_of(&chapter->key);

    while (*link != chapter)
        link = &(*link)->next;
    *link = chapter->next;
    list_remove(chapter);
    cache.bytes -= chapter->bytes;
    chapter->dropped = true;
    if (chapter->pins == 0)
        free(chapter);
}

static struct chapter *find(const struct chapter_key *key)
{
    struct chapter *chapter = *bucket_of(key);

    while (chapter != NULL && !key_equal(&chapter->key, key))
        chapter = chapter->next;
    return chapter;
}

/* In the place of an older one; the bound holds again afterwards. The chapter is pinned. */
static void add(struct chapter *chapter)
{
    struct chapter *before = find(&chapter->key);
    struct chapter **bucket = bucket_of(&chapter->key);

    if (before != NULL)
        drop(before);
    chapter->next = *bucket;
    *bucket = chapter;
    list_add(chapter);
    cache.bytes += chapter->bytes;
    while (cache.bytes > cache.most_bytes)
        drop(cache.oldest);
}

static void unpin(void *arg)
{
    struct chapter *chapter = arg;

    chapter->pins--;
    if (chapter->pins == 0 && chapter->dropped)
        free(chapter);
}

/* Lets the call, for which a pin was counted, keep the chapter. */
static const struct chapter *keep(struct call *call, struct chapter *chapter)
{
    if (call_on_end(call, unpin, chapter) == 0)
        return chapter;
    unpin(chapter);
    return NULL;
}

/* ---- a chapter from its rows ---- */

/* What a chapter is made of, in the call's arena. */
struct parts {
    msgpack_object items; /* the content; nil where there is no chapter */
    struct str content;   /* the same as msgpack */
    struct chapter_verse *verses;
    size_t count; /* of verses */
    size_t bytes; /* of all texts */
};

static struct str pack(struct call *call, const msgpack_object *value)
{
    struct buffer out;

    buffer_init(&out, &call->arena, CHAPTER_MOST_BYTES);
    msgpack_write(&out, value);
    return out.failed ? NO_STR : buffer_str(&out);
}

/* The content of the item that is that verse, or NULL. */
static const msgpack_object *find_verse(const msgpack_object *items, int number)
{
    for (uint32_t i = 0; i < items->via.array.size; i++) {
        const msgpack_object *item = &items->via.array.ptr[i], *is;

        if (item->type != MSGPACK_OBJECT_MAP)
            continue;
        is = msgpack_member(item, STR("number"));
        if (is != NULL && is->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
            is->via.u64 == (uint64_t)number)
            return msgpack_member(item, STR("content"));
    }
    return NULL;
}

static int read_content(struct call *call, struct str text, struct parts *parts)
{
    const char *why;
    size_t offset;

    if (json_read(&call->arena, text, &parts->items, &why, &offset) != 0)
        return why != NULL ? fail(call, internal, "a chapter's content: %s", why)
                           : fail(call, busy, "no memory for a chapter's content");
    if (parts->items.type != MSGPACK_OBJECT_ARRAY)
        return fail(call, internal, "a chapter's content is no list");
    parts->content = pack(call, &parts->items);
    parts->bytes += parts->content.len;
    return parts->content.ptr != NULL ? 0 : fail(call, busy, "no memory for a chapter");
}

static int read_verse(struct call *call, const struct rows *rows, size_t row, struct parts *parts)
{
    struct chapter_verse *verse = &parts->verses[parts->count++];
    const msgpack_object *content;

    verse->number = (int)row_i64(rows, row, "verse");
    verse->text = row_str(rows, row, "text");
    verse->parts = NO_STR;
    content = find_verse(&parts->items, verse->number);
    if (content != NULL)
        verse->parts = pack(call, content);
    if (content != NULL && verse->parts.ptr == NULL)
        return fail(call, busy, "no memory for a verse");
    parts->bytes += verse->text.len + verse->parts.len;
    return 0;
}

static int read_rows(struct call *call, const struct rows *rows, struct parts *parts)
{
    if (rows->count == 0)
        return 0;
    if (row_i64(rows, 0, "verse") != 0)
        return fail(call, internal, "verses without their chapter");
    if (read_content(call, row_str(rows, 0, "text"), parts) != 0)
        return -1;
    parts->verses = arena_alloc(&call->arena, rows->count * sizeof(*parts->verses));
    if (parts->verses == NULL)
        return fail(call, busy, "no memory for a chapter");
    for (size_t row = 1; row < rows->count; row++) {
        if (read_verse(call, rows, row, parts) != 0)
            return -1;
    }
    return 0;
}

static struct str move_in(char **at, struct str text)
{
    struct str moved = {text.ptr != NULL ? *at : NULL, text.len};

    if (text.len > 0)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return moved;
}

static struct chapter *chapter_new(const struct chapter_key *key, const struct parts *parts)
{
    size_t bytes = sizeof(struct chapter) + parts->count * sizeof(struct chapter_verse);
    struct chapter *chapter = malloc(bytes + parts->bytes);
    char *at = (char *)chapter + bytes;

    if (chapter == NULL)
        return NULL;
    *chapter = (struct chapter){.key = *key, .count = parts->count, .bytes = bytes + parts->bytes};
    chapter->content = move_in(&at, parts->content);
    for (size_t i = 0; i < parts->count; i++) {
        const struct chapter_verse *from = &parts->verses[i];
        struct chapter_verse *to = &chapter->verses[i];

        to->number = from->number;
        to->text = move_in(&at, from->text);
        to->parts = move_in(&at, from->parts);
    }
    return chapter;
}

/* Reads a chapter and puts it into the table, with a pin. What is not there is kept as such. */
static struct chapter *read_one(struct call *call, const struct chapter_key *key, int64_t version)
{
    struct parts parts = {.items.type = MSGPACK_OBJECT_NIL};
    struct chapter *chapter;
    struct rows rows;

    if (db_query(call, &read_chapter,
                 PARAMS(p_i32(key->translation), p_i32(key->book), p_i32(key->chapter)),
                 &rows) != 0 ||
        read_rows(call, &rows, &parts) != 0)
        return NULL;
    chapter = chapter_new(key, &parts);
    if (chapter == NULL) {
        fail(call, busy, "no memory for a chapter");
        return NULL;
    }
    chapter->version = rows.count > 0 ? row_i64(&rows, 0, "version") : version;
    chapter->pins = 1;
    add(chapter);
    stat_add(&chapters_read_total, 1);
    return chapter;
}

/* ---- one load for all who want it ---- */

static struct load *find_load(const struct chapter_key *key)
{
    struct load *load = cache.loads;

    while (load != NULL && !key_equal(&load->key, key))
        load = load->next;
    return load;
}

static void unlink_load(struct load *load)
{
    struct load **link = &cache.loads;

    while (*link != load)
        link = &(*link)->next;
    *link = load->next;
}

/* Whether the others would have failed as well: not where only this one's time was over. */
static const struct failure *common_failure(const struct call *call)
{
    const struct fault *fault = call->failure.fault;

    return fault == &fault_timeout || fault == &fault_cancelled ? NULL : &call->failure;
}

/* Waiters run later, when the one who read and its failure may be gone: each gets its own pin, and
 * its own copy. */
static void tell_waiters(struct load *load, struct chapter *chapter, const struct failure *failure)
{
    struct waiter *waiter = load->waiters;

    while (waiter != NULL) {
        struct waiter *next = waiter->next;

        waiter->done = true;
        waiter->chapter = chapter;
        if (chapter != NULL)
            chapter->pins++;
        if (failure != NULL)
            *waiter->failure = *failure;
        fiber_wake(waiter->fiber, chapter != NULL ? WAKE_DONE : WAKE_FAILED);
        waiter = next;
    }
}

static const struct chapter *load_for_all(struct call *call, const struct chapter_key *key,
                                          int64_t version)
{
    struct load load = {.key = *key, .next = cache.loads};
    struct chapter *chapter;

    cache.loads = &load;
    chapter = read_one(call, key, version);
    unlink_load(&load);
    tell_waiters(&load, chapter, chapter == NULL ? common_failure(call) : NULL);
    return chapter != NULL ? keep(call, chapter) : NULL;
}

static void leave(struct load *load, struct waiter *waiter)
{
    struct waiter **link = &load->waiters;

    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
}

/* Waits for another's load. -1 with a failure recorded; 0 and NULL: look again. */
static int follow(struct call *call, struct load *load, struct chapter **chapter)
{
    struct waiter waiter = {
        .fiber = fiber_self(), .failure = &call->failure, .next = load->waiters};
    int64_t start_us = time_now_us();
    enum wake why;

    load->waiters = &waiter;
    why = fiber_wait(call->deadline_us);
    call->database_us += time_now_us() - start_us;
    *chapter = waiter.chapter;
    if (waiter.done)
        return call->failure.fault != NULL ? -1 : 0;
    leave(load, &waiter);
    if (why == WAKE_CANCEL)
        return fail(call, cancelled, "waiting for a chapter");
    return fail(call, timeout, "waiting for a chapter");
}

const struct chapter *cache_get(struct call *call, const struct chapter_key *key, int64_t version)
{
    for (;;) {
        struct chapter *chapter = find(key);
        struct load *load;

        if (chapter != NULL && chapter->version >= version) {
            stat_add(&chapters_hit_total, 1);
            list_remove(chapter);
            list_add(chapter);
            chapter->pins++;
            return keep(call, chapter);
        }
        load = find_load(key);
        if (load == NULL)
            return load_for_all(call, key, version);
        if (follow(call, load, &chapter) != 0)
            return NULL;
        if (chapter != NULL)
            return keep(call, chapter);
    }
}

/* ---- the whole ---- */

static void refresh_stats(void *arg)
{
    (void)arg;
    stat_set(&chapters_bytes, (double)cache.bytes);
}

void cache_open(size_t most_bytes)
{
    cache.most_bytes = most_bytes;
    stat_register(&chapters_hit_total);
    stat_register(&chapters_read_total);
    stat_register(&chapters_bytes);
    stat_on_render(refresh_stats, NULL);
}

void cache_close(void)
{
    assert(cache.loads == NULL);
    while (cache.oldest != NULL)
        drop(cache.oldest);
}

void cache_drop_older(int64_t (*version_of)(int32_t translation))
{
    struct chapter *chapter = cache.oldest;

    while (chapter != NULL) {
        struct chapter *newer = chapter->newer;

        if (chapter->version < version_of(chapter->key.translation))
            drop(chapter);
        chapter = newer;
    }
}

size_t cache_bytes(void)
{
    return cache.bytes;
}

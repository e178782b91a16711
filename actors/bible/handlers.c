/* The domain `bible`: reading the text.
 *
 * Every answer comes from the chapters in memory; the database is asked for those that are not
 * there, for pro users where a translation is theirs alone, and to store a passage. */
#include "handlers.h"
#include "base/time.h"
#include "books.h"
#include "catalog.h"
#include "rules.h"

enum { REFRESH_S = 20, REFRESH_BUDGET_S = 5 };

/* ---- who may read what ---- */

/* No row: nobody, or a free user. */
STATEMENT(find_pro, "select 1 from users where id = current_user_id($1) and pro_subscription");

/* Whether the caller is a pro user, into `*pro`. */
static int look_for_pro(struct call *call, bool *pro)
{
    struct rows rows;

    *pro = false;
    if (call->user.ptr == NULL)
        return 0;
    if (db_query(call, &find_pro, PARAMS(p_str(call->user)), &rows) != 0)
        return -1;
    *pro = rows.count > 0;
    return 0;
}

static int fail_requires_pro(struct call *call, struct str code)
{
    struct bible_requires_pro detail = {
        .message = arena_format(&call->arena, "The %.*s translation requires a pro subscription.",
                                STR_ARG(code)),
        .translation = code,
        .requires_pro = true};

    return fail_with(call, translation_requires_pro, &detail, "%.*s is for pro users",
                     STR_ARG(code));
}

static int check_may_read(struct call *call, const struct translation *translation)
{
    bool pro;

    if (!translation->requires_pro)
        return 0;
    if (look_for_pro(call, &pro) != 0)
        return -1;
    return pro ? 0 : fail_requires_pro(call, translation->code);
}

/* ---- translations ---- */

/* Whether pro-only ones are listed. While the database is away everybody is a free user here. */
static int see_all(struct call *call, const struct translation *list, size_t count, bool *all)
{
    bool asks = false;

    for (size_t i = 0; i < count; i++)
        asks |= list[i].requires_pro;
    *all = false;
    if (!asks || look_for_pro(call, all) == 0)
        return 0;
    return failed_with(&call->failure, &fault_unavailable) ? 0 : -1;
}

int bible_translations(struct call *call, const struct bible_translations_in *in,
                       struct bible_translations_out *out)
{
    const struct translation *list;
    struct bible_translation *items;
    size_t count, listed = 0;
    bool all;

    (void)in;
    if (catalog_list(call, &list, &count) != 0 || see_all(call, list, count, &all) != 0)
        return -1;
    items = arena_alloc(&call->arena, count * sizeof(*items));
    if (items == NULL)
        return fail(call, busy, "no memory for the list of translations");
    for (size_t i = 0; i < count; i++) {
        if (all || !list[i].requires_pro)
            items[listed++] =
                (struct bible_translation){list[i].code, list[i].name, list[i].requires_pro};
    }
    out->translations.items = items;
    out->translations.count = listed;
    return 0;
}

/* ---- finding a chapter ---- */

/* A chapter as somebody asks for it. */
struct question {
    struct str translation;      /* code */
    struct str book;             /* name or id */
    int64_t chapter;             /* any number */
    const struct fault *missing; /* what is said where there is no such chapter */
};

/* What was found. */
struct found {
    const struct translation *translation;
    const struct chapter *chapter;
};

static int fail_missing(struct call *call, const struct question *question, const char *what)
{
    return fail_at(&call->failure, question->missing, __FILE__, __LINE__, "no such %s", what);
}

static int find_chapter(struct call *call, const struct question *question, struct found *found)
{
    const struct book *book = book_find(question->book);
    struct chapter_key key;

    if (catalog_find(call, question->translation, &found->translation) != 0)
        return -1;
    if (found->translation == NULL)
        return fail_missing(call, question, "translation");
    if (check_may_read(call, found->translation) != 0)
        return -1;
    if (book == NULL)
        return fail_missing(call, question, "book");
    if (question->chapter < 1 || question->chapter > book->max_chapter)
        return fail_missing(call, question, "chapter");
    key = (struct chapter_key){found->translation->id, book->number, (int)question->chapter};
    found->chapter = cache_get(call, &key, found->translation->version);
    if (found->chapter == NULL)
        return -1;
    return found->chapter->content.ptr != NULL ? 0 : fail_missing(call, question, "chapter");
}

/* Whether the caller has the answer already; an answer that was saved on the way is not asked. */
static bool has_it_already(struct call *call, const struct found *found)
{
    const struct translation *translation = found->translation;
    struct str validator =
        bible_validator(&call->arena, translation->code, found->chapter->version);

    return validator.ptr != NULL && call_validate(call, validator, !translation->requires_pro);
}

/* ---- storing a passage ---- */

/* Two that store the same at one time: the second waits, and then finds what the first stored. */
STATEMENT_WRITE(lock_reference,
                "select pg_advisory_xact_lock(hashtextextended('saved_passages:' || $1, 0))");

STATEMENT_WRITE(store_passage,
                "with known as (select id from saved_passages"
                "                where reference = $1 and translation = $6 and text = $7"
                "                order by id limit 1),"
                " made as (insert into saved_passages (reference, book, chapter, verse_start,"
                "                                      verse_end, translation, text)"
                "          select $1, $2, $3, $4, $5, $6, $7"
                "           where not exists (select from known) returning id)"
                " select id from known union all select id from made");

static int store(struct call *call, const struct bible_save_passage_in *passage, int64_t *id)
{
    struct rows rows;

    if (db_query(call, &lock_reference, PARAMS(p_str(passage->reference)), &rows) != 0)
        return -1;
    if (db_query_last(call, &store_passage,
                      PARAMS(p_str(passage->reference), p_str(passage->book),
                             p_i64(passage->chapter), p_i64(passage->verse_start),
                             p_i64(passage->verse_end), p_str(passage->translation),
                             p_str(passage->text)),
                      &rows) != 0)
        return -1;
    *id = row_i64(&rows, 0, "id");
    return 0;
}

int bible_save_passage(struct call *call, const struct bible_save_passage_in *in,
                       struct bible_save_passage_out *out)
{
    return store(call, in, &out->id);
}

static int store_in_transaction(struct call *call, void *arg)
{
    int64_t id;

    return store(call, arg, &id);
}

/* Verses as they were answered, under the names by which they were asked for. */
static int save(struct call *call, struct str reference, const struct bible_verse *verses,
                size_t count)
{
    const struct bible_verse *first = &verses[0], *last = &verses[count - 1];
    struct bible_save_passage_in passage = {.reference = reference,
                                            .book = first->book,
                                            .chapter = first->chapter,
                                            .verse_start = first->verse,
                                            .verse_end = count > 1 ? last->verse : INT_ABSENT,
                                            .translation = first->translation,
                                            .text = join_texts(&call->arena, verses, count)};

    if (passage.text.ptr == NULL)
        return fail(call, busy, "no memory for the passage's text");
    return tx_run(call, store_in_transaction, &passage);
}

/* ---- passage and chapter ---- */

/* Verses of a chapter for the answer; NULL with a failure recorded. */
static struct bible_verse *list_verses(struct call *call, const struct question *question,
                                       const struct chapter_verse *from, size_t count)
{
    struct bible_verse *verses = arena_alloc(&call->arena, count * sizeof(*verses));

    if (verses == NULL)
        fail(call, busy, "no memory for the verses");
    for (size_t i = 0; verses != NULL && i < count; i++)
        verses[i] = (struct bible_verse){.book = question->book,
                                         .chapter = question->chapter,
                                         .verse = from[i].number,
                                         .text = from[i].text,
                                         .translation = question->translation,
                                         .text_parts = from[i].parts};
    return verses;
}

int bible_passage(struct call *call, const struct bible_passage_in *in,
                  struct bible_passage_out *out)
{
    struct question question = {in->translation, in->book, in->chapter, &fault_passage_not_found};
    struct found found;
    struct range range;
    size_t from, count;

    if (!range_of(in->verse_start, in->verse_end, &range))
        return fail(call, passage_not_found, "a range that holds nothing");
    if (find_chapter(call, &question, &found) != 0)
        return -1;
    range_select(&range, found.chapter, &from, &count);
    if (count == 0)
        return fail(call, passage_not_found, "none of the verses exist");
    if (!in->save && has_it_already(call, &found))
        return 0;
    out->translation = in->translation;
    out->reference = passage_reference(&call->arena, in->book, in->chapter, &range);
    out->verses.count = count;
    out->verses.items = list_verses(call, &question, &found.chapter->verses[from], count);
    if (out->reference.ptr == NULL || out->verses.items == NULL)
        return fail(call, busy, "no memory for the passage");
    return in->save ? save(call, out->reference, out->verses.items, count) : 0;
}

int bible_chapter(struct call *call, const struct bible_chapter_in *in,
                  struct bible_chapter_out *out)
{
    struct question question = {in->translation, in->book, in->chapter, &fault_chapter_not_found};
    struct found found;
    size_t count;

    if (find_chapter(call, &question, &found) != 0)
        return -1;
    count = found.chapter->count;
    if (count == 0)
        return fail(call, chapter_not_found, "the chapter has no verses");
    if (!in->save && has_it_already(call, &found))
        return 0;
    out->translation = in->translation;
    out->reference = chapter_reference(&call->arena, in->book, in->chapter);
    out->verses.count = count;
    out->verses.items = list_verses(call, &question, found.chapter->verses, count);
    if (out->reference.ptr == NULL || out->verses.items == NULL)
        return fail(call, busy, "no memory for the chapter");
    return in->save ? save(call, out->reference, out->verses.items, count) : 0;
}

/* ---- chapter_content ---- */

int bible_chapter_content(struct call *call, const struct bible_chapter_content_in *in,
                          struct bible_chapter_content_out *out)
{
    struct question question = {in->translation, in->book, in->chapter,
                                &fault_chapter_content_not_found};
    struct found found;

    if (find_chapter(call, &question, &found) != 0)
        return -1;
    if (has_it_already(call, &found))
        return 0;
    out->book = in->book;
    out->chapter = in->chapter;
    out->translation = in->translation;
    out->content = found.chapter->content;
    out->reference = chapter_reference(&call->arena, in->book, in->chapter);
    return out->reference.ptr != NULL ? 0 : fail(call, busy, "no memory for the reference");
}

/* ---- the domain ---- */

static void open_bible(struct actor *actor)
{
    cache_open(actor_keep_bytes(actor));
    actor_every(actor, "refresh_translations", TIME_S(REFRESH_S), TIME_S(REFRESH_BUDGET_S),
                catalog_refresh, NULL);
}

static void close_bible(void)
{
    cache_close();
    catalog_close();
}

const struct domain DOMAIN_ITSELF = {DOMAIN_ROWS, .schema_version = 4, .open = open_bible,
                                     .close = close_bible};

/* What a user has, as a document that may be larger than memory.
 *
 * Each section is read in pages of lines: an insight (or a chat), then its messages, then the next
 * one. A page that did not come to its section's end is sent as a piece; the rest of its last
 * conversation then begins the next one, as an item without any member but the messages. What is
 * small goes into one piece: what a page has not used of it is left to the next section. */
#include "base/time.h"
#include "frame.h"
#include "handlers.h"
#include "list.h"

enum {
    PAGE_LINES = 500,
    WHOLE_LINES = 100000, /* for a caller that takes no pieces */
    WHOLE_BYTES = 16 * 1024 * 1024
};

/* An export on its way. */
struct takeout {
    struct call *call;
    struct user_export_user_data_out *out;
    int64_t bytes; /* that the piece may still take */
    /* The place in the section: */
    int64_t time_us, id;             /* of the item */
    int64_t inner_time_us, inner_id; /* of the message in it; before all: the item itself */
    int64_t lines;                   /* that the page may have */
};

/* ---- pages ---- */

static void begin_piece(struct takeout *takeout)
{
    takeout->bytes = call_takes_pieces(takeout->call) ? WIRE_PIECE_BYTES : WHOLE_BYTES;
}

static void begin_section(struct takeout *takeout)
{
    takeout->time_us = takeout->inner_time_us = TIME_FIRST;
    takeout->id = 0;
    takeout->inner_id = -1;
    takeout->lines = call_takes_pieces(takeout->call) ? PAGE_LINES : WHOLE_LINES;
}

static int ask(struct takeout *takeout, const struct statement *statement, struct rows *rows)
{
    struct params params =
        PARAMS(p_time(takeout->time_us), p_i64(takeout->id), p_time(takeout->inner_time_us),
               p_i64(takeout->inner_id), p_i64(takeout->lines), p_i64(takeout->bytes));

    if (call_takes_pieces(takeout->call))
        return db_query_as_user(takeout->call, statement, params, rows);
    return db_query_long_as_user(takeout->call, statement, params, rows);
}

/* Without lines one row is there for the user alone. */
static size_t lines_of(const struct rows *rows)
{
    return rows->count > 0 && row_is_null(rows, 0, "list_id") ? 0 : rows->count;
}

/* After a page: 1 where its section goes on, and then what there is was sent; 0 at its end. */
static int go_on(struct takeout *takeout, const struct rows *rows)
{
    size_t count = lines_of(rows);
    int64_t found = count > 0 ? row_i64(rows, 0, "list_found") : 0;

    if (count == 0)
        return 0;
    takeout->bytes -= row_i64(rows, count - 1, "list_bytes");
    if (takeout->bytes < 1)
        takeout->bytes = 1; /* a page has a line at least */
    if ((int64_t)count == found && found < takeout->lines)
        return 0;
    takeout->time_us = row_time(rows, count - 1, "list_time");
    takeout->id = row_i64(rows, count - 1, "list_id");
    takeout->inner_time_us = row_time(rows, count - 1, "inner_time");
    takeout->inner_id = row_i64(rows, count - 1, "inner_id");
    if (call_more(takeout->call, takeout->out) != 0)
        return -1;
    /* All lines that a page may have are looked at: where few fitted, it need not be many. */
    takeout->lines = 2 * (int64_t)count < PAGE_LINES ? 2 * (int64_t)count : PAGE_LINES;
    begin_piece(takeout);
    return 1;
}

/* ---- from lines to items ---- */

static bool is_message(const struct rows *rows, size_t line)
{
    return row_i64(rows, line, "inner_id") > 0;
}

/* Where the items of a page go. */
struct page {
    char *items;                         /* of the section's record */
    size_t count;                        /* of items so far */
    struct user_export_message *message; /* the next one */
};

/* Any list of an output. */
struct items {
    const void *items;
    size_t count;
};

/* The messages of an item; NULL where it has none. */
static struct items *messages_of(const struct record *record, char *item)
{
    const struct field *last = &record->fields[record->count - 1];

    return last->type == TYPE_list ? (struct items *)(void *)(item + last->offset) : NULL;
}

/* An item whose members are absent: it goes on with the one that ended the piece before. */
static void begin_item(const struct record *record, char *item,
                       const struct user_export_message *first)
{
    for (size_t i = 0; i < record->count; i++)
        if (record->fields[i].type == TYPE_iso)
            *(int64_t *)(void *)(item + record->fields[i].offset) = INT_ABSENT;
    if (messages_of(record, item) != NULL)
        messages_of(record, item)->items = first;
}

static void add_line(const struct rows *rows, size_t line, const struct record *record,
                     struct page *page)
{
    char *item = page->items + page->count * record->size_bytes;

    if (!is_message(rows, line) || page->count == 0) {
        begin_item(record, item, page->message);
        page->count++;
    } else {
        item -= record->size_bytes;
    }
    if (is_message(rows, line)) {
        row_fill(rows, line, &record_user_export_message, page->message++);
        messages_of(record, item)->count++;
    } else {
        row_fill(rows, line, record, item);
    }
}

static int fill_page(struct takeout *takeout, const struct rows *rows, const struct record *record,
                     struct page *page)
{
    size_t count = lines_of(rows), messages = 0;
    struct arena *arena = &takeout->call->arena;

    for (size_t line = 0; line < count; line++)
        messages += is_message(rows, line);
    page->items = arena_zalloc(arena, (count - messages + 1) * record->size_bytes);
    page->message = arena_zalloc(arena, messages * sizeof(*page->message));
    page->count = 0;
    if (page->items == NULL || page->message == NULL)
        return fail(takeout->call, busy, "no memory left for %zu lines", count);
    for (size_t line = 0; line < count; line++)
        add_line(rows, line, record, page);
    return 0;
}

/* ---- the sections ---- */

/* What a line costs beside its texts. */
#define LINE_BYTES "120"

/* The lines of a section: `item` has the columns at, id and size of those items that begin at the
 * place or behind it; `message` those of an item's messages. $2 and $3 are the item's place, $4 and
 * $5 the message's, $6 lines at most (and one item more, because the first may have been sent), $7
 * bytes. An item stands before its messages, as one of the
 * year 1 with the id 0. What is behind its limit is not looked at; texts are taken only once it is
 * known which lines there will be. */
#define LINES(item, message)                                                                       \
    WITH_ME                                                                                        \
    ", item as (" item "),"                                                                        \
    " line as (select item.at as list_time, item.id as list_id,"                                   \
    "                 inner_time, inner_id, line_size + " LINE_BYTES " as size"                    \
    "   from (select *, (at, id) = ($2, $3) as begun from item) as item"                           \
    "   cross join lateral (select case when begun then $4"                                        \
    "                                   else timestamptz '0001-01-01 00:00:00+00' end as time,"    \
    "                              case when begun then $5 else -1 end as id) as place"            \
    "   cross join lateral (select timestamptz '0001-01-01 00:00:00+00' as inner_time,"            \
    "                              0 as inner_id, item.size as line_size where not begun"          \
    "                       union all (" message " limit $6)) as lines"                            \
    "  order by list_time, list_id, inner_time, inner_id limit $6),"                               \
    " page as (select *, count(*) over () as list_found, sum(size) over so_far as list_bytes,"     \
    "                 sum(size) over so_far - size as before"                                      \
    "            from line window so_far as (order by list_time, list_id, inner_time, inner_id))"

STATEMENT(
    export_insights,
    LINES(
        "select created_at as at, insight_id as id,"
        "       (select octet_length(passage_text) + octet_length(historical_context)"
        "               + octet_length(theological_significance)"
        "               + octet_length(practical_application)"
        "          from saved_insights where saved_insights.id = insight_id) as size"
        "  from me join user_insights on user_id = me.id"
        " where (created_at, insight_id) >= ($2, $3) order by created_at, insight_id"
        " limit $6 + 1",
        "select created_at, chat_messages.id, octet_length(content)"
        "  from chat_messages"
        " where user_id = (select me.id from me) and insight_id = item.id"
        "   and (created_at, chat_messages.id) > (place.time, place.id)"
        " order by created_at, chat_messages.id") " select me.id, me.kept, list_found, list_time, "
                                                  "list_id, inner_time, inner_id, list_bytes,"
                                                  "        passage_reference, passage_text, "
                                                  "historical_context, theological_significance,"
                                                  "        practical_application, "
                                                  "coalesce(message.created_at, list_time) as "
                                                  "created_at,"
                                                  "        role, content, was_truncated"
                                                  "   from me left join page on before < $7"
                                                  "   left join saved_insights as item on inner_id "
                                                  "= 0 and item.id = list_id"
                                                  "   left join chat_messages as message on "
                                                  "message.id = inner_id"
                                                  "  order by list_time, list_id, inner_time, "
                                                  "inner_id");

STATEMENT(
    export_chats,
    LINES(
        "select created_at as at, standalone_chats.id,"
        "       coalesce(octet_length(passage_text), 0) as size"
        "  from me join standalone_chats on user_id = me.id"
        " where (created_at, standalone_chats.id) >= ($2, $3)"
        " order by created_at, standalone_chats.id limit $6 + 1",
        "select created_at, standalone_chat_messages.id, octet_length(content)"
        "  from standalone_chat_messages"
        " where chat_id = item.id"
        "   and (created_at, standalone_chat_messages.id) > (place.time, place.id)"
        " order by created_at, standalone_chat_messages.id") " select me.id, me.kept, list_found, "
                                                             "list_time, list_id, inner_time, "
                                                             "inner_id, list_bytes,"
                                                             "        title, passage_reference, "
                                                             "passage_text, "
                                                             "coalesce(item.updated_at, list_time) "
                                                             "as updated_at,"
                                                             "        coalesce(message.created_at, "
                                                             "list_time) as created_at,"
                                                             "        role, content, was_truncated"
                                                             "   from me left join page on before "
                                                             "< $7"
                                                             "   left join standalone_chats as "
                                                             "item on inner_id = 0 and item.id = "
                                                             "list_id"
                                                             "   left join "
                                                             "standalone_chat_messages as message "
                                                             "on message.id = inner_id"
                                                             "  order by list_time, list_id, "
                                                             "inner_time, inner_id");

/* These have no messages. */
STATEMENT(
    export_definitions,
    LINES("select created_at as at, definition_id as id,"
          "       (select octet_length(verse_text) + octet_length(definition)"
          "               + octet_length(biblical_usage) + octet_length(original_language)"
          "          from saved_definitions where saved_definitions.id = definition_id) as size"
          "  from me join user_definitions on user_id = me.id"
          " where (created_at, definition_id) > ($2, $3) order by created_at, definition_id"
          " limit $6",
          "select null, 0, 0 where false") " select me.id, me.kept, list_found, list_time, "
                                           "list_id, inner_time, inner_id, list_bytes,"
                                           "        word, passage_reference, verse_text, "
                                           "definition, biblical_usage, original_language,"
                                           "        list_time as created_at"
                                           "   from me left join page on before < $7"
                                           "   left join saved_definitions as item on item.id = "
                                           "list_id"
                                           "  order by list_time, list_id");

static int export_section(struct takeout *takeout, const struct statement *statement,
                          const struct record *record, void *list)
{
    struct items *items = list;
    struct page page;
    struct rows rows;
    int more;

    begin_section(takeout);
    do {
        if (ask(takeout, statement, &rows) != 0 || fill_page(takeout, &rows, record, &page) != 0)
            return -1;
        *items = (struct items){page.items, page.count};
        more = go_on(takeout, &rows);
    } while (more > 0);
    return more;
}

STATEMENT(export_owner, WITH_ME " select me.id, me.kept, anonymous_id,"
                                "        coalesce(created_at, 'epoch') as created_at"
                                "   from me join users on users.id = me.id");

static int export_owner_of(struct takeout *takeout)
{
    struct call *call = takeout->call;
    struct user_export_user *owner = arena_zalloc(&call->arena, sizeof(*owner));
    struct rows rows;

    if (owner == NULL)
        return fail(call, busy, "no memory for the user");
    if (db_query_as_user(call, &export_owner, NO_PARAMS, &rows) != 0)
        return -1;
    row_fill(&rows, 0, &record_user_export_user, owner);
    takeout->out->user = owner;
    return 0;
}

int user_export_user_data(struct call *call, const struct user_export_user_data_in *in,
                          struct user_export_user_data_out *out)
{
    struct takeout takeout = {.call = call, .out = out};

    (void)in;
    begin_piece(&takeout);
    if (export_owner_of(&takeout) != 0)
        return -1;
    call_scope_next(call); /* so that the first page goes with its piece */
    if (export_section(&takeout, &export_insights, &record_user_export_insight, &out->insights) ||
        export_section(&takeout, &export_chats, &record_user_export_chat, &out->standalone_chats))
        return -1;
    return export_section(&takeout, &export_definitions, &record_user_export_definition,
                          &out->definitions);
}

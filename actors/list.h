/* Lists that may be longer than memory allows: read in pages, sent in pieces.
 *
 * Each page is a statement of its own, so that no transaction is open while the reader is awaited;
 * it begins behind the last row of the page before, by a time and an id.
 *
 *   LIST_STATEMENT(list_things, "list_id as id, name, list_time as timestamp",
 *                  "select id as list_id, created_at as list_time, name,"
 *                  "       octet_length(name) as list_size"
 *                  "  from things where user_id = me.id and (created_at, id) < ($2, $3)"
 *                  " order by created_at desc, id desc limit $4")
 *   …
 *   list_open(&list, call, in->limit, LIST_NEWEST_FIRST);
 *   do {
 *       if (db_query_as_user(call, &list_things, PARAMS(LIST_PARAMS(&list)), &rows) != 0)
 *           return -1;
 *       out->things.items = list_fill(&list, &rows, &record_a_thing, &out->things.count);
 *       if (out->things.items == NULL)
 *           return -1;
 *   } while (list_goes_on(&list, &rows, out));
 *   return list_result(&list);
 *
 * The query within takes the time and the id behind which the page begins ($2, $3) and how many
 * rows there may be ($4), and gives the place of each row, in order, and the bytes of its texts.
 * The page ends before the row with which these would pass a number ($5), but for the first row.
 * What is joined to the query's rows is joined by `cross join lateral (… offset 0)`, which keeps
 * them in order. A caller that gives no credit gets one page, which holds all. */
#pragma once

#include "actor.h"

enum list_order { LIST_NEWEST_FIRST, LIST_OLDEST_FIRST };

#define LIST_ALL INT64_MAX

struct list {
    struct call *call; /* for whom */
    int64_t left;      /* rows that may still come */
    int64_t rows;      /* at most, of the next page */
    int64_t bytes;     /* at most, of the next page's texts */
    int64_t time_us;   /* the place behind which it begins */
    int64_t id;        /* the same */
    int result;        /* what the handler returns */
};

#define LIST_PARAMS(list)                                                                          \
    p_time((list)->time_us), p_i64((list)->id), p_i64((list)->rows), p_i64((list)->bytes)

/* A page for the user that the call acts for: one row without a place where there is nothing. */
#define LIST_STATEMENT(name, columns, listed)                                                      \
    STATEMENT(                                                                                     \
        name,                                                                                      \
        "select me.id as user_id, me.kept, page.* from acting_user($1) as me left join lateral"    \
        " (select list_id, list_time, list_size, " columns ","                                     \
        "         sum(list_size) over (rows unbounded preceding) as list_bytes"                    \
        "    from (" listed ") as listed) as page on list_bytes - list_size < $5")

/* Before the first page, of at most `most` rows in all. */
void list_open(struct list *list, struct call *call, int64_t most, enum list_order order);

/* The page's rows as an array of `record`'s structs, and how many they are; NULL without memory
 * (failure recorded). Members of type one and list are left alone. */
void *list_fill(const struct list *list, const struct rows *rows, const struct record *record,
                size_t *count) MUST;

/* Whether another page follows: then `out` was sent, what the page took is given back, and `out` is
 * all zero. May wait for the reader's credit, at most 30 s. */
bool list_goes_on(struct list *list, const struct rows *rows, void *out) MUST;

/* When no page follows: 0, or -1 where a piece could not be sent. */
int list_result(const struct list *list) MUST;

/* The same without rows of a page: sends `out` as a piece and makes it all zero; what the call took
 * since the piece before is given back. -1: a failure is recorded (too_large: the caller takes no
 * pieces; timeout, cancelled). Refused while a transaction is open. */
int call_more(struct call *call, void *out) MUST;

/* Whether the caller takes pieces. */
bool call_takes_pieces(struct call *call);

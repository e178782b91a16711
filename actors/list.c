/* Pages of a list, and the pieces in which they are sent.
 *
 * A piece is sent while the reader's credit is more than nothing, so credit may be overdrawn by one
 * piece. Waiting for more of it is waiting for something foreign: no transaction may be open. A
 * piece is sent at once and not with what else the turn posts, because its sender must know whether
 * it went: an answer with a hole would look whole. */
#include "list.h"
#include "base/stat.h"
#include "base/time.h"
#include "frame.h"
#include "runtime.h"
#include "tally.h"
#include <errno.h>

enum {
    PAGE_ROWS = 500,
    WHOLE_ROWS = 100000, /* of a caller that takes no pieces */
    WHOLE_BYTES = 16 * 1024 * 1024
};

#define STALL_US TIME_S(30) /* after which a reader that gives no credit is given up */
#define LAST_US TIME_S(5)   /* for which the last reply of several is tried */
#define ROOM_US TIME_MS(10) /* between two tries, where ZeroMQ has no room */

/* ---- pieces ---- */

bool call_takes_pieces(struct call *call)
{
    return mail_of(call)->credit != INT_ABSENT;
}

void pieces_grant(struct mail *mail, int64_t bytes)
{
    if (mail->credit == INT_ABSENT || bytes <= 0)
        return;
    mail->credit =
        bytes < INT64_MAX - WIRE_MOST_BODY_BYTES - mail->credit ? mail->credit + bytes : bytes;
    if (mail->awaits_credit && mail->credit > 0)
        fiber_wake(mail->call.fiber, WAKE_DONE);
}

static int await_credit(struct mail *mail)
{
    struct call *call = &mail->call;
    int64_t deadline_us = call->deadline_us;
    int64_t stall_us = time_now_us() + STALL_US;
    int error = 0;

    call->deadline_us = stall_us < deadline_us ? stall_us : deadline_us;
    mail->awaits_credit = true;
    while (error == 0 && mail->credit <= 0)
        error = call_wait_foreign(call, "the reader's credit");
    mail->awaits_credit = false;
    call->deadline_us = deadline_us;
    mail->left |= error != 0 && failed_with(&call->failure, &fault_timeout);
    return error;
}

static int fail_left(struct mail *mail, int error)
{
    mail->left = true;
    if (error == EHOSTUNREACH)
        return fail(&mail->call, cancelled, "the reader is gone");
    return fail(&mail->call, timeout, "a piece cannot be sent");
}

/* Sends it, or waits until there is room. */
static int send_piece(struct mail *mail, const struct common_reply *reply, struct str body)
{
    int64_t stall_us = time_now_us() + STALL_US;

    while (reply_try(mail->actor, &mail->from, reply, body) != 0) {
        if (errno != EAGAIN || time_now_us() >= stall_us)
            return fail_left(mail, errno);
        if (call_rest(&mail->call, ROOM_US) != 0)
            return -1;
    }
    return 0;
}

/* What is said beside the pieces stands in the first one's header. */
static struct common_reply piece_header(const struct mail *mail)
{
    struct common_reply reply = {.v = WIRE_VERSION, .id = mail->id, .status = STR("more")};

    if (mail->pieces > 0)
        return reply;
    reply.user = mail->call.reply_user;
    if (mail->call.reply_rate.limit > 0)
        reply.rate = &mail->call.reply_rate;
    return reply;
}

int pieces_send(struct mail *mail, struct str body)
{
    struct common_reply reply = piece_header(mail);
    struct call *call = &mail->call;

    if (mail->credit == INT_ABSENT)
        return fail(call, too_large, "the answer needs more than one reply: ask with `credit`");
    if (call->db != NULL && call->db->in_transaction)
        return fail(call, internal, "sends a piece while a transaction is open");
    if (await_credit(mail) != 0 || send_piece(mail, &reply, body) != 0)
        return -1;
    mail->credit -= (int64_t)body.len;
    mail->pieces++;
    return 0;
}

void pieces_end(struct mail *mail, const struct common_reply *reply, struct str body)
{
    int64_t end_us = time_now_us() + LAST_US;

    while (reply_try(mail->actor, &mail->from, reply, body) != 0) {
        if (errno != EAGAIN || time_now_us() >= end_us) {
            stat_add(&replies_dropped_total, 1);
            return;
        }
        (void)!fiber_wait_shielded(time_now_us() + ROOM_US);
    }
}

int call_more(struct call *call, void *out)
{
    struct buffer body;

    buffer_init(&body, &call->arena, WIRE_MOST_BODY_BYTES);
    codec_encode(&body, &call->method->out, out);
    if (body.failed)
        return fail(call, busy, "no memory for a piece of the answer");
    if (pieces_send(mail_of(call), buffer_str(&body)) != 0)
        return -1;
    call_scope_next(call);
    memset(out, 0, call->method->out.size_bytes);
    return 0;
}

/* ---- pages ---- */

/* Sizes the next page; `most_rows` is for one whose bytes are bounded to a piece. */
static void size_page(struct list *list, int64_t most_rows)
{
    bool pieces = call_takes_pieces(list->call);
    int64_t most = most_rows < PAGE_ROWS ? most_rows : PAGE_ROWS;

    if (!pieces)
        most = WHOLE_ROWS;
    list->rows = list->left < most ? list->left : most;
    list->bytes = pieces ? WIRE_PIECE_BYTES : WHOLE_BYTES;
}

void list_open(struct list *list, struct call *call, int64_t most, enum list_order order)
{
    bool newest = order == LIST_NEWEST_FIRST;

    *list = (struct list){.call = call,
                          .left = most,
                          .time_us = newest ? TIME_LAST : TIME_FIRST,
                          .id = newest ? INT64_MAX : 0};
    size_page(list, PAGE_ROWS);
    if (!call->in_scope)
        call_scope_next(call); /* so that the first page goes with its piece */
}

/* A row without a place stands there for the user alone. */
static size_t rows_of_page(const struct rows *rows)
{
    return rows->count > 0 && row_is_null(rows, 0, "list_id") ? 0 : rows->count;
}

void *list_fill(const struct list *list, const struct rows *rows, const struct record *record,
                size_t *count)
{
    struct rows page = {rows->result, rows_of_page(rows)};

    *count = page.count;
    return rows_fill(list->call, &page, record);
}

bool list_goes_on(struct list *list, const struct rows *rows, void *out)
{
    size_t count = rows_of_page(rows);

    list->left -= (int64_t)count;
    /* A page that its bytes did not end, and that was not full, is the last one. */
    if (count == 0 || list->left <= 0 ||
        (row_i64(rows, count - 1, "list_bytes") < list->bytes && (int64_t)count < list->rows))
        return false;
    list->time_us = row_time(rows, count - 1, "list_time");
    list->id = row_i64(rows, count - 1, "list_id");
    list->result = call_more(list->call, out);
    /* The statement looks at all the rows that it may give: where few fitted, it need not at many.
     */
    size_page(list, 2 * (int64_t)count);
    return list->result == 0;
}

int list_result(const struct list *list)
{
    return list->result;
}

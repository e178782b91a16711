/* The admin listener. A visitor reads a head, gets an answer, and is closed when it closed or when
 * its time is up; all of them have one deadline list. */
#include "admin.h"

#include "address.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/stat.h"
#include "base/time.h"
#include "http.h"
#include "http_status.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { VISITORS = 16, BACKLOG = 64, DEADLINE_S = 5, RETRY_S = 1, ANSWER_BYTES = 16 * 1024 * 1024 };

struct visitor {
    ev_io reading;              /* until the answer is out, and then for the client's end */
    ev_io writing;              /* while the answer is not out */
    struct deadline deadline;   /* of all of it */
    struct admin *admin;        /* whose it is */
    struct visitor *next;       /* the admin's list */
    struct http_scan scan;      /* of the head */
    bool answered;              /* what comes now is dropped */
    struct buffer out;          /* the answer */
    size_t sent;                /* bytes of it */
    size_t len;                 /* bytes of `data` */
    char data[HTTP_HEAD_BYTES]; /* the head */
};

struct admin {
    struct admin_config config;       /* as given */
    int fd;                           /* listening */
    char address[ADDRESS_TEXT_BYTES]; /* bound */
    char *file;                       /* written, or NULL */
    ev_io accepting;                  /* off while the places are taken */
    ev_timer retry;                   /* accepts again after descriptors ran out */
    struct deadline_list deadlines;   /* of the visitors */
    struct visitor *first;            /* of them */
    unsigned count;                   /* of them */
    struct http_head head;            /* scratch */
};

void admin_lacks(struct admin_missing *missing, const char *name)
{
    if (missing->names->len > 0)
        buffer_add_text(missing->names, ",");
    buffer_add_char(missing->names, '"');
    for (; *name != '\0'; name++)
        buffer_add_char(missing->names,
                        *name >= ' ' && *name < 0x7f && *name != '"' && *name != '\\' ? *name
                                                                                      : '?');
    buffer_add_char(missing->names, '"');
}

static void dismiss(struct visitor *visitor)
{
    struct admin *admin = visitor->admin;
    struct visitor **link = &admin->first;

    while (*link != visitor)
        link = &(*link)->next;
    *link = visitor->next;
    admin->count--;
    ev_io_stop(loop_get(), &visitor->reading);
    ev_io_stop(loop_get(), &visitor->writing);
    deadline_stop(&visitor->deadline);
    close(visitor->reading.fd);
    buffer_free(&visitor->out);
    loop_free_later(visitor);
    if (admin->fd >= 0)
        ev_io_start(loop_get(), &admin->accepting);
}

static void on_expired(struct deadline *deadline)
{
    dismiss((struct visitor *)(void *)((char *)deadline - offsetof(struct visitor, deadline)));
}

/* Sends what is left; then waits for the client to close, so that it reads all of it. */
static void flush(struct visitor *visitor)
{
    while (visitor->sent < visitor->out.len) {
        ssize_t sent = send(visitor->writing.fd, visitor->out.data + visitor->sent,
                            visitor->out.len - visitor->sent, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            ev_io_start(loop_get(), &visitor->writing);
            return;
        }
        if (sent < 0) {
            dismiss(visitor);
            return;
        }
        visitor->sent += (size_t)sent;
    }
    ev_io_stop(loop_get(), &visitor->writing);
    if (shutdown(visitor->writing.fd, SHUT_WR) != 0)
        dismiss(visitor);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    flush(watcher->data);
}

/* What is answered: status, type, content. */
struct page {
    int status;         /* of the answer */
    const char *type;   /* of the content */
    bool allow;         /* say which methods there are */
    struct buffer text; /* the content */
};

static void page_refuse(struct page *page, int status, const char *text)
{
    page->status = status;
    buffer_add_format(&page->text, "{\"detail\":\"%s\"}", text);
}

static void page_ready(struct page *page, const struct admin *admin)
{
    struct buffer names;
    struct admin_missing missing = {&names};

    buffer_init(&names, NULL, ANSWER_BYTES);
    if (admin->config.check != NULL)
        admin->config.check(&missing, admin->config.arg);
    if (names.len == 0) {
        buffer_add_text(&page->text, "{\"status\":\"ready\"}");
    } else {
        page->status = 503;
        buffer_add_text(&page->text, "{\"status\":\"not ready\",\"missing\":[");
        buffer_add_str(&page->text, buffer_str(&names));
        buffer_add_text(&page->text, "]}");
    }
    buffer_free(&names);
}

static void page_metrics(struct page *page)
{
    page->type = "text/plain; version=0.0.4; charset=utf-8";
    stat_render(&page->text);
}

static void page_fill(struct page *page, const struct admin *admin)
{
    const struct http_head *head = &admin->head;
    bool ready = str_is(head->path, "/ready");

    if (!ready && !str_is(head->path, "/metrics")) {
        page_refuse(page, 404, "Not Found");
        return;
    }
    if (head->method != HTTP_GET && head->method != HTTP_HEAD) {
        page->allow = true;
        page_refuse(page, 405, "Method Not Allowed");
        return;
    }
    if (ready)
        page_ready(page, admin);
    else
        page_metrics(page);
}

static void answer(struct visitor *visitor, const struct page *page, bool head_only)
{
    struct buffer *out = &visitor->out;

    visitor->answered = true;
    buffer_add_format(out,
                      "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
                      "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                      page->status, http_reason(page->status), page->type, page->text.len,
                      page->allow ? "Allow: GET, HEAD\r\n" : "");
    if (!head_only)
        buffer_add_str(out, buffer_str(&page->text));
    if (out->failed || page->text.failed)
        dismiss(visitor);
    else
        flush(visitor);
}

/* What has come of the head, `result` being what the search for its end said. */
static void respond(struct visitor *visitor, enum http_result result)
{
    struct page page = {.status = 200, .type = "application/json"};
    struct http_head *head = &visitor->admin->head;
    unsigned first = visitor->scan.start;

    buffer_init(&page.text, NULL, ANSWER_BYTES);
    if (result == HTTP_fine)
        result = http_head_parse(visitor->data + first, visitor->scan.looked - first, head);
    if (result == HTTP_fine)
        page_fill(&page, visitor->admin);
    else
        page_refuse(&page, http_status_of(result), http_text_of(result));
    answer(visitor, &page, result == HTTP_fine && head->method == HTTP_HEAD);
    buffer_free(&page.text);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct visitor *visitor = watcher->data;
    size_t from = visitor->answered ? 0 : visitor->len;
    ssize_t len = recv(watcher->fd, visitor->data + from, sizeof(visitor->data) - from, 0);
    enum http_result result;

    (void)loop;
    (void)events;
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len == 0 && visitor->sent < visitor->out.len) {
        ev_io_stop(loop_get(), &visitor->reading);
        return;
    }
    if (len <= 0) {
        dismiss(visitor);
        return;
    }
    if (visitor->answered)
        return;
    visitor->len += (size_t)len;
    result = http_head_find(visitor->data, visitor->len, &visitor->scan);
    if (result != HTTP_more)
        respond(visitor, result);
}

static void receive(struct admin *admin, int fd)
{
    struct visitor *visitor = calloc(1, sizeof(*visitor));

    if (visitor == NULL) {
        close(fd);
        return;
    }
    visitor->admin = admin;
    visitor->next = admin->first;
    admin->first = visitor;
    admin->count++;
    buffer_init(&visitor->out, NULL, SIZE_MAX);
    ev_io_init(&visitor->reading, on_readable, fd, EV_READ);
    ev_io_init(&visitor->writing, on_writable, fd, EV_WRITE);
    visitor->reading.data = visitor->writing.data = visitor;
    deadline_start(&admin->deadlines, &visitor->deadline);
    ev_io_start(loop_get(), &visitor->reading);
}

/* Without descriptors accepting waits until a visitor goes, or, as the kernel repeats itself, for
 * the next turn: at most one try a turn. */
static void on_acceptable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct admin *admin = watcher->data;
    int fd;

    (void)events;
    if (admin->count == VISITORS) {
        ev_io_stop(loop, watcher);
        return;
    }
    fd = accept4(admin->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        receive(admin, fd);
    } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        /* Out of descriptors: the kernel would report the same client in each turn. */
        ev_io_stop(loop, watcher);
        ev_timer_set(&admin->retry, RETRY_S, 0);
        ev_timer_start(loop, &admin->retry);
    }
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct admin *admin = timer->data;

    (void)events;
    ev_io_start(loop, &admin->accepting);
}

/* Written beside and renamed, so that nobody reads half of it. */
static int write_file(const char *file, const char *address)
{
    char beside[PATH_MAX];
    int fd;
    bool written;

    if (snprintf(beside, sizeof(beside), "%s.new", file) >= (int)sizeof(beside)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    written = dprintf(fd, "%s\n", address) > 0;
    return close(fd) == 0 && written ? rename(beside, file) : -1;
}

static int open_socket(struct admin *admin)
{
    const char *text = admin->config.address;
    struct address address;
    const char *cause;

    if (address_parse(text, &address, &cause) != 0) {
        log_error(&process, "admin address %s: %s", text, cause);
        return -1;
    }
    if (!address_is_loopback(&address) && !admin->config.given) {
        log_error(&process, "admin address %s: not of this machine, and nobody asked for it", text);
        return -1;
    }
    admin->fd = address_listen(&address, BACKLOG, false);
    if (admin->fd < 0 || address_of_socket(admin->fd, &address) != 0) {
        log_error(&process, "admin address %s: %s", text, strerror(errno));
        return -1;
    }
    address_format(&address, admin->address);
    return 0;
}

static int open_file(struct admin *admin)
{
    if (admin->config.file == NULL)
        return 0;
    admin->file = strdup(admin->config.file);
    if (admin->file != NULL && write_file(admin->file, admin->address) == 0)
        return 0;
    log_error(&process, "%s: %s", admin->config.file, strerror(errno));
    return -1;
}

struct admin *admin_open(const struct admin_config *config)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    int64_t deadline_us = config->deadline_us != 0 ? config->deadline_us : TIME_S(DEADLINE_S);

    if (admin == NULL) {
        log_error(&process, "no memory for the admin address");
        return NULL;
    }
    admin->config = *config;
    admin->fd = -1;
    deadline_list_init(&admin->deadlines, deadline_us, on_expired);
    ev_io_init(&admin->accepting, on_acceptable, -1, EV_READ);
    ev_timer_init(&admin->retry, on_retry, 0, 0);
    if (open_socket(admin) != 0 || open_file(admin) != 0) {
        admin_close(admin);
        return NULL;
    }
    ev_io_set(&admin->accepting, admin->fd, EV_READ);
    admin->accepting.data = admin->retry.data = admin;
    ev_io_start(loop_get(), &admin->accepting);
    return admin;
}

const char *admin_address(const struct admin *admin)
{
    return admin->address;
}

void admin_close(struct admin *admin)
{
    if (admin == NULL)
        return;
    ev_io_stop(loop_get(), &admin->accepting);
    ev_timer_stop(loop_get(), &admin->retry);
    if (admin->fd >= 0)
        close(admin->fd);
    admin->fd = -1;
    while (admin->first != NULL)
        dismiss(admin->first);
    deadline_list_close(&admin->deadlines);
    if (admin->file != NULL)
        unlink(admin->file);
    free(admin->file);
    free(admin);
}

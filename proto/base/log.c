/* Logs: a bounded ring of bytes that any thread fills and one thread writes to standard error.
 *
 * A line is made on the caller's stack and copied into the ring under a mutex; a line that finds no
 * room is counted. The writer takes all there is, writes it without holding the mutex, and reports
 * dropped lines once it has caught up. Only a writer that sleeps is woken. A line is at most
 * LINE_BYTES long and always whole: what is too long ends with `…` before the line's last quotes.
 */
#include "log.h"
#include "stat.h"
#include "time.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
    RING_BYTES = 256 * 1024,
    LINE_BYTES = 2048,
    LINE_END = 8, /* kept free in a line for the end of a cut text and of the line */
    WRITER_STACK_BYTES = 128 * 1024,
    CLOSE_WAIT_S = 1,
    BLOCKED_WAIT_MS = 100,
    WRITER_PATIENCE = UINT32_MAX / 2, /* it has nothing else to do */
    CALLER_PATIENCE = 3
};

#define LOG_LEVEL_NAME(name) #name,
static const char *const level_names[] = {LOG_LEVELS(LOG_LEVEL_NAME)};
#undef LOG_LEVEL_NAME

STAT(log_dropped_total, counter, "Log lines that found no room.");

struct log_source process;
enum log_level log_threshold = LOG_info;

static struct {
    pthread_mutex_t lock;      /* of all that follows, but what says otherwise */
    pthread_cond_t more;       /* the ring has something, or `closing` */
    pthread_t writer;          /* the thread */
    const char *name;          /* of the process; set before the writer starts */
    bool json;                 /* set before the writer starts */
    bool open;                 /* lines go into the ring */
    bool closing;              /* the writer ends when the ring is empty */
    bool sleeping;             /* the writer waits for `more` */
    bool stuck;                /* a writer was left behind at log_close() */
    uint64_t head, tail;       /* bytes ever put in, and written */
    uint64_t dropped;          /* lines, ever */
    uint64_t dropped_reported; /* of them, those that a line spoke of */
    char ring[RING_BYTES];     /* head and tail modulo its size */
} logs = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

/* A line in the making. */
struct line {
    char bytes[LINE_BYTES];
    size_t len;
    bool json;
};

static void put(struct line *line, const char *bytes, size_t len)
{
    if (len > sizeof(line->bytes) - LINE_END - line->len)
        return;
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

/* The bytes of the well-formed UTF-8 character at `at`, or 0. */
static size_t utf8_length(const unsigned char *at)
{
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

    if (at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return len;
}

static bool is_control(const unsigned char *at)
{
    return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0);
}

/* How a character stands between quotes: itself, or an escape in `out`. */
static struct str escaped(const unsigned char *at, size_t len, char out[8])
{
    static const char plain[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    const char *found = strchr(plain, at[0]);
    int bytes;

    if (len == 0)
        return STR("\xef\xbf\xbd");
    if (found != NULL && at[0] != '\0')
        bytes = snprintf(out, 8, "\\%c", letters[found - plain]);
    else if (is_control(at))
        bytes = snprintf(out, 8, "\\u%04x", len == 2 ? at[1] : at[0]);
    else
        return (struct str){(const char *)at, len};
    return (struct str){out, (size_t)bytes};
}

static void put_quoted(struct line *line, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t room = sizeof(line->bytes) - LINE_END;
    char out[8];

    put(line, "\"", 1);
    while (*at != '\0') {
        size_t len = utf8_length(at);
        struct str shown = escaped(at, len, out);

        if (shown.len > room - line->len) {
            memcpy(line->bytes + line->len, "\xe2\x80\xa6", 3);
            line->len += 3;
            break;
        }
        put(line, shown.ptr, shown.len);
        at += len != 0 ? len : 1;
    }
    line->bytes[line->len++] = '"';
}

/* Whether a value of logfmt can stand without quotes. */
static bool is_plain(const char *text)
{
    const char *at = text;

    while (*at > ' ' && *at < 0x7f && *at != '"' && *at != '=' && *at != '\\')
        at++;
    return at != text && *at == '\0';
}

static void put_pair(struct line *line, const char *key, const char *value)
{
    char start[32];
    int len = snprintf(start, sizeof(start), line->json ? "%s\"%s\":" : "%s%s=",
                       line->len == 0 ? "" : (line->json ? "," : " "), key);

    if (value == NULL)
        return;
    if (line->len + (size_t)len + 8 > sizeof(line->bytes) - LINE_END)
        return;
    put(line, start, (size_t)len);
    if (!line->json && is_plain(value) && strlen(value) < 128)
        put(line, value, strlen(value));
    else
        put_quoted(line, value);
}

static void put_time(struct line *line)
{
    char time[TIME_ISO_BYTES];

    time_iso(time_wall_us(), time);
    memcpy(time + sizeof("2026-01-31T09:05:00.123") - 1, "Z", 2);
    put_pair(line, "time", time);
}

static void line_make(struct line *line, enum log_level level, const struct log_tag *tag,
                      const char *text)
{
    line->len = 0;
    line->json = logs.json;
    put_time(line);
    put_pair(line, "level", level_names[level]);
    put_pair(line, "process", logs.name);
    put_pair(line, "domain", tag->domain);
    put_pair(line, "message", tag->message);
    put_pair(line, "trace", tag->trace);
    put_pair(line, "text", text);
    if (line->json) {
        memmove(line->bytes + 1, line->bytes, line->len);
        line->bytes[0] = '{';
        line->bytes[line->len + 1] = '}';
        line->len += 2;
    }
    line->bytes[line->len++] = '\n';
}

/* Writes all of it, or gives up when standard error is gone, or took nothing `patience` times. */
static void write_all(struct iovec *parts, int count, unsigned patience)
{
    while (count > 0) {
        ssize_t wrote = writev(STDERR_FILENO, parts, count);
        size_t left;

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0 && errno == EAGAIN && patience-- > 0) {
            poll(&(struct pollfd){STDERR_FILENO, POLLOUT, 0}, 1, BLOCKED_WAIT_MS);
            continue;
        }
        if (wrote < 0)
            return;
        for (left = (size_t)wrote; count > 0 && left >= parts->iov_len; count--)
            left -= (parts++)->iov_len;
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
}

static void write_line(const char *bytes, size_t len, unsigned patience)
{
    write_all(&(struct iovec){(char *)bytes, len}, 1, patience);
}

/* Writes what was in the ring when it came; called and left with the lock held. */
static void writer_drain(void)
{
    uint64_t head = logs.head;
    size_t from = logs.tail % RING_BYTES;
    size_t len = (size_t)(head - logs.tail);
    size_t first = len < RING_BYTES - from ? len : RING_BYTES - from;
    struct iovec parts[2] = {{logs.ring + from, first}, {logs.ring, len - first}};

    pthread_mutex_unlock(&logs.lock);
    write_all(parts, len > first ? 2 : 1, WRITER_PATIENCE);
    pthread_mutex_lock(&logs.lock);
    logs.tail = head;
}

static void writer_report_dropped(void)
{
    uint64_t count = logs.dropped - logs.dropped_reported;
    struct line line;
    char text[64];

    logs.dropped_reported = logs.dropped;
    pthread_mutex_unlock(&logs.lock);
    snprintf(text, sizeof(text), "%" PRIu64 " log lines were dropped", count);
    line_make(&line, LOG_warn, &process.log, text);
    write_line(line.bytes, line.len, WRITER_PATIENCE);
    pthread_mutex_lock(&logs.lock);
}

static void *writer_run(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&logs.lock);
    for (;;) {
        if (logs.head != logs.tail)
            writer_drain();
        else if (logs.dropped != logs.dropped_reported)
            writer_report_dropped();
        else if (logs.closing)
            break;
        else {
            logs.sleeping = true;
            pthread_cond_wait(&logs.more, &logs.lock);
            logs.sleeping = false;
        }
    }
    pthread_mutex_unlock(&logs.lock);
    return NULL;
}

static int writer_start(void)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int error;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WRITER_STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&logs.writer, &attributes, writer_run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static void refresh_stats(void *arg)
{
    (void)arg;
    stat_set(&log_dropped_total, (double)log_dropped());
}

void log_open(const char *name, enum log_level level, bool json)
{
    assert(!logs.open);
    log_threshold = level;
    logs.name = name;
    logs.json = json;
    logs.closing = false;
    stat_register(&log_dropped_total);
    stat_on_render(refresh_stats, NULL);
    if (logs.stuck)
        return;
    if (writer_start() != 0) {
        fputs("no thread for the log\n", stderr);
        exit(EX_OSERR);
    }
    logs.open = true;
}

void log_set_level(enum log_level level)
{
    log_threshold = level;
}

void log_close(void)
{
    struct timespec until;

    pthread_mutex_lock(&logs.lock);
    if (!logs.open) {
        pthread_mutex_unlock(&logs.lock);
        return;
    }
    logs.open = false;
    logs.closing = true;
    pthread_cond_signal(&logs.more);
    pthread_mutex_unlock(&logs.lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_WAIT_S;
    if (pthread_timedjoin_np(logs.writer, NULL, &until) == 0)
        return;
    logs.stuck = true;
    pthread_detach(logs.writer);
}

int log_level_of(const char *name)
{
    for (int level = 0; level < LOG_LEVEL_COUNT; level++)
        if (strcmp(name, level_names[level]) == 0)
            return level;
    return -1;
}

uint64_t log_dropped(void)
{
    uint64_t dropped;

    pthread_mutex_lock(&logs.lock);
    dropped = logs.dropped;
    pthread_mutex_unlock(&logs.lock);
    return dropped;
}

/* Into the ring, if it has room; called with the lock held. */
static void ring_put(const char *bytes, size_t len)
{
    size_t at = logs.head % RING_BYTES;
    size_t first = len < RING_BYTES - at ? len : RING_BYTES - at;

    if (len > RING_BYTES - (size_t)(logs.head - logs.tail)) {
        logs.dropped++;
        return;
    }
    memcpy(logs.ring + at, bytes, first);
    memcpy(logs.ring, bytes + first, len - first);
    logs.head += len;
    if (logs.sleeping)
        pthread_cond_signal(&logs.more);
}

void log_write(enum log_level level, const struct log_tag *tag, const char *format, ...)
{
    char text[LINE_BYTES];
    struct line line;
    va_list args;
    bool open;

    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    line_make(&line, level, tag, text);
    pthread_mutex_lock(&logs.lock);
    open = logs.open;
    if (open)
        ring_put(line.bytes, line.len);
    pthread_mutex_unlock(&logs.lock);
    if (!open)
        write_line(line.bytes, line.len, CALLER_PATIENCE);
}

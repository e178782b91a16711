/* libcurl's multi interface on libev: one watcher a socket, one timer for all.
 *
 * See curl_multi_socket_action(3). A finished transfer is found by curl_multi_info_read() after
 * each action, and only there handles are freed, never inside of libcurl's own callbacks. */
#include "fetch.h"
#include "base/log.h"
#include "base/loop.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <sysexits.h>

enum { CONNECT_MS = 10000, KEPT_CONNECTIONS = 32, RETRY_AFTER_MOST_S = 24 * 60 * 60 };

struct fetch {
    CURL *easy;                        /* libcurl's */
    struct curl_slist *headers;        /* of the request */
    const struct fetch_events *events; /* whom to tell */
    void *arg;                         /* for them */
    char error[CURL_ERROR_SIZE];       /* libcurl's words, or empty */
    bool told;                         /* the head was */
    bool full;                         /* `data` said no */
    bool paused;                       /* and libcurl has more since then */
};

/* A socket that libcurl wants watched. */
struct watch {
    ev_io io;
};

static struct {
    CURLM *multi;       /* NULL: not open */
    char *authorities;  /* file of certificates; NULL: the system's */
    ev_timer timer;     /* what libcurl asked for */
    struct fetch *warm; /* see fetch_warm(); NULL: over */
} fetches;

/* ---- the end of transfers ---- */

static void fetch_free(struct fetch *fetch)
{
    if (fetch->easy != NULL) {
        curl_multi_remove_handle(fetches.multi, fetch->easy);
        curl_easy_cleanup(fetch->easy);
    }
    curl_slist_free_all(fetch->headers);
    free(fetch);
}

static void tell_head(struct fetch *fetch)
{
    curl_off_t retry_after_s = 0;
    long status = 0;

    if (fetch->told)
        return;
    fetch->told = true;
    if (fetch->events->head == NULL)
        return;
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(fetch->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    if (status > 0)
        fetch->events->head(fetch->arg, (int)status,
                            retry_after_s < RETRY_AFTER_MOST_S ? retry_after_s
                                                               : RETRY_AFTER_MOST_S);
}

static void end(struct fetch *fetch, CURLcode code)
{
    const struct fetch_events *events = fetch->events;
    void *arg = fetch->arg;
    char error[CURL_ERROR_SIZE];

    if (code == CURLE_OK)
        tell_head(fetch);
    memcpy(error, fetch->error, sizeof(error));
    fetch_free(fetch);
    if (code == CURLE_OK)
        events->done(arg, NULL);
    else
        events->done(arg, error[0] != '\0' ? error : curl_easy_strerror(code));
}

static void take_ended(void)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(fetches.multi, &left)) != NULL) {
        struct fetch *fetch = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch);
        end(fetch, message->data.result);
    }
}

/* ---- what the loop brings ---- */

static void act(curl_socket_t socket, int events)
{
    int running;

    curl_multi_socket_action(fetches.multi, socket, events, &running);
    take_ended();
}

static void on_socket(struct ev_loop *loop, ev_io *io, int events)
{
    int bits =
        ((events & EV_READ) ? CURL_CSELECT_IN : 0) | ((events & EV_WRITE) ? CURL_CSELECT_OUT : 0);

    (void)loop;
    act(io->fd, bits);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
    act(CURL_SOCKET_TIMEOUT, 0);
}

/* ---- what libcurl wants ---- */

static int want_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
    struct watch *watch = socket_arg;
    int events = ((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0);

    (void)easy, (void)arg;
    if (watch != NULL)
        ev_io_stop(loop_get(), &watch->io);
    if (what == CURL_POLL_REMOVE) {
        curl_multi_assign(fetches.multi, socket, NULL);
        loop_free_later(watch);
        return 0;
    }
    if (watch == NULL) {
        watch = calloc(1, sizeof(*watch));
        if (watch == NULL)
            return -1;
        curl_multi_assign(fetches.multi, socket, watch);
    }
    ev_io_init(&watch->io, on_socket, socket, events);
    ev_io_start(loop_get(), &watch->io);
    return 0;
}

static int want_timer(CURLM *multi, long after_ms, void *arg)
{
    (void)multi, (void)arg;
    ev_timer_stop(loop_get(), &fetches.timer);
    if (after_ms < 0)
        return 0;
    ev_timer_set(&fetches.timer, (double)after_ms / 1000., 0.);
    ev_timer_start(loop_get(), &fetches.timer);
    return 0;
}

static size_t take_data(char *bytes, size_t size, size_t count, void *arg)
{
    struct fetch *fetch = arg;

    if (fetch->full) {
        fetch->paused = true;
        return CURL_WRITEFUNC_PAUSE; /* libcurl keeps them */
    }
    tell_head(fetch);
    fetch->full = !fetch->events->data(fetch->arg, (struct str){bytes, size * count});
    return size * count;
}

/* ---- opening ---- */

void fetch_open(const char *authorities)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
        fetches.multi = curl_multi_init();
    if (authorities[0] != '\0')
        fetches.authorities = strdup(authorities);
    if (fetches.multi == NULL || (authorities[0] != '\0' && fetches.authorities == NULL)) {
        log_error(&process, "libcurl does not start");
        exit(EX_OSERR);
    }
    ev_timer_init(&fetches.timer, on_timer, 0., 0.);
    curl_multi_setopt(fetches.multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(fetches.multi, CURLMOPT_TIMERFUNCTION, want_timer);
    curl_multi_setopt(fetches.multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
}

void fetch_close(void)
{
    if (fetches.multi == NULL)
        return;
    fetch_cancel(&fetches.warm);
    curl_multi_cleanup(fetches.multi);
    ev_timer_stop(loop_get(), &fetches.timer);
    fetches.multi = NULL;
    free(fetches.authorities);
    fetches.authorities = NULL;
    curl_global_cleanup();
}

bool fetch_knows_url(const char *url)
{
    CURLU *parts = curl_url();
    bool known = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK;

    curl_url_cleanup(parts);
    return known;
}

/* ---- a fetch ---- */

static int add_header(struct fetch *fetch, const char *header)
{
    struct curl_slist *list = curl_slist_append(fetch->headers, header);

    if (list == NULL)
        return -1;
    fetch->headers = list;
    return 0;
}

/* An empty `Expect` keeps libcurl from asking first whether a large body may come. */
static int add_headers(struct fetch *fetch, const char *const *headers)
{
    for (; *headers != NULL; headers++)
        if (add_header(fetch, *headers) != 0)
            return -1;
    return add_header(fetch, "Expect:");
}

static void set_options(struct fetch *fetch, const struct fetch_request *request)
{
    CURL *easy = fetch->easy;

    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* the bundle alone can be kept */
    if (fetches.authorities != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, fetches.authorities);
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, -1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.ptr);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* does not join a thread that resolves */
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
}

/* One that has not begun; NULL without memory. */
static struct fetch *fetch_new(const struct fetch_request *request,
                               const struct fetch_events *events, void *arg)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));

    if (fetch == NULL)
        return NULL;
    fetch->events = events;
    fetch->arg = arg;
    fetch->easy = curl_easy_init();
    if (fetch->easy == NULL || add_headers(fetch, request->headers) != 0) {
        fetch_free(fetch);
        return NULL;
    }
    set_options(fetch, request);
    return fetch;
}

static struct fetch *begin(struct fetch *fetch)
{
    if (fetch == NULL || curl_multi_add_handle(fetches.multi, fetch->easy) == CURLM_OK)
        return fetch;
    fetch_free(fetch);
    return NULL;
}

struct fetch *fetch_start(const struct fetch_request *request, const struct fetch_events *events,
                          void *arg)
{
    return begin(fetch_new(request, events, arg));
}

static void on_warm(void *arg, const char *error)
{
    (void)arg;
    fetches.warm = NULL;
    if (error != NULL)
        log_warn(&process, "the language model's provider: %s", error);
}

void fetch_warm(const char *url)
{
    static const struct fetch_events events = {.done = on_warm};
    static const char *const none[] = {NULL};
    struct fetch_request request = {.url = url, .headers = none};

    if (strncmp(url, "https:", 6) != 0)
        return;
    fetches.warm = fetch_new(&request, &events, NULL);
    if (fetches.warm != NULL)
        curl_easy_setopt(fetches.warm->easy, CURLOPT_CONNECT_ONLY, 1L);
    fetches.warm = begin(fetches.warm);
}

void fetch_resume(struct fetch *fetch)
{
    fetch->full = false;
    if (!fetch->paused)
        return;
    fetch->paused = false;
    curl_easy_pause(fetch->easy, CURLPAUSE_CONT);
}

void fetch_cancel(struct fetch **fetch)
{
    if (*fetch != NULL)
        fetch_free(*fetch);
    *fetch = NULL;
}

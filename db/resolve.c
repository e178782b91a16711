/* A thread a question; see resolve.h. Loop and thread share one struct, which the last of the two
 * frees: a thread in getaddrinfo() can be neither stopped nor waited for. */
#include "resolve.h"
#include "base/loop.h"
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { STACK_BYTES = 256 * 1024 };

struct resolve {
    pthread_mutex_t lock;                             /* of the two that follow */
    bool answered;                                    /* the thread has gone */
    bool dropped;                                     /* the loop has gone */
    ev_async wake;                                    /* thread to loop */
    void (*done)(struct resolve *resolve, void *arg); /* on the loop */
    void *arg;                                        /* for it */
    unsigned count;                                   /* of the names */
    struct resolved names[RESOLVE_NAMES];             /* the thread's until it has answered */
};

static void free_it(struct resolve *resolve)
{
    pthread_mutex_destroy(&resolve->lock);
    free(resolve);
}

static void add_addresses(struct resolved *name, const struct addrinfo *list)
{
    for (const struct addrinfo *at = list; at != NULL && name->count < RESOLVE_ADDRESSES;
         at = at->ai_next) {
        if (getnameinfo(at->ai_addr, at->ai_addrlen, name->addresses[name->count],
                        RESOLVE_ADDRESS_BYTES, NULL, 0, NI_NUMERICHOST) == 0)
            name->count++;
    }
}

static void look_up(struct resolved *name)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(name->name, NULL, &hints, &list);

    name->count = 0;
    snprintf(name->error, sizeof(name->error), "%s", error != 0 ? gai_strerror(error) : "");
    if (error != 0)
        return;
    add_addresses(name, list);
    freeaddrinfo(list);
}

static void *run(void *arg)
{
    struct resolve *resolve = arg;
    bool dropped;

    for (unsigned i = 0; i < resolve->count; i++)
        look_up(&resolve->names[i]);
    pthread_mutex_lock(&resolve->lock);
    dropped = resolve->dropped;
    resolve->answered = true;
    if (!dropped)
        ev_async_send(loop_get(), &resolve->wake);
    pthread_mutex_unlock(&resolve->lock);
    if (dropped)
        free_it(resolve);
    return NULL;
}

static void on_wake(struct ev_loop *ev, ev_async *wake, int events)
{
    struct resolve *resolve = wake->data;

    (void)events;
    ev_async_stop(ev, wake);
    resolve->done(resolve, resolve->arg);
}

/* The thread takes no signals: they are the loop's. */
static int start_thread(struct resolve *resolve)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, run, resolve);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error == 0 ? 0 : -1;
}

struct resolve *resolve_start(const struct resolved *names, unsigned count,
                              void (*done)(struct resolve *resolve, void *arg), void *arg)
{
    struct resolve *resolve = calloc(1, sizeof(*resolve));

    if (resolve == NULL)
        return NULL;
    pthread_mutex_init(&resolve->lock, NULL);
    resolve->done = done;
    resolve->arg = arg;
    resolve->count = count < RESOLVE_NAMES ? count : RESOLVE_NAMES;
    memcpy(resolve->names, names, resolve->count * sizeof(*names));
    ev_async_init(&resolve->wake, on_wake);
    resolve->wake.data = resolve;
    ev_async_start(loop_get(), &resolve->wake);
    if (start_thread(resolve) == 0)
        return resolve;
    ev_async_stop(loop_get(), &resolve->wake);
    free_it(resolve);
    return NULL;
}

const struct resolved *resolve_answer(const struct resolve *resolve)
{
    return resolve->names;
}

void resolve_drop(struct resolve **resolve_at)
{
    struct resolve *resolve = *resolve_at;
    bool answered;

    *resolve_at = NULL;
    if (resolve == NULL)
        return;
    ev_async_stop(loop_get(), &resolve->wake);
    pthread_mutex_lock(&resolve->lock);
    answered = resolve->answered;
    resolve->dropped = true;
    pthread_mutex_unlock(&resolve->lock);
    if (answered)
        free_it(resolve);
}

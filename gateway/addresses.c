/* Literal addresses need nothing; host names are looked up by a thread, which hands what it found
 * to the loop under a lock. A lookup that fails changes nothing: the actors that are known stay. */
#include "addresses.h"
#include "base/log.h"
#include "base/loop.h"
#include "contract.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

enum {
    HOST_BYTES = 256,
    PORT_BYTES = 6,
    ADDRESS_BYTES = 64, /* `tcp://[…]:65535` */
    EACH_MOST = 32,     /* addresses of one name */
    NAMES_MOST = 64,
    AGAIN_S = 30,
    AGAIN_FAILED_S = 2,
    END_S = 1
};

typedef char address_text[ADDRESS_BYTES];

/* The addresses of a name. */
struct answers {
    unsigned count;
    address_text items[EACH_MOST]; /* as ZeroMQ takes them */
};

struct host {
    unsigned domain;       /* index into domains[] */
    char name[HOST_BYTES]; /* to look up */
    char port[PORT_BYTES]; /* of all its addresses */
    struct answers known;  /* the loop's */
    struct answers fresh;  /* the thread's, under the lock */
    bool is_fresh;         /* the same */
};

struct addresses {
    const struct discovery_events *events; /* the receiver's */
    void *arg;                             /* for them */
    unsigned count;                        /* of hosts */
    struct host hosts[NAMES_MOST];         /* that need looking up */
    pthread_t thread;                      /* runs while there are hosts */
    pthread_mutex_t lock;                  /* of `fresh` and `ending` */
    pthread_cond_t end;                    /* `ending` was set */
    bool ending;                           /* the thread shall end */
    ev_async found;                        /* something is fresh */
};

/* One entry of a list, in parts. */
struct entry {
    unsigned domain;       /* index into domains[] */
    bool literal;          /* `endpoint` needs no looking up */
    struct str endpoint;   /* with its scheme */
    char host[HOST_BYTES]; /* of tcp://, without brackets */
    char port[PORT_BYTES]; /* of tcp:// */
};

static bool take_entry(const char **rest, struct str *entry)
{
    size_t len = strcspn(*rest, ",");

    while (**rest == ' ')
        (*rest)++, len--;
    *entry = (struct str){*rest, len};
    *rest += len + ((*rest)[len] == ',');
    return len > 0;
}

static int domain_of(struct str name)
{
    for (int i = 0; domains[i] != NULL; i++)
        if (str_is(name, domains[i]))
            return i;
    return -1;
}

static bool port_valid(struct str port)
{
    unsigned number = 0;

    if (port.len == 0 || port.len >= PORT_BYTES)
        return false;
    for (size_t i = 0; i < port.len; i++) {
        if (port.ptr[i] < '0' || port.ptr[i] > '9')
            return false;
        number = number * 10 + (unsigned)(port.ptr[i] - '0');
    }
    return number > 0 && number <= UINT16_MAX;
}

static bool is_literal(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static const char *split_tcp(struct str rest, struct entry *entry)
{
    const char *colon = memrchr(rest.ptr, ':', rest.len);
    struct str host, port;

    if (colon == NULL)
        return "has no port";
    host = (struct str){rest.ptr, (size_t)(colon - rest.ptr)};
    port = (struct str){colon + 1, rest.len - host.len - 1};
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = (struct str){host.ptr + 1, host.len - 2};
    if (host.len == 0 || host.len >= HOST_BYTES)
        return "has no host";
    if (!port_valid(port))
        return "has no port from 1 to 65535";
    memcpy(entry->host, host.ptr, host.len);
    entry->host[host.len] = '\0';
    memcpy(entry->port, port.ptr, port.len);
    entry->port[port.len] = '\0';
    entry->literal = is_literal(entry->host);
    return NULL;
}

static const char *split(struct str text, struct entry *entry)
{
    const char *equals = memchr(text.ptr, '=', text.len);
    struct str rest;
    int domain;

    if (equals == NULL)
        return "is not domain=tcp://host:port";
    domain = domain_of((struct str){text.ptr, (size_t)(equals - text.ptr)});
    if (domain < 0)
        return "names no domain that there is";
    entry->domain = (unsigned)domain;
    rest = (struct str){equals + 1, (size_t)(text.ptr + text.len - equals - 1)};
    entry->endpoint = rest;
    if (rest.len > 6 && memcmp(rest.ptr, "ipc://", 6) == 0) {
        entry->literal = true;
        return NULL;
    }
    if (rest.len <= 6 || memcmp(rest.ptr, "tcp://", 6) != 0)
        return "is not domain=tcp://host:port";
    return split_tcp((struct str){rest.ptr + 6, rest.len - 6}, entry);
}

const char *addresses_check(const char *list, char *text, size_t text_bytes)
{
    struct str part;
    unsigned hosts = 0;

    while (take_entry(&list, &part)) {
        struct entry entry;
        const char *why = split(part, &entry);

        if (why == NULL && !entry.literal && ++hosts > NAMES_MOST)
            why = "is one host name too many";
        if (why == NULL)
            continue;
        snprintf(text, text_bytes, "%.*s %s", STR_ARG(part), why);
        return text;
    }
    return NULL;
}

/* ---- the thread ---- */

static void format_address(const struct addrinfo *info, const char *port, address_text out)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (info->ai_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)info->ai_addr)->sin6_addr,
                  host, sizeof(host));
        snprintf(out, ADDRESS_BYTES, "tcp://[%s]:%s", host, port);
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)info->ai_addr)->sin_addr,
                  host, sizeof(host));
        snprintf(out, ADDRESS_BYTES, "tcp://%s:%s", host, port);
    }
}

/* Waits for the resolver. */
static bool look_up(struct addresses *addresses, struct host *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct answers fresh = {.count = 0};
    struct addrinfo *list;

    if (getaddrinfo(host->name, NULL, &hints, &list) != 0)
        return false;
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next)
        if (fresh.count < EACH_MOST)
            format_address(info, host->port, fresh.items[fresh.count++]);
    freeaddrinfo(list);
    pthread_mutex_lock(&addresses->lock);
    host->fresh = fresh;
    host->is_fresh = true;
    pthread_mutex_unlock(&addresses->lock);
    return true;
}

/* Whether the thread shall end, after up to `seconds`. */
static bool rest(struct addresses *addresses, int seconds)
{
    struct timespec until;
    bool ending;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&addresses->lock);
    while (!addresses->ending &&
           pthread_cond_timedwait(&addresses->end, &addresses->lock, &until) == 0)
        continue;
    ending = addresses->ending;
    pthread_mutex_unlock(&addresses->lock);
    return ending;
}

static void *resolve(void *arg)
{
    struct addresses *addresses = arg;
    bool whole;

    do {
        whole = true;
        for (unsigned i = 0; i < addresses->count; i++)
            whole = look_up(addresses, &addresses->hosts[i]) && whole;
        ev_async_send(loop_get(), &addresses->found);
    } while (!rest(addresses, whole ? AGAIN_S : AGAIN_FAILED_S));
    return NULL;
}

/* ---- the loop ---- */

static bool contains(const struct answers *answers, const char *item)
{
    for (unsigned i = 0; i < answers->count; i++)
        if (strcmp(answers->items[i], item) == 0)
            return true;
    return false;
}

static void take_fresh(struct addresses *addresses, struct host *host, const struct answers *fresh)
{
    for (unsigned i = 0; i < host->known.count; i++)
        if (!contains(fresh, host->known.items[i]))
            addresses->events->lost(addresses->arg, host->domain, host->known.items[i]);
    for (unsigned i = 0; i < fresh->count; i++)
        if (!contains(&host->known, fresh->items[i]))
            addresses->events->found(addresses->arg, host->domain, fresh->items[i],
                                     fresh->items[i]);
    host->known = *fresh;
}

static void on_found(struct ev_loop *loop, ev_async *async, int events)
{
    struct addresses *addresses = async->data;

    (void)loop, (void)events;
    for (unsigned i = 0; i < addresses->count; i++) {
        struct host *host = &addresses->hosts[i];
        struct answers fresh;
        bool is_fresh;

        pthread_mutex_lock(&addresses->lock);
        fresh = host->fresh;
        is_fresh = host->is_fresh;
        host->is_fresh = false;
        pthread_mutex_unlock(&addresses->lock);
        if (is_fresh)
            take_fresh(addresses, host, &fresh);
    }
}

static void add(struct addresses *addresses, const struct entry *entry)
{
    char endpoint[HOST_BYTES];
    struct host *host;

    if (entry->literal) {
        snprintf(endpoint, sizeof(endpoint), "%.*s", STR_ARG(entry->endpoint));
        addresses->events->found(addresses->arg, entry->domain, endpoint, endpoint);
        return;
    }
    host = &addresses->hosts[addresses->count++];
    host->domain = entry->domain;
    memcpy(host->name, entry->host, sizeof(host->name));
    memcpy(host->port, entry->port, sizeof(host->port));
}

static void start_thread(struct addresses *addresses)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&addresses->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&addresses->end, &monotonic);
    pthread_condattr_destroy(&monotonic);
    ev_async_init(&addresses->found, on_found);
    addresses->found.data = addresses;
    ev_async_start(loop_get(), &addresses->found);
    if (pthread_create(&addresses->thread, NULL, resolve, addresses) != 0) {
        fputs("no thread to look up addresses\n", stderr);
        exit(EX_OSERR);
    }
}

struct addresses *addresses_open(const char *list, const struct discovery_events *events, void *arg)
{
    struct addresses *addresses = calloc(1, sizeof(*addresses));
    struct str part;

    if (addresses == NULL) {
        fputs("no memory for the addresses of actors\n", stderr);
        exit(EX_OSERR);
    }
    addresses->events = events;
    addresses->arg = arg;
    while (take_entry(&list, &part)) {
        struct entry entry;

        if (split(part, &entry) == NULL)
            add(addresses, &entry);
    }
    if (addresses->count > 0)
        start_thread(addresses);
    return addresses;
}

/* A resolver that hangs keeps its memory: the process is about to end anyway. */
static bool end_thread(struct addresses *addresses)
{
    struct timespec until;

    pthread_mutex_lock(&addresses->lock);
    addresses->ending = true;
    pthread_cond_signal(&addresses->end);
    pthread_mutex_unlock(&addresses->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += END_S;
    if (pthread_timedjoin_np(addresses->thread, NULL, &until) != 0)
        return false;
    pthread_cond_destroy(&addresses->end);
    pthread_mutex_destroy(&addresses->lock);
    return true;
}

void addresses_close(struct addresses *addresses)
{
    bool ended = true;

    if (addresses->count > 0) {
        ended = end_thread(addresses);
        ev_async_stop(loop_get(), &addresses->found);
    }
    if (ended)
        free(addresses);
}

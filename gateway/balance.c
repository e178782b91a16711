/* A list of instances for each domain; discovery adds to it and a timer takes away what has ended.
 */
#include "balance.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/stat.h"
#include "base/time.h"
#include "contract.h"
#include "discovery.h"
#include "json.h"
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define TICK_S 0.1

enum { MISSING_MOST = 32 };

struct team {
    const char *domain;         /* its name */
    struct instance *instances; /* in no order */
    unsigned count;             /* of them */
    unsigned turn;              /* where the next look begins */
    unsigned promised;          /* calls of requests that were let in and have not begun */
};

struct balance {
    struct instance_limits limits; /* for all instances */
    struct discovery *discovery;   /* finds them */
    ev_timer tick;                 /* asks them how they are */
    unsigned count;                /* of teams */
    struct team teams[];           /* by index into domains[] */
};

STAT_LABELED(actors_live, gauge, "domain", "Actors of a domain that answer.");
STAT_LABELED(calls_outstanding, gauge, "domain", "Calls to a domain that are under way.");

static unsigned domain_count(void)
{
    unsigned count = 0;

    while (domains[count] != NULL)
        count++;
    return count;
}

static struct team *team_of(const struct balance *balance, const char *domain)
{
    for (unsigned i = 0; i < balance->count; i++)
        if (strcmp(balance->teams[i].domain, domain) == 0)
            return (struct team *)&balance->teams[i];
    return NULL;
}

/* ---- coming and going ---- */

static struct instance *named(const struct team *team, const char *name)
{
    struct instance *instance = team->instances;

    while (instance != NULL && (instance->retired || strcmp(instance->name, name) != 0))
        instance = instance->next;
    return instance;
}

static void found(void *arg, unsigned domain, const char *name, const char *endpoint)
{
    struct balance *balance = arg;
    struct team *team = &balance->teams[domain];
    struct instance *instance;

    if (named(team, name) != NULL)
        return;
    instance = instance_open(name, endpoint, &balance->limits);
    if (instance == NULL)
        return;
    log_info(&process, "actor %s is found", name);
    instance->next = team->instances;
    team->instances = instance;
    team->count++;
}

static void lost(void *arg, unsigned domain, const char *name)
{
    struct balance *balance = arg;
    struct instance *instance = named(&balance->teams[domain], name);

    if (instance == NULL)
        return;
    log_info(&process, "actor %s is taken back", name);
    instance->retired = true;
}

/* Instances that were taken back end once their last call has. */
static void sweep(struct team *team, bool all)
{
    struct instance **link = &team->instances;

    while (*link != NULL) {
        struct instance *instance = *link;

        if (!all && (!instance->retired || instance->calls > 0)) {
            link = &instance->next;
            continue;
        }
        *link = instance->next;
        team->count--;
        instance_close(instance);
    }
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct balance *balance = timer->data;
    int64_t now_us = time_now_us();

    (void)loop, (void)events;
    discovery_tick(balance->discovery);
    for (unsigned i = 0; i < balance->count; i++) {
        sweep(&balance->teams[i], false);
        for (struct instance *at = balance->teams[i].instances; at != NULL; at = at->next)
            instance_tick(at, now_us);
    }
}

static void refresh_stats(void *arg)
{
    const struct balance *balance = arg;

    for (unsigned i = 0; i < balance->count; i++) {
        stat_set_at(&actors_live, i, balance_live(balance, domains[i]));
        stat_set_at(&calls_outstanding, i, balance_outstanding(balance, domains[i]));
    }
}

static void register_stats(struct balance *balance)
{
    instance_register_stats();
    stat_register_labels(&actors_live, domains, balance->count);
    stat_register_labels(&calls_outstanding, domains, balance->count);
    stat_on_render(refresh_stats, balance);
}

struct balance *balance_open(const struct balance_config *config)
{
    static const struct discovery_events events = {.found = found, .lost = lost};
    unsigned count = domain_count();
    struct balance *balance = calloc(1, sizeof(*balance) + count * sizeof(struct team));

    if (balance != NULL)
        balance->limits.pending = pending_new(config->calls);
    if (balance == NULL || balance->limits.pending == NULL) {
        fputs("no memory for the actors' calls\n", stderr);
        exit(EX_OSERR);
    }
    balance->limits.calls = config->calls_each;
    balance->limits.bytes = config->bytes_each;
    balance->count = count;
    for (unsigned i = 0; i < count; i++)
        balance->teams[i].domain = domains[i];
    register_stats(balance);
    balance->discovery = discovery_open(config->where, &events, balance);
    ev_timer_init(&balance->tick, on_tick, TICK_S, TICK_S);
    balance->tick.data = balance;
    ev_timer_start(loop_get(), &balance->tick);
    return balance;
}

void balance_close(struct balance *balance)
{
    ev_timer_stop(loop_get(), &balance->tick);
    discovery_close(balance->discovery);
    for (unsigned i = 0; i < balance->count; i++)
        sweep(&balance->teams[i], true);
    pending_free(balance->limits.pending);
    free(balance);
}

/* ---- choosing ---- */

/* How an instance fares for a call; more is better. */
struct worth {
    bool ready;      /* it says so */
    uint64_t points; /* among those that are equally ready */
};

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 33) * 0xff51afd7ed558ccdU;
    value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53U;
    return value ^ value >> 33;
}

static uint64_t hash_of(struct str text)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * 0x100000001b3U;
    return hash;
}

static struct worth worth_of(const struct instance *instance, bool affine, uint64_t hash)
{
    return (struct worth){instance->ready,
                          affine ? mix(hash ^ mix(instance->hash)) : UINT64_MAX - instance->calls};
}

static bool better(struct worth a, struct worth b)
{
    return a.ready != b.ready ? a.ready : a.points > b.points;
}

/* The list from where the next look begins, so that equals take turns. */
static struct instance *start_of(struct team *team)
{
    struct instance *start = team->instances;

    if (team->count < 2)
        return start;
    for (unsigned skip = team->turn++ % team->count; skip > 0; skip--)
        start = start->next;
    return start;
}

enum choice balance_choose(struct balance *balance, const char *domain, struct str affinity,
                           size_t bytes, struct instance **instance)
{
    struct team *team = team_of(balance, domain);
    struct instance *at = start_of(team);
    bool affine = affinity.ptr != NULL;
    uint64_t hash = affine ? hash_of(affinity) : 0;
    enum choice choice = CHOICE_ABSENT;
    struct worth best = {false, 0};

    for (unsigned i = 0; i < team->count; i++) {
        struct worth worth = worth_of(at, affine, hash);

        if (instance_usable(at) && !instance_has_room(at, bytes) && choice == CHOICE_ABSENT)
            choice = CHOICE_FULL;
        if (instance_usable(at) && instance_has_room(at, bytes) &&
            (choice != CHOICE_MADE || better(worth, best))) {
            choice = CHOICE_MADE;
            best = worth;
            *instance = at;
        }
        at = at->next != NULL ? at->next : team->instances;
    }
    return choice;
}

bool balance_promise(struct balance *balance, const char *domain)
{
    struct team *team = team_of(balance, domain);
    unsigned room = 0;
    bool usable = false;

    for (const struct instance *at = team->instances; at != NULL; at = at->next) {
        if (!instance_usable(at))
            continue;
        usable = true;
        room += balance->limits.calls - at->calls;
    }
    if (usable && team->promised >= room)
        return false;
    team->promised++;
    return true;
}

void balance_begun(struct balance *balance, const char *domain)
{
    team_of(balance, domain)->promised--;
}

/* ---- what is missing ---- */

/* Names what is missing, each once. */
struct missing {
    const char *names[MISSING_MOST];
    unsigned count;
};

static void add_missing(struct missing *missing, const char *name)
{
    for (unsigned i = 0; i < missing->count; i++)
        if (strcmp(missing->names[i], name) == 0)
            return;
    if (missing->count < MISSING_MOST)
        missing->names[missing->count++] = name;
}

static void look_at(const struct team *team, struct missing *missing)
{
    const char *awaited = team->domain;

    for (const struct instance *at = team->instances; at != NULL; at = at->next) {
        if (!instance_usable(at))
            continue;
        if (at->ready)
            return;
        if (at->missing[0] != '\0')
            awaited = at->missing;
    }
    add_missing(missing, awaited);
}

bool balance_ready(const struct balance *balance, struct buffer *list)
{
    struct missing missing = {.count = 0};

    for (unsigned i = 0; i < balance->count; i++)
        look_at(&balance->teams[i], &missing);
    buffer_add_char(list, '[');
    for (unsigned i = 0; i < missing.count; i++) {
        if (i > 0)
            buffer_add_char(list, ',');
        json_write_str(list, str_of(missing.names[i]));
    }
    buffer_add_char(list, ']');
    return missing.count == 0;
}

bool balance_settled(const struct balance *balance)
{
    for (unsigned i = 0; i < balance->count; i++)
        for (const struct instance *at = balance->teams[i].instances; at != NULL; at = at->next)
            if (!instance_usable(at))
                return false;
    return true;
}

struct instance *balance_first(const struct balance *balance, const char *domain)
{
    return team_of(balance, domain)->instances;
}

unsigned balance_live(const struct balance *balance, const char *domain)
{
    unsigned count = 0;

    for (const struct instance *at = balance_first(balance, domain); at; at = at->next)
        count += instance_usable(at);
    return count;
}

unsigned balance_outstanding(const struct balance *balance, const char *domain)
{
    unsigned count = 0;

    for (const struct instance *at = balance_first(balance, domain); at; at = at->next)
        count += at->calls;
    return count;
}

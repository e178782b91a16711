/* The loop: libev's turns with an ordered end.
 *
 * A check watcher of the highest priority sees each waking, a prepare watcher of the lowest each
 * going to sleep; between the two is the turn. The prepare watcher runs the hooks, round after
 * round, until none made more work; when that takes too many rounds the loop looks at its
 * descriptors first, without sleeping. Deadline lists leave their timer alone when an entry goes: a
 * timer that fires too early sets itself again for the entry that is first then. */
#include "loop.h"
#include "log.h"
#include "stat.h"
#include "time.h"
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MOST = 16, DETAIL_BYTES = 48, RESTING_LEAST = 64, EXIT_ON_SECOND_SIGNAL = 1 };

STAT(loop_turns_total, counter, "Turns of the loop.");
STAT(loop_long_turns_total, counter, "Turns longer than the watchdog's limit.");
STAT(loop_turn_seconds, histogram, "Length of a turn, from waking to going to sleep.");
STAT(loop_longest_turn_seconds, gauge, "The longest turn so far.");

/* A piece of work that somebody announced. */
struct piece {
    const char *who;           /* NULL: nobody said */
    char detail[DETAIL_BYTES]; /* a trace id, or empty */
    int64_t us;                /* when it began; of the longest: how long it took */
};

static struct {
    struct ev_loop *ev;                   /* libev's */
    ev_check woke;                        /* begins a turn */
    ev_prepare sleeps;                    /* ends it */
    ev_idle restless;                     /* on: the next turn comes without sleeping */
    struct loop_hook *hooks[LOOP_PHASES]; /* in the order in which they were added */
    struct loop_hook *upcoming;           /* the next hook of the round that runs */
    int64_t watchdog_us;                  /* 0: off */
    int64_t turn_us;                      /* when the turn began; 0: the first has not */
    int64_t longest_turn_us;              /* so far */
    struct piece piece;                   /* that runs */
    struct piece longest;                 /* of this turn */
    void **resting;                       /* what loop_free_later() got */
    size_t resting_count;                 /* in use */
    size_t resting_room;                  /* allocated */
    size_t rested_count;                  /* the first ones, that have seen the end of a turn */
    ev_signal signals[3];                 /* SIGTERM, SIGINT, SIGHUP */
    void (*drain)(void *arg);             /* the first SIGTERM or SIGINT */
    void (*reload)(void *arg);            /* SIGHUP; NULL: ignored */
    void *signal_arg;                     /* for both */
    bool draining;                        /* the first came */
} loop;

struct ev_loop *loop_get(void)
{
    return loop.ev;
}

/* A clock of some milliseconds, cheap enough to be read for every piece of work. */
static int64_t coarse_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void piece_end(int64_t now_us)
{
    int64_t took_us = now_us - loop.piece.us;

    if (loop.piece.who == NULL || took_us <= loop.longest.us)
        return;
    loop.longest = loop.piece;
    loop.longest.us = took_us;
}

void loop_holder(const char *who, const char *detail)
{
    int64_t now_us;

    if (loop.watchdog_us == 0)
        return;
    now_us = coarse_us();
    piece_end(now_us);
    loop.piece.who = who;
    loop.piece.us = now_us;
    loop.piece.detail[0] = '\0';
    if (detail != NULL && memccpy(loop.piece.detail, detail, '\0', DETAIL_BYTES) == NULL)
        loop.piece.detail[DETAIL_BYTES - 1] = '\0';
}

static void report_long_turn(int64_t took_us)
{
    const struct piece *longest = &loop.longest;
    long long took_ms = (long long)(took_us / 1000);

    stat_add(&loop_long_turns_total, 1);
    if (longest->who == NULL)
        log_warn(&process, "loop held %lld ms by nobody who said so", took_ms);
    else if (longest->detail[0] == '\0')
        log_warn(&process, "loop held %lld ms by %s", took_ms, longest->who);
    else
        log_warn(&process, "loop held %lld ms by %s (%s)", took_ms, longest->who, longest->detail);
}

static void turn_begin(void)
{
    loop.turn_us = time_now_us();
    loop.longest.who = NULL;
    loop.longest.us = -1;
    loop.piece.who = NULL;
}

static void turn_end(void)
{
    int64_t took_us = time_now_us() - loop.turn_us;

    stat_add(&loop_turns_total, 1);
    stat_observe(&loop_turn_seconds, took_us);
    if (took_us > loop.longest_turn_us) {
        loop.longest_turn_us = took_us;
        stat_set(&loop_longest_turn_seconds, (double)took_us * 1e-6);
    }
    if (loop.watchdog_us == 0 || took_us <= loop.watchdog_us)
        return;
    loop_holder(NULL, NULL);
    report_long_turn(took_us);
}

static bool run_hooks_once(void)
{
    bool more = false;

    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        for (struct loop_hook *hook = loop.hooks[phase]; hook != NULL; hook = loop.upcoming) {
            loop.upcoming = hook->next;
            more |= hook->run(hook);
        }
    }
    return more;
}

static void run_hooks(void)
{
    bool more = true;

    for (int round = 0; more && round < ROUNDS_MOST; round++)
        more = run_hooks_once();
    if (more)
        ev_idle_start(loop.ev, &loop.restless);
    else
        ev_idle_stop(loop.ev, &loop.restless);
}

/* Frees what was here when the last turn ended; what came since has its turn still to rest. */
static void free_rested(void)
{
    if (loop.resting_count == 0)
        return;
    for (size_t i = 0; i < loop.rested_count; i++)
        free(loop.resting[i]);
    loop.resting_count -= loop.rested_count;
    memmove(loop.resting, loop.resting + loop.rested_count, loop.resting_count * sizeof(void *));
    loop.rested_count = loop.resting_count;
}

static void on_wake(struct ev_loop *ev, ev_check *watcher, int events)
{
    (void)ev, (void)watcher, (void)events;
    turn_begin();
}

static void on_sleep(struct ev_loop *ev, ev_prepare *watcher, int events)
{
    (void)ev, (void)watcher, (void)events;
    if (loop.turn_us == 0)
        turn_begin();
    run_hooks();
    free_rested();
    turn_end();
}

static void on_restless(struct ev_loop *ev, ev_idle *watcher, int events)
{
    (void)ev, (void)watcher, (void)events;
}

static void register_stats(void)
{
    stat_register(&loop_turns_total);
    stat_register(&loop_long_turns_total);
    stat_register(&loop_turn_seconds);
    stat_register(&loop_longest_turn_seconds);
}

void loop_open(int64_t watchdog_us)
{
    assert(loop.ev == NULL);
    loop.ev = ev_loop_new(EVFLAG_NOENV);
    if (loop.ev == NULL) {
        fputs("no event loop: the system lacks epoll, or descriptors\n", stderr);
        exit(EX_OSERR);
    }
    signal(SIGPIPE, SIG_IGN);
    loop.watchdog_us = watchdog_us;
    register_stats();
    ev_check_init(&loop.woke, on_wake);
    ev_set_priority(&loop.woke, EV_MAXPRI);
    ev_check_start(loop.ev, &loop.woke);
    ev_prepare_init(&loop.sleeps, on_sleep);
    ev_set_priority(&loop.sleeps, EV_MINPRI);
    ev_prepare_start(loop.ev, &loop.sleeps);
    ev_idle_init(&loop.restless, on_restless);
    ev_set_priority(&loop.restless, EV_MINPRI);
}

void loop_gather(void)
{
    const struct sched_param none = {0};

    if (sched_setscheduler(0, SCHED_BATCH, &none) != 0)
        log_warn(&process, "no SCHED_BATCH: %s", strerror(errno));
}

void loop_run(void)
{
    loop.turn_us = 0;
    ev_run(loop.ev, 0);
}

void loop_stop(void)
{
    ev_break(loop.ev, EVBREAK_ALL);
}

void loop_close(void)
{
    assert(loop.ev != NULL);
    for (size_t i = 0; i < loop.resting_count; i++)
        free(loop.resting[i]);
    free(loop.resting);
    for (size_t i = 0; i < sizeof(loop.signals) / sizeof(loop.signals[0]); i++)
        ev_signal_stop(loop.ev, &loop.signals[i]);
    ev_loop_destroy(loop.ev);
    memset(&loop, 0, sizeof(loop));
}

void loop_hook_add(enum loop_phase phase, struct loop_hook *hook)
{
    struct loop_hook **link = &loop.hooks[phase];

    while (*link != NULL)
        link = &(*link)->next;
    hook->next = NULL;
    *link = hook;
}

void loop_hook_remove(enum loop_phase phase, struct loop_hook *hook)
{
    struct loop_hook **link = &loop.hooks[phase];

    while (*link != NULL && *link != hook)
        link = &(*link)->next;
    if (*link == NULL)
        return;
    *link = hook->next;
    if (loop.upcoming == hook)
        loop.upcoming = hook->next;
}

void loop_free_later(void *memory)
{
    if (memory == NULL)
        return;
    if (loop.resting_count == loop.resting_room) {
        size_t room = loop.resting_room != 0 ? loop.resting_room * 2 : (size_t)RESTING_LEAST;
        void **resting = realloc(loop.resting, room * sizeof(*resting));

        if (resting == NULL) {
            log_error(&process, "no memory to free memory later: it is lost");
            return;
        }
        loop.resting = resting;
        loop.resting_room = room;
    }
    loop.resting[loop.resting_count++] = memory;
}

static void timer_set(struct deadline_list *list, int64_t at_us, int64_t now_us)
{
    double after = at_us > now_us ? (double)(at_us - now_us) * 1e-6 : 0;

    ev_timer_set(&list->timer, after, 0);
    ev_timer_start(loop.ev, &list->timer);
}

static void deadline_unlink(struct deadline *deadline)
{
    deadline->before->after = deadline->after;
    deadline->after->before = deadline->before;
    deadline->before = deadline->after = NULL;
}

static void on_deadline(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct deadline_list *list = timer->data;
    int64_t now_us = time_now_us();

    (void)ev, (void)events;
    while (list->ends.after != &list->ends && list->ends.after->at_us <= now_us) {
        struct deadline *first = list->ends.after;

        deadline_unlink(first);
        list->expired(first);
    }
    if (list->ends.after != &list->ends && !ev_is_active(&list->timer))
        timer_set(list, list->ends.after->at_us, now_us);
}

void deadline_list_init(struct deadline_list *list, int64_t length_us,
                        void (*expired)(struct deadline *deadline))
{
    assert(length_us > 0);
    list->ends.before = list->ends.after = &list->ends;
    list->ends.at_us = 0;
    list->length_us = length_us;
    list->expired = expired;
    ev_timer_init(&list->timer, on_deadline, 0, 0);
    list->timer.data = list;
}

void deadline_start(struct deadline_list *list, struct deadline *deadline)
{
    int64_t now_us = time_now_us();
    struct deadline *last;

    deadline_stop(deadline);
    last = list->ends.before;
    deadline->at_us = now_us + list->length_us;
    deadline->before = last;
    deadline->after = &list->ends;
    last->after = list->ends.before = deadline;
    if (!ev_is_active(&list->timer))
        timer_set(list, deadline->at_us, now_us);
}

void deadline_stop(struct deadline *deadline)
{
    if (deadline->before != NULL)
        deadline_unlink(deadline);
}

void deadline_list_close(struct deadline_list *list)
{
    while (list->ends.after != &list->ends)
        deadline_unlink(list->ends.after);
    ev_timer_stop(loop.ev, &list->timer);
}

static void on_drain_signal(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev, (void)events;
    if (loop.draining) {
        log_warn(&process, "signal %d came twice: ending at once", watcher->signum);
        log_close();
        _exit(EXIT_ON_SECOND_SIGNAL);
    }
    loop.draining = true;
    loop.drain(loop.signal_arg);
}

static void on_reload_signal(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev, (void)watcher, (void)events;
    if (loop.reload != NULL)
        loop.reload(loop.signal_arg);
}

static void signal_start(ev_signal *watcher, void (*run)(struct ev_loop *, ev_signal *, int),
                         int number)
{
    ev_signal_init(watcher, run, number);
    ev_signal_start(loop.ev, watcher);
}

void loop_signals(void (*drain)(void *arg), void (*reload)(void *arg), void *arg)
{
    assert(drain != NULL);
    loop.drain = drain;
    loop.reload = reload;
    loop.signal_arg = arg;
    signal_start(&loop.signals[0], on_drain_signal, SIGTERM);
    signal_start(&loop.signals[1], on_drain_signal, SIGINT);
    signal_start(&loop.signals[2], on_reload_signal, SIGHUP);
}

/* The process's one libev loop: its turns, deadlines and signals.
 *
 * A turn is: what the file descriptors brought, then, before the loop sleeps, the hooks in the
 * order of their phases, again and again until none has more to do: fibers that became ready run,
 * what they asked of the database is sent together, what they sent to ZeroMQ is looked after. A
 * watchdog measures each piece of work that is announced with loop_holder() and says who held the
 * loop when a turn took longer than the limit. */
#pragma once

#include "arena.h"
#include <ev.h>

/* The loop; made by loop_open(). */
struct ev_loop *loop_get(void);

/* Makes the loop and ignores SIGPIPE. Ends the program when it cannot. `watchdog_us`: turns longer
 * than this are logged (0: off). */
void loop_open(int64_t watchdog_us);

/* Asks the kernel to schedule this process, and the threads that it makes from now on, as
 * SCHED_BATCH (sched(7)): waking it does not interrupt who runs, so that more work is there when it
 * begins. */
void loop_gather(void);

/* Runs until loop_stop(). */
void loop_run(void);
void loop_stop(void);

/* Frees the loop, and what rests. Only after loop_run() returned. */
void loop_close(void);

enum loop_phase { LOOP_FIBERS, LOOP_DATABASE, LOOP_LINKS, LOOP_PHASES };

/* Something that runs at the end of each turn. A hook may remove itself or others. */
struct loop_hook {
    bool (*run)(struct loop_hook *hook); /* true: did something that may make more work this turn */
    struct loop_hook *next;              /* the list's */
};

void loop_hook_add(enum loop_phase phase, struct loop_hook *hook);
void loop_hook_remove(enum loop_phase phase, struct loop_hook *hook);

/* Says who holds the loop from now on, for the watchdog's line: a text that outlives the turn, or
 * NULL. `detail` (a trace id, may be NULL) is copied. In a fiber see fiber_announce(). */
void loop_holder(const char *who, const char *detail);

/* Frees `memory` with free() when the next turn ended: callbacks that still run, and those that are
 * pending, may look at it. NULL is nothing. */
void loop_free_later(void *memory);

/* Deadlines of one length in order of expiry: one timer a list, constant time to add and remove. */
struct deadline {
    struct deadline *before, *after; /* the list's; NULL: in no list */
    int64_t at_us;                   /* monotonic */
};

struct deadline_list {
    struct deadline ends;                       /* head and tail in one */
    ev_timer timer;                             /* for the first of the list */
    int64_t length_us;                          /* all entries' */
    void (*expired)(struct deadline *deadline); /* is in no list any more; may be freed there */
};

void deadline_list_init(struct deadline_list *list, int64_t length_us,
                        void (*expired)(struct deadline *deadline));
/* Starts, or starts again, at now + length. `deadline` is zeroed before its first use. */
void deadline_start(struct deadline_list *list, struct deadline *deadline);
/* Takes it out of the list it stands in; nothing where it stands in none. */
void deadline_stop(struct deadline *deadline);
/* Takes all out, without calling `expired`; not from there. */
void deadline_list_close(struct deadline_list *list);

/* SIGTERM and SIGINT: `drain` once, the second one ends the process at once with exit code 1.
 * SIGHUP: `reload` (may be NULL: ignored). Both run on the loop. */
void loop_signals(void (*drain)(void *arg), void (*reload)(void *arg), void *arg);

/* Counters of the loop (turns, long turns, longest) are registered by loop_open(); see stat.h. */

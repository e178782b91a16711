/* Fibers: stacks, the switch between them, the queue of ready ones, and timeouts.
 *
 * A fiber stands at the top of its own stack. A stack that is done waits in a pool, inside its
 * entry function's loop, so that starting the next fiber on it is one switch. The heap of timeouts
 * is lazy: a fiber stays in it when its wait ends, also in the pool, under a key that is never
 * later than its deadline. So the successive waits of one call, which share a deadline, cost the
 * heap nothing, and only a key that comes due is looked at again. */
#include "fiber.h"
#include "loop.h"
#include "sanitize.h"
#include "stat.h"
#include "time.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

/* Boost.Context, from its static library: plain functions, whatever language asks. */
struct transfer {
    void *context; /* where the one that switched here goes on */
    void *data;    /* what it gave */
};

extern struct transfer jump_fcontext(void *to, void *data);
extern void *make_fcontext(void *stack_top, size_t stack_bytes, void (*entry)(struct transfer));

enum {
#ifdef SANITIZED
    STACK_BYTES = 256 * 1024, /* frames are several times as large */
#else
    STACK_BYTES = 64 * 1024,
#endif
    POOL_MOST = 1024,
    COLORS = 16, /* different places for a stack's top, so that not all share their cache lines */
    COLOR_BYTES = 192,
    NOT_IN_HEAP = UINT32_MAX / 2
};

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_WAITING, FIBER_POOLED };

struct fiber {
    void *context;          /* where it goes on; none while it runs */
    void (*run)(void *arg); /* its function */
    void *arg;              /* for it */
    struct fiber *next;     /* of the ready queue or the pool */
    int64_t deadline_us;    /* of the wait */
    enum fiber_state state; /* FIBER_WAITING is the only one that can be woken */
    enum wake why;          /* what the wait returns */
    bool cancelled;         /* sticky */
    bool shielded;          /* the wait leaves a cancel to the next one */
    uint32_t heap_at;       /* index in the heap, or NOT_IN_HEAP */
    const char *who;        /* for the watchdog, or NULL */
    const char *detail;     /* the same */
    char *stack;            /* its lowest byte, above the guard page */
    void *fake_stack;       /* AddressSanitizer's */
};

struct timeout {
    int64_t key_us;      /* never later than the fiber's deadline */
    struct fiber *fiber; /* whose */
};

static struct {
    struct loop_hook hook;        /* runs what is ready */
    struct fiber *running;        /* NULL: the loop */
    void *loop_context;           /* where the loop goes on */
    const void *loop_stack;       /* the loop's stack, for AddressSanitizer */
    size_t loop_stack_bytes;      /* the same */
    struct fiber *first, *last;   /* ready ones */
    struct fiber *pool;           /* done ones, last first */
    unsigned pooled, alive, most; /* how many; alive + pooled never pass `most` */
    size_t page_bytes;            /* of the guard */
    unsigned color;               /* of the stack that is made next */
    struct timeout *heap;         /* the least key first */
    uint32_t heap_count;          /* in use */
    ev_timer timer;               /* for heap[0] or earlier */
    int64_t timer_us;             /* when it fires; TIME_NEVER: it is off */
} fibers;

STAT(fibers_alive, gauge, "Fibers alive.");
STAT(fibers_pooled, gauge, "Stacks that wait for the next fiber.");

static void heap_put(uint32_t at, struct timeout timeout)
{
    fibers.heap[at] = timeout;
    timeout.fiber->heap_at = at;
}

static void heap_up(uint32_t at)
{
    struct timeout moved = fibers.heap[at];

    while (at > 0 && fibers.heap[(at - 1) / 2].key_us > moved.key_us) {
        heap_put(at, fibers.heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(at, moved);
}

static void heap_down(uint32_t at)
{
    struct timeout moved = fibers.heap[at];

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= fibers.heap_count)
            break;
        if (child + 1 < fibers.heap_count &&
            fibers.heap[child + 1].key_us < fibers.heap[child].key_us)
            child++;
        if (fibers.heap[child].key_us >= moved.key_us)
            break;
        heap_put(at, fibers.heap[child]);
        at = child;
    }
    heap_put(at, moved);
}

static void heap_remove(struct fiber *fiber)
{
    uint32_t at = fiber->heap_at;
    struct timeout last = fibers.heap[fibers.heap_count - 1];

    fiber->heap_at = NOT_IN_HEAP;
    fibers.heap_count--;
    if (last.fiber == fiber)
        return;
    heap_put(at, last);
    heap_up(at);
    heap_down(last.fiber->heap_at);
}

static void timer_set(int64_t at_us)
{
    int64_t left_us = at_us - time_now_us();

    ev_timer_stop(loop_get(), &fibers.timer);
    ev_timer_set(&fibers.timer, left_us > 0 ? (double)left_us * 1e-6 : 0., 0.);
    ev_timer_start(loop_get(), &fibers.timer);
    fibers.timer_us = at_us;
}

/* Sees to it that the fiber's deadline is looked at in time. */
static void heap_cover(struct fiber *fiber)
{
    struct timeout timeout = {fiber->deadline_us, fiber};

    if (fiber->heap_at == NOT_IN_HEAP) {
        assert(fibers.heap_count < fibers.most);
        heap_put(fibers.heap_count++, timeout);
    } else if (fibers.heap[fiber->heap_at].key_us > fiber->deadline_us) {
        fibers.heap[fiber->heap_at].key_us = fiber->deadline_us;
    } else {
        return;
    }
    heap_up(fiber->heap_at);
    if (fiber->deadline_us < fibers.timer_us)
        timer_set(fiber->deadline_us);
}

static void ready_add(struct fiber *fiber)
{
    fiber->state = FIBER_READY;
    fiber->next = NULL;
    if (fibers.first == NULL)
        fibers.first = fiber;
    else
        fibers.last->next = fiber;
    fibers.last = fiber;
}

/* The first key came due: the fiber is out of time, or it waits longer by now, or not at all. */
static void heap_settle_first(int64_t now_us)
{
    struct fiber *fiber = fibers.heap[0].fiber;

    if (fiber->state != FIBER_WAITING || fiber->deadline_us == TIME_NEVER) {
        heap_remove(fiber);
    } else if (fiber->deadline_us > now_us) {
        fibers.heap[0].key_us = fiber->deadline_us;
        heap_down(0);
    } else {
        heap_remove(fiber);
        fiber->why = WAKE_TIMEOUT;
        ready_add(fiber);
    }
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    int64_t now_us = time_now_us();

    (void)ev, (void)timer, (void)events;
    fibers.timer_us = TIME_NEVER;
    while (fibers.heap_count > 0 && fibers.heap[0].key_us <= now_us)
        heap_settle_first(now_us);
    if (fibers.heap_count > 0)
        timer_set(fibers.heap[0].key_us);
}

/* From a fiber back to the loop, until the loop comes again. */
static void leave(struct fiber *fiber)
{
    struct transfer transfer;

    STACK_LEAVE(&fiber->fake_stack, fibers.loop_stack, fibers.loop_stack_bytes);
    transfer = jump_fcontext(fibers.loop_context, fiber);
    STACK_ENTER(fiber->fake_stack, &fibers.loop_stack, &fibers.loop_stack_bytes);
    fibers.loop_context = transfer.context;
}

/* From the loop into a fiber, until it leaves. */
static void enter(struct fiber *fiber)
{
    void *fake_stack = NULL;
    struct transfer transfer;

    fiber->state = FIBER_RUNNING;
    fibers.running = fiber;
    if (fiber->who != NULL)
        loop_holder(fiber->who, fiber->detail);
    STACK_LEAVE(&fake_stack, fiber->stack, STACK_BYTES);
    transfer = jump_fcontext(fiber->context, fiber);
    STACK_ENTER(fake_stack, NULL, NULL);
    if (fiber->who != NULL)
        loop_holder(NULL, NULL);
    fiber->context = transfer.context;
    fibers.running = NULL;
}

/* A stack's bottom-most function: one fiber after the other. */
static void entry(struct transfer transfer)
{
    struct fiber *fiber = transfer.data;

    STACK_ENTER(NULL, &fibers.loop_stack, &fibers.loop_stack_bytes);
    fibers.loop_context = transfer.context;
    for (;;) {
        fiber->run(fiber->arg);
        fiber->state = FIBER_POOLED;
        leave(fiber);
    }
}

static struct fiber *stack_new(void)
{
    size_t bytes = STACK_BYTES + fibers.page_bytes;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    struct fiber *fiber;
    size_t from_top;

    if (memory == MAP_FAILED)
        return NULL;
    if (mprotect(memory, fibers.page_bytes, PROT_NONE) != 0) {
        munmap(memory, bytes);
        return NULL;
    }
    fibers.color = (fibers.color + 1) % COLORS;
    from_top = ((sizeof(*fiber) + 63) & ~(size_t)63) + (size_t)fibers.color * COLOR_BYTES;
    fiber = (struct fiber *)(memory + bytes - from_top);
    fiber->stack = memory + fibers.page_bytes;
    fiber->heap_at = NOT_IN_HEAP;
    fiber->context = make_fcontext(fiber, (size_t)((char *)fiber - fiber->stack), entry);
    return fiber;
}

static void stack_free(struct fiber *fiber)
{
    char *stack = fiber->stack;

    if (fiber->heap_at != NOT_IN_HEAP)
        heap_remove(fiber);
    MEMORY_OPEN(stack, STACK_BYTES);
    munmap(stack - fibers.page_bytes, STACK_BYTES + fibers.page_bytes);
}

static void finish(struct fiber *fiber)
{
    MEMORY_NO_ROOT(fiber->stack, STACK_BYTES);
    fibers.alive--;
    if (fibers.pooled >= POOL_MOST) {
        stack_free(fiber);
        return;
    }
    fiber->next = fibers.pool;
    fibers.pool = fiber;
    fibers.pooled++;
}

/* Runs those that are ready now; what they make ready comes in the next round, after the other
 * hooks. */
static bool run_ready(struct loop_hook *hook)
{
    struct fiber *fiber = fibers.first;

    (void)hook;
    if (fiber == NULL)
        return false;
    fibers.first = NULL;
    while (fiber != NULL) {
        struct fiber *next = fiber->next;

        enter(fiber);
        if (fiber->state == FIBER_POOLED)
            finish(fiber);
        fiber = next;
    }
    return true;
}

static void refresh_stats(void *arg)
{
    (void)arg;
    stat_set(&fibers_alive, fibers.alive);
    stat_set(&fibers_pooled, fibers.pooled);
}

void fiber_open(unsigned most)
{
    assert(fibers.most == 0 && most > 0);
    fibers.heap = malloc(most * sizeof(*fibers.heap));
    if (fibers.heap == NULL) {
        fputs("no memory for fibers\n", stderr);
        exit(EX_OSERR);
    }
    fibers.most = most;
    fibers.page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    fibers.timer_us = TIME_NEVER;
    ev_timer_init(&fibers.timer, on_timer, 0., 0.);
    stat_register(&fibers_alive);
    stat_register(&fibers_pooled);
    stat_on_render(refresh_stats, NULL);
    fibers.hook.run = run_ready;
    loop_hook_add(LOOP_FIBERS, &fibers.hook);
}

void fiber_close(void)
{
    assert(fibers.running == NULL && fibers.alive == 0);
    while (fibers.pool != NULL) {
        struct fiber *fiber = fibers.pool;

        fibers.pool = fiber->next;
        stack_free(fiber);
    }
    assert(fibers.heap_count == 0);
    ev_timer_stop(loop_get(), &fibers.timer);
    loop_hook_remove(LOOP_FIBERS, &fibers.hook);
    free(fibers.heap);
    memset(&fibers, 0, sizeof(fibers));
}

static struct fiber *stack_take(void)
{
    struct fiber *fiber = fibers.pool;

    if (fiber == NULL)
        return fibers.alive < fibers.most ? stack_new() : NULL;
    fibers.pool = fiber->next;
    fibers.pooled--;
    return fiber;
}

struct fiber *fiber_start(void (*run)(void *arg), void *arg)
{
    struct fiber *fiber = stack_take();

    if (fiber == NULL)
        return NULL;
    MEMORY_ROOT(fiber->stack, STACK_BYTES);
    fibers.alive++;
    fiber->run = run;
    fiber->arg = arg;
    fiber->cancelled = false;
    fiber->who = fiber->detail = NULL;
    ready_add(fiber);
    return fiber;
}

struct fiber *fiber_self(void)
{
    return fibers.running;
}

void fiber_announce(const char *who, const char *detail)
{
    struct fiber *self = fibers.running;

    assert(self != NULL);
    self->who = who;
    self->detail = detail;
    loop_holder(who, detail);
}

static enum wake wait_until(int64_t deadline_us, bool shielded)
{
    struct fiber *self = fibers.running;

    assert(self != NULL && "only a fiber can wait");
    if (self->cancelled && !shielded)
        return WAKE_CANCEL;
    self->deadline_us = deadline_us;
    self->shielded = shielded;
    if (deadline_us != TIME_NEVER)
        heap_cover(self);
    self->state = FIBER_WAITING;
    leave(self);
    return self->why;
}

enum wake fiber_wait(int64_t deadline_us)
{
    return wait_until(deadline_us, false);
}

enum wake fiber_wait_shielded(int64_t deadline_us)
{
    return wait_until(deadline_us, true);
}

void fiber_yield(void)
{
    if (fibers.running != NULL)
        (void)wait_until(time_now_us(), false);
}

void fiber_wake(struct fiber *fiber, enum wake why)
{
    assert(why == WAKE_DONE || why == WAKE_FAILED);
    assert(fiber->state != FIBER_POOLED && "the fiber has ended");
    if (fiber->state != FIBER_WAITING)
        return;
    fiber->why = why;
    ready_add(fiber);
}

void fiber_cancel(struct fiber *fiber)
{
    assert(fiber->state != FIBER_POOLED && "the fiber has ended");
    fiber->cancelled = true;
    if (fiber->state != FIBER_WAITING || fiber->shielded)
        return;
    fiber->why = WAKE_CANCEL;
    ready_add(fiber);
}

bool fiber_cancelled(void)
{
    assert(fibers.running != NULL);
    return fibers.running->cancelled;
}

unsigned fiber_count(void)
{
    return fibers.alive;
}

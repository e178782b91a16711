/* Injected failures: named points at which a test has something go wrong.
 *
 * Only a build with FAULTS=ON has them; in any other INJECT(name) is the constant `false` and
 * nothing of this is in the program. A process's environment arms points:
 *
 *   LECTERN_INJECT="name[:count[:skip]],..."
 *
 * At a point the first `skip` passes (default 0) go well, the next `count` (default 1; 0: all that
 * follow) go wrong, the rest goes well. Each that goes wrong is logged as `injected NAME`. A name
 * or number that is none ends the program at the first point it comes to. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define INJECTIONS(POINT)                                                                          \
    POINT(connect_refused)       /* an attempt to connect to the database fails */                 \
    POINT(lost_before_begin)     /* the database's connection, before a transaction's BEGIN */     \
    POINT(lost_between)          /* the same, between two of its statements */                     \
    POINT(lost_before_commit)    /* the same, before COMMIT left */                                \
    POINT(lost_after_commit)     /* the same, between COMMIT and its answer */                     \
    POINT(lost_after_write)      /* the same, between a single write and its answer */             \
    POINT(lost_after_read)       /* the same, between a read and its answer */                     \
    POINT(call_refused_memory)   /* an actor has no memory to take a call */                       \
    POINT(input_refused_memory)  /* a call has none to read its input */                           \
    POINT(output_refused_memory) /* a call has none to write its output */                         \
    POINT(call_refused_fiber)    /* an actor has no fiber left for a call */                       \
    POINT(handler_slow)          /* a handler begins a while later */                              \
    POINT(reply_dropped)         /* a reply is not sent */                                         \
    POINT(reply_wrong_id)        /* a reply has an id that nobody asked with */                    \
    POINT(reply_twice)           /* a reply is sent twice */                                       \
    POINT(reply_late)            /* a reply is sent after the deadline */                          \
    POINT(link_full)             /* ZeroMQ takes no message (EAGAIN) */                            \
    POINT(link_nobody)           /* ZeroMQ knows no such peer (EHOSTUNREACH) */                    \
    POINT(accept_no_descriptor)  /* accept4() finds no descriptor (EMFILE) */                      \
    POINT(send_short)            /* the kernel takes only the beginning of an answer */            \
    POINT(request_no_memory)     /* a gateway has no memory for a request */                       \
    POINT(request_no_fiber)      /* the same, no fiber */                                          \
    POINT(trip_no_memory)        /* a gateway has no memory for a reply */                         \
    POINT(answer_no_memory)      /* the same, for the answer that it makes of it */

#ifdef LECTERN_FAULTS
#define INJECTION_ENUM(name) INJECT_##name,
enum injection { INJECTIONS(INJECTION_ENUM) INJECTION_COUNT };
#undef INJECTION_ENUM

/* Whether this pass goes wrong. errno stays. */
bool inject_passes(enum injection point);

/* Ends what a socket says and hears, as a network would. */
void inject_cut(int descriptor);

/* Holds the running fiber until then. */
void inject_wait(int64_t until_us);

#define INJECT(name) inject_passes(INJECT_##name)
/* Cuts the socket where the point says so. */
#define INJECT_CUT(name, descriptor)                                                               \
    do {                                                                                           \
        if (INJECT(name))                                                                          \
            inject_cut(descriptor);                                                                \
    } while (0)
/* Waits, in a fiber, where the point says so. */
#define INJECT_WAIT(name, until_us)                                                                \
    do {                                                                                           \
        if (INJECT(name))                                                                          \
            inject_wait(until_us);                                                                 \
    } while (0)
#else
#define INJECT(name) false
#define INJECT_CUT(name, descriptor) ((void)0)
#define INJECT_WAIT(name, until_us) ((void)0)
#endif

/* A gate that lets only some through at a time; the others wait in line, each in its fiber. */
#pragma once

#include "base/fiber.h"

struct gate_turn;

struct gate {
    unsigned most;                  /* that may be inside */
    unsigned inside;                /* now */
    struct gate_turn *first, *last; /* who waits, the longest first */
};

/* Goes in, or waits until it is this fiber's turn. WAKE_DONE: it is inside, and gate_leave() is
 * due; else it is not: the deadline passed, or the fiber was cancelled. */
enum wake gate_enter(struct gate *gate, int64_t deadline_us) MUST;

void gate_leave(struct gate *gate);

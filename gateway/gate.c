/* Who leaves hands its place to the first in line, so that nobody who comes later slips in between.
 */
#include "gate.h"

struct gate_turn {
    struct gate_turn *before, *after; /* in line */
    struct fiber *fiber;              /* that waits */
    bool come;                        /* the place is its */
};

static void line_add(struct gate *gate, struct gate_turn *turn)
{
    turn->before = gate->last;
    if (gate->last != NULL)
        gate->last->after = turn;
    else
        gate->first = turn;
    gate->last = turn;
}

static void line_remove(struct gate *gate, struct gate_turn *turn)
{
    if (turn->before != NULL)
        turn->before->after = turn->after;
    else
        gate->first = turn->after;
    if (turn->after != NULL)
        turn->after->before = turn->before;
    else
        gate->last = turn->before;
}

enum wake gate_enter(struct gate *gate, int64_t deadline_us)
{
    struct gate_turn turn = {.fiber = fiber_self()};
    enum wake why = WAKE_DONE;

    if (gate->inside < gate->most) {
        gate->inside++;
        return WAKE_DONE;
    }
    line_add(gate, &turn);
    while (!turn.come && why == WAKE_DONE)
        why = fiber_wait(deadline_us);
    if (turn.come)
        return WAKE_DONE;
    line_remove(gate, &turn);
    return why;
}

void gate_leave(struct gate *gate)
{
    struct gate_turn *next = gate->first;

    if (next == NULL) {
        gate->inside--;
        return;
    }
    line_remove(gate, next);
    next->come = true;
    fiber_wake(next->fiber, WAKE_DONE);
}

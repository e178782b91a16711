/* See standstill.h. Timers are looked at before sockets in a turn, so the pulse knows first. */
#include "standstill.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/time.h"

#define PULSE_S 1.0
#define LATE_US TIME_MS(1500)  /* between two beats: nothing ran */
#define PAUSE_US TIME_MS(20)   /* without a message: those that waited are through */
#define BEHIND_US TIME_MS(500) /* then they are through in any case */

static void on_pulse(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct standstill *standstill = timer->data;
    int64_t now_us = time_now_us(), since_us = now_us - standstill->beat_us;

    (void)loop, (void)events;
    standstill->beat_us = now_us;
    if (since_us < LATE_US)
        return;
    log_warn(&process, "nothing ran for %lld ms", (long long)(since_us / TIME_MS(1)));
    standstill->length_us = since_us;
    standstill->ended_us = standstill->taken_us = now_us;
}

void standstill_open(struct standstill *standstill)
{
    *standstill = (struct standstill){.beat_us = time_now_us()};
    ev_timer_init(&standstill->pulse, on_pulse, PULSE_S, PULSE_S);
    standstill->pulse.data = standstill;
    ev_timer_start(loop_get(), &standstill->pulse);
}

void standstill_close(struct standstill *standstill)
{
    ev_timer_stop(loop_get(), &standstill->pulse);
}

int64_t standstill_age_us(struct standstill *standstill, int64_t now_us)
{
    if (standstill->length_us == 0)
        return 0;
    if (now_us - standstill->taken_us > PAUSE_US || now_us - standstill->ended_us > BEHIND_US)
        standstill->length_us = 0;
    standstill->taken_us = now_us;
    return standstill->length_us;
}

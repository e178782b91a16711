/* Clocks and times. Everything is int64 microseconds: of the monotonic clock for deadlines and
 * durations, since the epoch (UTC) for times that mean something outside. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TIME_MS(n) ((int64_t)(n)*1000)
#define TIME_S(n) ((int64_t)(n)*1000000)
#define TIME_NEVER INT64_MAX

/* Before and after every time that is stored: the year 1, and what PostgreSQL calls infinity. */
#define TIME_FIRST INT64_C(-62135596800000000)
#define TIME_LAST INT64_MAX

/* The monotonic clock now. */
int64_t time_now_us(void);

/* The wall clock now, since the epoch. */
int64_t time_wall_us(void);

/* Puts another clock in place of the monotonic one; NULL puts the real one back. For tests. */
void time_set_clock(int64_t (*clock_us)(void));

enum { TIME_ISO_BYTES = 40 };

/* `2026-01-31T09:05:00.123456+00:00`, terminated; returns `out`. Years 1 to 9999, others clamp. */
char *time_iso(int64_t epoch_us, char out[TIME_ISO_BYTES]);

/* Reads ISO 8601 with an offset (`Z`, `+hh:mm`, `+hhmm`), 0 to 6 decimals, `T` or a blank between
 * date and time. 0, or -1 when it is none. */
int time_parse_iso(const char *text, size_t len, int64_t *epoch_us);

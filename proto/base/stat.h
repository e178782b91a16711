/* Numbers about the process: counters, gauges and histograms, written as Prometheus text (0.0.4).
 *
 * A number is a row: STAT(requests_total, counter, "requests answered"). Labels are bounded sets: a
 * row may have one label whose values are known at start-up. Everything is written by the loop's
 * thread only. */
#pragma once

#include "arena.h"

enum stat_kind { STAT_counter, STAT_gauge, STAT_histogram };

/* The histograms' buckets: upper bounds of 25 us to 100 s in steps of 1, 2, 5, and infinity. */
enum { STAT_BUCKETS = 22 };

struct stat_cell {
    double value;                   /* counter, gauge; a histogram's sum */
    uint64_t buckets[STAT_BUCKETS]; /* a histogram's, not cumulated */
};

struct stat_row {
    const char *name; /* with unit and suffix, without the prefix `lectern_` */
    const char *help; /* one sentence */
    enum stat_kind kind;
    const char *label;         /* the label's name, or NULL */
    const char *const *values; /* the label's values, `count` of them; NULL without label */
    unsigned count;            /* cells; 1 without label */
    struct stat_cell *cells;   /* made by stat_register() */
    struct stat_row *next;     /* the registry's */
};

/* Defines a number without label, in file scope: STAT(loop_turns_total, counter, "…"); then
 * stat_add(&loop_turns_total, 1). */
#define STAT(ident, kind_, help_)                                                                  \
    struct stat_row ident = {.name = #ident, .help = help_, .kind = STAT_##kind_, .count = 1}
/* With a label; give the values to stat_register_labels(). */
#define STAT_LABELED(ident, kind_, label_, help_)                                                  \
    struct stat_row ident = {.name = #ident, .help = help_, .kind = STAT_##kind_, .label = label_}

/* Adds a row to what stat_render() writes; nothing when it stands there already. Ends the program
 * without memory. At start-up only. */
void stat_register(struct stat_row *stat);
void stat_register_labels(struct stat_row *stat, const char *const *values, unsigned count);

/* `cell` is the label's index (0 without one). Nothing on a row that was not registered. */
void stat_add_at(struct stat_row *stat, unsigned cell, double value);
void stat_set_at(struct stat_row *stat, unsigned cell, double value);
void stat_observe_at(struct stat_row *stat, unsigned cell, int64_t duration_us);

#define stat_add(stat, value) stat_add_at((stat), 0, (value))
#define stat_set(stat, value) stat_set_at((stat), 0, (value))
#define stat_observe(stat, duration_us) stat_observe_at((stat), 0, (duration_us))

double stat_value_at(const struct stat_row *stat, unsigned cell);

/* Called before each rendering, to set gauges. */
void stat_on_render(void (*refresh)(void *arg), void *arg);

/* Prometheus text of all rows, with process_resident_memory_bytes and process_start_time_seconds.
 */
void stat_render(struct buffer *out);

/* Frees the cells and forgets all rows (before exit). */
void stat_close(void);

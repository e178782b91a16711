/* Numbers of the process and their rendering. Rows stand in a list in the order in which they were
 * registered; a row's cells are one array, so that counting is an index and an addition. */
#include "stat.h"
#include "time.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

static const int64_t bounds_us[STAT_BUCKETS - 1] = {
    25,      50,      100,     200,      500,      1000,     2000,
    5000,    10000,   20000,   50000,    100000,   200000,   500000,
    1000000, 2000000, 5000000, 10000000, 20000000, 50000000, 100000000};

struct refresher {
    void (*run)(void *arg); /* sets gauges */
    void *arg;              /* for it */
    struct refresher *next; /* the registry's */
};

static struct {
    struct stat_row *first, *last; /* rows in their order */
    struct refresher *refreshers;  /* newest first */
    int64_t start_us;              /* wall clock at the first registration */
} registry;

static void *must_have(void *memory)
{
    if (memory != NULL)
        return memory;
    fputs("no memory for the process's numbers\n", stderr);
    exit(EX_OSERR);
}

void stat_register(struct stat_row *stat)
{
    if (stat->cells != NULL)
        return;
    assert(stat->count > 0);
    stat->cells = must_have(calloc(stat->count, sizeof(*stat->cells)));
    stat->next = NULL;
    if (registry.first == NULL) {
        registry.first = stat;
        registry.start_us = time_wall_us();
    } else {
        registry.last->next = stat;
    }
    registry.last = stat;
}

void stat_register_labels(struct stat_row *stat, const char *const *values, unsigned count)
{
    assert(stat->label != NULL);
    if (stat->cells != NULL)
        return;
    stat->values = values;
    stat->count = count;
    stat_register(stat);
}

static struct stat_cell *cell_of(const struct stat_row *stat, unsigned cell)
{
    if (stat->cells == NULL)
        return NULL;
    assert(cell < stat->count);
    return &stat->cells[cell];
}

void stat_add_at(struct stat_row *stat, unsigned cell, double value)
{
    struct stat_cell *at = cell_of(stat, cell);

    if (at != NULL)
        at->value += value;
}

void stat_set_at(struct stat_row *stat, unsigned cell, double value)
{
    struct stat_cell *at = cell_of(stat, cell);

    if (at != NULL)
        at->value = value;
}

void stat_observe_at(struct stat_row *stat, unsigned cell, int64_t duration_us)
{
    struct stat_cell *at = cell_of(stat, cell);
    unsigned bucket = 0;

    if (at == NULL)
        return;
    while (bucket < STAT_BUCKETS - 1 && duration_us > bounds_us[bucket])
        bucket++;
    at->buckets[bucket]++;
    at->value += (double)duration_us * 1e-6;
}

double stat_value_at(const struct stat_row *stat, unsigned cell)
{
    const struct stat_cell *at = cell_of(stat, cell);

    return at != NULL ? at->value : 0;
}

void stat_on_render(void (*refresh)(void *arg), void *arg)
{
    struct refresher *refresher = must_have(malloc(sizeof(*refresher)));

    *refresher = (struct refresher){refresh, arg, registry.refreshers};
    registry.refreshers = refresher;
}

static void add_escaped(struct buffer *out, const char *text, bool quotes)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || (quotes && *text == '"'))
            buffer_add_char(out, '\\');
        if (*text == '\n')
            buffer_add_text(out, "\\n");
        else
            buffer_add_char(out, *text);
    }
}

static void add_head(struct buffer *out, const struct stat_row *stat)
{
    static const char *const kinds[] = {
        [STAT_counter] = "counter", [STAT_gauge] = "gauge", [STAT_histogram] = "histogram"};

    buffer_add_format(out, "# HELP lectern_%s ", stat->name);
    add_escaped(out, stat->help, false);
    buffer_add_format(out, "\n# TYPE lectern_%s %s\n", stat->name, kinds[stat->kind]);
}

/* `{label="value",le="0.1"}`, as much of it as there is. */
static void add_labels(struct buffer *out, const struct stat_row *stat, unsigned cell,
                       const char *le)
{
    if (stat->label == NULL && le == NULL)
        return;
    buffer_add_char(out, '{');
    if (stat->label != NULL) {
        buffer_add_format(out, "%s=\"", stat->label);
        add_escaped(out, stat->values[cell], true);
        buffer_add_char(out, '"');
    }
    if (le != NULL)
        buffer_add_format(out, "%sle=\"%s\"", stat->label != NULL ? "," : "", le);
    buffer_add_char(out, '}');
}

static void add_sample(struct buffer *out, const struct stat_row *stat, unsigned cell,
                       const char *suffix, double value)
{
    buffer_add_format(out, "lectern_%s%s", stat->name, suffix);
    add_labels(out, stat, cell, NULL);
    buffer_add_format(out, " %.15g\n", value);
}

static void add_histogram(struct buffer *out, const struct stat_row *stat, unsigned cell)
{
    const struct stat_cell *at = &stat->cells[cell];
    uint64_t sum = 0;
    char le[24];

    for (unsigned i = 0; i < STAT_BUCKETS; i++) {
        sum += at->buckets[i];
        if (i < STAT_BUCKETS - 1)
            snprintf(le, sizeof(le), "%.9g", (double)bounds_us[i] * 1e-6);
        else
            snprintf(le, sizeof(le), "+Inf");
        buffer_add_format(out, "lectern_%s_bucket", stat->name);
        add_labels(out, stat, cell, le);
        buffer_add_format(out, " %" PRIu64 "\n", sum);
    }
    add_sample(out, stat, cell, "_sum", at->value);
    add_sample(out, stat, cell, "_count", (double)sum);
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long pages = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void add_process(struct buffer *out)
{
    buffer_add_format(out,
                      "# HELP process_resident_memory_bytes Resident memory.\n"
                      "# TYPE process_resident_memory_bytes gauge\n"
                      "process_resident_memory_bytes %.15g\n",
                      resident_bytes());
    buffer_add_format(out,
                      "# HELP process_start_time_seconds Start, in seconds since the epoch.\n"
                      "# TYPE process_start_time_seconds gauge\n"
                      "process_start_time_seconds %.3f\n",
                      (double)registry.start_us * 1e-6);
}

void stat_render(struct buffer *out)
{
    for (struct refresher *each = registry.refreshers; each != NULL; each = each->next)
        each->run(each->arg);
    for (const struct stat_row *stat = registry.first; stat != NULL; stat = stat->next) {
        add_head(out, stat);
        for (unsigned cell = 0; cell < stat->count; cell++) {
            if (stat->kind == STAT_histogram)
                add_histogram(out, stat, cell);
            else
                add_sample(out, stat, cell, "", stat->cells[cell].value);
        }
    }
    add_process(out);
}

void stat_close(void)
{
    while (registry.refreshers != NULL) {
        struct refresher *refresher = registry.refreshers;

        registry.refreshers = refresher->next;
        free(refresher);
    }
    while (registry.first != NULL) {
        struct stat_row *stat = registry.first;

        registry.first = stat->next;
        free(stat->cells);
        stat->cells = NULL;
    }
    registry.last = NULL;
}

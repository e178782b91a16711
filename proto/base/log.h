/* Logs: one line an event on standard error, logfmt or JSON, never blocking.
 *
 * A line goes into a bounded ring and a thread of its own writes it; what does not fit is dropped
 * and counted (log_dropped_total). `log_warn(call, "text %s", x)`: the first argument is any struct
 * with a member `struct log_tag log`, whose domain, message and trace stand in the line; `&process`
 * where there is no better one. The level is tested before the arguments are evaluated. No bodies,
 * cookies or keys belong into a line. */
#pragma once

#include "arena.h"

#define LOG_LEVELS(LEVEL) LEVEL(debug) LEVEL(info) LEVEL(warn) LEVEL(error)

#define LOG_LEVEL_ENUM(name) LOG_##name,
enum log_level { LOG_LEVELS(LOG_LEVEL_ENUM) LOG_LEVEL_COUNT };
#undef LOG_LEVEL_ENUM

/* Who a line speaks of. Members may be NULL; the texts outlive the object. */
struct log_tag {
    const char *domain;  /* of the actor */
    const char *message; /* the method's name */
    const char *trace;   /* the request's id */
};

struct log_source {
    struct log_tag log; /* what the macros look for */
};

/* For lines about the process itself. */
extern struct log_source process;

/* The least level that is logged. */
extern enum log_level log_threshold;

/* Starts the writer. `name` stands in each line (`process=`). Before it, and after log_close(),
 * lines are written at once. Ends the program when it cannot. */
void log_open(const char *name, enum log_level level, bool json);
void log_set_level(enum log_level level);

/* Writes what is in the ring (at most for a second) and ends the writer. Nothing when it is closed.
 */
void log_close(void);

/* The level of that name, or -1. */
int log_level_of(const char *name);

/* Lines dropped so far. */
uint64_t log_dropped(void);

/* What the macros below call; from any thread. A line is cut at 2 KiB. */
void log_write(enum log_level level, const struct log_tag *tag, const char *format, ...)
    PRINTF_LIKE(3, 4);

#define log_at(level, object, ...)                                                                 \
    do {                                                                                           \
        if ((level) >= log_threshold)                                                              \
            log_write((level), &(object)->log, __VA_ARGS__);                                       \
    } while (0)

#define log_debug(object, ...) log_at(LOG_debug, object, __VA_ARGS__)
#define log_info(object, ...) log_at(LOG_info, object, __VA_ARGS__)
#define log_warn(object, ...) log_at(LOG_warn, object, __VA_ARGS__)
#define log_error(object, ...) log_at(LOG_error, object, __VA_ARGS__)

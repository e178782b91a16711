/* The numbers about the database that /metrics shows. */
#pragma once

#include "base/stat.h"

#define QUERY_KINDS(KIND) KIND(read) KIND(single) KIND(tx) KIND(long)
#define QUERY_KIND_ENUM(name) QUERY_##name,
enum query_kind { QUERY_KINDS(QUERY_KIND_ENUM) QUERY_KIND_COUNT };
#undef QUERY_KIND_ENUM

/* clang-format off */
#define ERROR_CLASSES(CLASS)                                                                       \
    CLASS(busy) CLASS(unavailable) CLASS(outcome_unknown) CLASS(conflict)                          \
    CLASS(timeout) CLASS(cancelled) CLASS(unknown_user) CLASS(other)
/* clang-format on */
#define ERROR_CLASS_ENUM(name) ERROR_##name,
enum error_class { ERROR_CLASSES(ERROR_CLASS_ENUM) ERROR_CLASS_COUNT };
#undef ERROR_CLASS_ENUM

extern struct stat_row database_connections;         /* gauge by state; see conn.h */
extern struct stat_row database_waiting;             /* gauge: calls that wait for a connection */
extern struct stat_row database_reconnects_total;    /* connections for reads that were lost */
extern struct stat_row database_queries_total;       /* by query_kind */
extern struct stat_row database_query_seconds;       /* histogram: from asking to the answer */
extern struct stat_row database_syncs_total;         /* statements share them */
extern struct stat_row database_batched_reads_total; /* reads that shared one */
extern struct stat_row database_errors_total;        /* by error_class */

/* Registers them; `refresh(arg)` sets the gauges before each rendering. Once a process. */
void numbers_open(const char *const *states, unsigned state_count, void (*refresh)(void *arg),
                  void *arg);

/* The numbers about the database; see numbers.h. */
#include "numbers.h"

STAT_LABELED(database_connections, gauge, "state", "Connections to PostgreSQL.");
STAT(database_waiting, gauge, "Calls that wait for a connection.");
STAT(database_reconnects_total, counter, "Connections for reads that were lost.");
STAT_LABELED(database_queries_total, counter, "kind", "Statements that calls asked for.");
STAT(database_query_seconds, histogram, "From asking to the answer, waiting included.");
STAT(database_syncs_total, counter, "Synchronisation points sent; reads share them.");
STAT(database_batched_reads_total, counter, "Reads that shared a synchronisation point.");
STAT_LABELED(database_errors_total, counter, "class", "Statements that failed.");

#define NAME(name) #name,
static const char *const query_kinds[] = {QUERY_KINDS(NAME)};
static const char *const error_classes[] = {ERROR_CLASSES(NAME)};

void numbers_open(const char *const *states, unsigned state_count, void (*refresh)(void *arg),
                  void *arg)
{
    if (database_connections.cells != NULL)
        return;
    stat_register_labels(&database_connections, states, state_count);
    stat_register(&database_waiting);
    stat_register(&database_reconnects_total);
    stat_register_labels(&database_queries_total, query_kinds, QUERY_KIND_COUNT);
    stat_register(&database_query_seconds);
    stat_register(&database_syncs_total);
    stat_register(&database_batched_reads_total);
    stat_register_labels(&database_errors_total, error_classes, ERROR_CLASS_COUNT);
    stat_on_render(refresh, arg);
}

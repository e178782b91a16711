/* What the two halves of migrating share. */
#pragma once

#include "migrate.h"

/* Sets the message, the first time only. Always `result`. */
enum migrate_result migrate_stop(struct migrate *migrate, enum migrate_result result,
                                 const char *format, ...) PRINTF_LIKE(3, 4);

void migrate_say(struct migrate *migrate, const char *format, ...) PRINTF_LIKE(2, 3);

/* Runs statements without results. `what` names them in the message. */
enum migrate_result migrate_exec(struct migrate *migrate, const char *what, const char *sql) MUST;

/* The same for a statement that stands in no transaction. One that holds nobody up while it waits
 * for others (`create index concurrently`) may do so for minutes. */
enum migrate_result migrate_alone(struct migrate *migrate, const char *what, const char *sql) MUST;

typedef enum migrate_result migrate_action(struct migrate *migrate, const void *data);

/* Calls `action` again after a rest while tables that it needs are in use, for lock_wait_ms; what
 * it did before it failed must be undone or bear being done again. `what` names it in a line. */
enum migrate_result migrate_again(struct migrate *migrate, const char *what, migrate_action *action,
                                  const void *data) MUST;

/* The message of a failed result, one line; `sql` gives the line that it is about, may be NULL. */
enum migrate_result migrate_failure(struct migrate *migrate, const char *what, const char *sql,
                                    const PGresult *result);

/* The single value of a statement with text parameters (`values` ends with NULL), in `out`; "" when
 * it is null or there is no row. */
enum migrate_result migrate_value(struct migrate *migrate, const char *sql,
                                  const char *const *values, char *out, size_t room_bytes) MUST;

/* Records a migration as applied, making the table first where it is missing. */
enum migrate_result migrate_record(struct migrate *migrate, const struct migration *migration) MUST;

/* SHA-256 of a migration's file, in hexadecimal. */
enum migrate_result migrate_checksum(struct migrate *migrate, const struct migration *migration,
                                     char out[65]) MUST;

/* Adopts the database of the service before, whose tables stand in `schema`. */
enum migrate_result migrate_adopt(struct migrate *migrate, const char *schema) MUST;

/* The first statement of `rest`, up to its semicolon, which moves behind it; absent at the end.
 * Semicolons in quotes, in dollar quotes and comments end nothing. */
struct str sql_next(struct str *rest);

/* Whether the file is headed `-- no transaction`. */
bool sql_without_transaction(struct str file);

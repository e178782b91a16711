/* What a user owns: one list of the columns that refer to `users` (owned.def), from which merging
 * and clearing are made. Deleting a user follows the foreign keys, which a test compares with the
 * list; an export has the sections that it names.
 *
 * All but the list runs within a transaction, and the user's row is locked first, so that nothing
 * that he writes meanwhile is lost: a write for a user who was merged then fails as unknown_user.
 */
#pragma once

#include "query.h"

enum owned_on_delete { OWNED_cascade, OWNED_set_null };

/* Parts of an export; the same are counted when a user's data are cleared. */
#define OWNED_SECTIONS(SECTION)                                                                    \
    SECTION(none)                                                                                  \
    SECTION(insights) SECTION(chat_messages) SECTION(standalone_chats) SECTION(definitions)
#define OWNED_SECTION_ENUM(name) SECTION_##name,
enum owned_section { OWNED_SECTIONS(OWNED_SECTION_ENUM) SECTION_COUNT };
#undef OWNED_SECTION_ENUM

/* A column that refers to `users`. */
struct owned {
    const char *table;
    const char *column;
    enum owned_on_delete on_delete; /* of the foreign key */
    const struct statement *clear;  /* deletes the rows of user $1; NULL: they stay */
    enum owned_section section;     /* where its rows stand in an export */
    const char *prose;              /* what they are */
};

/* A column that refers to a text that a user may have imported. */
struct owned_join {
    const char *text;   /* the text's table */
    const char *table;  /* the table that refers to it; the same: the text itself */
    const char *column; /* by which */
    const char *prose;  /* what its rows are */
};

/* The rows, in the order in which clearing goes; a `table` of NULL ends each. */
extern const struct owned owned[];
extern const struct owned_join owned_joins[];

/* Locks the row of the user whom the call acts for, as he is when the lock is there, so that he can
 * be neither merged nor deleted until the transaction ends; what refers to him can still be
 * written. Sets call->user_id, and call->reply_user where he was merged. -1 with unknown_user
 * recorded where there is nobody. */
int owned_lock(struct call *call) MUST;

/* The same for one who may be deleted: what refers to him is not written meanwhile either. */
int owned_lock_all(struct call *call) MUST;

/* Gives all that the user `gone` owns to the user `kept`, deletes `gone` and remembers where he
 * went. Both rows must be locked for update. `device_count`: devices that `kept` has now. */
int owned_merge(struct call *call, int32_t kept, int32_t gone, int64_t *device_count) MUST;

/* Deletes what the rows mark as cleared, and counts what went by section. The user's row must be
 * locked. */
int owned_clear(struct call *call, int32_t user_id, int64_t counts[SECTION_COUNT]) MUST;

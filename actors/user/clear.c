/* Clearing: what the rows of db/owned.def mark goes, and is counted by the same sections that an
 * export has. */
#include "handlers.h"
#include "owned.h"

int user_clear_user_data(struct call *call, const struct user_clear_user_data_in *in,
                         struct user_clear_user_data_out *out)
{
    struct user_counts *deleted = arena_zalloc(&call->arena, sizeof(*deleted));
    int64_t counts[SECTION_COUNT];

    (void)in;
    if (deleted == NULL)
        return fail(call, busy, "no memory for the counts");
    if (owned_lock(call) != 0 || owned_clear(call, call->user_id, counts) != 0)
        return -1;
    *deleted = (struct user_counts){.insights = counts[SECTION_insights],
                                    .chat_messages = counts[SECTION_chat_messages],
                                    .standalone_chats = counts[SECTION_standalone_chats],
                                    .definitions = counts[SECTION_definitions]};
    out->message = STR("User data cleared successfully");
    out->deleted = deleted;
    return 0;
}

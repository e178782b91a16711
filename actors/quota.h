/* Limits that are exact over any number of processes, because the database counts them: of a
 * minute, by message, and the day's allowance of questions to the language model.
 *
 * The allowance is used in steps. allowance_reserve() takes one call of the day before the model is
 * asked; allowance_settle() counts it in the transaction that stores the answer;
 * allowance_give_back() returns it where there is none. What is neither when the call ends is ended
 * then, also for a call that was cancelled: counted where allowance_used() was said, else given
 * back. A reservation that nobody ends, because its actor died, counts until it expires, a moment
 * past the call's deadline. Pro users have no limit. */
#pragma once

#include "actor.h"

enum { ALLOWANCE_A_DAY = 10 };

struct reservation;

/* Once, at start-up. */
void quota_open(struct actor *actor);

/* Counts the call against its message's limit of a minute, by its user or by the client's address;
 * nothing where its row names none, and where the limit is off the user is found all the same. 0,
 * or -1: rate_limited, unknown_user, or the database's. A call without a user is only looked at: it
 * will come again with one. */
int quota_count(struct call *call) MUST;

/* Reserves one of the user's calls of today. NULL: daily_limit_reached, unknown_user, or the
 * database's. It lives as long as the call. */
struct reservation *allowance_reserve(struct call *call) MUST;

/* Counts what was reserved, for the user that he is by now, in the transaction that stores the
 * answer; allowance_settled() says that this was committed. */
int allowance_settle(struct call *call, const struct reservation *reservation) MUST;
void allowance_settled(struct reservation *reservation);

/* From now on it counts, however the call ends: some of an answer was delivered. */
void allowance_used(struct reservation *reservation);

/* Returns it: there is no answer. */
void allowance_give_back(struct call *call, struct reservation *reservation);

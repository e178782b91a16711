/* Limits of a minute that this gateway counts for itself: writes, and new users.
 *
 * Windows are fixed, from one full minute of the wall clock to the next. Memory is bounded: where
 * there are more callers in a minute than places, a newcomer takes the place of the least busy one
 * and its count too, so that nobody gains by crowding. Keys are hashes with a secret of the
 * process. An IPv6 address counts by its /64, because one client has all of that.
 *
 * A cookie is worth a window of its own only once it is known to name a user: anybody can invent
 * one. */
#pragma once

#include "contract.h"
#include <netinet/in.h>

struct guard;

enum guard_kind { GUARD_WRITE, GUARD_NEW_USER };

/* NULL without memory or randomness. */
struct guard *guard_new(void) MUST;
void guard_free(struct guard *guard);

/* Whom a window counts. */
uint64_t guard_user_key(const struct guard *guard, enum guard_kind kind, struct str user);
uint64_t guard_address_key(const struct guard *guard, enum guard_kind kind,
                           const struct in6_addr *address);

/* Counts one at the wall clock's `now_us`. Whether it is within `limit` (0: always); `left` says
 * what remains of the window. */
bool guard_take(struct guard *guard, uint64_t key, int64_t limit, int64_t now_us,
                struct common_rate *left) MUST;

/* Notes that a cookie names a user; whether that was noted (it may be forgotten meanwhile). */
void guard_know(struct guard *guard, struct str user);
bool guard_knows(const struct guard *guard, struct str user);

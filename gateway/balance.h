/* Which instance of a domain gets a call.
 *
 * Of those that are connected and answer, the one with the fewest calls outstanding; equals take
 * turns. A call with an affinity goes where rendezvous hashing puts it, so that equal questions
 * meet in one process. Instances that say that they are ready go before those that are not, which
 * are still asked where there is no other: they may know an answer, and else say best what they
 * lack. */
#pragma once

#include "instance.h"

struct balance;

struct balance_config {
    const char *where;   /* see discovery.h */
    unsigned calls;      /* outstanding at most, of all instances together */
    unsigned calls_each; /* of one instance */
    size_t bytes_each;   /* the same, their frames */
};

/* Begins to find actors. Ends the program when it cannot. */
struct balance *balance_open(const struct balance_config *config) MUST;

/* Ends every outstanding call, then frees it. */
void balance_close(struct balance *balance);

enum choice { CHOICE_MADE, CHOICE_ABSENT, CHOICE_FULL };

/* Chooses an instance of `domain` for a call of `bytes`. `affinity` absent: it has none. Absent:
 * none is there that could be asked; full: all of them have as many calls as they may. */
enum choice balance_choose(struct balance *balance, const char *domain, struct str affinity,
                           size_t bytes, struct instance **instance) MUST;

/* Whether the domain's actors, as they are now, have room for one more call than was promised to
 * requests that have not begun yet; then this one is promised too, until balance_begun(). Also true
 * where no actor is there, which is for balance_choose() to say. */
bool balance_promise(struct balance *balance, const char *domain) MUST;
void balance_begun(struct balance *balance, const char *domain);

/* Appends a JSON list of what is missing: domains without a live actor, and what the actors say
 * that they wait for. Whether nothing is. */
bool balance_ready(const struct balance *balance, struct buffer *list);

/* Whether each instance that was found so far has answered. */
bool balance_settled(const struct balance *balance);

/* The domain's instances, linked by `next`; NULL: none. For those who look at all of them. */
struct instance *balance_first(const struct balance *balance, const char *domain);

/* Instances of a domain that can be used, and calls outstanding there. */
unsigned balance_live(const struct balance *balance, const char *domain);
unsigned balance_outstanding(const struct balance *balance, const char *domain);

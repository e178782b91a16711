/* How things fail: a fault is a declared outcome, a failure is one that happened.
 *
 * `return fail(call, chat_not_found, "chat %" PRId64, id);` records the fault, the text for the
 * log, and the place; the first cause wins. Any struct with a member `struct failure failure` can
 * be the first argument. Nothing here allocates or waits. */
#pragma once

#include "arena.h"

struct record; /* the contract's */

/* A declared outcome that reaches the caller; rows of the contract make these (fault_<name>). */
struct fault {
    const char *name;            /* on the wire, and never reused for anything else */
    int status;                  /* of HTTP */
    const char *text;            /* for the caller; NULL: the failure's own text is shown */
    bool kept;                   /* the transaction commits although the caller gets this */
    bool retry;                  /* nothing was done and later may succeed: HTTP adds Retry-After */
    const char *error_type;      /* of the event that tells of it within a stream, or NULL */
    const struct record *detail; /* what `detail` in the answer is made of, or NULL: the text */
    const char *prose;           /* a sentence of documentation */
};

struct failure {
    const struct fault *fault; /* NULL: nothing failed */
    const char *file;          /* where it was noticed first */
    int line;                  /* in `file` */
    struct str detail;         /* a msgpack map where the fault declares one; in the call's arena */
    char text[200];            /* the cause, for the log, terminated */
};

/* Records a failure unless one is recorded already. Always -1. */
int fail_at(struct failure *failure, const struct fault *fault, const char *file, int line,
            const char *format, ...) PRINTF_LIKE(5, 6);

#define fail(holder, name, ...)                                                                    \
    fail_at(&(holder)->failure, &fault_##name, __FILE__, __LINE__, __VA_ARGS__)

static inline bool failed_with(const struct failure *failure, const struct fault *fault)
{
    return failure->fault == fault;
}

/* Forgets a failure, so that the work can be tried again. */
static inline void failure_clear(struct failure *failure)
{
    failure->fault = NULL;
    failure->detail = NO_STR;
    failure->text[0] = '\0';
}

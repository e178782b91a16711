/* What the server's error codes mean for a call and for its connection. */
#pragma once

#include "request.h"

/* How a statement ended. */
enum verdict {
    VERDICT_fine,
    VERDICT_conflict,     /* rolled back because of somebody else: may be run again */
    VERDICT_gone,         /* the server is going, or read-only: the connection is of no more use */
    VERDICT_timeout,      /* the server ended it */
    VERDICT_unknown_user, /* it refers to a user that is no more */
    VERDICT_vanished,     /* what it refers to went since it found it: may be run again */
    VERDICT_unprepared,   /* the prepared statement is not there: prepare it and run it again */
    VERDICT_replan,  /* its prepared form does not fit the schema any more: run it unprepared */
    VERDICT_missing, /* a table is not there */
    VERDICT_other    /* our own mistake, most likely */
};

/* The verdict on a result; never of one that was skipped. */
enum verdict verdict_of(const PGresult *result);

/* Whether the server closes the connection after this error. */
bool verdict_is_fatal(const PGresult *result);

/* Five characters; "" where the server gave none. */
const char *sqlstate_of(const PGresult *result);

/* Records in the call why a finished request has no good answer. Always -1. */
int request_fail(struct call *call, const struct request *request);

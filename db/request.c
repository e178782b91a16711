/* Lists of requests, and their end; see request.h. */
#include "request.h"
#include "base/time.h"
#include "crowd.h"
#include <assert.h>

void request_append(struct request_list *list, struct request *request)
{
    assert(request->list == NULL);
    request->list = list;
    request->after = NULL;
    request->before = list->last;
    if (list->last != NULL)
        list->last->after = request;
    else
        list->first = request;
    list->last = request;
    list->count++;
}

void request_unlink(struct request *request)
{
    struct request_list *list = request->list;

    if (list == NULL)
        return;
    if (request->before != NULL)
        request->before->after = request->after;
    else
        list->first = request->after;
    if (request->after != NULL)
        request->after->before = request->before;
    else
        list->last = request->before;
    request->before = request->after = NULL;
    request->list = NULL;
    list->count--;
}

struct request *request_shift(struct request_list *list)
{
    struct request *request = list->first;

    if (request != NULL)
        request_unlink(request);
    return request;
}

void request_leave_crowd(struct request *request)
{
    if (request->crowd != NULL)
        crowd_leave(request->crowd, request->outcome == OUTCOME_answered, time_now_us());
    request->crowd = NULL;
}

void request_finish(struct request *request, enum outcome outcome)
{
    assert(request->outcome == OUTCOME_none && request->list == NULL);
    request->outcome = outcome;
    request_leave_crowd(request);
    if (request->done != NULL)
        request->done(request);
    else if (request->fiber != NULL)
        fiber_wake(request->fiber, WAKE_DONE);
}

void request_finish_all(struct request_list *list, enum outcome outcome, const char *reason)
{
    struct request *request;

    while ((request = request_shift(list)) != NULL) {
        request->reason = reason;
        request_finish(request, outcome);
    }
}

bool request_wait(struct request *request, int64_t deadline_us, bool shielded, enum wake *why)
{
    while (request->outcome == OUTCOME_none) {
        *why = shielded ? fiber_wait_shielded(deadline_us) : fiber_wait(deadline_us);
        if (*why == WAKE_TIMEOUT || *why == WAKE_CANCEL)
            return request->outcome != OUTCOME_none;
    }
    return true;
}

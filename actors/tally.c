/* See tally.h. */
#include "tally.h"
#include "base/stat.h"
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

STAT_LABELED(requests_total, counter, "method", "Messages that were answered, however they ended.");
STAT_LABELED(requests_refused_total, counter, "method",
             "Of these, answered with a fault of the caller's (a status of 400 to 499).");
STAT_LABELED(requests_failed_total, counter, "method",
             "Of these, answered with a fault of ours (a status of 500 or more).");
STAT_LABELED(request_seconds, histogram, "method", "From a message's coming to its reply.");
STAT(mailbox_calls, gauge, "Calls in flight.");
STAT(mailbox_bytes, gauge, "Bytes of the messages of calls in flight.");
STAT(busy_total, counter, "Messages refused because the mailbox was full.");
STAT(expired_total, counter, "Messages whose time had passed before their handler began.");
STAT(cancelled_total, counter, "Calls that their callers took back.");
STAT(garbage_total, counter, "Messages in which not even an id could be read.");
STAT(replies_dropped_total, counter, "Replies whose receiver had gone or did not read.");

static const char **names; /* of the methods, by handler */

static void refresh(void *arg)
{
    const struct mailbox *mailbox = arg;

    stat_set(&mailbox_calls, mailbox->count);
    stat_set(&mailbox_bytes, (double)mailbox->bytes);
}

static void register_methods(const struct domain *domain)
{
    struct stat_row *const by_method[] = {&requests_total, &requests_refused_total,
                                          &requests_failed_total, &request_seconds};

    names = calloc(domain->count, sizeof(*names));
    if (names == NULL) {
        fputs("no memory for the numbers\n", stderr);
        exit(EX_OSERR);
    }
    for (size_t i = 0; i < domain->count; i++)
        names[i] = domain->handlers[i].method->name;
    for (size_t i = 0; i < sizeof(by_method) / sizeof(*by_method); i++)
        stat_register_labels(by_method[i], names, (unsigned)domain->count);
}

void tally_open(const struct domain *domain, const struct mailbox *mailbox)
{
    struct stat_row *const plain[] = {&mailbox_calls,        &mailbox_bytes,   &busy_total,
                                      &expired_total,        &cancelled_total, &garbage_total,
                                      &replies_dropped_total};

    register_methods(domain);
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
        stat_register(plain[i]);
    stat_on_render(refresh, (void *)mailbox);
}

void tally_ended(unsigned handler, const struct fault *fault, int64_t took_us)
{
    stat_add_at(&requests_total, handler, 1);
    stat_observe_at(&request_seconds, handler, took_us);
    if (fault == NULL)
        return;
    stat_add_at(fault->status < 500 ? &requests_refused_total : &requests_failed_total, handler, 1);
    if (fault == &fault_cancelled)
        stat_add(&cancelled_total, 1);
}

void tally_close(void)
{
    free(names);
    names = NULL;
}

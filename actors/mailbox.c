/* See mailbox.h. */
#include "mailbox.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

void mailbox_open(struct mailbox *mailbox, unsigned most, size_t most_bytes)
{
    size_t buckets = 1;

    while (buckets < (size_t)most * 2)
        buckets *= 2;
    *mailbox = (struct mailbox){.mask = buckets - 1, .most = most, .most_bytes = most_bytes};
    mailbox->buckets = calloc(buckets, sizeof(struct mail *));
    if (mailbox->buckets == NULL) {
        fputs("no memory for the mailbox\n", stderr);
        exit(EX_OSERR);
    }
}

void mailbox_close(struct mailbox *mailbox)
{
    assert(mailbox->count == 0 && mailbox->bytes == 0);
    free(mailbox->buckets);
    mailbox->buckets = NULL;
}

bool mailbox_has_room(const struct mailbox *mailbox, size_t bytes)
{
    return mailbox->count < mailbox->most && bytes <= mailbox->most_bytes - mailbox->bytes;
}

uint64_t mail_hash(uint64_t peer_hash, int64_t id)
{
    uint64_t hash = (peer_hash ^ (uint64_t)id) * 0x9E3779B97F4A7C15u;

    return hash ^ hash >> 32;
}

struct mail *mailbox_find(const struct mailbox *mailbox, uint64_t hash,
                          const struct link_peer *from, int64_t id)
{
    struct mail *mail = mailbox->buckets[hash & mailbox->mask];

    while (mail != NULL && (mail->hash != hash || mail->id != id || !peer_equal(&mail->from, from)))
        mail = mail->next;
    return mail;
}

void mailbox_add(struct mailbox *mailbox, struct mail *mail)
{
    struct mail **bucket = &mailbox->buckets[mail->hash & mailbox->mask];

    mail->next = *bucket;
    *bucket = mail;
    mailbox->count++;
    mailbox->bytes += mail->bytes;
}

void mailbox_remove(struct mailbox *mailbox, struct mail *mail)
{
    struct mail **link = &mailbox->buckets[mail->hash & mailbox->mask];

    while (*link != mail)
        link = &(*link)->next;
    *link = mail->next;
    mailbox->count--;
    mailbox->bytes -= mail->bytes;
}

void mailbox_cancel_all(struct mailbox *mailbox)
{
    for (size_t i = 0; i <= mailbox->mask; i++) {
        for (struct mail *mail = mailbox->buckets[i]; mail != NULL; mail = mail->next)
            fiber_cancel(mail->call.fiber);
    }
}

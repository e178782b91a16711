/* Addresses that a process listens on: `host:port` as people write it. */
#pragma once

#include "base/arena.h"
#include <sys/socket.h>

enum { ADDRESS_TEXT_BYTES = 80 };

struct address {
    struct sockaddr_storage storage; /* the kernel's form */
    socklen_t len;                   /* of `storage` */
};

/* Reads `host:port`, `[v6]:port`, `:port` (any address). A name is looked up, which may wait: call
 * it at start-up. 0, or -1 with a sentence for people in *cause. */
int address_parse(const char *text, struct address *address, const char **cause) MUST;

/* Whether only this machine can reach it. */
bool address_is_loopback(const struct address *address);

/* Writes it as address_parse() reads it; returns `out`. */
char *address_format(const struct address *address, char out[ADDRESS_TEXT_BYTES]);

/* A listening, non-blocking TCP socket on that address, with SO_REUSEPORT where `shared`. -1 with
 * errno. */
int address_listen(const struct address *address, int backlog, bool shared) MUST;

/* The address that a socket is bound to. 0, or -1 with errno. */
int address_of_socket(int fd, struct address *address) MUST;

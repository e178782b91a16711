/* Who the client is: the peer, or whom the proxies in front say it is.
 *
 * X-Forwarded-For is a list to which each proxy appends the address that it saw. It is read from
 * the right, as long as the address that wrote an entry is a trusted one; what stands further left
 * anybody can have invented. */
#pragma once

#include "http.h"
#include <netinet/in.h>

struct proxies; /* a list of networks */

/* Reads `10.0.0.0/8,::1` (may be empty). NULL: a sentence about what is wrong in `wrong`. */
struct proxies *proxies_parse(const char *text, char *wrong, size_t wrong_bytes) MUST;
void proxies_free(struct proxies *proxies);

/* The address that counts as the client's; an IPv4 one as ::ffff:a.b.c.d. */
struct in6_addr proxies_client(const struct proxies *proxies, const struct in6_addr *peer,
                               const struct http_head *head);

enum { CLIENT_TEXT_BYTES = INET6_ADDRSTRLEN };

/* Writes an address as people do, IPv4 with dots; returns `out`, terminated. */
struct str client_text(const struct in6_addr *address, char out[CLIENT_TEXT_BYTES]);

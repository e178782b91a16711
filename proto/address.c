/* Reads, writes and binds addresses. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

enum { HOST_BYTES = 256 };

/* Splits at the last colon; an IPv6 address stands in brackets, which are dropped. */
static int split(const char *text, char host[HOST_BYTES], const char **port)
{
    const char *colon = strrchr(text, ':');
    size_t len;

    if (colon == NULL)
        return -1;
    len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return -1;
    }
    if (len >= HOST_BYTES)
        return -1;
    memcpy(host, text, len);
    host[len] = '\0';
    *port = colon + 1;
    return 0;
}

int address_parse(const char *text, struct address *address, const char **cause)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char host[HOST_BYTES];
    const char *port;
    int code;

    if (split(text, host, &port) != 0 || *port == '\0') {
        *cause = "an address is written host:port";
        return -1;
    }
    code = getaddrinfo(*host != '\0' ? host : NULL, port, &hints, &found);
    if (code != 0) {
        *cause = gai_strerror(code);
        return -1;
    }
    memset(address, 0, sizeof(*address));
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

bool address_is_loopback(const struct address *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;

    if (address->storage.ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return address->storage.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

char *address_format(const struct address *address, char out[ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;

    if (address->storage.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(out, ADDRESS_TEXT_BYTES, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(out, ADDRESS_TEXT_BYTES, "%s:%u", host, ntohs(v4->sin_port));
    }
    return out;
}

static int prepare(int fd, const struct address *address, int backlog, bool shared)
{
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return -1;
    if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&address->storage, address->len) != 0)
        return -1;
    return listen(fd, backlog);
}

int address_listen(const struct address *address, int backlog, bool shared)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (prepare(fd, address, backlog, shared) != 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

int address_of_socket(int fd, struct address *address)
{
    memset(address, 0, sizeof(*address));
    address->len = sizeof(address->storage);
    return getsockname(fd, (struct sockaddr *)&address->storage, &address->len);
}

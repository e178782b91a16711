/* Networks are kept and compared as IPv6 ones; an IPv4 network is one below ::ffff:0:0/96. */
#include "proxies.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { V4_BITS = 32, V6_BITS = 128, ENTRY_BYTES = 64 };

struct network {
    struct in6_addr address; /* its first */
    unsigned bits;           /* that count */
};

struct proxies {
    size_t count;              /* of networks */
    struct network networks[]; /* in the order in which they were written */
};

/* Reads one address, with a port behind it where a proxy wrote one; IPv4 becomes a mapped one. */
static bool read_address(struct str text, struct in6_addr *address, bool *v4)
{
    char copy[ENTRY_BYTES];
    struct in_addr four;

    if (text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *v4 = inet_pton(AF_INET, copy, &four) == 1;
    if (!*v4)
        return inet_pton(AF_INET6, copy, address) == 1;
    *address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&address->s6_addr[12], &four, sizeof(four));
    return true;
}

/* `10.0.0.0/8`, or one address alone. */
static bool read_network(struct str text, struct network *network)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    size_t len = slash != NULL ? (size_t)(slash - text.ptr) : text.len;
    unsigned most, bits;
    bool v4;

    if (!read_address((struct str){text.ptr, len}, &network->address, &v4))
        return false;
    most = bits = v4 ? V4_BITS : V6_BITS;
    if (slash != NULL) {
        bits = 0;
        if (++len == text.len || text.len - len > 3)
            return false;
        for (; len < text.len; len++) {
            if (text.ptr[len] < '0' || text.ptr[len] > '9')
                return false;
            bits = bits * 10 + (unsigned)(text.ptr[len] - '0');
        }
    }
    network->bits = v4 ? bits + V6_BITS - V4_BITS : bits;
    return bits <= most;
}

static struct str trim(struct str text)
{
    while (text.len > 0 && (*text.ptr == ' ' || *text.ptr == '\t'))
        text = (struct str){text.ptr + 1, text.len - 1};
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Takes the last entry, trimmed, off a list that commas separate. */
static bool take_last(struct str *list, struct str *entry)
{
    const char *comma;

    if (list->ptr == NULL || list->len == 0)
        return false;
    comma = memrchr(list->ptr, ',', list->len);
    if (comma == NULL) {
        *entry = trim(*list);
        list->len = 0;
        return true;
    }
    *entry = trim((struct str){comma + 1, (size_t)(list->ptr + list->len - comma - 1)});
    list->len = (size_t)(comma - list->ptr);
    return true;
}

static size_t count_entries(const char *text)
{
    size_t count = 1;

    for (; *text != '\0'; text++)
        count += *text == ',';
    return count;
}

struct proxies *proxies_parse(const char *text, char *wrong, size_t wrong_bytes)
{
    struct proxies *proxies =
        calloc(1, sizeof(*proxies) + count_entries(text) * sizeof(struct network));
    struct str list = str_of(text), entry;

    if (proxies == NULL) {
        snprintf(wrong, wrong_bytes, "no memory");
        return NULL;
    }
    while (take_last(&list, &entry)) {
        if (entry.len == 0)
            continue;
        if (!read_network(entry, &proxies->networks[proxies->count++])) {
            snprintf(wrong, wrong_bytes, "%.*s is no network as 10.0.0.0/8 or fd00::/8 is one",
                     STR_ARG(entry));
            free(proxies);
            return NULL;
        }
    }
    return proxies;
}

void proxies_free(struct proxies *proxies)
{
    free(proxies);
}

static bool within(const struct network *network, const struct in6_addr *address)
{
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    unsigned char mask = (unsigned char)(0xff00U >> rest);

    if (memcmp(address, &network->address, whole) != 0)
        return false;
    return rest == 0 || ((address->s6_addr[whole] ^ network->address.s6_addr[whole]) & mask) == 0;
}

static bool trusted(const struct proxies *proxies, const struct in6_addr *address)
{
    for (size_t i = 0; i < proxies->count; i++)
        if (within(&proxies->networks[i], address))
            return true;
    return false;
}

/* An entry of the field: an address, perhaps in brackets, perhaps with a port. */
static bool read_entry(struct str entry, struct in6_addr *address)
{
    const char *end;
    bool v4;

    if (entry.len > 0 && entry.ptr[0] == '[') {
        end = memchr(entry.ptr, ']', entry.len);
        if (end == NULL)
            return false;
        return read_address((struct str){entry.ptr + 1, (size_t)(end - entry.ptr) - 1}, address,
                            &v4);
    }
    end = memchr(entry.ptr, ':', entry.len);
    if (end != NULL && end == memrchr(entry.ptr, ':', entry.len))
        entry.len = (size_t)(end - entry.ptr);
    return read_address(entry, address, &v4);
}

/* Goes through one field from the right; false: the client was found. */
static bool walk(const struct proxies *proxies, struct str list, struct in6_addr *client)
{
    struct in6_addr seen;
    struct str entry;

    while (take_last(&list, &entry)) {
        if (entry.len == 0)
            continue;
        if (!trusted(proxies, client) || !read_entry(entry, &seen))
            return false;
        *client = seen;
    }
    return true;
}

struct in6_addr proxies_client(const struct proxies *proxies, const struct in6_addr *peer,
                               const struct http_head *head)
{
    struct in6_addr client = *peer;

    if (proxies->count == 0)
        return client;
    for (unsigned i = head->count; i-- > 0;) {
        if (http_same(head->fields[i].name, STR("x-forwarded-for")) &&
            !walk(proxies, head->fields[i].value, &client))
            break;
    }
    return client;
}

struct str client_text(const struct in6_addr *address, char out[CLIENT_TEXT_BYTES])
{
    if (IN6_IS_ADDR_V4MAPPED(address))
        inet_ntop(AF_INET, &address->s6_addr[12], out, CLIENT_TEXT_BYTES);
    else
        inet_ntop(AF_INET6, address, out, CLIENT_TEXT_BYTES);
    return str_of(out);
}

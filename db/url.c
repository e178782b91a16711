/* Database URLs: the driver's name of other libraries' spellings is taken out, the rest is libpq's
 * to judge. */
#include "url.h"

#include <stdio.h>

/* `scheme` without `+driver`. */
static struct str without_driver(struct str scheme)
{
    const char *plus = memchr(scheme.ptr, '+', scheme.len);

    return plus == NULL ? scheme : (struct str){scheme.ptr, (size_t)(plus - scheme.ptr)};
}

int database_url_normalize(const char *url, char *out, size_t room_bytes)
{
    const char *colon;
    struct str scheme;
    int len;

    if (url == NULL)
        url = "";
    colon = strstr(url, "://");
    /* a `key=value` text may hold `://` in a value, but never before the first `=` */
    if (colon == NULL || memchr(url, '=', (size_t)(colon - url)) != NULL) {
        len = snprintf(out, room_bytes, "%s", url);
        return len >= 0 && (size_t)len < room_bytes ? 0 : -1;
    }
    scheme = without_driver((struct str){url, (size_t)(colon - url)});
    if (!str_is(scheme, "postgresql") && !str_is(scheme, "postgres"))
        return -1;
    len = snprintf(out, room_bytes, "postgresql%s", colon);
    return len >= 0 && (size_t)len < room_bytes ? 0 : -1;
}

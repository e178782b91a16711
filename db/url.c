/* Database URLs: the driver's name of other libraries' spellings is taken out, the rest is libpq's
 * to judge. */
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

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

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);

    return value != NULL && value[0] != '\0';
}

void database_find_private(const char *url, const char *state)
{
    char folder[DATABASE_URL_MAX], path[DATABASE_URL_MAX + 32];
    struct stat status;

    if ((url != NULL && url[0] != '\0') || is_set("PGHOST") || is_set("PGHOSTADDR") ||
        is_set("PGSERVICE"))
        return;
    if (snprintf(folder, sizeof(folder), "%s/run", state) >= (int)sizeof(folder))
        return;
    snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", folder);
    if (stat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return;
    setenv("PGHOST", folder, 1);
    setenv("PGPORT", "5432", 1);
    setenv("PGUSER", "lectern", 0);
    setenv("PGDATABASE", "lectern", 0);
}

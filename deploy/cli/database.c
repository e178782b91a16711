/* The database of sub-commands that speak to it directly. They wait: there is no loop here. */
#include "database.h"
#include "base/option.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* libpq's messages have several lines; here a cause is one. */
static void complain(const char *command, const char *message)
{
    size_t len = strlen(message);

    while (len > 0 && message[len - 1] == '\n')
        len--;
    fprintf(stderr, "lectern %s: ", command);
    for (size_t i = 0; i < len; i++)
        fputc(message[i] == '\n' || message[i] == '\t' ? ' ' : message[i], stderr);
    fputc('\n', stderr);
}

PGconn *cli_connect(const char *command, int *code)
{
    char url[DATABASE_URL_MAX], state[256];
    /* what the URL says overrides what stands before it, and is overridden by nothing */
    const char *keys[] = {"connect_timeout", "application_name", "dbname", NULL};
    const char *values[] = {"10", "lectern", url, NULL};
    PGconn *conn;

    if (database_url_normalize(getenv("DATABASE_URL"), url, sizeof(url)) != 0) {
        fprintf(stderr, "lectern %s: DATABASE_URL is not a postgresql:// URL\n", command);
        *code = EX_CONFIG;
        return NULL;
    }
    if (url[0] == '\0') {
        keys[2] = NULL;
        if (option_state(getenv("LECTERN_STATE"), state, sizeof(state)) == 0)
            database_find_private(url, state);
    }
    conn = PQconnectdbParams(keys, values, 1);
    if (PQstatus(conn) == CONNECTION_OK)
        return conn;
    complain(command, conn != NULL ? PQerrorMessage(conn) : "no memory");
    PQfinish(conn);
    *code = EX_UNAVAILABLE;
    return NULL;
}

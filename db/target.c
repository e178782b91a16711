/* What libpq needs to know, read once; see target.h.
 *
 * Every value comes from PQconninfoParse() and PQconndefaults(). A connection to each host is then
 * begun with an address that cannot be one: libpq checks all options, reads the password file, and
 * gives up before it opens a socket. */
#include "target.h"
#include "base/log.h"
#include "base/time.h"
#include "resolve.h"
#include "url.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum {
    HOSTS_MOST = RESOLVE_NAMES,
    PLACES_MOST = HOSTS_MOST * 2,
    OPTIONS_MOST = 64,
    LIST_BYTES = PLACES_MOST * 256,
    FRESH_US = 1000000 /* how long an answer of the resolver is good */
};

#define NO_ADDRESS "no address but a look"
#define NO_FILE "/dev/null/none"

struct host {
    char port[16];            /* as given; empty: libpq's default */
    char given[64];           /* its address, where that was given */
    bool is_name;             /* its addresses must be asked for */
    struct resolved resolved; /* its name, and the addresses of last time */
};

struct target {
    char url[DATABASE_URL_MAX];    /* as libpq takes it; empty: the environment */
    PQconninfoOption *options;     /* all of libpq's, the URL's before the environment's */
    char *password;                /* all hosts', or NULL */
    bool many_passwords;           /* libpq reads the password file itself */
    char startup[512];             /* the server's settings, as `options` takes them */
    const char *application_name;  /* where the user names none */
    unsigned host_count;           /* in use of `hosts` */
    struct host hosts[HOSTS_MOST]; /* in the order of trying */
    bool has_names;                /* one of them is to be resolved */
    int64_t resolved_us;           /* when that was done last; 0: never */
    struct resolve *resolve;       /* under way, or NULL */
    void (*done)(void *arg);       /* called when it ends */
    void *arg;                     /* for it */
    char error[200];               /* why there is no place */
    char name[256];                /* for the log */
    char list[3][LIST_BYTES];      /* hosts, addresses, ports of one attempt */
};

/* ---- mistakes ---- */

/* Whether what libpq quotes from the URL may hold a secret. */
static bool is_secret(const char *url, const char *quoted, size_t len)
{
    const char *begin = strstr(url, "://");
    const char *end = begin != NULL ? strrchr(begin, '@') : NULL;

    if (strstr(url, "password") != NULL || memchr(quoted, '@', len) != NULL)
        return true;
    return end != NULL && len > 0 && memmem(begin, (size_t)(end - begin), quoted, len) != NULL;
}

/* Ends the program. What stands in quotes is left out where it may be a password. */
static _Noreturn void refuse(const char *url, const char *why)
{
    char text[400];
    size_t len = 0;

    while (*why != '\0' && *why != '\n' && len < sizeof(text) - 4) {
        const char *end = *why == '"' ? strchr(why + 1, '"') : NULL;

        if (end != NULL && is_secret(url, why + 1, (size_t)(end - why - 1))) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "\"…\"");
            why = end + 1;
            if (len >= sizeof(text) - 4)
                break;
            continue;
        }
        text[len++] = *why++;
    }
    text[len] = '\0';
    log_error(&process, "DATABASE_URL or PG*: %s", text);
    log_close();
    exit(EX_CONFIG);
}

static void *must_have(void *memory)
{
    if (memory != NULL)
        return memory;
    log_error(&process, "no memory for the database's connections");
    log_close();
    exit(EX_OSERR);
}

/* ---- reading ---- */

static char **value_of(PQconninfoOption *options, const char *keyword)
{
    for (PQconninfoOption *at = options; at != NULL && at->keyword != NULL; at++)
        if (strcmp(at->keyword, keyword) == 0)
            return &at->val;
    return NULL;
}

/* An option's value, or NULL where there is none or it is empty. */
static const char *option(const struct target *target, const char *keyword)
{
    char **at = value_of(target->options, keyword);

    return at != NULL && *at != NULL && (*at)[0] != '\0' ? *at : NULL;
}

/* The service that the URL names takes the environment's place for the time of reading. */
static PQconninfoOption *read_defaults(PQconninfoOption *url_options)
{
    char **service = value_of(url_options, "service");

    if (service != NULL && *service != NULL)
        setenv("PGSERVICE", *service, 1);
    return must_have(PQconndefaults());
}

static void read_options(struct target *target)
{
    char *error = NULL;
    PQconninfoOption *given = NULL;

    if (target->url[0] != '\0') {
        given = PQconninfoParse(target->url, &error);
        if (given == NULL)
            refuse(target->url, error != NULL ? error : "no memory");
    }
    target->options = read_defaults(given);
    for (PQconninfoOption *at = given; at != NULL && at->keyword != NULL; at++) {
        char **to = at->val != NULL ? value_of(target->options, at->keyword) : NULL;

        if (to == NULL)
            continue;
        free(*to);
        *to = at->val;
        at->val = NULL;
    }
    PQconninfoFree(given);
}

/* The nth part of a list with commas, into `out`; the last one again where there are fewer. */
static void part_of(const char *list, unsigned n, bool repeat, char *out, size_t room)
{
    size_t len;

    while (n > 0 && strchr(list, ',') != NULL) {
        list = strchr(list, ',') + 1;
        n--;
    }
    len = n > 0 && !repeat ? 0 : strcspn(list, ",");
    snprintf(out, room, "%.*s", (int)len, list);
}

static unsigned parts_in(const char *list)
{
    unsigned count = 1;

    for (; *list != '\0'; list++)
        count += *list == ',';
    return count;
}

static bool is_address(const char *text)
{
    char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static void read_host(struct target *target, unsigned n)
{
    struct host *host = &target->hosts[n];
    const char *name = option(target, "host");
    const char *address = option(target, "hostaddr");
    const char *port = option(target, "port");

    part_of(name != NULL ? name : "", n, false, host->resolved.name, RESOLVE_NAME_BYTES);
    part_of(address != NULL ? address : "", n, false, host->given, sizeof(host->given));
    part_of(port != NULL ? port : "", n, true, host->port, sizeof(host->port));
    if (host->given[0] == '\0' && is_address(host->resolved.name))
        part_of(name, n, false, host->given, sizeof(host->given));
    host->is_name = host->given[0] == '\0' && host->resolved.name[0] != '\0' &&
                    host->resolved.name[0] != '/' && host->resolved.name[0] != '@';
    target->has_names |= host->is_name;
}

static void read_hosts(struct target *target)
{
    const char *list = option(target, "host");

    if (list == NULL)
        list = option(target, "hostaddr");
    target->host_count = list != NULL ? parts_in(list) : 1;
    if (target->host_count > HOSTS_MOST)
        refuse(target->url, "more than 16 hosts");
    for (unsigned n = 0; n < target->host_count; n++)
        read_host(target, n);
}

/* Has libpq check everything and look the host's password up; its password, or NULL. */
static char *read_password(struct target *target, unsigned n)
{
    const struct host *host = &target->hosts[n];
    const char *const keywords[] = {"dbname", "host", "hostaddr", "port", NULL};
    const char *const values[] = {target->url, host->resolved.name, NO_ADDRESS, host->port, NULL};
    PGconn *look = must_have(PQconnectStartParams(keywords, values, 1));
    const char *password = PQpass(look);
    char *copy = NULL;

    if (strstr(PQerrorMessage(look), NO_ADDRESS) == NULL)
        refuse(target->url, PQerrorMessage(look));
    if (password != NULL && password[0] != '\0')
        copy = must_have(strdup(password));
    PQfinish(look);
    return copy;
}

static void read_passwords(struct target *target)
{
    target->password = read_password(target, 0);
    for (unsigned n = 1; n < target->host_count; n++) {
        char *other = read_password(target, n);
        bool same = (other == NULL) == (target->password == NULL) &&
                    (other == NULL || strcmp(other, target->password) == 0);

        target->many_passwords |= !same;
        free(other);
    }
}

/* What each session is given when it starts; what the user asks for himself comes later and holds.
 * A pooler may refuse such settings: without statement names they are set by a query instead. */
static void read_startup(struct target *target, const struct pool_config *config)
{
    const char *own = option(target, "options");
    int64_t most_ms = config->statement_timeout_us / 1000;

    if (config->statement_names)
        snprintf(target->startup, sizeof(target->startup),
                 "-c statement_timeout=%" PRId64 " -c idle_in_transaction_session_timeout=%" PRId64
                 " -c client_connection_check_interval=1000 %s",
                 most_ms, most_ms, own != NULL ? own : "");
    else if (own != NULL)
        snprintf(target->startup, sizeof(target->startup), "%s", own);
}

static void name_it(struct target *target)
{
    const char *database = option(target, "dbname");
    const char *host = option(target, "host");
    const char *port = option(target, "port");

    if (host == NULL)
        host = option(target, "hostaddr");
    snprintf(target->name, sizeof(target->name), "%s on %s port %s",
             database != NULL ? database : "the user's database",
             host != NULL ? host : "the local socket", port != NULL ? port : "5432");
}

struct target *target_read(const struct pool_config *config)
{
    struct target *target = must_have(calloc(1, sizeof(*target)));

    if (database_url_normalize(config->url, target->url, sizeof(target->url)) != 0)
        refuse("", "it is no postgresql:// URL, or too long");
    read_options(target);
    read_hosts(target);
    read_passwords(target);
    read_startup(target, config);
    name_it(target);
    target->application_name = config->application_name;
    unsetenv("PGSERVICE"); /* else libpq would read the service file for each connection */
    return target;
}

/* ---- names ---- */

bool target_is_stale(const struct target *target)
{
    return target->has_names &&
           (target->resolved_us == 0 || time_now_us() - target->resolved_us > FRESH_US);
}

static void take_answer(struct target *target, const struct resolved *answer)
{
    for (unsigned n = 0, i = 0; n < target->host_count; n++) {
        if (!target->hosts[n].is_name)
            continue;
        if (answer[i].count > 0)
            target->hosts[n].resolved = answer[i];
        else
            snprintf(target->error, sizeof(target->error), "host %.60s: %s", answer[i].name,
                     answer[i].error);
        i++;
    }
}

static void on_resolved(struct resolve *resolve, void *arg)
{
    struct target *target = arg;

    target->resolved_us = time_now_us();
    take_answer(target, resolve_answer(resolve));
    resolve_drop(&target->resolve);
    target->done(target->arg);
}

int target_resolve(struct target *target, void (*done)(void *arg), void *arg)
{
    struct resolved names[HOSTS_MOST];
    unsigned count = 0;

    if (target->resolve != NULL)
        return 0;
    for (unsigned n = 0; n < target->host_count; n++)
        if (target->hosts[n].is_name)
            names[count++] = target->hosts[n].resolved;
    target->done = done;
    target->arg = arg;
    target->resolve = resolve_start(names, count, on_resolved, target);
    return target->resolve != NULL ? 0 : -1;
}

void target_resolve_stop(struct target *target)
{
    if (target->resolve == NULL)
        return;
    resolve_drop(&target->resolve);
    snprintf(target->error, sizeof(target->error), "the host's name could not be resolved in time");
}

/* ---- connecting ---- */

struct place {
    const struct host *host; /* whose */
    const char *address;     /* empty: a UNIX socket */
};

static unsigned places_of(const struct target *target, struct place places[PLACES_MOST])
{
    unsigned count = 0;

    for (unsigned n = 0; n < target->host_count; n++) {
        const struct host *host = &target->hosts[n];

        if (!host->is_name && count < PLACES_MOST)
            places[count++] = (struct place){host, host->given};
        for (unsigned i = 0; host->is_name && i < host->resolved.count && count < PLACES_MOST; i++)
            places[count++] = (struct place){host, host->resolved.addresses[i]};
    }
    return count;
}

unsigned target_places(const struct target *target)
{
    struct place places[PLACES_MOST];

    return places_of(target, places);
}

const char *target_error(const struct target *target)
{
    return target->error;
}

/* Writes the three lists of as many parts that libpq takes. */
static void list_places(struct target *target, unsigned turn)
{
    struct place places[PLACES_MOST];
    unsigned count = places_of(target, places);
    size_t len[3] = {0, 0, 0};

    for (unsigned i = 0; i < count; i++) {
        const struct place *place = &places[(turn + i) % count];
        const char *const part[3] = {place->host->resolved.name, place->address, place->host->port};

        for (int list = 0; list < 3; list++)
            len[list] += (size_t)snprintf(target->list[list] + len[list], LIST_BYTES - len[list],
                                          "%s%.254s", i > 0 ? "," : "", part[list]);
    }
}

struct words {
    const char *keywords[OPTIONS_MOST]; /* as PQconnectStartParams() takes them */
    const char *values[OPTIONS_MOST];   /* the same */
    int count;                          /* in use */
};

static void say(struct words *words, const char *keyword, const char *value)
{
    if (value == NULL || words->count >= OPTIONS_MOST - 1)
        return;
    words->keywords[words->count] = keyword;
    words->values[words->count++] = value;
}

/* Said by us in another form, or no use once the service file was read. */
static bool is_ours(const char *keyword)
{
    static const char *const ours[] = {"host",     "hostaddr", "port",    "password",
                                       "passfile", "service",  "options", "client_encoding"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strcmp(keyword, ours[i]) == 0)
            return true;
    return false;
}

/* GSSAPI looks for a ticket cache at each connection: only where the user asked for it. */
static bool is_default_gss(const struct target *target, const PQconninfoOption *at)
{
    return strcmp(at->keyword, "gssencmode") == 0 && strstr(target->url, "gssencmode") == NULL &&
           getenv("PGGSSENCMODE") == NULL;
}

/* Where the user says nothing: a peer that vanished is noticed within some 15 seconds. */
static void say_defaults(struct words *words, const struct target *target)
{
    static const char *const defaults[][2] = {{"tcp_user_timeout", "15000"},
                                              {"keepalives_idle", "10"},
                                              {"keepalives_interval", "5"},
                                              {"keepalives_count", "2"}};

    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        if (option(target, defaults[i][0]) == NULL)
            say(words, defaults[i][0], defaults[i][1]);
    say(words, "fallback_application_name", target->application_name);
}

static void say_all(struct words *words, const struct target *target)
{
    for (const PQconninfoOption *at = target->options; at->keyword != NULL; at++) {
        if (at->val == NULL || at->val[0] == '\0' || is_ours(at->keyword))
            continue;
        say(words, at->keyword, is_default_gss(target, at) ? "disable" : at->val);
    }
    say_defaults(words, target);
    say(words, "host", target->list[0]);
    say(words, "hostaddr", target->list[1]);
    say(words, "port", target->list[2]);
    if (target->many_passwords)
        say(words, "passfile", option(target, "passfile"));
    else
        say(words, "passfile", NO_FILE);
    say(words, "password", target->password);
    say(words, "client_encoding", "UTF8");
    if (target->startup[0] != '\0')
        say(words, "options", target->startup);
    words->keywords[words->count] = words->values[words->count] = NULL;
}

PGconn *target_connect(struct target *target, unsigned turn)
{
    struct words words = {.count = 0};

    list_places(target, turn);
    say_all(&words, target);
    return PQconnectStartParams(words.keywords, words.values, 0);
}

const char *target_name(const struct target *target)
{
    return target->name;
}

void target_free(struct target **target_at)
{
    struct target *target = *target_at;

    *target_at = NULL;
    if (target == NULL)
        return;
    resolve_drop(&target->resolve);
    PQconninfoFree(target->options);
    free(target->password);
    free(target);
}

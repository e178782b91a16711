/* lectern-gateway: HTTP on one side, the actors on the other.
 *
 * Opens everything in the order in which it is needed, runs the loop, and closes in the other
 * order. SIGTERM stops accepting, lets what is in flight end within the grace time, and ends with
 * 0. */
#include "address.h"
#include "admin.h"
#include "base/loop.h"
#include "base/stat.h"
#include "base/time.h"
#include "discovery.h"
#include "exchange.h"
#include "listener.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>

OPTIONS_TABLE(option_rows, gateway_options, GATEWAY_OPTIONS);

enum {
    STATE_BYTES = 108,
    PATH_BYTES = STATE_BYTES + 80,
    PINGS_MOST = 1024, /* places in the table of what is pending, beside the exchanges' */
    SPARE_FIBERS = 8,
    LAST_TURNS_MOST = 1000,
    LOOK_MS = 5,    /* between looks whether actors answer */
    LOOKS_MOST = 60 /* then clients are told that they do not */
};

static struct gateway {
    struct gateway_options options; /* as they were given */
    char state[STATE_BYTES];        /* the state folder */
    char actors[PATH_BYTES];        /* where actors are */
    char admin_file[PATH_BYTES];    /* says where the admin address is */
    struct exchange_setup setup;    /* what exchanges share */
    struct cors *cors;              /* the setup's, to free */
    struct headers *headers;        /* the same */
    struct proxies *proxies;        /* the same */
    struct listener *listener;      /* for clients */
    struct admin *admin;            /* for probes; NULL: off */
    ev_timer look;                  /* whether actors answer, before clients are accepted */
    unsigned looks;                 /* so far */
    ev_timer grace;                 /* ends a drain that takes too long */
    bool draining;                  /* SIGTERM came */
} gateway;

static bool is_word(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');

        if (!letter && (*c < '0' || *c > '9') && *c != '_' && *c != '-')
            return false;
    }
    return *text != '\0' && strlen(text) <= 32;
}

static const char *check_http(const struct gateway_options *options, char *text, size_t bytes)
{
    struct address address;
    const char *cause;

    if (address_parse(options->http, &address, &cause) == 0)
        return NULL;
    snprintf(text, bytes, "http: %s: %s", options->http, cause);
    return text;
}

static const char *check_lists(const struct gateway_options *options, char *text, size_t bytes)
{
    char wrong[256];
    struct proxies *proxies = proxies_parse(options->trusted_proxies, wrong, sizeof(wrong));
    struct cors *cors;

    if (proxies == NULL) {
        snprintf(text, bytes, "trusted-proxies: %s", wrong);
        return text;
    }
    proxies_free(proxies);
    cors = cors_parse(options->cors_origins, wrong, sizeof(wrong));
    if (cors == NULL) {
        snprintf(text, bytes, "cors-origins: %s", wrong);
        return text;
    }
    cors_free(cors);
    if (discovery_check(options->actors, wrong, sizeof(wrong)) == NULL)
        return NULL;
    snprintf(text, bytes, "actors: %s", wrong);
    return text;
}

static const char *check_options(const void *values, char *text, size_t text_bytes)
{
    const struct gateway_options *options = values;
    const char *why;

    if (!is_word(options->instance))
        return "instance: a short word of letters and digits is wanted";
    why = check_http(options, text, text_bytes);
    return why != NULL ? why : check_lists(options, text, text_bytes);
}

static const struct option_program program = {
    .name = "lectern-gateway",
    .prose = "Answers HTTP for the actors of Lectern.",
    .rows = option_rows,
    .count = option_rows_count,
    .check = check_options,
};

static _Noreturn void end_with(int code)
{
    log_close();
    exit(code);
}

/* ---- opening ---- */

static void make_folder(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return;
    fprintf(stderr, "lectern-gateway: %s: %s\n", path, strerror(errno));
    end_with(EX_CANTCREAT);
}

static void find_places(void)
{
    const struct gateway_options *options = &gateway.options;
    char run[PATH_BYTES];

    if (option_state(options->state, gateway.state, sizeof(gateway.state)) != 0)
        end_with(EX_CONFIG);
    if (option_become_owner(gateway.state) != 0)
        end_with(EX_NOPERM);
    make_folder(gateway.state);
    snprintf(run, sizeof(run), "%s/run", gateway.state);
    make_folder(run);
    snprintf(gateway.admin_file, sizeof(gateway.admin_file), "%s/run/gateway-%s.admin",
             gateway.state, options->instance);
    if (options->actors[0] == '\0')
        snprintf(gateway.actors, sizeof(gateway.actors), "%s/actors", gateway.state);
}

static void open_log(void)
{
    static char name[64];
    const struct gateway_options *options = &gateway.options;

    snprintf(name, sizeof(name), "gateway-%s", options->instance);
    log_open(name, (enum log_level)log_level_of(options->log_level),
             strcmp(options->log_format, "json") == 0);
}

static void open_setup(void)
{
    const struct gateway_options *options = &gateway.options;
    struct exchange_setup *setup = &gateway.setup;
    char wrong[256] = "";

    setup->options = options;
    setup->production = strcmp(options->environment, "production") == 0;
    setup->proxies = gateway.proxies =
        proxies_parse(options->trusted_proxies, wrong, sizeof(wrong));
    setup->cors = gateway.cors = cors_parse(options->cors_origins, wrong, sizeof(wrong));
    if (gateway.cors != NULL)
        setup->headers = gateway.headers = headers_new(gateway.cors, setup->production);
    setup->guard = guard_new();
    if (options->cache > 0)
        setup->cache = cache_new((size_t)options->cache);
    if (setup->proxies == NULL || setup->headers == NULL || setup->guard == NULL) {
        log_error(&process, "cannot begin: %s", wrong[0] != '\0' ? wrong : "no memory");
        end_with(EX_OSERR);
    }
}

static void open_actors(void)
{
    const struct gateway_options *options = &gateway.options;
    struct balance_config config = {
        .where = options->actors[0] != '\0' ? options->actors : gateway.actors,
        .calls = (unsigned)options->exchanges + PINGS_MOST,
        .calls_each = (unsigned)options->outstanding,
        .bytes_each = (size_t)options->outstanding_bytes,
    };

    gateway.setup.balance = balance_open(&config);
}

static struct listener_times times_of(const struct gateway_options *options)
{
    return (struct listener_times){
        .head = options->head_deadline,
        .idle = options->idle_deadline,
        .body = options->body_deadline,
        .send = options->send_deadline,
        .body_rate = options->body_rate,
        .send_rate = options->send_rate,
    };
}

static void open_listener(void)
{
    const struct gateway_options *options = &gateway.options;
    struct listener_config config = {
        .address = options->http,
        .fd = -1,
        .waits = true,
        .connections = (unsigned)options->connections,
        .times = times_of(options),
        .handler = &exchange_handler,
    };

    gateway.listener = listener_open(&config);
    if (gateway.listener == NULL)
        end_with(EX_OSERR);
    log_info(&process, "clients connect to %s", listener_address(gateway.listener));
}

/* A gateway that joins others does not take clients from them before it can ask for them. */
static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    if (!balance_settled(gateway.setup.balance) && gateway.looks++ < LOOKS_MOST)
        return;
    ev_timer_stop(loop, timer);
    listener_accept(gateway.listener);
}

static void await_actors(void)
{
    ev_timer_init(&gateway.look, on_look, 0., LOOK_MS * 1e-3);
    ev_timer_start(loop_get(), &gateway.look);
}

static void check_ready(struct admin_missing *missing, void *arg)
{
    (void)arg;
    if (gateway.draining)
        admin_lacks(missing, "draining");
}

static bool is_given(const struct gateway_options *options)
{
    return strcmp(options->admin, "127.0.0.1:0") != 0;
}

static void open_admin(void)
{
    const struct gateway_options *options = &gateway.options;
    struct admin_config config = {
        .address = options->admin,
        .given = is_given(options),
        .file = gateway.admin_file,
        .check = check_ready,
    };

    if (strcmp(options->admin, "off") == 0)
        return;
    gateway.admin = admin_open(&config);
    if (gateway.admin == NULL)
        end_with(EX_OSERR);
}

/* ---- signals ---- */

static void on_empty(void *arg)
{
    (void)arg;
    loop_stop();
}

static void on_grace(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
    log_warn(&process, "%u requests were cut off at the end of the grace time", exchange_count());
    loop_stop();
}

static void drain(void *arg)
{
    double grace_s = (double)gateway.options.drain / (double)TIME_S(1);

    (void)arg;
    gateway.draining = true;
    log_info(&process, "draining, %u requests are in flight", exchange_count());
    ev_timer_init(&gateway.grace, on_grace, grace_s, 0.);
    ev_timer_start(loop_get(), &gateway.grace);
    listener_stop(gateway.listener, on_empty, NULL);
}

static void reload(void *arg)
{
    struct listener_times times;

    (void)arg;
    if (option_reload(&program, &gateway.options) != 0)
        return;
    log_set_level((enum log_level)log_level_of(gateway.options.log_level));
    times = times_of(&gateway.options);
    listener_set_times(gateway.listener, &times);
    log_info(&process, "the options were read again");
}

/* ---- closing ---- */

/* Fibers whose clients were cut off end in the next turns. */
static void end_exchanges(void)
{
    for (int i = 0; i < LAST_TURNS_MOST && fiber_count() > 0; i++)
        ev_run(loop_get(), EVRUN_NOWAIT);
}

static void close_all(void)
{
    ev_timer_stop(loop_get(), &gateway.look);
    ev_timer_stop(loop_get(), &gateway.grace);
    listener_close(gateway.listener);
    admin_close(gateway.admin);
    end_exchanges();
    balance_close(gateway.setup.balance);
    exchange_close();
    fiber_close();
    loop_close();
    link_shut();
    headers_free(gateway.headers);
    cors_free(gateway.cors);
    proxies_free(gateway.proxies);
    guard_free(gateway.setup.guard);
    cache_free(&gateway.setup.cache);
    stat_close();
    arena_trim();
    log_info(&process, "ends");
    log_close();
    option_close();
}

int main(int argc, char **argv)
{
    contract_open();
    option_load(&program, &gateway.options, argc, argv);
    find_places();
    open_log();
    loop_open(gateway.options.watchdog);
    if (strcmp(gateway.options.scheduling, "batch") == 0)
        loop_gather();
    loop_signals(drain, reload, NULL); /* wait for the loop; before anybody can know this process */
    fiber_open((unsigned)gateway.options.exchanges + SPARE_FIBERS);
    link_open();
    open_setup();
    open_actors();
    exchange_open(&gateway.setup);
    open_listener();
    await_actors();
    open_admin();
    loop_run();
    close_all();
    return 0;
}

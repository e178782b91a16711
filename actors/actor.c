/* The process of an actor: everything is opened in the order in which it is needed, the loop runs,
 * and everything is closed in the other order.
 *
 * SIGTERM begins a drain: whoever was heard from lately is told, new calls are refused with
 * `leaving`, and a timer looks whether all has ended. The process stays a moment longer than its
 * last call, so that what was on its way to the socket is refused too and not lost. */
#include "actor.h"
#include "admin.h"
#include "base/loop.h"
#include "base/stat.h"
#include "base/time.h"
#include "frame.h"
#include "quota.h"
#include "runtime.h"
#include "tally.h"
#include "url.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

OPTIONS_TABLE(option_rows, actor_options, ACTOR_OPTIONS);

enum {
    OWN_FIBERS = 64,       /* beside those of calls */
    LOOK_EVERY_MS = 10,    /* while it drains */
    QUIET_US = 100000,     /* without a message, before it may end */
    CANCELLED_US = 2000000 /* for calls to end that were cut off */
};

static struct actor actor;

static _Noreturn void end_with(int code)
{
    log_close();
    exit(code);
}

/* ---- for domains ---- */

struct pool *actor_pool(struct actor *self)
{
    return self->pool;
}

struct llm_options actor_llm_options(const struct actor *self)
{
    struct llm_options options;

#define COPY(name, ...) options.name = self->options.name;
    LLM_OPTIONS(COPY)
#undef COPY
    return options;
}

size_t actor_keep_bytes(const struct actor *self)
{
    return (size_t)self->options.keep;
}

/* ---- options ---- */

static const char *check_options(const void *values, char *text, size_t text_bytes)
{
    return seat_check(values, text, text_bytes);
}

static char program_name[64];
static struct option_program program = {
    .name = program_name,
    .rows = option_rows,
    .count = option_rows_count,
    .check = check_options,
};

static void load_options(const struct domain *domain, int argc, char **argv)
{
    static char prose[96];

    snprintf(program_name, sizeof(program_name), "lectern-%s", domain->name);
    snprintf(prose, sizeof(prose), "Serves the messages of the domain `%s`.", domain->name);
    program.prose = prose;
    option_load(&program, &actor.options, argc, argv);
}

static void reload(void *arg)
{
    (void)arg;
    if (option_reload(&program, &actor.options) != 0)
        return;
    log_set_level((enum log_level)log_level_of(actor.options.log_level));
    log_info(&process, "the options were read again");
}

/* ---- opening ---- */

static void open_base(void)
{
    const struct actor_options *options = &actor.options;

    log_open(actor.seat.name, (enum log_level)log_level_of(options->log_level),
             strcmp(options->log_format, "json") == 0);
    loop_open(options->watchdog);
    if (strcmp(options->scheduling, "batch") == 0)
        loop_gather();
    fiber_open((unsigned)options->mailbox + OWN_FIBERS);
    link_open();
}

static void open_database(const struct domain *domain)
{
    const struct actor_options *options = &actor.options;
    struct pool_config config = {
        .url = options->database_url,
        .read_connections = (unsigned)options->read_connections,
        .other_connections = (unsigned)options->connections,
        .waiters = (unsigned)options->connection_waiters,
        .wait_us = options->database_wait,
        .idle_us = options->connection_idle,
        .statement_timeout_us = options->statement_timeout,
        .statement_names = options->statement_names,
        .schema_version = domain->schema_version,
        .application_name = program_name,
    };

    database_find_private(options->database_url, actor.seat.state);
    actor.pool = pool_open(&config);
}

static void open_mailbox(const struct domain *domain)
{
    const struct actor_options *options = &actor.options;

    actor.domain = domain;
    for (size_t i = 0; i < domain->count; i++)
        actor.by_method[domain->handlers[i].method->number] = &domain->handlers[i];
    mailbox_open(&actor.mailbox, (unsigned)options->mailbox, (size_t)options->mailbox_bytes);
    tally_open(domain, &actor.mailbox);
}

/* Whether messages of the domain have limits that the actor counts. */
static bool asks_model(const struct domain *domain)
{
    for (size_t i = 0; i < domain->count; i++)
        if (is_counted_by_actor(domain->handlers[i].method))
            return true;
    return false;
}

static void open_link(void)
{
    actor.link = link_bind(actor.seat.endpoint, WIRE_MOST_BODY_BYTES, &admit_events, &actor);
    if (actor.link == NULL) {
        log_error(&process, "%s: %s", actor.seat.endpoint, strerror(errno));
        end_with(EX_CANTCREAT);
    }
    log_info(&process, "takes messages at %s", actor.seat.endpoint);
}

static void check_ready(struct admin_missing *missing, void *arg)
{
    const char *what = NULL;

    (void)arg;
    if (actor.draining)
        admin_lacks(missing, "leaving");
    if (!pool_ready(actor.pool, &what))
        admin_lacks(missing, what);
}

static void open_admin(void)
{
    const struct actor_options *options = &actor.options;
    struct admin_config config = {
        .address = options->admin,
        .given = strcmp(options->admin, "127.0.0.1:0") != 0,
        .file = actor.seat.admin_file,
        .check = check_ready,
    };

    if (strcmp(options->admin, "off") == 0)
        return;
    actor.admin = admin_open(&config);
    if (actor.admin == NULL)
        end_with(EX_OSERR);
}

/* ---- draining ---- */

static bool has_ended(int64_t now_us)
{
    return actor.mailbox.count == 0 && actor.works == NULL && now_us - actor.heard_us >= QUIET_US;
}

/* The time is over. What ended calls leave to be done, such as giving back what they reserved, has
 * a moment more. */
static void cut(int64_t now_us)
{
    mailbox_cancel_all(&actor.mailbox);
    if (!actor.cut || now_us >= actor.drain_us + CANCELLED_US / 2)
        work_cancel_all(&actor);
    actor.cut = true;
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    int64_t now_us = time_now_us();

    (void)loop, (void)timer, (void)events;
    if (has_ended(now_us)) {
        loop_stop();
    } else if (now_us >= actor.drain_us + CANCELLED_US) {
        log_error(&process, "%u calls would not end: ending without them", actor.mailbox.count);
        log_close();
        _Exit(EX_SOFTWARE);
    } else if (now_us >= actor.drain_us) {
        cut(now_us);
    }
}

static void tell_leaving(void *arg, const struct link_peer *peer)
{
    struct common_reply reply = {.v = WIRE_VERSION, .id = 0, .status = str_of(fault_leaving.name)};

    (void)arg;
    reply_send(&actor, peer, &reply, STR("\x80"));
}

static void drain(void *arg)
{
    (void)arg;
    log_info(&process, "leaving, %u calls are in flight", actor.mailbox.count);
    actor.draining = true;
    actor.heard_us = time_now_us();
    actor.drain_us = actor.heard_us + actor.options.drain;
    peers_each(&actor.peers, tell_leaving, NULL);
    work_drain(&actor);
    ev_timer_init(&actor.drain, on_look, LOOK_EVERY_MS * 1e-3, LOOK_EVERY_MS * 1e-3);
    ev_timer_start(loop_get(), &actor.drain);
}

/* ---- the whole ---- */

/* The lock is held until ZeroMQ has let go of the socket. */
static void close_all(void)
{
    ev_timer_stop(loop_get(), &actor.drain);
    standstill_close(&actor.standstill);
    if (actor.domain->close != NULL)
        actor.domain->close();
    work_close(&actor);
    admin_close(actor.admin);
    link_close(&actor.link);
    pool_close(&actor.pool);
    mailbox_close(&actor.mailbox);
    fiber_close();
    loop_close();
    link_shut();
    seat_close(&actor.seat);
    stat_close();
    tally_close();
    arena_trim();
    log_info(&process, "ends");
    log_close();
    option_close();
}

int actor_main(const struct domain *domain, int argc, char **argv)
{
    int code;

    contract_open();
    load_options(domain, argc, argv);
    code = seat_open(&actor.seat, &actor.options, domain->name);
    if (code != 0)
        return code;
    open_base();
    loop_signals(drain, reload, NULL); /* wait for the loop; before anybody can know this process */
    open_mailbox(domain);
    open_database(domain);
    open_link();
    standstill_open(&actor.standstill);
    open_admin();
    if (asks_model(domain))
        quota_open(&actor);
    if (domain->open != NULL)
        domain->open(&actor);
    loop_run();
    close_all();
    return 0;
}

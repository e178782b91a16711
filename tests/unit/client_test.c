/* The direct client against a ROUTER in a thread that answers, stays silent, lies or goes. */
#include "base/time.h"
#include "client.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

static struct arena arena;
static char folder[64], path[96];

/* The actor: what it says depends on the method that it is asked for. */
struct actor {
    void *context, *router;
    pthread_t thread;
    const char *domain; /* what it says that it serves */
};

static struct actor actor;

static void open_all(void)
{
    contract_open();
    arena_init(&arena, 1 << 20);
    snprintf(folder, sizeof(folder), "/tmp/client_test.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/user-1", folder);
}

static void close_all(void)
{
    unlink(path);
    rmdir(folder);
    arena_clear(&arena);
    arena_trim();
}

TestSuite(client, .init = open_all, .fini = close_all, .timeout = 30);

static int64_t in_ms(int64_t ms)
{
    return time_now_us() + TIME_MS(ms);
}

static void reply_with(const zmq_msg_t *to, int64_t id, struct str status, struct str body)
{
    struct common_reply reply = {.v = WIRE_VERSION, .id = id, .status = status};
    zmq_msg_t copy;
    struct buffer header;

    zmq_msg_init(&copy);
    zmq_msg_copy(&copy, (zmq_msg_t *)to);
    zmq_msg_send(&copy, actor.router, ZMQ_SNDMORE);
    buffer_init(&header, NULL, 4096);
    frame_reply(&header, &reply);
    zmq_send(actor.router, header.data, header.len, ZMQ_SNDMORE);
    zmq_send(actor.router, body.ptr, body.len, 0);
    buffer_free(&header);
}

static void answer_ping(const zmq_msg_t *from, int64_t id)
{
    struct common_pong pong = {
        .domain = str_of(actor.domain), .ready = true, .outstanding = 0, .missing = NO_STR};
    struct buffer body;

    buffer_init(&body, NULL, 4096);
    codec_encode(&body, contract_record("common", "pong"), &pong);
    reply_with(from, id, STR("ok"), buffer_str(&body));
    buffer_free(&body);
}

/* Whether it goes on. */
static bool answer(const zmq_msg_t *from, const struct common_request *request)
{
    struct str nothing = STR("\x80");

    if (str_is(request->op, "ping")) {
        answer_ping(from, request->id);
    } else if (str_is(request->method, "go")) {
        return false;
    } else if (str_is(request->method, "lie")) {
        reply_with(from, request->id, STR("ok"), STR("\xC1"));
    } else if (str_is(request->method, "pieces")) {
        reply_with(from, request->id + 7, STR("ok"), nothing);
        reply_with(from, request->id, STR("more"), nothing);
        reply_with(from, request->id, STR("busy"), nothing);
    }
    return true;
}

static void *run_actor(void *arg)
{
    struct arena memory;
    bool going = true;

    (void)arg;
    arena_init(&memory, 1 << 20);
    while (going) {
        zmq_msg_t from, header, body;
        struct common_request request = {.id = 0};

        zmq_msg_init(&from);
        zmq_msg_init(&header);
        zmq_msg_init(&body);
        going = zmq_msg_recv(&from, actor.router, 0) >= 0 &&
                zmq_msg_recv(&header, actor.router, 0) >= 0 &&
                zmq_msg_recv(&body, actor.router, 0) >= 0;
        going =
            going &&
            frame_read_request(&memory, (struct str){zmq_msg_data(&header), zmq_msg_size(&header)},
                               &request) == NULL &&
            answer(&from, &request);
        zmq_msg_close(&from);
        zmq_msg_close(&header);
        zmq_msg_close(&body);
    }
    zmq_close(actor.router);
    arena_clear(&memory);
    return NULL;
}

static void start_actor(const char *domain)
{
    char endpoint[128];
    int none = 0;

    snprintf(endpoint, sizeof(endpoint), "ipc://%s", path);
    actor.domain = domain;
    actor.context = zmq_ctx_new();
    actor.router = zmq_socket(actor.context, ZMQ_ROUTER);
    zmq_setsockopt(actor.router, ZMQ_LINGER, &none, sizeof(none));
    cr_assert_eq(zmq_bind(actor.router, endpoint), 0);
    cr_assert_eq(pthread_create(&actor.thread, NULL, run_actor, NULL), 0);
}

static void stop_actor(void)
{
    zmq_ctx_shutdown(actor.context);
    pthread_join(actor.thread, NULL);
    zmq_ctx_term(actor.context);
}

static struct client *open_client(const char *where)
{
    char cause[256];
    struct client *client = client_open("user", where, in_ms(5000), cause, sizeof(cause));

    cr_assert_not_null(client, "%s", cause);
    return client;
}

static enum client_end ask(struct client *client, struct str method, int64_t ms,
                           struct client_reply *reply)
{
    struct common_request request = {
        .v = WIRE_VERSION, .method = method, .budget = INT_ABSENT, .credit = INT_ABSENT};
    enum client_end end = client_send(client, &request, STR("\x80"), in_ms(ms));

    return end != CLIENT_DONE ? end : client_receive(client, &arena, in_ms(ms), reply);
}

Test(client, replies_in_pieces_and_those_of_others)
{
    struct client_reply reply;
    struct client *client;

    start_actor("user");
    client = open_client(folder);
    cr_assert_eq(ask(client, STR("pieces"), 5000, &reply), CLIENT_DONE);
    cr_assert(str_is(reply.header.status, "more"));
    cr_assert_eq(client_receive(client, &arena, in_ms(5000), &reply), CLIENT_DONE);
    cr_assert(str_is(reply.header.status, "busy"));
    client_close(&client);
    cr_assert_null(client);
    stop_actor();
}

Test(client, silence_ends_at_the_deadline)
{
    struct client_reply reply;
    struct client *client;
    int64_t start = time_now_us();

    start_actor("user");
    client = open_client(folder);
    cr_assert_eq(ask(client, STR("silence"), 100, &reply), CLIENT_TIMEOUT);
    cr_assert_geq(time_now_us() - start, TIME_MS(100));
    client_close(&client);
    stop_actor();
}

Test(client, an_actor_that_goes_is_noticed_at_once)
{
    struct client_reply reply;
    struct client *client;

    start_actor("user");
    client = open_client(folder);
    cr_assert_eq(ask(client, STR("go"), 20000, &reply), CLIENT_LOST);
    client_close(&client);
    stop_actor();
}

Test(client, what_is_no_reply)
{
    struct client_reply reply;
    struct client *client;

    start_actor("user");
    client = open_client(folder);
    cr_assert_eq(ask(client, STR("lie"), 5000, &reply), CLIENT_WRONG);
    client_close(&client);
    stop_actor();
}

Test(client, a_list_of_addresses)
{
    char list[256];
    struct client *client;

    start_actor("user");
    snprintf(list, sizeof(list), "bible=ipc:///nowhere, ,user=ipc://%s-gone,user=ipc://%s", path,
             path);
    client = open_client(list);
    client_close(&client);
    client_close(&client);
    stop_actor();
}

Test(client, nobody_there)
{
    static const char *const places[] = {"/tmp", "/nowhere", "user=ipc:///tmp/nobody", "x://", ""};
    char cause[256];

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        int64_t start = time_now_us();

        cr_assert_null(client_open("user", places[i], in_ms(20000), cause, sizeof(cause)), "%s",
                       places[i]);
        cr_assert_lt(time_now_us() - start, TIME_S(10), "%s", places[i]);
        cr_assert_gt(strlen(cause), 10);
    }
}

Test(client, another_domain_is_not_taken)
{
    char cause[256];

    start_actor("bible");
    cr_assert_null(client_open("user", folder, in_ms(5000), cause, sizeof(cause)));
    stop_actor();
}

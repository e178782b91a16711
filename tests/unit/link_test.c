/* Links over real sockets: in one process (both ends on the one loop), and against forked peers. */
#include "base/loop.h"
#include "base/time.h"
#include "codec.h"
#include "link.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { MOST_BYTES = 1024 * 1024, BIG_BYTES = 200 * 1000, WINDOW = 128 };

/* Both ends of a test, and what they saw. */
static struct {
    char endpoint[80];
    struct link *router, *dealer;
    struct link_peer last;         /* whom the router heard last */
    size_t heard, echoed, garbage; /* by the router, by the dealer, by either */
    size_t garbage_frames;         /* of the last garbage */
    size_t here, gone;             /* of the dealer's peer */
    size_t want;                   /* answers after which the loop stops */
    size_t sent;                   /* by the dealer */
    size_t bytes;                  /* of a body; 0: of many sizes */
    size_t wrong;                  /* answers that were not what was sent */
    bool posts;                    /* both ends post instead of sending */
    size_t dropped;                /* of what was posted */
    bool close_on_answer;          /* the dealer closes itself within its own event */
    bool (*done)(void);            /* asked after each event */
} ends;

static char big[BIG_BYTES];
static ev_timer limit;

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
    cr_assert_fail("stalled: sent %zu, heard %zu, echoed %zu, here %zu, gone %zu, garbage %zu",
                   ends.sent, ends.heard, ends.echoed, ends.here, ends.gone, ends.garbage);
}

static void check_done(void)
{
    if (ends.done != NULL && ends.done())
        loop_stop();
}

static void run_until(bool (*done)(void))
{
    ends.done = done;
    if (!done())
        loop_run();
}

static void router_received(void *arg, const struct link_peer *from, struct str header,
                            struct str body)
{
    (void)arg;
    ends.last = *from;
    ends.heard++;
    if (ends.posts)
        link_post(ends.router, from, header, body);
    else if (link_send(ends.router, from, header, body) != 0)
        ends.wrong++;
    check_done();
}

static void saw_garbage(void *arg, const struct link_peer *from, size_t frames)
{
    (void)arg;
    ends.last = *from;
    ends.garbage++;
    ends.garbage_frames = frames;
    check_done();
}

static size_t size_of(size_t number)
{
    static const size_t sizes[] = {8, 200, 0, 3000, 64 * 1024, 1, BIG_BYTES};

    return ends.bytes != 0 ? ends.bytes : sizes[number % (sizeof(sizes) / sizeof(*sizes))];
}

static void send_some(void)
{
    while (ends.sent < ends.want && ends.sent - ends.echoed < WINDOW) {
        struct str body = {big, size_of(ends.sent)};

        if (ends.posts)
            link_post(ends.dealer, NULL, (struct str){(char *)&ends.sent, sizeof(size_t)}, body);
        else if (link_send(ends.dealer, NULL, (struct str){(char *)&ends.sent, sizeof(size_t)},
                           body))
            return;
        ends.sent++;
    }
}

static void dealer_received(void *arg, const struct link_peer *from, struct str header,
                            struct str body)
{
    size_t number;

    (void)arg, (void)from;
    memcpy(&number, header.ptr, sizeof(number));
    if (header.len != sizeof(number) || number != ends.echoed || body.len != size_of(number) ||
        memcmp(body.ptr, big, body.len) != 0)
        ends.wrong++;
    ends.echoed++;
    if (ends.close_on_answer)
        link_close(&ends.dealer);
    else
        send_some();
    check_done();
}

static void dealer_here(void *arg)
{
    (void)arg;
    ends.here++;
    send_some();
    check_done();
}

static void dealer_gone(void *arg)
{
    (void)arg;
    ends.gone++;
    check_done();
}

static void was_dropped(void *arg)
{
    (void)arg;
    ends.dropped++;
    check_done();
}

static const struct link_events router_events = {
    .dropped = was_dropped, .received = router_received, .garbage = saw_garbage};
static const struct link_events dealer_events = {.dropped = was_dropped,
                                                 .received = dealer_received,
                                                 .garbage = saw_garbage,
                                                 .here = dealer_here,
                                                 .gone = dealer_gone};

static void set_up(void)
{
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 2654435761u >> 13);
    snprintf(ends.endpoint, sizeof(ends.endpoint), "ipc:///tmp/link_test.%d", (int)getpid());
    loop_open(0);
    link_open();
    ev_timer_init(&limit, on_limit, 40., 0.);
    ev_timer_start(loop_get(), &limit);
}

static void tear_down(void)
{
    ev_timer_stop(loop_get(), &limit);
    link_close(&ends.dealer);
    link_close(&ends.router);
    cr_expect_eq(access(ends.endpoint + 6, F_OK), -1, "the socket's file is gone");
    link_shut();
    loop_close();
}

TestSuite(link, .init = set_up, .fini = tear_down, .timeout = 60);

static void open_both(void)
{
    ends.router = link_bind(ends.endpoint, MOST_BYTES, &router_events, NULL);
    cr_assert_not_null(ends.router);
    ends.dealer = link_connect(ends.endpoint, MOST_BYTES, &dealer_events, NULL);
    cr_assert_not_null(ends.dealer);
}

static bool all_echoed(void)
{
    return ends.echoed == ends.want;
}

static bool is_here(void)
{
    return ends.here == 1;
}

static bool is_gone(void)
{
    return ends.gone == 1;
}

static void echo(size_t bytes, size_t want)
{
    ends.bytes = bytes;
    ends.want = want;
    open_both();
    run_until(all_echoed);
    cr_expect_eq(ends.heard, want);
    cr_expect_eq(ends.wrong, 0);
}

Test(link, echoes_100000_short_messages)
{
    echo(8, 100000);
}

Test(link, echoes_large_messages)
{
    echo(BIG_BYTES, 2000);
}

Test(link, echoes_messages_of_many_sizes)
{
    echo(0, 20000);
}

Test(link, echoes_what_is_posted)
{
    ends.posts = true;
    echo(8, 100000);
    cr_expect_eq(ends.dropped, 0);
}

Test(link, posts_of_many_sizes)
{
    ends.posts = true;
    echo(0, 20000);
    cr_expect_eq(ends.dropped, 0);
}

Test(link, drops_what_is_posted_to_nobody)
{
    struct link_peer nobody = {.id = "nobody", .length = 6};

    open_both();
    run_until(is_here);
    link_post(ends.router, &nobody, STR("a"), STR("b"));
    cr_expect_eq(ends.dropped, 0);
    ev_run(loop_get(), EVRUN_NOWAIT);
    cr_expect_eq(ends.dropped, 1);
    link_close(&ends.router);
    run_until(is_gone);
    link_post(ends.dealer, NULL, STR("a"), STR("b"));
    cr_expect_eq(ends.dropped, 2);
}

Test(link, knows_that_nobody_is_there)
{
    ends.dealer = link_connect(ends.endpoint, MOST_BYTES, &dealer_events, NULL);
    cr_assert_eq(link_send(ends.dealer, NULL, STR("a"), STR("b")), -1);
    cr_expect_eq(errno, EHOSTUNREACH);
    ends.want = 1;
    ends.bytes = 8;
    ends.router = link_bind(ends.endpoint, MOST_BYTES, &router_events, NULL);
    run_until(all_echoed); /* `here` sends; the connection came by itself */
    cr_expect_eq(ends.here, 1);
}

Test(link, refuses_to_send_what_is_too_large)
{
    static char larger[WIRE_MOST_BODY_BYTES + 1];

    open_both();
    run_until(is_here);
    cr_expect_eq(link_send(ends.dealer, NULL, STR("a"), (struct str){larger, sizeof(larger)}), -1);
    cr_expect_eq(errno, EMSGSIZE);
    cr_expect_eq(link_send(ends.dealer, NULL, (struct str){larger, 9000}, STR("")), -1);
    cr_expect_eq(errno, EMSGSIZE);
}

Test(link, drops_the_peer_that_sends_too_much)
{
    ends.bytes = 8;
    ends.router = link_bind(ends.endpoint, 1000, &router_events, NULL);
    ends.dealer = link_connect(ends.endpoint, MOST_BYTES, &dealer_events, NULL);
    run_until(is_here);
    cr_expect_eq(link_send(ends.dealer, NULL, STR("a"), (struct str){big, 1001}), 0);
    run_until(is_gone);
    cr_expect_eq(ends.heard, 0);
    ends.want = 1;
    run_until(all_echoed); /* it connects again and is served */
}

Test(link, closes_within_its_own_event)
{
    ends.close_on_answer = true;
    ends.want = 1;
    ends.bytes = 8;
    open_both();
    run_until(all_echoed);
    cr_expect_null(ends.dealer);
}

Test(link, leaves_a_path_that_another_took_over)
{
    struct link *heir;

    ends.router = link_bind(ends.endpoint, MOST_BYTES, &router_events, NULL);
    heir = link_bind(ends.endpoint, MOST_BYTES, &router_events, NULL);
    link_close(&ends.router);
    cr_expect_eq(access(ends.endpoint + 6, F_OK), 0);
    link_close(&heir);
}

Test(link, refuses_an_endpoint_that_is_none)
{
    cr_expect_null(link_bind("nonsense", MOST_BYTES, &router_events, NULL));
    cr_expect_null(link_bind("ipc:///no/such/folder/x", MOST_BYTES, &router_events, NULL));
    cr_expect_null(link_connect("tcp://", MOST_BYTES, &dealer_events, NULL));
}

/* ---- peers of their own process ---- */

/* Before any socket is made here: a fork with ZeroMQ's threads running may stop in the allocator.
 */
static pid_t fork_peer(void (*run)(void))
{
    pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0) {
        run();
        _exit(0);
    }
    return child;
}

static void *peer_socket(int type)
{
    void *socket = zmq_socket(zmq_ctx_new(), type);

    if (type == ZMQ_ROUTER)
        zmq_bind(socket, ends.endpoint);
    else
        zmq_connect(socket, ends.endpoint);
    return socket;
}

static bool heard_one(void)
{
    return ends.heard == 1;
}

static void ask_as_req(void)
{
    void *socket = peer_socket(ZMQ_REQ);
    char answer[2];

    zmq_send(socket, "h", 1, ZMQ_SNDMORE);
    zmq_send(socket, "b", 1, 0);
    if (zmq_recv(socket, answer, 2, 0) != 1 || answer[0] != 'h')
        _exit(1);
    if (zmq_recv(socket, answer, 2, 0) != 1 || answer[0] != 'b')
        _exit(2);
}

static bool child_ended(void)
{
    return false;
}

static int child_status = -1;

static void on_child(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    if (waitpid(*(pid_t *)timer->data, &child_status, WNOHANG) > 0)
        loop_stop();
}

static void run_until_ended(pid_t child)
{
    ev_timer poll;

    ev_timer_init(&poll, on_child, 0., 0.005);
    poll.data = &child;
    ev_timer_start(loop_get(), &poll);
    run_until(child_ended);
    ev_timer_stop(loop_get(), &poll);
}

Test(link, answers_a_req_peer)
{
    pid_t child;

    child = fork_peer(ask_as_req);
    ends.router = link_bind(ends.endpoint, MOST_BYTES, &router_events, NULL);
    run_until_ended(child);
    cr_expect_eq(child_status, 0);
    cr_expect(ends.last.delimiter);
}

static void send_garbage(void)
{
    void *socket = peer_socket(ZMQ_DEALER);

    zmq_send(socket, "a", 1, 0);
    for (int i = 0; i < 6; i++)
        zmq_send(socket, "a", 1, ZMQ_SNDMORE);
    zmq_send(socket, "a", 1, 0);
    zmq_send(socket, "x", 1, ZMQ_SNDMORE);
    zmq_send(socket, "a", 1, ZMQ_SNDMORE);
    zmq_send(socket, "b", 1, 0);
    zmq_send(socket, "h", 1, ZMQ_SNDMORE);
    zmq_send(socket, "b", 1, 0);
    pause();
}

Test(link, counts_garbage_and_lives)
{
    pid_t child;

    child = fork_peer(send_garbage);
    ends.router = link_bind(ends.endpoint, MOST_BYTES, &router_events, NULL);
    run_until(heard_one);
    cr_expect_eq(ends.garbage, 3);
    cr_expect_eq(ends.garbage_frames, 3);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void answer_one(void)
{
    void *socket = peer_socket(ZMQ_ROUTER);
    char id[256], header[8];
    int length = zmq_recv(socket, id, sizeof(id), 0);

    zmq_recv(socket, header, sizeof(header), 0);
    zmq_recv(socket, big, sizeof(big), 0);
    zmq_send(socket, id, (size_t)length, ZMQ_SNDMORE);
    zmq_send(socket, header, sizeof(header), ZMQ_SNDMORE);
    zmq_send(socket, big, ends.bytes, 0);
    pause();
}

Test(link, reports_a_killed_peer_within_milliseconds)
{
    int64_t killed_us, took_us;
    pid_t child;

    ends.bytes = 100;
    ends.want = 1;
    child = fork_peer(answer_one);
    ends.dealer = link_connect(ends.endpoint, MOST_BYTES, &dealer_events, NULL);
    run_until(all_echoed);
    cr_expect_eq(ends.gone, 0);
    killed_us = time_now_us();
    kill(child, SIGKILL);
    run_until(is_gone);
    took_us = time_now_us() - killed_us;
    cr_expect_lt(took_us, TIME_MS(200), "it took %lld us", (long long)took_us);
    cr_expect_eq(link_send(ends.dealer, NULL, STR("a"), STR("b")), -1);
    cr_expect_eq(errno, EHOSTUNREACH);
    waitpid(child, NULL, 0);
    unlink(ends.endpoint + 6);
}

static void ask_once(void)
{
    void *socket = peer_socket(ZMQ_DEALER);

    zmq_send(socket, "h", 1, ZMQ_SNDMORE);
    zmq_send(socket, "b", 1, 0);
    pause();
}

static ev_timer again;
static int again_error;

static void try_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
    if (link_send(ends.router, &ends.last, STR("h"), STR("b")) == 0)
        return;
    again_error = errno;
    loop_stop();
}

Test(link, knows_that_a_router_peer_was_killed)
{
    pid_t child;

    child = fork_peer(ask_once);
    ends.router = link_bind(ends.endpoint, MOST_BYTES, &router_events, NULL);
    run_until(heard_one);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ev_timer_init(&again, try_again, 0., 0.001);
    ev_timer_start(loop_get(), &again);
    run_until(child_ended);
    cr_expect_eq(again_error, EHOSTUNREACH);
    ev_timer_stop(loop_get(), &again);
}

static bool paused_long_enough(void)
{
    return ends.sent == 3 && ends.here == 1;
}

Test(link, takes_nothing_while_paused)
{
    ends.bytes = 8;
    ends.want = 3;
    open_both();
    link_pause(ends.router, true);
    run_until(paused_long_enough);
    for (int turn = 0; turn < 50; turn++)
        ev_run(loop_get(), EVRUN_NOWAIT);
    cr_expect_eq(ends.heard, 0);
    link_pause(ends.router, false);
    run_until(all_echoed);
}

"""Streams whose client, reader, gateway, actor or provider goes, stops or is slow, and many of them at one time."""

import concurrent.futures
import signal
import subprocess
import threading
import time

import _path  # noqa: F401
import chat_ai_test
import fleet
import ground
import model
import sse
from provider import Answer

DONE, FAILED = chat_ai_test.DONE, chat_ai_test.FAILED
LOST = ("error", {"error": "Outcome unknown"})
MEASURED = fleet.SLOW == 1  # what is measured is not that of sanitizers


def memory(lectern, *names):
    """Bytes of processes together (PSS)."""
    total = 0
    for name in names:
        with open(f"/proc/{lectern.find(name).pid}/smaps_rollup", encoding="ascii") as file:
            total += next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return total


class Sampled:
    """How long sessions have been idle within a transaction, asked of the database all the time."""

    QUERY = ("select coalesce(max(extract(epoch from clock_timestamp() - state_change)), 0) from pg_stat_activity"
             " where state like 'idle in transaction%' and datname = current_database() and application_name like 'lectern-%'")

    def __init__(self, url):
        self.psql = subprocess.Popen(["psql", "-XAtq", "-d", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.longest, self.samples, self.going = 0.0, 0, True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while self.going:
            self.psql.stdin.write(self.QUERY + ";\n")
            self.psql.stdin.flush()
            self.longest = max(self.longest, float(self.psql.stdout.readline()))
            self.samples += 1
            time.sleep(0.005)

    def stop(self):
        self.going = False
        self.thread.join(30)
        self.psql.stdin.close()
        self.psql.wait(20)
        self.psql.stdout.close()


class Base(chat_ai_test.Chats):
    def setUp(self):
        super().setUp()
        self.make_pro(self.user)

    def many(self, count, wave=50):
        """As many streams, of this user; begun in waves, so that none is refused."""
        streams = []
        for begin in range(0, count, wave):
            streams += [self.begin(f"message {number}") for number in range(begin, min(begin + wave, count))]
            self.asked(len(streams))
        return streams

    def count(self):
        return int(self.lectern.sql("select count(*) from standalone_chats"))

    def quiet(self, *names):
        fleet.wait_for("rest", lambda: self.provider.open == 0 and all(
            self.lectern.metric(name, "lectern_fibers_alive") == 0 for name in names or ("chat-1", "gateway-1")), 40)


class Clients(Base):
    env = {**model.NO_LIMITS, "LECTERN_SEND_DEADLINE": "2s"}

    def test_who_leaves_is_followed_at_once(self):
        self.provider.usual = Answer(hold_after=1)
        self.addCleanup(self.provider.usual.go.set)
        streams, before = self.many(200), self.count()
        for stream in streams:
            stream.next()
        left = {}
        for number, stream in enumerate(streams):
            left[f"message {number}"] = time.monotonic()
            stream.reset() if number % 2 else stream.close()
            time.sleep(0.005)
        fleet.wait_for("the provider to be left", lambda: all(q.left for q in self.provider.questions))
        took = sorted(q.left - left[q.body["messages"][-1]["content"]] for q in self.provider.questions)
        print(f"left upstream after {took[100] * 1000:.1f} ms, 99th percentile {took[197] * 1000:.1f} ms", flush=True)
        if MEASURED:
            self.assertLess(took[197], 0.1)
        self.quiet()
        self.assertEqual(self.count(), before)

    def test_slow_readers_cost_little_and_are_cut(self):
        words = ["y" * 99 + " "] * 4000
        self.begin().rest()
        self.quiet()
        before, chats = memory(self.lectern, "gateway-1", "chat-1"), self.count()
        self.provider.usual = Answer(tokens=words)
        streams = [self.begin(receive_bytes=4096) for _ in range(100)]
        most, cut = before, 'lectern_http_timeouts_total{phase="send"}'
        ends = time.monotonic() + 60 * fleet.SLOW
        quick = 0.0
        self.asked(101)
        while self.lectern.metric("gateway-1", cut) < 100:
            self.assertLess(time.monotonic(), ends, "slow readers are not cut")
            most = max(most, memory(self.lectern, "gateway-1", "chat-1"))
            start = time.monotonic()
            self.assertEqual(self.lectern.get("/api/standalone-chat", user=self.user).status, 200)
            quick = max(quick, time.monotonic() - start)
        print(f"100 slow readers: {(most - before) / 2**20:.1f} MiB more; others wait at most {quick * 1000:.0f} ms", flush=True)
        if MEASURED:
            self.assertLess(most - before, 64 << 20)
        self.quiet()
        self.assertEqual(self.count(), chats)
        for stream in streams:
            stream.close()

    def test_a_comment_now_and_then(self):
        answer = Answer(hold_after=1)
        self.provider.plan(answer)
        stream = self.begin()
        self.assertEqual(stream.next()[0], "token")
        self.assertEqual(stream.block(), ": ping")
        answer.go.set()
        self.assertEqual(stream.rest()[-1], DONE)


class Processes(Base):
    env = {**model.NO_LIMITS, "LECTERN_LLM_NEXT_TOKEN": "1s", "LECTERN_LLM_FIRST_TOKEN": "2s"}

    def running(self, count=20, after=1):
        """Streams that wait within their answer; what lets them go on."""
        answer = self.provider.usual = Answer(hold_after=after)
        self.addCleanup(answer.go.set)
        streams = self.many(count)
        for stream in streams:
            stream.next()
        return streams, answer.go

    def test_an_actor_that_dies(self):
        before = self.count()
        streams, _ = self.running()
        self.lectern.find("chat-1").kill()
        for stream in streams:
            self.assertEqual(stream.rest(), [LOST])
            self.assertTrue(stream.ended)
        self.assertEqual(self.count(), before)
        self.lectern.actor("chat")
        self.provider.forget()
        fleet.wait_for("the new actor", lambda: self.begin().rest()[-1] == DONE if self.ready() else False)

    def test_an_actor_that_dies_behind_a_slow_reader(self):
        self.provider.plan(Answer(tokens=["y" * 999 + " "] * 20000))
        stream = self.begin(receive_bytes=4096)
        stream.next()
        sent = -1
        while sent != (now := self.provider.questions[-1].sent):
            sent = now
            time.sleep(0.5)
        self.lectern.find("chat-1").kill()
        fleet.wait_for("the loss", lambda: not self.ready())
        self.assertEqual(stream.rest()[-1], LOST)
        self.lectern.actor("chat")
        self.provider.forget()
        fleet.wait_for("the new actor", lambda: self.begin().rest()[-1] == DONE if self.ready() else False)

    def ready(self):
        return self.lectern.get("/api/standalone-chat", user=self.user).status == 200

    def test_a_gateway_that_dies(self):
        before = self.count()
        answer = self.provider.usual = Answer(tokens=["x "] * 10000, between_s=0.02)
        streams = self.many(20)
        for stream in streams:
            stream.next()
        self.lectern.find("gateway-1").kill()
        fleet.wait_for("the provider to be left", lambda: all(q.left for q in self.provider.questions))
        self.quiet("chat-1")
        self.assertEqual(self.count(), before)
        self.assertIs(self.provider.usual, answer)
        self.lectern.gateway()
        self.lectern.wait_ready()
        self.provider.forget()
        self.assertEqual(self.begin().rest()[-1], DONE)

    def test_a_gateway_that_stands_still(self):
        """More comes for it than ZeroMQ takes: each stream is whole, or says that it is not."""
        words = [f"{number} " for number in range(3000)]
        self.provider.usual = Answer(tokens=words, between_s=0.0005)
        streams = self.many(30)
        gateway = self.lectern.find("gateway-1")
        gateway.kill(signal.SIGSTOP)
        sent = -1
        while sent != (now := sum(q.sent for q in self.provider.questions)):
            sent = now
            time.sleep(0.5)
        gateway.kill(signal.SIGCONT)
        crowd = sse.Crowd(streams)
        crowd.to_the_end()
        self.assertEqual(crowd.cut, [])
        ends = [crowd.events(stream) for stream in streams]
        for events in ends:
            text = sse.text_of(events)
            if events[-1] == DONE:
                self.assertEqual(text, "".join(words))
            else:
                self.assertEqual(events[-1][0], "error")
                self.assertTrue("".join(words).startswith(text))
        print(f"a gateway stood still: {sum(e[-1] == DONE for e in ends)} of {len(ends)} streams are whole", flush=True)
        self.quiet()
        self.lectern.wait_ready()

    def test_drains_wait_for_streams(self):
        for name in ("chat-1", "gateway-1"):
            with self.subTest(name=name):
                streams, go = self.running(5)
                process = self.lectern.find(name)
                process.kill(signal.SIGTERM)
                if name == "chat-1":
                    fleet.wait_for("the drain", lambda: not self.ready() or self.begin().head() == 503)
                go.set()
                for stream in streams:
                    self.assertEqual(stream.rest()[-1], DONE)
                self.assertEqual(process.wait(), 0)
                self.provider.forget()
                self.lectern.actor("chat") if name == "chat-1" else self.lectern.gateway()
                self.lectern.wait_ready()

    def test_a_provider_that_says_nothing_more(self):
        before = self.count()
        streams, _ = self.running()
        for stream in streams:
            self.assertEqual(stream.rest(), [FAILED])
        fleet.wait_for("the provider to be left", lambda: all(q.left for q in self.provider.questions))
        self.quiet()
        self.assertEqual(self.count(), before)
        self.provider.forget()
        fleet.wait_for("the model to be asked again", lambda: self.chat(user=self.user).status == 200)

    def test_a_provider_that_is_cut(self):
        self.provider.usual = Answer(cut_after=2, between_s=0.05)
        for stream in [self.begin() for _ in range(4)]:  # fewer than the breaker takes for a bad sign
            events = stream.rest()
            self.assertEqual((sse.text_of(events), events[-1]), ("For God ", FAILED))
        self.provider.forget()
        self.assertEqual(self.begin().rest()[-1], DONE)


class Cut(chat_ai_test.Chats):
    """A drain that takes too long ends what is under way, and nobody is charged for it."""

    env = {**model.NO_LIMITS, "LECTERN_DRAIN": "500ms"}

    def end(self, name):
        process = self.lectern.find(name)
        process.kill(signal.SIGTERM)
        self.addCleanup(self.lectern.wait_ready)
        self.addCleanup(self.lectern.actor, name.split("-")[0])
        return process

    def test_a_stream(self):
        self.held(after=1)
        stream = self.begin()
        self.assertEqual(stream.next()[0], "token")
        process = self.end("chat-1")
        self.assertEqual(stream.rest(), [("error", {"error": "The service is restarting"})])
        self.assertEqual(process.wait(), 0)
        self.assertEqual(self.reserved(), "0|0")

    def test_a_whole_answer(self):
        self.provider.plan(Answer(first_s=120))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(self.insight, user=self.user)
            self.asked(1)
            process = self.end("insight-1")
            self.assertEqual((answer.result().status, answer.result().headers["Retry-After"]), (503, "1"))
        self.assertEqual(process.wait(), 0)
        self.assertEqual(self.reserved(), "0|0")


class Away(chat_ai_test.Chats):
    """What is due when a stream ends is done when the database is back."""

    @classmethod
    def setUpClass(cls):
        cls.server = fleet._server = ground.OwnServer()
        cls.addClassCleanup(ground.OwnServerTest.forget.__func__, cls)
        super().setUpClass()

    def setUp(self):
        fleet.wait_for("the database", self.lectern.new_user)
        super().setUp()

    def without_database(self, end):
        """Reads a token of a stream, and ends it while the database is away."""
        go = self.held(after=1, cut_after=1)
        stream = fleet.wait_for("connections", lambda: (stream := self.begin()).head() == 200 and stream)
        self.assertEqual(stream.next()[0], "token")
        self.server.kill()
        fleet.wait_for("the database to be missed", lambda: self.lectern.get("/ready").status == 503)
        end(stream, go)
        self.at_rest_without_database()
        self.server.resume()
        fleet.wait_for("what is due", lambda: self.lectern.sql("select coalesce(sum(cardinality(reserved)), 0) from usage_tracking",
                                                               check=False) == "0", 40)

    def at_rest_without_database(self):
        fleet.wait_for("the end of the call", lambda: self.lectern.metric("chat-1", "lectern_mailbox_calls") == 0)

    def test_who_left_is_charged(self):
        self.without_database(lambda stream, go: stream.close())
        self.assertEqual(self.reserved(), "1|0")

    def test_a_failure_is_not(self):
        def fail(stream, go):
            go.set()
            self.assertEqual(stream.rest(), [FAILED])
        self.without_database(fail)
        self.assertEqual(self.reserved(), "0|0")


class Pool(Base):
    env = {**model.NO_LIMITS, "LECTERN_DB_CONNECTIONS": "4"}

    def test_500_streams_hold_no_connection(self):
        self.provider.usual = Answer(hold_after=1)
        streams = self.many(500)
        sampled = Sampled(self.lectern.url)
        crowd, chats = sse.Crowd(streams), self.count()
        crowd.read(lambda: all(b"event: token" in text for text in crowd.texts.values()))
        self.assertEqual(self.lectern.metric("chat-1", 'lectern_database_connections{state="taken"}'), 0)
        slowest = 0.0
        for number in range(200):
            start = time.monotonic()
            path = "/api/standalone-chat" if number % 2 else f"/api/standalone-chat/{number}/messages"
            self.assertEqual(self.lectern.get(path, user=self.user).status, 200)
            slowest = max(slowest, time.monotonic() - start)
        self.provider.usual.go.set()
        crowd.to_the_end()
        sampled.stop()
        print(f"500 streams, 4 connections: other messages take at most {slowest * 1000:.0f} ms, {sampled.samples} looks,"
              f" idle in a transaction at most {sampled.longest * 1000:.1f} ms", flush=True)
        self.assertEqual(crowd.cut, [])
        self.assertEqual([end for end in (crowd.events(stream)[-1] for stream in streams) if end != DONE], [])
        self.assertEqual(self.count() - chats, 500)
        self.assertGreater(sampled.samples, 10)
        if MEASURED:
            self.assertLess(sampled.longest, 0.05)


if __name__ == "__main__":
    fleet.main()

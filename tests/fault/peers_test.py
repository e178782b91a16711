"""Peers of an actor that send garbage, too much, another version, or never read: the others do not notice."""

import random
import socket
import threading
import time

import msgpack
import zmq

import _path  # noqa: F401
import fleet
import ground
import wire

FLOOD = 20000
VERSE = {"book": "John", "chapter": 3, "verse_start": 16}
BODY_MOST = 20 * 1024 * 1024


def dealer(endpoint, marks=0):
    """A socket without limits of its own."""
    sock = zmq.Context.instance().socket(zmq.DEALER)
    for option in (zmq.SNDHWM, zmq.RCVHWM):
        sock.setsockopt(option, marks)
    sock.setsockopt(zmq.LINGER, 0)
    sock.connect(endpoint)
    return sock


def header(number, **more):
    return msgpack.packb({"v": 1, "id": number, "method": "bible.passage", "budget": 5000, **more})


class Peers(fleet.LecternTest):
    options = {"env": {"WRITE_ENDPOINT_LIMIT": "0", "NEW_USER_LIMIT": "0"}}

    def setUp(self):
        self.endpoint = self.lectern.socket_of("bible")
        self.before = ground.Standing(self.lectern)
        self.pid = self.lectern.find("bible-1").pid

    def beside(self, name, misbehave, bad=()):
        """Clients of the gateway go on, and are answered well, while a peer misbehaves."""
        books = ground.Books(self.lectern, may_bad=bad)
        try:
            books.wait_for_some(5)
            misbehave()
            took = books.recovered(time.monotonic())
        finally:
            books.going = False
        books.close(self)
        ground.report(name, took, books)
        self.assertEqual(self.lectern.find("bible-1").pid, self.pid)
        self.before.is_back(self)

    def resident_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1])

    def test_garbage(self):
        """Any number of frames with anything in them: answered where an id can be read, counted where not."""
        chance = random.Random(1)
        seen = self.lectern.metric("bible-1", "lectern_garbage_total")

        def misbehave():
            with dealer(self.endpoint) as sock:
                for _ in range(3000):
                    frames = [chance.randbytes(chance.choice((0, 1, 3, 20, 300))) for _ in range(chance.randint(1, 6))]
                    sock.send_multipart(frames)
                for number in range(1, 1001):
                    sock.send_multipart([header(number), chance.randbytes(chance.randint(0, 40))])
                    sock.send_multipart([header(1000 + number)[:-chance.randint(1, 9)], b"\x80"])
                answered = {}
                while sock.poll(1000):
                    head = msgpack.unpackb(sock.recv_multipart()[0])
                    answered[head["id"]] = answered.get(head["id"], []) + [head["status"]]
                self.assertTrue(all(len(answered.get(number, [])) == 1 for number in range(1, 1001)))
                self.assertLessEqual({s for all_of in answered.values() for s in all_of}, {"malformed", "invalid", "busy"})
        self.beside("garbage", misbehave)
        self.assertGreater(self.lectern.metric("bible-1", "lectern_garbage_total"), seen + 2000)

    def test_what_is_no_zeromq_at_all(self):
        """Bytes on the socket that greet wrongly, half, or never."""
        chance = random.Random(2)

        def misbehave():
            socks = []
            for number in range(200):
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(self.endpoint[len("ipc://"):])
                if number % 3 == 0:
                    sock.send(chance.randbytes(chance.randint(1, 500)))
                elif number % 3 == 1:
                    sock.send(b"\xff" + bytes(8) + b"\x7f\x03")  # the beginning of a greeting
                socks.append(sock)
            time.sleep(1)
            for sock in socks:
                sock.close()
        self.beside("no ZeroMQ", misbehave)

    def test_too_large(self):
        """A frame past the limit ends its sender's connection, and nobody else's."""
        def misbehave():
            with dealer(self.endpoint) as sock:
                sock.send_multipart([header(1), bytes(BODY_MOST + 1)])
                self.assertEqual(sock.poll(1000), 0)
                sock.send_multipart([header(2), msgpack.packb(VERSE)])  # connected anew
                self.assertNotEqual(sock.poll(5000), 0)
                self.assertEqual(msgpack.unpackb(sock.recv_multipart()[0])["id"], 2)
                seen = self.lectern.metric("bible-1", "lectern_garbage_total")
                sock.send_multipart([header(3, trace="x" * 9000), msgpack.packb(VERSE)])  # not read at all
                fleet.wait_for("it to be counted", lambda: self.lectern.metric(
                    "bible-1", "lectern_garbage_total") == seen + 1)
        self.beside("too large", misbehave)

    def test_another_version(self):
        def misbehave():
            with wire.Client(self.endpoint) as client:
                for _ in range(500):
                    with self.assertRaises(wire.Fault) as raised:
                        client.call("bible.passage", VERSE, v=2)
                    self.assertEqual(raised.exception.name, "unsupported_version")
        self.beside("version 2", misbehave)

    def test_a_flood(self):
        """As fast as it can, by one peer that reads late: each is answered once, with its verse or `busy`, but for what was
        counted as dropped because the peer did not keep up."""
        counts = {}
        dropped = lambda: int(self.lectern.metric("bible-1", "lectern_replies_dropped_total"))

        def send(sock):
            for number in range(1, FLOOD + 1):
                sock.send_multipart([header(number), msgpack.packb({**VERSE, "verse_start": number % 36 + 1})])

        def misbehave():
            before = dropped()
            with dealer(self.endpoint) as sock:
                sender = threading.Thread(target=send, args=(sock,))
                sender.start()
                sender.join(60)
                answered = set()
                while len(answered) < FLOOD and sock.poll(2000):
                    frames = sock.recv_multipart()
                    head, body = msgpack.unpackb(frames[0]), msgpack.unpackb(frames[1])
                    self.assertNotIn(head["id"], answered)
                    answered.add(head["id"])
                    counts[head["status"]] = counts.get(head["status"], 0) + 1
                    if head["status"] == "ok":
                        self.assertEqual(body["verses"][0]["verse"], head["id"] % 36 + 1)
                self.assertEqual(len(answered) + dropped() - before, FLOOD)
        self.beside("a flood", misbehave, bad=(503,))
        self.assertLessEqual(set(counts), {"ok", "busy"})
        print(f"a flood: {counts}", flush=True)

    def test_a_peer_that_never_reads(self):
        """Its replies wait up to a mark, and are dropped beyond it; memory stays bounded."""
        body = msgpack.packb({"book": "Psalms", "chapter": 119})
        before = self.resident_kib()

        def misbehave():
            with dealer(self.endpoint, marks=100) as sock:
                sock.setsockopt(zmq.SNDTIMEO, 2000)
                for number in range(1, 10001):
                    sock.send_multipart([msgpack.packb({"v": 1, "id": number, "method": "bible.chapter_content",
                                                        "budget": 5000}), body])
                fleet.wait_for("the mailbox to be empty", lambda: self.lectern.metric(
                    "bible-1", "lectern_mailbox_calls") < 5)
                grown = self.resident_kib() - before
                dropped = self.lectern.metric("bible-1", "lectern_replies_dropped_total")
                print(f"never reads: {grown // 1024} MiB more, {dropped:.0f} dropped", flush=True)
                self.assertLess(grown, 192 * 1024 * fleet.SLOW)
        self.beside("a peer that never reads", misbehave, bad=(503,))


if __name__ == "__main__":
    fleet.main()

"""A late reply never reaches another request. usage: late_test.py [--quick]

Requests with random and mostly too little time, some by clients that leave in the middle: each answer is checked by its
content. Over ZeroMQ each asks for another user or verse, so that an answer of the database that comes too late, given to
another call, would be seen; over HTTP each has another cookie, and the gateway's deadline ends a part of its calls before
their replies come. 1,000,000 of them; 40,000 with --quick, and where the sanitizers slow everything down.
"""

import collections
import random
import re
import socket
import struct
import sys
import threading
import time
import unittest

import msgpack

import _path  # noqa: F401
import fleet
import ground
from peers_test import dealer

USERS = 1000
WINDOW = 200  # in flight over ZeroMQ
CLIENTS, BURST = 8, 50  # over HTTP
SILENT_S = 20
ANSWER = re.compile(rb"HTTP/1\.1 (\d+) [^\r]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
requests = 1000000 if fleet.SLOW == 1 else 40000


class Wire:
    """One DEALER with a window of calls that it asks for by content and takes back by chance."""

    def __init__(self, lectern, domain, make, seed):
        self.chance = random.Random(seed)
        self.make = make
        self.sock = dealer(lectern.socket_of(domain))
        self.asked = {}  # id: what the answer must say
        self.counts = collections.Counter()
        self.wrong = []

    def send(self, number):
        body, expected = self.make(self.chance)
        budget = self.chance.choice((0, 1, 1, 2, 3, 5, 10, 1000))
        self.asked[number] = expected
        self.sock.send_multipart([msgpack.packb({"v": 1, "id": number, "budget": budget, **body[0]}),
                                  msgpack.packb(body[1])])
        if self.chance.random() < 0.05:
            self.sock.send_multipart([msgpack.packb({"v": 1, "id": number, "op": "cancel"}), b"\x80"])

    def receive(self):
        if not self.sock.poll(SILENT_S * 1000 * fleet.SLOW):
            raise AssertionError(f"{len(self.asked)} calls got no answer")
        header, body = (msgpack.unpackb(frame) for frame in self.sock.recv_multipart())
        expected = self.asked.pop(header["id"], None)
        self.counts[header["status"]] += 1
        if expected is None or (header["status"] == "ok" and not expected(body)):
            self.wrong.append((header, str(body)[:100]))

    def run(self, count):
        for number in range(1, count + 1):
            self.send(number)
            while len(self.asked) >= WINDOW:
                self.receive()
        while self.asked:
            self.receive()
        self.sock.close()


class Http:
    """Bursts of pipelined requests on one connection after the other; some connections are reset in the middle."""

    def __init__(self, lectern, users, seed):
        self.chance = random.Random(seed)
        self.port, self.users = lectern.port, users
        self.counts = collections.Counter()
        self.wrong = []

    def burst(self, sock, count):
        asked = [self.chance.choice(self.users) for _ in range(count)]
        sock.sendall(b"".join(b"GET /api/user/session HTTP/1.1\r\nHost: x\r\nCookie: verse_user_id=%s\r\n\r\n" % user
                              for user in asked))
        if self.chance.random() < 0.1:
            time.sleep(self.chance.random() * 0.01)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.counts["left"] += count
            return False
        self.read(sock, asked)
        return True

    def read(self, sock, asked):
        held, at = b"", 0
        while at < len(asked):
            head = ANSWER.match(held)
            length = int(re.search(rb"Content-Length: (\d+)", head.group(2)).group(1)) if head else 0
            if head and len(held) >= head.end() + length:
                self.judge(asked[at], int(head.group(1)), head.group(2), held[head.end():head.end() + length])
                held, at = held[head.end() + length:], at + 1
                continue
            more = sock.recv(65536)
            if not more:
                raise AssertionError(f"the connection ended with {len(asked) - at} answers owed")
            held += more

    def judge(self, user, status, fields, body):
        self.counts[status] += 1
        if (status == 200 and b'"anonymous_id":"%s"' % user not in body) or b"Set-Cookie" in fields:
            self.wrong.append((user, status, body[:100]))

    def run(self, count):
        while count > 0:
            with socket.create_connection(("127.0.0.1", self.port), timeout=SILENT_S * fleet.SLOW) as sock:
                while count > 0:
                    size = min(BURST, count)
                    count -= size
                    if not self.burst(sock, size):
                        break


def run_all(runners, each):
    failed = []

    def run(runner):
        try:
            runner.run(each)
        except Exception as error:
            failed.append(repr(error))
    threads = [threading.Thread(target=run, args=(runner,)) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


class Late(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lectern = fleet.Lectern(env={"NEW_USER_LIMIT": "0", "LECTERN_READ_DEADLINE": "4ms"})
        cls.lectern.__enter__()
        cls.addClassCleanup(cls.lectern.close)
        cls.lectern.sql(f"insert into users (anonymous_id) select gen_random_uuid() from generate_series(1, {USERS})")
        cls.users = cls.lectern.sql(f"select anonymous_id from users order by id desc limit {USERS}").split()
        cls.texts = ground.Books.read_texts(cls.lectern)

    def setUp(self):
        self.before = ground.Standing(self.lectern)

    def check(self, name, runners, count):
        began = time.monotonic()
        self.assertEqual(run_all(runners, count // len(runners)), [])
        took = time.monotonic() - began
        counts = sum((runner.counts for runner in runners), collections.Counter())
        print(f"{name}: {sum(counts.values())} requests in {took:.0f} s: {dict(counts)}", flush=True)
        self.assertEqual([wrong for runner in runners for wrong in runner.wrong][:5], [])
        self.before.is_back(self)
        return counts

    def ask_user(self, chance):
        user = chance.choice(self.users)
        return (({"method": "user.get_user_by_anonymous_id"}, {"anonymous_id": user}),
                lambda body: body["anonymous_id"] == user)

    def ask_verse(self, chance):
        chapter, first, last, code = ground.range_of(chance.randrange(6400))
        texts = [self.texts[code, chapter, verse] for verse in range(first, last + 1)]
        return (({"method": "bible.passage"}, {"book": "Genesis", "chapter": chapter, "verse_start": first,
                                               "verse_end": last, "translation": code}),
                lambda body: [verse["text"] for verse in body["verses"]] == texts)

    def test_users_over_zeromq(self):
        counts = self.check("users", [Wire(self.lectern, "user", self.ask_user, seed) for seed in (1, 2)],
                            requests * 4 // 10)
        self.assertGreater(counts["ok"], 0)
        self.assertGreater(counts["timeout"], 0)
        self.assertLessEqual(set(counts), {"ok", "timeout", "cancelled", "busy"})

    def test_verses_over_zeromq(self):
        counts = self.check("verses", [Wire(self.lectern, "bible", self.ask_verse, seed) for seed in (3, 4)],
                            requests * 2 // 10)
        self.assertGreater(counts["ok"], 0)
        self.assertLessEqual(set(counts), {"ok", "timeout", "cancelled", "busy"})

    def test_sessions_over_http(self):
        users = [user.encode() for user in self.users]
        counts = self.check("sessions", [Http(self.lectern, users, seed) for seed in range(CLIENTS)],
                            requests * 4 // 10)
        self.assertGreater(counts[200], 0)
        self.assertGreater(counts["left"], 0)
        self.assertLessEqual(set(counts), {200, 503, 504, "left"})


if __name__ == "__main__":
    if "--quick" in sys.argv:
        sys.argv.remove("--quick")
        requests = 40000
    fleet.main()

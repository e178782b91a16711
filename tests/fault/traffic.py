"""Other clients than those of ground.Books: large, slow, rude, wrong, and without HTTP. Each keeps books of its own.

    traffic = Traffic(lectern, users)
    …                                   # faults come and go
    traffic.close(test)                 # stops, and says what was wrong

None of them makes users or saves passages of Genesis, so that ground.Books can be kept beside them. What asks an actor
without HTTP and must be answered asks the first instance of its domain: the second one may be killed.
"""

import collections
import hashlib
import itertools
import random
import threading
import time

import msgpack

import _path  # noqa: F401
import clients
import fleet
import wire
from late_test import Http, Wire
from peers_test import dealer

SILENT_S = 20  # after which an answer that is owed is missed
MIB = 1024 * 1024


class Kind:
    """Clients of one kind: turn() is called again and again."""

    pause_s = 0.05  # between two turns

    def __init__(self, traffic):
        self.lectern, self.users = traffic.lectern, traffic.users
        self.bad = set(traffic.may_bad)
        self.chance = random.Random(f"{type(self).__name__} {traffic.seed}")
        self.counts = collections.Counter()
        self.wrong = []

    def judge(self, what, answered, *expected):
        self.counts[answered] += 1
        if answered not in {*expected, *self.bad}:
            self.wrong.append((what, answered, expected))

    def compare(self, test):
        """With the database, when all have stopped."""


class Mistakes(Kind):
    """Requests for what is not there, is not so, or is too much."""

    ROWS = (("GET", "/nothing", 404), ("POST", "/api/user/session", 405), ("GET", "/api/passage?book=John", 422),
            ("GET", "/api/passage?book=John&chapter=3&verse_start=x&save=maybe", 422), ("GET", "/health/", 307),
            ("GET", "/api/passage?book=Genesis&chapter=51&verse_start=1", 404), ("GET", "/health", 200),
            ("GET", "/api/chapter?book=Genesis&chapter=3&translation=NONE", 404), ("GET", "/openapi.json", 200))

    def turn(self):
        for method, path, expected in self.ROWS:
            self.judge(path, self.lectern.request(method, path).status, expected)
        heard = self.lectern.raw(b"GET /health HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (2 * MIB + 1))
        self.judge("too large", clients.statuses(heard)[0], 413)


class Bodies(Kind):
    """The largest body that may come, where nobody asked for one."""

    pause_s = 0.5
    BODY = b'"' + b"x" * (2 * MIB - 2) + b'"'

    def turn(self):
        answer = self.lectern.get("/api/chapter?book=Jude&chapter=1", body=self.BODY,
                                  headers={"Content-Type": "application/json"})
        self.judge("a large body", answer.status, 200)


class Conditional(Kind):
    """HEAD as GET, and 304 for what is known; whichever gateway and actor is asked."""

    def turn(self):
        path = f"/api/chapter/content?book=Psalms&chapter={self.chance.randint(1, 150)}"
        whole, head = self.lectern.get(path), self.lectern.request("HEAD", path)
        self.judge("GET", whole.status, 200)
        self.judge("HEAD", head.status, 200)
        if whole.status != 200:
            return
        known = self.lectern.get(path, headers={"If-None-Match": whole.headers["ETag"]})
        self.judge("If-None-Match", known.status, 304)
        tags = {answer.headers["ETag"] for answer in (whole, head, known) if answer.status in (200, 304)}
        if len(tags) != 1 or head.body or (known.status == 304 and known.body):
            self.wrong.append((path, tags, head.body[:50], known.body[:50]))


class Bursts(Kind):
    """Fifty requests at once on a connection, each with another cookie; some are reset in the middle."""

    pause_s = 0.2

    def turn(self):
        http = Http(self.lectern, [user.encode() for user in self.users], self.chance.random())
        try:
            http.run(100)
        finally:
            self.wrong += http.wrong
            for status, count in http.counts.items():
                self.judge("a burst", status, 200, "left")
                self.counts[status] += count - 1


class Slow(Kind):
    """A head in pieces, and an answer that is read in pieces."""

    def turn(self):
        client = clients.Client(self.lectern.port, room=4096)
        try:
            for piece in self.pieces(b"GET /openapi.json HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"):
                client.send(piece)
                time.sleep(0.05)
            fleet.wait_for("a slow answer", lambda: self.sip(client))
            if not client.heard:
                raise ConnectionError("no answer")
            self.judge("slow", clients.statuses(client.heard)[0], 200)
        finally:
            client.close()

    def pieces(self, data):
        while data:
            count = self.chance.randint(1, 12)
            yield data[:count]
            data = data[count:]

    @staticmethod
    def sip(client):
        """Takes a little; whether it was the last."""
        try:
            chunk = client.sock.recv(2048)
        except BlockingIOError:
            return False
        client.heard += chunk
        return not chunk


class Leavers(Kind):
    """They ask for something, or begin to, and reset."""

    PATHS = (b"/api/passage?book=Exodus&chapter=3&verse_start=%d&save=true", b"/api/chapter?book=Psalms&chapter=%d",
             b"/api/passage?book=Exodus&chapter=1&verse_start=%d")

    def turn(self):
        client = clients.Client(self.lectern.port)
        request = b"GET " + self.chance.choice(self.PATHS) % self.chance.randint(1, 20) + b" HTTP/1.1\r\nHost: h\r\n\r\n"
        client.send(request[:self.chance.randint(1, len(request))] if self.chance.random() < 0.3 else request)
        time.sleep(self.chance.random() * 0.01)
        clients.reset(client.sock)
        self.counts["left"] += 1


class Calls(Kind):
    """A hundred messages in flight without HTTP, with random and mostly too little time; some are taken back."""

    pause_s = 0.3
    domain = None

    def ask(self, chance):
        """What Wire sends, and what tells whether it is answered."""
        raise NotImplementedError

    def turn(self):
        calls = Wire(self.lectern, self.domain, self.ask, self.chance.random())
        try:
            calls.run(100)
        finally:
            calls.sock.close()
            self.wrong += calls.wrong
            for status, count in calls.counts.items():
                self.judge(self.domain, status, "ok", "timeout", "cancelled", "busy", "unavailable")
                self.counts[status] += count - 1


class UserCalls(Calls):
    domain = "user"

    def ask(self, chance):
        user = chance.choice(self.users)
        return ({"method": "user.session", "user": user}, {}), lambda body: body["anonymous_id"] == user


class BibleCalls(Calls):
    domain = "bible"

    def ask(self, chance):
        chapter = chance.randint(1, 150)
        return (({"method": "bible.chapter_content"}, {"book": "Psalms", "chapter": chapter}),
                lambda body: body["reference"] == f"Psalms {chapter}" and body["content"])


class Garbage(Kind):
    """Frames with anything in them, and calls with a header that can be read; then a ping, which is answered."""

    pause_s = 0.2

    def turn(self):
        domain, instance = self.chance.choice(fleet.DOMAINS), self.chance.choice((1, 2))
        with dealer(self.lectern.socket_of(domain, instance)) as sock:
            for _ in range(20):
                sock.send_multipart([self.chance.randbytes(self.chance.choice((0, 1, 3, 20, 300, 9000)))
                                     for _ in range(self.chance.randint(1, 6))])
            for number in range(1, 11):
                head = msgpack.packb({"v": 1, "id": number, "method": f"{domain}.get_user_by_anonymous_id"})
                sock.send_multipart([head, self.chance.randbytes(self.chance.randint(0, 40))])
            sock.send_multipart([msgpack.packb({"v": 1, "id": 11, "op": "ping"}), b"\x80"])
            self.read(sock, domain, instance)

    def read(self, sock, domain, instance):
        owed = set(range(1, 12))
        while owed and sock.poll(SILENT_S * 1000 * fleet.SLOW if instance == 1 else 1000):
            head = msgpack.unpackb(sock.recv_multipart()[0])
            status = head["status"]
            owed.discard(head["id"])
            self.judge(f"garbage to {domain}", status, "malformed", "invalid", "unknown_message", "unsupported_version",
                       "busy", "ok", "leaving", "timeout")
        if owed and instance == 1:
            self.wrong.append((f"garbage to {domain}", "not answered", owed))


class Large(Kind):
    """Passages of up to 2 MiB, stored without HTTP; the books are compared by a hash."""

    pause_s = 0.5
    UNDONE = ("busy", "unavailable", "timeout", "cancelled", "leaving")
    numbers = itertools.count(1)

    def __init__(self, traffic):
        super().__init__(traffic)
        self.outcomes = {"done": {}, "undone": {}, "unknown": {}}  # each: hash of the text by its reference

    def turn(self):
        number, instance = next(self.numbers), self.chance.choice((1, 2))
        text = f"{self.chance.random()} " * self.chance.randint(1000, 2 * MIB // 20)
        outcome = self.save(instance, {"reference": f"Soak {number}", "book": "Soak", "chapter": 1, "verse_start": 1,
                                       "translation": "WEB", "text": text})
        self.counts[outcome] += 1
        self.outcomes[outcome][f"Soak {number}"] = hashlib.md5(text.encode()).hexdigest()

    def save(self, instance, passage):
        with wire.Client(self.lectern.socket_of("bible", instance)) as client:
            try:
                client.call("bible.save_passage", passage, budget=10000,
                            timeout_ms=SILENT_S * 1000 * fleet.SLOW if instance == 1 else 12000)
            except wire.Fault as fault:
                return "undone" if fault.name in self.UNDONE else "unknown"
            except TimeoutError:
                if instance == 1:
                    raise
                return "unknown"
        return "done"

    def compare(self, test):
        rows = self.lectern.sql("select reference, md5(text) from saved_passages where book = 'Soak'").splitlines()
        stored = dict(row.split("|") for row in rows)
        done, possible = self.outcomes["done"], {**self.outcomes["unknown"], **self.outcomes["done"]}
        test.assertEqual({at: stored.get(at) for at in done}, done, "large ones answered as done")
        test.assertEqual({at: possible.get(at) for at in stored}, stored, "large ones that are stored")


class Traffic:
    """All of them at once, each in a thread."""

    KINDS = (Mistakes, Bodies, Conditional, Bursts, Slow, Leavers, UserCalls, BibleCalls, Garbage, Large)

    def __init__(self, lectern, users, may_bad=(503, 504), may_lose=False, seed=0):
        self.lectern, self.users, self.may_bad, self.may_lose, self.seed = lectern, users, may_bad, may_lose, seed
        self.lost = []  # what ended without an answer
        self.going = True
        self.kinds = [kind(self) for kind in self.KINDS]
        self.threads = [threading.Thread(target=self.run, args=(kind,)) for kind in self.kinds]
        for thread in self.threads:
            thread.start()

    def run(self, kind):
        while self.going:
            try:
                kind.turn()
            except Exception as error:  # whatever it is, it is no answer
                self.lost.append((type(kind).__name__, repr(error)))
            time.sleep(kind.pause_s)

    def close(self, test):
        """Stops, and compares."""
        self.going = False
        for thread in self.threads:
            thread.join(60 * fleet.SLOW)
            test.assertFalse(thread.is_alive(), "something got no answer")
        if not self.may_lose:
            test.assertEqual(self.lost[:5], [])
        test.assertEqual([wrong for kind in self.kinds for wrong in kind.wrong][:5], [])
        for kind in self.kinds:
            kind.compare(test)

    def said(self):
        """A line for the log."""
        return ", ".join(f"{sum(kind.counts.values())} {type(kind).__name__}" for kind in self.kinds) + (
            f", {len(self.lost)} lost" if self.lost else "")

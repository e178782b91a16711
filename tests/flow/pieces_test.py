"""Lists that come in pieces: 500 texts of 50,000 characters, over HTTP and straight from the actor, by readers of every kind."""

import contextlib
import http.client
import json
import socket
import threading
import time

import msgpack

import _path  # noqa: F401
import fleet
import wire

TEXTS, LENGTH = 500, 50000
PATH = f"/api/insights/history?limit={TEXTS}"
MOST_GROWTH_KB = 2048
SLACK = 256 * 1024  # a piece may be larger than was granted, by its last row

FILL = """
with made as (
    insert into saved_insights (passage_reference, passage_text, historical_context, theological_significance,
                                practical_application)
    select 'Psalm ' || n, rpad(n || '"\\é🕊', {length}, chr(65 + n % 26) || ' x'), 'h', 't', 'p'
      from generate_series(1, {texts}) as n
    returning id)
insert into user_insights select {user}, id, '2026-01-31'::timestamptz - id * interval '1 s' from made"""


def peak_kb(process):
    """The most memory that the process ever had resident."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def text_of(number):
    filler = chr(65 + number % 26) + " x"
    return (f'{number}"\\é🕊' + filler * LENGTH)[:LENGTH]


class Lists(fleet.LecternTest):
    """A user with the long list, and ways to ask for it."""

    options = {"env": {"LECTERN_SEND_DEADLINE": "2s", "LECTERN_SEND_RATE": "1KiB"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.user = cls.lectern.new_user()
        number = cls.lectern.sql(f"select id from users where anonymous_id = '{cls.user}'")
        cls.lectern.sql(FILL.format(user=number, texts=TEXTS, length=LENGTH))

    def setUp(self):
        self.client = wire.Client(self.lectern.socket_of("insight"))
        self.addCleanup(self.client.close)
        self.gateway, self.actor = self.lectern.find("gateway-1"), self.lectern.find("insight-1")

    # ---- what is expected ----

    def expect_texts(self, entries):
        self.assertEqual([entry["reference"] for entry in entries], [f"Psalm {n}" for n in range(1, TEXTS + 1)])
        for number, entry in enumerate(entries, 1):
            self.assertEqual(entry["text"], text_of(number), number)
            self.assertEqual(entry["insight"]["practical_application"], "p")

    @contextlib.contextmanager
    def little_memory(self):
        """What is done costs gateway and actor at most 2 MiB each, beyond what a short answer had cost them."""
        self.lectern.get("/api/insights/history?limit=1", user=self.user)
        before = peak_kb(self.gateway), peak_kb(self.actor)
        yield
        grown = peak_kb(self.gateway) - before[0], peak_kb(self.actor) - before[1]
        if not fleet.SANITIZED:
            self.assertLessEqual(max(grown), MOST_GROWTH_KB, f"gateway and actor: {grown} KiB")

    def outstanding(self):
        self.client.send_frames(msgpack.packb({"v": 1, "id": 0, "op": "ping"}), msgpack.packb({}))
        return self.client.receive()[1]["outstanding"]

    # ---- asking over HTTP ----

    def open(self, room=None, version="1.1", path=PATH, user=None, verb="GET"):
        """A connection on which the list was asked for; `room`: bytes of its receive buffer."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        if room:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        sock.settimeout(30 * fleet.SLOW)
        sock.connect(("127.0.0.1", self.lectern.port))
        sock.sendall(f"{verb} {path} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n"
                     f"Cookie: verse_user_id={user or self.user}\r\n\r\n".encode())
        return sock

    def read(self, sock, start=b""):
        """Head and content of an answer in chunks; an answer that is cut raises IncompleteRead."""
        data = bytearray(start)
        while chunk := sock.recv(1 << 20):
            data += chunk
        head, _, rest = bytes(data).partition(b"\r\n\r\n")
        content, at = bytearray(), 0
        while True:
            line, found = rest.find(b"\r\n", at), rest[at:at + 20]
            if line < 0:
                raise http.client.IncompleteRead(bytes(content))
            size = int(rest[at:line], 16)
            if len(rest) < line + 2 + size + 2:
                raise http.client.IncompleteRead(found)
            if size == 0:
                self.assertEqual(rest[line:], b"\r\n\r\n")
                return head, bytes(content)
            content += rest[line + 2:line + 2 + size]
            at = line + 2 + size + 2

    def begin(self, sock, least=1):
        """Reads the beginning of an answer."""
        got = b""
        while len(got) < least:
            chunk = sock.recv(least - len(got))
            self.assertTrue(chunk, got[:1000])
            got += chunk
        return got


class OverHttp(Lists):
    def test_the_list(self):
        with self.little_memory():
            answer = self.lectern.get(PATH, user=self.user)
        self.assertEqual((answer.status, answer.headers["Transfer-Encoding"]), (200, "chunked"))
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertIsNone(answer.headers["Content-Length"])
        self.expect_texts(answer.json)

    def test_a_short_list_has_its_length(self):
        answer = self.lectern.get("/api/insights/history?limit=1", user=self.user)
        self.assertIsNone(answer.headers["Transfer-Encoding"])
        self.assertEqual(int(answer.headers["Content-Length"]), len(answer.body))

    def test_each_limit(self):
        for limit in (2, 3, 4, 5, 7, 50, 499):
            answer = self.lectern.get(f"/api/insights/history?limit={limit}", user=self.user)
            self.assertEqual([entry["reference"] for entry in answer.json], [f"Psalm {n}" for n in range(1, limit + 1)])

    def test_a_slow_reader(self):
        with self.little_memory():
            sock = self.open(room=16 * 1024)
            data = bytearray()
            while chunk := sock.recv(1 << 16):
                data += chunk
                if len(data) < 4 << 20:
                    self.lectern.get("/health")  # something else in between
        head, content = self.read(sock, data)
        self.assertIn(b"chunked", head)
        self.expect_texts(json.loads(content))

    def test_a_reader_that_pauses(self):
        """It holds up nobody else, and gets the rest when it reads on."""
        with self.little_memory():
            sock = self.open(room=16 * 1024)
            start = self.begin(sock, 300 * 1024)
            for _ in range(20):
                self.assertEqual(self.lectern.get("/api/insights/history?limit=1", user=self.user).status, 200)
        self.expect_texts(json.loads(self.read(sock, start)[1]))

    def test_a_reader_that_stops_is_cut_off(self):
        sock = self.open(room=16 * 1024)
        self.begin(sock, 100 * 1024)
        self.assertEqual(self.outstanding(), 1)
        fleet.wait_for("the call's end", lambda: self.outstanding() == 0, 30)
        with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
            self.read(sock)

    def test_a_reader_that_leaves(self):
        """Its call is gone within 100 ms; on a busy machine one of some tries must do."""
        took = []
        for _ in range(10):
            sock = self.open(room=16 * 1024)
            self.begin(sock, 100 * 1024)
            self.assertEqual(self.outstanding(), 1)
            left = time.monotonic()
            sock.close()
            fleet.wait_for("the call's end", lambda: self.outstanding() == 0)
            took.append(time.monotonic() - left)
        self.assertLess(min(took), 0.1 * fleet.SLOW)

    def test_two_at_once(self):
        got = [None, None]

        def run(n):
            got[n] = self.read(self.open())[1]

        with self.little_memory():
            threads = [threading.Thread(target=run, args=(n,)) for n in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60 * fleet.SLOW)
        self.assertEqual(got[0], got[1])
        self.expect_texts(json.loads(got[0]))

    def test_head(self):
        sock = self.open(verb="HEAD")
        data = fleet.read_all(sock)
        self.assertTrue(data.startswith(b"HTTP/1.1 200 "), data[:200])
        self.assertEqual(data.split(b"\r\n\r\n")[1], b"")
        fleet.wait_for("the call's end", lambda: self.outstanding() == 0)

    def test_http_1_0(self):
        """Without chunks: until the connection ends."""
        sock = self.open(version="1.0")
        data = bytearray()
        while chunk := sock.recv(1 << 20):
            data += chunk
        head, _, content = bytes(data).partition(b"\r\n\r\n")
        self.assertNotIn(b"chunked", head.lower())
        self.expect_texts(json.loads(content))

    def test_the_connection_is_used_again(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.lectern.port, timeout=30 * fleet.SLOW)
        self.addCleanup(connection.close)
        for _ in range(2):
            connection.request("GET", "/api/insights/history?limit=10", headers={"Cookie": f"verse_user_id={self.user}"})
            self.assertEqual(len(json.loads(connection.getresponse().read())), 10)
        self.assertIsNotNone(connection.sock)

    def test_an_actor_that_is_killed_cuts_the_answer(self):
        sock = self.open(room=16 * 1024)
        start = self.begin(sock, 100 * 1024)
        self.actor.kill()
        self.actor.wait()
        with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
            self.read(sock, start)
        self.lectern.actor("insight")
        self.lectern.wait_ready()
        self.expect_texts(self.lectern.get(PATH, user=self.user).json)


class FromTheActor(Lists):
    def ask(self, **header):
        return self.client.send("insight.get_user_insights", {"limit": TEXTS}, user=self.user, **header)

    def grant(self, number, credit):
        self.client.send_frames(msgpack.packb({"v": 1, "id": number, "op": "credit", "credit": credit}), msgpack.packb({}))

    def cancel(self, number):
        self.client.send_frames(msgpack.packb({"v": 1, "id": number, "op": "cancel"}), msgpack.packb({}))

    def is_quiet(self):
        """Nothing comes before the answer to a ping."""
        return self.outstanding() == 1

    def read_pieces(self, number, again):
        """All entries, and how many pieces they came in; `again`: what was used is granted again."""
        entries, pieces, header = [], 0, {"status": "more"}
        while header["status"] == "more":
            header, body = self.client.receive()
            self.assertEqual(header["id"], number)
            entries += body["insights"]
            if header["status"] == "more":
                pieces += 1
                if again:
                    self.grant(number, len(msgpack.packb(body)))
        self.assertEqual(header["status"], "ok")
        return entries, pieces

    def test_with_credit_for_all(self):
        """As fast as it goes: what is ahead of the reader is as much as he allowed."""
        entries, pieces = self.read_pieces(self.ask(credit=1 << 30), again=False)
        self.assertGreater(pieces, 100)
        self.expect_texts(entries)

    def test_with_a_little_credit_again_and_again(self):
        with self.little_memory():
            entries, pieces = self.read_pieces(self.ask(credit=256 * 1024), again=True)
        self.assertGreater(pieces, 100)
        self.expect_texts(entries)

    def test_without_credit_a_long_list_is_too_large(self):
        with self.assertRaises(wire.Fault) as caught:
            self.client.ask("insight.get_user_insights", {"limit": TEXTS}, user=self.user)
        self.assertEqual(caught.exception.name, "too_large")

    def test_without_credit_a_shorter_one_is_one_reply(self):
        got = self.client.ask("insight.get_user_insights", {"limit": 100}, user=self.user)
        self.assertEqual([e["text"] for e in got["insights"]], [text_of(n) for n in range(1, 101)])

    def test_credit_bit_by_bit(self):
        """Nothing comes without it; what comes is no more than was granted and one piece."""
        number, entries, granted, got, status = self.ask(credit=0), [], 0, 0, "more"
        self.assertTrue(self.is_quiet())
        while len(entries) < 40:
            self.grant(number, got + 1 - granted)
            granted = got + 1
            header, body = self.client.receive()
            status = header["status"]
            got += len(msgpack.packb(body))
            entries += body["insights"]
            self.assertLessEqual(got, granted + SLACK)
            self.assertTrue(self.is_quiet())
        self.grant(number, 1 << 62)
        self.grant(number, 1 << 62)
        while status == "more":
            header, body = self.client.receive()
            status = header["status"]
            entries += body["insights"]
        self.assertEqual(status, "ok")
        self.expect_texts(entries)

    def test_credit_for_nothing_is_nothing(self):
        number = self.ask(credit=0)
        for credit in (0, -1, -2**63 + 1):
            self.grant(number, credit)
        self.grant(number + 1000, 1 << 30)  # a call that there is not
        self.assertTrue(self.is_quiet())
        self.cancel(number)
        self.assertEqual(self.client.receive()[0]["status"], "cancelled")

    def test_cancelled_while_it_waits_and_while_it_sends(self):
        for credit in (0, 1, 1 << 30):
            number = self.ask(credit=credit)
            if credit:
                self.assertEqual(self.client.receive()[0]["status"], "more")
            self.cancel(number)
            while (status := self.client.receive()[0]["status"]) == "more":
                pass
            self.assertEqual(status, "cancelled")
        self.assertEqual(self.outstanding(), 0)

    def test_who_grants_nothing_is_given_up(self):
        self.ask(credit=0, budget=300)
        self.assertEqual(self.client.receive()[0]["status"], "timeout")

    def test_a_short_list_needs_no_credit(self):
        self.client.send("insight.get_user_insights", {"limit": 1}, user=self.user, credit=0)
        header, body = self.client.receive()
        self.assertEqual((header["status"], len(body["insights"])), ("ok", 1))

    def test_a_merge_while_the_list_is_read(self):
        """The kept user's list goes on from there, and his name comes along."""
        gone = self.lectern.new_user()
        kept = self.lectern.sql(f"select id from users where anonymous_id = '{self.user}'")
        number = self.lectern.sql(f"select id from users where anonymous_id = '{gone}'")
        self.lectern.sql(f"insert into user_insights select {number}, insight_id, created_at from user_insights"
                         f" where user_id = {kept}")
        call = self.client.send("insight.get_user_insights", {"limit": TEXTS}, user=gone, credit=1)
        header, body = self.client.receive()
        entries, names = body["insights"], {header.get("user")}
        self.lectern.sql(f"delete from users where id = {number}; insert into merged_users values ('{gone}', {kept})")
        self.grant(call, 1 << 30)
        while header["status"] == "more":
            header, body = self.client.receive()
            names.add(header.get("user"))
            entries += body["insights"]
        self.assertEqual(header["status"], "ok")
        self.assertEqual((header["user"], names), (self.user, {None, self.user}))
        self.expect_texts(entries)


if __name__ == "__main__":
    fleet.main()

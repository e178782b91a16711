"""Very many clients, idle, slow or rude, while others are served: nobody waits for them, and memory stays bounded.

What was measured is printed; only what holds on any machine is asserted.
"""

import contextlib
import os
import resource
import time

import _path  # noqa: F401
import clients
import fleet

MANY, SLOW_ONES, DEAF = 10000, 1000, 200
SAMPLES = 2000
HEALTH = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"
PASSAGE = b"GET /api/passage?book=John&chapter=3&verse_start=16 HTTP/1.1\r\nHost: h\r\n\r\n"
DOCUMENT = b"GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
MIB = 1024 * 1024
SANITIZED = bool(os.environ.get("LECTERN_SANITIZED"))


def allow_descriptors():
    """As many as may be, for the gateway as well; returns how many clients that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return min(MANY, most - 500)


class Crowd(fleet.LecternTest):
    options = {"env": {f"LECTERN_{name}_DEADLINE": "1h" for name in ("HEAD", "IDLE", "BODY", "SEND")}}

    @classmethod
    def setUpClass(cls):
        cls.many = allow_descriptors()
        super().setUpClass()
        cls.gateway = cls.lectern.find("gateway-1")

    def setUp(self):
        self.crowd = []
        self.other = clients.Client(self.lectern.port)
        self.addCleanup(self.leave)

    def leave(self):
        for client in self.crowd + [self.other]:
            client.close()
        fleet.wait_for("all to be gone", lambda: self.connected() == 0)

    def join(self, count, room=None):
        more = [clients.Client(self.lectern.port, room) for _ in range(count)]
        self.crowd += more
        return more

    def connected(self):
        return self.lectern.metric("gateway-1", "lectern_http_connections")

    def memory(self):
        with open(f"/proc/{self.gateway.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.gateway.pid}/fd"))

    def latencies(self, between=lambda number: None):
        """Milliseconds of requests of somebody else: median and 99th percentile."""
        took = []
        for number in range(SAMPLES):
            between(number)
            began = time.monotonic()
            self.assertEqual(clients.statuses(self.other.ask(PASSAGE)), [200])
            took.append((time.monotonic() - began) * 1000)
        took.sort()
        return f"median {took[SAMPLES // 2]:.2f} ms, p99 {took[SAMPLES * 99 // 100]:.2f} ms"

    def test_idle_ones(self):
        print(f"alone: {self.latencies()}")
        before = self.memory()
        for _ in range(0, self.many, 100):
            some = self.join(100)
            for client in some:
                client.send(HEALTH)
            clients.hear_all(some, "an answer", lambda client: client.heard.endswith(b"}"))
        grown = self.memory() - before
        self.assertEqual(self.connected(), len(self.crowd) + 1)
        print(f"{len(self.crowd)} idle clients: {grown:.1f} MiB more; others: {self.latencies()}")
        if not SANITIZED:
            self.assertLess(grown, 40)
        for client in self.crowd[::100]:
            self.assertEqual(clients.statuses(client.ask(HEALTH)), [200])

    def test_slow_ones(self):
        """A byte now and then, of a head or a body; and answers that are read a little at a time."""
        body = b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 60\r\n\r\n" + b"x" * 60
        print(f"alone: {self.latencies()}")
        senders = [(client, LAST if at % 2 else body) for at, client in enumerate(self.join(SLOW_ONES * 2 // 3))]
        readers = self.join(SLOW_ONES // 3, room=4096)
        for client in readers:
            client.send(DOCUMENT * 50 + LAST)
        sent = [0] * len(senders)

        def go_on(number):
            for at in range(number % 20, len(senders), 20):
                client, request = senders[at]
                if sent[at] < len(request) - 1:
                    client.send(request[sent[at]:sent[at] + 1])
                    sent[at] += 1
            for client in readers[number % 20::20]:
                client.push()
                sip(client)
        print(f"{len(self.crowd)} slow clients: {self.latencies(go_on)}; {self.memory():.1f} MiB")
        # Also the readers: the kernel did not take all of their answers at once.
        self.assertEqual(self.connected(), len(self.crowd) + 1)
        for at, (client, request) in enumerate(senders):
            client.send(request[sent[at]:])
        clients.hear_all(self.crowd, seconds=120)
        self.assertEqual({tuple(clients.statuses(client.heard)) for client, _ in senders}, {(200,)})
        self.assertEqual({tuple(clients.statuses(client.heard)) for client in readers}, {(200,) * 51})

    def test_who_reads_nothing_costs_little(self):
        """What such a client asks for is not answered ahead, and not even read."""
        before = self.memory()
        deaf = self.join(DEAF, room=4096)
        asks = DOCUMENT * 1000
        for client in deaf:
            client.send(asks)
        print(f"{DEAF} clients that read nothing: {self.latencies(lambda number: deaf[number % DEAF].push())};"
              f" {self.memory() - before:.1f} MiB more")
        if not SANITIZED:
            self.assertLess(self.memory() - before, DEAF / 2)
        self.assertEqual(self.connected(), DEAF + 1)

    def test_who_comes_and_goes(self):
        clients.Client(self.lectern.port).close()
        self.other.ask(HEALTH)
        fleet.wait_for("the other alone", lambda: self.connected() == 1)
        descriptors, before = self.descriptors(), self.memory()
        came = self.lectern.metric("gateway-1", "lectern_http_connections_total")
        for number in range(MANY):
            client = clients.Client(self.lectern.port)
            if number % 4 == 1:
                client.send(HEALTH[:number % len(HEALTH)])
            elif number % 4 == 2:
                client.send(PASSAGE)
            if number % 8 < 4:
                clients.reset(client.sock)
            client.close()
        fleet.wait_for("all to have come", lambda: self.lectern.metric(
            "gateway-1", "lectern_http_connections_total") >= came + MANY * 9 // 10)
        fleet.wait_for("all to be gone", lambda: self.connected() == 1)
        fleet.wait_for("their descriptors too", lambda: self.descriptors() <= descriptors)
        print(f"{MANY} clients that came and went: {self.memory() - before:.1f} MiB more; then {self.latencies()}")
        fleet.wait_for("no request in flight",
                       lambda: self.lectern.metric("gateway-1", "lectern_exchanges_in_flight") == 0)


def sip(client):
    """Reads a little of what is there."""
    with contextlib.suppress(BlockingIOError):
        client.heard += client.sock.recv(100)


if __name__ == "__main__":
    fleet.main()

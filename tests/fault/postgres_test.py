"""PostgreSQL under load: stopped, restarted, full, without writes, stuck. It comes back, and so does everything else."""

import signal
import socket
import struct
import time

import _path  # noqa: F401
import fleet
import ground
from actor_killed_test import Locked


class Crowd:
    """Takes every place that a server has, by greeting it and saying no more."""

    def __init__(self, path):
        self.socks, self.path = [], path
        while self.take():
            pass

    def take(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(self.path)
        text = b"user\0postgres\0database\0postgres\0\0"
        sock.sendall(struct.pack("!ii", len(text) + 8, 196608) + text)
        if sock.recv(1) != b"R":
            sock.close()
            return False
        self.socks.append(sock)
        return True

    def leave(self):
        for sock in self.socks:
            sock.close()


class Postgres(ground.OwnServerTest):
    def under_load(self, name, begin, end, bad=(503,), hold=0.5):
        """Load; the fault begins, is noticed, lasts `hold` seconds more, ends; all works again."""
        books = ground.Books(self.lectern)
        try:
            books.wait_for_some()
            began = time.monotonic()
            begin()
            fleet.wait_for("the fault to be noticed", lambda: books.count(*bad, since=began) > 0)
            time.sleep(hold)
            end()
            took = books.recovered(time.monotonic())
        finally:
            books.going = False
        books.close(self)
        ground.report(name, took, books)
        self.before.is_back(self)
        self.assertTrue(all(p.running() for p in self.lectern.processes))

    def test_stopped(self):
        """Nothing answers, no connection breaks: requests end at their deadlines."""
        self.under_load("stopped", lambda: self.server.signal_all(signal.SIGSTOP),
                        lambda: self.server.signal_all(signal.SIGCONT), bad=(504,))

    def test_restarted(self):
        self.under_load("restarted", lambda: self.server.end(signal.SIGINT), self.server.resume, hold=4)

    def test_restarted_without_a_word(self):
        self.under_load("ended at once", lambda: self.server.end(signal.SIGQUIT), self.server.resume)

    def test_out_of_connections(self):
        crowd = []
        actors = [p for p in self.lectern.processes if not p.name.startswith("gateway")]

        def begin():
            # While the actors are held, their connections are ended and others take all places.
            for process in actors:
                process.kill(signal.SIGSTOP)
            lectern = "from pg_stat_activity where application_name like 'lectern-%'"
            self.server.sql(f"select pg_terminate_backend(pid) {lectern}")
            fleet.wait_for("their end", lambda: self.server.sql(f"select count(*) {lectern}") == "0")
            crowd.append(Crowd(self.server.socket))
            for process in actors:
                process.kill(signal.SIGCONT)
        self.under_load("out of connections", begin, lambda: crowd[0].leave(), hold=4)

    def read_only(self, on):
        self.server.sql(f"alter system set default_transaction_read_only = {on}")
        self.server.sql("select pg_reload_conf()")

    def test_read_only(self):
        self.under_load("read-only", lambda: self.read_only("on"), lambda: self.read_only("off"))

    def test_standby(self):
        """In recovery, as after a failover to a server that is not promoted yet."""
        def begin():
            self.server.end(signal.SIGINT)
            with open(f"{self.server.folder}/data/standby.signal", "w", encoding="ascii"):
                pass
            self.server.resume()

        def end():
            self.server.sql("select pg_promote(true, 30)")
        self.under_load("standby", begin, end)

    def test_a_statement_that_never_ends(self):
        """Whatever needs `users` waits for a lock; the rest goes on."""
        locks = []

        def end():
            self.assertEqual(self.lectern.get("/api/passage?book=John&chapter=3&verse_start=16").status, 200)
            locks[0].release()
        self.under_load("a lock", lambda: locks.append(Locked(self.lectern.url)), end, bad=(504,))


if __name__ == "__main__":
    fleet.main()

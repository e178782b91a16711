"""A proxy that misbehaves when it is told to: it stands between a client and a server and cuts, delays, halves, stalls.

    with Proxy(target="/tmp/pg/.s.PGSQL.5432", listen="/tmp/x/.s.PGSQL.5432") as proxy:
        proxy.most = 3                      # at most three bytes at a time, both ways
        proxy.delay = 0.05                  # seconds that each piece waits
        proxy.stall(); proxy.go_on()        # nothing is read or passed on
        proxy.cut()                         # all connections end now
        proxy.refuses = True                # new ones end at once
        proxy.cut_at("down", b"COMMIT")     # the connection ends where these bytes would pass, once

`up` is from the client to the server. An address is a path (UNIX) or a pair of host and port (TCP). Everything happens in
one thread; the test sets attributes and calls methods from its own.
"""

import contextlib
import os
import select
import socket
import threading
import time

ROOM = 65536


def _open(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM)


class Pipe:
    """One direction of a connection."""

    def __init__(self, name, source, sink):
        self.name, self.source, self.sink = name, source, sink
        self.held = b""  # read and not passed on
        self.due = 0.0  # when it may be
        self.ended = False  # the source will say no more
        self.last = b""  # what passed last, so that a needle is found across pieces


class Proxy:
    def __init__(self, target, listen):
        self.target, self.listen = target, listen
        self.most, self.delay, self.refuses, self.stalled = ROOM, 0.0, False, False
        self.passed = {"up": 0, "down": 0}
        self.accepted = 0
        self.needles = []  # (direction, bytes)
        self.found = []  # those that were met
        self.pipes = []
        self.server = _open(listen)
        if isinstance(listen, str):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(listen)
        else:
            self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind(listen)
        self.server.listen(64)
        self.listen = self.server.getsockname() or listen
        self.nudged, self.nudging = socket.socketpair()
        self.orders = []  # functions for the thread
        self.going = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- what a test says ----

    def close(self):
        self.going = False
        self.nudging.send(b"x")
        self.thread.join(10)
        for sock in (self.server, self.nudged, self.nudging):
            sock.close()
        if isinstance(self.listen, str):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.listen)

    def order(self, function):
        """Has the thread do something, and waits until it did."""
        done = threading.Event()
        self.orders.append(lambda: (function(), done.set()))
        self.nudging.send(b"x")
        assert done.wait(10), "the proxy does not answer"

    def stall(self):
        self.order(lambda: setattr(self, "stalled", True))

    def go_on(self):
        self.order(lambda: setattr(self, "stalled", False))

    def cut(self):
        self.order(lambda: [self.end(pipe) for pipe in list(self.pipes)])

    def cut_at(self, direction, needle):
        def from_now_on():
            for pipe in self.pipes:
                pipe.last = b""
            self.needles.append((direction, needle))
        self.order(from_now_on)

    def behave(self):
        """As if nothing had been said."""
        def all_well():
            self.most, self.delay, self.refuses, self.stalled, self.needles = ROOM, 0.0, False, False, []
        self.order(all_well)

    # ---- the thread ----

    def end(self, pipe):
        for other in [p for p in self.pipes if p.source in (pipe.source, pipe.sink)]:
            self.pipes.remove(other)
            other.source.close()

    def accept(self):
        client, _ = self.server.accept()
        if self.refuses:
            client.close()
            return
        server = _open(self.target)
        try:
            server.connect(self.target)
        except OSError:
            client.close()
            server.close()
            return
        self.accepted += 1
        for sock in (client, server):
            sock.setblocking(False)
        self.pipes += [Pipe("up", client, server), Pipe("down", server, client)]

    def read(self, pipe):
        try:
            data = pipe.source.recv(min(self.most, ROOM))
        except BlockingIOError:
            return
        except OSError:
            self.end(pipe)
            return
        if not data:
            pipe.ended = True
        pipe.held += data
        pipe.due = time.monotonic() + self.delay
        self.look(pipe, data)

    def look(self, pipe, data):
        """Ends the connection where a needle passes: nothing of the piece that completes it goes on."""
        seen = pipe.last + data
        pipe.last = seen[-64:]
        for needle in self.needles:
            if needle[0] == pipe.name and needle[1] in seen:
                self.needles.remove(needle)
                self.found.append(needle)
                self.end(pipe)
                return

    def write(self, pipe):
        try:
            count = pipe.sink.send(pipe.held[:self.most])
        except BlockingIOError:
            return
        except OSError:
            self.end(pipe)
            return
        pipe.held = pipe.held[count:]
        self.passed[pipe.name] += count

    def turn(self):
        now = time.monotonic()
        reads, writes, wait = [self.nudged, self.server], [], 1.0
        for pipe in list(self.pipes):
            if pipe.ended and not pipe.held:
                self.end(pipe)
        for pipe in [] if self.stalled else self.pipes:
            if not pipe.held and not pipe.ended:
                reads.append(pipe.source)
            elif now >= pipe.due:
                writes.append(pipe.sink)
            else:
                wait = min(wait, pipe.due - now)
        readable, writable, _ = select.select(reads, writes, [], wait)
        if self.nudged in readable:
            self.nudged.recv(4096)
        if self.server in readable:
            self.accept()
        for pipe in list(self.pipes):
            if pipe in self.pipes and pipe.source in readable and not pipe.held:
                self.read(pipe)
            elif pipe in self.pipes and pipe.held and pipe.sink in writable and time.monotonic() >= pipe.due:
                self.write(pipe)
        while self.orders:
            self.orders.pop(0)()

    def run(self):
        while self.going:
            self.turn()
        for pipe in list(self.pipes):
            self.end(pipe)

"""Raw HTTP clients, many at once in one thread, for tests of what goes over a socket byte by byte.

    heard = talk(port, [[b"GET / HT", b"TP/1.1\\r\\n…"], …])     # a list of pieces a client

Each piece is sent when the gateway has read the one before: talk() asks something else in between, and what came
before that is read by the time of its answer. Clients come from many addresses of 127.0.0.0/8, so that ports last.
"""

import errno
import itertools
import re
import selectors
import socket
import struct
import time

import fleet

MOST = 400  # clients of talk() at one time
ADDRESSES = itertools.cycle(f"127.0.{n}.{m}" for n in range(1, 5) for m in range(1, 251))
BIND_ADDRESS_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT


def connect(port, room=None):
    """A connected socket that does not block, from the next address; `room`: bytes of its receive buffer."""
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
    sock.bind((next(ADDRESSES), 0))
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.settimeout(20 * fleet.SLOW)
    sock.connect(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


def reset(sock):
    """Closes with a reset instead of an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def statuses(data):
    """Of all answers in what was heard, also of those in between (100)."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


def plain(data):
    """What was heard without what differs from time to time."""
    return re.sub(rb"\r\n(Date|X-Request-Id): [^\r]*", rb"", data)


class Client:
    """One connection: what was heard so far, whether it has ended and whether by a reset."""

    def __init__(self, port, room=None):
        self.sock = connect(port, room)
        self.heard = bytearray()
        self.ended = self.was_reset = False
        self.unsent = b""

    def close(self):
        self.sock.close()

    def send(self, data):
        """Sends what fits, and keeps the rest for push()."""
        self.unsent += data
        self.push()

    def push(self):
        try:
            while self.unsent:
                self.unsent = self.unsent[self.sock.send(self.unsent):]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.unsent = b""

    def hear(self):
        """Takes what is there."""
        try:
            while chunk := self.sock.recv(65536):
                self.heard += chunk
            self.ended = True
        except BlockingIOError:
            return
        except ConnectionResetError:
            self.ended = self.was_reset = True

    def wait(self, what, condition, seconds=20):
        hear_all([self], what, lambda client: condition(client.heard), seconds)

    def ask(self, data, answers=1, seconds=20):
        """Sends requests and returns what was heard when that many answers with a JSON body had come."""
        self.heard.clear()
        self.send(data)
        self.wait("answers", lambda heard: len(re.findall(rb"\r\n\r\n[\[{]", heard)) >= answers, seconds)
        return bytes(self.heard)


def hear_all(clients, what="the ends", done=lambda client: False, seconds=30):
    """Reads and sends until each client has ended, or is done."""
    ends = time.monotonic() + seconds * fleet.SLOW
    with selectors.DefaultSelector() as selector:
        for client in clients:
            if not client.ended and not done(client):
                selector.register(client.sock, interest(client), client)
        while selector.get_map():
            if time.monotonic() > ends:
                left = next(iter(selector.get_map().values())).data
                raise AssertionError(f"{len(selector.get_map())} clients waited for {what};"
                                     f" one heard {bytes(left.heard[:300])!r}")
            for key, _ in selector.select(1):
                client = key.data
                client.push()
                client.hear()
                if client.ended or done(client):
                    selector.unregister(client.sock)
                elif key.events != interest(client):
                    selector.modify(client.sock, interest(client), client)


def interest(client):
    return selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)


class Barrier:
    """When pass_by() returns, the gateway has read what others had sent before."""

    ASK = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"

    def __init__(self, port):
        self.client = Client(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def pass_by(self):
        self.client.ask(self.ASK)


def talk(port, scripts, seconds=30):
    """What each client heard until its end."""
    heard = []
    with Barrier(port) as barrier:
        for at in range(0, len(scripts), MOST):
            heard += talk_at_once(port, scripts[at:at + MOST], barrier, seconds)
    return heard


def talk_at_once(port, scripts, barrier, seconds):
    clients = [Client(port) for _ in scripts]
    try:
        for turn in range(max(len(script) for script in scripts)):
            for client, script in zip(clients, scripts):
                if turn < len(script):
                    client.send(script[turn])
            barrier.pass_by()
        hear_all(clients, seconds=seconds)
        return [bytes(client.heard) for client in clients]
    finally:
        for client in clients:
            client.close()


def closed_by_peer(sock):
    """Whether the other side has closed or reset, without taking what came before."""
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno != errno.ECONNRESET:
            raise
        return True

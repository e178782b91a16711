"""A client of server-sent events that reads them as they come, and may leave in any way; and many at one time."""

import json
import selectors
import socket
import struct
import time

import _path  # noqa: F401
import fleet


class Stream:
    """One request and its events. `status` and `headers` are there at once, `next()` waits for an event."""

    def __init__(self, lectern, path, body, user=None, version="1.1", receive_bytes=None, seconds=30):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(seconds * fleet.SLOW)
        self.socket.connect(("127.0.0.1", lectern.port))
        self.version = version
        data = json.dumps(body).encode()
        cookie = f"Cookie: verse_user_id={user}\r\n" if user else ""
        self.socket.sendall(f"POST /api{path} HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n{cookie}"
                            f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        self.file = self.socket.makefile("rb")
        self.left = b""  # of chunks, not yet an event
        self.ended = False
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def head(self):
        """Waits for the head; then `status` and `headers` are there."""
        if self.status is None:
            self.status = int(self.file.readline().split()[1])
            lines = iter(lambda: self.file.readline().decode().strip(), "")
            self.headers = {n.lower(): v for n, v in (line.split(": ", 1) for line in lines)}
        return self.status

    def _more(self):
        """Some bytes of the content; none at its end."""
        if self.version == "1.0":
            return self.file.read1(65536)
        line = self.file.readline()
        if not line:
            raise ConnectionResetError("the stream was cut")
        size = int(line, 16)
        data = self.file.read(size)
        self.file.readline()
        return data

    def refusal(self):
        """The answer that is no stream."""
        self.head()
        return json.loads(self.file.read(int(self.headers["content-length"])))

    def block(self):
        """The next block between empty lines, a comment too; None at the end."""
        if self.head() != 200:
            raise AssertionError(f"no stream but {self.status}: {self.refusal()}")
        while b"\n\n" not in self.left:
            data = self._more()
            if not data:
                self.ended = True
                assert not self.left, self.left
                return None
            self.left += data
        block, self.left = self.left.split(b"\n\n", 1)
        return block.decode()

    def next(self):
        """The next event, (name, data); None at the end."""
        while (block := self.block()) is not None:
            if not block.startswith(":"):
                name, data = block.split("\n")
                return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))
        return None

    def rest(self):
        """All events that are still to come."""
        return list(iter(self.next, None))

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()


class Crowd:
    """Many streams that one thread reads, each into `texts`, until its end; `cut` are those that ended without one."""

    def __init__(self, streams):
        self.selector = selectors.DefaultSelector()
        self.texts = {stream: bytearray() for stream in streams}
        self.cut = []
        self.ended = {}  # when
        for stream in streams:
            self.selector.register(stream.socket, selectors.EVENT_READ, stream)

    def read(self, until, seconds=60):
        """Reads until the condition is true, or nobody is left."""
        ends = time.monotonic() + seconds * fleet.SLOW
        while self.selector.get_map() and not until():
            assert time.monotonic() < ends, f"{len(self.selector.get_map())} streams go on"
            for key, _ in self.selector.select(0.02):
                self._take(key.data)

    def _take(self, stream):
        try:
            data = stream.socket.recv(1 << 18)
        except OSError:
            data = b""
        self.texts[stream] += data
        whole = self.texts[stream].endswith(b"0\r\n\r\n")
        if whole or not data:
            self.selector.unregister(stream.socket)
            self.ended[stream] = time.monotonic()
            if not whole:
                self.cut.append(stream)

    def to_the_end(self, seconds=60):
        self.read(lambda: False, seconds)

    def events(self, stream):
        """Of one that has ended; None for one that is no stream of events."""
        head, _, body = bytes(self.texts[stream]).partition(b"\r\n\r\n")
        if b"text/event-stream" not in head:
            return None
        text = b""
        while body and not body.startswith(b"0\r\n"):
            size, _, body = body.partition(b"\r\n")
            text, body = text + body[:int(size, 16)], body[int(size, 16) + 2:]
        blocks = [block.split("\n") for block in text.decode().split("\n\n") if block and not block.startswith(":")]
        return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def text_of(events):
    """What the tokens say together."""
    return "".join(data["token"] for name, data in events if name == "token")

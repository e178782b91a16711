"""A client of server-sent events that reads them as they come, and may leave in any way."""

import json
import socket
import struct

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

    def block(self):
        """The next block between empty lines, a comment too; None at the end."""
        self.head()
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


def text_of(events):
    """What the tokens say together."""
    return "".join(data["token"] for name, data in events if name == "token")

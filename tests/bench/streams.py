#!/usr/bin/env python3
"""usage: streams.py HOST:PORT USER COUNT

Begins COUNT conversations of one user, at most so many at one time that none is refused, and reads their events to the end, for
at most two minutes. Writes a line when the first token of each is there, and at the end: tokens, and the seconds from the first
request to the last event.
Anything but `done` at the end of a stream is a failure.
"""
import json
import resource
import selectors
import signal
import socket
import sys
import time

MOST_SECONDS = 120
BEGINNING_MOST = 50  # that wait for their first token
END = b"0\r\n\r\n"


class Stream:
    """Keeps only what it has to know: how many tokens there were, and the last bytes."""

    def __init__(self, host, port, user):
        body = json.dumps({"message": "Who was Paul?"}).encode()
        self.tokens, self.last = 0, b""
        self.sock = socket.create_connection((host, port), timeout=10)
        self.sock.sendall(b"POST /api/standalone-chat HTTP/1.1\r\nHost: lectern\r\nContent-Type: application/json\r\n"
                          b"Cookie: verse_user_id=%s\r\nContent-Length: %d\r\n\r\n%s" % (user.encode(), len(body), body))

    def read(self):
        """Whether more may come."""
        data = self.sock.recv(65536)
        seen = self.last[-12:] + data
        self.tokens += seen.count(b"event: token")
        self.last = (self.last + data)[-200:]
        if data and not seen.endswith(END):
            return True
        if b"event: done" not in self.last:
            sys.exit(f"streams.py: a stream ends with {self.last.decode(errors='replace')}")
        return False


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    user, count = sys.argv[2], int(sys.argv[3])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("streams.py: it takes too long"))
    signal.alarm(MOST_SECONDS)
    began, left, beginning, tokens = time.monotonic(), count, 0, 0
    selector = selectors.DefaultSelector()
    while left + beginning > 0 or selector.get_map():
        while left > 0 and beginning < BEGINNING_MOST:
            stream = Stream(host, int(port), user)
            selector.register(stream.sock, selectors.EVENT_READ, stream)
            left, beginning = left - 1, beginning + 1
        for key, _ in selector.select():
            stream, before = key.data, key.data.tokens
            if not stream.read():
                selector.unregister(stream.sock)
                stream.sock.close()
            tokens += stream.tokens - before
            if before == 0 and stream.tokens > 0:
                beginning -= 1
                if left + beginning == 0:
                    print("open", flush=True)
    print(tokens, f"{time.monotonic() - began:.3f}", flush=True)


main()

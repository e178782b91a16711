#!/usr/bin/env python3
"""usage: hold.py HOST:PORT COUNT

Opens COUNT connections, asks for /health on each once, writes a line and holds them until it gets
SIGTERM, but not longer than a minute. They end with a reset, so that they leave no ports behind.
"""
import resource
import signal
import socket
import struct
import sys

MOST_SECONDS = 60


def read_answer(sock):
    """Reads one answer, whose body has a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(4096)
        if not part:
            sys.exit("hold.py: the connection was closed")
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200 "):
        sys.exit("hold.py: " + head.split(b"\r\n", 1)[0].decode())
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    left = int(fields[b"content-length"]) - len(body)
    while left > 0:
        left -= len(sock.recv(left))


def open_one(host, port):
    sock = socket.create_connection((host, port), timeout=10)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.sendall(b"GET /health HTTP/1.1\r\nHost: lectern\r\n\r\n")
    read_answer(sock)
    return sock


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    count = int(sys.argv[2])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("hold.py: held for too long"))
    signal.alarm(MOST_SECONDS)
    held = [open_one(host, int(port)) for _ in range(count)]
    print("holding", len(held), flush=True)
    signal.pause()


main()

"""A client of the actors, written from the wire's description alone; it shares no code with Lectern."""

import itertools

import msgpack
import zmq


class Fault(Exception):
    def __init__(self, name, detail):
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail


class Client:
    """One DEALER to one instance."""

    ids = itertools.count(1)

    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.LINGER, 1000)
        self.socket.connect(endpoint)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, method, body=None, timeout_ms=10000, **header):
        """Sends a request and returns its id."""
        head = {"v": 1, "id": next(self.ids), "method": method, **header}
        head = {key: value for key, value in head.items() if value is not None}
        self.send_frames(msgpack.packb(head), msgpack.packb(body or {}), timeout_ms=timeout_ms)
        return head["id"]

    def send_frames(self, *frames, timeout_ms=10000):
        if not self.socket.poll(timeout_ms, zmq.POLLOUT):
            raise TimeoutError("nobody is there")
        self.socket.send_multipart(list(frames))

    def receive(self, timeout_ms=20000):
        """The next reply: header and body."""
        if not self.socket.poll(timeout_ms):
            raise TimeoutError("no reply")
        header, body = self.socket.recv_multipart()
        return msgpack.unpackb(header), msgpack.unpackb(body)

    def call(self, method, body=None, timeout_ms=20000, **header):
        """Header and body of the reply; a fault is raised."""
        wanted = self.send(method, body, **header)
        while True:
            head, answer = self.receive(timeout_ms)
            if head["id"] == wanted:
                break
        if head["status"] not in ("ok", "not_modified"):
            raise Fault(head["status"], answer["detail"])
        return head, answer

    def ask(self, method, body=None, **header):
        """The body alone."""
        return self.call(method, body, **header)[1]

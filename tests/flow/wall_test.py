"""The wall: what HTTP clients send, whole, cut at every place and byte by byte, and what it may never do."""

import re
import resource
import signal
import socket
import uuid

import _path  # noqa: F401
import clients
import fleet

H = b"Host: h\r\n"
CLOSE = b"Connection: close\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HIDDEN = b"GET /health HTTP/1.1\r\nHost: h\r\nX-Request-Id: hidden\r\nConnection: close\r\n\r\n"
HEAD_BYTES, TARGET_BYTES, FIELDS, BODY_BYTES = 16384, 8192, 100, 2 * 1024 * 1024
PATIENT = {"NEW_USER_LIMIT": "0", **{f"LECTERN_{name}_DEADLINE": "10m" for name in ("HEAD", "IDLE", "BODY", "SEND")}}
CUT_MOST = 300  # longer requests are not cut at every place
PASSAGE = b"/api/passage?book=John&chapter=1&verse_start="


def get(*fields, line=b"GET /health HTTP/1.1", body=b""):
    return line + b"\r\n" + b"".join(fields) + b"\r\n" + body


def with_body(*fields, body=b""):
    return get(H, *fields, line=b"GET /health HTTP/1.1", body=body)


# Requests behind which another one is read: the statuses of the answers before its own.
FINE = [
    (get(H), [200]),
    (b"\r\n" + get(H), [200]),
    (b"\r\n\r\n\r\n" + get(H), [200]),
    (get(b"hOST:h\r\n"), [200]),
    (get(b"Host:\t h \t\r\n"), [200]),
    (get(H, b"X:\r\n", b"Y: \r\n", b"Z: \xe4\xff \x80\r\n"), [200]),
    (get(H, b"!#$%&'*+-.^_`|~09azAZ: x\r\n"), [200]),
    (get(H, b"X: :\"(),/;<=>?@[]{}\\\r\n"), [200]),
    # Host (RFC 9110, 7.2)
    (get(b"Host: example.org:80\r\n"), [200]),
    (get(b"Host: h:\r\n"), [200]),
    (get(b"Host: 127.0.0.1:65535\r\n"), [200]),
    (get(b"Host: [::1]\r\n"), [200]),
    (get(b"Host: [2001:db8::1]:8000\r\n"), [200]),
    (get(b"Host: a%20b\r\n"), [200]),
    # targets (RFC 9112, 3.2)
    (get(H, line=b"GET http://other/health HTTP/1.1"), [200]),
    (get(H, line=b"GET HTTPS://other:443/health?a=b HTTP/1.1"), [200]),
    (get(H, line=b"GET http://other HTTP/1.1"), [200]),
    (get(H, line=b"GET http://[::1]:1?a HTTP/1.1"), [200]),
    (get(H, line=b"OPTIONS * HTTP/1.1"), [404]),
    (get(H, line=b"GET /health? HTTP/1.1"), [200]),
    (get(H, line=b"GET /health?a=%zz&%=%0&\"<>[]{}|\\^` HTTP/1.1"), [200]),
    (get(H, line=b"GET /%68ealth HTTP/1.1"), [200]),
    (get(H, line=b"GET /health/ HTTP/1.1"), [307]),
    (get(H, line=b"GET /health%2F HTTP/1.1"), [404]),
    (get(H, line=b"GET /health%3Fa HTTP/1.1"), [404]),
    (get(H, line=b"GET /%2568ealth HTTP/1.1"), [404]),
    (get(H, line=b"GET /x/../health HTTP/1.1"), [404]),
    (get(H, line=b"GET /x/%2e%2E/health HTTP/1.1"), [404]),
    (get(H, line=b"GET //health HTTP/1.1"), [404]),
    (get(H, line=b"GET //other/health/ HTTP/1.1"), [404]),
    (get(H, line=b"GET /%FF%C0%80 HTTP/1.1"), [404]),
    # methods
    (get(H, line=b"HEAD /health HTTP/1.1"), [200]),
    (get(H, line=b"get /health HTTP/1.1"), [405]),
    (get(H, line=b"BREW /health HTTP/1.1"), [405]),
    (get(H, line=b"TRACE /health HTTP/1.1"), [405]),
    (get(H, line=b"DELETE /nothing HTTP/1.1"), [404]),
    # connections (RFC 9112, 9.3)
    (get(H, b"Connection: keep-alive\r\n"), [200]),
    (get(H, b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n"), [200]),
    (get(H, b"Connection: closed, keep-alive, xclose\r\n"), [200]),
    (get(b"Connection: Keep-Alive\r\n", line=b"GET /health HTTP/1.0"), [200]),
    (get(H, b"Connection: x, KEEP-ALIVE\r\n", line=b"GET /health HTTP/1.0"), [200]),
    # bodies (RFC 9112, 6 and 7)
    (with_body(b"Content-Length: 0\r\n"), [200]),
    (with_body(b"Content-Length: 5\r\n", body=b"GET /"), [200]),
    (with_body(b"Content-Length:000000000000000005\r\n", body=b"\r\n\r\n\0"), [200]),
    (with_body(CHUNKED, body=b"0\r\n\r\n"), [200]),
    (with_body(b"tRANSFER-eNCODING:\tCHUNKED \r\n", body=b"5\r\nhello\r\n0\r\n\r\n"), [200]),
    (with_body(CHUNKED, body=b"00000005\r\nGET /\r\n1\r\n \r\n0000\r\n\r\n"), [200]),
    (with_body(CHUNKED, body=b"a\r\n\r\n0\r\n\r\nxyz\r\n0\r\n\r\n"), [200]),
    (with_body(CHUNKED, body=b'1;a;b=c;d="e;\\""\r\nx\r\n0;z\r\n\r\n'), [200]),
    (with_body(CHUNKED, body=b"1\r\nx\r\n0\r\nContent-Length: 9\r\nHost: x\r\nA:\r\n\r\n"), [200]),
    # expectations (RFC 9110, 10.1.1)
    (get(H, b"Expect: 100-continue\r\n"), [200]),
    (get(H, b"Expect: 100-Continue\r\n", b"Content-Length: 0\r\n"), [200]),
    (get(b"Expect: 100-continue\r\n", b"Content-Length: 1\r\n", b"Connection: keep-alive\r\n",
         line=b"GET /health HTTP/1.0", body=b"x"), [200]),
    (get(b"Expect: wonders\r\n", b"Connection: keep-alive\r\n", line=b"GET /health HTTP/1.0"), [200]),
]

# Requests that end the connection, although all is well: nothing behind them is read.
LAST = [
    (get(H, CLOSE), [200]),
    (get(H, b"Connection: x\r\n", b"Connection: y , Close\r\n"), [200]),
    (get(H, b"Connection: keep-alive,close\r\n"), [200]),
    (get(line=b"GET /health HTTP/1.0"), [200]),
    (get(H, b"Connection: close, keep-alive\r\n", line=b"GET /health HTTP/1.0"), [200]),
]

# What is refused, and nothing behind it is read: mostly because two readers could take it in two ways.
REFUSED = [
    # the request line (RFC 9112, 3)
    (b" GET /health HTTP/1.1\r\n" + H + b"\r\n", 400),
    (get(H, line=b"GET  /health HTTP/1.1"), 400),
    (get(H, line=b"GET /health  HTTP/1.1"), 400),
    (get(H, line=b"GET\t/health HTTP/1.1"), 400),
    (get(H, line=b"GET /health HTTP/1.1 "), 400),
    (get(H, line=b"GET /health"), 400),
    (get(H, line=b"GET /health http/1.1"), 400),
    (get(H, line=b"GET /health HTTP/1.10"), 400),
    (get(H, line=b"GET /health HTTP/1"), 400),
    (get(H, line=b"GET /health HTTP/11"), 400),
    (get(H, line=b"GET /health HTTPS/1.1"), 400),
    (get(H, line=b"G(T /health HTTP/1.1"), 400),
    (get(H, line=b"GET /he\x01alth HTTP/1.1"), 400),
    (get(H, line=b"GET /he\xe4lth HTTP/1.1"), 400),
    (get(H, line=b"GET /he\0alth HTTP/1.1"), 400),
    (get(H, line=b"\x16\x03\x01\x02\x00 TLS"), 400),
    (get(H, line=b"GET /health HTTP/1.2"), 505),
    (get(H, line=b"GET /health HTTP/0.9"), 505),
    (get(H, line=b"GET /health HTTP/2.0"), 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    # line ends (2.2): a bare CR or LF, wherever it stands
    (b"\n" + get(H), 400),
    (b"\r" + get(H), 400),
    (b"GET /health HTTP/1.1\n" + H + b"\r\n", 400),
    (b"GET /health HTTP/1.1\r" + H + b"\r\n", 400),
    (get(b"Host: h\n"), 400),
    (get(b"Host: h\r\r\n"), 400),
    (get(H, b"X: y\rZ: z\r\n"), 400),
    (get(H, b"X: y\n\n"), 400),
    (b"GET /health HTTP/1.1\r\n" + H + b"\n", 400),
    # fields (5)
    (get(b" Host: h\r\n"), 400),
    (get(H, b"X: y\r\n z\r\n"), 400),
    (get(H, b"X: y\r\n\tContent-Length: 5\r\n"), 400),
    (get(H, b"X : y\r\n"), 400),
    (get(H, b"Content-Length : 0\r\n"), 400),
    (get(H, b"Content-Length\t: 0\r\n"), 400),
    (get(H, b"Content-Length: 0\t\r\n"), 400),
    (get(H, b"Transfer-Encoding: chunked \t\r\n"), 400),
    (get(H, b": y\r\n"), 400),
    (get(H, b"X\r\n"), 400),
    (get(H, b"X Y: z\r\n"), 400),
    (get(H, b"X\xe4: z\r\n"), 400),
    (get(H, b"X\0: z\r\n"), 400),
    (get(H, b"X: a\0b\r\n"), 400),
    (get(H, b"X: a\x01b\r\n"), 400),
    (get(H, b"X: a\x0bb\r\n"), 400),
    (get(H, b"X: a\x7fb\r\n"), 400),
    # Host
    (get(), 400),
    (get(H, H), 400),
    (get(H, b"host: other\r\n"), 400),
    (get(b"Host: \r\n"), 400),
    (get(b"Host: a b\r\n"), 400),
    (get(b"Host: a,b\r\n", b"Host: c\r\n"), 400),
    (get(b"Host: a/b\r\n"), 400),
    (get(b"Host: http://a\r\n"), 400),
    (get(b"Host: user@a\r\n"), 400),
    (get(b"Host: a:b\r\n"), 400),
    (get(b"Host: a:65536\r\n"), 400),
    (get(b"Host: a:-1\r\n"), 400),
    (get(b"Host: a:1:2\r\n"), 400),
    (get(b"Host: ::1\r\n"), 400),
    (get(b"Host: [::1\r\n"), 400),
    (get(b"Host: [::1]a\r\n"), 400),
    (get(b"Host: [1.2.3.4]\r\n"), 400),
    (get(b"Host: [fe80::1%25eth0]\r\n"), 400),
    (get(b"Host: a%00b\r\n"), 400),
    (get(b"Host: a%2\r\n"), 400),
    (get(b"Host: a\xe4\r\n"), 400),
    # targets
    (get(H, line=b"GET health HTTP/1.1"), 400),
    (get(H, line=b"GET * HTTP/1.1"), 400),
    (get(H, line=b"OPTIONS ** HTTP/1.1"), 400),
    (get(H, line=b"GET h:80 HTTP/1.1"), 400),
    (get(H, line=b"CONNECT h:80 HTTP/1.1"), 501),
    (get(H, line=b"CONNECT /health HTTP/1.1"), 501),
    (get(H, line=b"GET http:///health HTTP/1.1"), 400),
    (get(H, line=b"GET http:/health HTTP/1.1"), 400),
    (get(H, line=b"GET ftp://h/health HTTP/1.1"), 400),
    (get(H, line=b"GET http://user@h/health HTTP/1.1"), 400),
    (get(H, line=b"GET http://h:99999/health HTTP/1.1"), 400),
    (get(H, line=b"GET /health#part HTTP/1.1"), 400),
    (get(H, line=b"GET /health% HTTP/1.1"), 400),
    (get(H, line=b"GET /health%2 HTTP/1.1"), 400),
    (get(H, line=b"GET /health%zz HTTP/1.1"), 400),
    (get(H, line=b"GET /health%00 HTTP/1.1"), 400),
    (get(line=b"GET http://h/health HTTP/1.1"), 400),
    # Content-Length (6.2, 6.3)
    (with_body(b"Content-Length:\r\n"), 400),
    (with_body(b"Content-Length: +0\r\n"), 400),
    (with_body(b"Content-Length: -0\r\n"), 400),
    (with_body(b"Content-Length: 0x0\r\n"), 400),
    (with_body(b"Content-Length: 0.0\r\n"), 400),
    (with_body(b"Content-Length: 1e0\r\n"), 400),
    (with_body(b"Content-Length: 0 0\r\n"), 400),
    (with_body(b"Content-Length: 0, 0\r\n"), 400),
    (with_body(b"Content-Length: 0;\r\n"), 400),
    (with_body(b"Content-Length: \x0c0\r\n"), 400),
    (with_body(b"Content-Length: 0000000000000000000\r\n"), 400),
    (with_body(b"Content-Length: 18446744073709551616\r\n"), 400),
    (with_body(b"Content-Length: 0\r\n", b"Content-Length: 0\r\n"), 400),
    (with_body(b"Content-Length: 0\r\n", b"content-length: %d\r\n" % len(HIDDEN)), 400),
    (with_body(b"Content-Length: 999999999999999999\r\n"), 413),
    # Transfer-Encoding (6.1)
    (with_body(CHUNKED, b"Content-Length: 5\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Content-Length: 5\r\n", CHUNKED, body=b"0\r\n\r\n"), 400),
    (with_body(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), 400),
    (with_body(CHUNKED, b"Transfer-Encoding: identity\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding:\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding: identity\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding: gzip, chunked\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding: chunked, identity\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding: chunked,\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding: chunked;q=1\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding: \"chunked\"\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding: xchunked\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding: chunke\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding: \x0bchunked\r\n", body=b"0\r\n\r\n"), 400),
    (with_body(b"Transfer-Encoding\r\n : chunked\r\n", body=b"0\r\n\r\n"), 400),
    (get(CHUNKED, line=b"GET /health HTTP/1.0", body=b"0\r\n\r\n"), 400),
    (get(CHUNKED, b"Connection: keep-alive\r\n", line=b"GET /health HTTP/1.0", body=b"0\r\n\r\n"), 400),
    # chunks (7.1)
    (with_body(CHUNKED, body=b"\r\n0\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"g\r\n"), 400),
    (with_body(CHUNKED, body=b"-1\r\n"), 400),
    (with_body(CHUNKED, body=b"+0\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0x0\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b" 0\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0 \r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0 ;a\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0\r\r\n"), 400),
    (with_body(CHUNKED, body=b"0;\n\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0;\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0;a=\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0;a=\"\r\n\"\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"000000000\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"100000000\r\n"), 400),
    (with_body(CHUNKED, body=b"FFFFFFFFFFFFFFFF1\r\n"), 400),
    (with_body(CHUNKED, body=b"FFFFFFFF\r\n"), 413),
    (with_body(CHUNKED, body=b"1\r\nxy\r\n0\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"2\r\nx\r\n0\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"1\r\nx\n0\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"1\r\nx\r0\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"1\r\nx0\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0\r\nA: b\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0\r\n A: b\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0\r\nA : b\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0\r\nA\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0\r\nA: \x00\r\n\r\n"), 400),
    (with_body(CHUNKED, body=b"0\r\nX"), 400),
    # expectations
    (get(H, b"Expect: wonders\r\n"), 417),
    (get(H, b"Expect: 100-continue, wonders\r\n"), 417),
    (get(H, b"Expect: 100-continue\r\n", b"Content-Length: 2097153\r\n"), 413),
]

SENT = ([(request + HIDDEN, expected + [200]) for request, expected in FINE]
        + [(request + HIDDEN, expected) for request, expected in LAST]
        + [(request + HIDDEN, [status]) for request, status in REFUSED])


class Framing(fleet.LecternTest):
    """Each request of the tables with another one behind it."""

    options = {"env": PATIENT}

    def check(self, sent, heard, how):
        for (request, expected), got in zip(sent, heard):
            with self.subTest(request=request, how=how):
                self.assertEqual(clients.statuses(got), expected)
                hidden = len(expected) > 1 and expected[-1] == 200
                self.assertEqual(got.count(b"X-Request-Id: hidden"), 1 if hidden else 0)

    def talk(self, scripts):
        return clients.talk(self.lectern.port, scripts)

    def test_whole(self):
        heard = self.talk([[request] for request, _ in SENT])
        self.check(SENT, heard, "whole")
        for (request, expected), got in zip(SENT, heard):
            self.assertEqual(got.count(b"\r\nConnection: close\r\n"), 1, request)
            self.assertEqual(got.count(b"X-Frame-Options: DENY"), len(expected))

    def test_byte_by_byte(self):
        sent = [(request, expected) for request, expected in SENT if len(request) < CUT_MOST]
        self.check(sent, self.talk([[request[i:i + 1] for i in range(len(request))] for request, _ in sent]),
                   "byte by byte")

    def test_cut_at_every_place(self):
        sent = [(request, expected, at) for request, expected in SENT for at in range(1, len(request) - len(HIDDEN) + 2)]
        heard = self.talk([[request[:at], request[at:]] for request, _, at in sent])
        for (request, expected, at), got in zip(sent, heard):
            if clients.statuses(got) != expected:
                self.fail(f"{request!r} cut at {at}: {got!r}")


def sized(what, total):
    """A request of so many bytes of head, or with such a target, so many fields, or such a body."""
    if what == "head":
        start = b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: "
        return start + b"x" * (total - len(start) - 4) + b"\r\n\r\n"
    if what == "target":
        return get(H, CLOSE, line=b"GET /" + b"x" * (total - 1) + b" HTTP/1.1")
    if what == "fields":
        return get(H, CLOSE, *[b"X: y\r\n"] * (total - 2))
    if what == "body":
        return with_body(CLOSE, b"Content-Length: %d\r\n" % total, body=b"x" * total)
    if what == "chunked":
        return with_body(CLOSE, CHUNKED, body=b"%x\r\n" % total + b"x" * total + b"\r\n0\r\n\r\n")
    if what == "chunks":
        return with_body(CLOSE, CHUNKED, body=(b"10\r\n" + b"x" * 16 + b"\r\n") * (total // 16) + b"%x\r\n" % (
            total % 16) + (b"x" * (total % 16) + b"\r\n0\r\n\r\n" if total % 16 else b"\r\n"))
    if what == "extension":
        return with_body(CLOSE, CHUNKED, body=b"0;" + b"x" * (total - 2) + b"\r\n\r\n")
    return with_body(CLOSE, CHUNKED, body=b"0\r\n" + b"x" * (total - 4) + b":\r\n\r\n")


class Limits(fleet.LecternTest):
    options = {"env": PATIENT}

    def talk(self, *scripts):
        return clients.talk(self.lectern.port, list(scripts))

    def test_the_last_that_is_allowed_and_the_first_that_is_not(self):
        rows = [("head", HEAD_BYTES, 200, 431), ("target", TARGET_BYTES, 404, 414), ("fields", FIELDS, 200, 431),
                ("body", BODY_BYTES, 200, 413), ("chunked", BODY_BYTES, 200, 413), ("chunks", BODY_BYTES, 200, 413),
                ("extension", HEAD_BYTES, 200, 400), ("trailer", HEAD_BYTES, 200, 400)]
        heard = self.talk(*[[sized(what, most + more)] for what, most, _, _ in rows for more in (0, 1)])
        for at, (what, most, allowed, refused) in enumerate(rows):
            with self.subTest(what=what):
                self.assertEqual(clients.statuses(heard[2 * at]), [allowed])
                self.assertEqual(clients.statuses(heard[2 * at + 1]), [refused])

    def test_too_much_is_refused_before_it_ends(self):
        endless = [(b"GET /" + b"x" * 20000, 414), (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 20000, 431),
                   (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 4000, 431), (b"\r\n" * 20000, 414),
                   (b"x" * 20000, 414), (with_body(CHUNKED, body=b"0\r\n" + b"X: y\r\n" * 4000), 400),
                   (with_body(CHUNKED, body=b"1;" + b"x" * 20000), 400)]
        for (_, status), heard in zip(endless, self.talk(*[[data] for data, _ in endless])):
            self.assertEqual(clients.statuses(heard), [status], heard[:200])

    def test_what_follows_a_refusal_is_dropped(self):
        flood = HIDDEN * 2000
        for request in (b"BAD\r\n\r\n", with_body(b"Content-Length: 3000000\r\n"), with_body(CHUNKED, body=b"g\r\n")):
            heard = self.talk([request, flood])[0]
            self.assertEqual(len(clients.statuses(heard)), 1)
            self.assertNotIn(b"hidden", heard)

    def test_expect(self):
        whole = with_body(CLOSE, b"Expect: 100-continue\r\n", b"Content-Length: 2\r\n")
        chunked = with_body(CLOSE, b"Expect: 100-continue\r\n", CHUNKED)
        heard = self.talk([whole, b"a", b"b"], [whole + b"a", b"b"], [whole + b"ab"], [chunked, b"0\r\n\r\n"],
                          [chunked + b"1\r\nx", b"\r\n0\r\n\r\n"])
        self.assertEqual([clients.statuses(h) for h in heard], [[100, 200], [200], [200], [100, 200], [200]])
        self.assertTrue(heard[0].startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"))

    def test_a_hundred_in_a_burst_are_answered_in_order(self):
        def burst(target, body):
            return b"".join(
                b"GET " + target(n) + b" HTTP/1.1\r\nHost: h\r\nX-Request-Id: %d\r\nContent-Length: %d\r\n\r\n" % (
                    n, len(body)) + body for n in range(100)) + HIDDEN
        mixed = (lambda n: PASSAGE + b"%d" % (1 + n % 51), lambda n: b"/health" if n % 2 else PASSAGE + b"1")
        scripts = [[burst(target, body)] for target in mixed for body in (b"", b"x" * 100, b"x" * 5000)]
        scripts.append([burst(lambda n: b"/nothing", b"")])
        for heard in self.talk(*scripts):
            self.assertEqual(re.findall(rb"X-Request-Id: (\w+)", heard), [b"%d" % n for n in range(100)] + [b"hidden"])
        verses = re.findall(rb'"verse":(\d+)', self.talk(scripts[0])[0])
        self.assertEqual([int(v) for v in verses], [1 + n % 51 for n in range(100)])

    def half_close(self, data):
        client = clients.Client(self.lectern.port)
        try:
            client.send(data)
            fleet.wait_for("all to be sent", lambda: client.push() or not client.unsent)
            client.sock.shutdown(socket.SHUT_WR)
            clients.hear_all([client])
            return clients.statuses(client.heard)
        finally:
            client.close()

    def test_half_close(self):
        one, passage = get(H), get(H, line=b"GET " + PASSAGE + b"1 HTTP/1.1")
        for data, expected in ((one, [200]), (passage, [200]), (one + passage + one, [200] * 3), (passage + b"GET /", [200]),
                               (passage + b"BAD\r\n\r\n", [200, 400]), (passage * 50, [200] * 50), (b"", []), (b"GET", []),
                               (one[:-2], []), (with_body(b"Content-Length: 2\r\n", body=b"a"), []),
                               (with_body(CHUNKED, body=b"1\r\na\r\n"), [])):
            with self.subTest(data=data[:100]):
                self.assertEqual(self.half_close(data), expected)

    def test_head_is_get_without_a_body(self):
        chapter = b"/api/chapter?book=John&chapter=3"
        for target in (b"/", b"/health", b"/ready", b"/openapi.json", b"/nothing", b"/health/", PASSAGE + b"1", PASSAGE + b"x",
                       PASSAGE + b"999", chapter, b"/api/translations"):
            with self.subTest(target=target):
                line = target + b" HTTP/1.1"
                whole, = self.talk([get(H, CLOSE, line=b"GET " + line)])
                head, = self.talk([get(H, line=b"HEAD " + line) + HIDDEN])
                head, _, behind = head.partition(b"\r\n\r\n")
                self.assertEqual(clients.plain(head), clients.plain(whole.partition(b"\r\n\r\n")[0]).replace(
                    b"\r\nConnection: close", b""))
                self.assertTrue(behind.startswith(b"HTTP/1.1 200"))

    def test_http_1_0(self):
        old = b" HTTP/1.0\r\n"
        heard = self.talk([b"GET " + PASSAGE + b"1" + old + b"\r\n"],
                          [b"GET /health" + old + b"Connection: keep-alive\r\n\r\nGET /health" + old + b"\r\n"],
                          [b"GET " + PASSAGE + b"1" + old + b"Connection: keep-alive\r\nContent-Length: 1\r\n\r\nx" + HIDDEN])
        self.assertEqual([clients.statuses(h) for h in heard], [[200], [200, 200], [200, 200]])
        self.assertNotIn(b"Transfer-Encoding", heard[0])
        self.assertEqual(heard[1].count(b"\r\nConnection: keep-alive\r\n"), 1)
        self.assertEqual(heard[1].count(b"\r\nConnection: close\r\n"), 1)

    def test_percent_encoding_in_queries(self):
        for query, status in ((b"book=%4aohn&chapter=3&verse_start=16", 200), (b"b%6fok=John&chapter=%33&verse_start=+16", 200),
                              (b"book=1+Samuel&chapter=1&verse_start=1", 200), (b"book=1%20Samuel&chapter=1&verse_start=1", 200),
                              (b"book=1%2BSamuel&chapter=1&verse_start=1", 404), (b"book=%254aohn&chapter=3&verse_start=16", 404),
                              (b"book=John%&chapter=3&verse_start=16", 404), (b"book=Joh%6&chapter=3&verse_start=16", 404),
                              (b"book=John%00&chapter=3&verse_start=16", 422), (b"book=%ff&chapter=3&verse_start=16", 422),
                              (b"book=%ed%a0%80&chapter=3&verse_start=16", 422), (b"book=%c0%80&chapter=3&verse_start=16", 422),
                              (b"book=John&chapter=3&verse_start=16&%00=1&=&&a&%ff=%zz", 200),
                              (b"book=x&book=John&chapter=3&verse_start=16", 200), (b"", 422)):
            with self.subTest(query=query):
                heard, = self.talk([get(H, CLOSE, line=b"GET /api/passage?" + query + b" HTTP/1.1")])
                self.assertEqual(clients.statuses(heard), [status], heard)

    def test_cookies(self):
        """Kept: the user is known; made: another one is made, and said."""
        user = self.lectern.new_user().encode()
        name = b"verse_user_id="
        for fields, kept in (
                ([b"Cookie: " + name + user], True), ([b"Cookie: " + name + b'"' + user + b'"'], True),
                ([b"COOKIE:" + name + user + b";"], True), ([b"Cookie: ;; ;=;a;=b;  " + name + user + b" ; c"], True),
                ([b"Cookie: a=b", b"Cookie: " + name + user], True),
                ([b"Cookie: " + b"; ".join(b"c%d=%d" % (n, n) for n in range(800)) + b"; " + name + user], True),
                ([b"Cookie: c%d=1" % n for n in range(90)] + [b"Cookie: " + name + user], True),
                ([b"Cookie: x=" + b"y" * 15000 + b"; " + name + user], True),
                ([b"Cookie: a=\xff\xfe; " + name + user], True),
                ([b"Cookie: " + name + user + b"; " + name + b"other"], True),
                ([b"Cookie: " + name + b"other; " + name + user], False),
                ([b"Cookie: " + name + user.upper()], None), ([b"Cookie: Verse_User_Id=" + user], False),
                ([b"Cookie: " + name], False), ([b"Cookie: verse_user_id"], False), ([b"Cookie:"], False),
                ([b"Cookie: " + name + b'"' + user], False), ([b"Cookie: " + name + b"'" + user + b"'"], False),
                ([b"Cookie: " + name + user + b"x"], False), ([b"Cookie: " + name + b"\xff" * 36], False),
                ([b"Cookie: " + name + b"x" * 16000], False), ([b"Cookie: " + name + b"%" + user[1:]], False),
                ([b"Cookie: " + name + str(uuid.uuid4()).encode()], False)):
            with self.subTest(fields=fields[0][:80]):
                heard, = self.talk([get(H, CLOSE, *[f + b"\r\n" for f in fields], line=b"GET /api/user/session HTTP/1.1")])
                self.assertEqual(clients.statuses(heard), [200])
                made = b"\r\nSet-Cookie: verse_user_id=" in heard
                self.assertEqual(user in heard, not made)
                if kept is not None:
                    self.assertEqual(made, not kept)


class Rude(fleet.LecternTest):
    """Clients that stall, leave or take nothing; deadlines are short."""

    options = {"env": {"NEW_USER_LIMIT": "0", "LECTERN_HEAD_DEADLINE": "2s", "LECTERN_IDLE_DEADLINE": "2s",
                       "LECTERN_BODY_DEADLINE": "2s", "LECTERN_SEND_DEADLINE": "500ms", "LECTERN_SEND_RATE": "1MiB",
                       "LECTERN_READ_DEADLINE": "3s", "LECTERN_LOG_LEVEL": "warn"}}

    def gauge(self, name):
        return self.lectern.metric("gateway-1", f"lectern_{name}")

    def wait_alone(self):
        fleet.wait_for("the others to be gone", lambda: self.gauge("http_connections") == 0)
        fleet.wait_for("their requests too", lambda: self.gauge("exchanges_in_flight") == 0)

    def test_deadlines(self):
        slow = b"a" * 200
        scripts = [([b""], []), ([b"GET"], [408]), ([b"GET / HTTP/1.1\r\nHost: h\r\n"], [408]), ([b"\r\n\r\n"], [408]),
                   ([get(H)], [200]), ([get(H) + b"GET"], [200, 408]),
                   ([with_body(b"Content-Length: 2\r\n")], [408]), ([with_body(b"Content-Length: 90000\r\n", body=slow)], [408]),
                   ([with_body(CHUNKED, body=b"5\r\nabc")], [408]), ([with_body(CHUNKED, body=b"0\r\nX: ")], [408]),
                   ([with_body(b"Expect: 100-continue\r\n", b"Content-Length: 5\r\n")], [100, 408])]
        heard = clients.talk(self.lectern.port, [script for script, _ in scripts])
        for (script, expected), got in zip(scripts, heard):
            self.assertEqual(clients.statuses(got), expected, script)

    def test_deadline_of_the_answer(self):
        actor = self.lectern.find("bible-1")
        actor.kill(signal.SIGSTOP)
        try:
            line = b"GET " + PASSAGE + b"7&translation=KJV HTTP/1.1"
            heard, = clients.talk(self.lectern.port, [[get(H, line=line) + get(H) + HIDDEN]])
        finally:
            actor.kill(signal.SIGCONT)
        self.assertIn(clients.statuses(heard)[0], (503, 504))
        self.assertEqual(clients.statuses(heard)[1:], [200, 200])
        self.lectern.wait_ready()

    def test_who_reads_nothing_is_cut(self):
        """Answers wait for their reader in the kernel and a little here; then nothing more is read from it."""
        asks = get(H, line=b"GET /openapi.json HTTP/1.1") * 3000
        rude = [clients.Client(self.lectern.port, room=4096) for _ in range(10)]
        for client in rude:
            client.send(asks)
        fleet.wait_for("the cuts", lambda: self.gauge('http_timeouts_total{phase="send"}') >= len(rude))
        self.wait_alone()
        for client in rude:
            client.close()

    def test_resets_at_every_stage(self):
        passage = get(H, line=b"GET " + PASSAGE + b"1 HTTP/1.1")
        session = get(H, line=b"GET /api/user/session HTTP/1.1")
        openapi = get(H, line=b"GET /openapi.json HTTP/1.1")
        stages = [b"", b"GET", get(H)[:-1], get(H), passage, session, passage * 20 + b"GET", openapi * 200, b"BAD\r\n\r\n",
                  with_body(b"Content-Length: 9\r\n", body=b"x"), with_body(CHUNKED, body=b"5\r\nx"),
                  with_body(b"Expect: 100-continue\r\n", b"Content-Length: 9\r\n"), session + b"x" * 60000,
                  with_body(b"Content-Length: 90000\r\n", body=b"x" * 80000)]
        with clients.Barrier(self.lectern.port) as barrier:
            for tries in range(10):
                left = [clients.Client(self.lectern.port) for _ in stages]
                for client, stage in zip(left, stages):
                    client.send(stage)
                if tries % 2:
                    barrier.pass_by()
                for client in left:
                    clients.reset(client.sock)
            barrier.pass_by()
        self.wait_alone()
        self.assertEqual(self.lectern.get("/ready").status, 200)

    def test_without_descriptors_accepting_waits(self):
        gateway = self.lectern.find("gateway-1")
        limits = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
        served = clients.Client(self.lectern.port)
        served.ask(get(H, line=b"GET " + PASSAGE + b"1 HTTP/1.1"))
        waits = self.gauge("http_accept_waits_total")
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        others = [clients.Client(self.lectern.port) for _ in range(20)]
        for other in others:
            other.send(HIDDEN)
        try:
            for _ in range(20):
                self.assertEqual(clients.statuses(served.ask(get(H, line=b"GET " + PASSAGE + b"1 HTTP/1.1"))), [200])
            self.assertFalse(any(clients.closed_by_peer(other.sock) for other in others))
        finally:
            resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, limits)
        clients.hear_all(others)
        self.assertEqual([clients.statuses(other.heard) for other in others], [[200]] * 20)
        self.assertGreater(self.gauge("http_accept_waits_total"), waits)
        for client in others + [served]:
            client.close()
        self.assertLess(gateway.text().count("cannot accept"), 20)

    def test_times_can_be_changed_while_it_runs(self):
        """The gateway takes new ones on SIGHUP from its file."""
        path = f"{self.lectern.state}/times.conf"
        with open(path, "w", encoding="ascii") as file:
            file.write("head_deadline = 1h\n")
        port = fleet.free_port()
        env = {"LECTERN_HTTP": f"127.0.0.1:{port}", "LECTERN_CONFIG": path, "LECTERN_HEAD_DEADLINE": ""}
        gateway = self.lectern.gateway(2, env=env)
        fleet.wait_for("the second gateway", lambda: serves(port))
        with open(path, "w", encoding="ascii") as file:
            file.write("head_deadline = 300ms\n")
        gateway.kill(signal.SIGHUP)

        def refused():
            client = clients.Client(port)
            client.send(b"GET")
            try:
                clients.hear_all([client], seconds=2)
            except AssertionError:
                return False
            finally:
                client.close()
            return clients.statuses(client.heard) == [408]
        fleet.wait_for("the shorter time", refused)
        self.assertEqual(gateway.stop(), 0)


def serves(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except ConnectionRefusedError:
        return False


if __name__ == "__main__":
    fleet.main()

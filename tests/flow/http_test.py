"""Rules that every route keeps: methods, paths, headers, CORS, bodies, the document of the API."""

import json
import socket

import _path  # noqa: F401
import fleet

SECURITY = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-XSS-Protection": "1; mode=block",
}
PATHS = ("/", "/health", "/ready", "/nothing", "/api/user/session", "/api/passage", "/api/translations",
         "/api/user/session/", "/openapi.json")


class Rules(fleet.LecternTest):
    def test_service_routes(self):
        root = self.lectern.get("/").json
        self.assertEqual(set(root), {"message", "version"})
        self.assertEqual(self.lectern.get("/health").json, {"status": "healthy"})
        self.assertEqual(self.lectern.get("/ready").json, {"status": "ready"})

    def test_unknown_paths(self):
        for path in ("/nothing", "/api", "/api/", "/api/user", "/user/session", "/api/user/session/x", "//health",
                     "/api/%75ser/sessionx"):
            with self.subTest(path=path):
                answer = self.lectern.get(path)
                self.assertEqual((answer.status, answer.json), (404, {"detail": "Not Found"}))

    def test_a_slash_too_many(self):
        for path, to in (("/api/user/session/", "/api/user/session"), ("/health/", "/health"),
                         ("/api/passage/?book=John&chapter=3", "/api/passage?book=John&chapter=3")):
            answer = self.lectern.get(path)
            self.assertEqual(answer.status, 307)
            self.assertTrue(answer.headers["Location"].endswith(to), answer.headers["Location"])

    def test_wrong_method(self):
        for method in ("POST", "DELETE", "PUT", "PATCH", "OPTIONS", "BREW"):
            with self.subTest(method=method):
                answer = self.lectern.request(method, "/api/user/session")
                self.assertEqual((answer.status, answer.json), (405, {"detail": "Method Not Allowed"}))
                self.assertIn("GET", answer.headers["Allow"])
                self.assertIsNone(answer.cookie)

    def test_security_headers_on_every_answer(self):
        answers = [self.lectern.get(path) for path in PATHS]
        answers.append(self.lectern.request("POST", "/api/user/session"))
        for answer in answers:
            for name, value in SECURITY.items():
                self.assertEqual(answer.headers[name], value)
            policy = answer.headers["Content-Security-Policy"]
            for part in ("default-src 'self'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'",
                         "base-uri 'self'", "form-action 'self'", "img-src 'self' data: https:", "font-src 'self' data:",
                         "style-src 'self' 'unsafe-inline'"):
                self.assertIn(part, policy)
            for sensor in ("geolocation", "microphone", "camera", "payment", "usb", "magnetometer", "gyroscope",
                           "accelerometer"):
                self.assertIn(f"{sensor}=()", answer.headers["Permissions-Policy"])
            self.assertIn("Origin", answer.headers["Vary"])
            self.assertNotIn("Strict-Transport-Security", answer.headers)

    def test_request_ids(self):
        given = self.lectern.get("/health", headers={"X-Request-Id": "abc-123"})
        self.assertEqual(given.headers["X-Request-Id"], "abc-123")
        made = [self.lectern.get("/health", headers={"X-Request-Id": value}).headers["X-Request-Id"]
                for value in ("", "a b", "x" * 65)]
        self.assertEqual(len(set(made)), 3)

    def test_cors(self):
        answer = self.lectern.get("/health", headers={"Origin": "http://localhost:5173"})
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "http://localhost:5173")
        self.assertEqual(answer.headers["Access-Control-Allow-Credentials"], "true")
        foreign = self.lectern.get("/health", headers={"Origin": "http://evil.example"})
        self.assertEqual(foreign.status, 200)
        self.assertNotIn("Access-Control-Allow-Origin", foreign.headers)

    def test_preflight(self):
        def preflight(origin, method, path="/api/user/session"):
            return self.lectern.request("OPTIONS", path, headers={
                "Origin": origin, "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "content-type"})
        answer = preflight("http://localhost:3000", "DELETE")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "http://localhost:3000")
        self.assertEqual({m.strip() for m in answer.headers["Access-Control-Allow-Methods"].split(",")},
                         {"GET", "POST", "DELETE"})
        allowed = answer.headers["Access-Control-Allow-Headers"].lower()
        for name in ("content-type", "accept", "cookie", "authorization"):
            self.assertIn(name, allowed)
        self.assertEqual(answer.headers["Access-Control-Allow-Credentials"], "true")
        self.assertEqual(answer.headers["Access-Control-Max-Age"], "600")
        self.assertEqual(preflight("http://evil.example", "GET").status, 400)
        self.assertEqual(preflight("http://localhost:3000", "PUT").status, 400)

    def test_openapi(self):
        document = self.lectern.get("/openapi.json").json
        self.assertTrue(document["openapi"].startswith("3.1"))
        paths = document["paths"]
        messages = json.loads(fleet.command("ls", "--json").stdout)
        self.assertEqual({p for p in paths if p.startswith("/api/")}, {m["path"] for m in messages if m.get("path")})
        passage = paths["/api/passage"]["get"]
        self.assertEqual({p["name"]: p["required"] for p in passage["parameters"]},
                         {"book": True, "chapter": True, "verse_start": True, "verse_end": False,
                          "translation": False, "save": False})
        self.assertLessEqual({"200", "403", "404", "422"}, set(passage["responses"]))
        self.resolve(document, document)

    def resolve(self, node, document):
        """Every reference leads somewhere."""
        if isinstance(node, dict):
            if "$ref" in node:
                at = document
                for step in node["$ref"].removeprefix("#/").split("/"):
                    at = at[step]
            for value in node.values():
                self.resolve(value, document)
        elif isinstance(node, list):
            for value in node:
                self.resolve(value, document)

    def test_answers_fit_the_document(self):
        import jsonschema
        document = self.lectern.get("/openapi.json").json
        for path, query in (("/api/user/session", ""), ("/api/translations", ""),
                            ("/api/passage", "?book=John&chapter=3&verse_start=1&verse_end=4"),
                            ("/api/chapter", "?book=Psalms&chapter=3"),
                            ("/api/chapter/content", "?book=Psalms&chapter=3")):
            schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            validator = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
            validator.check_schema(schema)
            validator.validate(self.lectern.get(path + query).json)
            fault = document["paths"][path]["get"]["responses"].get("422")
            if fault:
                wrong = self.lectern.get(path)
                self.assertEqual(wrong.status, 422)
                jsonschema.Draft202012Validator(
                    {**fault["content"]["application/json"]["schema"], "components": document["components"]}
                ).validate(wrong.json)


class Bytes(fleet.LecternTest):
    """What goes over the socket, byte by byte."""

    def statuses(self, data, seconds=1):
        return [int(part[:3]) for part in self.lectern.raw(data, seconds).split(b"HTTP/1.1 ")[1:]]

    def test_pipelined_requests_are_answered_in_order(self):
        burst = b"".join(b"GET /api/passage?book=John&chapter=1&verse_start=%d HTTP/1.1\r\nHost: x\r\n\r\n" % n
                         for n in range(1, 52))
        burst += b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = self.lectern.raw(burst, 10)
        found = [json.loads(part.split(b"\r\n\r\n", 1)[1]) for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
        self.assertEqual([a["verses"][0]["verse"] for a in found[:-1]], list(range(1, 52)))
        self.assertEqual(found[-1], {"status": "healthy"})

    def test_ambiguous_requests_are_refused_and_nothing_behind_them_is_answered(self):
        hidden = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        for head in (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: 0\r\nContent-Length: 0\r\n",
                     b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: +5\r\n",
                     b"Transfer-Encoding: xchunked\r\n", b"Content-Length : 5\r\n", b"A: b\r\n c\r\n", b"Host: y\r\n",
                     b"A: b\nC: d\r\n", b"A: \x01\r\n"):
            with self.subTest(head=head):
                self.assertEqual(self.statuses(b"GET /health HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n" + hidden), [400])

    def test_bodies(self):
        def post(head, body=b""):
            return self.statuses(b"POST /api/user/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n" + body)
        self.assertEqual(post(b"Content-Length: 2\r\n", b"{}"), [405])  # the path decides first

    def test_half_close_is_answered(self):
        with socket.create_connection(("127.0.0.1", self.lectern.port), timeout=10) as sock:
            sock.sendall(b"GET /api/passage?book=John&chapter=3&verse_start=16 HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            self.assertTrue(fleet.read_all(sock).startswith(b"HTTP/1.1 200 OK"))

    def test_http_1_0(self):
        answer = self.lectern.raw(b"GET /health HTTP/1.0\r\n\r\n", 5)
        self.assertIn(b'{"status":"healthy"}', answer)


if __name__ == "__main__":
    fleet.main()

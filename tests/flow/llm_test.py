"""The language model's client: both protocols over real sockets, each trouble told apart, keys kept, options judged."""

import os
import socket
import subprocess
import tempfile
import time
import unittest

import _path  # noqa: F401
import fleet
import model
import provider
from provider import Answer

FAILED = {"detail": "Failed to generate insights"}
LIBRARY = os.path.join(fleet.BUILD, "libblocking.so")
KEY = "key-of-a-test"


def empty(protocol):
    """A whole answer that says nothing."""
    if protocol == "anthropic":
        return b'{"content":[],"stop_reason":"end_turn"}'
    return b'{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}'


def whole_troubles(protocol):
    """What goes wrong with a whole answer: how it ends for the metric, questions that reach the provider, answers."""
    again = [("limited", 429), ("overloaded", 500), ("overloaded", 503), ("overloaded", 529)]
    for outcome, status in again:
        yield f"{status}, twice", outcome, 2, [Answer(status=status), Answer(status=status)]
    yield "401", "refused_key", 1, [Answer(status=401)]
    yield "403", "refused_key", 1, [Answer(status=403)]
    yield "400", "rejected", 1, [Answer(status=400)]
    yield "404", "rejected", 1, [Answer(status=404)]
    yield "redirected", "rejected", 1, [Answer(status=302, headers={"Location": "/v1/messages"})]
    yield "refused", "refusal", 1, [Answer(stop="refusal")]
    yield "too long", "too_long", 1, [Answer(stop="max_tokens")]
    yield "empty", "malformed" if protocol == "anthropic" else "empty", 1, [Answer(raw=empty(protocol))]
    yield "no body", "malformed", 1, [Answer(raw=b"")]
    yield "no JSON", "malformed", 1, [Answer(raw=b"<html>")]
    yield "half of JSON", "malformed", 1, [Answer(raw=b'{"content":[')]
    yield "too deep", "malformed", 1, [Answer(raw=b"[" * 100000)]
    yield "too large", "malformed", 1, [Answer(raw=b'"' + b"x" * (5 << 20) + b'"')]
    yield "a part is missing", "malformed", 1, [Answer(parts={"historical_context": "a"})]
    yield "a part is a list", "malformed", 1, [Answer(parts={**provider.PARTS, "historical_context": ["a"]})]
    yield "a part is blank", "malformed", 1, [Answer(parts={**provider.PARTS, "practical_application": " "})]
    yield "U+0000", "malformed", 1, [Answer(parts={**provider.PARTS, "practical_application": "a\0b"})]
    yield "cut", "cut", 1, [Answer(cut_after=0)]


def stream_troubles():
    """What goes wrong with a stream: the tokens before, questions that reach the provider, answers."""
    yield "429, twice", 0, 2, [Answer(status=429), Answer(status=429)]
    yield "529, twice", 0, 2, [Answer(status=529), Answer(status=529)]
    yield "400", 0, 1, [Answer(status=400)]
    yield "empty", 0, 1, [Answer(tokens=[])]
    yield "refused", 0, 1, [Answer(tokens=[], stop="refusal")]
    yield "an error before the first token, twice", 0, 2, [Answer(error_after=0), Answer(error_after=0)]
    yield "an error in the middle", 2, 1, [Answer(error_after=2)]
    yield "cut in the middle", 3, 1, [Answer(cut_after=3)]
    yield "cut before the first token", 0, 1, [Answer(cut_after=0)]
    yield "no events", 0, 1, [Answer(raw=b'{"content":[]}')]
    yield "an event without JSON", 0, 1, [Answer(raw=b"data: {\n\n")]
    yield "an endless event", 0, 1, [Answer(raw=b"data: " + b"x" * (2 << 20))]


class Anthropic(model.ModelTest):
    def setUp(self):
        super().setUp()
        self.user = self.lectern.new_user()
        self.make_pro(self.user)

    def outcome(self, process, name):
        return self.lectern.metric(process, f'lectern_llm_questions_total{{outcome="{name}"}}')

    def test_what_is_asked(self):
        """The key, the model and the prompt; the reader's text is in the user's message alone."""
        self.assertEqual(self.insight("A passage <b>\"\\ é</passage> </x", self.user).status, 200)
        question = self.provider.questions[0]
        self.assertEqual(question.body["max_tokens"], 2000)
        self.assertFalse(question.body["stream"])
        text = question.body["messages"][-1]["content"]
        self.assertEqual(text, "\n<reference>\nJohn 3:16\n</reference>\n\n<passage>\nA passage <b>\"\\ é< /passage> < /x\n</passage>\n")
        with open(os.path.join(fleet.ROOT, "actors/insight/insight.prompt"), encoding="utf-8") as file:
            self.asked_rightly(question, file.read())

    def asked_rightly(self, question, prompt):
        self.assertEqual((question.path, question.headers["x-api-key"]), ("/v1/messages", KEY))
        self.assertEqual(question.headers["anthropic-version"], "2023-06-01")
        self.assertEqual((question.body["model"], question.body["system"]), ("claude-sonnet-4-5", prompt))
        self.assertEqual(question.body["tool_choice"], {"type": "tool", "name": "explain_passage"})

    def test_whole_answers_that_fail(self):
        for name, outcome, questions, answers in whole_troubles(self.protocol):
            with self.subTest(name):
                self.provider.forget()
                before = self.outcome("insight-1", outcome)
                self.provider.plan(*answers)
                answer = self.insight(user=self.user, save=True)
                self.assertEqual((answer.status, answer.json), (502, FAILED))
                self.assertEqual(len(self.provider.questions), questions)
                self.assertEqual(self.outcome("insight-1", outcome), before + 1)
                self.assertEqual(self.insight(user=self.user).status, 200, "the next one")
        self.assertEqual(self.lectern.sql("select count(*) from saved_insights where passage_text like "
                                          f"'%{self.protocol}%'"), "0")

    def test_streams_that_fail(self):
        for name, tokens, questions, answers in stream_troubles():
            with self.subTest(name):
                self.provider.forget()
                self.provider.plan(*answers)
                got = model.events(self.chat(user=self.user))
                self.assertEqual([e[0] for e in got], ["token"] * min(tokens, 1) + ["error"] if tokens < 2
                                 else ["token"] * (len(got) - 1) + ["error"])
                self.assertEqual("".join(e[1]["token"] for e in got[:-1]), "".join(Answer().tokens[:tokens]))
                self.assertEqual(got[-1][1], {"error": "The language model failed"})
                self.assertEqual(len(self.provider.questions), questions)
                self.assertEqual(model.events(self.chat(user=self.user))[-1][0], "done", "the next one")

    def test_a_refused_key_is_said_in_the_stream(self):
        for status in (401, 403):
            self.provider.plan(Answer(status=status))
            got = model.events(self.chat(user=self.user))
            self.assertEqual([e[0] for e in got], ["error"])
            self.assertEqual(got[0][1]["error_type"], "auth_error")

    def test_streams_that_look_odd_and_are_right(self):
        for answer in (Answer(pings=True), Answer(bytewise=True), Answer(pings=True, bytewise=True),
                       Answer(tokens=["é", "\U0001F54A ", "\"\\\n", " "]), Answer(tokens=["x" * 200000])):
            self.provider.plan(answer)
            got = model.events(self.chat(user=self.user))
            self.assertEqual("".join(e[1]["token"] for e in got if e[0] == "token"), "".join(answer.tokens))
            self.assertEqual(got[-1], ("done", {"status": "complete", "stop_reason": "end_turn"}))

    def test_whole_answers_cut_at_each_byte(self):
        self.provider.plan(Answer(bytewise=True))
        self.assertEqual(self.insight(user=self.user).json["historical_context"], model.PARTS["historical_context"])

    def test_why_it_ended(self):
        for stop in ("max_tokens", "end_turn"):
            self.provider.plan(Answer(stop=stop))
            self.assertEqual(model.events(self.chat(user=self.user))[-1][1]["stop_reason"], stop)
        for stop in ("\ud800", "é" * 30, "a word that is none", "x" * 40):
            self.provider.plan(Answer(stop=stop))
            self.assertEqual(model.events(self.chat(user=self.user))[-1], ("done", {"status": "complete", "stop_reason": "other"}))

    def test_one_more_try(self):
        for status in (429, 500, 529):
            self.provider.forget()
            self.provider.plan(Answer(status=status))
            self.assertEqual(self.insight(user=self.user).status, 200)
            self.assertEqual(len(self.provider.questions), 2)
        self.provider.forget()
        self.provider.plan(Answer(error_after=0))
        self.assertEqual(model.events(self.chat(user=self.user))[-1][0], "done")

    def test_the_provider_says_when(self):
        self.provider.plan(Answer(status=429, headers={"Retry-After": "2"}))
        self.assertEqual(self.insight(user=self.user).status, 200)
        first, second = self.provider.questions
        self.assertGreaterEqual(second.came - first.came, 1.9)

    def test_later_than_there_is_time(self):
        for wish in ("3600", "9" * 18):
            self.provider.forget()
            self.provider.plan(Answer(status=429, headers={"Retry-After": wish}))
            self.assertEqual(self.insight(user=self.user).status, 502, wish)
            self.assertEqual(len(self.provider.questions), 1)
            self.assertEqual(self.insight(user=self.user).status, 200)

    def test_connections_are_kept(self):
        """One after the other, questions share a connection."""
        self.insight(user=self.user)
        before = self.provider.connections
        for _ in range(5):
            self.assertEqual(self.insight(user=self.user).status, 200)
        self.assertEqual(self.provider.connections, before)

    def test_connections_of_streams_are_kept(self):
        """All but those whose end comes behind the answer's."""
        before = self.provider.connections
        for _ in range(10):
            self.assertEqual(model.events(self.chat(user=self.user))[-1][0], "done")
        self.assertLess(self.provider.connections, before + 6)

    def test_who_leaves_closes_the_connection(self):
        self.provider.plan(Answer(first_s=120))
        with socket.create_connection(("127.0.0.1", self.lectern.port)) as sock:
            body = b'{"passage_text":"left","passage_reference":"John"}'
            sock.sendall(b"POST /api/insights HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                         b"Cookie: verse_user_id=%s\r\nContent-Length: %d\r\n\r\n%s"
                         % (self.user.encode(), len(body), body))
            self.asked(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        fleet.wait_for("the provider to be left", lambda: self.provider.questions[0].left)
        self.at_rest("insight-1")

    def test_the_key_stays_secret(self):
        """Not even a provider that repeats it brings it into a log."""
        echo = f'{{"error":{{"type":"x","message":"the key {KEY} is wrong"}}}}'.encode()
        self.provider.plan(Answer(status=401, raw=echo))
        self.insight(user=self.user)
        self.provider.plan(Answer(status=400, raw=echo))
        self.insight(user=self.user)
        self.provider.plan(Answer(raw=b"data: " + echo + b"\n\n"), Answer(raw=b"data: " + echo + b"\n\n"))
        self.chat(user=self.user)
        fleet.wait_for("the log", lambda: "(words with the key in them)" in self.lectern.find("insight-1").text())
        for process in self.lectern.processes:
            self.assertNotIn(KEY, process.text(), process.name)
        for name in ("insight-1", "gateway-1"):
            self.assertNotIn(KEY, self.lectern.admin(name, "/metrics").body.decode())
        said = subprocess.run([fleet.program("lectern-insight"), "--check-config"], env=self.lectern.env, text=True,
                              capture_output=True, timeout=60, check=True)
        self.assertNotIn(KEY, said.stdout + said.stderr)
        self.assertIn("not shown", said.stdout)


class OpenAI(Anthropic):
    protocol = "openai"

    def asked_rightly(self, question, prompt):
        self.assertEqual((question.path, question.headers["authorization"]), ("/v1/chat/completions", f"Bearer {KEY}"))
        self.assertEqual(question.body["model"], "gpt-4o-mini")
        self.assertEqual(question.body["messages"][0], {"role": "system", "content": prompt})
        self.assertEqual(question.body["response_format"]["json_schema"]["strict"], True)


class Patience(model.ModelTest):
    """A provider that is slow, gone, or asked for too much at a time."""

    env = {**model.NO_LIMITS, "LECTERN_LLM_FIRST_TOKEN": "1s", "LECTERN_LLM_NEXT_TOKEN": "500ms", "LECTERN_LLM_CALLS": "4"}

    def test_the_first_token_is_late(self):
        self.provider.plan(Answer(first_s=120))
        got = model.events(self.chat())
        self.assertEqual(got, [("error", {"error": "The language model failed"})])
        fleet.wait_for("the provider to be left", lambda: self.provider.questions[0].left)
        self.assertEqual(self.lectern.metric("chat-1", 'lectern_llm_questions_total{outcome="slow"}') >= 1, True)

    def test_the_head_is_late(self):
        self.provider.plan(Answer(before_s=120))
        self.assertEqual(model.events(self.chat())[-1][0], "error")

    def test_the_next_token_is_late(self):
        """Pings are no tokens."""
        self.provider.plan(Answer(tokens=["a", "b"], between_s=120), Answer(pings=True, tokens=["a", "b"], between_s=120))
        for _ in range(2):
            self.assertEqual([e[0] for e in model.events(self.chat())], ["token", "error"])

    def test_a_wish_for_more_patience_than_a_reader_has(self):
        self.provider.plan(Answer(status=429, headers={"Retry-After": "2"}))
        self.assertEqual(model.events(self.chat())[-1][0], "error")
        self.assertEqual(len(self.provider.questions), 1)

    def test_too_many_at_a_time(self):
        user = self.lectern.new_user()
        self.make_pro(user)
        self.provider.usual = Answer(first_s=120)
        held = [socket.create_connection(("127.0.0.1", self.lectern.port)) for _ in range(4)]
        for number, sock in enumerate(held):
            body = b'{"passage_text":"held %d","passage_reference":"John"}' % number
            sock.sendall(b"POST /api/insights HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                         b"Cookie: verse_user_id=%s\r\nContent-Length: %d\r\n\r\n%s" % (user.encode(), len(body), body))
        self.asked(4)
        answer = self.insight(user=user)
        self.assertEqual((answer.status, answer.json["detail"]), (503, "The language model is not available, try again"))
        self.assertEqual(answer.headers["Retry-After"], "1")
        for sock in held:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        self.at_rest("insight-1")
        self.provider.forget()
        self.assertEqual(self.insight(user=user).status, 200)


class Gone(model.ModelTest):
    """A provider that nobody reaches is not asked again and again; when it is back, it is found."""

    @fleet.plainly
    def test_a_provider_that_goes_and_comes(self):
        user = self.lectern.new_user()
        port = self.provider.port
        self.provider.__exit__()
        for _ in range(5):
            answer = self.insight(user=user)
            self.assertEqual((answer.status, answer.json), (502, FAILED))
        began = time.monotonic()
        answer = self.insight(user=user)
        self.assertEqual((answer.status, answer.json["detail"]), (503, "The language model is not available, try again"))
        self.assertEqual(answer.headers["Retry-After"], "1")
        self.assertLess(time.monotonic() - began, 0.4 * fleet.SLOW, "it is not even tried")
        self.assertEqual(self.usage(user), 0)
        with provider.Provider(port) as back:
            fleet.wait_for("a try", lambda: self.insight(user=user).status == 200, 60)
            self.assertEqual(self.insight(user=user).status, 200)
            self.assertEqual(len(back.questions), 2)
        self.assertIn("the language model answers again", self.lectern.find("insight-1").text())


class Nobody(fleet.LecternTest):
    """No provider: what is stored is answered, the rest is 503."""

    options = {"env": {**model.NO_LIMITS, "LECTERN_LLM": "none", "ANTHROPIC_API_KEY": KEY}}

    def test_it(self):
        user = self.lectern.new_user()
        insight = {"passage_text": "For God", "passage_reference": "John 3:16", "save": True}
        definition = {"word": "God", "verse_text": "For God", "passage_reference": "John 3:16", "save": True}
        absent = {"detail": "No language model is configured"}
        for path, body in (("insights", insight), ("definitions", definition), ("standalone-chat", {"message": "x"})):
            answer = self.lectern.request("POST", f"/api/{path}", body, user=user)
            self.assertEqual((answer.status, answer.json), (503, absent), path)
        self.lectern.sql("insert into saved_insights (passage_reference, passage_text, historical_context,"
                         " theological_significance, practical_application) values ('John 3:16', 'For God', 'a', 'b', 'c')")
        answer = self.lectern.request("POST", "/api/insights", insight, user=user)
        self.assertEqual((answer.status, answer.json["cached"]), (200, True))
        self.assertEqual(self.lectern.get("/api/user/session", user=user).json["usage"]["calls_today"], 0)


class Options(unittest.TestCase):
    """What cannot be followed ends the program with 78 and a line that says why."""

    def start(self, **env):
        with tempfile.TemporaryDirectory(prefix="lectern-options.") as state:
            base = {k: v for k, v in os.environ.items() if not k.startswith(fleet.FOREIGN)}
            return subprocess.run([fleet.program("lectern-insight")], text=True, capture_output=True, timeout=60,
                                  env={**base, "LECTERN_STATE": state, "DATABASE_URL": "postgresql:///?host=/nowhere",
                                       "LECTERN_ADMIN": "off", **env})

    def refused(self, said, **env):
        with self.subTest(env=env):
            done = self.start(**env)
            self.assertEqual(done.returncode, 78, done.stderr)
            self.assertIn(said, done.stderr)
            self.assertNotIn("secret", done.stderr)

    def test_what_is_refused(self):
        self.refused('"claude" is none of: auto anthropic openai none', LECTERN_LLM="claude")
        self.refused("ANTHROPIC_API_KEY is not set", LECTERN_LLM="anthropic")
        self.refused("MAX_TOKENS_INSIGHTS", MAX_TOKENS_INSIGHTS="0")
        self.refused("LECTERN_LLM_CALLS", LECTERN_LLM_CALLS="many")
        self.refused("LECTERN_LLM_FIRST_TOKEN", LECTERN_LLM_FIRST_TOKEN="soon")
        self.refused("ANTHROPIC_API_KEY: the key has a blank", ANTHROPIC_API_KEY="a secret")
        self.refused("OPENAI_API_KEY: the key has a blank", OPENAI_API_KEY="secret\r\nX-More: 1")
        self.refused("ANTHROPIC_API_KEY: the key is too long", ANTHROPIC_API_KEY="x" * 5000)
        for address in ("api.anthropic.com", "ftp://u:secret@h", "http://", "http://a b", "https://h:port"):
            self.refused("ANTHROPIC_BASE_URL", ANTHROPIC_API_KEY="x", ANTHROPIC_BASE_URL=address)
        self.refused("/nowhere/authorities.pem: No such file", LECTERN_LLM_CA_FILE="/nowhere/authorities.pem")
        self.refused("OPENAI_BASE_URL", LECTERN_LLM="openai", OPENAI_BASE_URL="localhost:11434")

    def test_files_of_keys_that_are_refused(self):
        with tempfile.TemporaryDirectory(prefix="lectern-keys.") as folder:
            def file(name, content):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                    out.write(content)
                return os.path.join(folder, name)
            self.refused("No such file", ANTHROPIC_API_KEY_FILE=os.path.join(folder, "none"))
            self.refused("ANTHROPIC_API_KEY: the file holds no key", ANTHROPIC_API_KEY_FILE=file("empty", "\n"))
            self.refused("OPENAI_API_KEY: the file holds no key", OPENAI_API_KEY_FILE=file("long", "x" * 5000))
            self.refused("OPENAI_API_KEY: the file holds no key", OPENAI_API_KEY_FILE=folder)
            self.refused("OPENAI_API_KEY: the key has a blank", OPENAI_API_KEY_FILE=file("two", "secret 1\nsecret 2\n"))

    def test_help(self):
        for domain in fleet.DOMAINS:
            said = subprocess.run([fleet.program(f"lectern-{domain}"), "--help"], text=True, capture_output=True,
                                  timeout=60, check=True).stdout
            self.assertIn("ANTHROPIC_API_KEY_FILE", said)


class Keys(unittest.TestCase):
    """Where a key comes from, and what a server gets that needs none."""

    def ask(self, **env):
        with provider.Provider() as asked:
            env = {key: value.replace("PROVIDER", asked.address) for key, value in env.items()}
            with fleet.Lectern(env=env) as lectern:
                answer = lectern.request("POST", "/api/insights", {"passage_text": "x", "passage_reference": "y"})
                self.assertEqual(answer.status, 200, answer.body)
                for process in lectern.processes:
                    self.assertNotIn("secret", process.text())
            return asked.questions[0]

    def test_a_key_in_a_file(self):
        with tempfile.NamedTemporaryFile("w", prefix="lectern-key.") as file:
            file.write("file-secret\r\n")
            file.flush()
            question = self.ask(ANTHROPIC_API_KEY_FILE=file.name, ANTHROPIC_BASE_URL="PROVIDER/", OPENAI_API_KEY="other",
                                ANTHROPIC_MODEL="model of tomorrow", MAX_TOKENS_INSIGHTS="123")
        self.assertEqual((question.path, question.headers["x-api-key"]), ("/v1/messages", "file-secret"))
        self.assertEqual((question.body["model"], question.body["max_tokens"]), ("model of tomorrow", 123))

    def test_a_server_without_a_key(self):
        question = self.ask(LECTERN_LLM="openai", OPENAI_BASE_URL="PROVIDER/v1", ANTHROPIC_API_KEY="other",
                            OPENAI_MODEL="llama")
        self.assertEqual((question.path, question.body["model"]), ("/v1/chat/completions", "llama"))
        self.assertNotIn("authorization", question.headers)

    def test_the_one_whose_key_is_set(self):
        question = self.ask(OPENAI_API_KEY="the-secret", OPENAI_BASE_URL="PROVIDER/v1")
        self.assertEqual(question.headers["authorization"], "Bearer the-secret")


class Secure(unittest.TestCase):
    """Over TLS: only a provider that is known is told anything."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="lectern-tls.")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.certificate = cls.make("ours", "IP:127.0.0.1")

    @classmethod
    def make(cls, name, subject):
        """Files of a certificate that is its own authority, and of its key."""
        files = [os.path.join(cls.folder.name, f"{name}.{kind}") for kind in ("pem", "key")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=provider", "-addext", f"subjectAltName={subject}", "-out", files[0], "-keyout", files[1]],
                       check=True, capture_output=True, timeout=60)
        return files

    def ask(self, certificate, authorities):
        """Of a provider with a certificate: the statuses of an insight and a chat, the questions, and the insight's log."""
        with provider.Provider(tls=certificate) as asked:
            with fleet.Lectern(env={**asked.environment(), "LECTERN_LLM_CA_FILE": authorities}) as lectern:
                body = {"passage_text": "x", "passage_reference": "y"}
                statuses = (lectern.request("POST", "/api/insights", body).status,
                            model.events(lectern.request("POST", "/api/standalone-chat", {"message": "x"}))[-1][0])
                return statuses, asked.questions, lectern.find("insight-1").text()

    def test_a_provider_that_is_known(self):
        statuses, questions, log = self.ask(self.certificate, self.certificate[0])
        self.assertEqual((statuses, len(questions)), ((200, "done"), 2), log)

    @fleet.plainly
    def test_others(self):
        other = self.make("other", "IP:127.0.0.1")
        elsewhere = self.make("elsewhere", "DNS:elsewhere.example")
        for certificate, authorities in ((other, self.certificate[0]), (other, ""), (elsewhere, elsewhere[0])):
            statuses, questions, log = self.ask(certificate, authorities)
            self.assertEqual((statuses, questions), ((502, "error"), []))
            self.assertIn("the provider cannot be reached: SSL", log)


@unittest.skipIf(fleet.SANITIZED, "the sanitizers interpose the same calls")
class Blocking(unittest.TestCase):
    """Nothing blocks the loop, not even the look-up of a provider's name."""

    def test_it(self):
        try:
            host = socket.gethostbyname(socket.gethostname())
        except OSError:
            self.skipTest("this machine has no name")
        with provider.Provider(host=host) as asked, tempfile.TemporaryDirectory(prefix="lectern-blocking.") as folder:
            log = os.path.join(folder, "log")
            env = {**model.NO_LIMITS, **asked.environment(), "LD_PRELOAD": LIBRARY, "BLOCKING_LOG": log,
                   "ANTHROPIC_BASE_URL": f"http://{socket.gethostname()}:{asked.port}"}
            with fleet.Lectern(env=env) as lectern:
                self.exercise(lectern, asked)
                blocked = ""
                if os.path.exists(log):
                    with open(log, encoding="utf-8", errors="replace") as file:
                        blocked = file.read()
            calls = [call for call in blocked.split("blocking: ") if call and not self.is_over(call)]
            self.assertEqual("".join(calls), "")

    @staticmethod
    def is_over(call):
        """libcurl joins the thread that has resolved a name, after it said that it is done."""
        return call.startswith("pthread_join") and "libcurl" in call

    def exercise(self, lectern, asked):
        def ask(number):
            body = {"passage_text": f"text {number}", "passage_reference": "John", "save": True}
            return lectern.request("POST", "/api/insights", body).status
        self.assertEqual(model.together(*[lambda n=n: ask(n) for n in range(20)]), [200] * 20)
        self.assertEqual(len(asked.questions), 20)
        asked.plan(Answer(status=500), Answer(cut_after=0))
        self.assertEqual(ask(20), 502)
        answer = lectern.request("POST", "/api/standalone-chat", {"message": "x"})
        self.assertEqual(model.events(answer)[-1][0], "done")


if __name__ == "__main__":
    fleet.main()

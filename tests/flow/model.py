"""What flows with a language model stand on: a Lectern whose actors ask a provider of the test's own."""

import concurrent.futures
import contextlib
import http.client
import itertools
import json
import socket
import struct
import subprocess

import _path  # noqa: F401
import fleet
import provider

NO_LIMITS = {"AI_ENDPOINT_LIMIT": "0", "CHAT_ENDPOINT_LIMIT": "0", "NEW_USER_LIMIT": "0", "WRITE_ENDPOINT_LIMIT": "0"}
FEW = {"LECTERN_DB_CONNECTIONS": "4"}  # of an actor to PostgreSQL, which has 100 for all
PARTS = provider.PARTS
DAILY = {"message": "Daily limit of 10 AI requests reached. Please try again tomorrow or upgrade to pro.",
         "current_usage": 10, "limit": 10, "is_pro": False}


CLOCK = """
create schema clock;
create table clock.hand (at timestamptz);
insert into clock.hand values (date_trunc('minute', now()));
create function clock.now() returns timestamptz language sql stable as 'select at from clock.hand';
select format('alter database %I set search_path = clock, pg_catalog, public', current_database()) \gexec
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
"""


class ModelTest(fleet.LecternTest):
    """Tests that share a Lectern and a provider; `env` and `options` go to the Lectern."""

    protocol = "anthropic"
    env = NO_LIMITS
    passages = itertools.count(1)

    @classmethod
    def setUpClass(cls):
        cls.provider = provider.Provider()
        cls.provider.__enter__()
        cls.addClassCleanup(cls.provider.__exit__)
        cls.options = {**cls.options, "env": {**cls.provider.environment(cls.protocol), **FEW, **cls.env}}
        super().setUpClass()

    @classmethod
    def stop_the_clock(cls):
        """The database's now() stands at the beginning of this minute, until move_clock()."""
        done = subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", cls.lectern.url], input=CLOCK, text=True,
                              capture_output=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        fleet.wait_for("the database", lambda: all(
            cls.lectern.request("POST", path, {}).status == 422 for path in ("/api/insights", "/api/definitions"))
            and cls.lectern.get("/api/user/session").status == 200 and cls.lectern.get("/ready").status == 200)

    @classmethod
    def move_clock(cls, to):
        """To what an expression over `at`, its time so far, says."""
        cls.lectern.sql(f"update clock.hand set at = {to}")

    def setUp(self):
        self.provider.forget()

    def passage(self):
        """One that nobody has asked for yet."""
        return f"In the beginning, {self.protocol} {next(self.passages)}"

    def insight(self, text=None, user=None, save=False, reference="John 3:16", **more):
        body = {"passage_text": text or self.passage(), "passage_reference": reference, "save": save}
        return self.lectern.request("POST", "/api/insights", body, user=user, **more)

    def definition(self, verse=None, user=None, save=False, word="love", reference="John 3:16", **more):
        body = {"word": word, "verse_text": verse or self.passage(), "passage_reference": reference, "save": save}
        return self.lectern.request("POST", "/api/definitions", body, user=user, **more)

    def chat(self, message="Who was Paul?", user=None, **more):
        return self.lectern.request("POST", "/api/standalone-chat", {"message": message}, user=user, **more)

    def usage(self, user):
        """Calls of today, reservations among them."""
        return self.lectern.get("/api/user/session", user=user).json["usage"]["calls_today"]

    def use_up(self, user, left=0):
        """Leaves a user so many calls of today."""
        self.lectern.sql("insert into usage_tracking (user_id, date, llm_calls) select id, date_trunc('day', now(), 'UTC'),"
                         f" {10 - left} from users where anonymous_id = '{user}'"
                         f" on conflict (user_id, date) do update set llm_calls = {10 - left}")

    def make_pro(self, user):
        self.lectern.sql(f"update users set pro_subscription = true where anonymous_id = '{user}'")

    def asked(self, count, seconds=20):
        """Waits until so many questions have reached the provider."""
        fleet.wait_for(f"{count} questions", lambda: len(self.provider.questions) >= count, seconds)

    def at_rest(self, *names):
        """Waits until nothing is asked and no call is under way."""
        fleet.wait_for("rest", lambda: all(
            self.lectern.metric(name, line) == 0 for name in names
            for line in ("lectern_llm_asking", "lectern_mailbox_calls")) and self.provider.open == 0)


def events(answer):
    """Names and data of a stream's events."""
    found = []
    for block in answer.body.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            found.append((lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))))
    return found


def together(*functions):
    """Runs all at once; their results in order."""
    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(function) for function in functions]]


class Caller:
    """A client that asks and can be looked at, or leave, before its answer is there."""

    def __init__(self, lectern, path, body, user):
        self.sock = socket.create_connection(("127.0.0.1", lectern.port), timeout=60 * fleet.SLOW)
        data = json.dumps(body).encode()
        self.sock.sendall(b"POST /api/%s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nConnection: close\r\n"
                          b"Cookie: verse_user_id=%s\r\nContent-Length: %d\r\n\r\n%s"
                          % (path.encode(), user.encode(), len(data), data))

    def raw_answer(self):
        """The answer; its body may be a stream's."""
        response = http.client.HTTPResponse(self.sock)
        response.begin()
        answer = fleet.Answer(response)
        self.sock.close()
        return answer

    def answer(self):
        """Status and body."""
        answer = self.raw_answer()
        return answer.status, answer.json

    def leave(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@contextlib.contextmanager
def holding(lectern, query):
    """Holds the rows that a query locks, until the end; what it gives runs more in the same transaction."""
    with subprocess.Popen(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", lectern.url], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as session:
        session.stdin.write(f"begin;\n{query};\n\\echo held\n")
        session.stdin.flush()
        for line in session.stdout:
            if line.strip() == "held":
                break
        def run(more):
            session.stdin.write(more + ";\n")
            session.stdin.flush()
        yield run
        run("rollback")
        session.stdin.close()

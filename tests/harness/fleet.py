"""A Lectern of real processes for tests: PostgreSQL, actors, gateways, in a state folder of its own.

    with Lectern() as lectern:          # a gateway and one actor a domain, ready
        answer = lectern.get("/health")

LECTERN_BUILD names the folder of the programs (default: build/ of this tree), LECTERN_TEST_PG a running
PostgreSQL; without it one is started for the program's life. Every wait has a deadline.
"""

import atexit
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("LECTERN_BUILD", os.path.join(ROOT, "build"))
DOMAINS = ("user", "bible", "insight", "definition", "chat", "device_link")
TEMPLATE = "lectern_flow_template"
FOREIGN = ("LECTERN_", "PG", "ANTHROPIC_", "OPENAI_")  # settings of whoever runs the tests, a real provider among them
SANITIZED = bool(os.environ.get("LECTERN_SANITIZED"))
plainly = unittest.skipIf(SANITIZED, "it waits most of the time, and shows the sanitizers nothing new")
SLOW = 4 if "asan" in BUILD else 1  # deadlines of the tests themselves, never what they measure


def wait_for(what, condition, seconds=20):
    """Polls until the condition is true, and returns what it returned."""
    ends = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > ends:
            raise AssertionError(f"waited {seconds * SLOW} s for {what}")
        time.sleep(0.02)


# ---- PostgreSQL ----


def with_database(url, name):
    """The URL with another database; the query part stays."""
    return re.sub(r"^(postgresql://[^/]*/)[^?]*", lambda m: m.group(1) + name, url)


class Server:
    """The PostgreSQL that the tests use: the one that is given, or a private one."""

    def __init__(self):
        self.url = os.environ.get("LECTERN_TEST_PG")
        if not self.url:
            script = os.path.join(ROOT, "tests/harness/postgres.sh")
            self.url = subprocess.check_output([script, "start"], text=True, timeout=120).strip()
            atexit.register(subprocess.run, [script, "stop", self.url], timeout=60)

    def sql(self, query, database="postgres", check=True):
        return sql(with_database(self.url, database), query, check)

    def template(self):
        """A migrated database with both Bibles, made once a server."""
        if self.sql(f"select 1 from pg_database where datname = '{TEMPLATE}'") == "1":
            return TEMPLATE
        making = f"{TEMPLATE}_{uuid.uuid4().hex[:12]}"
        self.sql(f"create database {making}")
        url = with_database(self.url, making)
        command("migrate", url=url)
        command("import-bible", "sword", "engWEB2015eb", "--code", "WEB", "--name",
                "World English Bible", url=url)
        command("import-bible", "sword", "engKJV2006eb", "--code", "KJV", "--name",
                "King James Version", url=url)
        self.sql(f"alter database {making} rename to {TEMPLATE}")
        return TEMPLATE

    def database(self):
        name = f"flow_{uuid.uuid4().hex[:12]}"
        self.sql(f"create database {name} template {self.template()}")
        return name

    def drop(self, name):
        self.sql(f"drop database if exists {name} with (force)", check=False)


def sql(url, query, check=True):
    """The rows of a query, a line each, columns separated by `|`."""
    done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", query],
                          text=True, capture_output=True, timeout=60)
    if check and done.returncode != 0:
        raise AssertionError(f"{query}: {done.stderr}")
    return done.stdout.strip()


_server = None


def server():
    global _server
    if _server is None:
        _server = Server()
    return _server


def program(name):
    return os.path.join(BUILD, name)


def command(*arguments, url=None, env=None, check=True, stdin=None):
    """Runs `lectern ARGUMENTS`."""
    environment = dict(os.environ, **(env or {}))
    if url:
        environment["DATABASE_URL"] = url
    done = subprocess.run([program("lectern"), *arguments], text=True, capture_output=True,
                          env=environment, timeout=120, input=stdin)
    if check and done.returncode != 0:
        raise AssertionError(f"lectern {' '.join(arguments)}: {done.returncode}: {done.stderr}")
    return done


# ---- processes ----


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Process:
    """One program, its log in a file."""

    def __init__(self, lectern, name, arguments, env):
        self.name = name
        self.log = os.path.join(lectern.state, f"{name}.log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(arguments, env=env, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=lectern.state)
        self.pid = self.process.pid

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)

    def wait(self, seconds=20):
        return self.process.wait(seconds * SLOW)

    def running(self):
        return self.process.poll() is None

    def stop(self, seconds=20):
        """SIGTERM, and the exit code."""
        if self.running():
            self.kill(signal.SIGTERM)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()
            raise AssertionError(f"{self.name} did not end on SIGTERM:\n{self.text()[-3000:]}")


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def cookie(self):
        """The user that the answer sets, or None."""
        found = re.match(r"verse_user_id=([^;]*)", self.headers.get("Set-Cookie", ""))
        return found.group(1) if found else None


class Lectern:
    def __init__(self, gateways=1, actors=1, env=None, database=True):
        self.state = tempfile.mkdtemp(prefix="lf.", dir="/tmp")
        self.port = free_port()
        self.processes = []
        self.name = server().database() if database else None
        self.url = with_database(server().url, self.name) if database else ""
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(FOREIGN) and not k.lower().endswith("_proxy")},
            "LECTERN_STATE": self.state,
            "LECTERN_HTTP": f"127.0.0.1:{self.port}",
            "DATABASE_URL": self.url,
            "LECTERN_CACHE": "0",  # so that requests reach the actors
            **(env or {}),
        }
        self.wanted = (gateways, actors)
        self.arm = {}  # more environment, by a process's name

    def __enter__(self):
        try:
            for instance in range(1, self.wanted[1] + 1):
                for domain in DOMAINS:
                    self.actor(domain, instance)
            for instance in range(1, self.wanted[0] + 1):
                self.gateway(instance)
            self.wait_ready()
        except BaseException:
            self.close(check=False)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.close(check=kind is None)

    def close(self, check=True):
        wrong = []
        for process in reversed(self.processes):
            ran = process.running()
            try:
                code = process.stop()
                if ran and code != 0:
                    wrong.append(f"{process.name} ended with {code}:\n{process.text()[-3000:]}")
            except AssertionError as error:
                wrong.append(str(error))
        if self.name:
            server().drop(self.name)
        if wrong and not check:
            print("\n".join(wrong), file=sys.stderr)
        shutil.rmtree(self.state, ignore_errors=True)
        if wrong and check:
            raise AssertionError("\n".join(wrong))

    def start(self, name, *arguments, env=None):
        process = Process(self, name, [program(arguments[0]), *arguments[1:]],
                          {**self.env, **self.arm.get(name, {}), **(env or {})})
        self.processes.append(process)
        return process

    def actor(self, domain, instance=1, env=None):
        return self.start(f"{domain}-{instance}", f"lectern-{domain}", "--instance", str(instance),
                          env=env)

    def gateway(self, instance=1, env=None):
        return self.start(f"gateway-{instance}", "lectern-gateway", "--instance", str(instance),
                          env=env)

    def find(self, name):
        return [p for p in self.processes if p.name == name and p.running()][-1]

    def wait_ready(self, seconds=30):
        def ready():
            for process in self.processes:
                if process.process.poll() not in (None, 0, -signal.SIGKILL):
                    raise AssertionError(f"{process.name} ended:\n{process.text()[-3000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.get("/ready").status == 200
            return False
        wait_for("/ready", ready, seconds)

    def socket_of(self, domain, instance=1):
        return f"ipc://{self.state}/actors/{domain}-{instance}"

    def admin(self, name, path):
        """GET of a process's admin address."""
        with open(os.path.join(self.state, "run", f"{name}.admin"), encoding="ascii") as file:
            host, port = file.read().strip().rsplit(":", 1)
        return self.request("GET", path, host=host, port=int(port))

    def metric(self, name, line):
        """The value of a line of /metrics, 0 where it is not there."""
        for text in self.admin(name, "/metrics").body.decode().splitlines():
            if text.startswith(line + " "):
                return float(text.rsplit(" ", 1)[1])
        return 0.0

    def sql(self, query, check=True):
        return sql(self.url, query, check)

    # ---- HTTP ----

    def request(self, method, path, body=None, user=None, headers=None, host="127.0.0.1",
                port=None, timeout=15):
        sent = dict(headers or {})
        if user:
            sent["Cookie"] = f"verse_user_id={user}"
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(host, port or self.port, timeout=timeout * SLOW)
        try:
            connection.request(method, path, body=body, headers=sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, user=None, **more):
        return self.request("GET", path, user=user, **more)

    def raw(self, data, seconds=5):
        """Sends bytes and returns all that comes until the end, or until nothing more comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds * SLOW) as sock:
            sock.sendall(data)
            return read_all(sock, seconds)

    def new_user(self):
        return self.get("/api/user/session").cookie


def read_all(sock, seconds=5):
    sock.settimeout(seconds * SLOW)
    got = b""
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while chunk := sock.recv(65536):
            got += chunk
    return got


class LecternTest(unittest.TestCase):
    """Tests that share one Lectern; `options` go to it."""

    options = {}

    @classmethod
    def setUpClass(cls):
        cls.lectern = Lectern(**cls.options)
        cls.lectern.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.lectern.close()


def main():
    """Runs the tests of the calling file; the last line counts them."""
    wanted = sys.argv[1:]
    module = sys.modules["__main__"]
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(wanted, module) if wanted else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=1).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    # A class or module that could not be set up counts as one failure beside the tests that ran.
    passed = max(result.testsRun - failed - len(result.skipped), 0)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not result.testsRun else 0)

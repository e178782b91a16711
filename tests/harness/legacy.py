"""Databases of the service before Lectern, and that service at work on them.

`Old` makes a database from legacy/make.sql. `Service` is pgbench with the service's statements (legacy/reads.sql,
legacy/writes.sql), prepared, as that service prepares them: a statement that fails ends it, and that is seen. Meanwhile
`LockWatch` looks 50 times a second how long any of them has waited for a table's lock.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
import uuid

import fleet

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "legacy")
LATEST, BEFORE = "a3f7c2e9", "d0d22a6e1dc8"
TABLES = ("users saved_passages saved_insights user_insights saved_definitions user_definitions chat_messages"
          " standalone_chats standalone_chat_messages conversation_summaries user_devices device_link_codes"
          " usage_tracking alembic_version").split()


class Old:
    """One database as the service before left it."""

    def __init__(self, marker=LATEST, messages=20000, text_keys=True, template=None):
        self.messages = messages
        self.name = f"old_{uuid.uuid4().hex[:12]}"
        self.url = fleet.with_database(fleet.server().url, self.name)
        if template:
            fleet.server().sql(f"create database {self.name} template {template.name}")
        else:
            fleet.server().sql(f"create database {self.name}")
            self.psql("-v", f"marker={marker}", "-v", f"messages={messages}", "-v", f"text_keys={text_keys}",
                      "-f", os.path.join(HERE, "make.sql"))

    def copy(self):
        return Old(messages=self.messages, template=self)

    def close(self):
        fleet.server().drop(self.name)

    def psql(self, *arguments):
        done = subprocess.run(["psql", "-XAtq", "-d", self.url, *arguments], text=True, capture_output=True, timeout=600)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done

    def sql(self, query):
        return self.psql("-v", "ON_ERROR_STOP=1", "-c", query).stdout.strip()

    def migrate(self, check=True):
        return fleet.command("migrate", url=self.url, check=check)

    def start_migrating(self):
        return subprocess.Popen([fleet.program("lectern"), "migrate"], env=dict(os.environ, DATABASE_URL=self.url),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def dump(self, *options):
        """What pg_dump says, without what differs each time."""
        text = subprocess.check_output(["pg_dump", "-d", self.url, *options], text=True, timeout=300)
        return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M)

    def counts(self, tables=TABLES):
        return {table: int(self.sql(f"select count(*) from {table}")) for table in tables}


class Service:
    """The service before, reading and writing until it is closed. `errors` is what it was refused."""

    def __init__(self, old, clients=4):
        self.old = old
        self.folder = tempfile.mkdtemp(prefix="lo.", dir="/tmp")
        self.errors = ""
        sizes = [f"--define=users={old.messages // 100 + 40}", f"--define=insights={old.messages // 50 + 120}"]
        names = ["reads", "writes"] + ["latest"] * (old.sql("select version_num from alembic_version") == LATEST)
        scripts = [f"--file={HERE}/{name}.sql" for name in names]
        self.process = subprocess.Popen(
            ["pgbench", "--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=1", "--time=600",
             "--log", "--random-seed=1", *sizes, *scripts, old.url],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.log = os.path.join(self.folder, f"pgbench_log.{self.process.pid}")

    def __enter__(self):
        try:
            self.wait_for_more()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        said = self.process.communicate(timeout=60)[1]
        self.errors = "\n".join(line for line in said.splitlines() if "error" in line.lower() or "aborted" in line)
        shutil.rmtree(self.folder, ignore_errors=True)

    def requests(self):
        """When each request ended, and how long it took, in seconds. The log is written a block at a time."""
        try:
            with open(self.log, encoding="ascii") as file:
                lines = [line.split() for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []
        return [(int(line[4]) + int(line[5]) / 1e6, int(line[2]) / 1e6) for line in lines if len(line) == 6]

    def wait_for_more(self):
        """Until a request is on record that ended after now; so all that ended before now are."""
        began = time.time()

        def is_there():
            if self.process.poll() is not None:
                raise AssertionError(f"the service before stopped: {self.process.stderr.read()}")
            ended = self.requests()
            return ended and ended[-1][0] > began
        fleet.wait_for("requests of the service before", is_there, 60)


class LockWatch:
    """The longest wait for a table's lock by anybody that reads or writes rows."""

    QUERY = ("select coalesce(max(extract(epoch from clock_timestamp() - waitstart)), 0) from pg_locks"
             " where not granted and locktype = 'relation'"
             " and mode in ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock') \\watch 0.02\n")

    def __init__(self, old):
        self.longest = 0.0
        self.output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(["psql", "-XAtq", "-d", old.url], stdin=subprocess.PIPE, stdout=self.output,
                                        stderr=subprocess.DEVNULL, text=True)
        self.process.stdin.write(self.QUERY)
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate(timeout=20)
        self.output.seek(0)
        self.longest = max(map(float, re.findall(r"^\d+\.?\d*$", self.output.read(), flags=re.M)), default=0.0)
        self.output.close()

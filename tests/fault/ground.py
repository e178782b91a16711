"""What tests of faults stand on: a PostgreSQL of their own, load that keeps its own books, and what must be as before.

The books are kept outside of what is tested: each request has one answer, what was answered as done is in the database,
what was answered as failed is not, unless its outcome was said to be unknown; and what was read is what stands there.
"""

import http.client
import itertools
import os
import signal
import subprocess
import threading
import time

import fleet

SCRIPT = os.path.join(fleet.ROOT, "tests/harness/postgres.sh")
EVENTUALLY_S = 20  # within which everything must work again; what it took is printed
UNKNOWN = {"detail": "Outcome unknown"}


class OwnServer(fleet.Server):
    """A PostgreSQL for one test alone, because it is mistreated."""

    def __init__(self):
        self.url = subprocess.check_output([SCRIPT, "start"], text=True, timeout=120).strip()
        self.folder = self.url.split("host=")[1]

    @property
    def socket(self):
        return os.path.join(self.folder, ".s.PGSQL.5432")

    @property
    def pid(self):
        with open(f"{self.folder}/data/postmaster.pid", encoding="ascii") as file:
            return int(file.readline())

    def processes(self):
        """The postmaster and all that it started."""
        found = [self.pid]
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                        parent = int(file.read().rsplit(")", 1)[1].split()[1])
                except (OSError, IndexError):
                    continue
                if parent == found[0]:
                    found.append(int(entry))
        return found

    def signal_all(self, number):
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def end(self, number):
        """SIGINT: a fast shutdown; SIGQUIT: an immediate one. Waits for it."""
        pid = self.pid
        os.kill(pid, number)
        fleet.wait_for("the server's end", lambda: not running(pid))

    def resume(self):
        subprocess.run([SCRIPT, "resume", self.url], check=True, timeout=120)

    def close(self):
        subprocess.run([SCRIPT, "stop", self.url], check=True, timeout=60)


def running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class OwnServerTest(fleet.LecternTest):
    """Tests whose Lectern stands on a PostgreSQL that belongs to the class. Limits of a minute are off."""

    options = {"env": {"WRITE_ENDPOINT_LIMIT": "0", "NEW_USER_LIMIT": "0"}}

    @classmethod
    def setUpClass(cls):
        cls.server = fleet._server = OwnServer()
        cls.addClassCleanup(cls.forget)
        super().setUpClass()

    @classmethod
    def forget(cls):
        fleet._server = None
        cls.server.close()

    def setUp(self):
        self.before = Standing(self.lectern)


# ---- load ----


def range_of(number):
    """Chapter, first and last verse of Genesis, and a translation: others for each of the first 6,400 numbers."""
    number %= 6400
    first = number // 100 % 8 + 1
    return number // 2 % 50 + 1, first, first + number // 800 + 1, "WEB" if number % 2 else "KJV"


class Books:
    """Clients that ask all the time, and what they were answered."""

    KINDS = ("session", "verse", "new", "save")

    def __init__(self, lectern, clients=2, kinds=KINDS, may_lose=False, may_bad=(503, 504)):
        self.lectern, self.may_lose, self.may_bad = lectern, may_lose, {200, *may_bad}
        self.lock = threading.Lock()
        self.answers = []  # (kind, number, began, ended, status, unknown, right)
        self.lost = []  # requests whose connection broke
        self.numbers = itertools.count()
        self.going = True
        self.users = [lectern.new_user() for _ in range(4)]
        lectern.sql("delete from saved_passages")
        self.made_before = int(lectern.sql("select count(*) from users"))
        self.texts = self.read_texts(lectern)
        self.threads = [threading.Thread(target=self.run, args=(kind,)) for kind in kinds for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def read_texts(lectern):
        rows = lectern.sql("select code, chapter, verse, text from bible_verses join bible_translations"
                           " on id = translation_id where book = 1 and verse <= 17").splitlines()
        return {(code, int(chapter), int(verse)): text
                for code, chapter, verse, text in (row.split("|", 3) for row in rows)}

    # One request of each kind: the answer, and whether it says what it must where it is 200.

    def ask_session(self, number):
        user = self.users[number % len(self.users)]
        answer = self.lectern.get("/api/user/session", user=user)
        return answer, answer.status != 200 or answer.json["anonymous_id"] == user

    def ask_verse(self, number):
        return self.ask_passage(number, "")

    def ask_new(self, _):
        answer = self.lectern.get("/api/user/session")
        return answer, answer.status != 200 or answer.json["anonymous_id"] == answer.cookie

    def ask_save(self, number):
        return self.ask_passage(number, "&save=true")

    def ask_passage(self, number, more):
        chapter, first, last, code = range_of(number)
        answer = self.lectern.get(f"/api/passage?book=Genesis&chapter={chapter}&verse_start={first}&verse_end={last}"
                                  f"&translation={code}{more}")
        if answer.status != 200:
            return answer, True
        said = {(v["translation"], v["chapter"], v["verse"]): v["text"] for v in answer.json["verses"]}
        return answer, len(said) == last - first + 1 and all(self.texts.get(at) == said[at] for at in said)

    def run(self, kind):
        ask = getattr(self, f"ask_{kind}")
        while self.going:
            number = next(self.numbers)
            began = time.monotonic()
            try:
                answer, right = ask(number)
            except Exception as error:  # whatever it is, it is no answer
                with self.lock:
                    self.lost.append((kind, number, repr(error)))
            else:
                unknown = answer.status == 504 and answer.json == UNKNOWN
                with self.lock:
                    self.answers.append((kind, number, began, time.monotonic(), answer.status, unknown, right))
            time.sleep(0.002)

    def count(self, *statuses, since=0.0):
        with self.lock:
            return sum(1 for a in self.answers if a[2] >= since and (not statuses or a[4] in statuses))

    def good_since(self, kind, since):
        with self.lock:
            return [a for a in self.answers if a[0] == kind and a[2] >= since and a[4] == 200]

    def wait_for_some(self, least=20):
        start = time.monotonic()
        fleet.wait_for("some answers of each kind", lambda: all(
            len(self.good_since(kind, start)) >= least for kind in self.KINDS))

    def recovered(self, ended):
        """Waits until a second passed with good answers of each kind only; seconds from `ended` to the last bad one."""
        def settled():
            now = time.monotonic()
            with self.lock:
                last = [a for a in self.answers if a[2] >= max(ended, now - 1.0)]
            return now - ended > 1.0 and all(a[4] == 200 for a in last) and {a[0] for a in last} >= set(self.KINDS)
        fleet.wait_for("all to work again", settled, EVENTUALLY_S)
        with self.lock:
            bad = [a[3] for a in self.answers if a[2] >= ended and a[4] != 200]
        first = max(self.good_since(kind, ended)[0][3] for kind in self.KINDS)
        return max(bad + [first]) - ended

    def close(self, test):
        """Stops, and compares the books with the database."""
        self.going = False
        for thread in self.threads:
            thread.join(60)
            test.assertFalse(thread.is_alive(), "a request got no answer")
        if not self.may_lose:
            test.assertEqual(self.lost[:5], [])
        test.assertEqual([a for a in self.answers if not a[6]][:5], [], "answers with a content that is not theirs")
        test.assertLessEqual({a[4] for a in self.answers}, self.may_bad)
        self.saves_are_true(test)
        self.users_are_true(test)

    def saves_are_true(self, test):
        stored = set(self.lectern.sql(
            "select chapter, verse_start, verse_end, translation from saved_passages where book = 'Genesis'").splitlines())
        done, failed, unknown = set(), set(), set()
        for kind, number, _, _, status, is_unknown, _ in self.answers:
            if kind == "save":
                into = done if status == 200 else unknown if is_unknown else failed
                into.add("{}|{}|{}|{}".format(*range_of(number)))
        unknown |= {"{}|{}|{}|{}".format(*range_of(number)) for kind, number, _ in self.lost if kind == "save"}
        test.assertTrue(done <= stored, f"answered as done and not stored: {sorted(done - stored)[:5]}")
        wrong = (failed - done - unknown) & stored
        test.assertEqual(sorted(wrong)[:5], [], "answered as failed, and stored")

    def users_are_true(self, test):
        made = int(self.lectern.sql("select count(*) from users")) - self.made_before
        new = [a for a in self.answers if a[0] == "new"]
        done = sum(1 for a in new if a[4] == 200)
        # A user is made first and then read: any failure may leave one behind, none may be made beyond the requests.
        asked = len(new) + sum(1 for kind, _, _ in self.lost if kind == "new")
        test.assertGreaterEqual(made, done)
        test.assertLessEqual(made, asked)

    def said(self):
        """A line for the log."""
        counts = {}
        for answer in self.answers:
            key = f"{answer[4]}{' unknown' if answer[5] else ''}"
            counts[key] = counts.get(key, 0) + 1
        return ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))


# ---- what must be as before ----


FLIGHT = ("lectern_exchanges_in_flight", "lectern_calls_outstanding", "lectern_mailbox_", "lectern_database_waiting",
          "lectern_fibers_alive", "lectern_http_connections ",
          *(f'lectern_database_connections{{state="{state}"' for state in ("busy", "taken", "cleaning")))


def descriptors(pid):
    """The least of some looks: the connection by which its numbers were asked may not be closed yet."""
    def count():
        time.sleep(0.01)
        return len(os.listdir(f"/proc/{pid}/fd"))
    return min(count() for _ in range(5))


class Standing:
    """What processes hold when nothing is asked of them."""

    def __init__(self, lectern):
        self.lectern = lectern
        self.at_first = fleet.wait_for("rest", self.look)

    def numbers(self, name):
        found = {}
        for line in self.lectern.admin(name, "/metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                key, value = line.rsplit(" ", 1)
                found[key] = float(value)
        return found

    def nothing_in_flight(self, name, numbers=None, but="nothing"):
        """No call, fiber, client or statement. `but`: what is not looked at."""
        numbers = numbers or self.numbers(name)
        return not any(value for key, value in numbers.items() if key.startswith(FLIGHT) and not key.startswith(but))

    def look(self):
        """What each running process holds beside its connections to PostgreSQL; None while something is in flight."""
        held = {}
        for process in [p for p in self.lectern.processes if p.running()]:
            try:
                numbers = self.numbers(process.name)
            except (OSError, http.client.HTTPException):
                return None
            if not self.nothing_in_flight(process.name, numbers):
                return None
            connected = sum(numbers.get(f'lectern_database_connections{{state="{state}"}}', 0)
                            for state in ("idle", "outdated"))
            held[process.name] = descriptors(process.pid) - connected
        return held

    def is_back(self, test):
        """No fiber, call or connection is left, here or in PostgreSQL."""
        def back():
            held = self.look()
            return held is not None and all(held[name] <= self.at_first.get(name, held[name]) for name in held)
        try:
            fleet.wait_for("everything to be given back", back)
        except AssertionError:
            seen = {p.name: {k: v for k, v in self.numbers(p.name).items() if v != 0 and "_total" not in k and
                             "_seconds" not in k} for p in self.lectern.processes if p.running()}
            raise AssertionError(f"before {self.at_first}, now {self.look()}: {seen}") from None
        rows = self.lectern.sql("select state, count(*) from pg_stat_activity where datname = current_database()"
                                " and pid <> pg_backend_pid() and application_name like 'lectern-%' group by state")
        test.assertLessEqual({row.split("|")[0] for row in rows.splitlines()}, {"idle"}, rows)


def report(name, seconds, books):
    print(f"{name}: works again after {seconds * 1000:.0f} ms; {books.said()}", flush=True)

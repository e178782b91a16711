"""Mixed traffic and one fault after the other for half an hour: nothing is lost, nothing is left, nothing grows.

usage: soak_test.py [--minutes N] [--every SECONDS]

In each round all clients of ground.Books and traffic.Traffic ask; a fault of the table comes and goes, everything works again by
itself, and load goes on until the round's time is over. Then all stop, the books are compared with the database, and at
rest, where a leak cannot hide, it is noted what each process holds. Of two gateways and two actors of each domain the first
ones live through it all, and their memory is judged; the second ones are killed, keep answers, and reach PostgreSQL through
a proxy. Without --minutes each fault comes once, in rounds as short as they can be.
"""

import argparse
import contextlib
import glob
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import unittest

import _path  # noqa: F401
import fleet
import ground
import proxy
from traffic import Traffic

DOWN = {503, 504}
NAMES = [f"{program}-{instance}" for program in ("user", "bible", "gateway") for instance in (1, 2)]
POINTS = {  # what goes wrong in the second ones, a few times each: name, how often, after how many times that go well
    "user-2": "connect_refused:2,lost_after_write:3:10,lost_after_read:3:20,call_refused_memory:3:50,call_refused_fiber:3:60,"
              "handler_slow:9:70,reply_twice:9:90,reply_late:2:120,reply_dropped:2:140",
    "bible-2": "connect_refused:2:1,lost_before_begin:3:5,lost_between:3:10,lost_before_commit:3:15,lost_after_commit:3:20,"
               "input_refused_memory:3:50,output_refused_memory:3:70,reply_wrong_id:2:90",
    "gateway-2": "accept_no_descriptor:9:20,send_short:50:20,link_full:20:50,link_nobody:20:80,request_no_memory:5:100,"
                 "request_no_fiber:5:120,trip_no_memory:5:140,answer_no_memory:5:160"}
GROWTH_MIB, GROWTH_PART = 4 * fleet.SLOW, 0.2  # at most so much, or such a part of what there was, in two thirds of the time
LEAST_LOOKS, LEAST_MINUTES = 9, 10  # at a process whose growth is said, and judged
options = argparse.Namespace(minutes=0, every=60)


def has_points():
    with open(fleet.program("lectern-user"), "rb") as file:
        return b"lost_after_commit\0" in file.read()


class Place:
    """What the faults happen to."""

    def __init__(self, test):
        self.server = fleet._server = ground.OwnServer()
        test.addCleanup(self.forget)
        folder = tempfile.mkdtemp(prefix="lp.", dir="/tmp")
        test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.proxy = proxy.Proxy(self.server.socket, f"{folder}/.s.PGSQL.5432")
        test.addCleanup(self.proxy.close)
        self.lectern = fleet.Lectern(gateways=2, actors=2, env={"WRITE_ENDPOINT_LIMIT": "0", "NEW_USER_LIMIT": "0"})
        test.addCleanup(self.lectern.close)
        through = {"DATABASE_URL": self.lectern.url.replace(self.server.folder, folder)}
        self.lectern.arm = {"user-2": through, "bible-2": through, "gateway-2": {"LECTERN_CACHE": "16MiB"}}
        self.books = None  # this round's
        self.ended = set()  # processes that were meant to end
        self.read = {}  # characters of each log that were looked at

    def forget(self):
        fleet._server = None
        self.server.close()

    def find(self, name):
        return self.lectern.find(name)

    def signal_all(self, number):
        for process in self.lectern.processes:
            if process.running():
                process.kill(number)

    def noticed(self, began, *statuses):
        fleet.wait_for("the fault to be noticed", lambda: self.books.count(*statuses, since=began) > 0)

    def start(self, name, env=None):
        """Starts one that is not there, and waits until it is ready."""
        program, instance = name.split("-")
        process = self.lectern.start(name, f"lectern-{program}", "--instance", instance, env=env)

        def ready():
            if not process.running():
                raise AssertionError(f"{name} ended:\n{process.text()[-3000:]}")
            with contextlib.suppress(OSError):  # the address may still be the old one's
                return self.lectern.admin(name, "/ready").status == 200
        fleet.wait_for(f"{name} to be ready", ready)

    def kill(self, name):
        process = self.find(name)
        self.ended.add(process)
        process.kill()
        process.wait()

    def replace(self, name, env=None):
        """Another one takes its place when it has left in peace."""
        process = self.find(name)
        self.ended.add(process)
        code = process.stop()
        assert code == 0, f"{name} left with {code}:\n{process.text()[-3000:]}"
        self.start(name, env)

    def died(self):
        return [p for p in self.lectern.processes if not p.running() and p not in self.ended]

    def errors(self):
        """What the logs complain of since the last look."""
        found = []
        for name in NAMES:
            text = self.find(name).text()
            found += re.findall(".* level=error .*", text[self.read.get(name, 0):])
            self.read[name] = len(text)
        return found

    def mend(self):
        """As before, whatever became of a fault."""
        self.server.signal_all(signal.SIGCONT)
        self.signal_all(signal.SIGCONT)
        self.proxy.behave()
        for name in NAMES:
            if not any(p.name == name and p.running() for p in self.lectern.processes):
                self.start(name)


# ---- faults: each comes and goes before its function returns ----


def postgres_stopped(place):
    began = time.monotonic()
    place.server.signal_all(signal.SIGSTOP)
    place.noticed(began, 503, 504)
    place.server.signal_all(signal.SIGCONT)


def postgres_ended(place, number, hold_s):
    began = time.monotonic()
    place.server.end(number)
    try:
        place.noticed(began, 503, 504)
        time.sleep(hold_s)
    finally:
        place.server.resume()


def postgres_restarted(place):
    postgres_ended(place, signal.SIGINT, 3)


def postgres_ended_at_once(place):
    postgres_ended(place, signal.SIGQUIT, 0)


def killed(name, hold_s):
    def fault(place):
        place.kill(name)
        time.sleep(hold_s)
        place.start(name)
    return fault


def held(name, hold_s):
    def fault(place):
        place.find(name).kill(signal.SIGSTOP)
        time.sleep(hold_s)
        place.find(name).kill(signal.SIGCONT)
    return fault


def connections_cut(place):
    """Anywhere, then where it hurts; and a few bytes at a time."""
    for _ in range(20):
        place.proxy.cut()
        time.sleep(0.05)
    for direction, needle in (("up", b"lectern_commit"), ("down", b"COMMIT\0"), ("down", b"anonymous_id")):
        met = len(place.proxy.found)
        place.proxy.cut_at(direction, needle)
        fleet.wait_for(f"{needle}", lambda: len(place.proxy.found) > met)
    place.proxy.most = 7
    time.sleep(1)
    place.proxy.behave()


def injected(name):
    """One in whose place things go wrong from inside, until each point was met."""
    def fault(place):
        before = len(place.find(name).text())
        left = {point.split(":")[0] for point in POINTS[name].split(",")}

        def all_met():
            left.difference_update(re.findall(r"injected (\w+)", place.find(name).text()[before:]))
            return not left
        place.replace(name, {"LECTERN_INJECT": POINTS[name]})
        try:
            fleet.wait_for("the points", all_met)
        finally:
            place.replace(name)
    return fault


def imported(place):
    fleet.command("import-bible", "sword", "engKJV2006eb", "--code", "KJV", "--name", "King James Version",
                  url=place.lectern.url)


def hung_up(place):
    word = "the options were read again"
    before = {p.name: p.text().count(word) for p in place.lectern.processes if p.running()}
    place.signal_all(signal.SIGHUP)
    fleet.wait_for("all to have read", lambda: all(place.find(name).text().count(word) > before[name] for name in before))


# Name, what happens, what may be answered meanwhile beside 200, whether connections may break.
TABLE = (
    ("PostgreSQL stopped", postgres_stopped, DOWN, False),
    ("user-2 killed", killed("user-2", 2), DOWN, False),
    ("KJV imported again", imported, set(), False),
    ("gateway-2 killed", killed("gateway-2", 1), DOWN, True),
    ("PostgreSQL restarted", postgres_restarted, DOWN, False),
    ("bible-1 stopped", held("bible-1", 3), DOWN, False),
    ("connections cut", connections_cut, DOWN, False),
    ("points in user-2", injected("user-2"), DOWN, False),
    ("SIGHUP of all", hung_up, set(), False),
    ("PostgreSQL ended at once", postgres_ended_at_once, DOWN, False),
    ("bible-2 killed", killed("bible-2", 2), DOWN, False),
    ("points in bible-2", injected("bible-2"), DOWN | {500}, False),
    ("user-1 stopped", held("user-1", 3), DOWN, False),
    ("points in gateway-2", injected("gateway-2"), DOWN, True),
    ("gateway-1 stopped", held("gateway-1", 5), {504}, False),
)


# ---- what a process holds ----


class Memory:
    """PSS and RSS of each process at each rest, and whether they grow."""

    def __init__(self, lectern):
        self.lectern = lectern
        self.looks = {}  # by pid: name, and pairs of minutes and MiB of PSS

    @staticmethod
    def of(pid):
        """PSS and RSS in MiB."""
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            found = dict(re.findall(r"^(\w+): +(\d+) kB", file.read(), re.MULTILINE))
        return int(found["Pss"]) / 1024, int(found["Rss"]) / 1024

    def look(self, minutes):
        """Notes, and says it in a line."""
        said = []
        for process in sorted((p for p in self.lectern.processes if p.running()), key=lambda p: p.name):
            pss, rss = self.of(process.pid)
            self.looks.setdefault(process.pid, (process.name, []))[1].append((minutes, pss))
            said.append(f"{process.name} {pss:.1f}/{rss:.1f} MiB {ground.descriptors(process.pid)} fds")
        return ", ".join(said)

    @staticmethod
    def slope(points):
        """MiB a minute, by least squares."""
        x, y = (sum(values) / len(points) for values in zip(*points))
        return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)

    def judge(self, test):
        for name, points in self.looks.values():
            if len(points) < LEAST_LOOKS:
                continue
            later = points[len(points) // 3:]
            slope, minutes = self.slope(later), later[-1][0] - later[0][0]
            print(f"{name}: {slope:+.3f} MiB a minute over the last {minutes:.1f} minutes"
                  f" ({later[0][1]:.1f} to {later[-1][1]:.1f} MiB)", flush=True)
            if minutes >= LEAST_MINUTES * 2 / 3:
                most = max(GROWTH_MIB, GROWTH_PART * later[0][1])
                with test.subTest(memory=name):
                    test.assertLess(slope * minutes, most, f"{name} grows: {points}")


def under_load(lectern):
    """Fibers, and calls or requests in flight, of each process."""
    said = []
    for process in sorted((p for p in lectern.processes if p.running()), key=lambda p: p.name):
        work = "lectern_exchanges_in_flight" if process.name.startswith("gateway") else "lectern_mailbox_calls"
        said.append(f"{process.name} {lectern.metric(process.name, 'lectern_fibers_alive'):.0f}/"
                    f"{lectern.metric(process.name, work):.0f}")
    return ", ".join(said)


class Reports:
    """What the sanitizers say; nothing in another build."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="ls.", dir="/tmp")
        os.chmod(self.folder, 0o777)
        for name in ("ASAN_OPTIONS", "LSAN_OPTIONS"):
            # What was freed is held for a while, and would look like growth.
            os.environ[name] = f"{os.environ.get(name, '')}:quarantine_size_mb=16:log_path={self.folder}/report".lstrip(":")
        os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")

    def close(self, test):
        texts = []
        for path in glob.glob(f"{self.folder}/report*"):
            with open(path, encoding="utf-8", errors="replace") as file:
                texts.append(file.read())
        shutil.rmtree(self.folder, ignore_errors=True)
        test.assertEqual(texts, [], "\n".join(texts))


# ---- rounds ----


class Soak(unittest.TestCase):
    def setUp(self):
        self.addCleanup(Reports().close, self)  # when all have ended: only then it is known what leaked
        self.place = Place(self)
        self.place.lectern.__enter__()
        for gateway in ("gateway-1", "gateway-2"):
            fleet.wait_for("all actors", lambda: [self.place.lectern.metric(
                gateway, f'lectern_actors_live{{domain="{domain}"}}') for domain in fleet.DOMAINS] == [2] * len(fleet.DOMAINS))
        self.users = [self.place.lectern.new_user() for _ in range(50)]
        self.standing = ground.Standing(self.place.lectern)
        self.memory = Memory(self.place.lectern)
        self.began = time.monotonic()

    def minutes(self):
        return (time.monotonic() - self.began) / 60

    def test_all_of_it(self):
        table = [row for row in TABLE if has_points() or not row[0].startswith("points")]
        rounds = int(options.minutes * 60 / options.every) if options.minutes else len(table)
        for number in range(rounds):
            name, fault, bad, may_lose = table[number % len(table)]
            with self.subTest(fault=name, round=number + 1):
                try:
                    self.round(number, name, fault, bad, may_lose)
                finally:
                    self.place.mend()
        self.memory.judge(self)

    def round(self, number, name, fault, bad, may_lose):
        place = self.place
        until = self.began + (number + 1) * options.every if options.minutes else 0
        place.books = books = ground.Books(place.lectern, may_bad=bad, may_lose=may_lose)
        traffic = Traffic(place.lectern, self.users, bad, may_lose, number)
        try:
            books.wait_for_some(5)
            fault(place)
            ended = time.monotonic()
            took = books.recovered(ended)
            working = f"{name}: works again after {took * 1000:.0f} ms"
            time.sleep(max(until - time.monotonic(), 0))  # load, for the rest of the round
            later = books.count(*DOWN, 500, since=ended + took + 1)
            load = under_load(place.lectern)
        finally:
            books.going = traffic.going = False
        traffic.close(self)
        books.close(self)
        self.standing.is_back(self)
        held_now = self.memory.look(self.minutes())
        print(f"{time.strftime('%H:%M:%S')} minute {self.minutes():.1f}, {working}, then {later} bad; {books.said()};"
              f" {traffic.said()}; under load (fibers/in flight) {load}; at rest (PSS/RSS) {held_now}", flush=True)
        self.assertEqual([f"{p.name}:\n{p.text()[-3000:]}" for p in place.died()], [], "ended by themselves")
        self.assertEqual(later, 0, "answers that nothing was the reason of")
        errors = place.errors()
        self.assertTrue(not errors or 500 in bad, errors[:5])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage="soak_test.py [--minutes N] [--every SECONDS]")
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--every", type=float, default=60)
    options, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    fleet.main()

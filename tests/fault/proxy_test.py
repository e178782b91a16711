"""Between actors and PostgreSQL stands a proxy that cuts, delays, halves and stalls."""


import shutil
import tempfile
import time
import unittest

import _path  # noqa: F401
import fleet
import ground
import proxy


class Proxied(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="lp.", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        host = fleet.server().url.split("host=")[1]
        cls.proxy = proxy.Proxy(f"{host}/.s.PGSQL.5432", f"{cls.folder}/.s.PGSQL.5432")
        cls.addClassCleanup(cls.proxy.close)
        cls.lectern = fleet.Lectern(env={"WRITE_ENDPOINT_LIMIT": "0", "NEW_USER_LIMIT": "0"})
        cls.lectern.env["DATABASE_URL"] = cls.lectern.url.replace(host, cls.folder)
        cls.lectern.__enter__()
        cls.addClassCleanup(cls.lectern.close)

    def setUp(self):
        self.before = ground.Standing(self.lectern)

    def under_load(self, name, mistreat, bad=(503, 504)):
        """Load; `mistreat` does what it does and ends it; all works again. `bad`: what may be answered beside 200."""
        books = ground.Books(self.lectern, may_bad=bad)
        try:
            books.wait_for_some()
            mistreat(books)
            ended = time.monotonic()
            self.proxy.behave()
            took = books.recovered(ended)
        finally:
            books.going = False
            self.proxy.behave()
        books.close(self)
        ground.report(name, took, books)
        self.before.is_back(self)

    # ---- what nobody must notice ----

    def test_a_few_bytes_at_a_time(self):
        def mistreat(books):
            for most in (61, 7, 1):
                self.proxy.most = most
                books.wait_for_some(5)
        self.under_load("a few bytes at a time", mistreat, bad=())

    def test_delays(self):
        def mistreat(books):
            self.proxy.delay = 0.03
            books.wait_for_some(10)
        self.under_load("delays", mistreat, bad=())

    def test_a_short_stall(self):
        def mistreat(_):
            self.proxy.stall()
            time.sleep(2)
        self.under_load("a stall of 2 s", mistreat, bad=())

    # ---- what must be said ----

    def test_a_long_stall(self):
        def mistreat(books):
            self.proxy.stall()
            fleet.wait_for("deadlines to pass", lambda: books.count(504) > 2)
        self.under_load("a long stall", mistreat)

    def test_cut_again_and_again(self):
        def mistreat(books):
            for _ in range(40):
                self.proxy.cut()
                time.sleep(0.05)
            self.assertGreater(books.count(503, 504), 0)
        self.under_load("40 cuts", mistreat)

    def test_nobody_is_let_in(self):
        def mistreat(books):
            self.proxy.refuses = True
            self.proxy.cut()
            fleet.wait_for("503", lambda: books.count(503) > 0)
            time.sleep(4)
        self.under_load("refused", mistreat)

    # ---- cut at one place of a transaction ----

    def save(self, verse):
        answer = self.lectern.get(f"/api/passage?book=Ruth&chapter=1&verse_start={verse}&save=true")
        stored = self.lectern.sql(f"select count(*) from saved_passages where book = 'Ruth' and verse_start = {verse}")
        return answer, stored == "1"

    def cut_a_save(self, verse, direction, needle):
        """The answer to a save whose connection ends where `needle` passes, and whether it is stored."""
        self.assertEqual(self.save(22)[0].status, 200)  # prepared, and a connection is there
        self.proxy.cut_at(direction, needle)
        found = self.save(verse)
        self.assertIn((direction, needle), self.proxy.found)
        self.assertEqual(self.save(verse)[0].status, 200)
        return found

    def test_before_begin(self):
        answer, stored = self.cut_a_save(1, "up", b"lectern_begin")
        self.assertEqual((answer.status, stored), (503, False))
        self.assertIn("Retry-After", answer.headers)

    def test_before_the_first_answer(self):
        answer, stored = self.cut_a_save(2, "down", b"pg_advisory_xact_lock")
        self.assertEqual((answer.status, stored), (503, False))

    def test_between_statements(self):
        answer, stored = self.cut_a_save(3, "up", b"store_passage")
        self.assertEqual((answer.status, answer.json, stored), (504, ground.UNKNOWN, False))

    def test_before_commit_arrives(self):
        answer, stored = self.cut_a_save(4, "up", b"lectern_commit")
        self.assertEqual((answer.status, answer.json, stored), (504, ground.UNKNOWN, False))

    def test_between_commit_and_its_answer(self):
        answer, stored = self.cut_a_save(5, "down", b"COMMIT\0")
        self.assertEqual((answer.status, answer.json, stored), (504, ground.UNKNOWN, True))
        self.assertNotIn("Retry-After", answer.headers)

    def test_between_a_single_write_and_its_answer(self):
        self.lectern.new_user()
        before = int(self.lectern.sql("select count(*) from users"))
        self.proxy.cut_at("down", b"anonymous_id")
        answer = self.lectern.get("/api/user/session")
        self.assertEqual((answer.status, answer.json), (504, ground.UNKNOWN))
        self.assertEqual(int(self.lectern.sql("select count(*) from users")), before + 1)


if __name__ == "__main__":
    fleet.main()

"""PostgreSQL is killed and comes back: every request gets one answer, nothing is half done, everything works again."""

import threading
import time

import _path  # noqa: F401
import fleet
import ground

class Load:
    """Clients that ask all the time; each answer is kept with what was asked."""

    def __init__(self, lectern, ask, clients=8):
        self.answers, self.lost = [], []
        self.going = True
        self.counter = iter(range(10**9))
        self.threads = [threading.Thread(target=self.run, args=(lectern, ask)) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, lectern, ask):
        while self.going:
            number = next(self.counter)
            try:
                self.answers.append((number, ask(lectern, number)))
            except OSError as error:
                self.lost.append((number, repr(error)))
            time.sleep(0.002)

    def stop(self):
        self.going = False
        for thread in self.threads:
            thread.join(60)
        return self.answers


def verse_of(number):
    """Chapter and verse of Genesis and a translation, others for each of the first 2,000 numbers."""
    return number // 20 % 50 + 1, number % 20 + 1, "WEB" if number % 2000 < 1000 else "KJV"


class Killed(fleet.LecternTest):
    options = {"env": {"WRITE_ENDPOINT_LIMIT": "0"}}  # one address saves as fast as it can

    @classmethod
    def setUpClass(cls):
        cls.server = fleet._server = ground.OwnServer()
        cls.addClassCleanup(cls.server.close)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        fleet._server = None

    def test_killed_and_restarted(self):
        lectern = self.lectern
        user = lectern.new_user()
        chapter = "/api/chapter?book=John&chapter=3"
        read_before = lectern.get(chapter).json
        pids = {p.name: p.pid for p in lectern.processes}

        def save(lectern, number):
            chapter_number, verse, translation = verse_of(number)
            return lectern.get(f"/api/passage?book=Genesis&chapter={chapter_number}&verse_start={verse}"
                               f"&translation={translation}&save=true")
        saves = Load(lectern, save)
        reads = Load(lectern, lambda l, n: l.get("/api/user/session", user=user))
        fleet.wait_for("some saves", lambda: len(saves.answers) > 50)
        self.server.kill()
        fleet.wait_for("503", lambda: lectern.get("/api/user/session", user=user).status == 503)

        # While it is away: what was read stays, the rest says so at once.
        self.assertEqual(lectern.get(chapter).json, read_before)
        self.assertEqual(lectern.get("/api/translations").status, 200)
        self.assertEqual(lectern.get("/health").status, 200)
        away = lectern.get("/api/user/session", user=user)
        self.assertEqual(away.status, 503)
        self.assertGreater(int(away.headers["Retry-After"]), 0)
        fleet.wait_for("/ready to say so", lambda: lectern.get("/ready").status == 503)
        self.assertIn("database", str(lectern.get("/ready").json))

        self.server.resume()
        fleet.wait_for("a session", lambda: lectern.get("/api/user/session", user=user).status == 200)
        fleet.wait_for("/ready", lambda: lectern.get("/ready").status == 200)
        before = len(saves.answers)
        fleet.wait_for("more saves", lambda: len(saves.answers) > before + 50)
        saved, read = saves.stop(), reads.stop()

        self.assertEqual(saves.lost + reads.lost, [])
        self.assertLessEqual({a.status for _, a in read}, {200, 503, 504})
        self.assertLessEqual({a.status for _, a in saved}, {200, 404, 503, 504})
        self.assertEqual({p.name: p.pid for p in lectern.processes if p.running()}, pids)
        self.outcomes_are_true(saved)

    def outcomes_are_true(self, saved):
        """What was answered as done is in the database, what was answered as failed is not."""
        stored = set(self.lectern.sql("select chapter, verse_start, translation from saved_passages").splitlines())
        done, failed = set(), set()
        for number, answer in saved:
            key = "{}|{}|{}".format(*verse_of(number))
            if answer.status == 200:
                done.add(key)
            elif answer.status == 503:
                failed.add(key)
            elif answer.status == 504:
                self.assertEqual(answer.json, {"detail": "Outcome unknown"})
                self.assertNotIn("Retry-After", answer.headers)
        self.assertTrue(done <= stored, done - stored)
        self.assertFalse((failed - done) & stored, (failed - done) & stored)


if __name__ == "__main__":
    fleet.main()

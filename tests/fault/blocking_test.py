"""No call that could block happens on a loop after start-up, not even while the database and an actor go and come."""

import os
import unittest

import _path  # noqa: F401
import fleet
import ground

LIBRARY = os.environ.get("LECTERN_BLOCKING", os.path.join(fleet.BUILD, "libblocking.so"))


@unittest.skipIf(os.environ.get("LECTERN_SANITIZED"), "the sanitizers interpose the same calls")
class Blocking(fleet.LecternTest):
    @classmethod
    def setUpClass(cls):
        cls.server = fleet._server = ground.OwnServer()
        cls.addClassCleanup(cls.server.close)
        cls.log = f"/tmp/lectern-blocking.{os.getpid()}"
        cls.addClassCleanup(lambda: os.path.exists(cls.log) and os.unlink(cls.log))
        cls.options = {"env": {"LD_PRELOAD": LIBRARY, "BLOCKING_LOG": cls.log}}
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        fleet._server = None

    def exercise(self):
        lectern = self.lectern
        user = lectern.new_user()
        for chapter in range(1, 22):
            lectern.get(f"/api/chapter?book=John&chapter={chapter}")
            lectern.get(f"/api/passage?book=John&chapter={chapter}&verse_start=1&save=true")
            lectern.get("/api/user/session", user=user)
        lectern.get("/nothing")
        lectern.admin("gateway-1", "/metrics")
        lectern.admin("user-1", "/ready")

    def test_the_interposer_sees_what_blocks(self):
        """It is loaded, and would have told."""
        self.assertTrue(os.path.exists(LIBRARY))
        for process in filter(fleet.Process.running, self.lectern.processes):
            with open(f"/proc/{process.pid}/maps", encoding="ascii") as maps:
                self.assertIn(os.path.basename(LIBRARY), maps.read())

    def test_nothing_blocks(self):
        lectern = self.lectern
        self.exercise()
        self.server.kill()
        user = lectern.get("/api/user/session").cookie
        fleet.wait_for("503", lambda: lectern.get("/api/user/session", user=user).status == 503)
        self.server.resume()
        fleet.wait_for("the database", lambda: lectern.get("/api/user/session").status == 200)
        lectern.find("user-1").kill()
        fleet.wait_for("the actor to be gone", lambda: lectern.get("/api/user/session").status in (503, 504))
        lectern.actor("user")
        fleet.wait_for("the actor", lambda: lectern.get("/api/user/session").status == 200)
        self.exercise()
        blocked = ""
        if os.path.exists(self.log):
            with open(self.log, encoding="utf-8", errors="replace") as log:
                blocked = log.read()
        self.assertEqual(blocked, "")


if __name__ == "__main__":
    fleet.main()

"""Under load, actors are stopped, killed and started again over their old socket; gateways are killed."""

import signal
import time

import _path  # noqa: F401
import fleet
import ground
from actor_killed_test import Asked, Locked

NO_LIMITS = {"WRITE_ENDPOINT_LIMIT": "0", "NEW_USER_LIMIT": "0"}


class Actors(fleet.LecternTest):
    options = {"env": NO_LIMITS}

    def under_load(self, name, begin, end, bad=(503, 504)):
        before = ground.Standing(self.lectern)
        books = ground.Books(self.lectern)
        try:
            books.wait_for_some()
            began = time.monotonic()
            begin()
            fleet.wait_for("the fault to be noticed", lambda: books.count(*bad, since=began) > 0)
            end()
            took = books.recovered(time.monotonic())
        finally:
            books.going = False
        books.close(self)
        ground.report(name, took, books)
        before.is_back(self)

    def stopped(self, name):
        process = self.lectern.find(name)
        self.under_load(f"{name} stopped", lambda: process.kill(signal.SIGSTOP),
                        lambda: (time.sleep(2), process.kill(signal.SIGCONT)))
        self.assertTrue(process.running())

    def test_stopped_user(self):
        self.stopped("user-1")

    def test_stopped_bible(self):
        self.stopped("bible-1")

    def test_killed_again_and_again(self):
        """Its socket's file stays, and the next one takes the place."""
        def again():
            for _ in range(5):
                killed = self.lectern.find("bible-1")
                killed.kill()
                killed.wait()
                self.lectern.actor("bible")
                time.sleep(0.3)
        self.under_load("bible-1 killed five times", again, lambda: None)

    def test_killed_and_away_for_a_while(self):
        def begin():
            self.lectern.find("user-1").kill()
            time.sleep(5)  # gateways try more and more seldom
        self.under_load("user-1 killed, 5 s", begin, lambda: self.lectern.actor("user"))


class Gateways(fleet.LecternTest):
    options = {"env": NO_LIMITS, "gateways": 2}

    def start_again(self):
        self.lectern.gateway(2)

        def ready():
            try:
                return self.lectern.admin("gateway-2", "/ready").status == 200
            except OSError:
                return False  # the address is still the old one's
        fleet.wait_for("the new gateway", ready)

    def test_killed(self):
        """What it had in hand is lost with it; nothing else is, and its calls do not stay in the actors."""
        before = ground.Standing(self.lectern)
        books = ground.Books(self.lectern, may_lose=True)
        try:
            books.wait_for_some()
            killed = self.lectern.find("gateway-2")
            killed.kill()
            killed.wait()
            dead = time.monotonic()
            time.sleep(0.2)
            lost = len(books.lost)
            took = books.recovered(dead)
            self.assertEqual(len(books.lost), lost, "requests are lost while another gateway is there")
            self.assertLessEqual(lost, len(books.threads))
            self.start_again()
            books.wait_for_some()
        finally:
            books.going = False
        books.close(self)
        ground.report(f"gateway-2 killed, {lost} connections broke", took, books)
        before.is_back(self)

    def test_stopped(self):
        """That it heard nothing while it stood still is not held against the actors."""
        before = ground.Standing(self.lectern)
        books = ground.Books(self.lectern, may_bad=(504,))  # those whose time is over when it goes on
        try:
            books.wait_for_some()
            self.lectern.find("gateway-2").kill(signal.SIGSTOP)
            time.sleep(5)
            self.lectern.find("gateway-2").kill(signal.SIGCONT)
            took = books.recovered(time.monotonic())
        finally:
            books.going = False
        books.close(self)
        ground.report("gateway-2 stopped", took, books)
        before.is_back(self)

    def test_one_that_joins_is_not_noticed(self):
        """It accepts clients only when it can ask for them. One that leaves may reset who waits in its queue."""
        books = ground.Books(self.lectern, may_bad=(), may_lose=True)
        try:
            for _ in range(5):
                books.wait_for_some(5)
                third = self.lectern.gateway(3)
                fleet.wait_for("its clients", lambda: self.metric_of("gateway-3", "lectern_http_connections_total"))
                self.assertEqual(third.stop(), 0)
        finally:
            books.going = False
        books.close(self)
        self.assertLessEqual(len(books.lost), 5)

    def metric_of(self, name, line):
        try:
            return self.lectern.metric(name, line)
        except OSError:
            return 0

    def test_killed_with_calls_under_way(self):
        user = self.lectern.new_user()
        before = ground.Standing(self.lectern)
        lock = Locked(self.lectern.url)

        def ask():
            try:
                return self.lectern.get("/api/user/session", user=user).status
            except OSError:
                return None
        asked = Asked(40, ask)
        fleet.wait_for("40 calls", lambda: self.lectern.metric("user-1", "lectern_mailbox_calls") == 40)
        killed = self.lectern.find("gateway-2")
        killed.kill()
        killed.wait()
        lock.release()
        answers = asked.wait()
        self.assertLessEqual(set(answers), {200, None})
        self.assertIn(200, answers)
        self.start_again()
        before.is_back(self)


if __name__ == "__main__":
    fleet.main()

"""An actor dies with 50 requests in flight: each gets exactly one answer, and a true one."""

import subprocess
import threading

import _path  # noqa: F401
import fleet


class Locked:
    """Holds a lock, on `users` where nothing else is said, so that whatever needs it waits."""

    def __init__(self, url, lock="lock table users in access exclusive mode"):
        self.psql = subprocess.Popen(["psql", "-XAtq", "-d", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     text=True)
        self.psql.stdin.write(f"begin; {lock}; select 'locked';\n")
        self.psql.stdin.flush()
        assert self.psql.stdout.readline().strip() == "locked"

    def release(self):
        self.psql.stdin.close()
        self.psql.wait(20)
        self.psql.stdout.close()


class Asked:
    """Requests that are all in flight at one time."""

    def __init__(self, count, ask):
        self.answers = []
        self.threads = [threading.Thread(target=lambda: self.answers.append(ask())) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def wait(self):
        for thread in self.threads:
            thread.join(60)
        return self.answers


class OneInstance(fleet.LecternTest):
    def calls(self):
        return self.lectern.metric("user-1", "lectern_mailbox_calls")

    def kill_with_50_in_flight(self, ask):
        lock = Locked(self.lectern.url)
        asked = Asked(50, ask)
        fleet.wait_for("50 calls in the mailbox", lambda: self.calls() == 50)
        self.lectern.find("user-1").kill()
        answers = asked.wait()
        lock.release()
        self.assertEqual(len(answers), 50)
        self.lectern.actor("user")
        fleet.wait_for("the new actor", lambda: self.lectern.get("/api/user/session").status == 200)
        return answers

    def test_reads_are_answered_that_the_domain_is_down(self):
        user = self.lectern.new_user()
        answers = self.kill_with_50_in_flight(lambda: self.lectern.get("/api/user/session", user=user))
        self.assertEqual({a.status for a in answers}, {503})
        self.assertTrue(all(int(a.headers["Retry-After"]) > 0 for a in answers))

    def test_the_outcome_of_writes_is_said_to_be_unknown(self):
        answers = self.kill_with_50_in_flight(lambda: self.lectern.get("/api/user/session"))
        self.assertEqual({a.status for a in answers}, {504})
        self.assertTrue(all(a.json == {"detail": "Outcome unknown"} for a in answers))
        self.assertTrue(all("Retry-After" not in a.headers for a in answers))
        self.assertEqual(self.lectern.sql(
            "select count(*) from pg_stat_activity where state like 'idle in transaction%'"
            " and datname = current_database()"), "0")


class TwoInstances(fleet.LecternTest):
    options = {"actors": 2}

    def test_reads_go_to_the_other_instance(self):
        def calls():
            return [self.lectern.metric(name, "lectern_mailbox_calls") for name in ("user-1", "user-2")]
        fleet.wait_for("both to be used", lambda: self.lectern.metric(
            "gateway-1", 'lectern_actors_live{domain="user"}') == 2)
        user = self.lectern.new_user()
        lock = Locked(self.lectern.url)
        asked = Asked(50, lambda: self.lectern.get("/api/user/session", user=user))
        fleet.wait_for("calls in both mailboxes", lambda: sum(calls()) == 50 and min(calls()) > 0)
        self.lectern.find("user-1").kill()
        fleet.wait_for("all of them in one", lambda: self.lectern.metric("user-2", "lectern_mailbox_calls") == 50)
        lock.release()
        self.assertEqual([a.status for a in asked.wait()], [200] * 50)
        fleet.wait_for("/ready", lambda: self.lectern.get("/ready").status == 200)

    def test_a_second_instance_is_used_within_a_second_and_leaves_without_a_trace(self):
        third = self.lectern.actor("bible", 3)
        path = "/api/passage?book=John&chapter=1&verse_start=1"

        def used():
            self.lectern.get(path)
            try:
                return self.lectern.metric("bible-3", 'lectern_requests_total{method="bible.passage"}') > 0 or any(
                    line.startswith("lectern_requests_total") and "bible.passage" in line and not line.endswith(" 0")
                    for line in self.lectern.admin("bible-3", "/metrics").body.decode().splitlines())
            except FileNotFoundError:
                return False
        fleet.wait_for("the third instance to be used", lambda: any(
            a.status != 200 for a in Asked(20, lambda: self.lectern.get(path)).wait()) or used())
        going = True
        statuses = []

        def ask():
            while going:
                statuses.append(self.lectern.get(path).status)
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        self.assertEqual(third.stop(), 0)
        fleet.wait_for("some more", lambda n=len(statuses): len(statuses) > n + 50)
        going = False
        for thread in threads:
            thread.join(30)
        self.assertEqual(set(statuses), {200})


class Drain(fleet.LecternTest):
    def test_sigterm_finishes_what_is_in_flight(self):
        user = self.lectern.new_user()
        lock = Locked(self.lectern.url)
        asked = Asked(10, lambda: self.lectern.get("/api/user/session", user=user))
        fleet.wait_for("10 calls", lambda: self.lectern.metric("user-1", "lectern_mailbox_calls") == 10)
        actor, gateway = self.lectern.find("user-1"), self.lectern.find("gateway-1")
        actor.kill(15)
        gateway.kill(15)
        lock.release()
        self.assertEqual([a.status for a in asked.wait()], [200] * 10)
        self.assertEqual((actor.wait(), gateway.wait()), (0, 0))


if __name__ == "__main__":
    fleet.main()

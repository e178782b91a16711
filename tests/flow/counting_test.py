"""What is counted is counted exactly, over two gateways and two actors of each domain: the day's allowance and the minute's limits."""

import threading
import uuid

import _path  # noqa: F401
import fleet
import model
import wire
from provider import Answer

KINDS = {"insight": "insights", "definition": "definitions", "chat": "standalone-chat"}


class Counting(model.ModelTest):
    options = {"gateways": 2, "actors": 2}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stop_the_clock()

    def body(self, thing):
        """A question that nobody has asked."""
        text = f"text {uuid.uuid4()}"
        return {"insight": {"passage_text": text, "passage_reference": "John 3:16"},
                "definition": {"word": "love", "verse_text": text, "passage_reference": "John 3:16"},
                "chat": {"message": text}}[thing]

    def ask(self, thing, user, **more):
        return self.lectern.request("POST", f"/api/{KINDS[thing]}", self.body(thing), user=user, **more)

    def row(self, user, column):
        return self.lectern.sql(f"select {column} from usage_tracking join users on users.id = user_id"
                                f" where anonymous_id = '{user}' order by date")

    def reservations(self, user):
        return sum(int(count) for count in self.row(user, "cardinality(reserved)").split())

    def gate(self, **more):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.provider.usual = Answer(gate=gate, **more)
        return gate


class Days(Counting):
    """The allowance of the day. No limit of a minute stands in the way."""

    def crowd(self, user, of_each):
        """Statuses of so many requests of each kind at once, and the bodies of those that were refused."""
        callers = [model.Caller(self.lectern, KINDS[thing], self.body(thing), user)
                   for _ in range(of_each) for thing in KINDS]
        answers = [caller.raw_answer() for caller in callers]
        return [answer.status for answer in answers], [answer.json for answer in answers if answer.status == 429]

    def test_a_hundred_at_once_by_one_with_ten_left(self):
        user = self.lectern.new_user()
        self.provider.usual = Answer(first_s=0.2)
        statuses, refused = self.crowd(user, 34)
        self.assertEqual((statuses.count(200), statuses.count(429), len(statuses)), (10, 92, 102))
        self.assertEqual([body for body in refused if body != {"detail": model.DAILY}], [])
        self.assertEqual((len(self.provider.questions), self.row(user, "llm_calls"), self.reservations(user)), (10, "10", 0))
        self.assertEqual(self.usage(user), 10)

    def test_each_number_that_is_left(self):
        for left in (0, 1, 3):
            user = self.lectern.new_user()
            self.use_up(user, left)
            self.provider.forget()
            statuses, _ = self.crowd(user, 5)
            self.assertEqual((statuses.count(200), len(self.provider.questions), self.usage(user)), (left, left, 10))

    def test_failures_are_given_back(self):
        """Whatever fails in between, ten good answers there are."""
        user = self.lectern.new_user()
        for good in range(1, 11):
            self.provider.plan(Answer(status=400), Answer(stop="refusal"), Answer(raw=b"{"))
            self.assertEqual([self.ask(thing, user).status for thing in ("insight", "definition", "insight")], [502] * 3)
            self.assertEqual(self.ask("insight", user).status, 200)
            self.assertEqual(self.usage(user), good)
        self.assertEqual((self.row(user, "llm_calls"), self.reservations(user)), ("10", 0))
        self.assertEqual(self.ask("definition", user).status, 429)

    def test_a_crowd_in_which_half_fails(self):
        """Nobody is counted who got nothing, and at no time more than ten are asked for."""
        user = self.lectern.new_user()
        self.provider.plan(*[Answer(status=400) if number % 2 else Answer() for number in range(200)])
        statuses, _ = self.crowd(user, 30)
        failed = 90 - statuses.count(429) - self.usage(user)
        self.assertLessEqual(self.usage(user), 10)
        self.assertGreater(failed, 0)
        self.assertEqual((len(self.provider.questions), self.reservations(user)), (self.usage(user) + failed, 0))

    def test_pro_users_have_no_limit(self):
        user = self.lectern.new_user()
        self.make_pro(user)
        statuses, _ = self.crowd(user, 10)
        self.assertEqual(statuses, [200] * 30)
        self.assertEqual((len(self.provider.questions), self.row(user, "1")), (30, ""))

    def test_a_reservation_is_seen(self):
        user = self.lectern.new_user()
        gate = self.gate()
        caller = model.Caller(self.lectern, "insights", self.body("insight"), user)
        self.asked(1)
        self.assertEqual((self.usage(user), self.row(user, "llm_calls"), self.reservations(user)), (1, "0", 1))
        self.assertEqual(self.row(user, "reserved[1] between now() + interval '100 s' and now() + interval '10 min'"), "t",
                         "past the deadline of 90 s")
        gate.set()
        self.assertEqual(caller.raw_answer().status, 200)
        self.assertEqual((self.usage(user), self.row(user, "llm_calls"), self.reservations(user)), (1, "1", 0))

    def test_who_leaves_a_stream(self):
        """Before the first token it is given back, after it it counts."""
        user = self.lectern.new_user()
        for tokens, calls in (([], 0), (["For "], 1)):
            self.provider.forget()
            self.provider.usual = Answer(tokens=[*tokens, "never"], first_s=0 if tokens else 120, between_s=120)
            caller = model.Caller(self.lectern, "standalone-chat", self.body("chat"), user)
            self.asked(1)
            if tokens:
                fleet.wait_for("a token", lambda: b"token" in caller.sock.recv(65536))
            caller.leave()
            fleet.wait_for("the provider to be left", lambda: self.provider.questions[0].left)
            fleet.wait_for("the end", lambda: self.reservations(user) == 0)
            self.assertEqual(self.usage(user), calls)

    def test_an_actor_that_is_killed(self):
        """Its reservations hold until they expire, and no longer."""
        user = self.lectern.new_user()
        self.use_up(user, 2)
        self.gate()
        callers = [model.Caller(self.lectern, "definitions", self.body("definition"), user) for _ in range(2)]
        self.asked(2)
        for instance in (1, 2):
            self.lectern.find(f"definition-{instance}").kill()
        for caller in callers:
            self.assertIn(caller.raw_answer().status, (503, 504))
        self.provider.forget()
        for instance in (1, 2):
            self.lectern.actor("definition", instance)
        fleet.wait_for("the actors", lambda: self.ask("definition", user).status == 429, 60)
        self.assertEqual((self.usage(user), self.reservations(user)), (10, 2))
        self.move_clock("at + interval '3 minutes'")
        self.assertEqual(self.usage(user), 8)
        self.assertEqual([self.ask("definition", user).status for _ in range(3)], [200, 200, 429])
        self.assertEqual((self.row(user, "llm_calls"), self.reservations(user)), ("10", 0))

    def test_midnight_before_it_is_settled(self):
        """The day that was reserved is charged, or gets it back; the next one is whole."""
        user = self.lectern.new_user()
        self.move_clock("date_trunc('day', at + interval '1 day', 'UTC') - interval '1 minute'")
        gates = []
        for answer in ({}, {"status": 400}):
            gate = self.gate(**answer)
            gates.append((gate, model.Caller(self.lectern, "insights", self.body("insight"), user)))
            self.asked(len(gates))
        self.assertEqual(self.usage(user), 2)
        self.move_clock("at + interval '2 minutes'")
        self.assertEqual(self.usage(user), 0)
        for gate, caller in gates:
            gate.set()
            self.assertIn(caller.raw_answer().status, (200, 502))
        self.assertEqual((self.row(user, "llm_calls"), self.reservations(user), self.usage(user)), ("1", 0, 0))
        self.provider.forget()
        statuses, _ = self.crowd(user, 5)
        self.assertEqual((statuses.count(200), self.row(user, "llm_calls")), (10, "1\n10"))

    def test_a_user_who_is_merged_while_it_is_settled(self):
        """The kept user is charged, and the model is asked once."""
        user, kept = self.lectern.new_user(), self.lectern.new_user()
        for status, calls in ((200, 1), (400, 0)):
            user = self.lectern.new_user() if status != 200 else user
            gone, to = (f"(select id from users where anonymous_id = '{name}')" for name in (user, kept))
            before, gate = self.usage(kept), self.gate(status=status)
            self.provider.questions.clear()
            caller = model.Caller(self.lectern, "insights", {**self.body("insight"), "save": True}, user)
            self.asked(1)
            with model.holding(self.lectern, f"select from users where id in ({gone}, {to}) for update") as run:
                gate.set()
                fleet.wait_for("the actor to wait", lambda: self.lectern.sql(
                    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'") == "1")
                run("insert into usage_tracking as own (user_id, date, llm_calls, reserved) select"
                    f" {to}, date, llm_calls, reserved from usage_tracking where user_id = {gone} on conflict (user_id, date)"
                    " do update set reserved = own.reserved || excluded.reserved")
                run(f"insert into merged_users (anonymous_id, user_id) values ('{user}', {to})")
                run(f"delete from users where id = {gone}")
                run("commit")
            self.assertEqual(caller.raw_answer().status, 200 if status == 200 else 502)
            self.assertEqual((self.usage(kept) - before, self.reservations(kept), len(self.provider.questions)), (calls, 0, 1))

    def test_a_user_who_goes_meanwhile(self):
        """There is nobody to count it for; who asks again is a new user."""
        user = self.lectern.new_user()
        gate = self.gate()
        caller = model.Caller(self.lectern, "insights", {**self.body("insight"), "save": True}, user)
        self.asked(1)
        self.lectern.sql(f"delete from users where anonymous_id = '{user}'")
        gate.set()
        answer = caller.raw_answer()
        self.assertEqual(answer.status, 200)
        self.assertEqual((self.usage(answer.cookie), answer.cookie == user), (1, False))


class Minutes(Counting):
    """Windows of a minute, by the database's clock."""

    env = {"NEW_USER_LIMIT": "0", "LECTERN_TRUSTED_PROXIES": "127.0.0.1"}
    addresses = (f"2001:db8::{number:x}" for number in range(1, 60000))

    def setUp(self):
        super().setUp()
        self.move_clock("at + interval '1 minute'")
        self.address = {"X-Forwarded-For": next(self.addresses)}

    def ask(self, thing, user=None, address=None, **changes):
        return self.lectern.request("POST", f"/api/{KINDS[thing]}", {**self.body(thing), **changes}, user=user,
                                    headers=address or self.address)

    def pro(self):
        user = self.lectern.new_user()
        self.make_pro(user)
        return user

    def ends(self):
        """When the window does, seconds since the epoch."""
        return int(self.lectern.sql("select extract(epoch from at + interval '1 minute')::bigint from clock.hand"))

    def rate(self, answer):
        return tuple(int(answer.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))

    def refused(self, answer, limit):
        self.assertEqual((answer.status, answer.json), (429, {"error": f"Rate limit exceeded: {limit} per 1 minute"}))
        self.assertEqual(self.rate(answer), (limit, 0, self.ends()))
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 0)

    def test_exactly_so_many_of_a_crowd(self):
        """Each message has its own count."""
        user = self.pro()
        for thing, limit in (("insight", 10), ("definition", 10), ("chat", 20)):
            callers = [model.Caller(self.lectern, KINDS[thing], self.body(thing), user) for _ in range(limit + 20)]
            answers = [caller.raw_answer() for caller in callers]
            good = [answer for answer in answers if answer.status == 200]
            self.assertEqual(sorted(self.rate(answer) for answer in good), [(limit, n, self.ends()) for n in range(limit)])
            for answer in answers:
                if answer.status != 200:
                    self.refused(answer, limit)
        self.assertEqual(len(self.provider.questions), 40)
        self.move_clock("at + interval '1 minute'")
        self.assertEqual(self.rate(self.ask("insight", user)), (10, 9, self.ends()))

    def test_a_window_ends_with_its_minute(self):
        user = self.pro()
        for _ in range(12):
            self.ask("insight", user)
        self.move_clock("at + interval '59.9 s'")
        self.assertEqual(self.ask("insight", user).status, 429)
        self.move_clock("at + interval '0.1 s'")
        self.assertEqual(self.ask("insight", user).status, 200)

    def test_what_is_no_input_is_not_counted(self):
        user = self.pro()
        for _ in range(15):
            self.assertEqual(self.ask("insight", user, passage_text=5).status, 422)
        self.assertEqual(self.rate(self.ask("insight", user))[1], 9)

    def test_what_failed_is_counted(self):
        user = self.pro()
        for left in (9, 8):
            self.provider.plan(Answer(status=400))
            answer = self.ask("insight", user)
            self.assertEqual((answer.status, self.rate(answer)[1]), (502, left))

    def test_without_a_cookie_the_address_counts(self):
        """So does a cookie that names nobody. Over the limit no user is made."""
        for left in range(9, -1, -1):
            answer = self.ask("insight", str(uuid.uuid4()) if left % 2 else None)
            self.assertEqual((answer.status, self.rate(answer)[1]), (200, left))
            self.assertEqual(self.usage(answer.cookie), 1)
        users = self.lectern.sql("select count(*) from users")
        for user in (None, str(uuid.uuid4()), "forged"):
            answer = self.ask("insight", user)
            self.refused(answer, 10)
            self.assertIsNone(answer.cookie)
        self.assertEqual(self.lectern.sql("select count(*) from users"), users)
        self.assertEqual(self.ask("insight", self.pro()).status, 200, "a user counts for himself")
        self.assertEqual(self.ask("insight", address={"X-Forwarded-For": next(self.addresses)}).status, 200)
        self.assertEqual(self.ask("definition").status, 200)

    def test_a_crowd_without_cookies(self):
        answers = model.together(*[lambda n=n: self.ask("insight", str(uuid.uuid4()) if n % 2 else None) for n in range(40)])
        self.assertEqual(sorted(answer.status for answer in answers), [200] * 10 + [429] * 30)
        self.assertEqual(len(self.provider.questions), 10)

    def test_a_new_user_is_the_address_only_at_first(self):
        user = self.ask("insight").cookie
        self.make_pro(user)
        for left in range(9, -1, -1):
            self.assertEqual(self.rate(self.ask("insight", user))[1], left)
        self.refused(self.ask("insight", user), 10)

    def test_the_minute_before_the_day(self):
        user = self.lectern.new_user()
        self.use_up(user)
        for left in range(9, -1, -1):
            answer = self.ask("insight", user)
            self.assertEqual((answer.status, answer.json, self.rate(answer)[1]), (429, {"detail": model.DAILY}, left))
        self.refused(self.ask("insight", user), 10)

    def test_by_message_at_both_actors(self):
        user = self.pro()
        clients = [wire.Client(self.lectern.socket_of("insight", instance)) for instance in (1, 2)]
        for client in clients:
            self.addCleanup(client.close)
        for number in range(10):
            header, _ = clients[number % 2].call("insight.generate_insight", self.body("insight"), user=user)
            self.assertEqual(header["rate"], {"limit": 10, "remaining": 9 - number, "reset": self.ends()})
        for client in clients:
            client.send("insight.generate_insight", self.body("insight"), user=user)
            header, _ = client.receive()
            self.assertEqual((header["status"], header["rate"]["remaining"]), ("rate_limited", 0))

    def test_clients_with_odd_names(self):
        """A message may name a client of any length; unknown users are told so."""
        user = self.pro()
        with wire.Client(self.lectern.socket_of("insight")) as client:
            for name in ("", "x" * 500, "\U0001F54A" * 100):
                header, _ = client.call("insight.generate_insight", self.body("insight"), user=user, client=name, by_client=True)
                self.assertEqual(header["rate"]["remaining"], 9)
                client.send("insight.generate_insight", self.body("insight"), user=str(uuid.uuid4()), client=name)
                self.assertEqual(client.receive()[0]["status"], "unknown_user")

    def test_windows_are_swept(self):
        self.ask("insight", self.pro())
        self.move_clock("at + interval '5 minutes'")
        old = "select count(*) from rate_windows where began < now() - interval '2 minutes'"
        self.assertNotEqual(self.lectern.sql(old), "0")
        self.lectern.find("chat-1").stop()
        self.lectern.actor("chat")
        fleet.wait_for("the sweep", lambda: self.lectern.sql(old) == "0")
        fleet.wait_for("the actor", lambda: self.lectern.get("/ready").status == 200)


if __name__ == "__main__":
    fleet.main()

"""What the tests of generated insights and of generated definitions share: stored ones are found, equal questions share one call."""

import threading
import time
import uuid

import _path  # noqa: F401
import fleet
import model
import saved
import wire
from provider import Answer


class Generated(model.ModelTest):
    """Tests of a domain, whose words a subclass gives: `thing`, `path`, `column` (the text's), `keys` (what else it is
    found by), `parts`, `failed`."""

    options = {"gateways": 2, "actors": 2}

    def setUp(self):
        super().setUp()
        self.text = f"text {uuid.uuid4()}"  # of this test alone
        self.user, self.other = self.lectern.new_user(), self.lectern.new_user()
        self.actors = [f"{self.thing}-{instance}" for instance in (1, 2)]

    # ---- words ----

    def body(self, **changes):
        return {**self.keys, self.column: self.text, **changes}

    def ask(self, user=None, **changes):
        return self.lectern.request("POST", f"/api/{self.path}", self.body(**changes), user=user or self.user)

    def good(self, user=None, **changes):
        answer = self.ask(user, **changes)
        self.assertEqual(answer.status, 200, answer.body[:500])
        return answer.json

    def caller(self, user, **changes):
        return model.Caller(self.lectern, self.path, self.body(**changes), user)

    def stored(self):
        return self.lectern.sql(f"select count(*) from saved_{self.thing}s where {self.column} like '{self.text}%'")

    def history(self, user):
        return [int(entry["id"]) for entry in self.lectern.get(f"/api/{self.path}/history", user=user).json]

    def waiting(self, count):
        """Waits until so many calls wait for an answer that they share."""
        fleet.wait_for(f"{count} calls", lambda: sum(
            self.lectern.metric(name, "lectern_flight_waiting") for name in self.actors) == count)

    def gate(self, **more):
        """The provider's answers wait until it is set."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.provider.usual = Answer(gate=gate, **more)
        return gate

    def questions(self):
        return len(self.provider.questions)

    # ---- stored and not stored ----

    def test_not_saved(self):
        for _ in range(2):
            got = self.good()
            self.assertEqual((got["id"], got["cached"]), (None, False))
            self.assertEqual({part: got[part] for part in self.parts}, {part: model.PARTS[part] for part in self.parts})
        self.assertEqual((self.questions(), self.usage(self.user), self.stored()), (2, 2, "0"))
        self.assertEqual(self.history(self.user), [])

    def test_saved(self):
        first = self.good(save=True)
        self.assertFalse(first["cached"])
        self.assertEqual(self.good(save=True), {**first, "cached": True})
        self.assertEqual(self.good(self.other, save=True), {**first, "cached": True})
        self.assertEqual((self.questions(), self.usage(self.user), self.usage(self.other)), (1, 1, 0))
        self.assertEqual(self.history(self.user), [first["id"]])
        self.assertEqual(self.history(self.other), [first["id"]])

    def test_stored_ones_need_no_allowance(self):
        first = self.good(save=True)
        self.use_up(self.other)
        self.assertEqual(self.good(self.other, save=True)["id"], first["id"])
        answer = self.ask(self.other)
        self.assertEqual((answer.status, answer.json), (429, {"detail": model.DAILY}))

    def test_blanks_around_a_text_are_nothing(self):
        first = self.good(save=True)
        again = self.good(save=True, **{self.column: f"\n {self.text}\t"})
        self.assertEqual((again["id"], again["cached"]), (first["id"], True))

    def test_another_key_is_another_question(self):
        ids = {self.good(save=True, **change)["id"] for change in
               ({}, *({name: "other"} for name in self.keys), {self.column: self.text + "."})}
        self.assertEqual((len(ids), self.questions()), (2 + len(self.keys), 2 + len(self.keys)))

    def test_what_somebody_imported_is_not_answered(self):
        parts = ", ".join(self.parts)
        said = ", ".join(f"'imported {part}'" for part in self.parts)
        keys, values = ", ".join(self.keys), ", ".join(f"'{value}'" for value in self.keys.values())
        self.lectern.sql(f"insert into saved_{self.thing}s ({keys}, {self.column}, {parts}, imported_by) select {values},"
                         f" '{self.text}', {said}, id from users where anonymous_id = '{self.other}'")
        self.assertFalse(self.good(save=True)["cached"])
        self.assertEqual(self.good(self.other, save=True)[self.parts[0]], f"imported {self.parts[0]}")

    def test_long_texts(self):
        """50,000 characters, of four bytes each."""
        self.text += "\U0001F54A" * (50000 - len(self.text))
        first = self.good(save=True)
        self.assertEqual(self.good(self.other, save=True)["id"], first["id"])
        self.assertIn(self.text, self.provider.questions[0].body["messages"][-1]["content"])
        self.assertEqual(self.ask(**{self.column: self.text + "x"}).status, 422)

    def test_what_is_no_input(self):
        """Is not asked, not counted, and makes no user."""
        users = self.lectern.sql("select count(*) from users")
        wrong = [{self.column: value} for value in (5, None, ["a"], "a\0b", "\ud800", "x" * 50001)]
        wrong += [{name: value} for name in self.keys for value in (5, None, "x" * 101)] + [{"save": "perhaps"}]
        for change in wrong:
            answer = self.lectern.request("POST", f"/api/{self.path}", self.body(**change))
            self.assertEqual((answer.status, len(answer.json["detail"])), (422, 1), change)
            self.assertEqual(answer.json["detail"][0]["loc"], ["body", *change])
            self.assertIsNone(answer.cookie)
        for name in (self.column, *self.keys):
            body = self.body()
            del body[name]
            answer = self.lectern.request("POST", f"/api/{self.path}", body)
            self.assertEqual((answer.status, answer.json["detail"][0]["type"]), (422, "missing"))
        self.assertEqual((self.questions(), self.lectern.sql("select count(*) from users")), (0, users))

    def test_failures_are_not_counted(self):
        for answer in (Answer(status=400), Answer(stop="refusal"), Answer(raw=b"{"), Answer(cut_after=0)):
            self.provider.plan(answer)
            answer = self.ask(save=True)
            self.assertEqual((answer.status, answer.json), (502, {"detail": self.failed}))
        self.assertEqual((self.usage(self.user), self.stored()), (0, "0"))
        self.assertFalse(self.good(save=True)["cached"])
        self.assertEqual(self.usage(self.user), 1)

    # ---- shared ----

    def shared(self, save):
        """Twelve at once over both gateways; their answers."""
        gate = self.gate()
        users = [self.lectern.new_user() for _ in range(12)]
        callers = [self.caller(user, save=save) for user in users]
        self.waiting(12)
        gate.set()
        answers = [caller.answer() for caller in callers]
        self.assertEqual([status for status, _ in answers], [200] * 12)
        self.assertEqual(self.questions(), 1)
        self.assertEqual(sorted(body["cached"] for _, body in answers), [False] + [True] * 11)
        self.assertEqual([self.usage(user) for user in users], [int(not body["cached"]) for _, body in answers])
        return users, [body for _, body in answers]

    def test_equal_questions_at_once_share_one(self):
        _, bodies = self.shared(save=False)
        self.assertEqual({body["id"] for body in bodies}, {None})
        self.assertEqual(self.stored(), "0")

    def test_equal_questions_at_once_are_stored_once(self):
        users, bodies = self.shared(save=True)
        self.assertEqual((len({body["id"] for body in bodies}), self.stored()), (1, "1"))
        for user in users:
            self.assertEqual(self.history(user), [bodies[0]["id"]])

    def test_to_save_or_not_is_another_question(self):
        gate = self.gate()
        callers = [self.caller(self.user, save=save) for save in (True, False, True, False)]
        self.waiting(4)
        gate.set()
        self.assertEqual([caller.answer()[0] for caller in callers], [200] * 4)
        self.assertEqual((self.questions(), self.usage(self.user)), (2, 2))

    def test_a_shared_failure(self):
        gate = self.gate(status=400)
        callers = [self.caller(user) for user in (self.user, self.other, self.other)]
        self.waiting(3)
        gate.set()
        self.assertEqual([caller.answer() for caller in callers], [(502, {"detail": self.failed})] * 3)
        self.assertEqual((self.questions(), self.usage(self.user), self.usage(self.other)), (1, 0, 0))

    def test_the_first_one_leaves(self):
        for save in (False, True):
            self.text, before = f"text {uuid.uuid4()}", self.usage(self.user)
            self.provider.forget()
            gate = self.gate()
            first = self.caller(self.user, save=save)
            self.asked(1)
            others = [self.caller(self.other, save=save) for _ in range(2)]
            self.waiting(3)
            first.leave()
            self.waiting(2)
            gate.set()
            for other in others:
                status, body = other.answer()
                self.assertEqual((status, body["cached"], body["id"] is not None), (200, True, save))
            self.assertEqual(self.questions(), 1)
            self.assertEqual((self.usage(self.user) - before, self.usage(self.other)), (1, 0))

    def test_all_leave(self):
        self.gate()
        callers = [self.caller(user, save=True) for user in (self.user, self.other)]
        self.waiting(2)
        self.asked(1)
        for caller in callers:
            caller.leave()
        fleet.wait_for("the provider to be left", lambda: self.provider.questions[0].left)
        fleet.wait_for("what was reserved", lambda: self.usage(self.user) + self.usage(self.other) == 0)
        self.at_rest(*self.actors)
        self.assertEqual(self.stored(), "0")

    def test_the_first_one_has_no_allowance(self):
        """Then another one asks, for himself."""
        self.use_up(self.user)
        row = f"select from usage_tracking where user_id = (select id from users where anonymous_id = '{self.user}') for update"
        with model.holding(self.lectern, row):
            first = self.caller(self.user)
            self.waiting(1)
            others = [self.caller(self.other) for _ in range(3)]
            self.waiting(4)
        self.assertEqual(first.answer(), (429, {"detail": model.DAILY}))
        answers = [other.answer() for other in others]
        self.assertEqual([status for status, _ in answers], [200] * 3)
        self.assertEqual(sorted(body["cached"] for _, body in answers), [False, True, True])
        self.assertEqual((self.questions(), self.usage(self.user), self.usage(self.other)), (1, 10, 1))

    def test_what_is_the_first_ones_own_is_not_shared(self):
        """A text whose MD5 another one has is stored as its user's own: each asks for himself."""
        self.text = saved.TWINS[0]
        self.good(save=True)
        self.text = saved.TWINS[1]
        self.provider.forget()
        gate = self.gate()
        callers = [self.caller(user, save=True) for user in (self.user, self.other)]
        self.waiting(2)
        gate.set()
        answers = [caller.answer() for caller in callers]
        self.assertEqual([(status, body["cached"]) for status, body in answers], [(200, False)] * 2)
        self.assertNotEqual(answers[0][1]["id"], answers[1][1]["id"])
        self.assertEqual(self.questions(), 2)
        self.assertEqual([self.usage(user) for user in (self.user, self.other)], [2, 1])

    # ---- by message ----

    def client(self, instance):
        client = wire.Client(self.lectern.socket_of(self.thing, instance))
        self.addCleanup(client.close)
        return client

    def send(self, client, user, save=False, **header):
        client.send(f"{self.thing}.generate_{self.thing}", self.body(save=save), user=user, **header)

    def test_asked_of_both_actors_it_is_stored_once(self):
        """Affinity saves work; that there is one is the database's doing."""
        gate = self.gate()
        clients = [self.client(1), self.client(2)]
        for client, user in zip(clients, (self.user, self.other)):
            self.send(client, user, save=True)
        self.asked(2)
        gate.set()
        bodies = []
        for client in clients:
            header, body = client.receive(60000)
            self.assertEqual(header["status"], "ok", body)
            bodies.append(body)
        self.assertEqual((bodies[0]["id"], self.stored()), (bodies[1]["id"], "1"))
        self.assertEqual(self.history(self.user) + self.history(self.other), [bodies[0]["id"]] * 2)

    def test_the_first_one_has_less_time(self):
        gate = self.gate()
        first, second = self.client(1), self.client(1)
        self.send(first, self.user, budget=1500)
        self.asked(1)
        self.send(second, self.other)
        header, _ = first.receive(60000)
        self.assertEqual(header["status"], "timeout")
        self.asked(2)
        gate.set()
        header, body = second.receive(60000)
        self.assertEqual((header["status"], body["cached"]), ("ok", False))
        fleet.wait_for("what was reserved", lambda: self.usage(self.user) == 0)
        self.assertEqual(self.usage(self.other), 1)

    def test_a_follower_has_less_time(self):
        gate = self.gate()
        first, second = self.client(1), self.client(1)
        self.send(first, self.user)
        self.asked(1)
        began = time.monotonic()
        self.send(second, self.other, budget=500)
        header, _ = second.receive(60000)
        self.assertEqual(header["status"], "timeout")
        self.assertGreaterEqual(time.monotonic() - began, 0.4)
        gate.set()
        header, body = first.receive(60000)
        self.assertEqual((header["status"], body["cached"], self.questions()), ("ok", False, 1))

    def test_cancelled_by_message(self):
        self.gate()
        client = self.client(2)
        self.send(client, self.user)
        self.asked(1)
        header = {"v": 1, "id": next(client.ids) - 1, "op": "cancel"}
        client.send_frames(wire.msgpack.packb(header), wire.msgpack.packb({}))
        header, _ = client.receive(60000)
        self.assertEqual(header["status"], "cancelled")
        fleet.wait_for("what was reserved", lambda: self.usage(self.user) == 0)

    def test_who_was_merged_away_is_told(self):
        old = str(uuid.uuid4())
        self.lectern.sql(f"insert into merged_users (anonymous_id, user_id) select '{old}', id from users"
                         f" where anonymous_id = '{self.user}'")
        answer = self.ask(old)
        self.assertEqual((answer.status, answer.cookie), (200, self.user))
        self.assertEqual(self.usage(self.user), 1)

    def test_nobody(self):
        """A forged or missing cookie makes a user, whose call it is."""
        for user in (str(uuid.uuid4()), None):
            answer = self.lectern.request("POST", f"/api/{self.path}", self.body(), user=user)
            self.assertEqual(answer.status, 200)
            self.assertNotEqual(answer.cookie, user)
            self.assertEqual(self.usage(answer.cookie), 1)

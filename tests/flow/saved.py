"""What the tests of insights and of definitions share: both are texts that are stored once, linked to users and listed."""

import contextlib
import threading
import uuid

import _path  # noqa: F401
import fleet
import wire

# Two texts with the same MD5.
TWINS = ("TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak",
         "TEXTCOLLBYfGiJUETHQ4hEcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak")


class Saved(fleet.LecternTest):
    """Tests of a domain, whose words a subclass gives: `thing`, `table`, `column` (the text's), `save` (a message's
    body), `parts` (names of what is said), `shown` (of an entry of the history: name and column)."""

    options = {"actors": 2, "env": {"NEW_USER_LIMIT": "0"}}

    def setUp(self):
        self.client = wire.Client(self.lectern.socket_of(self.thing))
        self.addCleanup(self.client.close)
        self.user = self.lectern.new_user()
        self.text = f"text {uuid.uuid4()}"  # of this test alone

    # ---- words ----

    def body(self, **changes):
        return {**self.save, self.column: self.text, **changes}

    def said(self, word):
        """The parts, each saying the word."""
        return {part: f"{part} {word}" for part in self.parts}

    def store(self, user=None, **changes):
        return self.client.ask(f"{self.thing}.save_{self.thing}", self.body(**changes), user=user or self.user)

    def link(self, number, user=None):
        return self.client.ask(f"{self.thing}.link_{self.thing}_to_user", {f"{self.thing}_id": number},
                               user=user or self.user)["linked"]

    def fault(self, call, *arguments, **named):
        with self.assertRaises(wire.Fault) as caught:
            call(*arguments, **named)
        return caught.exception.name

    def history(self, user=None, query=""):
        answer = self.lectern.get(f"/api/{self.thing}s/history{query}", user=user or self.user)
        self.assertEqual(answer.status, 200, answer.body[:500])
        return answer.json

    def history_ids(self, user=None, query=""):
        return [int(entry["id"]) for entry in self.history(user, query)]

    def clear(self, user=None):
        answer = self.lectern.request("DELETE", f"/api/{self.thing}s/history", user=user or self.user)
        self.assertEqual(answer.status, 200)
        return answer.json["message"]

    def cleared(self, count):
        return f"Cleared {count} {self.thing}s from history"

    def count(self):
        """How often this test's text is stored."""
        return int(self.lectern.sql(f"select count(*) from {self.table} where {self.column} = '{self.text}'"))

    def user_id(self, user):
        return int(self.lectern.sql(f"select id from users where anonymous_id = '{user}'"))

    def imported(self, user, text=None):
        """The id of one that a user imported and has in his history."""
        columns = {**self.body(**{self.column: text or self.text}), **self.said("imported")}
        names, values = ", ".join(columns), ", ".join(f"'{value}'" for value in columns.values())
        number = int(self.lectern.sql(f"insert into {self.table} ({names}, imported_by)"
                                      f" values ({values}, {self.user_id(user)}) returning id").split()[0])
        self.lectern.sql(f"insert into user_{self.thing}s values ({self.user_id(user)}, {number})")
        return number

    # ---- saving ----

    def test_the_first_is_stored_and_linked(self):
        made = self.store(**self.said("first"))
        self.assertEqual(made, {"id": made["id"], "stored": True, self.thing: self.said("first")})
        self.assertEqual(self.history_ids(), [made["id"]])

    def test_the_next_is_answered_what_is_stored(self):
        made = self.store(**self.said("first"))
        other = self.lectern.new_user()
        for user in (self.user, other):
            again = self.store(user, **self.said("second"))
            self.assertEqual(again, {"id": made["id"], "stored": False, self.thing: self.said("first")})
        self.assertEqual(self.history_ids(other), [made["id"]])
        self.assertEqual(self.count(), 1)

    def test_another_key_is_another_one(self):
        made = {self.store()["id"]}
        for key in self.keys:
            made.add(self.store(**{key: f"other {key}"})["id"])
        made.add(self.store(**{self.column: self.text + "."})["id"])
        self.assertEqual(len(made), len(self.keys) + 2)

    def test_blanks_around_the_text_count_for_nothing(self):
        made = self.store()
        self.assertEqual(self.store(**{self.column: f" \n{self.text}\t "})["id"], made["id"])

    def test_long_texts(self):
        for text in (self.text + "x" * (50000 - len(self.text)), "\U0001f54a" * 50000):
            made = self.store(**{self.column: text})
            self.assertFalse(self.store(**{self.column: text})["stored"])
            self.assertEqual(self.history()[0][self.shown], text)
            self.assertEqual(self.history_ids()[0], made["id"])
        self.assertEqual(self.fault(self.store, **{self.column: "x" * 50001}), "invalid")

    def test_texts_come_back_as_they_are(self):
        for text in ('"quotes" and \\ and /', "Zeilen\nund\r\nTabs\tund \x01 \x1f \x7f", "a\u2028 \ufeff \ue000 \U0010ffff é",
                     "'; drop table users; --", "%s %n {} $1 ?"):
            with self.subTest(text=text):
                said = {part: text for part in self.parts}
                self.assertEqual(self.store(**{self.column: text}, **said)[self.thing], said)
                entry = self.history(query="?limit=1")[0]
                self.assertEqual((entry[self.shown], entry[self.thing]), (text, said))

    def test_two_texts_of_one_md5(self):
        """Nobody is answered with the wrong one: the second is stored as the user's own."""
        first, second = TWINS
        made = self.store(**{self.column: first}, **self.said("first"))
        own = self.store(**{self.column: second}, **self.said("second"))
        self.assertEqual((own["stored"], own[self.thing]), (True, self.said("second")))
        again = self.store(**{self.column: second}, **self.said("third"))
        self.assertEqual(again, {"id": own["id"], "stored": False, self.thing: self.said("second")})
        other = self.lectern.new_user()
        self.assertEqual(self.store(other, **{self.column: first})["id"], made["id"])
        self.assertNotEqual(self.store(other, **{self.column: second})["id"], own["id"])

    def test_a_third_text_of_one_md5_is_refused(self):
        first, second = TWINS
        self.store(**{self.column: first})
        self.imported(self.user, first)
        self.assertEqual(self.fault(self.store, **{self.column: second}), f"{self.thing}_collides")

    def test_fifty_users_at_once(self):
        """One is stored; all have it."""
        users = [self.lectern.new_user() for _ in range(50)]
        got = self.at_once([(user, self.said(str(n))) for n, user in enumerate(users)])
        self.assertEqual(len({answer["id"] for answer in got}), 1)
        self.assertEqual(sum(answer["stored"] for answer in got), 1)
        self.assertEqual(len({answer[self.thing][self.parts[0]] for answer in got}), 1)
        self.assertEqual(self.count(), 1)
        for user in users:
            self.assertEqual(self.history_ids(user), [got[0]["id"]])

    def test_one_user_fifty_times_at_once(self):
        got = self.at_once([(self.user, self.said(str(n))) for n in range(50)])
        self.assertEqual(len({answer["id"] for answer in got}), 1)
        self.assertEqual(sum(answer["stored"] for answer in got), 1)
        self.assertEqual(self.history_ids(), [got[0]["id"]])

    def at_once(self, calls):
        """Answers to saves that a client each sends at the same time, to both actors."""
        start, got = threading.Barrier(len(calls)), [None] * len(calls)

        def run(n, user, said):
            with wire.Client(self.lectern.socket_of(self.thing, 1 + n % 2)) as client:
                start.wait(60)
                got[n] = client.ask(f"{self.thing}.save_{self.thing}", self.body(**said), user=user)

        threads = [threading.Thread(target=run, args=(n, *call)) for n, call in enumerate(calls)]
        with contextlib.ExitStack() as stack:
            for thread in threads:
                thread.start()
                stack.callback(thread.join, 60)
        self.assertNotIn(None, got)
        return got

    # ---- linking ----

    def test_linking(self):
        made, other = self.store(), self.lectern.new_user()
        self.assertTrue(self.link(made["id"], other))
        self.assertFalse(self.link(made["id"], other))
        self.assertEqual(self.history_ids(other), [made["id"]])

    def test_linking_again_leaves_it_in_its_place(self):
        first = self.store()["id"]
        second = self.store(**{self.column: self.text + " second"})["id"]
        self.link(first)
        self.store()
        self.assertEqual(self.history_ids(), [second, first])

    def test_linking_what_is_not_there(self):
        for number in (0, -1, 2**31 - 1, 2**31, 2**40, -2**40, 2**63 - 1, -2**63 + 1):
            with self.subTest(id=number):
                self.assertEqual(self.fault(self.link, number), f"{self.thing}_not_found")

    def test_linking_fifty_times_at_once(self):
        made, other = self.store(), self.lectern.new_user()
        ids = [self.client.send(f"{self.thing}.link_{self.thing}_to_user", {f"{self.thing}_id": made["id"]}, user=other)
               for _ in range(50)]
        got = [self.client.receive() for _ in ids]
        self.assertEqual({header["status"] for header, _ in got}, {"ok"})
        self.assertEqual(sum(body["linked"] for _, body in got), 1)

    # ---- what somebody imported ----

    def test_what_is_imported_is_its_users_own(self):
        other = self.lectern.new_user()
        own = self.imported(other)
        self.assertEqual(self.fault(self.link, own), f"{self.thing}_not_found")
        made = self.store(**self.said("generated"))
        self.assertEqual((made["stored"], made[self.thing]), (True, self.said("generated")))
        self.assertNotEqual(made["id"], own)
        self.assertEqual(self.history_ids(), [made["id"]])
        self.assertEqual(self.history_ids(other), [own])
        self.assertEqual(self.history(other)[0][self.thing], self.said("imported"))

    def test_who_imported_it_finds_it(self):
        own = self.imported(self.user)
        self.assertEqual(self.store(), {"id": own, "stored": False, self.thing: self.said("imported")})
        self.assertFalse(self.link(own))
        self.store(self.lectern.new_user())
        self.assertEqual(self.store()["id"], own)

    # ---- the history ----

    def test_an_entry(self):
        made = self.store(**self.said("x"))
        when = self.lectern.sql("select floor(extract(epoch from created_at) * 1000)::bigint from"
                                f" user_{self.thing}s where {self.thing}_id = {made['id']}")
        self.assertEqual(self.history(), [self.entry(made["id"], self.said("x"), int(when))])

    def test_newest_first_and_so_many(self):
        made = [self.store(**{self.column: f"{self.text} {n}"})["id"] for n in range(60)][::-1]
        self.assertEqual(self.history_ids(), made[:50])
        for limit in (0, 1, 7, 59, 60, 61, 500):
            self.assertEqual(self.history_ids(query=f"?limit={limit}"), made[:limit])

    def test_links_of_one_time(self):
        made = [self.store(**{self.column: f"{self.text} {n}"})["id"] for n in range(9)][::-1]
        self.lectern.sql(f"update user_{self.thing}s set created_at = '2026-01-31 09:05:00.123999+00'"
                         f" where user_id = {self.user_id(self.user)}")
        self.assertEqual(self.history_ids(), made)
        self.assertEqual({entry["timestamp"] for entry in self.history()}, {1769850300123})

    def test_times_before_1970_are_rounded_down(self):
        self.store()
        self.lectern.sql(f"update user_{self.thing}s set created_at = '1969-12-31 23:59:59.9985+00'"
                         f" where user_id = {self.user_id(self.user)}")
        self.assertEqual(self.history()[0]["timestamp"], -2)

    def test_wrong_limits(self):
        for limit, kind in (("-1", "greater_than_equal"), ("501", "less_than_equal"), ("x", "int_parsing"),
                            ("", "int_parsing"), ("1.5", "int_parsing"), (str(10**30), "less_than_equal")):
            with self.subTest(limit=limit):
                answer = self.lectern.get(f"/api/{self.thing}s/history?limit={limit}", user=self.user)
                self.assertEqual(answer.status, 422)
                self.assertEqual([(f["type"], f["loc"]) for f in answer.json["detail"]], [(kind, ["query", "limit"])])

    def test_a_new_user_has_none(self):
        answer = self.lectern.get(f"/api/{self.thing}s/history")
        self.assertEqual((answer.status, answer.json), (200, []))
        self.assertIsNotNone(answer.cookie)

    # ---- clearing ----

    def test_clearing(self):
        other = self.lectern.new_user()
        made = self.store()
        self.store(other)
        self.store(**{self.column: self.text + " second"})
        self.assertEqual(self.clear(), self.cleared(2))
        self.assertEqual(self.clear(), self.cleared(0))
        self.assertEqual(self.history(), [])
        self.assertEqual(self.history_ids(other), [made["id"]])
        self.assertEqual(self.store()["id"], made["id"])  # it stayed
        self.assertEqual(self.clear(), self.cleared(1))

    def test_clearing_by_somebody_new(self):
        answer = self.lectern.request("DELETE", f"/api/{self.thing}s/history")
        self.assertEqual((answer.status, answer.json), (200, {"message": self.cleared(0)}))
        self.assertIsNotNone(answer.cookie)
        self.assertEqual(answer.headers["X-RateLimit-Limit"], "600")

    # ---- who it is for ----

    def test_nobody(self):
        for user in (None, str(uuid.uuid4()), "garbage"):
            for message, body in ((f"save_{self.thing}", self.body()), (f"link_{self.thing}_to_user", {f"{self.thing}_id": 1}),
                                  (f"get_user_{self.thing}s", {}), (f"clear_user_{self.thing}s", {})):
                with self.subTest(message=message, user=user):
                    self.assertEqual(self.fault(self.client.ask, f"{self.thing}.{message}", body, user=user), "unknown_user")
        self.assertEqual(self.count(), 0)

    def test_a_merged_user_is_the_kept_one(self):
        gone = str(uuid.uuid4())
        self.lectern.sql(f"insert into merged_users values ('{gone}', {self.user_id(self.user)})")
        header, made = self.client.call(f"{self.thing}.save_{self.thing}", self.body(), user=gone)
        self.assertEqual(header["user"], self.user)
        answer = self.lectern.get(f"/api/{self.thing}s/history", user=gone)
        self.assertEqual(([int(e["id"]) for e in answer.json], answer.cookie), ([made["id"]], self.user))
        answer = self.lectern.request("DELETE", f"/api/{self.thing}s/history", user=gone)
        self.assertEqual((answer.json["message"], answer.cookie), (self.cleared(1), self.user))
        self.assertEqual(self.history(), [])

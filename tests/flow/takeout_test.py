"""Taking one's data along: an export is all that a user has, and an import of it gives all of that back, or nothing."""

import concurrent.futures
import copy
import json
import os
import sys
import threading
import time
import uuid

import msgpack

import _path  # noqa: F401
import fleet
import owned
import takeout
import wire

SEEDS = int(os.environ.get("LECTERN_ROUNDS", 25))
MIB = 1024 * 1024


class Takeout(fleet.LecternTest):
    options = {"env": {"NEW_USER_LIMIT": "0", "WRITE_ENDPOINT_LIMIT": "0"}}

    def setUp(self):
        self.user = self.lectern.new_user()
        self.client = wire.Client(self.lectern.socket_of("user"))
        self.addCleanup(self.client.close)

    # ---- words ----

    def send(self, document, user=None):
        """An import over HTTP."""
        body = document if isinstance(document, bytes) else json.dumps({"data": document})
        return self.lectern.request("POST", "/api/user/import", body, user=user or self.user, timeout=60,
                                    headers={"Content-Type": "application/json"})

    def take_in(self, document, user=None):
        """An import that is done: how many were added."""
        answer = self.send(document, user)
        self.assertEqual(answer.status, 200, answer.body[:500])
        self.assertEqual(answer.json["message"], "User data imported successfully")
        return answer.json["imported"]

    def refused(self, document, place=None, user=None):
        """An import that is refused: why."""
        answer = self.send(document, user)
        self.assertEqual(answer.status, 400, answer.body[:500])
        self.assertEqual(list(answer.json), ["detail"])
        if place is not None:
            self.assertEqual(answer.json["detail"].split(": ")[0], place)
        return answer.json["detail"]

    def export(self, user=None):
        answer = self.lectern.get("/api/user/export", user=user or self.user, timeout=60)
        self.assertEqual(answer.status, 200, answer.body[:500])
        return answer.json

    def data(self, user=None):
        """An export without whose it is."""
        document = self.export(user)
        del document["user"]
        return document

    def clear(self):
        self.assertEqual(self.lectern.request("DELETE", "/api/user/data", user=self.user).status, 200)

    def pieces(self, user=None, credit=200000):
        """The bodies of an export over the wire, with as much more credit after each as was used."""
        number = self.client.send("user.export_user_data", user=user or self.user, credit=credit)
        found = []
        while True:
            header, body = self.client.receive(60000)
            self.assertEqual(header["id"], number)
            found.append(body)
            if header["status"] != "more":
                self.assertEqual(header["status"], "ok", body)
                return found
            grant = {"v": 1, "id": number, "op": "credit", "credit": len(msgpack.packb(body))}
            self.client.send_frames(msgpack.packb(grant), msgpack.packb({}))

    def number(self, user=None):
        return self.lectern.sql(f"select id from users where anonymous_id = '{user or self.user}'")


class Exports(Takeout):
    def test_of_one_who_has_nothing(self):
        export = self.export()
        self.assertEqual(list(export), ["user", "insights", "standalone_chats", "definitions"])
        self.assertEqual(export["user"]["anonymous_id"], self.user)
        self.assertRegex(export["user"]["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$")
        self.assertEqual({k: v for k, v in export.items() if k != "user"}, takeout.nothing())

    def test_without_a_user_one_is_made(self):
        answer = self.lectern.get("/api/user/export")
        self.assertEqual(answer.json["user"]["anonymous_id"], answer.cookie)

    def test_each_section_of_what_a_user_owns_is_exported_and_comes_back(self):
        owned.populate(self.lectern, self.user)
        sections = {row[0]: row[-1] for row in owned.ROWS if row[-1] != "none"}
        before, export = owned.counts(self.lectern, self.user), self.data()
        exported = {**{name: len(export[name]) for name in ("insights", "standalone_chats", "definitions")},
                    "chat_messages": sum(len(i["chat_messages"]) for i in export["insights"])}
        for table, section in sections.items():
            self.assertEqual(exported[section], before[f"{table}.user_id"], table)
            self.assertGreater(exported[section], 0, table)
        self.clear()
        self.assertEqual(self.data(), takeout.nothing())
        self.assertEqual(self.take_in(export), exported)
        after = owned.counts(self.lectern, self.user)
        for table in sections:
            self.assertEqual(after[f"{table}.user_id"], before[f"{table}.user_id"], table)
        self.assertEqual(self.data(), export)

    def test_nothing_of_others_is_in_it(self):
        owned.populate(self.lectern, self.user)
        mine, other = self.data(), self.lectern.new_user()
        self.assertEqual(self.data(other), takeout.nothing())
        owned.populate(self.lectern, other)  # shares an insight, and has a conversation of its own about it
        theirs = self.data(other)
        self.assertEqual(self.data(), mine)
        shared = [i["chat_messages"] for i in theirs["insights"] if i["passage_reference"] == "SHARED"]
        self.assertEqual({m["content"] for m in shared[0]}, {f"of-{self.number(other)}"})

    def test_of_one_who_was_merged(self):
        gone = str(uuid.uuid4())
        self.lectern.sql(f"insert into merged_users (anonymous_id, user_id) values ('{gone}', {self.number()})")
        self.take_in(takeout.document(2), user=gone)
        answer = self.lectern.get("/api/user/export", user=gone)
        self.assertEqual((answer.cookie, answer.json), (self.user, self.export()))
        header, body = self.client.call("user.export_user_data", user=gone)
        self.assertEqual((header["user"], body["user"]["anonymous_id"]), (self.user, self.user))

    def test_pieces_make_the_same_document(self):
        document = takeout.document(3, items=60, most_messages=40)
        document["standalone_chats"].append({
            "title": "long", "passage_reference": None, "passage_text": None, "created_at": takeout.iso(17 * 10**14),
            "updated_at": takeout.iso(0),
            "messages": [{"role": "user", "content": f"{i}" + "x" * 5000, "created_at": takeout.iso(i)} for i in range(100)]})
        self.take_in(document)
        pieces = self.pieces()
        self.assertGreater(len(pieces), 4)
        self.assertLess(max(len(msgpack.packb(piece)) for piece in pieces), 512 * 1024)
        whole = takeout.as_json(takeout.gather(pieces))
        self.assertEqual(whole, self.export())
        self.assertEqual(takeout.as_json(self.client.ask("user.export_user_data", user=self.user)), whole)

    def test_a_page_may_end_anywhere(self):
        """Texts as large as pieces, so that each page has one line or two."""
        big, message = "x" * 49000, {"role": "user", "created_at": takeout.iso(5)}
        self.take_in({
            "insights": [{"passage_reference": f"{i}", "passage_text": f"{i}" + big, "historical_context": "h", "theological_significance": "t",
                          "practical_application": "p", "created_at": takeout.iso(i // 2),
                          "chat_messages": [{**message, "content": f"{k}" + big} for k in range(i)]} for i in range(6)],
            "standalone_chats": [{"passage_text": big, "created_at": takeout.iso(0), "updated_at": takeout.iso(0),
                                  "messages": [{**message, "content": f"{k}" + big} for k in range(i)]} for i in range(5)]})
        self.assertEqual(takeout.as_json(takeout.gather(self.pieces(credit=1))), self.export())

    def test_what_is_above_the_limits_of_an_import(self):
        mine = self.number()
        self.lectern.sql(f"""
            with texts as (insert into saved_insights (passage_reference, passage_text, historical_context, theological_significance,
                                                       practical_application, imported_by)
                           select n::text, repeat('x', 60000), repeat('h', 10001), '', '', {mine} from generate_series(1, 3) as n
                           union all select n::text, '', '', '', '', {mine} from generate_series(4, 1200) as n returning id)
            insert into user_insights (user_id, insight_id) select {mine}, id from texts;
            with words as (insert into saved_definitions (word, passage_reference, verse_text, definition, biblical_usage,
                                                          original_language, imported_by)
                           select n::text, '', '', '', '', '', {mine} from generate_series(1, 1200) as n returning id)
            insert into user_definitions (user_id, definition_id) select {mine}, id from words;
            insert into standalone_chats (user_id) select {mine} from generate_series(1, 700);
            insert into standalone_chat_messages (chat_id, role, content)
            select id, 'system', repeat('m', 50001) from standalone_chats where user_id = {mine} limit 1""")
        export = self.data()
        self.assertEqual([len(export[name]) for name in export], [1200, 700, 1200])
        self.assertEqual({len(i["passage_text"]) for i in export["insights"]}, {0, 60000})
        self.assertEqual([m["role"] for c in export["standalone_chats"] for m in c["messages"]], ["system"])

    def test_a_long_conversation_stays_out_of_memory(self):
        """500 messages of 50,000 characters: what it costs actor and gateway, and who takes no pieces is told."""
        mine = self.number()
        self.lectern.sql(f"""
            with chat as (insert into standalone_chats (user_id) values ({mine}) returning id)
            insert into standalone_chat_messages (chat_id, role, content, created_at)
            select id, 'user', n || repeat('m', 49990), to_timestamp(n) from chat, generate_series(1, 500) as n""")
        self.export(self.lectern.new_user())  # what is needed once
        memory = {name: Memory(self.lectern.find(name).pid) for name in ("user-1", "gateway-1")}
        export = self.data()
        self.assertEqual([m["content"].rstrip("m") for m in export["standalone_chats"][0]["messages"]],
                         [str(n) for n in range(1, 501)])
        for name, before in memory.items():
            grown = before.grown() / MIB
            print(f"{name}: {grown:.1f} MiB for 500 texts of 50,000 characters", file=sys.stderr)
            if not fleet.SANITIZED:
                self.assertLess(grown, 4)
        with self.assertRaises(wire.Fault) as caught:
            self.client.call("user.export_user_data", user=self.user)
        self.assertEqual(caught.exception.name, "too_large")


class Imports(Takeout):
    def test_what_an_export_gave(self):
        """Whatever is in it: the texts, their order, times to the microsecond, null against empty."""
        for seed in range(SEEDS):
            with self.subTest(seed=seed):
                self.user = self.lectern.new_user()
                document = takeout.document(seed)
                added = self.take_in(document)
                self.assertEqual(added, {
                    "insights": len(document["insights"]), "standalone_chats": len(document["standalone_chats"]),
                    "definitions": len(document["definitions"]),
                    "chat_messages": sum(len(i["chat_messages"]) for i in document["insights"])})
                self.assertEqual(self.data(), document)
                self.assertEqual(sum(self.take_in(document).values()), 0)
                self.assertEqual(self.data(), document)
                self.clear()
                self.assertEqual(self.data(), takeout.nothing())
                self.take_in(document)
                self.assertEqual(self.data(), document)

    def test_over_the_wire(self):
        document = takeout.document(100)
        self.client.ask("user.import_user_data", {"data": document}, user=self.user)
        body = self.client.ask("user.export_user_data", user=self.user)
        self.assertEqual(takeout.as_json(body), {**document, "user": self.export()["user"]})
        other = self.lectern.new_user()  # times are numbers there
        self.client.ask("user.import_user_data", {"data": body}, user=other)
        self.assertEqual(self.data(other), document)

    def test_of_an_older_export(self):
        document = takeout.document(101)
        del document["definitions"]
        for item in document["insights"]:
            if not item["chat_messages"]:
                del item["chat_messages"]
        self.take_in(document)
        self.assertEqual(self.data(), {**takeout.document(101), "definitions": []})
        self.assertEqual(sum(self.take_in({}).values()), 0)

    def test_unknown_keys_say_nothing(self):
        document = takeout.document(102)
        odd = copy.deepcopy(document)
        strange = {"": 1, "x" * 70000: [[]], "user_id": 1, "id": {"a": None}, "\0": "\0", "%s%n": "\ud800"}
        odd.update({**strange, "user": "whoever", "conversation_summaries": 5})
        for section in ("insights", "standalone_chats", "definitions"):
            for item in odd[section]:
                item.update(strange)
                for message in item.get("chat_messages", []) + item.get("messages", []):
                    message.update({"": 1, "embedding": [1, 2]})
        self.take_in(odd)
        self.assertEqual(self.data(), document)

    def test_the_last_of_equal_keys_counts(self):
        self.take_in(b'{"data":{"definitions":5,"insights":[],"definitions":[{"word":1,"passage_reference":"r","verse_text":"v",'
                     b'"definition":"d","biblical_usage":"b","original_language":"o","created_at":"2026-01-01T00:00:00Z","word":"w"}]}}')
        self.assertEqual([d["word"] for d in self.data()["definitions"]], ["w"])

    def test_times(self):
        for written, meant in (("2026-01-31T09:05:00.123456+00:00", "2026-01-31T09:05:00.123456+00:00"),
                               ("2026-01-31T09:05:00Z", "2026-01-31T09:05:00.000000+00:00"),
                               ("2026-01-31 09:05:00.5+05:30", "2026-01-31T03:35:00.500000+00:00"),
                               ("1969-12-31T23:59:59.999999-0100", "1970-01-01T00:59:59.999999+00:00")):
            self.clear()
            self.take_in({"standalone_chats": [{"created_at": written, "updated_at": written, "messages": []}]})
            chat = self.data()["standalone_chats"][0]
            self.assertEqual((chat["created_at"], chat["updated_at"]), (meant, meant))

    def test_what_is_there_is_not_doubled_and_what_is_missing_comes_back(self):
        document = takeout.document(103)
        equal = {"role": "user", "content": "again", "created_at": takeout.iso(5)}
        chat = {"title": None, "passage_reference": None, "passage_text": "", "created_at": takeout.iso(7), "updated_at": takeout.iso(8),
                "messages": [equal, equal, equal]}
        document["standalone_chats"] = [chat, copy.deepcopy(chat), {**chat, "passage_text": None}]
        self.take_in(document)
        mine = self.number()
        self.lectern.sql(f"""
            delete from standalone_chat_messages where id in
                (select min(m.id) from standalone_chat_messages as m join standalone_chats as c on c.id = chat_id where user_id = {mine});
            delete from chat_messages where user_id = {mine} and id % 2 = 0;
            delete from user_definitions where user_id = {mine} and definition_id % 2 = 0""")
        added = self.take_in(document)
        self.assertEqual((added["insights"], added["standalone_chats"]), (0, 0))
        again = self.data()
        for section in ("insights", "standalone_chats", "definitions"):  # those of one time in any order
            for item in again[section] + document[section]:
                for key in ("chat_messages", "messages"):
                    item.get(key, []).sort(key=json.dumps)
            self.assertEqual(sorted(map(json.dumps, again[section])), sorted(map(json.dumps, document[section])))

    def test_at_once(self):
        """Imports of one document for one user, at the same time."""
        document = takeout.document(104)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            added = list(pool.map(lambda _: self.take_in(document), range(4)))
        self.assertEqual(self.data(), document)
        self.assertEqual(sum(a["standalone_chats"] for a in added), len(document["standalone_chats"]))

    def test_texts_that_exist_are_linked(self):
        self.lectern.sql("""
            insert into saved_insights (passage_reference, passage_text, historical_context, theological_significance, practical_application)
            values ('L', 'same', 'h', 't', 'p'), ('L', 'other', 'another', 't', 'p');
            insert into saved_definitions (word, passage_reference, verse_text, definition, biblical_usage, original_language)
            values ('same', 'L', 'v', 'd', 'b', 'o'), ('other', 'L', 'v', 'another', 'b', 'o')""")
        time_ = takeout.iso(1)
        document = {"standalone_chats": [], "insights": [
            {"passage_reference": "L", "passage_text": text, "historical_context": "h", "theological_significance": "t",
             "practical_application": "p", "created_at": time_, "chat_messages": []} for text in ("same", "other")],
            "definitions": [{"word": word, "passage_reference": "L", "verse_text": "v", "definition": "d", "biblical_usage": "b",
                             "original_language": "o", "created_at": time_} for word in ("same", "other")]}
        users = [self.user, self.lectern.new_user()]
        for user in users:
            self.assertEqual(sum(self.take_in(document, user).values()), 4)
            self.assertEqual(self.data(user), document)
        numbers = sorted(self.number(user) for user in users)
        for rows in (self.lectern.sql("select passage_text, imported_by from saved_insights where passage_reference = 'L'"),
                     self.lectern.sql("select word, imported_by from saved_definitions where passage_reference = 'L'")):
            self.assertEqual(sorted(rows.splitlines()), sorted(["same|", "other|", *(f"other|{n}" for n in numbers)]))

    def test_two_opinions_of_one_passage(self):
        """A user can have one text of his own for a passage: the first one stays, with both conversations."""
        insight = {"passage_reference": "John 1", "passage_text": "", "historical_context": "h", "theological_significance": "t",
                   "practical_application": "p", "created_at": takeout.iso(1)}
        said = [{"role": "user", "content": word, "created_at": takeout.iso(i)} for i, word in enumerate("ab")]
        self.assertEqual(self.take_in({"insights": [{**insight, "chat_messages": said[:1]},
                                                    {**insight, "historical_context": "another", "chat_messages": said[1:]}]})["insights"], 1)
        self.assertEqual(self.data()["insights"], [{**insight, "chat_messages": said}])

    def test_nothing_of_others_is_changed(self):
        document, other = takeout.document(105), self.lectern.new_user()
        self.take_in(document, other)
        before = self.export(other)
        self.take_in(document)
        self.clear()
        self.take_in(takeout.document(106))
        self.assertEqual(self.export(other), before)

    def test_the_largest_document(self):
        document = takeout.largest()
        body = json.dumps({"data": document}, ensure_ascii=False, separators=(",", ":")).encode()
        self.assertLess(15.5 * MIB, len(body))
        self.assertLess(len(body), 16 * MIB)
        memory, meanwhile = Memory(self.lectern.find("user-1").pid), Meanwhile(self.lectern)
        long_turns = self.long_turns()
        begins = time.monotonic()
        self.assertEqual(self.take_in(body), {"insights": 1000, "chat_messages": 4000, "standalone_chats": 500, "definitions": 1000})
        took = time.monotonic() - begins
        waits = meanwhile.end()
        times = memory.grown() / len(body)
        print(f"{len(body) / MIB:.1f} MiB in {took:.2f} s; sessions meanwhile: {len(waits)}, p99 {waits[len(waits) * 99 // 100] * 1e3:.1f} ms;"
              f" turns longer than 50 ms: {self.long_turns() - long_turns:.0f}; memory: {times:.1f} times the document", file=sys.stderr)
        self.assertGreater(len(waits), 10)
        if not fleet.SANITIZED:
            self.assertLess(times, 8)
        self.assertEqual(self.data(), document)
        self.assertEqual(sum(self.take_in(body).values()), 0)

    def long_turns(self):
        return self.lectern.metric("user-1", "lectern_loop_long_turns_total")

    def test_of_many_small_values(self):
        """What is not looked at costs no memory for long."""
        answer = self.send(b'{"data":{"x":[' + b"1000000000," * 700000 + b"[]]}}")
        self.assertEqual(answer.status, 200, answer.body)
        answer = self.send(b'{"data":{"insights":' + b"[" * 15 + b"]" * 15 + b"}}")
        self.assertEqual(answer.json, {"detail": "insights[0]: Input should be a valid dictionary"})


class Memory:
    """What a process's memory grows by at the most."""

    def __init__(self, pid):
        self.pid = pid
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # the most begins anew
        self.before = self.read("VmRSS")

    def read(self, name):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name + ":"))

    def grown(self):
        return self.read("VmHWM") - self.before


class Meanwhile:
    """Another user's sessions, one after the other, and how long each took."""

    def __init__(self, lectern):
        self.waits, self.ending = [], threading.Event()
        self.user = lectern.new_user()
        self.endpoint = lectern.socket_of("user")
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()

    def ask(self):
        with wire.Client(self.endpoint) as client:
            while not self.ending.is_set():
                begins = time.monotonic()
                client.ask("user.session", user=self.user)
                self.waits.append(time.monotonic() - begins)

    def end(self):
        self.ending.set()
        self.thread.join()
        return sorted(self.waits)


class Faults(Takeout):
    """What an import refuses, and that nothing of it is stored then."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sections = takeout.sections()

    def good(self):
        """A document with four items a section, and three messages in each that has some."""
        def fill(fields, depth):
            values = {"str": "user", "iso": takeout.iso(1), "boolean": True}
            return {f["name"]: [fill(f["of"], 1) for _ in range(3)] if f["type"] == "list" else values[f["type"]] for f in fields}
        return {name: [fill(fields, 0) for _ in range(4)] for name, fields in self.sections.items()}

    def places(self):
        """Each member's place in such a document, as the steps to it, and its row."""
        for section, fields in self.sections.items():
            for field in fields:
                yield (section, 3, field["name"]), field
                for inner in field.get("of", []):
                    yield (section, 3, field["name"], 2, inner["name"]), inner

    @staticmethod
    def name(steps):
        return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)[1:]

    def put(self, steps, value):
        document = self.good()
        at = document
        for step in steps[:-1]:
            at = at[step]
        at[steps[-1]] = value
        return document

    def check(self, steps, value, place=None):
        with self.subTest(place=self.name(steps), value=repr(value)[:60]):
            why = self.refused(self.put(steps, value), place or self.name(steps))
            self.assertLess(len(why), 200)

    def tearDown(self):
        self.assertEqual(self.data(), takeout.nothing())

    WRONG = {
        "str": [5, 1.5, True, [], {}, ["x"]],
        "iso": ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00.1234567Z",
                "2999-01-01T00:00:00Z", 1.5, True, [], {}],
        "boolean": ["yes", "true", 1, 0, [], {}],
        "list": ["", 5, True, {}, None],
    }

    def test_wrong_types_at_every_place(self):
        for section in self.sections:
            for value in self.WRONG["list"]:
                self.check((section,), value)
        for steps, field in self.places():
            for value in self.WRONG[field["type"]]:
                self.check(steps, value)
            if field["absent"] == "never" and field["type"] != "list":
                self.check(steps, None)
        for steps in [(s, i) for s in self.sections for i in (0, 3)] + [
                (s, 1, f["name"], 2) for s, fields in self.sections.items() for f in fields if f["type"] == "list"]:
            for value in (None, 5, "x", [], True):
                self.check(steps, value)

    def test_what_is_missing(self):
        for steps, field in self.places():
            document = self.good()
            at = document
            for step in steps[:-1]:
                at = at[step]
            del at[steps[-1]]
            if field["absent"] == "never" and field["type"] != "list":
                self.assertEqual(self.refused(document), f"{self.name(steps)}: Field required")

    def test_texts_one_character_past_the_limit(self):
        for steps, field in self.places():
            if field["type"] != "str" or field["name"] == "role":
                continue
            most = field.get("most_chars", 50000)
            self.assertEqual(self.refused(self.put(steps, "𐤀" * (most + 1))),
                             f"{self.name(steps)}: String should have at most {most} characters")

    def test_texts_that_are_no_text(self):
        for steps, field in self.places():
            if field["type"] == "str":
                self.check(steps, "a\0b")
                self.check(steps, "a\ud800b")

    def test_roles(self):
        for steps, field in self.places():
            if field["name"] == "role":
                for role in ("system", "", "User", "assistant "):
                    self.check(steps, role)

    def test_the_first_fault_is_told(self):
        document = self.put(("definitions", 0, "word"), 5)
        document["insights"][2]["created_at"] = document["insights"][1]["chat_messages"][2]["role"] = None
        self.refused(document, "insights[1].chat_messages[2].role")

    def test_too_many(self):
        good = self.good()
        for section, most in (("insights", 1000), ("standalone_chats", 500), ("definitions", 1000)):
            self.assertEqual(self.refused({section: good[section][:1] * (most + 1)}),
                             f"{section}: List should have at most {most} items")

    def test_over_the_wire(self):
        for steps, value in ((("insights", 0), 5), (("insights", 3, "created_at"), 2**62), (("definitions", 1, "word"), b"bytes"),
                             (("standalone_chats", 3, "messages", 2, "created_at"), "now")):
            with self.assertRaises(wire.Fault) as caught:
                self.client.ask("user.import_user_data", {"data": self.put(steps, value)}, user=self.user)
            self.assertEqual(caught.exception.name, "import_refused")
            self.assertEqual(caught.exception.detail.split(": ")[0], self.name(steps))

    def test_what_is_no_document(self):
        for body, fault in (({}, ("missing", ["body", "data"])), ({"data": None}, ("dict_type", ["body", "data"])),
                            ({"data": []}, ("dict_type", ["body", "data"])), ({"data": "{}"}, ("dict_type", ["body", "data"])),
                            ([], ("model_attributes_type", ["body"])), (None, ("missing", ["body"]))):
            answer = self.send(b"" if body is None else json.dumps(body).encode())
            self.assertEqual(answer.status, 422)
            self.assertEqual([(f["type"], f["loc"]) for f in answer.json["detail"]], [fault])
            if isinstance(body, dict):
                with self.assertRaises(wire.Fault) as caught:
                    self.client.ask("user.import_user_data", body, user=self.user)
                self.assertEqual([(f["type"], f["loc"]) for f in caught.exception.detail], [fault])
        self.assertEqual(self.send(b'{"data":{').json["detail"][0]["type"], "json_invalid")

    def test_who_it_is_comes_first(self):
        gone = str(uuid.uuid4())
        self.lectern.sql(f"insert into merged_users (anonymous_id, user_id) values ('{gone}', {self.number()})")
        self.assertEqual(self.send({"insights": 5}, user=gone).cookie, self.user)
        answer = self.send({"insights": 5}, user=str(uuid.uuid4()))
        self.assertEqual(answer.status, 400)
        self.assertEqual(self.number(answer.cookie).isdigit(), True)
        with self.assertRaises(wire.Fault) as caught:
            self.client.ask("user.import_user_data", {"data": {"insights": 5}}, user=str(uuid.uuid4()))
        self.assertEqual(caught.exception.name, "unknown_user")

    def test_more_than_a_body_may_have(self):
        head = "POST /api/user/import HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.assertIn(b" 413 ", self.lectern.raw((head % (16 * MIB + 1)).encode()))

    def test_texts_at_their_limit(self):
        document = self.good()
        for steps, field in self.places():
            at = document
            for step in steps[:-1]:
                at = at[step]
            if field["type"] == "str" and field["name"] != "role":
                at[steps[-1]] = "𐤀" * field.get("most_chars", 50000)
        for section, key in (("insights", "passage_reference"), ("definitions", "word")):
            for i, item in enumerate(document[section][:3]):
                item[key] = f"{i}"
        self.take_in(document)
        for item in document["insights"]:
            item["chat_messages"] = sorted(item["chat_messages"], key=lambda m: m["created_at"])
        self.assertEqual(self.data(), document)
        self.clear()


if __name__ == "__main__":
    fleet.main()

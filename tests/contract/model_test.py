"""The messages that ask the language model, and each of their declared faults, over each of their ways in.

A case is a row: what is sent, by whom, and what must come. Who asks says what stands in the way: `used up` has no call of the
day left, `hasty` no call of the minute. The provider is the tests' own; two more Lecterns have none, or one that fails.
"""

import contextlib
import json
import uuid

import _path  # noqa: F401
import fleet
import model
import provider
import wire

OK, NOBODY = "ok", str(uuid.uuid4())
PASSAGE = {"passage_text": "For God so loved the world", "passage_reference": "John 3:16"}
WORD = {"word": "world", "verse_text": "For God so loved the world", "passage_reference": "John 3:16"}
ABOUT = {"message": "Why?", **PASSAGE,
         "insight_context": {"historical_context": "h", "theological_significance": "t", "practical_application": "p"}}
GOOD = {
    "insight.generate_insight": PASSAGE,
    "definition.generate_definition": WORD,
    "chat.send_chat_message": {**ABOUT, "insight_id": "insight"},
    "chat.create_standalone_chat": {"message": "Who was Paul?"},
    "chat.send_standalone_chat_message": {"message": "And then?", "chat_id": "chat"},
}
CASES = [(message, outcome, user, inputs) for message, inputs in GOOD.items() for outcome, user in (
    (OK, "known"), ("unknown_user", NOBODY), ("daily_limit_reached", "used up"), ("rate_limited", "hasty"))]
CASES += [(message, "invalid", "known", {**inputs, name: 5}) for message, inputs in GOOD.items()
          for name in ("message", "passage_text", "word") if name in inputs]
CASES += [
    ("insight.generate_insight", OK, "known", {**PASSAGE, "save": True}),
    ("definition.generate_definition", OK, "known", {**WORD, "save": True}),
    ("chat.create_standalone_chat", OK, "known", {"message": "Who?", **PASSAGE}),
    ("chat.send_chat_message", "insight_not_found", "known", {**ABOUT, "insight_id": 2**40}),
    ("chat.send_standalone_chat_message", "chat_not_found", "known", {"message": "And?", "chat_id": 2**40}),
]
FAILED = {"insight.generate_insight": "insights_failed", "definition.generate_definition": "definition_failed"}


class Cases(model.ModelTest):
    env = {**model.NO_LIMITS, "AI_ENDPOINT_LIMIT": "10", "CHAT_ENDPOINT_LIMIT": "20"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contract = {m["name"]: m for m in json.loads(fleet.command("ls", "--json").stdout)}
        cls.names = {name: cls.lectern.new_user() for name in ("known", "used up", "hasty")}
        sql = cls.lectern.sql
        ids = {name: f"(select id from users where anonymous_id = '{user}')" for name, user in cls.names.items()}
        sql(f"update users set pro_subscription = true where id = {ids['known']}")
        sql("insert into usage_tracking (user_id, date, llm_calls)"
            f" values ({ids['used up']}, date_trunc('day', now(), 'UTC'), 10)")
        for message in GOOD:  # in every minute in which the cases may run
            sql(f"insert into rate_windows select 'u' || {ids['hasty']}, '{message}', now() + interval '1 hour', 1000")
        cls.names["insight"] = int(sql("insert into saved_insights (passage_reference, passage_text, historical_context,"
                                       " theological_significance, practical_application)"
                                       " values ('John 1:1', 'x', 'h', 't', 'p') returning id").split()[0])
        cls.chats = {cls.names[name]: int(sql(f"insert into standalone_chats (user_id) values ({ids[name]}) returning id").split()[0])
                     for name in ids}
        cls.chats[NOBODY] = 1

    def by_wire(self, lectern, name, user, inputs):
        """The last reply's status and body."""
        credit = {"credit": 1 << 30} if name.startswith("chat.") else {}
        with wire.Client(lectern.socket_of(name.split(".")[0])) as client:
            client.send(name, inputs, user=user, **credit)
            while True:
                header, body = client.receive()
                if header["status"] != "more":
                    return header["status"], body

    def by_http(self, lectern, name, user, inputs):
        message = self.contract[name]
        return lectern.request(message["verb"], message["path"], inputs, user=user)

    def check(self, lectern, name, outcome, user, inputs):
        with self.subTest(message=name, outcome=outcome):
            status, body = self.by_wire(lectern, name, user, inputs)
            self.assertEqual(status, outcome, body)
            self.agrees(name, outcome, body, self.by_http(lectern, name, user, inputs))

    def agrees(self, name, outcome, body, answer):
        message = self.contract[name]
        in_stream = name.startswith("chat.") and answer.status == 200
        if outcome in (OK, "unknown_user"):  # HTTP makes a user instead
            self.assertEqual(answer.status, 200, answer.body)
            if in_stream and outcome == OK:
                self.assertEqual(model.events(answer)[-1][0], "done")
        elif in_stream:
            self.assertEqual(model.events(answer), [("error", {"error": body["detail"]})])
        elif outcome == "invalid":
            self.assertEqual(answer.status, 422)
        else:
            faults = {f["name"]: f["status"] for f in message["faults"]}
            self.assertEqual(answer.status, faults[outcome], answer.body)

    def test_each_case(self):
        for name, outcome, who, inputs in CASES:
            user = self.names.get(who, who)
            meant = {"insight": self.names["insight"], "chat": self.chats[user]}
            inputs = {k: meant.get(v, v) if isinstance(v, str) else v for k, v in inputs.items()}
            if (name, outcome) == ("chat.send_standalone_chat_message", "unknown_user"):
                status, body = self.by_wire(self.lectern, name, user, inputs)
                self.assertEqual(status, outcome, body)
            else:
                self.check(self.lectern, name, outcome, user, inputs)

    def test_a_model_that_fails(self):
        for name, outcome in FAILED.items():
            self.provider.usual = provider.Answer(status=400)
            self.check(self.lectern, name, outcome, self.names["known"], GOOD[name])
        self.provider.usual = provider.Answer()

    def test_no_model(self):
        with fleet.Lectern(env={**self.env, "LECTERN_LLM": "none"}) as lectern:
            user, inputs = self.own(lectern)
            for name in GOOD:
                self.check(lectern, name, "model_absent", user, inputs(name))

    def test_a_model_that_is_left_alone(self):
        """After failures in a row nobody is asked for a while."""
        with provider.Provider() as broken, fleet.Lectern(env={**broken.environment(), **model.NO_LIMITS}) as lectern:
            broken.usual = provider.Answer(status=500, headers={"Retry-After": "0"})
            user, inputs = self.own(lectern)
            for name in GOOD:
                for _ in range(5):
                    with contextlib.suppress(AssertionError):
                        self.by_wire(lectern, name, user, inputs(name))
                self.check(lectern, name, "model_busy", user, inputs(name))

    def own(self, lectern):
        """A pro user of another Lectern, and inputs with his things."""
        user = lectern.new_user()
        lectern.sql(f"update users set pro_subscription = true where anonymous_id = '{user}'")
        insight = int(lectern.sql("insert into saved_insights (passage_reference, passage_text, historical_context,"
                                  " theological_significance, practical_application)"
                                  " values ('John 1:1', 'x', 'h', 't', 'p') returning id").split()[0])
        chat = int(lectern.sql("insert into standalone_chats (user_id) select id from users"
                               f" where anonymous_id = '{user}' returning id").split()[0])
        meant = {"insight": insight, "chat": chat}
        return user, lambda name: {k: meant.get(v, v) if isinstance(v, str) else v for k, v in GOOD[name].items()}

    def test_nothing_is_without_a_case(self):
        covered = {(name, outcome) for name, outcome, _, _ in CASES} | set(FAILED.items())
        covered |= {(name, outcome) for name in GOOD for outcome in ("model_absent", "model_busy")}
        asking = {name for name, m in self.contract.items() if any(f["name"] == "model_absent" for f in m["faults"])}
        self.assertEqual(asking, set(GOOD))
        wanted = {(name, w) for name in GOOD for w in
                  (OK, "invalid", "unknown_user", *(f["name"] for f in self.contract[name]["faults"]))}
        self.assertEqual(wanted - covered, set())


if __name__ == "__main__":
    fleet.main()

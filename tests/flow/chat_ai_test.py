"""Conversations with the language model: the order of events, what is stored and when, what the model is told, and what
becomes of a stream whose user, chat or insight goes meanwhile; over HTTP, by message, by the command."""

import json
import subprocess
import threading
import time
import uuid

import _path  # noqa: F401
import fleet
import model
import sse
import wire
from provider import Answer

DONE = ("done", {"status": "complete", "stop_reason": "end_turn"})
WORDS = ["For ", "God ", "so ", "loved"]
TOKENS = [("token", {"token": word}) for word in WORDS]
FAILED = ("error", {"error": "The language model failed"})
PARTS = {"historical_context": "Judea", "theological_significance": "Love", "practical_application": "Give"}
PAST_32_BITS = 2**31 + 7


class Chats(model.ModelTest):
    def setUp(self):
        super().setUp()
        self.user = self.lectern.new_user()

    # ---- what is asked ----

    def stream(self, path, body, user=None, **more):
        stream = sse.Stream(self.lectern, path, body, user or self.user, **more)
        self.addCleanup(stream.close)
        return stream

    def begin(self, message="Who was Paul?", user=None, **more):
        return self.stream("/standalone-chat", {"message": message}, user, **more)

    def go_on(self, chat, message="And then?", user=None, **more):
        return self.stream("/standalone-chat/message", {"chat_id": chat, "message": message}, user, **more)

    def about(self, insight, message="Why?", user=None, **more):
        body = {"insight_id": insight, "message": message, "passage_text": "For God so loved", "passage_reference": "John 3:16",
                "insight_context": PARTS}
        return self.stream("/chat/message", {**body, **more}, user)

    def begun(self, message="Who was Paul?", user=None):
        """The id of a new chat."""
        events = dict(self.begin(message, user).rest())
        return events["chat_id"]["chat_id"]

    def held(self, after=2, **more):
        """Plans an answer that waits after so many tokens; setting what is returned lets it go on."""
        answer = Answer(hold_after=after, **more)
        self.addCleanup(answer.go.set)
        self.provider.plan(answer)
        return answer.go

    # ---- what is there ----

    def insight_id(self, imported_by=None):
        user = f"(select id from users where anonymous_id = '{imported_by}')" if imported_by else "null"
        return int(self.lectern.sql(
            "insert into saved_insights (passage_reference, passage_text, historical_context, theological_significance,"
            f" practical_application, imported_by) values ('John 3:16', '{uuid.uuid4()}', 'h', 't', 'p', {user})"
            " returning id").split("\n")[0])

    def get(self, path, user=None):
        answer = self.lectern.get("/api" + path, user=user or self.user)
        self.assertEqual(answer.status, 200, answer.body[:300])
        return answer.json

    def chats(self, user=None):
        return self.get("/standalone-chat", user)

    def said(self, chat, user=None):
        return [(m["role"], m["content"]) for m in self.get(f"/standalone-chat/{chat}/messages", user)]

    def said_about(self, insight, user=None):
        return [(m["role"], m["content"]) for m in self.get(f"/chat/messages/{insight}", user)]

    def reserved(self, user=None):
        return self.lectern.sql("select coalesce(sum(llm_calls), 0), coalesce(sum(cardinality(reserved)), 0) from usage_tracking"
                                f" where user_id = (select id from users where anonymous_id = '{user or self.user}')")

    def merge(self, one, other):
        with wire.Client(self.lectern.socket_of("device_link")) as client:
            return client.ask("device_link.merge_users", {"anonymous_id": one, "other_anonymous_id": other})["anonymous_id"]


class Streams(Chats):
    """One conversation."""

    def test_a_new_chat(self):
        stream = self.begin("Who was Paul?")
        self.assertEqual(stream.head(), 200)
        self.assertEqual(stream.headers["content-type"], "text/event-stream; charset=utf-8")
        self.assertEqual(stream.headers["cache-control"], "no-cache")
        self.assertEqual(stream.headers["x-accel-buffering"], "no")
        self.assertNotIn("set-cookie", stream.headers)
        events = stream.rest()
        self.assertEqual(sse.text_of(events), "For God so loved")
        self.assertEqual([name for name, _ in events if name != "token"], ["chat_id", "done"])
        self.assertEqual(events[-1], DONE)
        chat, = self.chats()
        self.assertEqual(events[-2], ("chat_id", {"chat_id": chat["id"]}))
        self.assertEqual((chat["title"], chat["passage_reference"], chat["passage_text"]), ("Who was Paul?", None, None))
        self.assertEqual(self.said(chat["id"]), [("user", "Who was Paul?"), ("assistant", "For God so loved")])
        self.assertEqual(self.reserved(), "1|0")

    def test_tokens_come_when_they_come(self):
        go = self.held(after=2)
        stream = self.begin()
        first = stream.next()
        while sse.text_of([first]) != "For God ":
            first = ("token", {"token": sse.text_of([first, stream.next()])})
        self.assertEqual((self.chats(), self.reserved()), ([], "0|1"))
        go.set()
        self.assertEqual(sse.text_of(stream.rest()), "so loved")

    def test_what_was_said_is_there_when_done_arrives(self):
        insight = self.insight_id()
        for stream, read in ((self.begin(), lambda: self.said(self.chats()[0]["id"])),
                             (self.about(insight), lambda: self.said_about(insight))):
            while stream.next()[0] != "done":
                pass
            self.assertEqual([role for role, _ in read()], ["user", "assistant"])

    def test_the_head_comes_before_the_model_answers(self):
        go = self.held(after=0)
        stream = self.begin()
        self.assertEqual(stream.head(), 200)
        self.asked(1)
        self.assertEqual(self.provider.questions[0].sent, 0)
        go.set()
        self.assertEqual(stream.rest()[-1], DONE)

    def test_a_passage_that_it_is_about(self):
        self.stream("/standalone-chat", {"message": "Why?", "passage_text": "In the beginning", "passage_reference": "Genesis 1:1"}).rest()
        chat, = self.chats()
        self.assertEqual((chat["passage_reference"], chat["passage_text"]), ("Genesis 1:1", "In the beginning"))
        self.go_on(chat["id"]).rest()
        for question in self.provider.questions:
            self.assertIn("<reference>\nGenesis 1:1\n</reference>", question.body["system"])
            self.assertIn("<passage>\nIn the beginning\n</passage>", question.body["system"])

    def test_titles(self):
        for message, title in (("x" * 50, "x" * 50), ("x" * 51, "x" * 50 + "..."), ("ä€𝄞" * 20, ("ä€𝄞" * 17)[:50] + "..."),
                               ("ä" * 50, "ä" * 50), ("a", "a"), ("%s %n" * 3, "%s %n" * 3)):
            with self.subTest(message=message):
                self.begun(message)
                self.assertEqual(self.chats()[0]["title"], title)

    def test_sending_makes_it_the_last_used(self):
        first, second = self.begun("one"), self.begun("two")
        self.assertEqual([chat["id"] for chat in self.chats()], [second, first])
        before = self.chats()[1]
        self.go_on(first).rest()
        after = self.chats()[0]
        self.assertEqual(after["id"], first)
        self.assertEqual(after["created_at"], before["created_at"])
        self.assertGreaterEqual(after["updated_at"], self.chats()[1]["updated_at"])

    def test_why_it_ended(self):
        for stop, reason, truncated in (("max_tokens", "max_tokens", "t"), ("end_turn", "end_turn", "f"),
                                        ("stop_sequence", "stop_sequence", "f")):
            with self.subTest(stop=stop):
                self.provider.plan(Answer(stop=stop))
                events = self.begin().rest()
                self.assertEqual(events[-1], ("done", {"status": "complete", "stop_reason": reason}))
                self.assertEqual(self.lectern.sql(
                    "select role, was_truncated from standalone_chat_messages where chat_id ="
                    f" {dict(events)['chat_id']['chat_id']} order by id"), f"user|f\nassistant|{truncated}")

    def test_any_text(self):
        words = ["\"quoted\"", "\n\n", "event: done\ndata: {}\n\n", "ä€𝄞", "\\u0041", "\t\r\n", "<b>", "\x7f\x01"]
        self.provider.plan(Answer(tokens=words))
        events = self.begin("𝄞\n\"" + "é" * 49000).rest()
        self.assertEqual(sse.text_of(events), "".join(words))
        self.assertEqual(self.said(dict(events)["chat_id"]["chat_id"]), [("user", "𝄞\n\"" + "é" * 49000), ("assistant", "".join(words))])

    def test_bytes_and_pings_of_the_provider(self):
        self.provider.plan(Answer(bytewise=True, pings=True))
        self.assertEqual(sse.text_of(self.begin().rest()), "For God so loved")

    def test_a_long_answer(self):
        words = [f"word{number} " for number in range(20000)]
        self.provider.plan(Answer(tokens=words))
        events = self.begin().rest()
        self.assertEqual(sse.text_of(events), "".join(words))
        self.assertEqual(self.said(dict(events)["chat_id"]["chat_id"])[1][1], "".join(words))

    def test_an_older_client(self):
        stream = self.begin(version="1.0")
        events = stream.rest()
        self.assertNotIn("transfer-encoding", stream.headers)
        self.assertEqual((sse.text_of(events), events[-1]), ("For God so loved", DONE))

    def test_the_connection_goes_on(self):
        stream = self.begin()
        stream.rest()
        stream.socket.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"200", stream.file.readline())

    # ---- conversations about an insight ----

    def test_about_an_insight(self):
        insight, other = self.insight_id(), self.lectern.new_user()
        self.assertEqual(self.about(insight).rest()[-1], DONE)
        self.about(insight, "And?").rest()
        self.about(insight, "Others?", other).rest()
        self.assertEqual(self.said_about(insight), [("user", "Why?"), ("assistant", "For God so loved"), ("user", "And?"),
                                                    ("assistant", "For God so loved")])
        second, third = self.provider.questions[1:3]
        for text in ("For God so loved", "John 3:16", *PARTS.values()):
            self.assertIn(text, second.body["system"])
        self.assertEqual(second.body["messages"], [{"role": "user", "content": "Why?"},
                                                   {"role": "assistant", "content": "For God so loved"},
                                                   {"role": "user", "content": "And?"}])
        self.assertEqual([m["content"] for m in third.body["messages"]], ["Others?"])

    def test_an_insight_that_there_is_not(self):
        theirs = self.insight_id(imported_by=self.lectern.new_user())
        for insight in (0, -1, 999999, PAST_32_BITS, -PAST_32_BITS, theirs):
            with self.subTest(insight=insight):
                stream = self.about(insight)
                self.assertEqual(stream.head(), 404)
                self.assertEqual(stream.refusal(), {"detail": "Insight not found"})
        self.assertEqual((self.provider.questions, self.reserved()), ([], "0|0"))
        own = self.insight_id(imported_by=self.user)
        self.assertEqual(self.about(own).rest()[-1], DONE)

    def test_a_chat_that_there_is_not(self):
        theirs = self.begun(user=self.lectern.new_user())
        self.provider.forget()
        for chat in (0, -1, 999999, PAST_32_BITS, theirs):
            with self.subTest(chat=chat):
                stream = self.go_on(chat)
                self.assertEqual(stream.head(), 200)
                self.assertEqual(stream.rest(), [("error", {"error": "Chat not found"})])
        self.assertEqual((self.provider.questions, self.reserved()), ([], "0|0"))

    # ---- what fails ----

    def fails(self, answer, events, stored=False):
        """Begins a chat, and goes on with one; nothing is stored or counted."""
        chat = self.begun()
        before = self.said(chat), self.chats(), self.reserved()
        for stream in (self.begin, lambda: self.go_on(chat)):
            self.provider.plan(answer)
            found = stream().rest()
            self.assertEqual((sse.text_of(found), found[-1]), (sse.text_of(events), events[-1]))
        fleet.wait_for("what was reserved", lambda: self.reserved() == before[2])
        self.assertEqual((self.said(chat), self.chats()), before[:2])

    def test_a_refused_key(self):
        text = "The language model's provider refused the key or the account"
        self.fails(Answer(status=401), [("error", {"error": text, "error_type": "auth_error"})])

    def test_an_error_at_once(self):
        self.fails(Answer(status=400), [FAILED])

    def test_a_connection_that_is_lost(self):
        self.fails(Answer(cut_after=2, between_s=0.05), [*TOKENS[:2], FAILED])

    def test_an_error_within_the_answer(self):
        self.fails(Answer(error_after=3, between_s=0.05), [*TOKENS[:3], FAILED])

    def test_an_answer_that_is_blank(self):
        self.fails(Answer(tokens=["\n", " "]), [("token", {"token": "\n "}), FAILED])

    def test_a_conversation_that_no_provider_takes_as_it_is(self):
        """As imports have them: somebody speaks twice, says nothing, or got no answer."""
        chat = self.begun("first")
        said = [("user", " "), ("user", "second"), ("user", "third"), ("assistant", ""), ("assistant", "yes"), ("user", "why")]
        for role, content in said:
            self.lectern.sql(f"insert into standalone_chat_messages (chat_id, role, content) values ({chat}, '{role}', '{content}')")
        self.assertEqual(self.go_on(chat, "And then?").rest()[-1], DONE)
        self.assertEqual([m["content"] for m in self.provider.questions[-1].body["messages"] if m["role"] != "system"],
                         ["first", "For God so loved", "second\n\nthird", "yes", "why\n\nAnd then?"])

    def test_the_day_is_over(self):
        self.use_up(self.user)
        insight = self.insight_id()
        for stream in (self.begin(), self.about(insight)):
            self.assertEqual(stream.head(), 429)
            self.assertEqual(stream.refusal(), {"detail": model.DAILY})
        self.assertEqual(self.provider.questions, [])

    def test_wrong_input(self):
        for path, body, where in (("/standalone-chat", {}, [["body", "message"]]),
                                  ("/standalone-chat", {"message": 5}, [["body", "message"]]),
                                  ("/standalone-chat", {"message": "x" * 50001}, [["body", "message"]]),
                                  ("/standalone-chat", {"message": "a\0b", "passage_reference": "x" * 101},
                                   [["body", "message"], ["body", "passage_reference"]]),
                                  ("/standalone-chat/message", {"chat_id": "x"}, [["body", "chat_id"], ["body", "message"]]),
                                  ("/chat/message", {"insight_id": 1, "message": "x", "passage_text": "x", "passage_reference": "x",
                                                     "insight_context": {"historical_context": "x"}},
                                   [["body", "insight_context", "theological_significance"],
                                    ["body", "insight_context", "practical_application"]])):
            with self.subTest(path=path, body=str(body)[:50]):
                answer = self.lectern.request("POST", "/api" + path, body, user=self.user)
                self.assertEqual(answer.status, 422)
                self.assertEqual([fault["loc"] for fault in answer.json["detail"]], where)

    # ---- several at once ----

    def test_many_in_one_chat_at_once(self):
        self.make_pro(self.user)
        chat, insight = self.begun("0"), self.insight_id()
        for send, read in ((lambda text: self.go_on(chat, text), lambda: self.said(chat)[2:]),
                           (lambda text: self.about(insight, text), lambda: self.said_about(insight))):
            answers = [Answer(tokens=["about", f" {number}"], hold_after=1) for number in range(8)]
            self.provider.plan(*answers)
            before = len(self.provider.questions)
            streams = [send(f"question {number}") for number in range(8)]
            self.asked(before + 8)
            for answer in answers:
                answer.go.set()
            for stream in streams:
                self.assertEqual(stream.rest()[-1], DONE)
            said = read()
            self.assertEqual([role for role, _ in said], ["user", "assistant"] * 8)
            asked = {q.body["messages"][-1]["content"]: f"about {n}" for n, q in enumerate(self.provider.questions[before:before + 8])}
            self.assertEqual({said[i][1]: said[i + 1][1] for i in range(0, 16, 2)}, asked)

    # ---- who leaves ----

    def leaves(self, leave, counted, after):
        self.held(after=after)
        stream = self.begin()
        stream.head()
        if after:
            stream.next()
        self.asked(1)
        leave(stream)
        left = time.monotonic()
        question = self.provider.questions[0]
        fleet.wait_for("the provider to be left", lambda: question.left)
        fleet.wait_for("what was reserved", lambda: self.reserved() == f"{counted}|0")
        self.assertEqual(self.chats(), [])
        return question.left - left

    def test_leaving_with_some_of_the_answer_counts(self):
        self.leaves(sse.Stream.close, 1, 2)

    def test_leaving_before_the_first_token_does_not(self):
        self.leaves(sse.Stream.close, 0, 0)

    def test_a_reset(self):
        self.leaves(sse.Stream.reset, 1, 1)

    def test_half_closing_is_leaving(self):
        self.leaves(sse.Stream.half_close, 1, 2)

    def test_who_has_half_closed_before(self):
        self.held(after=0)
        stream = self.begin()
        stream.half_close()
        with self.assertRaises((ConnectionResetError, IndexError)):
            while stream.next():
                pass
        fleet.wait_for("what was reserved", lambda: self.reserved() == "0|0")
        self.assertEqual(self.chats(), [])

    # ---- what goes meanwhile ----

    def test_a_chat_that_is_deleted_meanwhile(self):
        chat = self.begun()
        go = self.held()
        stream = self.go_on(chat)
        stream.next()
        self.assertEqual(self.lectern.request("DELETE", f"/api/standalone-chat/{chat}", user=self.user).status, 200)
        go.set()
        self.assertEqual(stream.rest()[-1], ("error", {"error": "Chat not found"}))
        self.assertEqual(self.lectern.sql(f"select count(*) from standalone_chat_messages where chat_id = {chat}"), "0")
        fleet.wait_for("what was reserved", lambda: self.reserved() == "1|0")

    def test_an_insight_that_goes_meanwhile(self):
        insight = self.insight_id(imported_by=self.user)
        go = self.held()
        stream = self.about(insight)
        stream.next()
        self.assertEqual(self.lectern.request("DELETE", "/api/user/data", user=self.user).status, 200)
        go.set()
        self.assertEqual(stream.rest()[-1], ("error", {"error": "Insight not found"}))

    def test_a_user_who_goes_meanwhile(self):
        go = self.held()
        stream = self.begin()
        stream.next()
        self.lectern.sql(f"delete from users where anonymous_id = '{self.user}'")
        go.set()
        self.assertEqual(stream.rest()[-1], ("error", {"error": "No such user"}))

    def test_a_user_who_is_merged_meanwhile(self):
        for number in range(2):  # either may be the one who is kept
            with self.subTest(kept=number):
                users = [self.lectern.new_user(), self.lectern.new_user()]
                insight, chat = self.insight_id(), self.begun(user=users[number])
                self.provider.forget()
                answers = [Answer(hold_after=2) for _ in range(3)]
                self.provider.plan(*answers)
                streams = [self.begin(user=users[number]), self.go_on(chat, user=users[number]), self.about(insight, user=users[number])]
                for stream in streams:
                    stream.next()
                kept = self.merge(*users)
                for answer in answers:
                    answer.go.set()
                for stream in streams:
                    self.assertEqual(stream.rest()[-1], DONE)
                self.assertEqual(len(self.chats(kept)), 2)
                self.assertEqual(len(self.said(chat, kept)), 4)
                self.assertEqual(len(self.said_about(insight, kept)), 2)
                self.assertEqual(self.reserved(kept), "4|0")
                again = self.lectern.get("/api/standalone-chat", user=users[number])
                self.assertEqual(again.cookie, None if kept == users[number] else kept)

    def test_a_merged_users_stream_sets_the_cookie(self):
        gone = self.lectern.new_user()
        kept = self.merge(self.user, gone)
        gone = self.user if kept == gone else gone
        stream = self.begin(user=gone)
        stream.head()
        self.assertIn(f"verse_user_id={kept};", stream.headers["set-cookie"])
        self.assertEqual(stream.rest()[-1], DONE)
        self.assertEqual(len(self.chats(kept)), 1)

    def test_clearing_while_turns_end(self):
        """Whatever comes first, messages have their chat, and nothing waits for each other in a circle."""
        self.make_pro(self.user)
        for _ in range(5):
            answers = [Answer(hold_after=1) for _ in range(6)]
            self.provider.plan(*answers)
            insight, before = self.insight_id(), len(self.provider.questions)
            streams = [self.begin() for _ in range(3)] + [self.about(insight) for _ in range(3)]
            self.asked(before + 6)
            clearing = threading.Thread(target=self.lectern.request, args=("DELETE", "/api/user/data"), kwargs={"user": self.user})
            clearing.start()
            for answer in answers:
                answer.go.set()
            for stream in streams:
                self.assertEqual(stream.rest()[-1], DONE)
            clearing.join()
        self.assertEqual(self.lectern.sql("select deadlocks from pg_stat_database where datname = current_database()"), "0")

    # ---- new users ----

    def test_a_new_user(self):
        stream = sse.Stream(self.lectern, "/standalone-chat", {"message": "Hi"})
        self.addCleanup(stream.close)
        self.assertEqual(stream.head(), 200)
        user = stream.headers["set-cookie"].split(";")[0].removeprefix("verse_user_id=")
        self.assertEqual(stream.rest()[-1], DONE)
        self.assertEqual(len(self.chats(user)), 1)

    def test_a_new_user_who_is_refused(self):
        answer = self.lectern.request("POST", "/api/chat/message", {
            "insight_id": 999999, "message": "x", "passage_text": "x", "passage_reference": "x", "insight_context": PARTS})
        self.assertEqual(answer.status, 404)
        self.assertIsNotNone(answer.cookie)


class OpenAi(Chats):
    """The other protocol says the same."""

    protocol = "openai"

    def test_a_conversation(self):
        events = self.begin().rest()
        self.assertEqual((sse.text_of(events), events[-1]), ("For God so loved", DONE))
        self.provider.plan(Answer(stop="max_tokens"))
        self.assertEqual(self.go_on(dict(events)["chat_id"]["chat_id"]).rest()[-1],
                         ("done", {"status": "complete", "stop_reason": "max_tokens"}))
        self.assertEqual([m["role"] for m in self.provider.questions[-1].body["messages"]],
                         ["system", "user", "assistant", "user"])

    def test_what_fails(self):
        self.provider.plan(Answer(cut_after=1, between_s=0.05))
        self.assertEqual(self.begin().rest(), [TOKENS[0], FAILED])


class Limits(Chats):
    env = {**model.NO_LIMITS, "CHAT_ENDPOINT_LIMIT": "2"}

    def test_a_minute(self):
        insight, chat = self.insight_id(), self.begun()
        for send in (lambda: self.go_on(chat), lambda: self.about(insight)):
            for left in (1, 0):
                stream = send()
                self.assertEqual(stream.head(), 200)
                self.assertEqual((stream.headers["x-ratelimit-limit"], stream.headers["x-ratelimit-remaining"]), ("2", str(left)))
                self.assertGreater(int(stream.headers["x-ratelimit-reset"]), time.time() - 61)
                self.assertEqual(stream.rest()[-1], DONE)
            stream = send()
            if stream.head() == 200:  # the minute ended
                continue
            self.assertEqual(stream.status, 429)
            self.assertEqual(stream.refusal(), {"error": "Rate limit exceeded: 2 per 1 minute"})
            self.assertGreaterEqual(int(stream.headers["retry-after"]), 1)


class NoModel(Chats):
    def test_without_a_provider(self):
        with fleet.Lectern(env=model.NO_LIMITS) as lectern:
            insight = lectern.sql("insert into saved_insights (passage_reference, passage_text, historical_context,"
                                  " theological_significance, practical_application) values ('a', 'b', 'c', 'd', 'e') returning id")
            for path, body in (("/standalone-chat", {"message": "x"}),
                               ("/chat/message", {"insight_id": int(insight), "message": "x", "passage_text": "x",
                                                  "passage_reference": "x", "insight_context": PARTS})):
                answer = lectern.request("POST", "/api" + path, body)
                self.assertEqual((answer.status, answer.json), (503, {"detail": "No language model is configured"}))


class FewQuestions(Chats):
    env = {**model.NO_LIMITS, "LECTERN_LLM_CALLS": "1"}

    def test_too_many_at_once(self):
        go = self.held()
        stream = self.begin()
        stream.next()
        answer = self.chat(user=self.user)
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "1"))
        self.assertEqual(answer.json, {"detail": "The language model is not available, try again"})
        go.set()
        self.assertEqual(stream.rest()[-1], DONE)
        self.assertEqual(self.reserved(), "1|0")


class Messages(Chats):
    """The same by message."""

    def setUp(self):
        super().setUp()
        self.client = wire.Client(self.lectern.socket_of("chat"))
        self.addCleanup(self.client.close)

    def send(self, method="create_standalone_chat", credit=1 << 20, **inputs):
        return self.client.send(f"chat.{method}", inputs or {"message": "Hi"}, user=self.user, credit=credit)

    def replies(self):
        """All up to the last one."""
        found = [self.client.receive()]
        while found[-1][0]["status"] == "more":
            found.append(self.client.receive())
        return found

    def test_replies(self):
        self.send()
        replies = self.replies()
        self.assertEqual(replies[0][1], {})
        self.assertEqual(replies[-1][0]["status"], "ok")
        self.assertEqual(replies[-1][1], {"status": "complete", "stop_reason": "end_turn"})
        self.assertEqual("".join(body["token"]["token"] for _, body in replies if "token" in body), "For God so loved")
        self.assertEqual(replies[-2][1], {"chat_id": {"chat_id": self.chats()[0]["id"]}})

    def test_faults_are_the_last_reply(self):
        self.send("send_standalone_chat_message", chat_id=999999, message="x")
        self.assertEqual([header["status"] for header, _ in self.replies()], ["more", "chat_not_found"])
        self.provider.plan(Answer(status=401))
        self.send()
        self.assertEqual([header["status"] for header, _ in self.replies()], ["more", "model_refused_key"])

    def test_without_credit(self):
        self.send(credit=None)
        header, _ = self.client.receive()
        self.assertEqual(header["status"], "too_large")
        fleet.wait_for("what was reserved", lambda: self.reserved() == "0|0")
        self.assertEqual(self.provider.questions, [])

    def test_credit_is_kept(self):
        words = ["x" * 100 for _ in range(50)]
        self.provider.plan(Answer(tokens=words, between_s=0.001))
        wanted, got, credit, text = self.send(credit=1000), 0, 1000, ""
        while True:
            header, body = self.client.receive()
            if header["status"] != "more":
                break
            text += body.get("token", {}).get("token", "")
            size = len(wire.msgpack.packb(body))
            self.assertLess(got, credit, "a piece came without credit")
            got += size
            if got >= credit:
                self.assertFalse(self.client.socket.poll(50))
                more = got - credit + 1000  # what came meanwhile may have come as one event
                self.client.send_frames(wire.msgpack.packb({"v": 1, "id": wanted, "op": "credit", "credit": more}), b"\x80")
                credit += more
        self.assertEqual((header["status"], text), ("ok", "".join(words)))

    def test_a_cancel(self):
        self.held()
        wanted = self.send()
        while not self.client.receive()[1]:
            pass
        self.client.send_frames(wire.msgpack.packb({"v": 1, "id": wanted, "op": "cancel"}), b"\x80")
        self.assertEqual(self.replies()[-1][0]["status"], "cancelled")
        fleet.wait_for("the provider to be left", lambda: self.provider.questions[0].left)
        fleet.wait_for("what was reserved", lambda: self.reserved() == "1|0")
        self.assertEqual(self.chats(), [])

    def test_the_deadline(self):
        self.held()
        self.client.send("chat.create_standalone_chat", {"message": "x"}, user=self.user, credit=1 << 20, budget=500)
        self.assertEqual(self.replies()[-1][0]["status"], "timeout")
        fleet.wait_for("what was reserved", lambda: self.reserved() == "0|0")
        self.assertEqual(self.chats(), [])

    def test_a_reader_that_is_gone(self):
        """What is sent to nobody ends the call: the provider is left, and nothing is stored."""
        answer = Answer(tokens=["x "] * 20000, between_s=0.01)
        self.provider.plan(answer)
        with wire.Client(self.lectern.socket_of("chat")) as client:
            client.socket.setsockopt(wire.zmq.LINGER, 0)
            client.send("chat.create_standalone_chat", {"message": "x"}, user=self.user, credit=1 << 20)
            while not client.receive()[1]:
                pass
        fleet.wait_for("the provider to be left", lambda: self.provider.questions[0].left)
        fleet.wait_for("what was reserved", lambda: self.reserved() == "1|0")
        self.assertEqual(self.chats(), [])

    def test_the_command(self):
        done = fleet.command("send", "chat.create_standalone_chat", '{"message":"Hi"}', "--user", self.user,
                             env={"LECTERN_STATE": self.lectern.state})
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual("".join(line.get("token", "") for line in lines), "For God so loved")
        self.assertEqual(lines[-2:], [{"chat_id": self.chats()[0]["id"]}, {"status": "complete", "stop_reason": "end_turn"}])

    def test_the_command_prints_events_as_they_come(self):
        go = self.held(after=1)
        process = subprocess.Popen([fleet.program("lectern"), "send", "chat.create_standalone_chat", '{"message":"Hi"}',
                                    "--user", self.user], env={"LECTERN_STATE": self.lectern.state}, text=True,
                                   stdout=subprocess.PIPE)
        with process:
            self.assertEqual(json.loads(process.stdout.readline()), {"token": "For "})
            go.set()
            process.stdout.read()
        self.assertEqual(process.returncode, 0)

    def test_the_command_says_what_failed(self):
        done = fleet.command("send", "chat.send_standalone_chat_message", '{"message":"Hi","chat_id":999999}', "--user", self.user,
                             env={"LECTERN_STATE": self.lectern.state}, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(json.loads(done.stderr)["fault"], "chat_not_found")

    def test_the_list_shows_events(self):
        text = fleet.command("ls", "chat.create_standalone_chat").stdout
        self.assertIn("event token", text)
        message, = json.loads(fleet.command("ls", "chat.create_standalone_chat", "--json").stdout)
        self.assertEqual([event["name"] for event in message["events"]], ["token", "chat_id"])
        self.assertEqual(message["events"][0]["fields"][0]["name"], "token")


if __name__ == "__main__":
    fleet.main()

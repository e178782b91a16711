"""What the model is told of a long conversation: the newest messages that fit, and a summary of the others, which is made
behind the answer, counts nothing, and is of this user's conversation alone."""

import itertools

import chat_ai_test
import fleet
import model
from provider import Answer

LIMIT = 100
SUMMARY = "You are given the older part"  # how the model is asked for one


class Summaries(chat_ai_test.Chats):
    env = {**model.NO_LIMITS, "CONVERSATION_HISTORY_CHAR_LIMIT": str(LIMIT)}
    numbers = itertools.count(1)

    def setUp(self):
        super().setUp()
        self.make_pro(self.user)

    def quiet(self):
        """Waits until nothing is done behind an answer any more."""
        fleet.wait_for("rest", lambda: self.lectern.metric("chat-1", "lectern_fibers_alive") == 0 and self.provider.open == 0)

    def questions(self, summaries=False):
        return [q for q in self.provider.questions if q.body["system"].startswith(SUMMARY) == summaries]

    def turn(self, send, message, answer="a" * 30):
        """Says something, and waits for what is done behind the answer."""
        self.provider.plan(Answer(tokens=[answer]))
        events = send(message).rest()
        self.assertEqual(events[-1], chat_ai_test.DONE)
        self.quiet()
        return events

    def told(self):
        """What the last question but summaries said."""
        return [m["content"] for m in self.questions()[-1].body["messages"]]

    def conversation(self, kind):
        """A new one: how to say something in it, and where its summary is."""
        if kind == "insight":
            insight = self.insight_id()
            where = f"insight_chat_summaries where insight_id = {insight}"
            return (lambda message: self.about(insight, message)), where
        chat = dict(self.turn(self.begin, "b" * 10, "c" * 10))["chat_id"]["chat_id"]
        where = f"conversation_summaries where conversation_id = {chat} and conversation_type = 'standalone'"
        return (lambda message: self.go_on(chat, message)), where

    def summary(self, where):
        return self.lectern.sql(f"select summary_text, message_count from {where}")

    def test_what_falls_out_is_summarized(self):
        for kind in ("insight", "standalone"):
            with self.subTest(kind=kind):
                self.provider.forget()
                send, where = self.conversation(kind)
                begun = 2 if kind == "standalone" else 0
                self.turn(send, "first " + "x" * 24)
                self.assertEqual((self.summary(where), self.questions(True)), ("", []))
                self.provider.plan(Answer(tokens=["a" * 30]), Answer(tokens=["They spoke of x."]))
                send("second " + "y" * 23).rest()
                self.quiet()
                self.assertEqual(self.summary(where), f"They spoke of x.|{begun + 2}")
                asked = self.questions(True)[-1].body
                self.assertNotIn("stream", {k: v for k, v in asked.items() if v})
                self.assertIn("user: first xxx", asked["messages"][0]["content"])
                self.assertNotIn("second", asked["messages"][0]["content"])
                self.provider.plan(Answer(tokens=["a" * 30]), Answer(tokens=["They spoke of x and y."]))
                send("third").rest()
                self.quiet()
                self.assertEqual(self.told(), ["second " + "y" * 23, "a" * 30, "third"])
                self.assertIn("They spoke of x.", self.questions()[-1].body["system"])

    def test_a_summary_goes_into_the_next(self):
        send, where = self.conversation("insight")
        self.turn(send, "first " + "x" * 24)
        for number in range(1, 4):
            self.provider.plan(Answer(tokens=["a" * 30]), Answer(tokens=[f"summary {number}"]))
            send(f"{number} " + "y" * 28).rest()
            self.quiet()
            self.assertEqual(self.summary(where), f"summary {number}|{2 * number}")
        self.assertIn("<summary>\nsummary 2\n</summary>", self.questions(True)[-1].body["messages"][0]["content"])
        self.assertNotIn("first", self.questions(True)[-1].body["messages"][0]["content"])

    def test_a_message_longer_than_the_limit(self):
        send, where = self.conversation("insight")
        self.turn(send, "z" * 300)
        self.turn(send, "short")
        self.assertEqual(self.told()[-1], "short")
        self.assertEqual(len(self.told()), 1)
        self.assertEqual(self.summary(where).split("|")[1], "2")

    def test_what_is_told_begins_with_the_user(self):
        send, where = self.conversation("insight")
        self.turn(send, "x" * 80, "y" * 30)
        self.turn(send, "last", "z" * 10)
        self.turn(send, "now", "a" * 10)
        self.assertEqual(self.told(), ["last", "z" * 10, "now"])
        self.assertEqual(self.summary(where).split("|")[1], "2", "the answer goes with its question")

    def test_many_short_messages(self):
        send, where = self.conversation("insight")
        insight = where.split()[-1]
        self.turn(send, "a", "b")
        self.lectern.sql(f"insert into chat_messages (insight_id, user_id, role, content, created_at) select {insight}, user_id, role,"
                         f" '', now() + n * interval '1 us' from chat_messages, generate_series(1, 150) as n where insight_id = {insight}")
        self.turn(send, "c", "d")
        self.turn(send, "e", "f")
        self.assertLessEqual(len(self.told()), 201)
        self.assertGreaterEqual(int(self.summary(where).split("|")[1]), 100)

    def test_it_is_made_behind_the_answer_and_counts_nothing(self):
        user = self.user = self.lectern.new_user()
        send, where = self.conversation("insight")
        self.turn(send, "x" * 60)
        held = Answer(tokens=["summary"], hold_after=0)
        self.addCleanup(held.go.set)
        self.provider.plan(Answer(tokens=["a" * 30]), held)
        stream = send("y" * 30)
        self.assertEqual(stream.rest()[-1], chat_ai_test.DONE)
        fleet.wait_for("the summary to be asked for", lambda: self.questions(True))
        self.assertEqual((self.summary(where), self.reserved(user)), ("", "2|0"))
        self.provider.plan(Answer())
        self.assertEqual(self.begin().rest()[-1], chat_ai_test.DONE)  # nobody waits for it
        held.go.set()
        self.quiet()
        self.assertEqual(self.summary(where).split("|")[0], "summary")
        self.assertEqual(self.reserved(user), "3|0")

    def test_one_that_fails_costs_itself_alone(self):
        send, where = self.conversation("insight")
        self.turn(send, "x" * 60)
        self.provider.plan(Answer(tokens=["a" * 30]), Answer(status=400))
        self.assertEqual(send("y" * 60).rest()[-1], chat_ai_test.DONE)
        self.quiet()
        self.assertEqual(self.summary(where), "")
        self.provider.plan(Answer(tokens=["a" * 30]), Answer(tokens=["all of it"]))
        self.assertEqual(send("z" * 30).rest()[-1], chat_ai_test.DONE)
        self.quiet()
        self.assertEqual(self.summary(where), "all of it|4")

    def test_another_users_is_his_own(self):
        send, where = self.conversation("insight")
        insight, other = int(where.split()[-1]), self.lectern.new_user()
        self.turn(send, "my secret " + "x" * 50)
        self.provider.plan(Answer(tokens=["a" * 30]), Answer(tokens=["the secret"]))
        send("y" * 60).rest()
        self.quiet()
        self.turn(lambda message: self.about(insight, message, other), "what is known?")
        self.assertNotIn("secret", str(self.questions()[-1].body))
        self.turn(lambda message: self.about(insight, message, other), "z" * 90)
        self.assertNotIn("secret", str(self.questions(True)[-1].body))
        self.assertEqual(self.lectern.sql(f"select count(*) from {where}"), "2")

    def test_what_is_cleared_has_none(self):
        send, where = self.conversation("insight")
        insight = int(where.split()[-1])
        self.turn(send, "x" * 60)
        held = Answer(tokens=["of what is gone"], hold_after=0)
        self.addCleanup(held.go.set)
        self.provider.plan(Answer(tokens=["a" * 30]), held)
        send("y" * 60).rest()
        fleet.wait_for("the summary to be asked for", lambda: self.questions(True))
        self.lectern.request("DELETE", f"/api/chat/messages/{insight}", user=self.user)
        self.assertEqual(send("anew").rest()[-1], chat_ai_test.DONE)
        held.go.set()
        self.quiet()
        self.assertEqual(self.summary(where), "")
        self.turn(send, "and on")
        self.assertNotIn("of what is gone", str(self.questions()[-1].body))

    def test_a_summary_without_its_messages_is_not_told(self):
        send, where = self.conversation("insight")
        self.turn(send, "hello")
        self.lectern.sql("insert into insight_chat_summaries (user_id, insight_id, summary_text, message_count, last_message_id)"
                         f" select user_id, insight_id, 'stale', 9, 999999 from chat_messages where insight_id = {where.split()[-1]} limit 1")
        self.turn(send, "and")
        self.assertNotIn("stale", str(self.questions()[-1].body))

    def test_a_deleted_chat(self):
        send, where = self.conversation("standalone")
        chat = self.chats()[0]["id"]
        held = Answer(tokens=["of what is gone"], hold_after=0)
        self.addCleanup(held.go.set)
        self.provider.plan(Answer(tokens=["a" * 90]), held)
        send("y" * 60).rest()
        fleet.wait_for("the summary to be asked for", lambda: self.questions(True))
        self.lectern.request("DELETE", f"/api/standalone-chat/{chat}", user=self.user)
        held.go.set()
        self.quiet()
        self.assertEqual(self.summary(where), "")

    def test_a_user_who_is_merged_meanwhile(self):
        users = [self.user, self.lectern.new_user()]
        send, where = self.conversation("insight")
        self.turn(send, "x" * 60)
        held = Answer(tokens=["of the two"], hold_after=0)
        self.addCleanup(held.go.set)
        self.provider.plan(Answer(tokens=["a" * 30]), held)
        send("y" * 60).rest()
        fleet.wait_for("the summary to be asked for", lambda: self.questions(True))
        self.user = self.merge(*users)
        held.go.set()
        self.quiet()
        self.assertEqual(self.summary(where), "of the two|2")
        self.turn(send, "now")
        self.assertIn("of the two", self.questions()[-1].body["system"])


if __name__ == "__main__":
    fleet.main()

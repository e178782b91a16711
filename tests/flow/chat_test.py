"""The domain `chat`: conversations about an insight and those that stand alone, read and deleted by their user alone."""

import uuid

import _path  # noqa: F401
import fleet
import wire

ABSENT = (0, -1, 2**31 - 1, 2**31, 2**40, -2**40)  # ids that nothing has
WRONG_IDS = ("x", "1.5", "1e3", "%20", "0x1", "true")


class Chats(fleet.LecternTest):
    options = {"env": {"NEW_USER_LIMIT": "0"}}

    def setUp(self):
        self.client = wire.Client(self.lectern.socket_of("chat"))
        self.addCleanup(self.client.close)
        self.user, self.other = self.lectern.new_user(), self.lectern.new_user()

    # ---- what is there ----

    def sql(self, query):
        return self.lectern.sql(query).split("\n")[0]

    def user_id(self, user):
        return f"(select id from users where anonymous_id = '{user}')"

    def insight(self):
        return int(self.sql("insert into saved_insights (passage_reference, passage_text, historical_context,"
                            " theological_significance, practical_application)"
                            f" values ('John 3:16', '{uuid.uuid4()}', 'h', 't', 'p') returning id"))

    def say(self, insight, user=None, role="user", content="word", when="now()"):
        return int(self.sql("insert into chat_messages (insight_id, user_id, role, content, created_at) values"
                            f" ({insight}, {self.user_id(user or self.user)}, '{role}', '{content}', {when}) returning id"))

    def chat(self, user=None, title="'title'", used="now()"):
        return int(self.sql("insert into standalone_chats (user_id, title, updated_at)"
                            f" values ({self.user_id(user or self.user)}, {title}, {used}) returning id"))

    def say_in(self, chat, role="user", content="word", when="now()"):
        return int(self.sql("insert into standalone_chat_messages (chat_id, role, content, created_at)"
                            f" values ({chat}, '{role}', '{content}', {when}) returning id"))

    def summarize(self, insight, user=None):
        self.sql("insert into insight_chat_summaries (user_id, insight_id, summary_text, message_count)"
                 f" values ({self.user_id(user or self.user)}, {insight}, 'sum', 1)")

    def summarize_chat(self, kind, number):
        self.sql("insert into conversation_summaries (conversation_type, conversation_id, summary_text, message_count)"
                 f" values ('{kind}', {number}, 'sum', 1)")

    # ---- what is asked ----

    def get(self, path, user=None):
        answer = self.lectern.get("/api" + path, user=user or self.user)
        self.assertEqual(answer.status, 200, answer.body[:500])
        return answer.json

    def delete(self, path, user=None):
        return self.lectern.request("DELETE", "/api" + path, user=user or self.user)

    def messages(self, insight, user=None):
        return self.get(f"/chat/messages/{insight}", user)

    def message_ids(self, insight, user=None):
        return [message["id"] for message in self.messages(insight, user)]

    def messages_in(self, chat, user=None):
        return self.get(f"/standalone-chat/{chat}/messages", user)

    def chat_ids(self, user=None, query=""):
        return [chat["id"] for chat in self.get("/standalone-chat" + query, user)]

    def fault(self, message, body, user):
        with self.assertRaises(wire.Fault) as caught:
            self.client.ask(message, body, user=user)
        return caught.exception.name

    # ---- conversations about an insight ----

    def test_messages_about_an_insight(self):
        insight = self.insight()
        asked = self.say(insight, content="Why?", when="'2026-01-31 09:05:00.123999+00'")
        said = self.say(insight, role="assistant", content="So.", when="'2026-01-31 09:05:01+00'")
        self.assertEqual(self.messages(insight),
                         [{"id": asked, "role": "user", "content": "Why?", "timestamp": 1769850300123},
                          {"id": said, "role": "assistant", "content": "So.", "timestamp": 1769850301000}])

    def test_oldest_first_and_in_the_order_of_storing(self):
        insight = self.insight()
        later = [self.say(insight, when="'2026-01-02'") for _ in range(5)]
        earlier = [self.say(insight, when="'2026-01-01'") for _ in range(5)]
        self.assertEqual(self.message_ids(insight), earlier + later)

    def test_more_messages_than_a_page_has(self):
        insight = self.insight()
        self.sql("insert into chat_messages (insight_id, user_id, role, content, created_at)"
                 f" select {insight}, {self.user_id(self.user)}, 'user', n::text, '2026-01-01'::timestamptz + n / 7 * interval '1 s'"
                 "   from generate_series(1, 1234) as n")
        self.assertEqual([m["content"] for m in self.messages(insight)], [str(n) for n in range(1, 1235)])

    def test_messages_are_their_users_alone(self):
        insight, another = self.insight(), self.insight()
        mine = self.say(insight)
        theirs = self.say(insight, self.other)
        self.say(another)
        self.assertEqual(self.message_ids(insight), [mine])
        self.assertEqual(self.message_ids(insight, self.other), [theirs])
        self.assertEqual(self.message_ids(insight, self.lectern.new_user()), [])

    def test_clearing_messages(self):
        insight, another = self.insight(), self.insight()
        for _ in range(3):
            self.say(insight)
        theirs, kept = self.say(insight, self.other), self.say(another)
        for number, user in ((insight, self.user), (insight, self.other), (another, self.user)):
            self.summarize(number, user)
        self.assertEqual(self.delete(f"/chat/messages/{insight}").json, {"message": "Cleared 3 chat messages"})
        self.assertEqual(self.delete(f"/chat/messages/{insight}").json, {"message": "Cleared 0 chat messages"})
        self.assertEqual(self.messages(insight), [])
        self.assertEqual(self.message_ids(insight, self.other), [theirs])
        self.assertEqual(self.message_ids(another), [kept])
        left = self.lectern.sql("select anonymous_id, insight_id from insight_chat_summaries join users on user_id = users.id"
                                f" where insight_id in ({insight}, {another}) order by insight_id")
        self.assertEqual(left.split("\n"), [f"{self.other}|{insight}", f"{self.user}|{another}"])
        self.assertEqual(self.sql(f"select count(*) from saved_insights where id = {insight}"), "1")

    def test_insights_that_are_not_there(self):
        for number in ABSENT:
            with self.subTest(id=number):
                self.assertEqual(self.messages(number), [])
                answer = self.delete(f"/chat/messages/{number}")
                self.assertEqual((answer.status, answer.json), (200, {"message": "Cleared 0 chat messages"}))

    # ---- conversations that stand alone ----

    def test_a_chat(self):
        chat = int(self.sql(
            "insert into standalone_chats (user_id, title, passage_reference, passage_text, created_at, updated_at) values"
            f" ({self.user_id(self.user)}, 'Why? \"So\"', 'John 3', 'For God…', '2026-01-31 09:05:00.123999+00',"
            "  '1969-12-31 23:59:59.9985+00') returning id"))
        self.assertEqual(self.get("/standalone-chat"),
                         [{"id": chat, "title": "Why? \"So\"", "passage_reference": "John 3", "passage_text": "For God…",
                           "created_at": 1769850300123, "updated_at": -2}])

    def test_a_chat_about_nothing(self):
        chat = self.chat(title="null")
        entry = self.get("/standalone-chat")[0]
        self.assertEqual((entry["id"], entry["title"], entry["passage_reference"], entry["passage_text"]),
                         (chat, None, None, None))

    def test_last_used_first_and_so_many(self):
        self.sql("insert into standalone_chats (user_id, title, updated_at)"
                 f" select {self.user_id(self.user)}, n::text as title, now() + n / 2 * interval '1 s'"
                 "   from generate_series(1, 60) as n order by n")
        chats = sorted(self.chat_ids(query="?limit=500"), reverse=True)
        self.assertEqual(len(chats), 60)
        self.assertEqual(self.chat_ids(), chats[:50])
        for limit in (0, 1, 20, 59, 60, 61, 500):
            self.assertEqual(self.chat_ids(query=f"?limit={limit}"), chats[:limit])
        self.sql(f"update standalone_chats set updated_at = now() + interval '1 hour' where id = {chats[-1]}")
        self.assertEqual(self.chat_ids(query="?limit=1"), [chats[-1]])

    def test_chats_are_their_users_alone(self):
        mine, theirs = self.chat(), self.chat(self.other)
        self.assertEqual((self.chat_ids(), self.chat_ids(self.other)), ([mine], [theirs]))
        self.assertEqual(self.chat_ids(self.lectern.new_user()), [])

    def test_messages_of_a_chat(self):
        chat, another = self.chat(), self.chat()
        self.say_in(another)
        later = self.say_in(chat, "assistant", "So.", "'2026-01-31 09:05:01+00'")
        earlier = self.say_in(chat, "user", "Why?", "'2026-01-31 09:05:00.123999+00'")
        self.assertEqual(self.messages_in(chat),
                         [{"id": earlier, "role": "user", "content": "Why?", "timestamp": 1769850300123},
                          {"id": later, "role": "assistant", "content": "So.", "timestamp": 1769850301000}])
        self.assertEqual(self.messages_in(chat, self.other), [])

    def test_more_messages_of_a_chat_than_a_page_has(self):
        chat = self.chat()
        self.sql("insert into standalone_chat_messages (chat_id, role, content, created_at)"
                 f" select {chat}, 'user', n::text, '2026-01-01' from generate_series(1, 1234) as n")
        self.assertEqual([m["content"] for m in self.messages_in(chat)], [str(n) for n in range(1, 1235)])

    def test_deleting_a_chat(self):
        chat, another = self.chat(), self.chat()
        self.say_in(chat)
        kept = self.say_in(another)
        for kind, number in (("standalone", chat), ("standalone", another), ("insight", chat)):
            self.summarize_chat(kind, number)
        answer = self.delete(f"/standalone-chat/{chat}")
        self.assertEqual((answer.status, answer.json), (200, {"message": "Chat deleted successfully"}))
        self.assertEqual(answer.headers["X-RateLimit-Limit"], "600")
        answer = self.delete(f"/standalone-chat/{chat}")
        self.assertEqual((answer.status, answer.json), (404, {"detail": "Chat not found"}))
        self.assertEqual(self.chat_ids(), [another])
        self.assertEqual(self.messages_in(chat), [])
        self.assertEqual([m["id"] for m in self.messages_in(another)], [kept])
        self.assertEqual(self.sql(f"select count(*) from standalone_chat_messages where chat_id = {chat}"), "0")
        left = self.lectern.sql("select conversation_type, conversation_id from conversation_summaries"
                                f" where conversation_id in ({chat}, {another}) order by 1")
        self.assertEqual(left.split("\n"), [f"insight|{chat}", f"standalone|{another}"])

    def test_deleting_another_users_chat(self):
        chat = self.chat(self.other)
        message = self.say_in(chat)
        self.summarize_chat("standalone", chat)
        answer = self.delete(f"/standalone-chat/{chat}")
        self.assertEqual((answer.status, answer.json), (404, {"detail": "Chat not found"}))
        self.assertEqual(self.chat_ids(self.other), [chat])
        self.assertEqual([m["id"] for m in self.messages_in(chat, self.other)], [message])
        self.assertEqual(self.sql(f"select count(*) from conversation_summaries where conversation_id = {chat}"), "1")

    def test_deleting_one_chat_many_times_at_once(self):
        chat = self.chat()
        self.say_in(chat)
        ids = [self.client.send("chat.delete_standalone_chat", {"chat_id": chat}, user=self.user) for _ in range(20)]
        got = sorted(self.client.receive()[0]["status"] for _ in ids)
        self.assertEqual(got, ["chat_not_found"] * 19 + ["ok"])

    def test_chats_that_are_not_there(self):
        for number in ABSENT:
            with self.subTest(id=number):
                self.assertEqual(self.messages_in(number), [])
                self.assertEqual(self.delete(f"/standalone-chat/{number}").status, 404)

    # ---- what is no input, and who it is for ----

    def test_ids_that_are_none(self):
        for verb, path, field in (("GET", "/chat/messages/{}", "insight_id"), ("DELETE", "/chat/messages/{}", "insight_id"),
                                  ("GET", "/standalone-chat/{}/messages", "chat_id"),
                                  ("DELETE", "/standalone-chat/{}", "chat_id")):
            for wrong in WRONG_IDS:
                with self.subTest(verb=verb, path=path, id=wrong):
                    answer = self.lectern.request(verb, "/api" + path.format(wrong), user=self.user)
                    self.assertEqual(answer.status, 422)
                    self.assertEqual([(f["type"], f["loc"]) for f in answer.json["detail"]],
                                     [("int_parsing", ["path", field])])

    def test_ids_as_clients_write_them(self):
        insight = self.insight()
        self.say(insight)
        for path in (f"+{insight}", f"{insight}.0", f"00{insight}"):
            with self.subTest(path=path):
                self.assertEqual(len(self.messages(path)), 1)

    def test_somebody_new(self):
        insight, chat = self.insight(), self.chat()
        self.say(insight)
        for verb, path, status, body in (
                ("GET", f"/chat/messages/{insight}", 200, []), ("GET", "/standalone-chat", 200, []),
                ("GET", f"/standalone-chat/{chat}/messages", 200, []),
                ("DELETE", f"/chat/messages/{insight}", 200, {"message": "Cleared 0 chat messages"}),
                ("DELETE", f"/standalone-chat/{chat}", 404, {"detail": "Chat not found"})):
            with self.subTest(verb=verb, path=path):
                answer = self.lectern.request(verb, "/api" + path)
                self.assertEqual((answer.status, answer.json), (status, body))
                self.assertIsNotNone(answer.cookie)
        self.assertEqual((len(self.messages(insight)), self.chat_ids()), (1, [chat]))

    def test_nobody(self):
        for user in (None, str(uuid.uuid4()), "garbage"):
            for message, body in (("get_chat_messages", {"insight_id": 1}), ("clear_chat_messages", {"insight_id": 1}),
                                  ("get_standalone_chats", {}), ("get_standalone_chat_messages", {"chat_id": 1}),
                                  ("delete_standalone_chat", {"chat_id": 1})):
                with self.subTest(message=message, user=user):
                    self.assertEqual(self.fault(f"chat.{message}", body, user), "unknown_user")

    def test_a_merged_user_is_the_kept_one(self):
        gone, insight, chat = str(uuid.uuid4()), self.insight(), self.chat()
        said, said_in = self.say(insight), self.say_in(chat)
        self.sql(f"insert into merged_users values ('{gone}', {self.user_id(self.user)})")
        for path, ids in ((f"/chat/messages/{insight}", [said]), ("/standalone-chat", [chat]),
                          (f"/standalone-chat/{chat}/messages", [said_in])):
            answer = self.lectern.get("/api" + path, user=gone)
            self.assertEqual(([entry["id"] for entry in answer.json], answer.cookie), (ids, self.user))
        for path in (f"/chat/messages/{insight}", f"/standalone-chat/{chat}"):
            answer = self.delete(path, gone)
            self.assertEqual((answer.status, answer.cookie), (200, self.user))
        self.assertEqual((self.messages(insight), self.chat_ids()), ([], []))


if __name__ == "__main__":
    fleet.main()

"""Clearing a user's data: what it takes, what it counts, and what stays. The rows of db/owned.def say which is which."""

import concurrent.futures

import _path  # noqa: F401
import fleet
import owned
import wire


class Clearing(fleet.LecternTest):
    options = {"actors": 2, "env": {"NEW_USER_LIMIT": "0", "WRITE_ENDPOINT_LIMIT": "0"}}

    def clear(self, user):
        answer = self.lectern.request("DELETE", "/api/user/data", user=user)
        self.assertEqual((answer.status, answer.json["message"]), (200, "User data cleared successfully"), answer.body)
        return answer.json["deleted"]

    def populated(self):
        user = self.lectern.new_user()
        owned.populate(self.lectern, user)
        return user

    def test_each_row_does_what_it_says(self):
        user, other = self.populated(), self.populated()
        before, others = (owned.counts(self.lectern, u) for u in (user, other))
        deleted = self.clear(user)
        after = owned.counts(self.lectern, user)
        for table, column, _, _, _, clear, section in owned.ROWS:
            name = f"{table}.{column}"
            self.assertGreater(before[name], 0)
            self.assertEqual(after[name], before[name] if clear == "stays" else 0, name)
            if section != "none":
                self.assertEqual(deleted[section], before[name], name)
        self.assertEqual(set(deleted), {row[6] for row in owned.ROWS} - {"none"})
        self.assertEqual(owned.counts(self.lectern, other), others, "nobody else's")

    def test_everybodys_texts_stay(self):
        user = self.populated()
        self.clear(user)
        self.assertEqual(self.lectern.sql("select (select count(*) from saved_insights where passage_reference = 'SHARED'),"
                                          " (select count(*) from saved_definitions where word = 'SHARED')"), "1|1")

    def test_messages_and_summaries_of_conversations_go_with_them(self):
        user = self.populated()
        chats = self.lectern.sql("select string_agg(c.id::text, ',') from standalone_chats c join users on users.id = user_id"
                                 f" where anonymous_id = '{user}'")
        self.clear(user)
        self.assertEqual(self.lectern.sql(f"select (select count(*) from standalone_chat_messages where chat_id in ({chats})),"
                                          f" (select count(*) from conversation_summaries where conversation_id in ({chats}))"), "0|0")

    def test_the_user_stays(self):
        user = self.populated()
        self.clear(user)
        session = self.lectern.get("/api/user/session", user=user)
        self.assertIsNone(session.cookie)
        self.assertEqual(session.json["usage"]["calls_today"], 3)
        self.assertEqual(len(self.lectern.get("/api/user/devices", user=user).json), 2)

    def test_what_is_empty_and_twice(self):
        nothing = {"insights": 0, "chat_messages": 0, "standalone_chats": 0, "definitions": 0}
        self.assertEqual(self.clear(self.lectern.new_user()), nothing)
        user = self.populated()
        self.assertNotEqual(self.clear(user), nothing)
        self.assertEqual(self.clear(user), nothing)

    def test_without_a_cookie_a_user_is_made(self):
        answer = self.lectern.request("DELETE", "/api/user/data")
        self.assertEqual(answer.status, 200)
        self.assertIsNotNone(answer.cookie)

    def test_at_once_each_thing_is_counted_once(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for _ in range(15):
                user = self.populated()
                counts = list(pool.map(self.clear, [user] * 4))
                for section, chats in (("standalone_chats", 2), ("insights", 3), ("definitions", 3), ("chat_messages", 6)):
                    self.assertEqual(sum(c[section] for c in counts), chats)

    def test_what_is_saved_meanwhile(self):
        saved = {"passage_text": "text", "historical_context": "h", "theological_significance": "t", "practical_application": "p"}

        def save(user, number):
            with wire.Client(self.lectern.socket_of("insight", 1 + number % 2)) as client:
                return client.ask("insight.save_insight", {"passage_reference": f"{user} {number}", **saved}, user=user)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in range(20):
                user = self.lectern.new_user()
                self.lectern.sql("insert into saved_insights (passage_reference, passage_text, historical_context,"
                                 " theological_significance, practical_application, imported_by)"
                                 " select anonymous_id || ' ' || n, 'text', 'h', 't', 'p', id"
                                 f" from users, generate_series(1, 200) as n where anonymous_id = '{user}'")
                clearing = pool.submit(self.clear, user)
                saving = [pool.submit(save, user, n) for n in (1, 2, 198, 199, 200)]
                clearing.result()
                for future in saving:  # before, or anew
                    self.assertGreater(future.result()["id"], 0)


if __name__ == "__main__":
    fleet.main()

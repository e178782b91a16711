"""The domain `user` as the web client sees it: a cookie, a session, a merge."""

import re
import uuid

import _path  # noqa: F401
import fleet

UUID4 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


class Session(fleet.LecternTest):
    def session(self, user=None, **more):
        return self.lectern.get("/api/user/session", user=user, **more)

    def test_without_a_cookie_a_user_is_made(self):
        answer = self.session()
        self.assertEqual(answer.status, 200)
        self.assertRegex(answer.cookie, UUID4)
        self.assertEqual(answer.json["anonymous_id"], answer.cookie)
        cookie = answer.headers["Set-Cookie"]
        for part in ("Path=/", "HttpOnly", "SameSite=lax", "Max-Age=315360000"):
            self.assertIn(part.lower(), cookie.lower().split("; "))
        self.assertNotIn("secure", cookie.lower())
        self.assertEqual(
            self.lectern.sql(f"select device_count, pro_subscription from users where anonymous_id = '{answer.cookie}'"),
            "1|f")

    def test_a_known_cookie_is_kept(self):
        user = self.lectern.new_user()
        answer = self.session(user)
        self.assertIsNone(answer.cookie)
        self.assertEqual(answer.json["anonymous_id"], user)
        self.assertEqual(answer.json["usage"],
                         {"is_pro": False, "daily_limit": 10, "calls_today": 0, "remaining": 10})
        created = self.lectern.sql(
            f"select floor(extract(epoch from created_at) * 1000) from users where anonymous_id = '{user}'")
        self.assertEqual(answer.json["created_at"], int(created.split(".")[0]))

    def test_a_cookie_that_names_nobody_is_replaced(self):
        for cookie in (str(uuid.uuid4()), "garbage", "", "'; drop table users; --", "x" * 4000):
            with self.subTest(cookie=cookie[:20]):
                answer = self.session(headers={"Cookie": f"verse_user_id={cookie}"})
                self.assertEqual(answer.status, 200)
                self.assertRegex(answer.cookie, UUID4)
                self.assertNotEqual(answer.cookie, cookie)

    def test_among_other_cookies_and_quoted(self):
        user = self.lectern.new_user()
        for cookie in (f"a=b; verse_user_id={user}; c=d", f'verse_user_id="{user}"',
                       f"x_verse_user_id=nobody; verse_user_id={user}"):
            with self.subTest(cookie=cookie):
                self.assertIsNone(self.session(headers={"Cookie": cookie}).cookie)

    def test_usage_of_today(self):
        user = self.lectern.new_user()
        self.lectern.sql(
            "insert into usage_tracking (user_id, date, llm_calls)"
            f" select id, date_trunc('day', now(), 'UTC'), 4 from users where anonymous_id = '{user}'")
        self.lectern.sql(
            "insert into usage_tracking (user_id, date, llm_calls)"
            f" select id, date_trunc('day', now(), 'UTC') - interval '1 day', 9 from users where anonymous_id = '{user}'")
        self.assertEqual(self.session(user).json["usage"],
                         {"is_pro": False, "daily_limit": 10, "calls_today": 4, "remaining": 6})
        self.lectern.sql(f"update usage_tracking set llm_calls = 12 where llm_calls = 4")
        usage = self.session(user).json["usage"]
        self.assertEqual((usage["calls_today"], usage["remaining"]), (12, 0))

    def test_pro_has_no_limit(self):
        user = self.lectern.new_user()
        self.lectern.sql(f"update users set pro_subscription = true where anonymous_id = '{user}'")
        self.assertEqual(self.session(user).json["usage"],
                         {"is_pro": True, "daily_limit": 0, "calls_today": 0, "remaining": -1})

    def test_a_merged_user_is_answered_as_the_kept_one(self):
        kept = self.lectern.new_user()
        gone, older = str(uuid.uuid4()), str(uuid.uuid4())
        for anonymous in (gone, older):
            self.lectern.sql(
                f"insert into merged_users (anonymous_id, user_id) select '{anonymous}', id from users where anonymous_id = '{kept}'")
        for cookie in (gone, older):
            answer = self.session(cookie)
            self.assertEqual(answer.json["anonymous_id"], kept)
            self.assertEqual(answer.cookie, kept)

    def test_head_has_no_body(self):
        user = self.lectern.new_user()
        answer = self.lectern.request("HEAD", "/api/user/session", user=user)
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertGreater(int(answer.headers["Content-Length"]), 100)


class Production(fleet.LecternTest):
    options = {"env": {"ENVIRONMENT": "production"}}

    def test_the_cookie_is_secure_and_transport_too(self):
        answer = self.lectern.get("/api/user/session")
        self.assertIn("secure", answer.headers["Set-Cookie"].lower().split("; "))
        self.assertEqual(answer.headers["Strict-Transport-Security"],
                         "max-age=31536000; includeSubDomains; preload")


class NewUsers(fleet.LecternTest):
    options = {"env": {"NEW_USER_LIMIT": "3"}}

    def test_an_address_makes_so_many_a_minute(self):
        answers = [self.lectern.get("/api/user/session") for _ in range(8)]
        refused = [a for a in answers if a.status == 429]
        self.assertGreaterEqual(len(refused), 2)  # a window may have ended in between
        self.assertEqual(refused[0].json, {"error": "Rate limit exceeded: 3 per 1 minute"})
        self.assertGreater(int(refused[0].headers["Retry-After"]), 0)
        self.assertIsNone(refused[0].cookie)


if __name__ == "__main__":
    fleet.main()

"""The domain `device_link` as web clients see it: devices, codes, and what refuses them."""

import re
import uuid

import _path  # noqa: F401
import fleet
import wire

CODE = re.compile(r"^[23456789A-HJ-NP-Z]{4}(-[23456789A-HJ-NP-Z]{4}){2}$")
ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$")
PHONE, DESK = {"User-Agent": "Phone/1.0"}, {"User-Agent": "Desk/2.0"}
LINKED = "Devices linked successfully"


class DeviceLink(fleet.LecternTest):
    options = {"env": {"NEW_USER_LIMIT": "0", "WRITE_ENDPOINT_LIMIT": "0"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.actor = wire.Client(cls.lectern.socket_of("device_link"))

    @classmethod
    def tearDownClass(cls):
        cls.actor.close()
        super().tearDownClass()

    def generate(self, user, headers=PHONE):
        return self.lectern.request("POST", "/api/user/link/generate", user=user, headers=headers)

    def accept(self, user, code, headers=DESK, **more):
        return self.lectern.request("POST", "/api/user/link/accept", {"code": code, **more}, user, headers)

    def devices(self, user):
        answer = self.lectern.get("/api/user/devices", user=user)
        self.assertEqual(answer.status, 200)
        return answer.json

    def unlink(self, user, device):
        return self.lectern.request("DELETE", f"/api/user/devices/{device}", user=user)

    def code(self, user=None):
        """A new user's code that is pending, and the user."""
        user = user or self.lectern.new_user()
        answer = self.generate(user)
        self.assertEqual(answer.status, 200)
        return answer.json["display_code"], user

    def sql(self, query):
        return self.lectern.sql(query)

    def user_value(self, user, column):
        return self.sql(f"select {column} from users where anonymous_id = '{user}'")

    def refused(self, answer, reason, status=400):
        self.assertEqual((answer.status, answer.json), (status, {"detail": reason}))

    def by_wire(self, message, body=None, user=None):
        """Status and body of the reply."""
        try:
            return "ok", self.actor.ask(f"device_link.{message}", body, user=user)
        except wire.Fault as fault:
            return fault.name, fault.detail


class Codes(DeviceLink):
    def test_a_code_is_for_people_and_lasts_five_minutes(self):
        user = self.lectern.new_user()
        answer = self.generate(user)
        self.assertEqual(answer.status, 200)
        self.assertEqual(set(answer.json), {"display_code", "expires_at", "qr_data"})
        self.assertRegex(answer.json["display_code"], CODE)
        self.assertEqual(answer.json["qr_data"], answer.json["display_code"])
        self.assertRegex(answer.json["expires_at"], ISO)
        self.assertEqual(
            self.sql("select length(code), code ~ '^[0-9a-f]{64}$', expires_at - created_at = '5 minutes',"
                     f" expires_at = '{answer.json['expires_at']}', status, used_at is null, target_user_id is null"
                     f" from device_link_codes where display_code = '{answer.json['display_code']}'"),
            "64|t|t|t|pending|t|t")

    def test_codes_are_random(self):
        codes = [self.code()[0] for _ in range(60)]
        self.assertEqual(len(set(codes)), 60)
        self.assertEqual(len(set("".join(codes))), 33)  # of 720 characters each of 32 appears

    def test_without_a_cookie_a_user_is_made(self):
        answer = self.generate(None)
        self.assertEqual(answer.status, 200)
        self.assertEqual(len(self.devices(answer.cookie)), 1)

    def test_three_may_be_pending(self):
        user = self.lectern.new_user()
        codes = [self.code(user)[0] for _ in range(3)]
        self.refused(self.generate(user), "Too many active link codes. Maximum 3 allowed.")
        self.sql(f"update device_link_codes set expires_at = now() where display_code = '{codes[0]}'")
        self.assertEqual(self.generate(user).status, 200)
        self.refused(self.generate(user), "Too many active link codes. Maximum 3 allowed.")

    def test_revoking_takes_back_what_is_pending(self):
        code, user = self.code()
        self.code(user)
        other, _ = self.code()
        answer = self.lectern.request("DELETE", "/api/user/link/codes", user=user)
        self.assertEqual(answer.json, {"message": "Revoked 2 pending link codes", "count": 2})
        answer = self.lectern.request("DELETE", "/api/user/link/codes", user=user)
        self.assertEqual(answer.json, {"message": "Revoked 0 pending link codes", "count": 0})
        self.refused(self.accept(self.lectern.new_user(), code), "This code has been revoked")
        self.assertEqual(self.accept(self.lectern.new_user(), other).status, 200)

    def test_the_sweep_marks_what_is_over(self):
        code, _ = self.code()
        pending, _ = self.code()
        self.sql(f"update device_link_codes set expires_at = now() where display_code = '{code}'")
        status, body = self.by_wire("cleanup_expired_codes")
        self.assertEqual((status, body["count"] >= 1), ("ok", True))
        self.assertEqual(self.by_wire("cleanup_expired_codes"), ("ok", {"count": 0}))
        self.assertEqual(self.sql("select string_agg(status, ' ' order by id) from device_link_codes"
                                  f" where display_code in ('{code}', '{pending}')"), "expired pending")

    def test_the_actor_sweeps_by_itself(self):
        code, _ = self.code()
        self.sql(f"update device_link_codes set expires_at = now() where display_code = '{code}'")
        self.lectern.actor("device_link", 2)  # at once, then every minute
        fleet.wait_for("the sweep", lambda: self.sql(
            f"select status from device_link_codes where display_code = '{code}'") == "expired")


class Accepting(DeviceLink):
    def test_both_devices_are_one_user_from_now_on(self):
        code, source = self.code()
        caller = self.lectern.new_user()
        answer = self.accept(caller, code, device_name="Bob's desk", device_type="desktop")
        self.assertEqual(answer.status, 200)
        kept = answer.json["new_anonymous_id"]
        self.assertEqual(answer.json, {"success": True, "new_anonymous_id": kept, "message": LINKED})
        self.assertEqual(kept, caller, "one device each: the newer user is kept")
        self.assertEqual(answer.cookie, kept)
        for cookie in (source, caller):
            session = self.lectern.get("/api/user/session", user=cookie)
            self.assertEqual(session.json["anonymous_id"], kept)
            self.assertEqual(session.cookie, kept if cookie != kept else None)
        self.assertEqual([(d["device_name"], d["device_type"], d["user_agent"]) for d in self.devices(kept)],
                         [("Bob's desk", "desktop", "Desk/2.0"), (None, "unknown", "Phone/1.0")])
        self.assertEqual(self.user_value(kept, "device_count"), "2")
        self.assertEqual(
            self.sql("select status, used_at is not null, source_user_id = target_user_id, source_device_id <> target_device_id"
                     f" from device_link_codes where display_code = '{code}'"), "used|t|t|t")

    def test_the_cookie_is_set_whichever_side_is_kept(self):
        _, source = self.code()
        self.generate(source, DESK)
        code, _ = self.code(source)
        answer = self.accept(self.lectern.new_user(), code)
        self.assertEqual((answer.cookie, answer.json["new_anonymous_id"]), (source, source))

    def test_without_a_cookie(self):
        code, source = self.code()
        answer = self.accept(None, code)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.cookie, answer.json["new_anonymous_id"])
        self.assertEqual(self.lectern.get("/api/user/session", user=source).json["anonymous_id"], answer.cookie)

    def test_a_code_is_trimmed_and_in_any_case(self):
        code, _ = self.code()
        self.assertEqual(self.accept(self.lectern.new_user(), f" \t{code.lower()}\n ").status, 200)

    def test_what_is_no_code(self):
        user = self.lectern.new_user()
        code, _ = self.code()
        for wrong in ("", " ", "ABCD-EFGH-JKLM", code.replace("-", ""), code + "2", "' or 1=1 --", "ÄÖÜ" * 99, "x" * 50000):
            with self.subTest(code=wrong[:20]):
                self.refused(self.accept(user, wrong), "Invalid link code")
        self.assertEqual(self.devices(user), [], "who was refused has no device recorded")

    def test_ones_own(self):
        code, user = self.code()
        self.refused(self.accept(user, code), "Cannot link device to itself")
        other = self.lectern.new_user()
        self.assertEqual(self.accept(other, code).status, 200)
        for cookie in (user, other):  # both are that user now
            self.refused(self.accept(cookie, code), "Cannot link device to itself")

    def test_an_expired_one_becomes_expired_although_it_is_refused(self):
        code, _ = self.code()
        user = self.lectern.new_user()
        self.sql(f"update device_link_codes set expires_at = now() where display_code = '{code}'")
        for _ in range(2):
            self.refused(self.accept(user, code), "This code has expired. Please generate a new one.")
            self.assertEqual(self.sql(f"select status from device_link_codes where display_code = '{code}'"), "expired")
        self.assertEqual(self.devices(user), [])

    def test_a_used_one(self):
        code, source = self.code()
        self.assertEqual(self.accept(self.lectern.new_user(), code).status, 200)
        late = self.lectern.new_user()
        self.refused(self.accept(late, code), "This code has already been used")
        self.assertEqual(self.lectern.get("/api/user/session", user=late).json["anonymous_id"], late)

    def test_a_code_of_a_user_who_was_merged_since_still_works(self):
        code, source = self.code()
        other, second = self.code()
        self.assertEqual(self.accept(source, other).status, 200)
        answer = self.accept(self.lectern.new_user(), code)
        self.assertEqual(answer.status, 200)
        ids = {self.lectern.get("/api/user/session", user=u).json["anonymous_id"] for u in (source, second)}
        self.assertEqual(ids, {answer.json["new_anonymous_id"]})

    def test_a_refused_caller_who_was_merged_gets_his_new_cookie(self):
        code, source = self.code()
        caller = self.lectern.new_user()
        kept = self.accept(caller, code).json["new_anonymous_id"]
        gone = source if kept == caller else caller
        answer = self.accept(gone, "ABCD-EFGH-JKLM")
        self.assertEqual((answer.status, answer.cookie), (400, kept))


class Devices(DeviceLink):
    def record(self, user, **inputs):
        status, body = self.by_wire("create_or_update_device", inputs, user)
        self.assertEqual(status, "ok", body)
        return body

    def test_a_device_is_known_by_its_user_agent(self):
        user = self.lectern.new_user()
        first = self.record(user, user_agent="A", device_name="One", device_type="phone")
        self.assertEqual((first["created"], first["device_count"]), (True, 1))
        again = self.record(user, user_agent="A", device_name="Two")
        self.assertEqual(again, {"device_id": first["device_id"], "created": False, "device_count": 1})
        other = self.record(user, user_agent="B")
        self.assertEqual((other["created"], other["device_count"]), (True, 2))
        self.record(user, user_agent="A", device_type="tablet")
        self.assertEqual([(d["id"], d["device_name"], d["device_type"], d["user_agent"]) for d in self.devices(user)],
                         [(first["device_id"], "Two", "tablet", "A"), (other["device_id"], None, "unknown", "B")])
        self.assertEqual(self.user_value(user, "device_count"), "2")

    def test_those_without_a_user_agent_are_one(self):
        user = self.lectern.new_user()
        device = self.record(user)["device_id"]
        self.assertEqual(self.record(user, user_agent="")["device_id"], device)
        self.assertIsNone(self.devices(user)[0]["user_agent"])

    def test_of_two_alike_the_newest_is_updated(self):
        user = self.lectern.new_user()
        old = self.record(user, user_agent="A")["device_id"]
        new = self.sql("insert into user_devices (user_id, user_agent, created_at) select user_id, 'A', now() + interval '1 second'"
                       f" from user_devices where id = {old} returning id")
        self.assertEqual(self.record(user, user_agent="A", device_name="New"),
                         {"device_id": int(new), "created": False, "device_count": 2})

    def test_times_are_iso_and_the_last_active_comes_first(self):
        user = self.lectern.new_user()
        self.generate(user, PHONE)
        self.generate(user, DESK)
        self.generate(user, PHONE)
        listed = self.devices(user)
        self.assertEqual([d["user_agent"] for d in listed], ["Phone/1.0", "Desk/2.0"])
        for device in listed:
            self.assertEqual(set(device), {"id", "device_name", "device_type", "user_agent", "created_at", "last_active"})
            self.assertRegex(device["created_at"], ISO)
            self.assertRegex(device["last_active"], ISO)
        self.assertLess(listed[0]["created_at"], listed[1]["created_at"])

    def test_a_new_user_has_none(self):
        answer = self.lectern.get("/api/user/devices")
        self.assertEqual((answer.status, answer.json), (200, []))
        self.assertIsNotNone(answer.cookie)

    def test_rows_of_the_service_before_may_lack_a_type_or_a_time(self):
        user = self.lectern.new_user()
        self.sql("insert into user_devices (user_id, created_at, last_active)"
                 f" select id, null, null from users where anonymous_id = '{user}'")
        device, = self.devices(user)
        self.assertEqual((device["device_type"], device["last_active"]), ("unknown", "1970-01-01T00:00:00.000000+00:00"))

    def test_many_devices_come_in_order(self):
        user = self.lectern.new_user()
        self.sql("insert into user_devices (user_id, user_agent, last_active)"
                 " select id, repeat('x', 900) || n, now() - n % 7 * interval '1 second'"
                 f" from users, generate_series(1, 2500) as n where anonymous_id = '{user}'")
        listed = self.devices(user)
        self.assertEqual(len({d["id"] for d in listed}), 2500)
        self.assertEqual(listed, sorted(listed, key=lambda d: (d["last_active"], d["id"]), reverse=True))

    def test_a_user_agent_never_stops_a_browser(self):
        for sent, stored in ((b"", None), (b"caf\xe9", "café"), (b"\xed\xa0\x80", "í\xa0\x80"), ("é".encode(), "é"),
                             (b"x" * 5000, "x" * 1000), ("é".encode() * 3000, "é" * 1000)):
            with self.subTest(sent=sent[:10]):
                user = self.lectern.new_user()
                raw = self.lectern.raw(b"POST /api/user/link/generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                       b"Cookie: verse_user_id=" + user.encode() + b"\r\nUser-Agent: " + sent + b"\r\n\r\n")
                self.assertEqual(raw.split(b" ")[1], b"200", raw)
                self.assertEqual(self.devices(user)[0]["user_agent"], stored)


class Unlinking(DeviceLink):
    def linked(self):
        """A user with two devices: his id, and theirs."""
        code, _ = self.code()
        kept = self.accept(self.lectern.new_user(), code).json["new_anonymous_id"]
        return kept, [d["id"] for d in self.devices(kept)]

    def test_one_of_two(self):
        user, (first, second) = self.linked()
        answer = self.unlink(user, first)
        self.assertEqual(answer.status, 200)
        self.assertEqual(set(answer.json), {"device_count", "data_deleted", "should_clear_cookie", "message"})
        self.assertEqual((answer.json["device_count"], answer.json["data_deleted"], answer.json["should_clear_cookie"]),
                         (1, False, False))
        self.assertEqual([d["id"] for d in self.devices(user)], [second])
        self.assertEqual(self.user_value(user, "device_count"), "1")
        self.refused(self.unlink(user, first), "Device not found or doesn't belong to user")

    def test_with_the_last_one_the_user_and_his_data_go(self):
        user, devices = self.linked()
        merged = self.sql(f"select m.anonymous_id from merged_users m join users on users.id = user_id where users.anonymous_id = '{user}'")
        user_id = self.user_value(user, "id")
        self.sql(f"with c as (insert into standalone_chats (user_id) values ({user_id}) returning id)"
                 " insert into conversation_summaries (conversation_type, conversation_id, summary_text, message_count)"
                 " select 'standalone', id, 'text', 1 from c")
        self.unlink(user, devices[0])
        answer = self.unlink(user, devices[1])
        self.assertEqual((answer.json["device_count"], answer.json["data_deleted"], answer.json["should_clear_cookie"]),
                         (0, True, True))
        self.assertIsNone(answer.cookie)
        self.assertEqual(self.user_value(user, "count(*)"), "0")
        self.assertEqual(self.sql("select count(*) from conversation_summaries"), "0")
        for cookie in (user, merged):  # nobody has it any more
            session = self.lectern.get("/api/user/session", user=cookie)
            self.assertNotIn(session.cookie, (None, user, merged))
        self.refused(self.unlink(user, devices[1]), "Device not found or doesn't belong to user")

    def test_what_is_no_device_of_ones_own(self):
        user, _ = self.linked()
        other, (theirs, _) = self.linked()
        for device in (theirs, 0, -1, 2**31, 2**63, 10**30):
            with self.subTest(device=device):
                self.refused(self.unlink(user, device), "Device not found or doesn't belong to user")
        self.assertEqual(len(self.devices(other)), 2)

    def test_codes_of_the_device_go_with_it(self):
        user = self.lectern.new_user()
        code, _ = self.code(user)
        self.generate(user, DESK)
        phone = next(d["id"] for d in self.devices(user) if d["user_agent"] == "Phone/1.0")
        self.unlink(user, phone)
        self.refused(self.accept(self.lectern.new_user(), code), "Invalid link code")


class Inputs(DeviceLink):
    def faults(self, answer):
        self.assertEqual(answer.status, 422, answer.body)
        return [(f["type"], f["loc"]) for f in answer.json["detail"]]

    def test_of_accepting(self):
        post = lambda body: self.lectern.request("POST", "/api/user/link/accept", body)
        for body, wanted in (
                ({}, [("missing", ["body", "code"])]),
                ({"code": None}, [("string_type", ["body", "code"])]),
                ({"code": 5}, [("string_type", ["body", "code"])]),
                ({"code": "x" * 50001}, [("string_too_long", ["body", "code"])]),
                ({"code": "a\0b"}, [("value_error", ["body", "code"])]),
                ({"code": "a", "device_name": "x" * 101, "device_type": "x" * 21},
                 [("string_too_long", ["body", "device_name"]), ("string_too_long", ["body", "device_type"])]),
                ({"code": [], "device_name": 1, "device_type": {}},
                 [("string_type", ["body", "code"]), ("string_type", ["body", "device_name"]),
                  ("string_type", ["body", "device_type"])]),
                ([], [("model_attributes_type", ["body"])])):
            with self.subTest(body=str(body)[:40]):
                before = self.sql("select count(*) from users")
                answer = post(body)
                self.assertEqual(self.faults(answer), wanted)
                self.assertIsNone(answer.cookie)
                self.assertEqual(self.sql("select count(*) from users"), before)
        self.assertEqual(self.faults(self.lectern.request("POST", "/api/user/link/accept")), [("missing", ["body"])])
        answer = self.lectern.request("POST", "/api/user/link/accept", "{", headers={"Content-Type": "application/json"})
        self.assertEqual(self.faults(answer), [("json_invalid", ["body", 1])])

    def test_longest_names_count_characters(self):
        code, _ = self.code()
        answer = self.accept(None, code, device_name="é" * 100, device_type="é" * 20)
        self.assertEqual(answer.status, 200)
        self.assertIn("é" * 100, [d["device_name"] for d in self.devices(answer.cookie)])

    def test_of_unlinking(self):
        for path, wanted in (("x", "int_parsing"), ("1.5", "int_parsing"), ("%20", "int_parsing")):
            answer = self.lectern.request("DELETE", f"/api/user/devices/{path}")
            self.assertEqual(self.faults(answer), [(wanted, ["path", "device_id"])])

    def test_over_the_wire(self):
        for message, body, wanted in (
                ("merge_users", {}, ["anonymous_id", "other_anonymous_id"]),
                ("merge_users", {"anonymous_id": "x" * 37, "other_anonymous_id": 1}, ["anonymous_id", "other_anonymous_id"]),
                ("create_or_update_device", {"user_agent": "x" * 1001, "device_name": "x" * 101}, ["user_agent", "device_name"]),
                ("unlink_device", {}, ["device_id"]),
                ("accept_link_code", {}, ["code"])):
            with self.subTest(message=message):
                status, detail = self.by_wire(message, body, user=str(uuid.uuid4()))
                self.assertEqual((status, [f["loc"][-1] for f in detail]), ("invalid", wanted))

    def test_nobody_over_the_wire(self):
        for message, body in (("create_or_update_device", {}), ("generate_link_code", {}), ("accept_link_code", {"code": "x"}),
                              ("get_user_devices", {}), ("unlink_device", {"device_id": 1}), ("revoke_user_codes", {})):
            for user in (str(uuid.uuid4()), None):
                with self.subTest(message=message):
                    self.assertEqual(self.by_wire(message, body, user)[0], "unknown_user")


if __name__ == "__main__":
    fleet.main()

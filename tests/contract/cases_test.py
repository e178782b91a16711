"""Each message and each of its declared faults, over each of its own ways in.

A case is a row: what is sent, and what must come. The same inputs go straight to the actor and, where the message has
a route, over HTTP; both must agree. A message or a declared fault without a case fails the last test.
"""

import itertools
import json
import urllib.parse
import uuid

import _path  # noqa: F401
import fleet
import wire

NOBODY = str(uuid.uuid4())
OK = "ok"
CASES = []


def case(message, outcome=OK, user=None, **inputs):
    CASES.append((message, outcome, user, inputs))


# user: `known` and `merged` are made before the cases run; `known` is a user's id.
case("user.get_or_create_user")
case("user.get_or_create_user", anonymous_id="known")
case("user.get_or_create_user", "invalid", anonymous_id="x" * 37)
case("user.get_user_by_anonymous_id", anonymous_id="known")
case("user.get_user_by_anonymous_id", "user_not_found", anonymous_id=NOBODY)
case("user.get_user_by_anonymous_id", "invalid")
case("user.session", user="known")
case("user.session", user="merged")
case("user.session", "unknown_user", user=NOBODY)
case("user.export_user_data", user="known")
case("user.export_user_data", user="merged")
case("user.export_user_data", "unknown_user", user=NOBODY)
case("user.import_user_data", user="known", data={})
case("user.import_user_data", user="merged", data={})
case("user.import_user_data", "import_refused", user="known", data={"insights": [{}]})
case("user.import_user_data", "invalid", user="known", data=[])
case("user.import_user_data", "unknown_user", user=NOBODY, data={})
case("user.set_pro_subscription", anonymous_id="known", pro_subscription=False)
case("user.set_pro_subscription", anonymous_id="merged", pro_subscription=True)
case("user.set_pro_subscription", "user_not_found", anonymous_id=NOBODY, pro_subscription=True)
case("user.set_pro_subscription", "invalid", anonymous_id="known")
case("user.get_pro_users")

# bible
PLACE = {"book": "John", "chapter": 3}
SAVED = {"reference": "John 3:16", "book": "John", "chapter": 3, "verse_start": 16, "translation": "WEB", "text": "For"}
case("bible.translations")
case("bible.passage", **PLACE, verse_start=16)
case("bible.passage", **PLACE, verse_start=16, verse_end=18, translation="WEB", save=True)
case("bible.passage", "passage_not_found", **PLACE, verse_start=99)
case("bible.passage", "translation_requires_pro", **PLACE, verse_start=16, translation="NRSV")
case("bible.passage", "invalid", chapter="three")
case("bible.chapter", **PLACE)
case("bible.chapter", **PLACE, save=True)
case("bible.chapter", "chapter_not_found", book="Tobit", chapter=1)
case("bible.chapter", "translation_requires_pro", **PLACE, translation="NRSV")
case("bible.chapter", "invalid", book="John")
case("bible.chapter_content", **PLACE)
case("bible.chapter_content", "chapter_content_not_found", **PLACE, translation="XYZ")
case("bible.chapter_content", "translation_requires_pro", **PLACE, translation="NRSV")
case("bible.chapter_content", "invalid")
case("bible.save_passage", **SAVED)
case("bible.save_passage", **SAVED, verse_end=17)
case("bible.save_passage", "invalid", **{**SAVED, "chapter": 0})

# insight and definition: `insight` and `definition` are ids of what `known` may link; of the twins, two texts of one MD5,
# the first is stored and is the known user's own as well.
TWINS = ("TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak",
         "TEXTCOLLBYfGiJUETHQ4hEcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak")
SAVES = {
    "insight": {"passage_reference": "John 3:16", "passage_text": "For", "historical_context": "h",
                "theological_significance": "t", "practical_application": "p"},
    "definition": {"word": "world", "passage_reference": "John 3:16", "verse_text": "For", "definition": "d",
                   "biblical_usage": "b", "original_language": "o"},
}
TEXTS = {"insight": "passage_text", "definition": "verse_text"}
for thing, save in SAVES.items():
    case(f"{thing}.save_{thing}", user="known", **save)
    case(f"{thing}.save_{thing}", user="known", **save)
    case(f"{thing}.save_{thing}", f"{thing}_collides", user="known", **{**save, TEXTS[thing]: TWINS[1]})
    case(f"{thing}.save_{thing}", "invalid", user="known", **{**save, TEXTS[thing]: 1})
    case(f"{thing}.save_{thing}", "unknown_user", user=NOBODY, **save)
    case(f"{thing}.link_{thing}_to_user", user="known", **{f"{thing}_id": thing})
    case(f"{thing}.link_{thing}_to_user", f"{thing}_not_found", user="known", **{f"{thing}_id": 2**40})
    case(f"{thing}.link_{thing}_to_user", "invalid", user="known", **{f"{thing}_id": "x"})
    case(f"{thing}.link_{thing}_to_user", "unknown_user", user=NOBODY, **{f"{thing}_id": thing})
    case(f"{thing}.get_user_{thing}s", user="known")
    case(f"{thing}.get_user_{thing}s", user="merged", limit=1)
    case(f"{thing}.get_user_{thing}s", "invalid", user="known", limit=501)
    case(f"{thing}.get_user_{thing}s", "unknown_user", user=NOBODY)
    case(f"{thing}.clear_user_{thing}s", user="known")
    case(f"{thing}.clear_user_{thing}s", user="merged")
    case(f"{thing}.clear_user_{thing}s", "unknown_user", user=NOBODY)

# chat: `chat` is another of the known user's chats each time.
for message, field in (("get_chat_messages", "insight_id"), ("clear_chat_messages", "insight_id"),
                       ("get_standalone_chat_messages", "chat_id"), ("delete_standalone_chat", "chat_id")):
    case(f"chat.{message}", user="known", **{field: "chat"})
    case(f"chat.{message}", "invalid", user="known", **{field: "x"})
    case(f"chat.{message}", "unknown_user", user=NOBODY, **{field: 1})
case("chat.get_standalone_chats", user="known")
case("chat.get_standalone_chats", "invalid", user="known", limit="x")
case("chat.get_standalone_chats", "unknown_user", user=NOBODY)
case("chat.delete_standalone_chat", "chat_not_found", user="known", chat_id=2**40)
case("chat.delete_standalone_chat", "chat_not_found", user="known", chat_id=0)

case("user.clear_user_data", user="fresh")
case("user.clear_user_data", user="merged")
case("user.clear_user_data", "unknown_user", user=NOBODY)

# device_link: `fresh` is a new user each time, `code` and `expired` another one's code, `device` one of the known user's;
# the crowded user has three codes that are pending, `own` is one of them.
case("device_link.create_or_update_device", user="fresh")
case("device_link.create_or_update_device", user="fresh", user_agent="A", device_name="B", device_type="C")
case("device_link.create_or_update_device", "invalid", user="known", device_type="x" * 21)
case("device_link.create_or_update_device", "unknown_user", user=NOBODY)
case("device_link.generate_link_code", user="fresh")
case("device_link.generate_link_code", "too_many_link_codes", user="crowded")
case("device_link.generate_link_code", "unknown_user", user=NOBODY)
case("device_link.accept_link_code", user="fresh", code="code")
case("device_link.accept_link_code", user="fresh", code="code", device_name="B", device_type="C")
case("device_link.accept_link_code", "link_code_invalid", user="known", code="ABCD-EFGH-JKLM")
case("device_link.accept_link_code", "link_code_own", user="crowded", code="own")
case("device_link.accept_link_code", "link_code_expired", user="known", code="expired")
case("device_link.accept_link_code", "link_code_used", user="known", code="used")
case("device_link.accept_link_code", "link_code_revoked", user="known", code="revoked")
case("device_link.accept_link_code", "invalid", user="known", code=1)
case("device_link.accept_link_code", "unknown_user", user=NOBODY, code="code")
case("device_link.merge_users", anonymous_id="fresh", other_anonymous_id="fresh")
case("device_link.merge_users", "user_not_found", anonymous_id="known", other_anonymous_id=NOBODY)
case("device_link.merge_users", "same_user", anonymous_id="known", other_anonymous_id="merged")
case("device_link.merge_users", "invalid", anonymous_id="known")
case("device_link.get_user_devices", user="known")
case("device_link.get_user_devices", user="merged")
case("device_link.get_user_devices", "unknown_user", user=NOBODY)
case("device_link.unlink_device", user="known", device_id="device")
case("device_link.unlink_device", "device_not_found", user="fresh", device_id="device")
case("device_link.unlink_device", "invalid", user="known", device_id="x")
case("device_link.unlink_device", "unknown_user", user=NOBODY, device_id=1)
case("device_link.revoke_user_codes", user="known")
case("device_link.revoke_user_codes", user="merged")
case("device_link.revoke_user_codes", "unknown_user", user=NOBODY)
case("device_link.cleanup_expired_codes")


class Cases(fleet.LecternTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contract = json.loads(fleet.command("ls", "--json").stdout)
        cls.clients = {d: wire.Client(cls.lectern.socket_of(d)) for d in fleet.DOMAINS}
        known = cls.clients["user"].ask("user.get_or_create_user")
        cls.names = {"known": known["anonymous_id"], "merged": str(uuid.uuid4())}
        cls.lectern.sql("insert into merged_users (anonymous_id, user_id) values"
                        f" ('{cls.names['merged']}', {known['id']})")
        for thing, save in SAVES.items():
            number = cls.save_text(thing, save, "null")
            cls.save_text(thing, {**save, TEXTS[thing]: TWINS[0]}, "null")
            cls.save_text(thing, {**save, TEXTS[thing]: TWINS[0]}, known["id"])
            cls.names[thing] = number
        cls.names["chat"] = lambda: int(cls.lectern.sql(
            f"insert into standalone_chats (user_id) values ({known['id']}) returning id").split()[0])
        cls.name_devices()
        cls.lectern.sql("update bible_translations set code = 'NRSV', requires_pro = true, version = version + 1000"
                        " where code = 'KJV'")
        path = "/api/passage?book=John&chapter=3&verse_start=16&translation=NRSV"
        fleet.wait_for("the new catalog", lambda: cls.lectern.get(path).status == 403, 60)

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients.values():
            client.close()
        super().tearDownClass()

    @classmethod
    def save_text(cls, thing, columns, imported_by):
        values = ", ".join(f"'{value}'" for value in columns.values())
        return int(cls.lectern.sql(f"insert into saved_{thing}s ({', '.join(columns)}, imported_by)"
                                   f" values ({values}, {imported_by}) returning id").split()[0])

    @classmethod
    def name_devices(cls):
        ask = cls.clients["device_link"].ask
        fresh = lambda: cls.clients["user"].ask("user.get_or_create_user")["anonymous_id"]
        code = lambda user=None: ask("device_link.generate_link_code", user=user or fresh())["display_code"]

        def expired():
            text = code()
            cls.lectern.sql(f"update device_link_codes set expires_at = now() where display_code = '{text}'")
            return text

        names = {name: fresh() if name == "crowded" else code() for name in ("used", "revoked", "crowded")}
        names["own"] = [code(names["crowded"]) for _ in range(3)][0]
        for status in ("used", "revoked"):
            cls.lectern.sql(f"update device_link_codes set status = '{status}' where display_code = '{names[status]}'")
        agents = itertools.count()
        device = lambda: ask("device_link.create_or_update_device", {"user_agent": f"agent {next(agents)}"},
                             user=cls.names["known"])["device_id"]
        device()  # one that stays: the user goes with the last
        cls.names.update(names, fresh=fresh, code=code, expired=expired, device=device)

    def named_user(self, user):
        meant = self.names.get(user, user)
        return meant() if callable(meant) else meant

    def named(self, inputs):
        """The inputs with what their names mean, made anew for each way in."""
        meant = {k: self.names.get(v, v) if isinstance(v, str) else v for k, v in inputs.items()}
        return {k: v() if callable(v) else v for k, v in meant.items()}

    def message(self, name):
        return next(m for m in self.contract if m["name"] == name)

    def over_wire(self, name, user, inputs):
        client = self.clients[name.split(".")[0]]
        try:
            header, body = client.call(name, inputs, user=user)
            return header["status"], body
        except wire.Fault as fault:
            return fault.name, fault.detail

    def over_http(self, message, user, inputs):
        path, query, body = message["path"], {}, None
        for field in message["in"]:
            if field["name"] not in inputs:
                continue
            value = inputs[field["name"]]
            if field["place"] == "path":
                path = path.replace("{%s}" % field["name"], urllib.parse.quote(str(value)))
            elif field["place"] == "query":
                query[field["name"]] = str(value).lower() if isinstance(value, bool) else value
            elif field["place"] == "body":
                body = {**(body or {}), field["name"]: value}
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self.lectern.request(message["verb"], path, body, user=user)

    def test_each_case(self):
        for name, outcome, user, inputs in CASES:
            with self.subTest(message=name, outcome=outcome, inputs=inputs):
                status, body = self.over_wire(name, self.named_user(user), self.named(inputs))
                self.assertEqual(status, outcome, body)
                message = self.message(name)
                if outcome == OK:
                    wanted = {f["name"] for f in message["out"] if f["absent"] == "never"}
                    self.assertLessEqual(wanted, set(body))
                if message.get("path"):
                    self.agrees(message, outcome, body, self.over_http(message, self.named_user(user), self.named(inputs)))

    def agrees(self, message, outcome, body, answer):
        if outcome == "unknown_user":  # HTTP makes a user instead
            self.assertIn(answer.status, (200, *(f["status"] for f in message["faults"])))
            self.assertIsNotNone(answer.cookie)
        elif outcome == OK:
            self.assertEqual(answer.status, 200)
            self.assertEqual(self.members(message, answer.json), {f["name"] for f in message["out"]})
        elif outcome == "invalid":
            self.assertEqual(answer.status, 422)
            self.assertEqual([f["loc"] for f in answer.json["detail"]], [f["loc"] for f in body])
        else:
            self.assertEqual(answer.status, {f["name"]: f["status"] for f in message["faults"]}[outcome])
            self.assertEqual(answer.json, {"detail": body})

    def members(self, message, answer):
        """Their names; an answer that is itself an output counts as that."""
        bare = [f["name"] for f in message["out"] if f["bare"]]
        return set(bare) if bare and isinstance(answer, list) else set(answer)

    def test_nothing_is_without_a_case(self):
        covered = {(name, outcome) for name, outcome, _, _ in CASES}
        missing = []
        for message in self.contract:
            if any(f["name"] == "model_absent" for f in message["faults"]):
                continue  # asks the language model: see model_test.py
            wanted = [OK, *(f["name"] for f in message["faults"])]
            if any(f["required"] for f in message["in"]):
                wanted.append("invalid")
            if message["for"] == "user":
                wanted.append("unknown_user")
            missing += [(message["name"], w) for w in wanted if (message["name"], w) not in covered]
        self.assertEqual(missing, [])


if __name__ == "__main__":
    fleet.main()

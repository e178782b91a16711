"""Inputs of every message, each wrong in every way: by msgpack straight to the actors, and by HTTP.

The cases are made from the contract as `lectern ls --json` tells it, so that a new message is tested as well.
"""

import json
import struct
import urllib.parse

import msgpack

import _path  # noqa: F401
import fleet
import wire

PATH_VALUE = "1"
GOOD = {"str": "x", "integer": 1, "id": 1, "boolean": False, "time": 1, "iso": 1, "any": {}, "one": {}, "list": []}
# Values that no field of a type may have, with what is said about them, as msgpack has them.
NUMBERS = [("x", "int_type"), ("1", "int_type"), (1.0, "int_type"), (1.5, "int_type"), (True, "int_type"),
           ([1], "int_type"), ({"a": 1}, "int_type"), (b"1", "int_type")]
WRONG = {
    "str": [(1, "string_type"), (-1, "string_type"), (1.5, "string_type"), (True, "string_type"), ([], "string_type"),
            (["x"], "string_type"), ({}, "string_type"), (b"x", "string_type"), ("a\0b", "value_error"),
            ("\0", "value_error")],
    "integer": NUMBERS, "id": NUMBERS, "time": NUMBERS, "iso": NUMBERS,
    "boolean": [("true", "bool_type"), (1, "bool_type"), (0, "bool_type"), (1.0, "bool_type"), ([], "bool_type"),
                ({}, "bool_type")],
    "any": [("a\0b", "value_error"), ({"a": ["\0"]}, "value_error"), ({"\0": 1}, "value_error")],
    "one": [(1, "model_attributes_type"), ([], "model_attributes_type")],
    "list": [(1, "list_type"), ({}, "list_type")],
}
DOCUMENT = [(value, "dict_type") for value in ("{}", "a\0b", 1, 1.5, True, [], [{}], None, b"{}")]  # what is in one, its handler judges
NULL = {"str": "string_type", "integer": "int_type", "id": "int_type", "time": "int_type", "iso": "int_type",
        "boolean": "bool_type", "one": "model_attributes_type", "list": "list_type"}
# The same as texts, as queries and paths have them.
WRONG_TEXT = {
    "integer": ["", "x", "1x", "1.5", "1e3", "0x1", "--1", "+", "1 2", "\u0661", "1\0", "NaN", "true", "1,0"],
    "boolean": ["", "x", "2", "10", "-1", "yess", "true\0"],
    "str": ["a\0b"],
}
WRONG_TEXT["id"] = WRONG_TEXT["time"] = WRONG_TEXT["iso"] = WRONG_TEXT["integer"]
SAID_OF_TEXT = {"integer": "int_parsing", "id": "int_parsing", "time": "int_parsing", "iso": "int_parsing",
                "boolean": "bool_parsing", "str": "value_error"}


def contract():
    return json.loads(fleet.command("ls", "--json").stdout)


def most_chars(field):
    return field.get("most_chars", 50000)


def good_value(field):
    if field["type"] == "one" and "of" in field:
        return good(field["of"])
    return max(GOOD[field["type"]], field["least"]) if "least" in field else GOOD[field["type"]]


def good(fields):
    return {field["name"]: good_value(field) for field in fields}


def wrong_of(field):
    return DOCUMENT if field.get("document") else WRONG[field["type"]]


def wrong_values(field):
    """Each wrong value of a field with the type of its fault."""
    yield from wrong_of(field)
    if field["required"] and field["type"] in NULL:
        yield None, NULL[field["type"]]
    if field["type"] == "str":
        yield "x" * (most_chars(field) + 1), "string_too_long"
        yield "\U0001f600" * (most_chars(field) + 1), "string_too_long"
    if "least" in field:
        yield field["least"] - 1, "greater_than_equal"
        yield -2**63, "greater_than_equal"
        yield field["most"] + 1, "less_than_equal"
        yield 2**64 - 1, "less_than_equal"


def int_forms(number):
    """The number in every form that msgpack has for it."""
    forms = [(b"\xd0", ">b"), (b"\xd1", ">h"), (b"\xd2", ">i"), (b"\xd3", ">q"), (b"\xcc", ">B"), (b"\xcd", ">H"),
             (b"\xce", ">I"), (b"\xcf", ">Q")]
    for code, form in forms:
        try:
            yield code + struct.pack(form, number)
        except struct.error:
            continue
    if 0 <= number < 128 or -32 <= number < 0:
        yield struct.pack("b", number)


class ByMessage(fleet.LecternTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.messages = contract()
        cls.clients = {domain: wire.Client(cls.lectern.socket_of(domain)) for domain in fleet.DOMAINS}
        cls.user = cls.lectern.new_user()

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients.values():
            client.close()
        super().tearDownClass()

    def client(self, message):
        return self.clients[message["name"].split(".")[0]]

    def send(self, message, body):
        return self.client(message).send(message["name"], body, user=self.user)

    def replies(self, message, wanted):
        """Status and detail of each, in the order of the ids."""
        got = {}
        while len(got) < len(wanted):
            header, body = self.client(message).receive()
            got[header["id"]] = (header["status"], body.get("detail"))
        return [got[number] for number in wanted]

    def check(self, message, cases):
        """Cases: body, and the types and places of the faults that are expected."""
        for at in range(0, len(cases), 100):
            some = cases[at:at + 100]
            ids = [self.send(message, body) for body, _ in some]
            for (body, expected), (status, detail) in zip(some, self.replies(message, ids)):
                with self.subTest(message=message["name"], body=repr(body)[:200]):
                    self.assertEqual(status, "invalid")
                    self.assertEqual([(f["type"], f["loc"]) for f in detail], expected)

    def test_each_fault_at_each_field(self):
        for message in self.messages:
            fields = message["in"]
            cases = []
            for field in fields:
                place = [field["place"], field["name"]]
                cases += [({**good(fields), field["name"]: value}, [(kind, place)]) for value, kind in wrong_values(field)]
                if field["required"]:
                    without = {k: v for k, v in good(fields).items() if k != field["name"]}
                    cases.append((without, [("missing", place)]))
            self.check(message, cases)

    def test_all_faults_at_once(self):
        for message in self.messages:
            fields = [f for f in message["in"] if wrong_of(f)]
            required = [f for f in fields if f["required"]]
            if fields:
                values = {f["name"]: wrong_of(f)[0] for f in fields}
                self.check(message, [({name: value for name, (value, _) in values.items()},
                                      [(values[f["name"]][1], [f["place"], f["name"]]) for f in fields])])
            if required:
                self.check(message, [({"other": 1}, [("missing", [f["place"], f["name"]]) for f in required])])

    def test_the_input_is_shown(self):
        body = {"reference": 5, "book": "x" * 51, "chapter": [1, {"a": None}], "verse_start": 0, "translation": "a\0", "x": 1}
        status, detail = self.replies(message := {"name": "bible.save_passage"}, [self.send(message, body)])[0]
        self.assertEqual(status, "invalid")
        self.assertEqual({f["loc"][1]: f["input"] for f in detail},
                         {**{k: v for k, v in body.items() if k != "x"}, "text": body})

    def frames(self, body, method="bible.save_passage", header=None):
        """Status and detail of a reply to a body of bytes."""
        client = self.clients[method.split(".")[0]]
        number = next(wire.Client.ids)
        client.send_frames(header or msgpack.packb({"v": 1, "id": number, "method": method, "user": self.user}), body)
        while True:
            head, answer = client.receive()
            if head["id"] == number:
                return head["status"], answer.get("detail")

    def member(self, name, value):
        """A body of save_passage with one member of bytes of its own."""
        fields = {"reference": "r", "book": "b", "chapter": 1, "verse_start": 1, "translation": "t", "text": "x"}
        fields.pop(name, None)
        return (bytes([0x80 + len(fields) + 1]) + b"".join(msgpack.packb(k) + msgpack.packb(v) for k, v in fields.items())
                + msgpack.packb(name) + value)

    def test_numbers_of_every_width(self):
        for number, expected in ((1, "ok"), (100, "ok"), (200, "ok"), (0, "greater_than_equal"), (-1, "greater_than_equal"),
                                 (-33, "greater_than_equal"), (-2**15, "greater_than_equal"), (-2**31, "greater_than_equal"),
                                 (-2**63, "greater_than_equal"), (201, "less_than_equal"), (2**16, "less_than_equal"),
                                 (2**31, "less_than_equal"), (2**32, "less_than_equal"), (2**63 - 1, "less_than_equal"),
                                 (2**63, "less_than_equal"), (2**64 - 1, "less_than_equal")):
            for form in int_forms(number):
                with self.subTest(number=number, form=form):
                    status, detail = self.frames(self.member("chapter", form))
                    self.assertEqual(status if status == "ok" else detail[0]["type"], expected)
        for value in (1.0, float("nan"), float("inf"), -0.0, 1e300):
            for form in (b"\xcb" + struct.pack(">d", value), b"\xca" + struct.pack(">f", min(value, 1e30))):
                with self.subTest(value=value):
                    self.assertEqual(self.frames(self.member("chapter", form))[1][0]["type"], "int_type")

    def test_numbers_past_what_the_database_has(self):
        """A chapter that nobody has is one that does not exist."""
        for number in (2**15, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -1, -2**31 - 1, -2**63):
            for name in ("chapter", "verse_start", "verse_end"):
                body = {"book": "John", "chapter": 3, "verse_start": 1, "verse_end": 2, name: number}
                with self.subTest(number=number, name=name):
                    status, detail = self.frames(msgpack.packb(body), "bible.passage")
                    self.assertIn(status, ("ok", "passage_not_found"), detail)
            status, _ = self.frames(msgpack.packb({"book": "John", "chapter": number}), "bible.chapter")
            self.assertEqual(status, "chapter_not_found")

    def test_bodies_that_are_malformed(self):
        whole = self.member("text", b"\xa1x")
        cases = {
            "nothing": b"", "no map": b"\x01", "nil": b"\xc0", "a list": b"\x90", "a text": b"\xa1x", "never used": b"\xc1",
            "behind it": whole + b"\xc0", "twice": whole + whole,
            "an invalid text": self.member("text", b"\xa1\xff"), "a lone surrogate": self.member("text", b"\xa3\xed\xa0\x80"),
            "an overlong text": self.member("text", b"\xa2\xc0\x80"), "past Unicode": self.member("text", b"\xa4\xf4\x90\x80\x80"),
            "an invalid key": b"\x81\xa1\xff\x01", "a list as key": b"\x81\x90\x01", "a map as key": b"\x81\x80\x01",
            "an ext": self.member("text", b"\xd4\x01x"), "a timestamp": self.member("text", b"\xd6\xff\0\0\0\0"),
            "ext 8": self.member("text", b"\xc7\x01\x01x"), "ext 32": self.member("text", b"\xc9\xff\xff\xff\xff\x01x"),
            "claims a map": b"\xdf\xff\xff\xff\xff", "claims a list": self.member("x", b"\xdd\xff\xff\xff\xff"),
            "claims a text": self.member("text", b"\xdb\xff\xff\xff\xffx"), "claims bytes": self.member("x", b"\xc6\xff\xff\xff\xff"),
            "claims a short list": self.member("x", b"\xdc\xff\xff" + b"\xc0" * 100),
            "too deep": self.member("x", b"\x91" * 24 + b"\xc0"), "much too deep": self.member("x", b"\x91" * 100000 + b"\xc0"),
            "maps too deep": self.member("x", b"\x81\xa1a" * 24 + b"\xc0"),
            "too many values": self.member("x", b"\xdd" + struct.pack(">I", 2100000) + b"\xc0" * 2100000),
        }
        for at in range(1, len(whole)):
            cases[f"cut at {at}"] = whole[:at]
        for what, body in cases.items():
            with self.subTest(what=what):
                status, detail = self.frames(body)
                self.assertIn(status, ("malformed", "too_large") if what != "too many values" else
                              ("malformed", "too_large", "busy"), detail)
        self.assertEqual(self.frames(whole)[0], "ok")

    def test_bodies_that_are_unusual_but_fine(self):
        whole = self.member("text", b"\xa1x")
        for what, body in {
            "longer forms": b"\xdf\0\0\0" + bytes([whole[0] - 0x80]) + whole[1:], "a longer text": self.member("text", b"\xdb\0\0\0\1x"),
            "unknown members": self.member("zzz", b"\x93\xc0\x81\xa1a\xc4\x01\xff\xcb" + struct.pack(">d", float("nan"))),
            "no text as key": bytes([whole[0] + 1]) + whole[1:] + b"\x05\x05",
            "deep": self.member("zzz", b"\x91" * 22 + b"\xc0"),
            "the last one counts": bytes([whole[0] + 1]) + msgpack.packb("text") + b"\x05" + whole[1:],
        }.items():
            with self.subTest(what=what):
                self.assertEqual(self.frames(body)[0], "ok")

    def test_headers_that_are_malformed(self):
        """Where an id can be read, the answer has it; else there is none, and everything goes on."""
        base = {"v": 1, "id": 7, "method": "bible.translations"}
        for change, status in (({"v": 2}, "unsupported_version"), ({"v": 2**64 - 1}, "unsupported_version"), ({"v": 0}, "malformed"),
                               ({"v": -1}, "malformed"), ({"v": "1"}, "malformed"), ({"method": None}, "malformed"),
                               ({"method": b"x"}, "malformed"), ({"method": ""}, "unknown_message"),
                               ({"method": "x" * 5000}, "unknown_message"), ({"op": "fly"}, "malformed"), ({"op": 1}, "malformed"),
                               ({"budget": "1"}, "malformed"), ({"budget": -2**63}, "timeout"), ({"budget": 2**64 - 1}, "ok"),
                               ({"user": 7}, "malformed"), ({"user": "\0"}, "malformed"), ({"trace": []}, "malformed"),
                               ({"trace": "x" * 3000}, "ok"), ({"validator": 1}, "malformed"), ({"more": {"a": [1]}}, "ok")):
            header = {k: v for k, v in {**base, **change}.items() if v is not None or k != "method"}
            self.clients["bible"].send_frames(msgpack.packb(header), b"\x80")
            head, _ = self.clients["bible"].receive()
            self.assertEqual((head["id"], head["status"]), (7, status), str(change)[:80])
        for header in (b"", b"\xc0", b"\x80", b"\x90", b"\xff" * 100, msgpack.packb({"v": 1, "method": "bible.translations"}),
                       msgpack.packb({**base, "id": -1}), msgpack.packb({**base, "id": "7"}), msgpack.packb({**base, "id": 1.5}),
                       msgpack.packb({**base, "x": "y" * 9000}), b"\xdf\xff\xff\xff\xff", b"\x91" * 5000):
            self.clients["bible"].send_frames(header, b"\x80")
        self.assertEqual(self.frames(b"\x80", "bible.translations")[0], "ok")
        self.assertFalse(self.clients["bible"].socket.poll(0))


class ByHttp(fleet.LecternTest):
    """Queries and paths of each message that HTTP offers; bodies have tests of the gateway's own."""

    options = {"env": {"NEW_USER_LIMIT": "0", "WRITE_ENDPOINT_LIMIT": "0"}}

    def ask(self, message, values):
        path = message["path"]
        for field in message["in"]:
            if field["place"] == "path":
                path = path.replace("{%s}" % field["name"], urllib.parse.quote(values.pop(field["name"], PATH_VALUE), safe=""))
        query = urllib.parse.urlencode({k: v for k, v in values.items() if v is not None})
        body = {f["name"]: GOOD[f["type"]] for f in message["in"] if f["place"] == "body"} or None
        return self.lectern.request(message["verb"], f"{path}?{query}", body=body)

    def test_each_fault_at_each_field(self):
        offered = [m for m in contract() if m["path"]]
        self.assertGreater(len(offered), 3)
        for message in offered:
            texts = [f for f in message["in"] if f["place"] in ("query", "path") and f["type"] in WRONG_TEXT]
            fine = {f["name"]: str(good([f])[f["name"]]).lower() for f in texts}
            for field in texts:
                place = [field["place"], field["name"]]
                wrong = [(value, SAID_OF_TEXT[field["type"]]) for value in WRONG_TEXT[field["type"]]
                         if field["place"] == "query" or value and "\0" not in value]  # no target has %00 in its path
                if field["required"] and field["place"] == "query":
                    wrong.append((None, "missing"))
                if "least" in field:
                    wrong += [(str(field["least"] - 1), "greater_than_equal"), (str(field["most"] + 1), "less_than_equal")]
                for value, kind in wrong:
                    with self.subTest(message=message["name"], field=field["name"], value=value):
                        answer = self.ask(message, {**fine, field["name"]: value})
                        self.assertEqual(answer.status, 422, answer.body)
                        self.assertEqual([(f["type"], f["loc"], f["input"]) for f in answer.json["detail"]],
                                         [(kind, place, value)])

    def test_numbers_past_what_the_database_has(self):
        for number in ("2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
                       "-9223372036854775809", "1" + "0" * 300, "-1", "0", "32768"):
            for name in ("chapter", "verse_start"):
                values = {"book": "John", "chapter": "3", "verse_start": "1", name: number}
                with self.subTest(number=number[:30], name=name):
                    answer = self.lectern.get("/api/passage?" + urllib.parse.urlencode(values))
                    self.assertEqual((answer.status, answer.json), (404, {"detail": "Passage not found"}))
        for number, status in (("+3", 200), ("3.0", 200), ("3.", 422), ("03", 200), (" 3 ", 200), ("3.00000", 200), ("-0", 404)):
            with self.subTest(number=number):
                answer = self.lectern.get("/api/chapter?book=John&" + urllib.parse.urlencode({"chapter": number}))
                self.assertEqual(answer.status, status, answer.body)


if __name__ == "__main__":
    fleet.main()

"""Messages sent straight to the actors by a client that knows only the wire's description."""

import uuid

import msgpack
import zmq

import _path  # noqa: F401
import fleet
import wire

CHAPTER = {"book": "John", "chapter": 3}


class Messages(fleet.LecternTest):
    def setUp(self):
        self.user = wire.Client(self.lectern.socket_of("user"))
        self.bible = wire.Client(self.lectern.socket_of("bible"))
        self.addCleanup(self.user.close)
        self.addCleanup(self.bible.close)

    def fault(self, client, method, body=None, **header):
        with self.assertRaises(wire.Fault) as caught:
            client.call(method, body, **header)
        return caught.exception

    def test_users(self):
        made = self.user.ask("user.get_or_create_user")
        self.assertTrue(made["created"])
        again = self.user.ask("user.get_or_create_user", {"anonymous_id": made["anonymous_id"]})
        self.assertEqual((again["id"], again["created"]), (made["id"], False))
        found = self.user.ask("user.get_user_by_anonymous_id", {"anonymous_id": made["anonymous_id"]})
        self.assertEqual(found, {"id": made["id"], "anonymous_id": made["anonymous_id"],
                                 "created_at": made["created_at"], "device_count": 1, "pro_subscription": False})
        session = self.user.ask("user.session", user=made["anonymous_id"])
        self.assertEqual(session["created_at"], made["created_at"])

    def test_faults_of_users(self):
        nobody = str(uuid.uuid4())
        self.assertEqual(self.fault(self.user, "user.get_user_by_anonymous_id", {"anonymous_id": nobody}).name,
                         "user_not_found")
        self.assertEqual(self.fault(self.user, "user.session", user=nobody).name, "unknown_user")
        self.assertEqual(self.fault(self.user, "user.session").name, "unknown_user")
        self.assertEqual(self.fault(self.user, "user.session", user="garbage").name, "unknown_user")

    def test_a_merged_user_learns_the_kept_id(self):
        kept = self.user.ask("user.get_or_create_user")
        gone = str(uuid.uuid4())
        self.lectern.sql(f"insert into merged_users (anonymous_id, user_id) values ('{gone}', {kept['id']})")
        header, session = self.user.call("user.session", user=gone)
        self.assertEqual((header["user"], session["anonymous_id"]), (kept["anonymous_id"], kept["anonymous_id"]))
        found = self.user.ask("user.get_or_create_user", {"anonymous_id": gone})
        self.assertEqual((found["anonymous_id"], found["created"]), (kept["anonymous_id"], False))

    def test_bible(self):
        self.assertEqual([t["code"] for t in self.bible.ask("bible.translations")["translations"]], ["KJV", "WEB"])
        header, passage = self.bible.call("bible.passage", {**CHAPTER, "verse_start": 16})
        self.assertEqual(passage["reference"], "John 3:16")
        self.assertTrue(header["public"])
        again, nothing = self.bible.call("bible.passage", {**CHAPTER, "verse_start": 16}, validator=header["validator"])
        self.assertEqual((again["status"], nothing), ("not_modified", {}))
        self.assertEqual(len(self.bible.ask("bible.chapter", CHAPTER)["verses"]), 36)
        self.assertEqual(self.bible.ask("bible.chapter_content", CHAPTER)["reference"], "John 3")

    def test_save_passage(self):
        body = {"reference": "John 3:16", "book": "John", "chapter": 3, "verse_start": 16, "translation": "WEB",
                "text": "For God so loved"}
        first = self.bible.ask("bible.save_passage", body)["id"]
        self.assertEqual(self.bible.ask("bible.save_passage", body)["id"], first)
        self.assertNotEqual(self.bible.ask("bible.save_passage", {**body, "text": "other"})["id"], first)

    def test_invalid_inputs_are_all_told(self):
        fault = self.fault(self.bible, "bible.passage", {"book": 7, "chapter": "3"})
        self.assertEqual(fault.name, "invalid")
        self.assertEqual([(f["type"], f["loc"]) for f in fault.detail], [
            ("string_type", ["query", "book"]), ("int_type", ["query", "chapter"]),
            ("missing", ["query", "verse_start"])])

    def test_what_is_not_understood(self):
        self.assertEqual(self.fault(self.user, "user.nothing").name, "unknown_message")
        self.assertEqual(self.fault(self.user, "bible.translations").name, "unknown_message")
        newer = {"v": 2, "id": 5, "method": "user.session"}
        self.user.send_frames(msgpack.packb(newer), msgpack.packb({}))
        header, body = self.user.receive()
        self.assertEqual((header["id"], header["status"]), (5, "unsupported_version"))
        self.user.send_frames(msgpack.packb({"v": 1, "id": 6, "method": 7}), msgpack.packb({}))
        self.assertEqual(self.user.receive()[0]["status"], "malformed")
        self.user.send_frames(msgpack.packb({"v": 1, "id": 7, "method": "user.get_or_create_user"}), b"\xc1")
        header, body = self.user.receive()
        self.assertEqual((header["id"], header["status"]), (7, "malformed"))

    def test_garbage_does_no_harm(self):
        for frames in ((b"",), (b"\xc1", b"\xc1"), (b"", b""), (b"a", b"b", b"c"), (b"\xdd\xff\xff\xff\xff", b"x")):
            self.user.send_frames(*frames)
        self.assertTrue(self.user.ask("user.get_or_create_user")["created"])

    def test_unknown_header_keys_are_ignored(self):
        made = self.user.ask("user.get_or_create_user", new_key={"a": [1, 2]})
        self.assertTrue(made["created"])

    def test_a_budget_of_nothing_is_not_started(self):
        before = self.lectern.sql("select count(*) from users")
        self.assertEqual(self.fault(self.user, "user.get_or_create_user", budget=0).name, "timeout")
        self.assertEqual(self.lectern.sql("select count(*) from users"), before)

    def test_ping(self):
        header, pong = self.user.call(None, op="ping")
        self.assertEqual(header["status"], "ok")
        self.assertEqual((pong["domain"], pong["ready"]), ("user", True))

    def test_a_req_socket_works(self):
        sock = zmq.Context.instance().socket(zmq.REQ)
        sock.connect(self.lectern.socket_of("bible"))
        sock.send_multipart([msgpack.packb({"v": 1, "id": 1, "method": "bible.translations"}), msgpack.packb({})])
        self.assertTrue(sock.poll(10000))
        header, body = map(msgpack.unpackb, sock.recv_multipart())
        self.assertEqual(header["status"], "ok")
        sock.close()

    def test_replies_come_in_any_order_each_to_its_request(self):
        wanted = {}
        for chapter in range(1, 22):
            wanted[self.bible.send("bible.chapter", {"book": "John", "chapter": chapter})] = chapter
        for _ in range(21):
            header, body = self.bible.receive()
            self.assertEqual(body["reference"], f"John {wanted.pop(header['id'])}")
        self.assertEqual(wanted, {})


class Command(fleet.LecternTest):
    """`lectern send` and `lectern ls`."""

    def lectern_command(self, *arguments, **more):
        return fleet.command(*arguments, env=self.lectern.env, check=False, **more)

    def test_send(self):
        import json
        done = self.lectern_command("send", "bible.passage", '{"book":"John","chapter":11,"verse_start":35}')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["reference"], "John 11:35")
        user = self.lectern.new_user()
        done = self.lectern_command("send", "user.session", "--user", user, "--timeout", "5000")
        self.assertEqual(json.loads(done.stdout)["anonymous_id"], user)

    def test_send_that_fails(self):
        import json
        done = self.lectern_command("send", "user.session")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("unknown_user", json.dumps(json.loads(done.stderr)))
        self.assertNotEqual(self.lectern_command("send", "user.sesion").returncode, 0)
        self.assertNotEqual(self.lectern_command("send", "bible.passage", "{").returncode, 0)

    def test_ls(self):
        done = self.lectern_command("ls")
        for name in ("user.session", "bible.passage", "bible.save_passage"):
            self.assertIn(name, done.stdout)

    def test_help_everywhere(self):
        for arguments in (["--help"], ["send", "--help"], ["ls", "--help"], ["migrate", "--help"],
                          ["import-bible", "--help"]):
            done = self.lectern_command(*arguments)
            self.assertEqual(done.returncode, 0, arguments)
            self.assertIn("lectern", done.stdout)


if __name__ == "__main__":
    fleet.main()

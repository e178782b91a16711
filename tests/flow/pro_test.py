"""Pro subscriptions: by messages, and by the command `lectern user pro`."""

import json
import uuid

import _path  # noqa: F401
import fleet
import wire


class Pro(fleet.LecternTest):
    def setUp(self):
        self.user = self.lectern.new_user()
        self.client = wire.Client(self.lectern.socket_of("user"))
        self.addCleanup(self.client.close)

    def pro(self, *arguments):
        return fleet.command("user", "pro", *arguments, env=self.lectern.env, check=False)

    def usage(self):
        return self.lectern.get("/api/user/session", user=self.user).json["usage"]["is_pro"]

    def test_given_and_ended(self):
        gone = str(uuid.uuid4())
        self.lectern.sql("insert into merged_users (anonymous_id, user_id)"
                         f" select '{gone}', id from users where anonymous_id = '{self.user}'")
        for name in (self.user, gone):
            for pro in (True, True, False):
                answer = self.client.ask("user.set_pro_subscription", {"anonymous_id": name, "pro_subscription": pro})
                self.assertEqual(answer, {"anonymous_id": self.user, "pro_subscription": pro})
                self.assertEqual(self.usage(), pro)

    def test_listed_in_the_order_of_ids(self):
        self.lectern.sql("insert into users (anonymous_id, pro_subscription, device_count)"
                         " select gen_random_uuid(), n % 2 = 0, 1 from generate_series(1, 3000) as n")
        wanted = self.lectern.sql("select anonymous_id from users where pro_subscription order by id").splitlines()
        self.assertEqual([u["anonymous_id"] for u in self.client.ask("user.get_pro_users")["users"]], wanted)
        listed = json.loads(self.pro("list").stdout)
        self.assertEqual([u["anonymous_id"] for u in listed], wanted)

    def test_the_command(self):
        for action, pro in (("add", True), ("status", True), ("remove", False), ("status", False)):
            done = self.pro(action, self.user)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout)["pro_subscription"], pro)
            self.assertEqual(self.usage(), pro)
            listed = [u["anonymous_id"] for u in json.loads(self.pro("list").stdout)]
            self.assertEqual(self.user in listed, pro)

    def test_the_command_that_fails(self):
        for action in ("add", "remove", "status"):
            done = self.pro(action, str(uuid.uuid4()))
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertEqual(json.loads(done.stderr), {"fault": "user_not_found", "status": 404, "detail": "User not found"})
        self.assertEqual(json.loads(self.pro("add", "x" * 37).stderr)["fault"], "invalid")
        for arguments in ((), ("add",), ("ad", self.user), ("list", "x"), ("add", self.user, "x")):
            self.assertEqual(self.pro(*arguments).returncode, 64)
        self.assertIn("lectern user pro", fleet.command("user", "--help").stdout)
        away = fleet.command("user", "pro", "list", env={"LECTERN_STATE": "/nowhere"}, check=False)
        self.assertEqual(away.returncode, 69)

    def test_not_offered_to_browsers(self):
        for path in ("/api/user/pro", "/api/user/set_pro_subscription", "/api/user/get_pro_users"):
            self.assertEqual(self.lectern.request("POST", path, {"anonymous_id": self.user}, user=self.user).status, 404)


if __name__ == "__main__":
    fleet.main()

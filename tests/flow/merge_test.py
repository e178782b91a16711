"""Merging: two users become one, all that they own goes along, and every device goes on. Also when much happens at once."""

import concurrent.futures
import itertools
import json
import os
import threading
import uuid

import _path  # noqa: F401
import fleet
import owned
import wire

ROUNDS = int(os.environ.get("LECTERN_ROUNDS", 30))
POOL = 8


class Merging(fleet.LecternTest):
    options = {"gateways": 2, "actors": 2, "env": {"NEW_USER_LIMIT": "0", "WRITE_ENDPOINT_LIMIT": "0"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pool = concurrent.futures.ThreadPoolExecutor(POOL)
        cls.local = threading.local()
        cls.instances = itertools.cycle((1, 2))

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown()
        super().tearDownClass()

    def tearDown(self):
        self.assertEqual(self.sql("select deadlocks from pg_stat_database where datname = current_database()"), "0",
                         "locks are taken in one order")

    def sql(self, query):
        return self.lectern.sql(query)

    def users(self, count):
        """Anonymous ids of new users, the oldest first."""
        made = self.sql("insert into users (anonymous_id, device_count, pro_subscription, created_at)"
                        " select gen_random_uuid(), 1, false, now() - interval '1 hour' + n * interval '1 ms'"
                        f" from generate_series(1, {count}) as n returning anonymous_id")
        return made.split()

    def wire(self, message, body=None, user=None):
        """Status and body of the reply; one socket a thread and instance."""
        endpoint = self.lectern.socket_of(message.split(".")[0], next(self.instances))
        clients = self.local.__dict__.setdefault("clients", {})
        if endpoint not in clients:
            clients[endpoint] = wire.Client(endpoint)
        try:
            return "ok", clients[endpoint].ask(message, body, user=user)
        except wire.Fault as fault:
            return fault.name, fault.detail

    def merge(self, one, other):
        return self.wire("device_link.merge_users", {"anonymous_id": one, "other_anonymous_id": other})

    def together(self, *calls):
        """What the calls return, all begun at one time."""
        start = threading.Barrier(len(calls))

        def run(call):
            start.wait(20 * fleet.SLOW)
            return call()
        return [future.result() for future in [self.pool.submit(run, call) for call in calls]]

    def http(self, method, path, user, body=None, agent="Phone/1.0"):
        """The answer, which is never the server's fault."""
        answer = self.lectern.request(method, path, body, user, {"User-Agent": agent}, timeout=30)
        self.assertLess(answer.status, 500, answer.body)
        return answer

    def generate(self, user, **more):
        return self.http("POST", "/api/user/link/generate", user, **more)

    def accept(self, user, code, **more):
        return self.http("POST", "/api/user/link/accept", user, {"code": code}, **more)

    def named(self, cookie):
        return self.http("GET", "/api/user/session", cookie).json["anonymous_id"]

    def one_user(self, cookies):
        """The user whom all these cookies name; the first request with each replaces it."""
        answers = [self.http("GET", "/api/user/session", cookie) for cookie in cookies]
        kept = answers[0].json["anonymous_id"]
        self.assertIn(kept, cookies)
        self.assertEqual({a.json["anonymous_id"] for a in answers}, {kept})
        self.assertEqual([a.cookie for a in answers], [kept if c != kept else None for c in cookies])
        self.assertEqual(self.sql(f"select count(*) from users where anonymous_id in ({quoted(cookies)})"), "1")
        return kept


def quoted(texts):
    return ", ".join(f"'{text}'" for text in texts)


class Whole(Merging):
    def merged(self, more=0):
        """Two users who have all there is and were merged: the kept one, the other, and what both had."""
        gone, kept = self.users(2)
        for user in (gone, kept):
            owned.populate(self.lectern, user)
        before = [owned.counts(self.lectern, user) for user in (gone, kept)]
        numbers = [self.sql(f"select id from users where anonymous_id = '{user}'") for user in (gone, kept)]
        self.assertGreaterEqual(min(min(b.values()) for b in before), 1)
        status, body = self.merge(gone, kept)
        self.assertEqual((status, body), ("ok", {"anonymous_id": kept, "merged_anonymous_id": gone, "device_count": 4}))
        return kept, gone, before, numbers

    def test_everything_goes_to_the_kept_user(self):
        kept, gone, (theirs, own), _ = self.merged()
        after = owned.counts(self.lectern, kept)
        joined = {"user_insights.user_id": 2, "user_definitions.user_id": 2,  # the shared one, and the twin
                  "insight_chat_summaries.user_id": 2, "usage_tracking.user_id": 1,
                  "saved_insights.imported_by": 1, "saved_definitions.imported_by": 1}
        for name in after:
            expected = theirs[name] + own[name] - joined.get(name, 0) + (name == "merged_users.user_id")
            self.assertEqual(after[name], expected, name)
        self.assertEqual(self.sql(f"select count(*) from users where anonymous_id = '{gone}'"), "0")

    def test_links_that_both_have_stay_once(self):
        kept, _, _, (gone_id, kept_id) = self.merged()
        self.assertEqual(self.sql("select string_agg(passage_reference || ' ' || count, ', ' order by passage_reference) from ("
                                  " select passage_reference, count(*) from user_insights join saved_insights on id = insight_id"
                                  f" where user_id = {kept_id} group by 1) as c"),
                         ", ".join(sorted(["SHARED 1", f"of-{gone_id} 1", f"of-{kept_id} 1", "twin 1"])))

    def test_imported_twins_are_joined_with_their_chats(self):
        _, _, _, (gone_id, kept_id) = self.merged()
        twin = f"passage_reference = 'twin' and imported_by = {kept_id}"
        self.assertEqual(self.sql(f"select historical_context from saved_insights where {twin}"), f"of-{kept_id}")
        self.assertEqual(self.sql("select string_agg(distinct content, ' ' order by content), count(*) from chat_messages"
                                  f" join saved_insights as i on i.id = insight_id where {twin} and user_id = {kept_id}"),
                         " ".join(sorted((f"of-{gone_id}", f"of-{kept_id}"))) + "|4")

    def test_the_kept_users_summary_stays(self):
        _, _, _, (gone_id, kept_id) = self.merged()
        self.assertEqual(self.sql("select summary_text from insight_chat_summaries join saved_insights as i on i.id = insight_id"
                                  f" where user_id = {kept_id} and passage_reference in ('twin', 'SHARED')").split(),
                         [f"of-{kept_id}"] * 2)

    def test_the_days_calls_and_reservations_are_added(self):
        _, _, _, (_, kept_id) = self.merged()
        self.assertEqual(self.sql("select llm_calls, cardinality(reserved) from usage_tracking"
                                  f" where user_id = {kept_id} and date = date_trunc('day', now(), 'UTC')"), "4|2")

    def test_conversations_keep_their_messages_and_summaries(self):
        _, _, _, (gone_id, kept_id) = self.merged()
        self.assertEqual(self.sql("select count(*), count(distinct m.content), count(s.id) from standalone_chats c"
                                  " join standalone_chat_messages m on m.chat_id = c.id"
                                  " join conversation_summaries s on conversation_type = 'standalone' and conversation_id = c.id"
                                  f" where c.user_id = {kept_id}"), "4|2|4")

    def test_devices_are_never_joined(self):
        kept, _, _, _ = self.merged()
        self.assertEqual([d["user_agent"] for d in self.http("GET", "/api/user/devices", kept).json].count("twin"), 2)
        self.assertEqual(self.sql(f"select device_count from users where anonymous_id = '{kept}'"), "4")

    def test_a_code_of_the_other_still_works(self):
        kept, gone = None, self.users(1)[0]
        code = self.generate(gone).json["display_code"]
        kept = self.users(1)[0]
        self.merge(gone, kept)
        self.assertEqual(self.accept(self.users(1)[0], code).status, 200)

    def test_pro_stays_if_either_had_it(self):
        for pros in itertools.product((True, False), repeat=2):
            pair = self.users(2)
            for user, pro in zip(pair, pros):
                self.sql(f"update users set pro_subscription = {pro} where anonymous_id = '{user}'")
            self.merge(*pair)
            self.assertEqual(self.http("GET", "/api/user/session", pair[0]).json["usage"]["is_pro"], any(pros))

    def test_kept_is_the_one_with_more_devices_else_the_newer(self):
        for devices, kept in (((0, 0), 1), ((1, 0), 1), ((0, 1), 1), ((2, 1), 0), ((1, 2), 1), ((2, 2), 1), ((3, 0), 0)):
            for turned in (False, True):
                pair = self.users(2)
                for user, count in zip(pair, devices):
                    self.sql("insert into user_devices (user_id) select id from users, generate_series(1, %d)"
                             " where anonymous_id = '%s'" % (count, user))
                _, body = self.merge(*(reversed(pair) if turned else pair))
                self.assertEqual(body["anonymous_id"], pair[kept], devices)
                self.assertEqual(body["device_count"], max(sum(devices), 1))

    def test_nobody_and_oneself(self):
        user, other = self.users(2)
        nobody = str(uuid.uuid4())
        self.assertEqual(self.merge(user, user)[0], "same_user")
        self.assertEqual(self.merge(user, nobody)[0], "user_not_found")
        self.assertEqual(self.merge(nobody, user)[0], "user_not_found")
        self.assertEqual(self.merge(nobody, nobody)[0], "user_not_found")
        self.merge(user, other)
        self.assertEqual(self.merge(user, other)[0], "same_user")

    def test_chains_are_flat_and_every_device_goes_on(self):
        chain = self.users(6)
        for one, other in zip(chain, chain[1:]):
            self.assertEqual(self.merge(one, other)[0], "ok")
        kept = self.one_user(chain)
        self.assertEqual(kept, chain[-1])
        self.assertEqual(self.sql("select count(*) from merged_users join users on users.id = user_id"
                                  f" where users.anonymous_id = '{kept}'"), "5")

    def test_every_route_replaces_the_cookie(self):
        gone, kept = self.users(2)
        self.merge(gone, kept)
        routes = [(m["verb"], m["path"]) for m in json.loads(fleet.command("ls", "--json").stdout)
                  if m.get("path") and m["for"] == "user" and m["verb"] != "POST"]
        self.assertGreater(len(routes), 10)
        for verb, path in routes:
            with self.subTest(path=path):
                answer = self.lectern.request(verb, path.replace("{", "").replace("}", "").replace("device_id", "1")
                                              .replace("insight_id", "1").replace("chat_id", "1"), user=gone)
                self.assertEqual(answer.cookie, kept, (answer.status, answer.body))

    def test_a_merge_that_fails_changes_nothing(self):
        gone, kept = self.users(2)
        for user in (gone, kept):
            owned.populate(self.lectern, user)
        before = [owned.counts(self.lectern, user) for user in (gone, kept)]
        self.sql(f"alter table merged_users add constraint refuse check (anonymous_id <> '{gone}')")
        try:
            self.assertEqual(self.merge(gone, kept)[0], "internal")
        finally:
            self.sql("alter table merged_users drop constraint refuse")
        self.assertEqual([owned.counts(self.lectern, user) for user in (gone, kept)], before)
        self.assertEqual(self.merge(gone, kept)[0], "ok")


class AtOnce(Merging):
    def test_the_same_two_from_both_sides(self):
        users = self.users(2 * ROUNDS)
        for one, other in zip(users[::2], users[1::2]):
            outcomes = self.together(lambda: self.merge(one, other), lambda: self.merge(other, one))
            self.assertEqual(sorted(status for status, _ in outcomes), ["ok", "same_user"])
            self.one_user([one, other])

    def test_each_accepts_the_others_code(self):
        users = self.users(2 * ROUNDS)
        for one, other in zip(users[::2], users[1::2]):
            codes = [self.generate(user).json["display_code"] for user in (one, other)]
            answers = self.together(lambda: self.accept(one, codes[1]), lambda: self.accept(other, codes[0]))
            self.assertEqual(sorted(a.status for a in answers), [200, 400])
            refused, = [a for a in answers if a.status == 400]
            self.assertEqual(refused.json, {"detail": "Cannot link device to itself"})
            self.one_user([one, other])

    def test_a_ring_of_merges(self):
        for _ in range(ROUNDS // 3):
            ring = self.users(POOL)
            outcomes = self.together(*(lambda i=i: self.merge(ring[i], ring[(i + 1) % POOL]) for i in range(POOL)))
            self.assertEqual(sorted(status for status, _ in outcomes), ["ok"] * (POOL - 1) + ["same_user"])
            self.one_user(ring)

    def test_everybody_with_everybody(self):
        for _ in range(ROUNDS // 3):
            users = self.users(4)
            pairs = [*itertools.combinations(users, 2), (users[3], users[0]), (users[2], users[1])]
            outcomes = self.together(*(lambda p=p: self.merge(*p) for p in pairs))
            self.assertEqual(sorted({status for status, _ in outcomes}), ["ok", "same_user"])
            self.assertEqual([status for status, _ in outcomes].count("ok"), 3)
            self.one_user(users)

    def test_two_devices_accept_one_code(self):
        users = self.users(3 * ROUNDS)
        for source, one, other in zip(users[::3], users[1::3], users[2::3]):
            code = self.generate(source).json["display_code"]
            answers = self.together(lambda: self.accept(one, code, agent="One"), lambda: self.accept(other, code, agent="Other"))
            self.assertEqual(sorted(a.status for a in answers), [200, 400])
            refused, = [a for a in answers if a.status == 400]
            self.assertEqual(refused.json, {"detail": "This code has already been used"})
            winner, loser = (one, other) if answers[0].status == 200 else (other, one)
            kept = self.one_user([source, winner])
            self.assertEqual(self.named(loser), loser)
            self.assertEqual(self.sql(f"select device_count from users where anonymous_id = '{kept}'"), "2")

    def test_one_device_accepts_a_code_twice(self):
        users = self.users(2 * ROUNDS)
        for source, caller in zip(users[::2], users[1::2]):
            code = self.generate(source).json["display_code"]
            answers = self.together(*[lambda: self.accept(caller, code)] * 2)
            self.assertEqual(sorted(a.status for a in answers), [200, 400])
            self.one_user([source, caller])

    def test_codes_asked_for_at_once_are_three(self):
        for user in self.users(ROUNDS):
            answers = self.together(*[lambda: self.generate(user)] * 6)
            self.assertEqual(sorted(a.status for a in answers), [200] * 3 + [400] * 3)
            self.assertEqual(self.sql("select count(*), max(device_count), (select count(*) from user_devices where user_id = users.id)"
                                      " from device_link_codes join users on users.id = source_user_id"
                                      f" where anonymous_id = '{user}' group by users.id"), "3|1|1")

    def test_one_device_is_recorded_once(self):
        for user in self.users(ROUNDS // 3):
            outcomes = self.together(*[lambda: self.wire("device_link.create_or_update_device", {"user_agent": "A"}, user)] * 6)
            self.assertEqual([body["created"] for _, body in outcomes].count(True), 1)
            self.assertEqual(len({body["device_id"] for _, body in outcomes}), 1)

    def test_unlinking_while_merged(self):
        users = self.users(2 * ROUNDS)
        for one, other in zip(users[::2], users[1::2]):
            for user in (one, other):
                self.generate(user)
            device = self.http("GET", "/api/user/devices", one).json[0]["id"]
            (status, _), answer = self.together(lambda: self.merge(one, other),
                                                lambda: self.http("DELETE", f"/api/user/devices/{device}", one))
            self.assertEqual(answer.status, 200)
            if answer.json["data_deleted"]:  # before the merge, for which there was nobody then
                self.assertEqual((status, self.named(other)), ("user_not_found", other))
            else:
                self.assertEqual((status, answer.json["device_count"]), ("ok", 1))
                self.one_user([one, other])
            self.assertEqual(len(self.http("GET", "/api/user/devices", other).json), 1)

    def test_both_last_devices_at_once(self):
        for user in self.users(ROUNDS):
            for agent in ("A", "B"):
                self.wire("device_link.create_or_update_device", {"user_agent": agent}, user)
            ids = [d["id"] for d in self.http("GET", "/api/user/devices", user).json]
            answers = self.together(*(lambda i=i: self.http("DELETE", f"/api/user/devices/{i}", user) for i in ids))
            self.assertEqual(sorted((a.json["device_count"], a.json["data_deleted"]) for a in answers), [(0, True), (1, False)])
            self.assertEqual(self.sql(f"select count(*) from users where anonymous_id = '{user}'"), "0")

    def test_one_last_device_twice(self):
        for user in self.users(ROUNDS):
            _, body = self.wire("device_link.create_or_update_device", {}, user)
            path = f"/api/user/devices/{body['device_id']}"
            answers = self.together(*[lambda: self.http("DELETE", path, user)] * 2)
            self.assertEqual(sorted(a.status for a in answers), [200, 400])

    def test_sweeps_while_codes_are_accepted(self):
        users = self.users(2 * ROUNDS)
        for source, caller in zip(users[::2], users[1::2]):
            code = self.generate(source).json["display_code"]
            self.sql(f"update device_link_codes set expires_at = now() where display_code = '{code}'")
            sweep = lambda: self.wire("device_link.cleanup_expired_codes")
            answer, *swept = self.together(lambda: self.accept(caller, code), *[sweep] * 4)
            self.assertEqual(answer.json, {"detail": "This code has expired. Please generate a new one."})
            self.assertLessEqual(sum(body["count"] for _, body in swept), 1)
            self.assertEqual(self.sql(f"select status from device_link_codes where display_code = '{code}'"), "expired")

    def test_revoking_while_accepted(self):
        users = self.users(2 * ROUNDS)
        for source, caller in zip(users[::2], users[1::2]):
            code = self.generate(source).json["display_code"]
            answer, revoked = self.together(lambda: self.accept(caller, code),
                                            lambda: self.http("DELETE", "/api/user/link/codes", source))
            if answer.status == 200:
                self.assertEqual(revoked.json["count"], 0)
                self.one_user([source, caller])
            else:
                self.assertEqual((answer.json["detail"], revoked.json["count"]), ("This code has been revoked", 1))


class Writing(Merging):
    """While two are merged, both write: nothing that was answered with success is lost."""

    def write(self, message, body, user):
        """As a client does: who was merged meanwhile is told to ask for his new id."""
        for _ in range(4):
            status, answer = self.wire(message, body, user)
            if status != "unknown_user":
                return status, answer
            user = self.wire("user.get_or_create_user", {"anonymous_id": user})[1]["anonymous_id"]
        return status, answer

    def insight(self, reference):
        return {"passage_reference": reference, "passage_text": "text", "historical_context": "h",
                "theological_significance": "t", "practical_application": "p"}

    def test_insights_are_linked(self):
        users = self.users(2 * ROUNDS)
        for number, (one, other) in enumerate(zip(users[::2], users[1::2])):
            saves = [lambda u=u, i=i: self.write("insight.save_insight", self.insight(f"{number} {i % 3}"), u)
                     for i, u in enumerate((one, other) * 3)]
            outcomes = self.together(lambda: self.merge(one, other), *saves)
            self.assertEqual({status for status, _ in outcomes}, {"ok"})
            kept = self.one_user([one, other])
            self.assertEqual(self.sql("select count(*), count(distinct insight_id) from user_insights join users on users.id = user_id"
                                      f" where anonymous_id = '{kept}'"), "3|3")

    def test_codes_and_devices_over_http(self):
        users = self.users(2 * ROUNDS)
        for one, other in zip(users[::2], users[1::2]):
            outcome, *answers = self.together(lambda: self.merge(one, other),
                                              *(lambda u=u: self.generate(u, agent=u) for u in (one, other)))
            self.assertEqual(outcome[0], "ok")
            self.assertEqual([a.status for a in answers], [200, 200])
            kept = self.one_user([one, other])
            self.assertEqual(self.sql("select (select count(*) from device_link_codes where source_user_id = users.id), device_count"
                                      f" from users where anonymous_id = '{kept}'"), "2|2")

    def test_what_is_deleted_meanwhile_is_deleted_once(self):
        users = self.users(2 * ROUNDS)
        for one, other in zip(users[::2], users[1::2]):
            chat = self.sql(f"insert into standalone_chats (user_id) select id from users where anonymous_id = '{one}' returning id")
            outcome, *answers = self.together(lambda: self.merge(one, other),
                                              *[lambda: self.http("DELETE", f"/api/standalone-chat/{chat}", one)] * 2)
            self.assertEqual(outcome[0], "ok")
            self.assertEqual(sorted(a.status for a in answers), [200, 404])
            self.one_user([one, other])

    def test_clearing_meanwhile_clears_what_was_the_users(self):
        users = self.users(2 * (ROUNDS // 3))
        for one, other in zip(users[::2], users[1::2]):
            for user in (one, other):
                owned.populate(self.lectern, user)
            outcome, answer = self.together(lambda: self.merge(one, other),
                                            lambda: self.http("DELETE", "/api/user/data", one))
            self.assertEqual((outcome[0], answer.status), ("ok", 200))
            kept = self.one_user([one, other])
            left = owned.counts(self.lectern, kept)["standalone_chats.user_id"]
            self.assertEqual(left + answer.json["deleted"]["standalone_chats"], 4)
            self.assertIn(left, (0, 2))

    def test_an_import_meanwhile(self):
        chats = [{"title": f"of {n}", "passage_reference": None, "passage_text": None, "created_at": f"2026-01-0{n}T00:00:00+00:00",
                  "updated_at": f"2026-01-0{n}T00:00:00+00:00", "messages": []} for n in range(1, 6)]
        for one, other in zip(*[iter(self.users(2 * ROUNDS))] * 2):
            take_in = lambda: self.http("POST", "/api/user/import", one, {"data": {"standalone_chats": chats}})
            outcome, *answers = self.together(lambda: self.merge(one, other), take_in, take_in)
            self.assertEqual(outcome[0], "ok")
            self.assertEqual(sorted(a.json["imported"]["standalone_chats"] for a in answers), [0, 5])
            kept = self.one_user([one, other])
            self.assertEqual(owned.counts(self.lectern, kept)["standalone_chats.user_id"], 5)

    def test_a_history_cleared_meanwhile(self):
        users = self.users(2 * ROUNDS)
        for number, (one, other) in enumerate(zip(users[::2], users[1::2])):
            for user, reference in ((one, f"a {number}"), (other, f"b {number}")):
                self.wire("insight.save_insight", self.insight(reference), user)
            outcome, answer = self.together(lambda: self.merge(one, other),
                                            lambda: self.http("DELETE", "/api/insights/history", one))
            self.assertEqual(outcome[0], "ok")
            kept = self.one_user([one, other])
            left = len(self.http("GET", "/api/insights/history", kept).json)
            self.assertIn((left, answer.json["message"]), ((1, "Cleared 1 insights from history"),
                                                           (0, "Cleared 2 insights from history")))


if __name__ == "__main__":
    fleet.main()

"""What the flows of databases of the service before share, in the fast set and in the long one."""

import random
import signal
import subprocess
import time
import unittest

import fleet
import legacy

TERMINATE = ("select pg_terminate_backend(pid) from pg_stat_activity"
             " where application_name = 'lectern' and datname = current_database();\n")
made = {}  # a database at each marker, which tests copy


def make():
    for marker in (legacy.BEFORE, legacy.LATEST):
        made[marker] = legacy.Old(marker, 2000)


def drop():
    while made:
        made.popitem()[1].close()


class OldTest(unittest.TestCase):
    def old(self, marker=legacy.LATEST):
        """A copy of a database at the marker."""
        old = made[marker].copy()
        self.addCleanup(old.close)
        return old


def interrupt_many(test, rounds):
    """However often it was interrupted, what becomes of a database is what becomes of it at once."""
    whole = test.old(legacy.BEFORE)
    whole.migrate()
    chance = random.Random(1)
    found = []
    for _ in range(rounds):
        old = test.old(legacy.BEFORE)
        found += interrupt(test, old, chance)
        test.assertEqual(old.dump("--schema-only"), whole.dump("--schema-only"))
        test.assertEqual(old.counts(), whole.counts())
        test.assertEqual(sums(old), sums(whole))
    print(f"interrupted {len(found)} times, by the version that was recorded:"
          f" {({stage: found.count(stage) for stage in sorted(set(found))})}")
    test.assertGreaterEqual(len(found), rounds)


def interrupt(test, old, chance):
    """Kills the program or its session again and again, until one came to its end. The versions recorded after each."""
    stages = []
    with subprocess.Popen(["psql", "-Xqo", "/dev/null", "-d", old.url], stdin=subprocess.PIPE, text=True) as killer:
        for attempt in range(100):
            migrating = old.start_migrating()
            said = read_steps(migrating, 1 + attempt // 4)
            time.sleep(0.05 * chance.random())  # the moment of the kill: nothing is waited for
            if attempt % 3:
                migrating.kill()
            else:
                killer.stdin.write(TERMINATE)
                killer.stdin.flush()
            said += migrating.communicate(timeout=120)[0]
            if migrating.returncode == 0:
                return stages
            stages.append(recorded(old))
            test.assertIn(migrating.returncode, (-signal.SIGKILL, 69, 70), said)
    return test.fail("it never came to its end")


def read_steps(migrating, count):
    """What it says, until it has told of so many steps."""
    said = ""
    while count > 0 and (line := migrating.stdout.readline()):
        said += line
        count -= "adopt" in line or "applied" in line
    return said


def recorded(old):
    if old.sql("select to_regclass('lectern_migrations')") == "":
        return 0
    return int(old.sql("select max(version) from lectern_migrations"))


def sums(old):
    """What mending made of the rows."""
    return old.sql("select sum(device_count) from users") + old.sql(
        "select md5(string_agg(id || ' ' || created_at, ',' order by id)) from chat_messages")


class OnOld(fleet.Lectern):
    """A Lectern on such a database."""

    def __init__(self, old):
        super().__init__(database=False)
        self.url = self.env["DATABASE_URL"] = old.url


def speaks(test, old):
    """Old users' sessions, histories and conversations, through HTTP, against what stands in the database."""
    with OnOld(old) as lectern:
        number, user = old.sql(
            "select user_id, anonymous_id from chat_messages join users on users.id = user_id"
            " where user_id in (select user_id from user_insights) and user_id in (select user_id from standalone_chats)"
            " group by 1, 2 order by count(*) desc, 1 limit 1").split("|")

        def get(path):
            answer = lectern.get("/api" + path, user=user)
            test.assertEqual((answer.status, answer.cookie), (200, None), answer.body[:300])
            return answer.json

        def ids(query):
            return [int(line) for line in old.sql(query).splitlines()]

        test.assertEqual(get("/user/session")["anonymous_id"], user)
        for path, table in (("/insights/history", "user_insights"), ("/definitions/history", "user_definitions")):
            column = table[5:-1] + "_id"
            test.assertEqual([int(row["id"]) for row in get(path + "?limit=500")], ids(
                f"select {column} from {table} where user_id = {number} order by created_at desc, 1 desc limit 500"), path)
        insight = old.sql(f"select insight_id from chat_messages where user_id = {number} group by 1 order by count(*) desc, 1 limit 1")
        test.assertEqual([row["id"] for row in get(f"/chat/messages/{insight}")], ids(
            f"select id from chat_messages where user_id = {number} and insight_id = {insight} order by id"))
        chats = [row["id"] for row in get("/standalone-chat?limit=500")]
        test.assertEqual(chats, ids(f"select id from standalone_chats where user_id = {number}"
                                    " order by updated_at desc, id desc limit 500"))
        test.assertEqual([row["id"] for row in get(f"/standalone-chat/{chats[0]}/messages")], ids(
            f"select id from standalone_chat_messages where chat_id = {chats[0]} order by id"))
        test.assertEqual([row["id"] for row in get("/user/devices")], ids(
            f"select id from user_devices where user_id = {number} order by last_active desc, id desc"))
        deleted = lectern.request("DELETE", f"/api/standalone-chat/{chats[0]}", user=user)
        test.assertEqual(deleted.status, 200, deleted.body[:300])
        test.assertEqual(ids(f"select count(*) from standalone_chat_messages where chat_id = {chats[0]}"), [0])
        export = get("/user/export")
        test.assertGreater(len(str(export)), 100)
        cleared = lectern.request("DELETE", "/api/user/data", user=user)
        test.assertEqual(cleared.status, 200, cleared.body[:300])
        test.assertEqual(ids(f"select count(*) from chat_messages where user_id = {number}"), [0])

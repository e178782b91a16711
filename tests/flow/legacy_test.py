"""Databases of the service before: adopted while it goes on, by whoever comes first, however often that is interrupted;
refused with all that differs; and left so that it can go on with them."""

import subprocess
import time
import unittest

import _path  # noqa: F401
import fleet
import legacy
from legacy_flow import OldTest, drop, interrupt_many, made, make, speaks
from saved import TWINS

LONGEST_LOCK_S = 3  # generous: what it is, is printed; a moment is 0.2 s


def setUpModule():
    make()
    unittest.addModuleCleanup(drop)


class Adopted(OldTest):
    def test_while_the_service_goes_on(self):
        for marker in made:
            with self.subTest(marker):
                self.migrate_beside_the_service(self.old(marker))

    def migrate_beside_the_service(self, old):
        with legacy.LockWatch(old) as locks, legacy.Service(old) as service:
            began = time.time()
            old.migrate()
            ended = time.time()
            service.wait_for_more()
            requests = [took for end, took in service.requests() if end - took < ended and end > began]
        print(f"migrated in {ended - began:.1f} s beside {len(requests)} requests, the longest {max(requests):.2f} s,"
              f" the longest wait for a lock {locks.longest:.2f} s")
        self.assertEqual(service.errors, "")
        self.assertLess(locks.longest, LONGEST_LOCK_S)
        self.assertEqual(old.sql("select version_num from alembic_version"), legacy.LATEST)
        self.assertEqual(old.migrate().stdout, f"the database is at version {self.latest(old)} (0 applied)\n")

    @staticmethod
    def latest(old):
        return int(old.sql("select max(version) from lectern_migrations"))

    def test_once_by_several_starters(self):
        old = self.old(legacy.BEFORE)
        starters = [old.start_migrating() for _ in range(6)]
        said = [starter.communicate(timeout=120)[0] for starter in starters]
        self.assertEqual([starter.returncode for starter in starters], [0] * 6, said)
        self.assertEqual(sum("adopted a database" in text for text in said), 1, said)
        self.assertEqual(sum("(0 applied)" in text for text in said), 5, said)

    def test_interrupted_at_many_moments(self):
        interrupt_many(self, rounds=1)

    def test_a_transaction_that_stays_open_holds_up_nobody_else(self):
        old = self.old()
        with legacy.LockWatch(old) as locks, legacy.Service(old) as service:
            with subprocess.Popen(["psql", "-Xq", "-d", old.url], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, text=True) as open_one:
                open_one.stdin.write("begin; select from usage_tracking limit 0;\n")
                open_one.stdin.flush()
                fleet.wait_for("its lock", lambda: old.sql(
                    "select 1 from pg_locks where relation = 'usage_tracking'::regclass and fastpath"
                    " and pid in (select pid from pg_stat_activity where state = 'idle in transaction')"
                    " having count(*) > 0"))
                migrating = old.start_migrating()
                while "trying again" not in migrating.stdout.readline():
                    self.assertIsNone(migrating.poll())
                for _ in range(3):
                    service.wait_for_more()
                self.assertIsNone(migrating.poll())
            said = migrating.communicate(timeout=120)[0]
        self.assertEqual(migrating.returncode, 0, said)
        print(f"beside an open transaction: the longest wait for a lock {locks.longest:.2f} s")
        self.assertEqual(service.errors, "")
        self.assertLess(locks.longest, LONGEST_LOCK_S)

    def test_all_of_lectern_runs_on_it(self):
        old = self.old(legacy.BEFORE)
        old.migrate()
        speaks(self, old)


class Mended(OldTest):
    """What rows of the service before hold and lists do not expect."""

    @classmethod
    def setUpClass(cls):
        cls.migrated = made[legacy.LATEST].copy()
        cls.addClassCleanup(cls.migrated.close)
        cls.migrated.migrate()

    def test_every_time_is_there(self):
        for column in ("users.created_at", "saved_insights.created_at", "user_insights.created_at",
                       "user_definitions.created_at", "chat_messages.created_at", "standalone_chats.created_at",
                       "standalone_chats.updated_at", "standalone_chat_messages.created_at", "user_devices.last_active",
                       "standalone_chat_messages.was_truncated"):
            table, name = column.split(".")
            self.assertEqual(self.migrated.sql(f"select count(*) from {table} where {name} is null"), "0", column)

    def test_a_conversation_keeps_its_order(self):
        empty = made[legacy.LATEST].sql("select count(*) from chat_messages where created_at is null")
        self.assertGreater(int(empty), 0)
        self.assertEqual(self.migrated.sql("select count(*) from (select id, lag(id) over (partition by insight_id, user_id"
                                           " order by created_at, id) as before from chat_messages) as m where id < before"),
                         "0")

    def test_devices_are_counted(self):
        drifted = ("select count(*) from users where device_count <>"
                   " greatest(1, (select count(*) from user_devices where user_id = users.id))")
        self.assertGreater(int(made[legacy.LATEST].sql(drifted)), 0)
        self.assertEqual(self.migrated.sql(drifted), "0")
        self.assertGreater(int(self.migrated.sql("select count(*) from users where device_count = 3")), 0)

    def test_nothing_else_is_changed(self):
        tables = [t for t in legacy.TABLES if t not in ("conversation_summaries",)]
        self.assertEqual(self.migrated.counts(tables), made[legacy.LATEST].counts(tables))
        texts = ("select md5(string_agg(md5(passage_text || historical_context), '' order by id)), max(length(passage_text))"
                 " from saved_insights")
        self.assertEqual(self.migrated.sql(texts), made[legacy.LATEST].sql(texts))
        self.assertGreaterEqual(int(self.migrated.sql(texts).split("|")[1]), 60000)

    def test_again_when_the_service_has_gone_on(self):
        self.migrated.sql("update users set device_count = 9 where id = 3")
        self.migrated.sql("update chat_messages set created_at = null where id <= 2")  # nothing stands before these
        self.migrated.psql("-f", f"{fleet.ROOT}/deploy/cut_over.sql")
        self.assertEqual(self.migrated.sql("select device_count from users where id = 3"), "1")
        self.assertEqual(self.migrated.sql("select count(*) from chat_messages where id <= 3 and created_at ="
                                           " (select created_at from chat_messages where id = 3)"), "3")


DIFFERENCES = {
    "marker": ("update alembic_version set version_num = 'beef'", ['alembic_version holds "beef"']),
    "markers": ("insert into alembic_version values ('beef')", ['"a3f7c2e9, beef"']),
    "column": ("alter table users drop column pro_subscription", ["column users.pro_subscription is missing"]),
    "many": ("drop table usage_tracking; alter table user_devices drop column user_agent, drop column last_active;"
             " alter table saved_passages alter column chapter type bigint; alter table standalone_chats drop constraint"
             " standalone_chats_pkey cascade; alter table users add email text not null default '';"
             " alter table users alter email drop default; create unique index one_of_them on user_devices (user_id, id, device_name);"
             " create unique index a_title on standalone_chats (title) where id < 0;"
             " alter table chat_messages alter id drop default",
             ["table usage_tracking is missing", "column user_devices.user_agent is missing",
              "column user_devices.last_active is missing", "column saved_passages.chapter is bigint, not integer",
              "table standalone_chats has no primary key (id)", "column users.email is not known",
              "table standalone_chats may not hold two rows with the same (title), by the index a_title",
              "column chat_messages.id has no sequence"]),
    "rows": ("alter table chat_messages drop constraint chat_messages_user_id_fkey;"
             " update chat_messages set user_id = 999999 where id in (5, 7);"
             " alter table saved_insights drop constraint uix_passage_reference_text; drop index idx_passage_text;"
             " insert into saved_insights (passage_reference, passage_text, historical_context, theological_significance,"
             " practical_application) select passage_reference, passage_text, '', '', '' from saved_insights where id in (3, 100);"
             " drop index ix_users_anonymous_id; update users set anonymous_id = 'same' where id < 4;"
             " alter table standalone_chat_messages alter content drop not null;"
             " update standalone_chat_messages set content = null where id = 9",
             ["column chat_messages.user_id names rows that users does not have, in 2 rows",
              "table saved_insights has 2 times several rows with the same (passage_reference, passage_text)",
              "table users has 1 times several rows with the same (anonymous_id)",
              "column standalone_chat_messages.content is empty in 1 rows"]),
}


class Refused(OldTest):
    def test_with_all_that_differs_and_nothing_changed(self):
        for what, (change, expected) in DIFFERENCES.items():
            with self.subTest(what):
                old = self.old()
                old.sql(change)
                before = old.dump()
                done = old.migrate(check=False)
                self.assertEqual(done.returncode, 78, done.stderr)
                for part in expected:
                    self.assertIn(part, done.stderr)
                if what in ("many", "rows"):
                    self.assertEqual(done.stderr.count("\n  "), len(expected), done.stderr)
                self.assertEqual(old.dump(), before)


class WithoutTextKeys(OldTest):
    def test_texts_that_no_index_holds(self):
        old = legacy.Old(messages=5000, text_keys=False)
        self.addCleanup(old.close)
        old.migrate()
        self.assertEqual(old.sql("select count(*) from saved_insights where length(passage_text) = 60000"), "2")
        said = old.psql("-f", f"{fleet.ROOT}/deploy/go_back.sql").stdout
        self.assertIn("uix_passage_reference_text is not made again, 2 texts have", said)
        self.assertIn("uix_word_reference_verse is not made again, 2 texts have", said)


class Back(OldTest):
    """From Lectern to the service before, and to Lectern again."""

    def test_rows_of_one_passage_become_one(self):
        old = self.old()
        old.migrate()
        old.sql("insert into saved_insights (id, passage_reference, passage_text, historical_context, theological_significance,"
                " practical_application, imported_by) values"
                " (9001, 'Genesis 5', 'the text of 5', 'his own', '', '', 1), (9002, 'Ruth 1', 'r', 'first', '', '', 1),"
                " (9003, 'Ruth 1', 'r', 'second', '', '', 2), (9004, 'Ruth 2', 'r', 'only', '', '', 2)")
        old.sql("insert into user_insights (user_id, insight_id) values (1, 9001), (1, 9002), (2, 9003), (2, 9004), (2, 9002)")
        old.sql("insert into chat_messages (insight_id, user_id, role, content) values (9001, 1, 'user', 'a'), (9003, 2, 'user', 'b')")
        old.sql("insert into insight_chat_summaries (user_id, insight_id, summary_text, message_count)"
                " values (1, 5, 's', 2), (2, 5, 's', 2), (2, 9003, 's', 2)")
        old.sql("insert into saved_definitions (id, word, passage_reference, verse_text, definition, biblical_usage,"
                " original_language, imported_by) select 9001, word, passage_reference, verse_text, 'his', '', '', 1"
                " from saved_definitions where id = 5")
        old.sql("insert into user_definitions (user_id, definition_id) values (1, 9001)")
        for _ in range(2):  # the second time there is nothing to do
            said = old.psql("-f", f"{fleet.ROOT}/deploy/go_back.sql")
        self.assertEqual(said.stdout, "")
        self.assertEqual(old.sql("select string_agg(id::text, ' ' order by id) from saved_insights where id > 9000"), "9002 9004")
        self.assertEqual(old.sql("select count(*) from saved_insights where imported_by is not null"), "0")
        self.assertEqual(old.sql("select string_agg(user_id || ':' || insight_id, ' ' order by user_id, insight_id)"
                                 " from user_insights where insight_id in (5, 9002, 9004) and user_id in (1, 2)"),
                         "1:5 1:9002 2:9002 2:9004")
        self.assertEqual(old.sql("select string_agg(insight_id || content, ' ' order by id) from chat_messages where content in ('a', 'b')"),
                         "5a 9002b")
        self.assertEqual(old.sql("select string_agg(user_id || ':' || insight_id, ' ') from insight_chat_summaries"), "2:5")
        self.assertEqual(old.sql("select string_agg(id || ':' || kept_id || ':' || historical_context, ' ' order by id) from joined_insights"),
                         "9001:5:his own 9003:9002:second")
        self.assertEqual(old.sql("select id || ':' || kept_id from joined_definitions"), "9001:5")
        self.assertEqual(old.sql("select count(*) from user_definitions where user_id = 1 and definition_id = 5"), "1")
        self.assertEqual(old.sql("select count(*) from pg_constraint where conname in ('uix_passage_reference_text',"
                                 " 'uix_word_reference_verse')"), "2")
        with legacy.Service(old) as service:
            service.wait_for_more()
        self.assertEqual(service.errors, "")
        self.go_on_with_lectern(old)

    def test_a_text_with_the_md5_of_another_stays_whose_it_is(self):
        old = self.old()
        old.migrate()
        for number, text in enumerate(TWINS):
            old.sql("insert into saved_insights (passage_reference, passage_text, historical_context, theological_significance,"
                    f" practical_application, imported_by) values ('Ruth 1', '{text}', '', '', '', nullif({number}, 0))")
        old.psql("-f", f"{fleet.ROOT}/deploy/go_back.sql")
        self.assertEqual(old.sql("select count(*), max(imported_by) from saved_insights where passage_reference = 'Ruth 1'"), "2|1")

    def go_on_with_lectern(self, old):
        old.psql("-f", f"{fleet.ROOT}/deploy/cut_over.sql")
        self.assertEqual(old.sql("select count(*) from pg_constraint where conname in ('uix_passage_reference_text',"
                                 " 'uix_word_reference_verse')"), "0")
        self.assertIn("(0 applied)", old.migrate().stdout)


if __name__ == "__main__":
    fleet.main()

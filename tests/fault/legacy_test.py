"""A database of the service before with a million chat messages: adopted while that service reads and writes, by one of several
starters, one of which is killed; and then in use. Small ones are interrupted at many more moments than in the fast set."""

import time
import unittest

import _path  # noqa: F401
import fleet
import legacy
import legacy_flow

MESSAGES = 1_000_000
LONGEST_LOCK_S = 3  # generous: what it is, is printed; a moment is 0.2 s


class Million(unittest.TestCase):
    def test_adopted_beside_the_service(self):
        began = time.monotonic()
        old = legacy.Old(legacy.BEFORE, MESSAGES, text_keys=False)
        self.addCleanup(old.close)
        size = old.sql("select pg_size_pretty(pg_database_size(current_database()))")
        print(f"made in {time.monotonic() - began:.0f} s: {size}")
        with legacy.LockWatch(old) as locks, legacy.Service(old) as service:
            before, took = self.migrate(old)
            service.wait_for_more()
            requests = [took for end, took in service.requests() if end > before]
        print(f"adopted in {took:.1f} s beside {len(requests)} requests, the longest {max(requests):.2f} s, the longest wait"
              f" for a lock {locks.longest:.2f} s; {old.sql('select pg_size_pretty(pg_database_size(current_database()))')} now")
        self.assertEqual(service.errors, "")
        self.assertLess(locks.longest, LONGEST_LOCK_S)
        self.assertGreaterEqual(old.counts(["chat_messages"])["chat_messages"], MESSAGES)
        self.assertEqual(old.sql("select count(*) from chat_messages where created_at is null"), "0")
        self.assertEqual(old.sql("select count(*) from pg_index where not indisvalid"), "0")
        legacy_flow.speaks(self, old)

    def migrate(self, old):
        """Three at once; the one that works is killed when the first index is being made. When it began, and how long it took."""
        before, began = time.time(), time.monotonic()
        starters = [old.start_migrating()]
        fleet.wait_for("an index that is made", lambda: starters[0].poll() is not None or
                       old.sql("select 1 from pg_stat_progress_create_index where datname = current_database() limit 1"), 120)
        starters += [old.start_migrating() for _ in range(2)]
        starters[0].kill()
        said = [starter.communicate(timeout=300)[0] for starter in starters]
        self.assertEqual([starter.returncode for starter in starters[1:]], [0, 0], said)
        return before, time.monotonic() - began


class Interrupted(legacy_flow.OldTest):
    def test_at_many_moments(self):
        legacy_flow.interrupt_many(self, rounds=12)


def setUpModule():
    legacy_flow.make()
    unittest.addModuleCleanup(legacy_flow.drop)


if __name__ == "__main__":
    fleet.main()

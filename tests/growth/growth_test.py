"""That it stays fast as data grow: on a database of 100,000 users with 1,000,000 links and 1,000,000 messages no statement
of any program scans a large table, whichever plan the server takes, and what a statement touches is about what it
touches at 1,000 users."""

import _path  # noqa: F401
import sys
import unittest

import examples
import fleet
import plans

FEW, MANY = 1_000, 100_000
FACTOR = 2  # buffers must grow by less
MORE = 3  # for what writes, and may touch hardly any: the levels that its indexes grow by

# What no handler does by one statement, or only for users who have nothing left: followed by all that hangs on it.
DELETED = {
    "a user who is like most": "delete from users where id = 500",
    "a heavy user": "delete from users where id = 1",
    "an insight": "delete from saved_insights where id = 21",
    "a definition": "delete from saved_definitions where id = 21",
    "a conversation": "delete from standalone_chats where id = 7",
    "a device": "delete from user_devices where id = 300",
}


class GrowthTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.few = cls.enterClassContext(plans.population(FEW))
        cls.many = cls.enterClassContext(plans.population(MANY))
        cls.pages = plans.pages(cls.many)

    def test_there_is_as_much_as_promised(self):
        count = lambda *tables: sum(int(fleet.sql(self.many, f"select count(*) from {table}")) for table in tables)
        self.assertEqual(MANY, count("users"))
        self.assertGreaterEqual(count("user_insights", "user_definitions"), 1_000_000)
        self.assertGreaterEqual(count("chat_messages", "standalone_chat_messages"), 1_000_000)

    def test_statements(self):
        self.check(examples.calls())

    def test_what_is_deleted(self):
        self.check([plans.Call(what, sql) for what, sql in DELETED.items()])

    def check(self, calls):
        """Both promises for each of the calls; what is touched is printed."""
        for mode in plans.MODES:
            for url in (self.few, self.many):
                plans.psql(url, "vacuum analyze")  # what is rolled back leaves rows that count
            few, many = (plans.works_of(url, calls, mode) for url in (self.few, self.many))
            for call, before, after in zip(calls, few, many, strict=True):
                print(f"{before.buffers:>7} {after.buffers:>7}  {call.name:.120} {mode}", file=sys.stderr)
                with self.subTest(call.name, mode=mode):
                    self.assertEqual([], after.scans(self.pages))
                    self.assertLess(after.buffers, FACTOR * before.buffers + (MORE if call.writes else 0))


if __name__ == "__main__":
    fleet.main()

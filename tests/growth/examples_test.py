"""That the statements of all programs are known to the tests of growth: each has an example of its parameters and runs
with it on a small database; and that each foreign key has an index by which the rows that refer are found."""

import _path  # noqa: F401
import unittest

import examples
import fleet
import plans

USERS = 1_000

# Foreign keys that no index begins with.
WITHOUT_INDEX = """
    select conrelid::regclass || ' (' || string_agg(attname, ', ') || ')'
      from pg_constraint
      join pg_attribute on attrelid = conrelid and attnum = any (conkey)
     where contype = 'f' and connamespace = current_schema()::regnamespace
       and not exists (
            select from pg_index
             where indrelid = conrelid and indisvalid
               and (indpred is null or pg_get_expr(indpred, indrelid) = format('(%s IS NOT NULL)', attname))
               and (indkey::int2[])[0:cardinality(conkey) - 1] @> conkey)
     group by conrelid, conname order by 1"""


class ExamplesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.url = cls.enterClassContext(plans.population(USERS))
        cls.statements = plans.statements()

    def test_every_statement_has_an_example(self):
        self.assertEqual([], [str(s) for s in self.statements if not examples.of(s)])

    def test_every_example_has_a_statement(self):
        used = [examples.of(statement) for statement in self.statements]
        self.assertEqual([], [key for key, value in examples.EXAMPLES.items() if not any(value is u for u in used)])

    def test_an_example_has_all_parameters(self):
        for statement in self.statements:
            for parameters in examples.of(statement):
                self.assertEqual(statement.parameters, len(parameters), str(statement))

    def test_statements_run(self):
        plans.works_of(self.url, examples.calls())

    def test_foreign_keys_are_led_by_an_index(self):
        self.assertEqual("", fleet.sql(self.url, WITHOUT_INDEX))


if __name__ == "__main__":
    fleet.main()

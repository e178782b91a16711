"""The statements of all programs, databases that population.sql filled, and what PostgreSQL does for a statement there.

A call is run as the pool runs it, prepared, with an example's parameters, in a transaction that is rolled back.
auto_explain tells of all that this took: the statement itself, those within the functions that it calls, and those by
which foreign keys are checked and cascade, which no EXPLAIN shows.
"""

import contextlib
import json
import os
import re
import subprocess
import uuid

import fleet

HERE = os.path.dirname(os.path.abspath(__file__))
LARGE_PAGES = 100  # a table with more is not to be scanned
FEW_ROWS = 200  # as many as may be taken from the end of an index without a condition
MODES = ("force_custom_plan", "force_generic_plan")  # the server takes either, by what it estimates
PLANLESS = re.compile(r"savepoint |rollback to |set ")
MARK = "====="  # stands before the plans of a call
FOREIGN_KEY = re.compile(r'^(SELECT 1 FROM|DELETE FROM|UPDATE) ONLY ')  # how its own queries begin


class Statement:
    def __init__(self, domain, row):
        self.domain = domain
        self.name = row["name"]
        self.sql = row["sql"]
        self.write = row["write"]
        self.parameters = max((int(n) for n in re.findall(r"\$(\d+)", self.sql)), default=0)

    def __str__(self):
        return f"{self.domain}.{self.name}"


def statements():
    """All STATEMENTs of all programs that have a plan, each once for each program that has it."""
    found = []
    for domain in fleet.DOMAINS:
        printed = subprocess.check_output([fleet.program(f"statements_{domain}")], text=True, timeout=20)
        found += [Statement(domain, json.loads(line)) for line in printed.splitlines()]
    return [statement for statement in found if not PLANLESS.match(statement.sql)]


# ---- databases ----


def psql(url, script, seconds=60, **variables):
    """Runs a script; what it printed and what the server said."""
    values = [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
    done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *values, "-d", url], input=script,
                          text=True, capture_output=True, timeout=seconds * fleet.SLOW)
    if done.returncode != 0:
        call = done.stderr.rpartition(MARK)[2].splitlines()[0] if MARK in done.stderr else ""
        raise AssertionError(f"after {call}: {done.stderr[done.stderr.rfind('ERROR'):]}")
    return done


@contextlib.contextmanager
def population(users, seconds=600):
    """The URL of a database with that many users."""
    name = f"growth_{uuid.uuid4().hex[:12]}"
    url = fleet.with_database(fleet.server().url, name)
    fleet.server().sql(f"create database {name}")
    try:
        fleet.command("migrate", url=url)
        with open(os.path.join(HERE, "population.sql"), encoding="utf-8") as file:
            psql(url, file.read(), seconds, users=users)
        yield url
    finally:
        fleet.server().drop(name)


def pages(url):
    """Pages of each table."""
    rows = fleet.sql(url, "select relname, relpages from pg_class where relkind = 'r'")
    return {name: int(count) for name, count in (row.split("|") for row in rows.splitlines())}


# ---- what a statement does ----


class Work:
    """The plans by which a statement was run: its own, those of functions, those of foreign keys."""

    def __init__(self, said):
        self.plans = []
        decoder = json.JSONDecoder()
        for found in re.finditer(r"duration: [0-9.]+ ms  plan:\s*", said):
            self.plans.append(decoder.raw_decode(said, found.end())[0])

    @property
    def buffers(self):
        """Pages touched. A function's are in its caller's; what a foreign key asks for comes after the statement."""
        keys = [p for p in self.plans if FOREIGN_KEY.match(p["Query Text"])]
        return sum(p["Plan"]["Shared Hit Blocks"] + p["Plan"]["Shared Read Blocks"]
                   for p in [self.plans[-1], *keys])

    def scans(self, table_pages):
        """What each of the plans reads from one end to the other although it is large."""
        return [f"{scan} in: {plan['Query Text']}"
                for plan in self.plans for scan in scans_of(plan["Plan"], table_pages)]


def scans_of(node, table_pages):
    table = node.get("Relation Name")
    if table_pages.get(table, 0) > LARGE_PAGES and reads_all(node):
        yield f"{node['Node Type']} of {table}"
    for child in node.get("Plans", []):
        yield from scans_of(child, table_pages)


def reads_all(node):
    """Whether a scan looks at rows that no condition of an index chose. One that never ran counts too, if it would."""
    kind = node["Node Type"]
    if kind == "Seq Scan":
        return True
    if kind not in ("Index Scan", "Index Only Scan") or "Index Cond" in node:
        return False
    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return rows * node["Actual Loops"] > FEW_ROWS


class Call:
    """A statement with an example of its parameters, which are pairs of type and literal."""

    def __init__(self, name, sql, parameters=(), writes=True):
        self.writes = writes
        self.name = f"{name}({', '.join(value for _, value in parameters)})"
        self.sql = sql
        self.types = [kind for kind, _ in parameters]
        self.values = [f"{value}::{kind}" for kind, value in parameters]

    def script(self, mode):
        """Executes it twice: the first time also reads catalogs, so the second one's plans count."""
        execute = "execute it" + (f"({', '.join(self.values)})" if self.values else "")
        once = f"begin; set local auto_explain.log_min_duration = %s; {execute}; rollback;"
        return f"""
            set plan_cache_mode = {mode};
            prepare it{f"({', '.join(self.types)})" if self.types else ''} as {self.sql};
            {once % -1}
            \\warn {MARK} {self.name.replace("'", '"')}
            {once % 0}
            deallocate it;
            """


def works_of(url, calls, mode="auto", seconds=300):
    """What each of the calls takes, in their order."""
    begin = """
        \\o /dev/null
        load 'auto_explain';
        set auto_explain.log_analyze = on; set auto_explain.log_buffers = on; set auto_explain.log_timing = off;
        set auto_explain.log_format = json; set auto_explain.log_nested_statements = on;
        set client_min_messages = log;
        """
    said = psql(url, begin + "".join(call.script(mode) for call in calls), seconds).stderr
    return [Work(part) for part in said.split(MARK)[1:]]

"""The rows of db/owned.def, and a user who has something in each of its tables."""

import os
import re

import fleet

FILE = os.path.join(fleet.ROOT, "db/owned.def")
with open(FILE, encoding="utf-8") as rows:
    ROWS = [match.groups() for match in re.finditer(
        r'^OWNED\((\w+), (\w+), (\w+), (\w+), (\w+), (\w+), (\w+), ".*"\)$', rows.read(), re.MULTILINE)]

# How a user ($ID) gets two rows of each; $N is a text that is his own, SHARED one that all have.
POPULATION = {
    ("saved_insights", "imported_by"): """
        insert into saved_insights (passage_reference, passage_text, historical_context, theological_significance,
                                    practical_application, imported_by)
        values ('$N', 'text', '$N', 't', 'p', $ID), ('twin', 'text', '$N', 't', 'p', $ID)""",
    ("saved_definitions", "imported_by"): """
        insert into saved_definitions (word, passage_reference, verse_text, definition, biblical_usage, original_language, imported_by)
        values ('$N', 'r', 'text', 'd', 'b', 'o', $ID), ('twin', 'r', 'text', 'd', 'b', 'o', $ID)""",
    ("user_insights", "user_id"): """
        insert into user_insights (user_id, insight_id)
        select $ID, id from saved_insights where imported_by = $ID or passage_reference = 'SHARED'""",
    ("user_definitions", "user_id"): """
        insert into user_definitions (user_id, definition_id)
        select $ID, id from saved_definitions where imported_by = $ID or word = 'SHARED'""",
    ("chat_messages", "user_id"): """
        insert into chat_messages (insight_id, user_id, role, content)
        select insight_id, $ID, role, '$N' from user_insights, (values ('user'), ('assistant')) as r (role) where user_id = $ID""",
    ("insight_chat_summaries", "user_id"): """
        insert into insight_chat_summaries (user_id, insight_id, summary_text, message_count)
        select $ID, insight_id, '$N', 2 from user_insights where user_id = $ID""",
    ("standalone_chats", "user_id"): """
        with c as (insert into standalone_chats (user_id, title) values ($ID, '$N'), ($ID, 'twin') returning id),
             m as (insert into standalone_chat_messages (chat_id, role, content) select id, 'user', '$N' from c)
        insert into conversation_summaries (conversation_type, conversation_id, summary_text, message_count)
        select 'standalone', id, '$N', 1 from c""",
    ("user_devices", "user_id"): """
        insert into user_devices (user_id, user_agent, device_name) values ($ID, 'twin', '$N'), ($ID, '$N', '$N')""",
    ("device_link_codes", "source_user_id"): """
        insert into device_link_codes (code, display_code, source_user_id, source_device_id, expires_at, status)
        select md5('$N' || id), left(md5('$N' || id), 14), $ID, id, now() + interval '5 minutes', 'pending'
          from user_devices where user_id = $ID""",
    ("device_link_codes", "target_user_id"): """
        update device_link_codes set target_user_id = $ID, target_device_id = source_device_id, status = 'used', used_at = now()
         where id = (select min(id) from device_link_codes where source_user_id = $ID)""",
    ("usage_tracking", "user_id"): """
        insert into usage_tracking (user_id, date, llm_calls, reserved)
        select $ID, date_trunc('day', now(), 'UTC') - n * interval '1 day', 2 + n, array[now() + (n + 1) * interval '1 hour']
          from (values (0), ($ID)) as d (n)""",
    ("merged_users", "user_id"): """
        insert into merged_users (anonymous_id, user_id) values ('$N-1', $ID), ('$N-2', $ID)""",
}

# Texts before what refers to them, devices before codes.
ORDER = [("saved_insights", "imported_by"), ("saved_definitions", "imported_by"), ("user_devices", "user_id"),
         *(k for k in POPULATION if k[0] not in ("saved_insights", "saved_definitions", "user_devices"))]


def keys():
    return [(row[0], row[1]) for row in ROWS]


def populate(lectern, user):
    """Gives the user two rows of each; two of them are called `twin`, and two are texts that everybody has."""
    assert set(POPULATION) == set(keys()), "db/owned.def has other rows than tests/flow/owned.py"
    shared = """
        insert into saved_insights (passage_reference, passage_text, historical_context, theological_significance, practical_application)
        values ('SHARED', 'text', 'h', 't', 'p') on conflict do nothing;
        insert into saved_definitions (word, passage_reference, verse_text, definition, biblical_usage, original_language)
        values ('SHARED', 'r', 'text', 'd', 'b', 'o') on conflict do nothing"""
    number = lectern.sql(f"select id from users where anonymous_id = '{user}'")
    lectern.sql(";".join([shared, *(POPULATION[key].replace("$ID", number).replace("$N", f"of-{number}") for key in ORDER)]))
    lectern.sql(f"update users set device_count = 2 where id = {number}")


def counts(lectern, user):
    """Rows by table and column."""
    queries = " union all ".join(
        f"select '{table}.{column}', count(*) from {table} join users on users.id = {table}.{column} where users.anonymous_id = '{user}'"
        for table, column in keys())
    return {name: int(count) for name, count in (line.split("|") for line in lectern.sql(queries).splitlines())}

"""Examples of each statement's parameters, in the terms of population.sql: those of a user who is like most (500), and
where it matters those of the heavy one (1). A statement without an example is a failure of the tests, and so is an
example without a statement.

    "domain.statement": [[first, second, …], [first, second, …]]     # two examples of its parameters
"""

import plans


def literal(value):
    return "null" if value is None else "'" + str(value).replace("'", "''") + "'"


# As in db/query.h.
def p_str(value):
    return "text", literal(value)


def p_i32(value):
    return "integer", literal(value)


def p_i64(value):
    return "bigint", literal(value)


def p_bool(value):
    return "boolean", literal(str(value).lower())


def p_time(value):
    return "timestamptz", literal(value)


def p_json(value):
    return "jsonb", literal(value)


def p_list(kind, values):
    """An array; values None are NULL."""
    return f"{kind}[]", literal("{" + ",".join("null" if v is None else f'"{v}"' for v in values) + "}")


def anonymous(user):
    return p_str(f"00000000-0000-4000-8000-{user:012}")


LIGHT = anonymous(500)
HEAVY = anonymous(1)
MERGED = p_str("00000000-0000-4000-9000-000000000099")
NOBODY = p_str("11111111-1111-4111-8111-111111111111")
ANYBODY = [[LIGHT], [HEAVY], [MERGED], [NOBODY]]
LIVE = [[LIGHT], [HEAVY]]
LIGHT_ID, OTHER_ID, HEAVY_ID = p_i32(500), p_i32(600), p_i32(1)
KNOWN = {LIGHT: 1, HEAVY: 2}  # the insight that each of the two has talked about

NEWEST_50 = [p_time("infinity"), p_i64(2**31 - 1), p_i64(50), p_i64(65536)]
OLDEST_50 = [p_time("-infinity"), p_i64(0), p_i64(50), p_i64(65536)]
INSIGHTS_CALLS = p_str("generate_insight")
TODAY, SOON = p_time("today"), p_time("tomorrow")  # a day of calls, and when one of them expires
ANSWER = [p_str("Who was Paul?"), p_str("An apostle." * 100), p_bool(False)]
BEGINNING = [p_time("-infinity"), p_i64(0)] * 2
TEXTS = [p_str("Genesis 1:3"), p_str("63" + " and there was light" * 15)]  # of insight 63
WORD = [p_str("word63"), p_str("Genesis 2:3"), p_str("63" + " and there was light" * 6)]  # of definition 63
NEW = [p_str("Exodus 1:1"), p_str("These are the names")]


# An import: so many things, the first of which are known.
MANY = range(200)
NAMES = p_list("text", [f"Genesis {1 + n // 60}:{1 + n % 60}" for n in MANY])
BODIES = p_list("text", [f"{n}" + " and there was light" * 15 for n in MANY])
TIMES = p_list("timestamptz", [f"2026-01-31 09:{n // 60:02}:{n % 60:02}+00" for n in MANY])
FLAGS = p_list("boolean", ["false" for _ in MANY])
NUMBERS = p_list("integer", [1 + n % 10 for n in MANY])


def for_each(users, *parameters):
    return [[user, *parameters] for user in users]


EXAMPLES = {
    # user
    "user.find_or_make_user": ANYBODY,
    "user.find_user": ANYBODY,
    "user.session": ANYBODY,
    "user.export_owner": LIVE,
    "user.import_for": LIVE,
    **{f"user.export_{what}": for_each((LIGHT, HEAVY), *BEGINNING, p_i64(200), p_i64(65536))
       for what in ("insights", "definitions", "chats")},
    "user.import_insights": [[LIGHT_ID, NAMES, *[BODIES] * 4, TIMES]],
    "user.import_definitions": [[LIGHT_ID, NAMES, NAMES, *[BODIES] * 4, TIMES]],
    "user.import_chats": [[user, NAMES, NAMES, BODIES, TIMES, TIMES] for user in (LIGHT_ID, HEAVY_ID)],
    "user.import_insight_messages": [[user, p_list("text", ["user" for _ in MANY]), BODIES, TIMES, FLAGS, NUMBERS,
                                      p_list("integer", range(1, 11))] for user in (LIGHT_ID, HEAVY_ID)],
    "user.import_chat_messages": [[HEAVY_ID, p_list("text", ["user" for _ in MANY]), BODIES, TIMES, FLAGS, NUMBERS,
                                   p_list("integer", range(1, 11))]],
    "user.pro_users": [[p_i64(0), p_i64(10)]],
    "user.set_pro": [[LIGHT, p_bool(True)]],
    # bible
    "bible.find_pro": ANYBODY,
    "bible.list_translations": [[]],
    "bible.read_chapter": [[p_i32(1), p_i32(43), p_i32(3)]],
    "bible.lock_reference": [[p_str("John 3:16")]],
    "bible.store_passage": [
        [p_str(reference), p_str("Genesis"), p_i64(1), p_i64(1), p_i64(None), p_str("WEB"), p_str("In the beginning")]
        for reference in ("John 3:16", "Genesis 7:7", "Exodus 1:1")],
    # insight
    "insight.list_insights": for_each((LIGHT, HEAVY, MERGED, NOBODY), *NEWEST_50),
    "insight.clear_insights": LIVE,
    "insight.link_insight": for_each((LIGHT, HEAVY), p_i64(21)),
    "insight.find_insight": [[LIGHT, *TEXTS], [HEAVY, *TEXTS], [LIGHT, *NEW]],
    "insight.make_insight": [[LIGHT, *NEW, *[p_str("why")] * 3, p_bool(own)] for own in (False, True)],
    # definition
    "definition.list_definitions": for_each((LIGHT, HEAVY, MERGED, NOBODY), *NEWEST_50),
    "definition.clear_definitions": LIVE,
    "definition.link_definition": for_each((LIGHT, HEAVY), p_i64(21)),
    "definition.find_definition": [[LIGHT, *WORD], [HEAVY, *WORD], [LIGHT, p_str("name"), *NEW]],
    "definition.make_definition": [[LIGHT, p_str("name"), *NEW, *[p_str("why")] * 3, p_bool(own)]
                                   for own in (False, True)],
    # chat
    "chat.list_chats": for_each((LIGHT, HEAVY, MERGED, NOBODY), *NEWEST_50),
    "chat.list_chat_messages": [[user, *OLDEST_50, p_i64(insight)] for user, insight in KNOWN.items()],
    "chat.list_standalone_chat_messages": [[HEAVY, *OLDEST_50, p_i64(chat)] for chat in (1, 7)],
    "chat.clear_chat_messages": [[user, p_i64(insight)] for user, insight in KNOWN.items()],
    "chat.delete_chat": [[HEAVY, p_i64(1)], [HEAVY, p_i64(7)], [LIGHT, p_i64(7)]],
    "chat.insight_context": [[user, p_i64(insight), p_i64(24000)] for user, insight in KNOWN.items()],
    "chat.standalone_context": [[HEAVY, p_i64(chat), p_i64(24000)] for chat in (1, 7)],
    "chat.insight_unsummarized": [[user, p_i64(insight), p_i64(24000), p_i64(262144)] for user, insight in KNOWN.items()],
    "chat.standalone_unsummarized": [[HEAVY, p_i64(chat), p_i64(24000), p_i64(262144)] for chat in (1, 7)],
    "chat.store_insight_summary": [[user, p_i64(insight), p_str("what was said"), p_i64(2), p_i64(1)]
                                   for user, insight in KNOWN.items()],
    "chat.store_standalone_summary": [[HEAVY, p_i64(1), p_str("what was said"), p_i64(2), p_i64(1)]],
    "chat.forget_orphan": [[p_i64(1)], [p_i64(2**31 - 1)]],
    "chat.add_insight_messages": [[user, p_i64(insight), *ANSWER] for user, insight in KNOWN.items()],
    "chat.add_standalone_messages": [[p_i64(1), *ANSWER]],
    "chat.begin_chat": [[user, p_str("Who was Paul?"), p_str(None), p_str(None)] for user in (LIGHT, HEAVY)],
    "chat.use_chat": [[HEAVY, p_i64(1)], [LIGHT, p_i64(1)]],
    # device_link
    "device_link.find_devices": for_each((LIGHT, HEAVY), *NEWEST_50),
    "device_link.record_device": [
        [user, p_str(agent), p_str(None), p_str(None)]
        for user in (LIGHT_ID, HEAVY_ID) for agent in ("Mozilla/5.0 (device 1 of a reader)", "curl/8")],
    "device_link.forget_device": [[HEAVY_ID, p_i64(7)], [LIGHT_ID, p_i64(7)]],
    "device_link.make_code": [[LIGHT_ID, p_i32(None), p_str("token"), p_str("ABCD-EFGH-2345"), p_i32(3)]],
    "device_link.expire_codes": [[]],
    "device_link.revoke_codes": LIVE,
    "device_link.lock_linked": [[LIGHT, p_str("code-77")], [LIGHT, p_str("nothing")]],
    "device_link.lock_code": [[p_i32(77)]],
    "device_link.expire_code": [[p_i32(77)]],
    "device_link.use_code": [[p_i32(77), LIGHT_ID, p_i32(300)]],
    "device_link.lock_two": [[LIGHT, HEAVY], [LIGHT, NOBODY]],
    "device_link.rank_pair": [[LIGHT_ID, HEAVY_ID]],
    "device_link.delete_user": [[LIGHT_ID], [HEAVY_ID]],
    # actors/quota: in every program whose messages are counted
    "count_minute": [[LIGHT, INSIGHTS_CALLS, p_str(None)], [HEAVY, INSIGHTS_CALLS, p_str(None)],
                     [LIGHT, INSIGHTS_CALLS, p_str("192.0.2.1")]],
    "look_at_minute": [[p_str("192.0.2.1"), INSIGHTS_CALLS]],
    "sweep_minutes": [[]],
    "find_caller": ANYBODY,
    "reserve_call": for_each((LIGHT, HEAVY, NOBODY), p_i64(90000000), p_i64(10)),
    "settle_call": for_each((LIGHT, HEAVY), TODAY, SOON),
    "give_back_call": for_each((LIGHT, HEAVY), TODAY, SOON),
    # db/owned: the statements that its rows become
    "lock_owner": LIVE,
    "lock_owner_all": LIVE,
    "end_merge": [[OTHER_ID, LIGHT_ID]],
    "merge_*": [[OTHER_ID, LIGHT_ID], [LIGHT_ID, HEAVY_ID]],
    "join_*": [[OTHER_ID, LIGHT_ID], [LIGHT_ID, HEAVY_ID]],
    "clear_*": [[LIGHT_ID], [HEAVY_ID]],
}


def calls():
    """All examples of all statements, as calls of plans.py."""
    return [plans.Call(statement, statement.sql, parameters, statement.write)
            for statement in plans.statements() for parameters in of(statement)]


def of(statement):
    """The examples of a statement of plans.py: by its domain and name; by its name, where several programs have it; or
    by what its name begins with, where a table makes it."""
    family = statement.name.split("_")[0] + "_*"
    return next((EXAMPLES[key] for key in (str(statement), statement.name, family) if key in EXAMPLES), [])

"""Documents that users take with them: made by a seed, and what the contract says of each of their places."""

import datetime
import json
import random

import fleet

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
HOUR_US = 3600 * 1000000
# Short and long in UTF-8, what JSON escapes, white space at the ends, and what a regular text has.
PIECES = ["a", "Word ", "é", "λόγος", "בְּרֵאשִׁית", "𐤀", "\u2028", "\\", '"', "\n", "\t", "\x01", "\x7f", " ", "</script>", "'; --", "%s",
          "\ufeff", "\ufffd", "{}", "[0]"]


def iso(us):
    """A time as exports have it."""
    return (EPOCH + datetime.timedelta(microseconds=us)).isoformat(timespec="microseconds")


def text(chance, most):
    return "".join(chance.choice(PIECES) for _ in range(chance.choice([0, 1, 3, most])))


def times(chance, count):
    """Ascending, some of them equal."""
    us = sorted(chance.randrange(0, 1700000000 * 1000000, chance.choice([1, 1, 1000000])) for _ in range(count))
    return [iso(us[i - chance.choice([0, 0, 0, 1])] if i else us[0]) for i in range(count)]


def messages(chance, most):
    found = []
    for time in sorted(times(chance, chance.randrange(most + 1))):
        found.append({"role": chance.choice(["user", "assistant"]), "content": text(chance, 40), "created_at": time})
        if chance.random() < 0.2:
            found[-1]["was_truncated"] = True
    return found + [dict(m) for m in found[-1:] if chance.random() < 0.3]  # the same message twice


def document(seed, items=12, most_messages=8):
    """A document as an export would have it, but for the user; no passage stands in it twice."""
    chance = random.Random(seed)

    def sorted_times():
        return sorted(times(chance, chance.randrange(items + 1)))
    return {
        "insights": [{"passage_reference": f"{i} {text(chance, 5)}"[:100], "passage_text": text(chance, 60),
                      "historical_context": text(chance, 30), "theological_significance": text(chance, 30),
                      "practical_application": text(chance, 30), "created_at": time,
                      "chat_messages": messages(chance, most_messages)} for i, time in enumerate(sorted_times())],
        "standalone_chats": [{"title": chance.choice([None, "", text(chance, 9)]),
                              "passage_reference": chance.choice([None, "", text(chance, 5)]),
                              "passage_text": chance.choice([None, "", text(chance, 60)]),
                              "created_at": time, "updated_at": iso(chance.randrange(10**15)),
                              "messages": messages(chance, most_messages)} for time in sorted_times()],
        "definitions": [{"word": f"{i} {text(chance, 5)}"[:100], "passage_reference": text(chance, 5),
                         "verse_text": text(chance, 40), "definition": text(chance, 30),
                         "biblical_usage": text(chance, 30), "original_language": text(chance, 30),
                         "created_at": time} for i, time in enumerate(sorted_times())],
    }


def largest():
    """As many items as an import may have, and about as many bytes."""
    def chat(count, size, begins):
        return [{"role": ["user", "assistant"][i % 2], "content": f"{i} é" + "m" * size, "created_at": iso(HOUR_US * begins + i)}
                for i in range(count)]
    return {
        "insights": [{"passage_reference": f"Psalm {i}", "passage_text": f"{i}" + "p" * 3500, "historical_context": "h" * 1300,
                      "theological_significance": "t" * 1300, "practical_application": "a" * 1300,
                      "created_at": iso(HOUR_US * i), "chat_messages": chat(4, 550, i)} for i in range(1000)],
        "standalone_chats": [{"title": f"chat {i}", "passage_reference": None, "passage_text": "p" * 500, "created_at": iso(HOUR_US * i),
                              "updated_at": iso(HOUR_US * i + 1), "messages": chat(8, 450, i)} for i in range(500)],
        "definitions": [{"word": f"word {i}", "passage_reference": "John 3", "verse_text": "v" * 400, "definition": "d" * 1100,
                         "biblical_usage": "b" * 1100, "original_language": "o" * 1100, "created_at": iso(HOUR_US * i)}
                        for i in range(1000)],
    }


def nothing():
    return {"insights": [], "standalone_chats": [], "definitions": []}


def sections():
    """The contract's lists of an export: name and members."""
    contract = json.loads(fleet.command("ls", "--json").stdout)
    export = next(m for m in contract if m["name"] == "user.export_user_data")
    return {field["name"]: field["of"] for field in export["out"] if field["type"] == "list"}


def gather(pieces):
    """The one body that pieces make: lists go on, and an item without what it always has goes on with the one before."""
    of = sections()
    always = {name: next(f["name"] for f in fields if f["absent"] == "never") for name, fields in of.items()}
    whole = {name: [] for name in of}
    for piece in pieces:
        for name, value in piece.items():
            if name not in of:
                whole[name] = value
                continue
            for item in value:
                if always[name] in item or of[name][-1]["type"] != "list":
                    whole[name].append(item)
                else:
                    whole[name][-1][of[name][-1]["name"]] += item[of[name][-1]["name"]]
    return whole


def as_json(body):
    """A document of the wire with times and nulls as JSON has them."""
    if isinstance(body, list):
        return [as_json(value) for value in body]
    if not isinstance(body, dict):
        return body
    if "messages" in body:
        body = {"title": None, "passage_reference": None, "passage_text": None, **body}
    return {name: iso(value) if name in ("created_at", "updated_at") else as_json(value) for name, value in body.items()}

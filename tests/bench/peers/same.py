"""Whether services answer alike: same.py USER TARGETS ADDRESS ADDRESS… exits with 1 at the first answer that differs.

Each target of the file is asked of each service, as the user; status and JSON must be equal, field by field. The
address of the first is the one that the others are compared with.
"""

import http.client
import json
import sys

user, file, *addresses = sys.argv[1:]
connections = [http.client.HTTPConnection(address, timeout=30) for address in addresses]


def ask(connection, target):
    connection.request("GET", target, headers={"Cookie": f"verse_user_id={user}"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def differ(one, other, at=""):
    """Where two values differ first, or None; integers are not floats, and keys have their order."""
    if type(one) is not type(other):
        return f"{at}: {one!r} or {other!r}"
    if isinstance(one, dict) and list(one) == list(other):
        found = (differ(one[key], other[key], f"{at}.{key}") for key in one)
    elif isinstance(one, list) and len(one) == len(other):
        found = (differ(a, b, f"{at}[{n}]") for n, (a, b) in enumerate(zip(one, other)))
    else:
        return None if one == other else f"{at}: {one!r:.200} or {other!r:.200}"
    return next((where for where in found if where), None)


with open(file, encoding="utf-8") as lines:
    for line in lines:
        target = line.strip()
        first, *others = [ask(connection, target) for connection in connections]
        if first[0] != 200:
            sys.exit(f"{addresses[0]} answers {target} with {first[0]}")
        for address, other in zip(addresses[1:], others):
            where = differ(list(first), list(other))
            if where:
                sys.exit(f"{target}: {address} differs at {where}")

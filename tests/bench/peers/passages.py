"""The files that the comparison with peers needs.

    passages.py books BOOKS.DEF                 the numbers of books by name and id, as JSON
    passages.py targets BOOKS.DEF < CHAPTERS    targets that store some 100,000 different passages; chapters are lines
                                                of book, chapter and number of verses: `1|1|31`
"""

import json
import re
import sys
import urllib.parse

MOST_VERSES = 4

with open(sys.argv[2], encoding="utf-8") as file:
    BOOKS = re.findall(r'^BOOK\((\d+), "(\w+)", "([^"]+)"', file.read(), re.M)


def books():
    print(json.dumps({key.lower(): int(number) for number, *keys in BOOKS for key in keys}))


def targets():
    names = {number: name for number, _, name in BOOKS}
    chapters = [line.strip().split("|") for line in sys.stdin]
    for length in [*range(1, MOST_VERSES), 0]:  # a few verses do not exist, so those alone come last
        for book, chapter, verses in chapters:
            for first in range(1, int(verses) - length + 1):
                query = {"book": names[book], "chapter": chapter, "verse_start": first, "verse_end": first + length}
                print("/api/passage?" + urllib.parse.urlencode(query) + "&save=true")


{"books": books, "targets": targets}[sys.argv[1]]()

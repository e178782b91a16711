"""Each named point at which a failure can be injected: what is answered, what is stored, and that it passes."""

import os
import re
import time
import unittest

import _path  # noqa: F401
import fleet
import ground

DEADLINE_S = 2
HEADER = os.path.join(fleet.ROOT, "proto/inject.h")

# Point: the process it is armed in, how often it goes wrong, what clients may be answered beside 200.
POINTS = {
    "connect_refused": ("bible-1", "8:1", {503}),
    "lost_before_begin": ("bible-1", "5:5", {503}),
    "lost_between": ("bible-1", "5:5", {503, 504}),  # the second statement is the last one, and has COMMIT behind it
    "lost_before_commit": ("bible-1", "5:5", {504}),
    "lost_after_commit": ("bible-1", "5:5", {504}),
    "lost_after_write": ("user-1", "5:5", {504}),
    "lost_after_read": ("user-1", "5:5", {503}),
    "call_refused_memory": ("user-1", "20:10", {503}),
    "input_refused_memory": ("bible-1", "20:10", {503}),
    "output_refused_memory": ("bible-1", "20:10", {500, 504}),
    "call_refused_fiber": ("bible-1", "20:10", {503}),
    "handler_slow": ("user-1", "20:10", set()),
    "reply_dropped": ("bible-1", "4:10", {504}),
    "reply_wrong_id": ("bible-1", "4:10", {504}),
    "reply_twice": ("user-1", "0", set()),
    "reply_late": ("bible-1", "4:10", {504}),
    "link_full": ("gateway-1", "1:40", {503, 504}),
    "link_nobody": ("gateway-1", "20:40", {503, 504}),
    "accept_no_descriptor": ("gateway-1", "5:20", set()),
    "send_short": ("gateway-1", "0", set()),
    "request_no_memory": ("gateway-1", "20:20", {503}),
    "request_no_fiber": ("gateway-1", "20:20", {503}),
    "trip_no_memory": ("gateway-1", "20:20", {503, 504}),
    "answer_no_memory": ("gateway-1", "20:20", {503, 504}),
}


class Release(unittest.TestCase):
    def test_a_release_has_none_of_it(self):
        """The build that clang's warnings are for is a release, and so is the one that is started."""
        found = [folder for folder in ("build-clang", "build") if os.path.exists(f"{fleet.ROOT}/{folder}/lectern-user")]
        for folder in found:
            for name in ("lectern-gateway", "lectern-user", "lectern-bible", "lectern"):
                with open(f"{fleet.ROOT}/{folder}/{name}", "rb") as file:
                    content = file.read()
                for word in (b"LECTERN_INJECT", b"inject_passes", b"inject_cut", b"lost_after_commit\0"):
                    self.assertFalse(word in content, f"{word} is in {folder}/{name}")

    def test_each_point_has_a_case(self):
        with open(HEADER, encoding="ascii") as file:
            self.assertEqual(set(re.findall(r"^ +POINT\((\w+)\)", file.read(), re.MULTILINE)), set(POINTS))

    def test_a_name_that_is_none_ends_the_program(self):
        with fleet.Lectern() as lectern:
            wrong = lectern.start("user-2", "lectern-user", "--instance", "2", env={"LECTERN_INJECT": "no_such"})
            self.assertEqual(wrong.wait(), 78)
            self.assertIn("no_such", wrong.text())


class Points(unittest.TestCase):
    def try_point(self, point):
        where, often, bad = POINTS[point]
        env = {"WRITE_ENDPOINT_LIMIT": "0", "NEW_USER_LIMIT": "0", "LECTERN_READ_DEADLINE": f"{DEADLINE_S}s",
               "LECTERN_WRITE_DEADLINE": f"{DEADLINE_S}s"}
        lectern = fleet.Lectern(env=env)
        lectern.arm = {where: {"LECTERN_INJECT": f"{point}:{often}"}}
        with lectern:
            standing = ground.Standing(lectern)
            books = ground.Books(lectern, may_bad=bad)
            try:
                fleet.wait_for("the point", lambda: f"injected {point}" in lectern.find(where).text())
                self.let_pass(lectern, where, point, often)
                took = books.recovered(time.monotonic())
            finally:
                books.going = False
            books.close(self)
            ground.report(point, took, books)
            standing.is_back(self)

    def let_pass(self, lectern, where, point, often):
        """Until it went wrong as often as it shall; one that always does, for a while."""
        count = int(often.split(":")[0])
        text = lectern.find(where).text
        fleet.wait_for("the last time", lambda: text().count(f"injected {point}") >= (count or 50), 60)
        if point.startswith("reply_"):
            time.sleep(DEADLINE_S + 0.3)  # until the last one who waits in vain has stopped to


class Limits(unittest.TestCase):
    """Arenas that are really too small, without anything injected."""

    def test_a_call_with_little_memory(self):
        """Chapters up to some size are answered and stored; larger ones are refused truly."""
        with fleet.Lectern(env={"LECTERN_CALL_MEMORY": "64KiB", "WRITE_ENDPOINT_LIMIT": "0"}) as lectern:
            standing = ground.Standing(lectern)
            found = {}
            for chapter in list(range(1, 151)) * 2:
                answer = lectern.get(f"/api/chapter?book=Psalms&chapter={chapter}&save=true")
                stored = lectern.sql(f"select count(*) from saved_passages where chapter = {chapter}") == "1"
                unknown = answer.status == 504 and answer.json == ground.UNKNOWN
                found.setdefault((answer.status, unknown), []).append(chapter)
                self.assertTrue(unknown or stored == (answer.status == 200), f"{chapter}: {answer.status}, {answer.body}")
            print("64 KiB a call:", {key: len(value) for key, value in found.items()}, flush=True)
            self.assertLessEqual({status for status, _ in found}, {200, 503, 504})
            self.assertIn((200, False), found)
            self.assertGreater(len(found), 1, "nothing was too large")
            standing.is_back(self)


def case(point):
    return lambda self: self.try_point(point)


for name in POINTS:
    setattr(Points, f"test_{name}", case(name))


if __name__ == "__main__":
    fleet.main()

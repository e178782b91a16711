"""The gateway's cache of answers that hold until the next import of a Bible."""

import _path  # noqa: F401
import fleet

PATH = "/api/chapter?book=John&chapter=3"


class Cache(fleet.LecternTest):
    options = {"env": {"LECTERN_CACHE": "1MiB"}}

    def asked(self):
        return self.lectern.metric("bible-1", 'lectern_requests_total{method="bible.chapter"}')

    def hits(self):
        return self.lectern.metric("gateway-1", "lectern_cache_hits_total")

    def test_a_second_request_asks_nobody(self):
        first = self.lectern.get(PATH)
        asked, hits = self.asked(), self.hits()
        again = self.lectern.get(PATH)
        self.assertEqual((again.status, again.body), (200, first.body))
        self.assertEqual(again.headers["ETag"], first.headers["ETag"])
        self.assertEqual(again.headers["Cache-Control"], "public, max-age=3600")
        unchanged = self.lectern.get(PATH, headers={"If-None-Match": first.headers["ETag"]})
        self.assertEqual((unchanged.status, unchanged.body), (304, b""))
        head = self.lectern.request("HEAD", PATH)
        self.assertEqual((head.status, head.headers["Content-Length"]), (200, str(len(first.body))))
        self.assertEqual((self.asked(), self.hits()), (asked, hits + 3))

    def test_each_input_is_an_answer_of_its_own(self):
        books = [self.lectern.get(f"/api/chapter?book={book}&chapter=3").json["verses"][0]["book"]
                 for book in ("John", "john", "JHN", "John", "jhn") for _ in range(2)]
        self.assertEqual(books, ["John", "John", "john", "john", "JHN", "JHN", "John", "John", "jhn", "jhn"])

    def test_what_writes_and_what_fails_is_not_kept(self):
        asked = self.asked()
        for _ in range(2):
            self.assertEqual(self.lectern.get(PATH + "&save=true").status, 200)
            self.assertEqual(self.lectern.get("/api/chapter?book=John&chapter=99").status, 404)
        self.assertEqual(self.asked(), asked + 4)

    def test_memory_is_bounded(self):
        for book in ("Genesis", "Exodus", "Psalms", "Isaiah", "Jeremiah", "Ezekiel"):
            for chapter in range(1, 40):
                self.lectern.get(f"/api/chapter?book={book}&chapter={chapter}")
        held = self.lectern.metric("gateway-1", "lectern_cache_bytes_held")
        self.assertGreater(held, 500_000)
        self.assertLessEqual(held, 1 << 20)


class Away(fleet.LecternTest):
    options = {"env": {"LECTERN_CACHE": "1MiB"}}

    def test_with_the_actor_gone_what_was_read_is_served(self):
        first = self.lectern.get(PATH)
        self.assertEqual(self.lectern.find("bible-1").stop(), 0)
        fleet.wait_for("the actor to be gone", lambda: self.lectern.get("/api/translations").status == 503)
        self.assertEqual(self.lectern.get(PATH).body, first.body)
        self.assertEqual(self.lectern.get("/api/chapter?book=John&chapter=4").status, 503)


class NewImport(fleet.LecternTest):
    options = {"env": {"LECTERN_CACHE": "1MiB"}}

    @fleet.plainly
    def test_a_new_import_is_served_within_a_minute(self):
        path = "/api/passage?book=John&chapter=11&verse_start=35"
        first = self.lectern.get(path)
        self.lectern.sql("update bible_verses set text = 'Jesus cried.' where book = 43 and chapter = 11 and verse = 35;"
                         "update bible_translations set version = version + 1000")
        fleet.wait_for("the new text", lambda: self.lectern.get(path).json["verses"][0]["text"] == "Jesus cried.", 60)
        self.assertEqual(self.lectern.get(path, headers={"If-None-Match": first.headers["ETag"]}).status, 200)


if __name__ == "__main__":
    fleet.main()

"""Reading the Bible over HTTP, on the World English Bible and the King James Version."""

import time

import _path  # noqa: F401
import fleet


class Reading(fleet.LecternTest):
    def passage(self, query, **more):
        return self.lectern.get("/api/passage?" + query, **more)

    def test_translations(self):
        answer = self.lectern.get("/api/translations")
        self.assertEqual(answer.json, {"translations": [
            {"code": "KJV", "name": "King James Version", "requires_pro": False},
            {"code": "WEB", "name": "World English Bible", "requires_pro": False}]})
        self.assertIsNone(answer.cookie)

    def test_one_verse(self):
        answer = self.passage("book=John&chapter=3&verse_start=16&translation=KJV")
        self.assertEqual(answer.status, 200)
        self.assertIsNone(answer.cookie)
        self.assertEqual(answer.json["reference"], "John 3:16")
        self.assertEqual(answer.json["translation"], "KJV")
        (verse,) = answer.json["verses"]
        self.assertEqual({k: verse[k] for k in ("book", "chapter", "verse", "translation")},
                         {"book": "John", "chapter": 3, "verse": 16, "translation": "KJV"})
        self.assertEqual(verse["text"],
                         "For God so loved the world, that he gave his only begotten Son, that whosoever"
                         " believeth in him should not perish, but have everlasting life.")
        self.assertIsInstance(verse["text_parts"], list)

    def test_a_range_and_the_default_translation(self):
        answer = self.passage("book=john&chapter=3&verse_start=16&verse_end=18")
        self.assertEqual(answer.json["reference"], "john 3:16-18")
        self.assertEqual(answer.json["translation"], "WEB")
        self.assertEqual([v["verse"] for v in answer.json["verses"]], [16, 17, 18])
        self.assertEqual(self.passage("book=John&chapter=3&verse_start=16&verse_end=16").json["reference"],
                         "John 3:16")
        tail = self.passage("book=John&chapter=3&verse_start=35&verse_end=99").json
        self.assertEqual([v["verse"] for v in tail["verses"]], [35, 36])

    def test_names_of_books(self):
        for book, found in (("JHN", True), ("jhn", True), ("1%20Samuel", True), ("1+samuel", True), ("1SA", True),
                            ("Song%20of%20Solomon", True), ("SNG", True), ("Psalms", True), ("PSA", True),
                            ("Revelation", True), ("Tobit", False), ("", False), ("Jon%00ah", None)):
            with self.subTest(book=book):
                status = self.passage(f"book={book}&chapter=1&verse_start=1").status
                self.assertEqual(status, {True: 200, False: 404, None: 422}[found])

    def test_what_does_not_exist(self):
        for query in ("book=John&chapter=99&verse_start=1", "book=John&chapter=3&verse_start=99",
                      "book=John&chapter=3&verse_start=18&verse_end=16", "book=John&chapter=0&verse_start=1",
                      "book=John&chapter=-1&verse_start=1", "book=John&chapter=3&verse_start=1&translation=XYZ",
                      "book=John&chapter=99999999999999999999&verse_start=1",
                      "book=John&chapter=3&verse_start=99999999999999999999"):
            with self.subTest(query=query):
                answer = self.passage(query)
                self.assertEqual((answer.status, answer.json), (404, {"detail": "Passage not found"}))
        self.assertEqual(self.lectern.get("/api/chapter?book=Tobit&chapter=1").json, {"detail": "Chapter not found"})
        self.assertEqual(self.lectern.get("/api/chapter/content?book=John&chapter=22").json,
                         {"detail": "Chapter content not found"})

    def test_an_empty_verse_is_no_verse(self):
        self.assertEqual(self.passage("book=Romans&chapter=16&verse_start=25").status, 404)

    def test_a_chapter(self):
        answer = self.lectern.get("/api/chapter?book=Psalms&chapter=119&translation=KJV")
        self.assertEqual(answer.json["reference"], "Psalms 119")
        self.assertEqual([v["verse"] for v in answer.json["verses"]], list(range(1, 177)))

    def test_chapter_content(self):
        answer = self.lectern.get("/api/chapter/content?book=Psalms&chapter=3")
        self.assertEqual({k: v for k, v in answer.json.items() if k != "content"},
                         {"book": "Psalms", "chapter": 3, "translation": "WEB", "reference": "Psalms 3"})
        items = answer.json["content"]
        self.assertEqual([i["number"] for i in items if i["type"] == "verse"], list(range(1, 9)))
        titles = [i for i in items if i["type"] == "hebrew_subtitle"]
        self.assertEqual(len(titles), 1)
        self.assertIn("Absalom", "".join(p if isinstance(p, str) else p.get("text", "") for p in titles[0]["content"]))
        poems = [p for i in items if i["type"] == "verse" for p in i["content"] if isinstance(p, dict) and "poem" in p]
        self.assertTrue(poems)
        for item in items:
            self.assertIn(item["type"], ("verse", "heading", "hebrew_subtitle", "line_break"))

    def test_a_verses_parts_are_those_of_the_chapter(self):
        content = self.lectern.get("/api/chapter/content?book=John&chapter=3").json["content"]
        of_chapter = {i["number"]: i["content"] for i in content if i["type"] == "verse"}
        for verse in self.lectern.get("/api/chapter?book=John&chapter=3").json["verses"]:
            self.assertEqual(verse["text_parts"], of_chapter[verse["verse"]])

    def test_etag_and_not_modified(self):
        path = "/api/chapter?book=John&chapter=3"
        first = self.lectern.get(path)
        tag = first.headers["ETag"]
        self.assertRegex(tag, r'^(W/)?"[^"]+"$')
        self.assertEqual(first.headers["Cache-Control"], "public, max-age=3600")
        for value in (tag, "W/" + tag.removeprefix("W/"), f'"other", {tag}', "*"):
            with self.subTest(value=value):
                again = self.lectern.get(path, headers={"If-None-Match": value})
                self.assertEqual((again.status, again.body), (304, b""))
                self.assertEqual(again.headers["ETag"], tag)
        self.assertEqual(self.lectern.get(path, headers={"If-None-Match": '"other"'}).status, 200)
        missing = self.lectern.get("/api/chapter?book=John&chapter=99", headers={"If-None-Match": "*"})
        self.assertEqual(missing.status, 404)
        self.assertNotIn("ETag", missing.headers)

    def test_head_is_get_without_the_body(self):
        path = "/api/chapter?book=John&chapter=3"
        got, head = self.lectern.get(path), self.lectern.request("HEAD", path)
        self.assertEqual((head.status, head.body), (200, b""))
        for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control"):
            self.assertEqual(head.headers[name], got.headers[name])

    def test_saving(self):
        path = "book=Ruth&chapter=1&verse_start=16&verse_end=17&save=true"
        answer = self.passage(path)
        plain = self.passage(path.replace("&save=true", ""))
        self.assertEqual(answer.json, plain.json)
        self.assertNotIn("ETag", answer.headers)
        self.assertEqual(
            self.lectern.sql("select reference, book, chapter, verse_start, verse_end, translation"
                             " from saved_passages where verse_end = 17"),
            "Ruth 1:16-17|Ruth|1|16|17|WEB")
        self.assertEqual(self.lectern.sql("select text from saved_passages where verse_end = 17"),
                         " ".join(v["text"] for v in answer.json["verses"]))
        self.assertEqual(self.lectern.get("/api/chapter?book=Jude&chapter=1&save=1").status, 200)
        self.assertEqual(self.lectern.sql("select reference, verse_start, verse_end from saved_passages where book = 'Jude'"),
                         "Jude 1|1|25")

    def test_head_never_saves(self):
        before = self.lectern.sql("select count(*) from saved_passages")
        self.assertEqual(self.lectern.request("HEAD", "/api/chapter?book=Jonah&chapter=1&save=true").status, 200)
        self.assertEqual(self.lectern.sql("select count(*) from saved_passages"), before)

    def test_saves_are_limited_and_say_so(self):
        answer = self.passage("book=Ruth&chapter=1&verse_start=1&save=yes", user=self.lectern.new_user())
        self.assertEqual(answer.headers["X-RateLimit-Limit"], "600")
        self.assertEqual(answer.headers["X-RateLimit-Remaining"], "599")
        self.assertAlmostEqual(int(answer.headers["X-RateLimit-Reset"]), time.time(), delta=61)
        self.assertNotIn("X-RateLimit-Limit", self.passage("book=Ruth&chapter=1&verse_start=1").headers)

    def test_every_fault_of_a_request(self):
        answer = self.passage("chapter=three&verse_start=1&save=maybe&verse_end=1.5")
        self.assertEqual(answer.status, 422)
        self.assertEqual([(f["type"], f["loc"], f["input"]) for f in answer.json["detail"]], [
            ("missing", ["query", "book"], None),
            ("int_parsing", ["query", "chapter"], "three"),
            ("int_parsing", ["query", "verse_end"], "1.5"),
            ("bool_parsing", ["query", "save"], "maybe")])

    def test_forms_of_numbers(self):
        self.assertEqual(self.passage("book=John&chapter=%2B3&verse_start=16.0").status, 200)
        self.assertEqual(self.passage("book=Tobit&book=John&chapter=1&chapter=3&verse_start=16").json["reference"],
                         "John 3:16")


class ProOnly(fleet.LecternTest):
    """A translation that only pro users may read."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lectern.sql("update bible_translations set code = 'NRSV', name = 'Not the NRSV', requires_pro = true,"
                        " version = version + 1000 where code = 'KJV'")
        cls.pro = cls.lectern.new_user()
        cls.free = cls.lectern.new_user()
        cls.lectern.sql(f"update users set pro_subscription = true where anonymous_id = '{cls.pro}'")
        fleet.wait_for("the new catalog", lambda: cls.verse(cls.pro).status == 200, 60)

    @classmethod
    def verse(cls, user):
        return cls.lectern.get("/api/passage?book=John&chapter=3&verse_start=16&translation=NRSV", user=user)

    def test_a_free_user_is_refused(self):
        for user in (self.free, None, "3f0c1a9e-6f2a-4e0e-9a53-1f6d7a0b9c11"):
            answer = self.verse(user)
            self.assertEqual(answer.status, 403)
            self.assertEqual(answer.json, {"detail": {
                "message": "The NRSV translation requires a pro subscription.",
                "translation": "NRSV", "requires_pro": True}})
            self.assertIsNone(answer.cookie)

    def test_a_pro_user_reads_privately(self):
        answer = self.verse(self.pro)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Cache-Control"], "private, max-age=3600")
        again = self.lectern.get("/api/passage?book=John&chapter=3&verse_start=16&translation=NRSV",
                                 headers={"If-None-Match": answer.headers["ETag"]})
        self.assertEqual(again.status, 403)

    def test_the_list_follows_the_user(self):
        def codes(user):
            return [t["code"] for t in self.lectern.get("/api/translations", user=user).json["translations"]]
        self.assertEqual(codes(self.pro), ["NRSV", "WEB"])
        self.assertEqual(codes(self.free), ["WEB"])
        self.assertEqual(codes(None), ["WEB"])

    def test_a_pro_subscription_that_ends_ends_at_once(self):
        user = self.lectern.new_user()
        self.lectern.sql(f"update users set pro_subscription = true where anonymous_id = '{user}'")
        self.assertEqual(self.verse(user).status, 200)
        self.lectern.sql(f"update users set pro_subscription = false where anonymous_id = '{user}'")
        self.assertEqual(self.verse(user).status, 403)


class NewImport(fleet.LecternTest):
    @fleet.plainly
    def test_a_new_import_is_served_within_a_minute(self):
        path = "/api/passage?book=John&chapter=11&verse_start=35"
        first = self.lectern.get(path)
        self.lectern.sql("update bible_verses set text = 'Jesus cried.' where book = 43 and chapter = 11 and verse = 35;"
                         "update bible_translations set version = version + 1000")
        fleet.wait_for("the new text", lambda: self.lectern.get(path).json["verses"][0]["text"] == "Jesus cried.", 60)
        self.assertNotEqual(self.lectern.get(path).headers["ETag"], first.headers["ETag"])
        self.assertEqual(self.lectern.get(path, headers={"If-None-Match": first.headers["ETag"]}).status, 200)


if __name__ == "__main__":
    fleet.main()

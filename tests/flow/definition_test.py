"""The domain `definition`: what is said about a word in its verse is stored once, and whoever saved it has it in his
history."""

import saved
import _path  # noqa: F401
import fleet


class Definitions(saved.Saved):
    thing, table, column, shown = "definition", "saved_definitions", "verse_text", "verse_text"
    keys = ("word", "passage_reference")
    parts = ("definition", "biblical_usage", "original_language")
    save = {"word": "world", "passage_reference": "John 3:16", **{part: part for part in parts}}

    def entry(self, number, parts, when):
        return {"id": str(number), "word": "world", "passage_reference": "John 3:16", "verse_text": self.text,
                "definition": parts, "timestamp": when}

    def test_blanks_around_the_word_count_for_nothing(self):
        self.assertEqual(self.store(word="  world\n")["id"], self.store()["id"])


if __name__ == "__main__":
    fleet.main()

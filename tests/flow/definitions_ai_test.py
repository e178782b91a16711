"""Definitions that the language model is asked for, over the other protocol."""

import _path  # noqa: F401
import fleet
import generated


class Definitions(generated.Generated):
    thing, path, column = "definition", "definitions", "verse_text"
    keys = {"word": "love", "passage_reference": "John 3:16"}
    parts = ("definition", "biblical_usage", "original_language")
    failed = "Failed to generate definition"
    protocol = "openai"


if __name__ == "__main__":
    fleet.main()

"""The domain `insight`: what is said about a passage is stored once, and whoever saved it has it in his history."""

import saved
import _path  # noqa: F401
import fleet


class Insights(saved.Saved):
    thing, table, column, shown = "insight", "saved_insights", "passage_text", "text"
    keys = ("passage_reference",)
    parts = ("historical_context", "theological_significance", "practical_application")
    save = {"passage_reference": "John 3:16", **{part: part for part in parts}}

    def entry(self, number, parts, when):
        return {"id": str(number), "reference": "John 3:16", "text": self.text, "insight": parts, "timestamp": when}


if __name__ == "__main__":
    fleet.main()

"""Insights that the language model is asked for."""

import _path  # noqa: F401
import fleet
import generated


class Insights(generated.Generated):
    thing, path, column = "insight", "insights", "passage_text"
    keys = {"passage_reference": "John 3:16"}
    parts = ("historical_context", "theological_significance", "practical_application")
    failed = "Failed to generate insights"


if __name__ == "__main__":
    fleet.main()

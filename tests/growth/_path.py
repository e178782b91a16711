"""Puts what tests share on the path; imported first by each of these programs."""

import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
for folder in ("harness", "growth"):
    sys.path.insert(0, os.path.join(TESTS, folder))

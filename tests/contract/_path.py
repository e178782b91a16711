"""Puts the test harness and the wire's client on the path; imported first by each of these programs."""

import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, folder) for folder in ("harness", "flow", "fake")]

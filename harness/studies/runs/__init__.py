"""Runs beside each other: what lies in a folder, what was reached, and in which settings runs differ."""

from harness.studies.runs.choosing import chosen, in_order
from harness.studies.runs.finding import Found, find
from harness.studies.runs.listed import ListedRun, ListedSweep, State, differing

__all__ = ["Found", "ListedRun", "ListedSweep", "State", "chosen", "differing", "find", "in_order"]

"""Data sets as arrays in volts."""

from harness.datasets.samples import Samples, Split
from harness.datasets.tables import BUILT_IN, Table, csv, split

__all__ = ["BUILT_IN", "Samples", "Split", "Table", "csv", "split"]

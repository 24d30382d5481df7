"""Data sets as arrays in volts."""

from harness.datasets.images import IMAGE_SETS, ImageSet, load_images
from harness.datasets.samples import Samples, Split
from harness.datasets.tables import BUILT_IN, Table, csv, csv_values, split

__all__ = [
    "BUILT_IN",
    "IMAGE_SETS",
    "ImageSet",
    "Samples",
    "Split",
    "Table",
    "csv",
    "csv_values",
    "load_images",
    "split",
]

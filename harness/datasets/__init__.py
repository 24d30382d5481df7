"""Data sets as arrays in volts."""

from harness.datasets.csv_files import CsvFile, read_csv
from harness.datasets.images import IMAGE_SETS, ImageSet, load_images
from harness.datasets.new_rows import new_rows
from harness.datasets.samples import Encoding, Samples, Scaling, Split
from harness.datasets.splitting import split
from harness.datasets.tables import BUILT_IN, Origin, Table

__all__ = [
    "BUILT_IN",
    "IMAGE_SETS",
    "CsvFile",
    "Encoding",
    "ImageSet",
    "Origin",
    "Samples",
    "Scaling",
    "Split",
    "Table",
    "load_images",
    "new_rows",
    "read_csv",
    "split",
]

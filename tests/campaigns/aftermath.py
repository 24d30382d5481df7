"""What a folder holds when everything has ended, without what differs from one time to another."""

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

from tests.campaigns.subjects import content_of

_TIMES = {"seconds", "training_seconds", "train_samples_per_second", "ngspice_share", "tuned_seconds", "date"}
"""Keys of JSON files that hold times."""
_TIME_COLUMN = re.compile(r"time \(s\)|seconds|per second|share of time")
_ONLY_THERE = (".png", ".svg", ".html", ".xml", ".parquet", ".pdf")
"""Files that hold times, or come from others' libraries: they have to be there and not empty."""


def settled(folder: Path) -> dict[str, bytes]:
    """Content of a folder's files without times."""
    return {name: _timeless(name, content) for name, content in content_of(folder).items()}


def differences(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    """Names of files that differ; random parts of names are left out."""
    names = sorted({name for name in (*one, *other) if one.get(name) != other.get(name)})
    return list(dict.fromkeys(re.sub(r"-[0-9a-z_]{8}(\.partial)?", r"-*\1", name) for name in names))


def _timeless(name: str, content: bytes) -> bytes:
    if name.endswith(_ONLY_THERE):
        return b"there" if content else b""
    if name.endswith(".json"):
        return json.dumps(_pruned(json.loads(content))).encode()
    if name.endswith(("epochs.csv", "results.csv")):
        rows = list(csv.reader(io.StringIO(content.decode())))
        kept = [k for k, heading in enumerate(rows[0]) if not _TIME_COLUMN.search(heading)]
        return repr([[row[k] for k in kept] for row in rows]).encode()
    return content


def _pruned(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _pruned(part) for key, part in tree.items() if key not in _TIMES}
    return [_pruned(part) for part in tree] if isinstance(tree, list) else tree

"""``map.json`` of a package from anywhere: read, and compared with what the netlist's circuit would have there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import NetlistError
from harness.files.reading import JsonObject, parse_json
from harness.netlist.package.manifest import MAP
from harness.netlist.reading.statements import text_of

_TABLES: dict[str, tuple[type, str]] = {
    "circuit": (str, "a name"),
    "top": (str, "a name"),
    "ports": (list, "a list"),
    "nodes": (dict, "an object"),
    "outputs": (list, "a list"),
    "models": (dict, "an object"),
    "elements": (list, "a list"),
    "cells": (dict, "an object"),
}


def read_map(folder: Path) -> JsonObject:
    """``map.json`` of a package.

    Raises:
        NetlistError: it is missing, no JSON object, or lacks one of its tables; names line or key.
    """
    content = parse_json(text_of(folder, MAP), NetlistError, MAP)
    for key, (kind, called) in _TABLES.items():
        if not isinstance(content.get(key), kind):
            raise NetlistError(f"{MAP}: it does not describe a circuit: {key!r} must be {called}")
    return content


def compare_map(given: JsonObject, wanted: JsonObject) -> None:
    """Compare a map with the one of the netlist's circuit: names, nets, paths and values.

    Raises:
        NetlistError: they differ; names the first table and key.
    """
    for table, content in json.loads(json.dumps(wanted)).items():
        is_there = given.get(table)
        if is_there == content:
            continue
        ours, theirs = (
            c if isinstance(c, dict) else dict(enumerate(c)) if isinstance(c, list) else {"": c}
            for c in (content, is_there)
        )
        differing = (k for k in [*ours, *theirs] if k not in ours or k not in theirs or ours[k] != theirs[k])
        if (key := next(differing, None)) is None:  # a list where a table belongs, both empty
            raise NetlistError(f"{MAP}: {table} is {is_there!r}, where {content!r} belongs")
        place = f"{table}[{key!r}]" if key != "" else table
        raise NetlistError(
            f"{MAP}: {place} is {_told(theirs, key)}, where the netlist's circuit has {_told(ours, key)}"
        )


def _told(table: Mapping[Any, Any], key: Any) -> str:
    return repr(table[key])[:80] if key in table else "not there"

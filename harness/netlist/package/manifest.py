"""The manifest of a package, which says what the folder is, and the names of files beside it."""

from pathlib import Path

from harness.errors import CircuitError
from harness.files.reading import JsonObject, read_json
from harness.netlist.dialects import DIALECTS
from harness.netlist.reading.statements import is_own

MANIFEST = "manifest.json"
EXPECTED = "expected.csv"
MAP = "map.json"


def read_manifest(folder: Path) -> JsonObject:
    """The manifest of a package.

    Raises:
        CircuitError: the folder is no package, or its manifest is damaged; says how.
    """
    place = f"{folder} is no exported package"
    if not is_own(folder, MANIFEST):
        raise CircuitError(f"{place}: it has no file {MANIFEST} of its own")
    try:
        manifest = read_json(folder / MANIFEST, CircuitError)
    except CircuitError as error:
        raise CircuitError(f"{place}: {error}") from error
    if manifest.get("package") != 1 or manifest.get("dialect") not in [*DIALECTS]:
        raise CircuitError(f"{place}: its {MANIFEST} is of something else; 'harness export' makes one")
    for key in ("experiment", "conductances", "cells"):
        if not isinstance(manifest.get(key), str):
            raise CircuitError(f"{place}: its {MANIFEST} must have a text at {key!r}")
    versions = manifest.get("versions")
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        raise CircuitError(f"{place}: its {MANIFEST} must have texts by name at 'versions'")
    return manifest


def is_package(folder: Path) -> bool:
    """Return whether a folder says that it is a package; runs have a manifest too."""
    try:
        return "package" in read_json(folder / MANIFEST, CircuitError)
    except CircuitError:
        return False

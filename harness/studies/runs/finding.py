"""Runs and sweeps in folders, however much else lies there."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import RunError
from harness.netlist.package.manifest import MAP
from harness.studies.sweep.directory import SWEEP
from harness.training.runs import MANIFEST

_DEEPEST = 3
"""Folders within folders that are looked into."""
_OF_RUNS = (MANIFEST, "checkpoint.npz")
"""Files of which a run has at least one, damaged or not."""
_IN_SWEEPS = ("origins", "points", "deployed")


@dataclass
class Found:
    """The content of folders."""

    runs: list[Path] = field(default_factory=list)
    sweeps: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)
    """Folders in the given ones without any run."""
    notes: list[str] = field(default_factory=list)
    """Sentences about folders that were not looked into."""
    _seen: set[tuple[int, int]] = field(default_factory=set)


def find(*folders: Path) -> Found:
    """Look for runs and sweeps in folders, or at folders that are one; a sweep that is named gives its runs.

    Names that begin with a dot are left out. Links are followed, and no folder is looked into twice.

    Raises:
        RunError: a folder is not there.
    """
    found = Found()
    for folder in folders:
        if not folder.is_dir():
            why = "it is a file" if os.path.lexists(folder) else "it is not there"
            raise RunError(f"{folder} is no folder of runs: {why}; 'harness train' makes runs in runs")
        if os.path.lexists(folder / SWEEP):
            for inner in _IN_SWEEPS:
                if (folder / inner).is_dir():
                    _look_into(folder / inner, found, 1)
        else:
            _look_at(folder, found, 0)
    return found


def _look_at(folder: Path, found: Found, depth: int) -> bool:
    """Note a run or a sweep, or look deeper; return whether there is one."""
    try:
        about = folder.stat()
        place = (about.st_dev, about.st_ino)
        if place in found._seen:
            found.notes.append(f"{folder} leads to a folder that was looked at already")
            return True
        found._seen.add(place)
        if os.path.lexists(folder / SWEEP):
            found.sweeps.append(folder)
            return True
        if any(os.path.lexists(folder / name) for name in _OF_RUNS) and not os.path.lexists(folder / MAP):
            found.runs.append(folder)
            return True
        return depth < _DEEPEST and _look_into(folder, found, depth)
    except OSError as error:
        found.notes.append(f"{folder} cannot be looked into: {error.strerror}")
        return True


def _look_into(folder: Path, found: Found, depth: int) -> bool:
    here = False
    for inner in _folders(folder, found):
        there = _look_at(inner, found, depth + 1)
        if not there and depth == 0:
            found.foreign.append(inner)
        here |= there
    return here


def _folders(folder: Path, found: Found) -> Iterator[Path]:
    """Give the folders in a folder, then the links to folders; numbers in their names are in order."""
    with os.scandir(folder) as entries:
        there = [entry for entry in entries if not entry.name.startswith(".") and _is_folder(entry, folder, found)]
    there.sort(key=lambda entry: (entry.is_symlink(), natural(entry.name)))
    yield from (folder / entry.name for entry in there)


def _is_folder(entry: "os.DirEntry[str]", folder: Path, found: Found) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:  # a link that leads in a circle
        found.notes.append(f"{folder / entry.name} cannot be looked into: {error.strerror}")
        return False


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Return a key by which texts are sorted as people count: seed2 before seed10."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split("([0-9]{1,15})", text))

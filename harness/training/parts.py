"""The parts that trained a run: its rule, update, cost, plan and chip as plain values that a manifest keeps.

Two objects with the same description do the same. Parts that come with the package are described by their class and
their numbers; what somebody wrote in Python also by a hash of its source. Large arrays stand as hashes.
"""

import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from hashlib import sha256
from typing import Any

import numpy as np

from harness.errors import RunError
from harness.files.reading import JsonObject
from harness.plugins import distribution_of
from harness.processes.versions import versions
from harness.training.runs import MANIFEST, Run

_PACKAGE = __name__.partition(".")[0]
_MODULES = re.compile(r"^(?:[a-z_]+\.)+(?=\w)")
"""The modules before the name of a class or function."""
_DEEPEST = 4
_LONGEST = 100
"""Entries of a list that are kept; a longer one stands as a hash."""
_BY_NAME = ("circuit", "chip", "datasets", "experiment", "learning.rules.cells", "learning.rules.cycles")
"""Modules of objects that parts hold and that only their name describes: the run's netlist and data tell the rest."""
_WORDS = "cure"
"""Attribute with a sentence for people, which may be worded otherwise tomorrow."""
_RENAMED = {"curved": "nonlinear"}
"""Attributes by the name that descriptions of older runs have for them."""
_WRAPPED = "_chip"
"""Attribute in which a chip keeps the chip that it wraps."""
_KINDS = {
    "NodalChip": "nodal",
    "UnreducedNodalChip": "nodal",
    "NgspiceChip": "ngspice",
    "FullBatchChip": "ngspice",
    "BenchChip": "bench",
}


def described(part: object) -> Any:
    """A part as values that JSON takes."""
    return _described(part, 0)


def described_chip(chip: object) -> list[str]:
    """The chip and what wraps it, from the outside: names of classes, and ``chip.kind`` of the innermost."""
    kind = type(chip)
    inner = getattr(chip, _WRAPPED, None)
    name = str(kind.__qualname__) if _ours(kind) else _name(kind)
    if inner is None:
        return [_KINDS.get(name, name)]
    return [name, *described_chip(inner)]


def claim(run: Run, given: JsonObject) -> None:
    """Record what is about to train a run (descriptions by name), or refuse what has not trained it before.

    A run's manifest says from the beginning what its ``experiment.toml`` describes. A part that is another one is
    recorded as one of one's own, as long as nothing has been trained.

    Raises:
        RunError: the run has been trained with another part, or was begun for another one.
    """
    refuse_others(run, given)
    manifest = run.manifest
    if differing := _differing(manifest, given):
        run.record({**manifest, "parts": {**manifest.get("parts", {}), **given}, "own": differing})


def refuse_others(run: Run, given: JsonObject) -> None:
    """Refuse parts that a run which was trained, or begun with parts of one's own, was not made with.

    Raises:
        RunError: such a part, with both descriptions.
    """
    manifest, position = run.manifest, run.position()
    begun = position is not None and position.begun
    if (begun or manifest.get("own")) and (differing := _differing(manifest, given)):
        name, known = differing[0], manifest.get("parts", {})
        then = title(known[name]) if name in known else "something that an older version did not record"
        raise RunError(
            f"run {run.path}: its {name} was {then}, and {title(given[name])} is given; give it the same again, in "
            f"Python with Experiment.of_run(Run({str(run.path)!r}), {name}=…), or start a new run"
        )


def _differing(manifest: JsonObject, given: JsonObject) -> list[str]:
    """Return the names of parts that differ from the manifest's.

    Between versions, parts that come with a package may be described in other words.
    """
    known = _without_rooms(manifest.get("parts", {}))
    other_version = _of_other_version(manifest)
    found = []
    for name, description in given.items():
        foreign = is_own(description) or is_own(known.get(name))
        if foreign if name not in known else known[name] != description and (foreign or not other_version):
            found.append(name)
    return found


def _of_other_version(manifest: JsonObject) -> bool:
    """Return whether a run was made with another version of this package, or of one that brought a plug-in."""
    brought = [plugin["distribution"] for plugin in manifest.get("plugins", []) if plugin.get("distribution")]
    then = manifest.get("versions", {})
    now = versions((_PACKAGE, *brought))
    return any(then.get(name) != now[name] for name in (_PACKAGE, *brought))


def own_parts(run: Run) -> dict[str, str]:
    """Return a title for each part that trained a run and is not described by its ``experiment.toml``, by its name."""
    manifest = run.manifest
    own, parts = manifest.get("own", []), manifest.get("parts", {})
    if not (isinstance(own, list) and isinstance(parts, dict)):
        raise RunError(f"{run.path / MANIFEST} is damaged: 'own' is no list, or 'parts' no table")
    return {str(name): title(parts.get(str(name))) for name in own}


def is_own(description: Any) -> bool:
    """Return whether a part with this description did not come with the package."""
    match description:
        case {"kind": str(kind)}:
            return not kind.startswith(f"{_PACKAGE}.")
        case list():
            return any("." in str(name) for name in description)
    return False


def title(description: Any) -> str:
    """Return a few words for people that describe a part."""
    match description:
        case {"kind": str(kind), **rest}:
            numbers = [f"{name} = {value!r}" for name, value in rest.items() if isinstance(value, int | float | str)]
            return kind + (f" ({', '.join(numbers)})" if numbers else "")
        case list():
            return " around ".join(map(str, description))
        case Mapping():
            return ", ".join(f"{name} = {value!r}" for name, value in description.items())
    return str(description)


def _described(value: Any, depth: int) -> Any:
    match value:
        case Enum():
            return value.value
        case np.generic():
            return _described(value.item(), depth)
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case np.ndarray():
            return {"shape": list(value.shape), "sha256": sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}
        case list() | tuple() if len(value) > _LONGEST:
            return {"length": len(value), "sha256": sha256(repr(value).encode()).hexdigest()}
        case list() | tuple():
            return [_described(part, depth + 1) for part in value]
        case Mapping():
            return {str(key): _described(part, depth + 1) for key, part in value.items()}
        case functools.partial():
            made = [_described(part, depth + 1) for part in (value.func, value.args, value.keywords)]
            return {"kind": "functools.partial", "of": made}
    return _function(value, depth) if inspect.isroutine(value) else _object(value, depth)


def _function(function: Callable[..., Any], depth: int) -> JsonObject:
    told: JsonObject = {"kind": _name(function)} | _source(function)
    cells = getattr(function, "__closure__", None) or ()
    if cells and depth < _DEEPEST:
        told["around"] = [_described(cell.cell_contents, depth + 1) for cell in cells]
    return told


def _object(value: object, depth: int) -> JsonObject:
    kind = type(value)
    told: JsonObject = {"kind": _name(kind)}
    if _ours(kind):
        if any(f"{kind.__module__}.".startswith(f"{_PACKAGE}.{module}.") for module in _BY_NAME):
            return told
    else:
        told |= _source(kind)
    if depth < _DEEPEST:
        parts = getattr(value, "__dict__", {})
        told |= {name.lstrip("_"): _described(part, depth + 1) for name, part in parts.items() if name != _WORDS}
    return told


def _ours(thing: Any) -> bool:
    return (getattr(thing, "__module__", "") or "").partition(".")[0] == _PACKAGE


def _name(thing: Any) -> str:
    """Return a class's or function's name with its module; those of packages keep their name when they move."""
    if (package := _plugged(thing)) is not None:
        return f"{_PACKAGE}.{thing.__qualname__} of {package}"
    return f"{_PACKAGE if _ours(thing) else thing.__module__}.{thing.__qualname__}"


def _plugged(thing: Any) -> str | None:
    """The package of a plug-in, whose version runs record; None for what is of no plug-in."""
    return distribution_of(getattr(thing, "__module__", "") or "")


def _without_rooms(description: Any) -> Any:
    """A description in which older runs named the modules of the package, too, and called attributes otherwise."""
    match description:
        case {"kind": str(kind), **rest} if kind.startswith(f"{_PACKAGE}."):
            inner = {_RENAMED.get(str(name), str(name)): _without_rooms(value) for name, value in rest.items()}
            return {"kind": f"{_PACKAGE}.{_MODULES.sub('', kind)}", **inner}
        case Mapping():
            return {str(name): _without_rooms(value) for name, value in description.items()}
        case list():
            return [_without_rooms(value) for value in description]
    return description


def _source(thing: Any) -> dict[str, str]:
    """Return the hash of the source of what somebody wrote in Python, where its text can be found."""
    if _ours(thing) or _plugged(thing):
        return {}
    try:
        return {"source_sha256": sha256(inspect.getsource(thing).encode()).hexdigest()}
    except (OSError, TypeError):
        return {}

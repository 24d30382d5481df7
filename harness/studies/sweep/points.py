"""Points of a sweep: a grid, draws at random, seeds and chips, all of them validated before anything is trained.

A control is the same grid once more, with one key changed that is suspected to be the cause of what is found.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.experiment.settings import Settings
from harness.processes.memory import Part, refuse

_CHIP = "variation.seed"
"""The key that says which chip it is."""
_POINT = 20_000
"""B of a point: its settings, and the texts that tell it from others."""


@dataclass(frozen=True)
class Point:
    """One row of a sweep."""

    name: str
    """Name of its run directory."""
    values: dict[str, Any]
    """By swept key: a number in SI units, or text."""
    settings: Settings
    chip: int | None = None
    """Number of the chip, where there are several; None where there is one for each seed."""
    control: str = ""
    """The change ``KEY=VALUE`` that makes it a control; nothing for what is studied."""


@dataclass(frozen=True)
class Range:
    """Bounds between which a key is drawn evenly, as ``--set`` takes values; whole numbers include both."""

    low: str
    high: str
    log: bool = False
    """Evenly in the logarithm."""


@dataclass(frozen=True)
class Draws:
    """Values drawn jointly for several keys; more draws of the same seed begin with the same values."""

    ranges: Mapping[str, Range]
    """By dotted key."""
    count: int
    seed: int = 0


def grid(
    experiment: str,
    over: Mapping[str, Sequence[Any]],
    *,
    draws: Draws | None = None,
    seeds: int | None = None,
    chips: int | None = None,
    exclude_training_chip: bool = False,
    controls: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> list[Point]:
    """Return every combination of values, draws, seeds and chips; the first key changes slowest, the chip fastest.

    All combinations follow once more for each control.

    Args:
        experiment: as `Experiment.load` takes it.
        over: dotted keys and their values: texts as ``--set`` takes them, numbers, truth values or lists.
        draws: the same ones at every combination of values.
        seeds: every combination is trained with the seeds 0…seeds − 1; None keeps the experiment's own.
        chips: so many chips for every combination and seed, numbered from 0; None keeps the experiment's own.
        exclude_training_chip: among the numbers of `chips`, that of the experiment's own chip is left out.
        controls: ``key=value`` texts, each a control by itself.
        overrides: ``key=value`` texts for all points.

    Raises:
        ExperimentError: a key, value or bound is wrong, there is no point, two points of a grid are the same, or a
            control changes nothing, or what is swept.
        DataError: a data set cannot be loaded.
    """
    counts = (draws.count if draws else None, seeds, chips, *map(len, over.values()))
    total = (1 + len(controls)) * math.prod(count for count in counts if count is not None)
    refuse("the sweep", [Part(f"{total:,} points", _POINT * total, "give fewer values, draws, seeds or chips")])
    axes = [[f"--over {key}={_text(value)}" for value in values] for key, values in over.items()]
    first = [axis[0] for axis in axes if axis]
    drawn = [()] if draws is None else _drawn(experiment, draws, overrides, first)
    base = Experiment.load(experiment, overrides, swept=first).settings
    copies = _copies(base, seeds, chips, exclude_training_chip=exclude_training_chip)
    studied = [(*values, *draw, *copy) for values in product(*axes) for draw in drawn for copy in copies]
    arms = _arms(controls, [*over, *(draws.ranges if draws else ())])
    changes = [(*change, *arm) for arm in arms.values() for change in studied]
    if not changes:
        raise ExperimentError("a sweep without points; give every key at least one value, and at least one seed")
    settings = [Experiment.load(experiment, overrides, swept=changed).settings for changed in changes]
    for each in settings:
        if each.chip.bench is not None:
            raise ExperimentError("a sweep trains many chips at once, and there is one board; take another chip.kind")
    _refuse_idle([*arms], settings[:: len(studied)])
    if draws is None:
        _refuse_twins(settings, changes)
    for one in {str(each.data): Experiment(each) for each in settings}.values():
        _ = one.data  # a missing file is told now, and not every worker downloads
    columns = {key: column(settings, key) for key in (*over, *(draws.ranges if draws else ()))}
    rows = [{key: values[k] for key, values in columns.items()} for k in range(len(settings))]
    numbers = [None if chips is None else each.variation.seed for each in settings]
    told = [control for control in arms for _ in studied]
    width = len(str(len(rows) - 1))
    names = [
        f"{k:0{width}}-{_name(row, each, chip, control)}"
        for k, (row, each, chip, control) in enumerate(zip(rows, settings, numbers, told, strict=True))
    ]
    return list(map(Point, names, rows, settings, numbers, told))


def _arms(controls: Sequence[str], swept: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the changes for what is studied, by an empty text, and those for each control, by its text."""
    arms: dict[str, tuple[str, ...]] = {"": ()}
    for text in controls:
        key, _, value = (part.strip() for part in text.partition("="))
        key = ".".join(part.strip() for part in key.split("."))
        if not (key and value):
            raise ExperimentError(f"--control {text}: write KEY=VALUE, such as programming.mode=exact")
        if key in swept:
            raise ExperimentError(f"--control {text}: {key} is swept; a control changes a key that is held otherwise")
        if (control := f"{key}={value}") in arms:
            raise ExperimentError(f"--control {text}: this control is there already")
        arms[control] = (f"--control {control}",)
    return arms


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _copies(
    base: Settings, seeds: int | None, chips: int | None, *, exclude_training_chip: bool
) -> list[tuple[str, ...]]:
    """Return the changes for each seed and chip."""
    trained = [()] if seeds is None else [(f"--seeds training.seed={seed}",) for seed in range(seeds)]
    if chips is None:
        return list(trained)
    copies = []
    for seed, change in enumerate(trained):
        usual = base.training.seed if seeds is None else seed
        own = usual if base.variation.seed is None else base.variation.seed
        numbers = [number for number in range(chips + 1) if not exclude_training_chip or number != own][:chips]
        copies += [(*change, f"--chips {_CHIP}={number}") for number in numbers]
    return copies


def _refuse_idle(controls: Sequence[str], settings: Sequence[Settings]) -> None:
    """Refuse a control whose first point is that of what is studied, or of another control."""
    first: dict[str, str] = {}
    for control, each in zip(controls, settings, strict=True):
        if (twin := first.setdefault(each.to_toml(), control)) != control:
            what = f"control {twin} says" if twin else "is studied"
            raise ExperimentError(f"--control {control}: it changes nothing of what {what}; take another value")


def _refuse_twins(settings: Sequence[Settings], changes: Sequence[Sequence[str]]) -> None:
    """Refuse a value that is given twice, or that another key makes void."""
    first: dict[str, int] = {}
    for k, each in enumerate(settings):
        if (twin := first.setdefault(each.model_dump_json(), k)) < k:
            one, other = (", ".join(change.partition(" ")[2] for change in changes[n]) for n in (twin, k))
            raise ExperimentError(f"{one!r} and {other!r} are the same experiment; leave one of them out")


def _drawn(experiment: str, draws: Draws, overrides: Sequence[str], first: Sequence[str]) -> list[tuple[str, ...]]:
    """Return changes for each draw; `first` is a combination of the other values, beside which bounds are valid."""
    if twice := draws.ranges.keys() & {change.partition(" ")[2].partition("=")[0] for change in first}:
        raise ExperimentError(f"--random {min(twice)}: its values are given with --over already")
    shares = np.random.default_rng(draws.seed).random((draws.count, len(draws.ranges)))
    columns = []
    for (key, bounds), share in zip(draws.ranges.items(), shares.T, strict=True):
        low, high = (_bound(experiment, key, text, overrides, first) for text in (bounds.low, bounds.high))
        about = f"--random {key}={bounds.low}..{bounds.high}"
        if not low < high:
            raise ExperimentError(f"{about}: the lower bound comes first and lies below the upper one")
        if bounds.log and low <= 0:
            raise ExperimentError(f"{about}:log: a logarithm needs bounds above 0; leave :log out, or raise the lower")
        form = "[{}]" if bounds.low.startswith("[") else "{}"
        values = _spread(share, low, high, log=bounds.log)
        columns.append([f"--random {key}={form.format(value)}" for value in values])
    return list(zip(*columns, strict=True))


def _bound(experiment: str, key: str, text: str, overrides: Sequence[str], first: Sequence[str]) -> float:
    """Return a bound in SI units: an int where only whole numbers are allowed."""
    settings = Experiment.load(experiment, overrides, swept=[*first, f"--random {key}={text}"]).settings
    (value,) = column([settings], key)
    if not isinstance(value, int | float):
        raise ExperimentError(f"--random {key}={text}: {key} is no number; give its values with --over {key}=…")
    return value


def _spread(share: np.ndarray[Any, Any], low: float, high: float, *, log: bool) -> list[float]:
    """Return the values at shares, 0…1, of a range."""
    whole = isinstance(low, int) and isinstance(high, int)
    ends = (low - 0.5, high + 0.5) if whole else (low, high)
    if log:
        found = np.exp(math.log(ends[0]) + share * math.log(ends[1] / ends[0]))
    else:
        found = ends[0] + share * (ends[1] - ends[0])
    inside = np.clip(np.rint(found) if whole else found, low, high)
    return [int(value) if whole else float(value) for value in inside]


def column(settings: Sequence[Settings], key: str) -> list[Any]:
    """Return the values of a dotted key in SI units: numbers (of lists, a single one) if all are, otherwise texts."""
    contents: list[Any] = [each.model_dump(mode="json") for each in settings]
    values = [reduce(lambda section, part: section and section.get(part), key.split("."), each) for each in contents]
    alone = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in values]
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in alone):
        return alone
    return [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]


def _name(values: Mapping[str, Any], settings: Settings, chip: int | None, control: str) -> str:
    """Return a short name of characters that no shell minds."""
    shown = {key.rpartition(".")[2]: value for key, value in values.items()} | {"seed": settings.training.seed}
    shown |= {} if chip is None else {"chip": chip}
    text = "-".join(f"{key}={v:.6g}" if isinstance(v, float) else f"{key}={v}" for key, v in shown.items())
    text += f"-control-{control.rpartition('.')[2]}" if control else ""
    return re.sub(r"[^A-Za-z0-9.=-]+", "_", text)[:100]

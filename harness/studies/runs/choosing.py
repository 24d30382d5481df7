"""Choosing and sorting runs by columns of their list and by settings."""

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any

from harness.errors import ExperimentError, UnitError
from harness.experiment.settings import Settings
from harness.studies.runs.finding import natural
from harness.studies.runs.listed import ListedRun
from harness.units import parse
from harness.wording import did_you_mean

_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*")
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def chosen(runs: Sequence[ListedRun], conditions: Sequence[str]) -> list[ListedRun]:
    """Return the runs for which every condition holds.

    A condition is a column or a dotted key, one of ``= != < <= > >=``, and a value: a number, with its unit if it has
    one, or a text, in which ``*`` and ``?`` stand for any characters. No condition but ``!=`` holds for what a run does
    not have.

    Raises:
        ExperimentError: a condition is none, or no run has such a key.
    """
    kept = list(runs)
    for condition in conditions:
        if (found := _CONDITION.fullmatch(condition)) is None or not found[3]:
            raise ExperimentError(
                f"--where {condition}: write a column or key, a sign and a value, such as accuracy>0.9 or "
                "rule.kind=coupled*"
            )
        key = _known(runs, found[1], f"--where {condition}")
        kept = [run for run in kept if _holds(run.columns.get(key), found[2], found[3], key)]
    return kept


def in_order(runs: Sequence[ListedRun], key: str, *, backwards: bool = False) -> list[ListedRun]:
    """Return runs sorted by a column or a dotted key; those without it come last.

    Raises:
        ExperimentError: no run has such a key.
    """
    key = _known(runs, key, f"--sort {key}")
    there = [run for run in runs if run.columns.get(key) is not None]
    numbers = all(isinstance(run.columns[key], int | float) for run in there)
    by: Callable[[ListedRun], Any] = lambda run: run.columns[key] if numbers else natural(str(run.columns[key]))  # noqa: E731
    ordered = sorted(there, key=by, reverse=backwards)
    return [*ordered, *(run for run in runs if run.columns.get(key) is None)]


def _known(runs: Sequence[ListedRun], key: str, what: str) -> str:
    known = list(dict.fromkeys(name for run in runs for name in run.columns))
    if runs and key not in known:
        raise ExperimentError(f"{what}: no run has {key!r}{did_you_mean(key, known)}")
    return key


def _holds(value: Any, sign: str, wanted: str, key: str) -> bool:
    if value is None:
        return sign == "!="
    number = _number(wanted, key) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if sign in _ORDERS:
        if number is None:
            why = f"{sign} compares numbers with numbers, and {key} or {wanted!r} is none"
            raise ExperimentError(f"--where {key}{sign}{wanted}: {why}; use = or !=")
        return _ORDERS[sign](value, number)
    same = value == number if number is not None else fnmatchcase(_text(value), wanted)
    return same == (sign == "=")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(text: str, key: str) -> float | None:
    if text.endswith("%"):
        text, share = text.removesuffix("%"), 0.01
    else:
        share = 1.0
    try:
        return share * parse(text.strip(), Settings.unit_of(key) if "." in key else "")
    except UnitError:
        return None

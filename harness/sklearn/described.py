"""The experiment that an estimator's parameters describe, for rows that are given in Python."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.experiment.settings import Settings, read_settings
from harness.files.reading import JsonObject

USUAL = """
name = "estimator"

[data]
set = "csv"
file = "data.csv"
targets = ["{low} V", "4 V"]

[network]
kind = "layered"
hidden = [32]
g_unit = "10 uS"
g_max = "100 uS"
input_gain = 10
bias = ["10 V", "4 V"]
amplifier_gain = 4
shift = ["-1 V", "1 V"]
diode = {{ saturation_current = "10 pA", emission = 2 }}

[rule]
kind = "equilibrium-propagation"
variant = "random-sign"

[update]
kind = "adam"
rates = [1.5e-2]
to_zero = true

[training]
epochs = 20
batch = 16
"""
"""The experiment of an estimator that names none; wrong outputs, and the smallest value, are wanted at `low` V."""
_KEYS = {
    "chip": "chip.kind",
    "rule": "rule.kind",
    "beta": "rule.beta",
    "hidden": "network.hidden",
    "learning_rate": "update.rates",
    "epochs": "training.epochs",
    "batch": "training.batch",
}
"""The key of an experiment that each parameter changes."""
_OF_ROWS = ("targets",)
"""Keys of ``[data]`` that have a meaning for rows that are given in Python."""
_BY_LAYER = (("network", "bias"), ("network", "buffer_gain"), ("update", "rates"))
"""Keys with one value for each crossbar, which follow the number of hidden layers."""


def settings_of(
    experiment: str | os.PathLike[str] | None,
    overrides: Sequence[str],
    parameters: Mapping[str, Any],
    low: float,
) -> Settings:
    """Return the settings of an experiment with its overrides and then the parameters that are not None.

    Args:
        experiment: name or path as `harness.Experiment.load` takes it; None for the estimators' own.
        overrides: ``key=value`` texts, as the command line's ``--set`` takes them.
        parameters: the values of parameters by their names, such as ``{"hidden": 8}``.
        low: V wanted at wrong outputs, or for the smallest value, where no experiment is named.

    Raises:
        ExperimentError: there is no such experiment, or a key or value is wrong.
    """
    if isinstance(overrides, str):
        raise ExperimentError(f"overrides = {overrides!r} is one text; give a list of them, such as [{overrides!r}]")
    for override in overrides:
        _refuse_other_rows(override)
    if experiment is None:
        settings = read_settings(USUAL.format(low=low), "the estimators' own experiment", overrides)
    else:
        settings = Experiment.load(os.fspath(experiment), overrides).settings
    given = {_KEYS[name]: value for name, value in parameters.items() if value is not None}
    for key in ("network.hidden", "update.rates"):
        if key in given and not isinstance(given[key], list | tuple):
            given[key] = [given[key]]
    changes = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    if "network.hidden" in changes:
        changes |= _by_layer(settings, len(changes["network.hidden"]), changes)
    return Experiment(settings).replace(changes).settings


def for_rows(settings: Settings, name: str, file: Path, inputs: Sequence[str], wanted: JsonObject) -> Settings:
    """Return settings whose data are all rows of a file, none of them held out; the file is not read.

    Args:
        settings: of any experiment.
        name: of the experiment that comes out.
        file: where the rows lie, or would lie.
        inputs: headings of the inputs.
        wanted: the keys of ``[data]`` that name the label or the values.
    """
    kept = {key: getattr(settings.data, key) for key in _OF_ROWS if getattr(settings.data, key) is not None}
    how = {"separator": ",", "decimal": ".", "encoding": "utf-8", "inputs": list(inputs), "held_out": 0}
    data = {"set": "csv", "file": str(file), **how, **{key: list(value) for key, value in kept.items()}, **wanted}
    about = f"rows that were given in Python, trained as {settings.name} says"
    return Experiment(settings).replace({"name": name, "description": about, "data": data}).settings


def _refuse_other_rows(override: str) -> None:
    """Refuse an override of ``[data]`` that would have no effect."""
    section, _, key = override.partition("=")[0].strip().partition(".")
    if section.strip() == "data" and key.strip() not in _OF_ROWS:
        raise ExperimentError(
            f"overrides: {override} has no effect, since the rows are those that are given; only data.targets has"
        )


def _by_layer(settings: Settings, hidden: int, given: Mapping[str, Any]) -> JsonObject:
    """Return changes that give each of the crossbars a value where another number of layers was described.

    Further crossbars get what the last one has.
    """
    changes = {}
    for section, key in _BY_LAYER:
        values: tuple[float, ...] = getattr(getattr(settings, section), key, ())
        count = hidden if key == "buffer_gain" else hidden + 1
        if f"{section}.{key}" not in given and len(values) > (key == "rates") and len(values) != count:
            changes[f"{section}.{key}"] = [*values, *[values[-1]] * count][:count]
    return changes

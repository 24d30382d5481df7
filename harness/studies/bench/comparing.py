"""Compares a board with its digital twin, and with itself, before any training: outputs, nodes and gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from harness.chip.base import Chip
from harness.chip.bench.profile import load_profile
from harness.chip.nodal.chip import nodal_chip
from harness.errors import ChipError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.learning.rules.base import LearningRule, Programmable, refuse_unfit
from harness.measurement import Array, Batch, Conductances, Drive, Reading
from harness.studies.bench.opening import open_bench


@dataclass(frozen=True)
class VoltageRow:
    """Outputs or nodes of all samples: how far the board is from its twin, and from itself a moment later."""

    what: str
    rms: float
    """V, of what the twin says: the size of the signal."""
    difference: float
    """V, root mean square, between the board and its twin."""
    worst: float
    """V, the largest."""
    repeated: float
    """V, root mean square, between two readings of the board."""


@dataclass(frozen=True)
class GradientRow:
    """The gradient of one array, as the experiment's rule finds it."""

    array: str
    cosine: float
    """Between the board's and the twin's; NaN where one is 0."""
    ratio: float
    """The board's norm over the twin's."""
    repeated: float
    """The cosine between two gradients of the board: what noise leaves."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The rows, and the voltages that they are made of."""

    voltages: tuple[VoltageRow, ...]
    gradients: tuple[GradientRow, ...]
    pairs: dict[str, tuple[Array, Array]]
    """V of the twin and of the board, ``[samples, columns]``, by what they are."""
    note: str = ""
    """Why there are no gradients."""


class _Untouched(Programmable):
    """A chip that is read and never written."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip

    @property
    @override
    def conductances(self) -> Conductances:
        return self._chip.conductances

    @override
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        return self._chip.measure(drives)

    @override
    def program(self, conductances: Sequence[Array]) -> None:
        raise _WritingError("the rule writes cells to find one, and nothing is written here")


class _WritingError(ChipError):
    """A rule wants to write cells."""


def compare(
    board: Chip,
    rule: LearningRule,
    name: str,
    batch: Batch,
    seed: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Compare a board with the drawn circuit, solved with the board's conductances by the nodal chip.

    Args:
        board: any chip; nothing is written to it.
        rule: of the experiment; where the board cannot serve it, or it writes cells, gradients are left out.
        name: of the rule.
        batch: the samples.
        seed: of what the rule draws.
        tell: is told what is being done.
    """
    twin = nodal_chip(board.circuit.with_conductances(board.conductances), access=board.capabilities.access)
    tell("free phases")
    drive = Drive(batch.inputs)
    (first,), (again,), (wanted,) = (chip.measure([drive]) for chip in (board, board, twin))
    found = {"outputs": [reading.outputs for reading in (first, again, wanted)]}
    if first.volts is not None:
        free = [k for node, k in board.circuit.node_index.items() if node not in board.circuit.held_nodes]
        found["nodes that settle"] = [reading.all_nodes[:, free] for reading in (first, again, wanted)]
    tell(f"gradients by {name}")
    gradients, note = tuple[GradientRow, ...](), ""
    try:
        refuse_unfit(name, rule.needs, board.capabilities, "of the board")
        slopes = [
            rule.gradient(rule.measure(_Untouched(c), batch, np.random.default_rng(seed))) for c in (board, board, twin)
        ]
        names = [array.name for array in board.circuit.arrays]
        gradients = tuple(_gradients(*row) for row in zip(names, *slopes, strict=True))
    except (ExperimentError, _WritingError) as error:
        note = f"no gradients: {error}"
    voltages = tuple(_voltages(what, *volts) for what, volts in found.items())
    pairs = {what: (twins, volts) for what, (volts, _, twins) in found.items()}
    return Comparison(voltages, gradients, pairs, note)


def _voltages(what: str, board: Array, again: Array, twin: Array) -> VoltageRow:
    worst = float(np.abs(board - twin).max(initial=0.0))
    return VoltageRow(what, _rms(twin), _rms(board - twin), worst, _rms(board - again))


def _gradients(array: str, board: Array, again: Array, twin: Array) -> GradientRow:
    size = float(np.linalg.norm(twin))
    ratio = float(np.linalg.norm(board)) / size if size else np.nan
    return GradientRow(array, _cosine(board, twin), ratio, _cosine(board, again))


def _cosine(one: Array, other: Array) -> float:
    sizes = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.clip(np.vdot(one, other) / sizes, -1, 1)) if sizes else np.nan


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def compare_board(
    profile: str,
    subject: Experiment,
    resource: str | None,
    samples: int,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Compare a profile's board, with its calibration, on held-out rows of an experiment; see `compare`.

    Raises:
        ChipError: the board cannot be reached, or is another one than the profile says.
    """
    with open_bench(load_profile(profile), subject, resource) as chip:
        batch, settings = subject.data.test.batch(slice(samples)), subject.settings
        return compare(chip, subject.rule, settings.rule.kind, batch, settings.training.seed, tell)

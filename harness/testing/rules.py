"""Promises of every learning rule, checked on a chip."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from typing_extensions import override

from harness.chip.base import Chip
from harness.circuit import Circuit
from harness.learning.costs import Cost
from harness.learning.rules.base import LearningRule, Programmable, R
from harness.learning.rules.perturbation.differences import FiniteDifferences
from harness.measurement import Access, Array, Batch, Capabilities, Conductances, Drive, Needs, Reading

_SAMPLES = 3
_STEP = 1e-4
"""Step of finite differences, as a fraction of the widest range."""


def check_rule(
    make_rule: Callable[[Circuit, Cost], LearningRule[R]],
    make_chip: Callable[[], Chip],
    cost: Cost,
    *,
    least_cosine: float = 0.99,
) -> None:
    """Check a rule on a chip: what it asks for, what it leaves behind, and where its gradient points.

    Args:
        make_rule: from a circuit and a cost to the rule.
        make_chip: returns a new chip, small enough for finite differences: two free phases for every cell.
        cost: what is lowered.
        least_cosine: between the rule's gradient and that of finite differences on the same chip; lower it for a rule
            whose direction is another one on purpose.

    Raises:
        AssertionError: says which promise was broken.
    """
    chip = make_chip()
    try:
        rule, batch = make_rule(chip.circuit, cost), _batch(chip)
        before, watched = [g.copy() for g in chip.conductances], _Watched(chip)
        gradient = _gradient(rule, watched, batch)
        unsaid = _no_more_than(rule.needs).lacking(watched.asked)
        assert not unsaid, f"the rule asks for {' and '.join(unsaid)}, which its needs do not say"
        kept = all(np.array_equal(g, old) for g, old in zip(chip.conductances, before, strict=True))
        assert kept, "measuring has left other conductances than it found"
        shapes, cells = [g.shape for g in gradient], [array.shape for array in chip.circuit.arrays]
        assert shapes == cells, f"the gradient has shapes {shapes}, the circuit's arrays have {cells}"
        assert all(np.isfinite(g).all() for g in gradient), "the gradient is not finite"
        alike = _cosine(_gradient(rule, chip, batch), gradient)
        assert alike > 0.999, f"the same batch gives another gradient (cosine {alike:.4f}): the rule keeps a state"
        step = _STEP * max(array.g_max - array.g_min for array in chip.circuit.arrays)
        cosine = _cosine(gradient, _gradient(FiniteDifferences(chip.circuit, cost, step=step), chip, batch))
        assert cosine >= least_cosine, f"cosine {cosine:.4f} with finite differences, expected at least {least_cosine}"
    finally:
        chip.close()


class _Watched(Programmable):
    """A chip that notes what is asked of it."""

    def __init__(self, chip: Chip) -> None:
        self._chip, self.asked = chip, Needs()
        self._readings: list[tuple[Reading, Reading]] = []

    @property
    @override
    def conductances(self) -> Conductances:
        return self._chip.conductances

    @override
    def program(self, conductances: Sequence[Array]) -> None:
        self._chip.program(conductances)

    @override
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        for drive in drives:
            self.asked = replace(
                self.asked,
                nudges=self.asked.nudges | ({type(drive.nudge)} if drive.nudge is not None else set()),
                small_signal=self.asked.small_signal or drive.about is not None,
                adjoint=self.asked.adjoint or drive.adjoint,
                oscillating=self.asked.oscillating or drive.frequency is not None,
                ideal=self.asked.ideal or drive.ideal,
                reversal=self.asked.reversal or drive.reversal is not None,
            )
        found = self._chip.measure([self._about_its_own(drive) for drive in drives])
        shown = tuple(replace(reading, tally=partial(self._looked_at, reading)) for reading in found)
        self._readings += zip(shown, found, strict=True)
        return shown

    def _about_its_own(self, drive: Drive) -> Drive:
        return drive.at_states(lambda state: next((own for shown, own in self._readings if shown is state), state))

    def _looked_at(self, reading: Reading) -> None:
        self.asked = replace(self.asked, nodes=True)
        if reading.tally:
            reading.tally()


def _no_more_than(needs: Needs) -> Capabilities:
    """A chip that can do just what is needed."""
    access = Access.NODES if needs.nodes else Access.OUTPUTS
    return Capabilities(
        needs.nudges,
        access,
        small_signal=needs.small_signal,
        adjoint=needs.adjoint,
        oscillating=needs.oscillating,
        ideal=needs.ideal,
        reversal=needs.reversal,
    )


def _gradient(rule: LearningRule[R], chip: Programmable, batch: Batch) -> Conductances:
    return rule.gradient(rule.measure(chip, batch, np.random.default_rng(0)))


def _batch(chip: Chip) -> Batch:
    """About a volt."""
    rng, samples = np.random.default_rng(3), min(_SAMPLES, chip.capabilities.largest_batch or _SAMPLES)
    x, y = (rng.uniform(-1, 1, (samples, columns)) for columns in (chip.circuit.channels, len(chip.circuit.outputs)))
    return Batch(x, y)


def _cosine(ours: Conductances, truth: Conductances) -> float:
    """Between all cells' derivatives at once; 0 for a gradient of nothing."""
    one, other = (np.concatenate([g.ravel() for g in each]) for each in (ours, truth))
    sizes = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / sizes if sizes else 0.0

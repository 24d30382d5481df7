"""The checks that ship: a chip of a user's own passes them, and each can fail; so do rules."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from harness.chip.base import Chip, check_drives
from harness.chip.metering import Ledger
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Edges, InputSource, Output, check_bounds
from harness.datasets import Samples, Scaling, Split
from harness.errors import ChipError, ExperimentError
from harness.learning import (
    SGD,
    AnalyticalGradient,
    CoupledLearning,
    EquilibriumPropagation,
    FiniteDifferences,
    HardwareLinearization,
    Nudging,
    SquaredError,
    Variant,
)
from harness.learning.rules.base import LearningRule, Programmable
from harness.learning.rules.generalized import NudgedReadings
from harness.measurement import (
    Array,
    Batch,
    Capabilities,
    Clamp,
    Conductances,
    Drive,
    Injection,
    Needs,
    Reading,
    Spring,
)
from harness.testing import CHIP_CHECKS, check_chip, check_rule
from harness.testing.chips import MakeChip
from harness.training.controller import Plan, train
from harness.training.runs import Run
from harness.training.tables import total
from tests.conftest import kendall

DIVIDER = Circuit(
    "divider",
    (InputSource("x", "in", 0, 1.0), Edges("g", ("in", "out"), ("out", "0"), np.array([2e-3, 1e-3]), 1e-4, 1e-2)),
    outputs=(Output("y", "out"),),
)


class Divider:
    """Two conductances from a source to ground, in closed form: the core of a chip, and nothing beside it.

    Outputs alone can be read, springs and currents pull them, and two samples are shown at once.
    """

    def __init__(self) -> None:
        self.circuit = DIVIDER
        self.conductances: Conductances = DIVIDER.conductances
        self.capabilities = Capabilities({Spring, Injection}, reproducible=True, tolerance=1e-12, largest_batch=2)

    def program(self, conductances: Sequence[Array]) -> None:
        for array, g in zip(self.circuit.arrays, conductances, strict=True):
            check_bounds(array, g)
        self.conductances = tuple(np.array(g) for g in conductances)

    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        before, (cells,) = self.conductances, self.circuit.arrays
        if not np.isfinite(wanted[0]).all():
            raise ChipError("a wanted change is not finite")
        self.conductances = (np.clip(before[0] + wanted[0], cells.g_min, cells.g_max),)
        return (self.conductances[0] - before[0],)

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        check_drives(self.circuit, self.capabilities, drives)
        return tuple(Reading(self._outputs(drive)) for drive in drives)

    def _outputs(self, drive: Drive) -> Array:
        ((up, down),) = self.conductances
        match drive.nudge:
            case Spring(beta, targets):
                return (up * drive.inputs + beta * targets) / (up + down + beta)
            case Injection(current):
                return (up * drive.inputs + current) / (up + down)
        return up * drive.inputs / (up + down)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("check", CHIP_CHECKS)
def test_a_chip_with_the_core_alone_keeps_what_chips_promise(check: Callable[[MakeChip], None]) -> None:
    check(Divider)


def divider_data(samples: int = 6) -> Split:
    x = np.linspace(-1, 1, samples)[:, None]
    rows = Samples(x, 0.7 * x, np.zeros(1), np.ones(1))
    return Split(rows, rows, ("y",), Scaling.none(1))


def test_training_needs_no_more_than_the_core(tmp_path: Path) -> None:
    """Nothing is counted then: tables and results have no columns of a ledger, not zeros, and a run goes on."""
    chip, cost = Divider(), SquaredError(classes=False)
    rule, update = FiniteDifferences(DIVIDER, cost, step=1e-6), SGD((1e-7,))
    run = Run.create(tmp_path / "run", "", {})
    for epochs in (2, 4):
        assert train(chip, rule, update, cost, divider_data(), Plan(epochs, 2, 0), run)
    header, *rows = (run.path / "epochs.csv").read_text().splitlines()
    assert header.endswith("share of time in ngspice")
    assert len(rows) == 4
    assert [row.ledger for row in run.tables()[1]] == [None] * 4
    assert total(run.tables()[1]) is None


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            lambda c: CoupledLearning(c, SquaredError(), eta=0.1),
            "rule CoupledLearning needs clamped outputs and voltages of nodes, which chip Divider does not give; take "
            "a rule that it can serve: analytical-gradient, node-perturbation, finite-differences, simultaneous-pert",
        ),
        (
            lambda c: EquilibriumPropagation(c, SquaredError(), beta=1e-4),
            "rule EquilibriumPropagation needs voltages of nodes, which chip Divider does not give; set chip.access = "
            "'nodes' where the chip has them, or take a rule",
        ),
    ],
)
def test_a_rule_that_a_chip_cannot_serve_is_refused_before_training(
    rule: Callable[[Circuit], LearningRule], message: str, tmp_path: Path
) -> None:
    chip, run = Divider(), Run.create(tmp_path / "run", "", {})
    with pytest.raises(ExperimentError, match=re.escape(message)):
        train(chip, rule(DIVIDER), SGD((1.0,)), SquaredError(), divider_data(), Plan(1, 2, 0), run)
    assert run.manifest == {}


def test_batches_beyond_what_a_chip_takes_are_refused_before_training(tmp_path: Path) -> None:
    rule, run = FiniteDifferences(DIVIDER, SquaredError(), step=1e-6), Run.create(tmp_path / "run", "", {})
    with pytest.raises(ExperimentError, match="3 samples at once, and the chip takes at most 2; lower it"):
        train(Divider(), rule, SGD((1.0,)), SquaredError(), divider_data(), Plan(1, 3, 0), run)


def test_what_lacks_the_core_is_no_chip(tmp_path: Path) -> None:
    class Half:
        circuit, conductances, close = DIVIDER, DIVIDER.conductances, None

    rule, run = FiniteDifferences(DIVIDER, SquaredError(), step=1e-6), Run.create(tmp_path / "run", "", {})
    message = "Half is no chip: it has no capabilities, no program, no adjust, no measure;"
    with pytest.raises(ChipError, match=message):
        train(Half(), rule, SGD((1.0,)), SquaredError(), divider_data(), Plan(1, 2, 0), run)  # type: ignore[arg-type]


# --- every check can fail


class Drifting(Divider):
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        found = super().measure(drives)
        self.conductances = tuple(0.999 * g for g in self.conductances)
        return found


class Restless(Divider):
    calls = 0

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        self.calls += 1
        return tuple(Reading(reading.outputs + 1e-15 * self.calls) for reading in super().measure(drives))


class WritesOnceMore(Divider):
    calls = 0

    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        self.calls += 1
        return super().adjust([change / self.calls for change in wanted])


class Crosstalk(Divider):
    def _outputs(self, drive: Drive) -> Array:
        found = super()._outputs(drive)
        return found + (0.01 * found.mean() if found.size else 0.0)


class NeverEmpty(Divider):
    def _outputs(self, drive: Drive) -> Array:
        return super()._outputs(drive) if len(drive.inputs) else np.zeros((1, 1))


class Leaky(Divider):
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        return tuple(Reading(r.outputs, np.zeros((len(r.outputs), 2))) for r in super().measure(drives))


class ReadOnly(Divider):
    def program(self, conductances: Sequence[Array]) -> None:
        pass


class Clipping(Divider):
    def program(self, conductances: Sequence[Array]) -> None:
        (cells,) = self.circuit.arrays
        self.conductances = (np.clip(np.nan_to_num(conductances[0]), cells.g_min, cells.g_max),)


class Boasting(Divider):
    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        super().adjust(wanted)
        return tuple(wanted)


class TakesAnything(Divider):
    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        return super().adjust([np.nan_to_num(change) for change in wanted])


class Credulous(Divider):
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        return tuple(Reading(self._outputs(drive)) for drive in drives)


class Overloaded(Divider):
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        check_drives(self.circuit, replace(self.capabilities, largest_batch=None), drives)
        return tuple(Reading(self._outputs(drive)) for drive in drives)


class Offset(Divider):
    def _outputs(self, drive: Drive) -> Array:
        return super()._outputs(drive) + (0.01 if drive.nudge else 0.0)


class StiffSpring(Divider):
    def _outputs(self, drive: Drive) -> Array:
        stiff = isinstance(drive.nudge, Spring)
        nudge = Spring(2 * drive.nudge.conductance, drive.nudge.targets) if stiff else drive.nudge
        return super()._outputs(replace(drive, nudge=nudge))


class Backwards(Divider):
    def _outputs(self, drive: Drive) -> Array:
        nudge = Injection(-drive.nudge.current) if isinstance(drive.nudge, Injection) else drive.nudge
        return super()._outputs(replace(drive, nudge=nudge))


class LooseClamp(Divider):
    def __init__(self) -> None:
        super().__init__()
        self.capabilities = replace(self.capabilities, nudges={Clamp})


class Unproportional(NodalChip):
    def __init__(self) -> None:
        super().__init__(kendall([4]))

    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        return tuple(replace(reading, outputs=reading.outputs + 0.01) for reading in super()._settle(drives))


class Faster(NodalChip):
    """It answers an oscillation with a tenth too much."""

    def __init__(self) -> None:
        super().__init__(kendall([4]))

    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        pairs = zip(super()._settle(drives), drives, strict=True)
        return tuple(r if d.frequency is None else replace(r, outputs=1.1 * r.outputs) for r, d in pairs)


class Astray(NodalChip):
    """It does not come back to the free state."""

    def __init__(self) -> None:
        super().__init__(kendall([4]))

    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        pairs = zip(super()._settle(drives), drives, strict=True)
        return tuple(r if d.reversal is None else replace(r, outputs=r.outputs + 0.01) for r, d in pairs)


class Uncounted(Unproportional):
    def _asked(self, drives: Sequence[Drive], readings: Sequence[Reading]) -> Ledger:
        return Ledger()


class ClosesOnce(Divider):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise ChipError("it is closed")
        self.closed = True


FAULTS: dict[str, Callable[[], Chip]] = {
    "measuring_changes_no_conductance": Drifting,
    "the_same_drives_read_the_same": Restless,
    "the_same_step_writes_the_same": WritesOnceMore,
    "a_batch_reads_what_its_samples_read": Crosstalk,
    "an_empty_batch_reads_nothing": NeverEmpty,
    "nodes_are_read_where_there_is_access": Leaky,
    "programming_writes_what_cells_can_hold": ReadOnly,
    "programming_refuses_what_no_cell_can_hold": Clipping,
    "adjusting_says_what_it_wrote": Boasting,
    "adjusting_refuses_what_is_not_finite": TakesAnything,
    "wrong_drives_are_refused": Credulous,
    "what_it_cannot_do_is_refused": Overloaded,
    "a_nudge_of_zero_is_the_free_phase": Offset,
    "a_spring_is_the_current_that_it_draws": StiffSpring,
    "a_current_gives_its_outputs_power": Backwards,
    "a_clamp_holds_its_outputs": LooseClamp,
    "a_small_signal_is_proportional_to_its_current": Unproportional,
    "a_slow_oscillation_is_a_small_signal": Faster,
    "a_reversal_keeps_the_free_state": Astray,
    "the_ledger_counts_what_was_asked": Uncounted,
    "closing_twice_is_closing_once": ClosesOnce,
}


@pytest.mark.parametrize("check", CHIP_CHECKS, ids=lambda check: check.__name__)
def test_a_chip_that_breaks_a_promise_is_found_out(check: Callable[[MakeChip], None]) -> None:
    with pytest.raises(AssertionError, match=check.__name__):
        check_chip(FAULTS[check.__name__])


# --- rules

RULES: dict[str, Callable[[Circuit], LearningRule]] = {
    "ep": lambda c: EquilibriumPropagation(c, SquaredError(), beta=1e-3),
    "ep-current": lambda c: EquilibriumPropagation(c, SquaredError(), beta=1e-3, nudging=Nudging.CURRENT),
    "analytical": lambda c: AnalyticalGradient(c, SquaredError()),
    "analytical-twin": lambda c: AnalyticalGradient(c, SquaredError(), twin=partial(NodalChip, c)),
    "linearization": lambda c: HardwareLinearization(c, SquaredError(), gamma=1e-3),
    "differences": lambda c: FiniteDifferences(c, SquaredError(), step=1e-4),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rules_keep_what_rules_promise(rule: Callable[[Circuit], LearningRule]) -> None:
    check_rule(lambda circuit, _: rule(circuit), lambda: NodalChip(kendall([4]), tolerance=1e-12), SquaredError())


def test_rules_of_another_direction_keep_the_rest() -> None:
    def make(circuit: Circuit, _: object) -> LearningRule:
        return CoupledLearning(circuit, SquaredError(), eta=0.1, variant=Variant.CENTERED)

    check_rule(make, lambda: NodalChip(kendall([4])), SquaredError(), least_cosine=0.3)
    with pytest.raises(AssertionError, match=r"cosine 0\.\d+ with finite differences, expected at least 0.99"):
        check_rule(make, lambda: NodalChip(kendall([4])), SquaredError())


class Silent(LearningRule):
    """Equilibrium propagation that does not say what it needs."""

    needs = Needs()

    def __init__(self, circuit: Circuit) -> None:
        self._rule = EquilibriumPropagation(circuit, SquaredError(), beta=1e-3)

    def measure(self, chip: Programmable, batch: Batch, rng: np.random.Generator) -> NudgedReadings:
        return self._rule.measure(chip, batch, rng)

    def gradient(self, readings: NudgedReadings) -> Conductances:
        return self._rule.gradient(readings)


class Forgetful(Silent):
    needs = Needs({Spring}, nodes=True)

    def measure(self, chip: Programmable, batch: Batch, rng: np.random.Generator) -> NudgedReadings:
        chip.program([0.9 * g + 0.01 for g in chip.conductances])
        return super().measure(chip, batch, rng)


class Stubborn(Silent):
    needs = Needs({Spring}, nodes=True)

    def gradient(self, readings: NudgedReadings) -> Conductances:
        self._last = getattr(self, "_last", super().gradient(readings))
        self._last = tuple(-g for g in self._last)
        return self._last


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Silent, "the rule asks for springs at outputs and voltages of nodes, which its needs do not say"),
        (Forgetful, "measuring has left other conductances than it found"),
        (Stubborn, r"the same batch gives another gradient \(cosine -1.0000\): the rule keeps a state"),
    ],
)
def test_a_rule_that_breaks_a_promise_is_found_out(rule: Callable[[Circuit], LearningRule], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_rule(lambda circuit, _: rule(circuit), lambda: NodalChip(kendall([4])), SquaredError())

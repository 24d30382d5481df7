"""States under springs of −β: which are stable, by equations of the tests' own and by following them in time."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from harness.chip.base import SimulatedChip
from harness.chip.nodal import newton
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit
from harness.circuit.dynamics import Dynamics, States
from harness.circuit.reduction.reduction import reduction_of
from harness.errors import ConvergenceError, SpringError
from harness.learning import EquilibriumPropagation, SquaredError
from harness.measurement import Array, Batch, Drive, Spring
from tests.campaigns.saddles import CHIPS, Oracle, campaign
from tests.conftest import kendall, random_batch, scellier


def strained(circuit: Circuit, share: float, samples: int = 3) -> tuple[float, Batch]:
    """β of a share of the conductance that outputs see with all diodes blocking, and samples."""
    return share * States(circuit).blocking, random_batch(circuit, samples)


def settled(chip: SimulatedChip, drive: Drive) -> Array:
    """The voltages of every node (V, ``[batch, nodes]``) as the solver finds them, stable or not."""
    (reading,) = chip._settle([drive])
    return reading.all_nodes


@pytest.mark.parametrize("name", ["nodal", "unreduced", pytest.param("ngspice", marks=pytest.mark.ngspice)])
def test_no_saddle_of_random_networks_is_returned_in_silence(name: str) -> None:
    """The short form of ``python -m tests.campaigns.saddles``, all kinds of networks among it."""
    found = campaign(range(30), {name: CHIPS[name]})[name]
    assert found.silent == found.false_alarms == 0, found
    assert found.saddles >= 10
    assert found.states - found.saddles >= 10


@pytest.mark.parametrize("share", [0.5, 1.5])
@pytest.mark.parametrize("circuit", [kendall([3], 1, amplifier_gain=4.0), kendall([3, 2], 2), scellier([3, 2], 1)])
def test_disturbed_states_come_back_or_run_away_in_time_as_their_eigenvalues_say(
    circuit: Circuit, share: float
) -> None:
    beta, batch = strained(circuit, share)
    volts = settled(NodalChip(circuit), Drive(batch.inputs, Spring(-beta, batch.targets), "nudged"))
    seen = set()
    for x, y, state in zip(batch.inputs, batch.targets, volts, strict=True):
        oracle = Oracle(circuit, x, -beta, y)
        rates = oracle.rates(state)
        growth, start = rates.max(), state[oracle.free]
        push = np.random.default_rng(0).normal(size=len(start)) * 1e-5  # V
        ended = solve_ivp(oracle.motion, (0, 8 / abs(growth)), start + push, method="BDF", rtol=1e-8, atol=1e-10)
        away = np.linalg.norm(ended.y[:, -1] - start) / np.linalg.norm(push)
        assert away > 10 if growth > 0 else away < 0.1
        dynamics = Dynamics(circuit, np.ones(len(circuit.nodes)))
        assert dynamics.growth(state, -beta) == pytest.approx(growth, rel=1e-6)
        seen.add(growth > 0)
    assert (True in seen) == (share > 1)


@pytest.mark.parametrize("circuit", [kendall([3], 1), kendall([4, 3], 5), scellier([3], 2)])
def test_both_ways_of_looking_find_the_same_saddles(circuit: Circuit) -> None:
    """The reduced network's factors, and the conductance that outputs see of the full circuit."""
    reduced, states = reduction_of(circuit).reduce(circuit.conductances), States(circuit)
    found = []
    for share in (0.9, 1.02, 1.1, 1.5):
        beta, batch = strained(circuit, share, 8)
        volts = settled(NodalChip(circuit), Drive(batch.inputs, Spring(-0.9 * beta, batch.targets), "nudged"))
        ours = reduced.unstable(-beta, volts)
        assert ours is not None
        np.testing.assert_array_equal(ours, states.unstable(-beta, volts))
        np.testing.assert_array_equal(ours, np.flatnonzero(states.seen(volts) <= beta))
        found.append(len(ours))
    assert found[0] == 0
    assert max(found) > 0


def test_below_the_bound_of_blocking_diodes_no_state_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The energy is convex there: one factorization says so for the whole batch."""
    circuit = kendall([3], 1)
    monkeypatch.setattr(NodalChip, "_unstable", lambda *_: pytest.fail("a state was looked at"))
    beta, batch = strained(circuit, 0.99)
    NodalChip(circuit).measure([Drive(batch.inputs, Spring(-beta, batch.targets), "nudged")])


def fallen_back(variant: str, rng_seed: int = 0) -> tuple[Array, Array, Array, NodalChip]:
    """Gradients of the rule that falls back and of its parts by hand, the unstable samples, and the chip."""
    circuit = kendall([3], 0)
    beta, batch = strained(circuit, 1.02, 8)
    chip, rule = (
        NodalChip(circuit),
        EquilibriumPropagation(circuit, SquaredError(), beta=beta, variant=variant, unstable="one-sided"),
    )
    rng = np.random.default_rng(rng_seed)
    ours = np.concatenate([part.ravel() for part in rule.gradient(rule.measure(chip, batch, rng))])
    total = np.zeros_like(ours)
    unstable = np.zeros(len(batch), bool)
    for k in range(len(batch)):
        row = Batch(batch.inputs[[k]], batch.targets[[k]])
        both = EquilibriumPropagation(circuit, SquaredError(), beta=beta, variant=variant)
        alone = EquilibriumPropagation(circuit, SquaredError(), beta=beta, variant="one-sided")
        try:
            readings = both.measure(NodalChip(circuit), row, np.random.default_rng(rng_seed))
            part = both.gradient(readings)
        except SpringError:
            unstable[k] = True
            part = alone.gradient(alone.measure(NodalChip(circuit), row, np.random.default_rng(0)))
        total += np.concatenate([one.ravel() for one in part]) / len(batch)
    return ours, total, unstable, chip


@pytest.mark.parametrize(("variant", "seed"), [("centered", 0), ("random-sign", 0), ("random-sign", 3)])
def test_samples_without_a_stable_state_are_compared_one_sided_and_counted(variant: str, seed: int) -> None:
    ours, theirs, unstable, chip = fallen_back(variant, seed)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9 * np.abs(theirs).max())
    assert chip.ledger.unstable_states == unstable.sum()
    if variant == "centered":
        assert 0 < unstable.sum() < len(unstable)


def test_the_adjoint_of_a_batch_that_falls_back_is_that_of_its_parts() -> None:
    circuit = kendall([3], 0)
    beta, batch = strained(circuit, 1.02, 8)
    rule = EquilibriumPropagation(circuit, SquaredError(), beta=beta, unstable="one-sided")
    readings = rule.measure(NodalChip(circuit), batch, np.random.default_rng(0))
    assert readings.weights is not None
    moved = readings.high.nodes - readings.low.nodes
    one_sided = readings.weights[:, 0] > 1
    assert one_sided.any()
    np.testing.assert_array_equal(readings.low.nodes[one_sided], readings.free.nodes[one_sided])
    adjoint = rule.adjoint(readings)
    scale = np.where(one_sided, beta, 2 * beta)[:, None]
    np.testing.assert_allclose(adjoint, rule._cells.adjoint_of(-moved / scale) / len(batch), rtol=1e-12)


def test_a_refusal_says_the_sample_the_bound_and_the_cures() -> None:
    circuit = kendall([3], 0)
    beta, batch = strained(circuit, 1.5)
    chip = NodalChip(circuit)
    with pytest.raises(SpringError, match=r"sample 0 \(and 2 more .* unstable; lower .* = .one-sided.\)$") as refused:
        chip.measure([Drive(batch.inputs, Spring(-beta, batch.targets), "nudged −β")])
    assert chip.ledger.unstable_states == 3
    seen = States(circuit).seen(settled(chip, Drive(batch.inputs, Spring(-beta, batch.targets), "nudged −β")))
    assert refused.value.bound == pytest.approx(seen.min(), rel=1e-9)


def test_springs_under_which_no_state_is_found_are_refused_where_there_may_be_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(newton, "MAX_ITERATIONS", 1)
    circuit = kendall([3], 0)
    for share, expected in ((0.9, ConvergenceError), (1.5, SpringError)):
        beta, batch = strained(circuit, share)
        chip = NodalChip(circuit)
        with pytest.raises(
            expected, match=r"sample 0.*did not settle|no state was found under springs of β = -"
        ) as told:
            chip.measure([Drive(batch.inputs, Spring(-beta, batch.targets), "nudged −β")])
        assert chip.ledger.unstable_states == isinstance(told.value, SpringError)
    assert isinstance(told.value.__cause__, ConvergenceError)

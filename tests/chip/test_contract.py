"""What every chip promises, whatever it is made of."""

import numpy as np
import pytest

from harness.chip.imperfect.made import VariedChip
from harness.chip.ngspice.chip import FullBatchChip
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import Circuit
from harness.circuit.variation.lines import LineResistance
from harness.circuit.variation.variation import ConductanceSpread, Variation
from harness.errors import ChipError, CircuitError
from harness.measurement import Drive, Injection, Spring
from tests.conftest import SOLVERS, MakeChip, kendall, random_batch, scellier

CIRCUITS = [pytest.param(kendall([4]), id="kendall"), pytest.param(scellier([4, 3]), id="scellier")]


def varied_chip(circuit: Circuit) -> VariedChip:
    """A chip whose cells differ from the drawn ones, at the ends of resistive lines."""
    variation = Variation(spread=ConductanceSpread(0.1), lines=LineResistance(1e-3, 2e-3))
    return VariedChip(circuit, variation, 0, NodalChip)


@pytest.fixture(
    params=[
        *SOLVERS,
        pytest.param(UnreducedNodalChip, id="unreduced"),
        pytest.param(FullBatchChip, id="full-sweep", marks=pytest.mark.ngspice),
        pytest.param(varied_chip, id="varied"),
    ]
)
def make_chip(request: pytest.FixtureRequest) -> MakeChip:
    """Every kind of chip, by a function from circuit to chip."""
    return request.param


def drives_of(circuit: Circuit, samples: int = 3) -> list[Drive]:
    batch = random_batch(circuit, samples)
    return [
        Drive(batch.inputs),
        Drive(batch.inputs, Spring(0.05, batch.targets), "nudged +β"),
        Drive(batch.inputs, Spring(-0.01, batch.targets), "nudged −β"),
        Drive(batch.inputs, Injection(0.02 * batch.targets), "injected"),
    ]


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_outputs_are_drops_between_the_read_nodes(make_chip: MakeChip, circuit: Circuit) -> None:
    for reading in make_chip(circuit).measure(drives_of(circuit)):
        nodes = dict(zip(circuit.nodes, reading.nodes.T, strict=True)) | {"0": np.zeros(3)}
        drops = np.column_stack([nodes[o.plus] - nodes[o.minus] for o in circuit.outputs])
        np.testing.assert_allclose(reading.outputs, drops, atol=1e-15)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_input_pins_hold_the_gained_inputs(make_chip: MakeChip, circuit: Circuit) -> None:
    drive = drives_of(circuit)[0]
    (reading,) = make_chip(circuit).measure([drive])
    gain = 1.0 if circuit.name == "layered" else 3.0
    for sign, suffix in ((1, "p"), (-1, "n")):
        pins = [circuit.node_index[f"x{i}{suffix}"] for i in range(circuit.channels)]
        np.testing.assert_allclose(reading.nodes[:, pins], sign * gain * drive.inputs, rtol=1e-12)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_a_batch_gives_what_its_samples_give_one_by_one(make_chip: MakeChip, circuit: Circuit) -> None:
    chip = make_chip(circuit)
    together = chip.measure(drives_of(circuit))
    for sample in range(3):
        row = slice(sample, sample + 1)
        for whole, drive in zip(together, drives_of(circuit), strict=True):
            nudge = drive.nudge
            if isinstance(nudge, Spring):
                nudge = Spring(nudge.conductance, nudge.targets[row])
            elif isinstance(nudge, Injection):
                nudge = Injection(nudge.current[row])
            (alone,) = chip.measure([Drive(drive.inputs[row], nudge, drive.phase)])
            np.testing.assert_allclose(alone.nodes, whole.nodes[row], atol=5e-6)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_measuring_twice_gives_the_same_bits_and_changes_no_conductance(make_chip: MakeChip, circuit: Circuit) -> None:
    chip = make_chip(circuit)
    first, second = chip.measure(drives_of(circuit)), chip.measure(drives_of(circuit))
    for a, b in zip(first, second, strict=True):
        assert a.nodes.tobytes() == b.nodes.tobytes()
    for programmed, initial in zip(chip.conductances, circuit.conductances, strict=True):
        np.testing.assert_array_equal(programmed, initial)


def test_a_spring_pulls_the_outputs_towards_their_targets_and_a_negative_one_pushes(make_chip: MakeChip) -> None:
    circuit = kendall([4])
    batch = random_batch(circuit)
    free, *nudged = make_chip(circuit).measure(drives_of(circuit)[:3])
    distance = np.abs(free.outputs - batch.targets).sum()
    assert np.abs(nudged[0].outputs - batch.targets).sum() < distance < np.abs(nudged[1].outputs - batch.targets).sum()


def test_adjust_clips_to_the_range_and_says_what_was_written(make_chip: MakeChip) -> None:
    circuit = kendall([4])
    chip = make_chip(circuit)
    before = chip.conductances
    written = chip.adjust([np.full(c.shape, -100.0) for c in circuit.arrays])
    for crossbar, old, new, change in zip(circuit.arrays, before, chip.conductances, written, strict=True):
        np.testing.assert_array_equal(new, np.full(crossbar.shape, crossbar.g_min))
        np.testing.assert_allclose(change, crossbar.g_min - old)


def test_program_refuses_what_the_cells_cannot_hold_and_keeps_what_was(make_chip: MakeChip) -> None:
    circuit = kendall([4])
    chip = make_chip(circuit)
    wrong = [g.copy() for g in circuit.conductances]
    wrong[1][2, 1] = 11.0
    with pytest.raises(CircuitError, match=r"crossbar w2, cell \[2, 1\]: 11 S is outside 1 mS…10 S"):
        chip.program(wrong)
    np.testing.assert_array_equal(chip.conductances[1], circuit.conductances[1])


@pytest.mark.parametrize(
    ("drives", "message"),
    [
        ([], "no drive was given"),
        ([Drive(np.zeros((3, 2)))], r"free phase: inputs have shape \(3, 2\)"),
        ([Drive(np.full((1, 3), np.nan))], r"free phase: inputs: sample 0, column 0 is nan, which is not finite"),
        ([Drive(np.zeros((3, 3))), Drive(np.zeros((2, 3)))], r"inputs have shape \(2, 3\)"),
        ([Drive(np.zeros((1, 3)), Spring(0.1, np.zeros((1, 5))), "nudged")], "nudged phase: targets have shape"),
        ([Drive(np.zeros((1, 3)), Spring(np.inf, np.zeros((1, 2))), "nudged")], "β = inf S is not finite"),
        ([Drive(np.zeros((1, 3)), Injection(np.zeros((2, 2))), "nudged")], "nudging currents have shape"),
    ],
)
def test_drives_that_do_not_fit_are_refused_with_the_phase(
    make_chip: MakeChip, drives: list[Drive], message: str
) -> None:
    with pytest.raises(ChipError, match=message):
        make_chip(kendall([4])).measure(drives)


def test_a_change_that_is_not_finite_is_refused(make_chip: MakeChip) -> None:
    chip = make_chip(kendall([4]))
    changes = [np.full(g.shape, np.nan) for g in chip.conductances]
    with pytest.raises(ChipError, match="crossbar w1: a wanted change is not finite"):
        chip.adjust(changes)


def test_an_empty_batch_gives_empty_readings(make_chip: MakeChip) -> None:
    circuit = kendall([4])
    (reading,) = make_chip(circuit).measure([Drive(np.zeros((0, 3)))])
    assert reading.outputs.shape == (0, 2)
    assert reading.nodes.shape == (0, len(circuit.nodes))

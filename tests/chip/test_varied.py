"""Chips whose circuit was not made as it was drawn: what learning sees, what is inside, and `[variation]`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.chip.imperfect.made import VariedChip
from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.ngspice.session import open_session
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Crossbar
from harness.circuit.variation.lines import LineResistance, SourceErrors
from harness.circuit.variation.temperature import Temperature
from harness.circuit.variation.variation import CellDefects, ConductanceSpread, DiodeMismatch, Variation, vary
from harness.devices import DiodeModel
from harness.errors import ChipError, CircuitError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.measurement import Drive, Injection, Spring
from harness.netlist.tolerances import Tolerances
from tests.conftest import kendall, random_batch

NODAL = ["chip.kind=nodal", "training.epochs=2"]
EVERYTHING = Variation(
    spread=ConductanceSpread(0.1),
    defects=CellDefects(0.05, 0.05, 0.05),
    diodes=DiodeMismatch(0.2, 0.02),
    sources=SourceErrors(5e-3, 0.01),
    lines=LineResistance(2e-3, 1e-3),
    temperature=Temperature(60.0, 1e-3, 2e-3),
)


def drives_of(circuit: Circuit) -> list[Drive]:
    batch = random_batch(circuit)
    return [Drive(batch.inputs), Drive(batch.inputs, Spring(0.05, batch.targets), "nudged")]


@pytest.mark.parametrize("hidden", [[5], [4, 3]])
def test_it_reads_what_the_made_circuit_has_at_the_drawn_nodes(hidden: list[int]) -> None:
    circuit = kendall(hidden, amplifier_gain=2.0)
    made = vary(circuit, EVERYTHING, 3)
    readings = VariedChip(circuit, EVERYTHING, 3, NodalChip).measure(drives_of(circuit))
    for ours, theirs in zip(readings, NodalChip(made).measure(drives_of(circuit)), strict=True):
        np.testing.assert_allclose(ours.outputs, theirs.outputs, atol=1e-9)
        for column, node in zip(ours.nodes.T, circuit.nodes, strict=True):
            np.testing.assert_allclose(column, theirs.all_nodes[:, made.node_index[node]], atol=1e-9)


@pytest.mark.ngspice
def test_both_solvers_settle_it_alike() -> None:
    circuit = kendall([5], amplifier_gain=2.0)
    tight = Tolerances(1e-9, 1e-12, 1e-15)
    chips = (
        VariedChip(circuit, EVERYTHING, 0, NodalChip),
        VariedChip(circuit, EVERYTHING, 0, lambda made: NgspiceChip(made, tolerances=tight)),
    )
    for ours, theirs in zip(*(chip.measure(drives_of(circuit)) for chip in chips), strict=True):
        np.testing.assert_allclose(ours.nodes, theirs.nodes, atol=1e-8)


def test_it_is_programmed_in_the_drawn_circuits_conductances() -> None:
    circuit = kendall([5])
    chip = VariedChip(circuit, Variation(defects=CellDefects(0.3, 0.2)), 1, NodalChip)
    wanted = [np.full(array.shape, 0.01) for array in circuit.arrays]
    before = [g.copy() for g in chip.made.conductances]
    written = chip.adjust(wanted)
    for array, change, old, new in zip(circuit.arrays, written, before, chip._chip.conductances, strict=True):
        stuck = change == 0
        assert 0.2 < stuck.mean() < 0.7  # 44 % are expected
        np.testing.assert_array_equal(new[stuck], old[stuck])
        assert np.isin(new[stuck], [array.g_min, array.g_max]).all()
        np.testing.assert_allclose((new - old)[~stuck], 0.01, rtol=1e-9)
    assert chip.ledger.conductances_written == sum(int(np.count_nonzero(change)) for change in written)


def test_programming_again_gives_the_same_bits_as_writing_the_same_change() -> None:
    circuit = kendall([5])
    first, second = (VariedChip(circuit, EVERYTHING, 0, NodalChip) for _ in range(2))
    first.adjust([np.full(array.shape, 0.02) for array in circuit.arrays])
    second.program(first.conductances)
    for ours, theirs in zip(first.measure(drives_of(circuit)), second.measure(drives_of(circuit)), strict=True):
        assert ours.nodes.tobytes() == theirs.nodes.tobytes()


def test_small_signals_are_those_of_the_circuit_inside() -> None:
    circuit, step = kendall([5]), 1e-6
    chip = VariedChip(circuit, EVERYTHING, 0, lambda made: NodalChip(made, tolerance=1e-12))
    inputs = random_batch(circuit).inputs
    current = np.full((3, 2), 1.0)
    (free,) = chip.measure([Drive(inputs)])
    (small,) = chip.measure([Drive(inputs, Injection(current), "small-signal", about=free)])
    up, down = chip.measure([Drive(inputs, Injection(sign * step * current), "nudged") for sign in (1, -1)])
    np.testing.assert_allclose(small.nodes, (up.nodes - down.nodes) / (2 * step), rtol=1e-5, atol=1e-8)
    with pytest.raises(ChipError, match="only linearize about what it read last"):
        chip.measure([Drive(inputs, Injection(current), "small-signal", about=free)])


def test_it_counts_what_is_read_at_the_drawn_nodes_and_the_energy_inside() -> None:
    circuit = kendall([5])
    chip = VariedChip(circuit, EVERYTHING, 0, lambda made: NodalChip(made, settling_time=1e-6))
    ideal = NodalChip(circuit, settling_time=1e-6)
    for one in (chip, ideal):
        for reading in one.measure(drives_of(circuit)):
            _ = reading.nodes
    assert replace(chip.ledger, energy=0.0) == replace(ideal.ledger, energy=0.0)
    assert chip.ledger.energy == chip._chip.ledger.energy > 0


@pytest.mark.ngspice
@pytest.mark.parametrize("celsius", [-40.0, 60.0, 125.0])
def test_temperature_is_that_of_ngspice(celsius: float) -> None:
    model = DiodeModel("dt", 1e-9, 1.7)
    heated = Temperature(celsius).model(model)

    def volts(diode: DiodeModel, options: str) -> float:
        lines = [
            "* diode",
            "I1 0 a 1e-4",
            "D1 a 0 dm",
            f".model dm D(IS={diode.saturation_current!r} N={diode.emission!r})",
        ]
        lines += [f".options reltol=1e-9 vntol=1e-12 abstol=1e-15 {options}", ".end"]
        return float(open_session().operate(lines, ["a"], [()])[0, 0])

    assert volts(heated, "") == pytest.approx(volts(model, f"temp={celsius}"), abs=1e-7)
    assert abs(volts(heated, "") - volts(model, "")) > 1e-3


def test_cells_and_resistors_follow_their_temperature_coefficients() -> None:
    circuit = kendall([4])
    hot = Temperature(77.0, cell_coefficient=2e-3).apply(circuit)
    for old, new in zip(circuit.elements, hot.elements, strict=True):
        if isinstance(old, Crossbar):
            assert isinstance(new, Crossbar)
            np.testing.assert_allclose(new.conductances, old.conductances / 1.1)
            assert new.g_max == pytest.approx(old.g_max / 1.1)
    assert Temperature(27.0, 1e-3, 1e-3).apply(circuit) is circuit


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"celsius": -300.0}, "-300 °C must lie in -100…300 °C"),
        ({"celsius": 127.0, "cell_coefficient": -0.02}, "cell_coefficient -0.02 1/K at 127 °C leaves no positive"),
    ],
)
def test_impossible_temperatures_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        Temperature(**settings)


def test_without_a_strength_an_experiment_takes_the_ideal_chip() -> None:
    assert Experiment.load("iris", [*NODAL, "variation.spread_law=normal"]).new_chip().__class__ is NodalChip
    assert Experiment.load("iris", [*NODAL, "variation.spread=0.05"]).new_chip().__class__ is VariedChip


def test_the_seed_of_the_variation_chooses_the_chip() -> None:
    chips = [
        Experiment.load("iris", [*NODAL, "variation.spread=0.05", *extra]).new_chip()
        for extra in ([], ["variation.seed=0"], ["variation.seed=1"], ["training.seed=1", "variation.seed=0"])
    ]
    factors = [chip._faults[0].factors for chip in chips if isinstance(chip, VariedChip)]
    np.testing.assert_array_equal(factors[0], factors[1])
    np.testing.assert_array_equal(factors[0], factors[3])
    assert np.abs(factors[0] - factors[2]).max() > 0.01


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("variation.stuck_at_max=1.5", "variation.stuck_at_max .*1.5.*at most 1"),
        ("variation.line_word=-1", "variation.line_word .*-1 Ohm|variation.line_word.*at least 0"),
        ("variation.spread='5 mV'", "variation.spread"),
        ("variation.temperature=400", "variation.temperature.*300"),
    ],
)
def test_senseless_strengths_name_the_key(override: str, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        Experiment.load("iris", [*NODAL, override])


def test_training_on_a_made_chip_resumes_bit_for_bit(tmp_path: Path) -> None:
    faults = ["variation.spread=0.1", "variation.stuck_at_min=0.05", "variation.temperature=60"]
    experiment = Experiment.load("iris", [*NODAL, *faults, "variation.cell_temperature_coefficient=1e-3"])
    runs = [experiment.create_run(tmp_path / part) for part in ("whole", "halves")]
    experiment.train(runs[0])
    steps = iter(range(100))
    assert experiment.train(runs[1], stop=lambda: next(steps) == 3) is None
    experiment.train(runs[1])
    assert (runs[0].path / "steps.csv").read_bytes() == (runs[1].path / "steps.csv").read_bytes()


def test_a_chip_that_cannot_be_made_is_refused_before_a_run_begins(tmp_path: Path) -> None:
    experiment = Experiment.load("iris", [*NODAL, "variation.open_cells=1"])
    with pytest.raises(ExperimentError, match=r"chip 0 of \[variation\] cannot be made: .*floats"):
        experiment.create_run(tmp_path / "run")
    assert not list(tmp_path.iterdir())

"""Circuits as they are made: exact lines, statistics of devices, streams, gradients, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.chip.ngspice.chip import FullNetlistChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import (
    BidirectionalAmplifier,
    Buffer,
    CellRange,
    Circuit,
    Crossbar,
    Diode,
    Edges,
    InputSource,
    Output,
    Reduction,
    Resistor,
    VoltageSource,
    check_bounds,
)
from harness.circuit.scaling import energy_scales, is_reciprocal
from harness.circuit.variation.lines import AmplifierErrors, Law, Leakage, LineResistance, SourceErrors
from harness.circuit.variation.variation import (
    CellDefects,
    CellFaults,
    ConductanceSpread,
    DiodeMismatch,
    Variation,
    effective,
    faults_of,
    faulty,
    sample_faults,
    vary,
)
from harness.errors import CircuitError
from harness.learning import AnalyticalGradient, EquilibriumPropagation, HardwareLinearization, Nudging, SquaredError
from harness.learning.rules.generalized import Variant
from harness.measurement import Drive
from harness.netlist.tolerances import TIGHT
from harness.studies.check import kirchhoff_residual
from tests.circuit.test_stages import cascade
from tests.conftest import kendall, random_batch, scellier
from tests.learning.test_rules import assert_close, gradient_of, graph, inside, truth

COST = SquaredError()
STRONG = {
    "spread": ConductanceSpread(0.2),
    "defects": CellDefects(0.05, 0.05, 0.02),
    "diodes": DiodeMismatch(0.3, 0.05),
    "sources": SourceErrors(0.02, 0.03),
    "leakage": Leakage(0.01),
    "amplifiers": AmplifierErrors(layer_gain=0.1, offset=0.02),
    "lines": LineResistance(0.05, 0.02),
}
SOUND = Variation(**{**STRONG, "defects": CellDefects()})  # finite differences move every cell both ways

SOUND_CELLS = replace(SOUND, spread=ConductanceSpread())


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def plain_crossbar(g: np.ndarray, g_max: float = 1.0, *, g_min: float = 0.0) -> Circuit:
    """Word lines driven, bit lines at virtual ground, as badcrossbar takes them."""
    words, bits = ([f"{kind}{k}" for k in range(size)] for kind, size in zip("xs", g.shape, strict=True))
    elements = (
        *(InputSource(node, node, k, 1.0) for k, node in enumerate(words)),
        Crossbar("w1", tuple(words), tuple(bits), g, g_min, g_max),
        *(VoltageSource(f"v{node}", node, 0.0) for node in bits),
    )
    return Circuit("plain", elements, (Output("y0", bits[0], words[0]),))


def voltages(circuit: Circuit, inputs: np.ndarray) -> dict[str, float]:
    (reading,) = NodalChip(circuit).measure([Drive(inputs[None])])
    return dict(zip(circuit.nodes, reading.nodes[0], strict=True))


def meshes(circuit: Circuit, shape: tuple[int, int], inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    volts = voltages(circuit, inputs)
    word, bit = (np.array([[volts[f"w1_{k}{w}_{b}"] for b in range(shape[1])] for w in range(shape[0])]) for k in "wb")
    return word, bit


def dense_meshes(g: np.ndarray, inputs: np.ndarray, word: float, bit: float) -> tuple[np.ndarray, np.ndarray]:
    """Kirchhoff's law at both nodes of every cell, written down here."""
    words, bits = g.shape
    at = np.arange(2 * g.size).reshape(2, words, bits)
    matrix, current = np.zeros((2 * g.size, 2 * g.size)), np.zeros(2 * g.size)

    def join(a: int, b: int, siemens: float) -> None:
        matrix[[a, b], [a, b]] += siemens
        matrix[[a, b], [b, a]] -= siemens

    for w in range(words):
        for b in range(bits):
            join(at[0, w, b], at[1, w, b], g[w, b])
            if b:
                join(at[0, w, b - 1], at[0, w, b], 1 / word)
            if w:
                join(at[1, w - 1, b], at[1, w, b], 1 / bit)
    first, last = at[0, :, 0], at[1, -1]
    matrix[first, first] += 1 / word
    current[first] += inputs / word
    matrix[last, last] += 1 / bit
    solved = np.linalg.solve(matrix, current)
    return solved[at[0]], solved[at[1]]


def test_lines_agree_with_badcrossbar() -> None:
    """Figures of badcrossbar 1.1.0: compute(inputs, 1 / g, r_i_word_line=25, r_i_bit_line=40)."""
    g = np.array([[1e-3, 2e-4, 5e-4, 1e-4], [3e-4, 8e-4, 1e-4, 6e-4], [7e-4, 4e-4, 9e-4, 2e-4]])
    circuit = LineResistance(25.0, 40.0).apply(plain_crossbar(g))
    word, bit = meshes(circuit, (3, 4), np.array([1.0, -0.5, 0.25]))
    currents = [8.449208715344e-04, -7.935771069465e-05, 5.691789811336e-04, -1.226376617925e-04]
    np.testing.assert_allclose(bit[-1] / 40, currents, rtol=1e-10)
    np.testing.assert_allclose(word[0], [0.96042026656, 0.942440423507, 0.929185411137, 0.926848540637], rtol=1e-10)
    np.testing.assert_allclose(bit[0], [0.09642465108, -0.002525713286, 0.055734061661, -0.007899659674], rtol=1e-9)


@given(
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 2**32),
    word=st.floats(1e-2, 1e4),
    bit=st.floats(1e-2, 1e4),
)
@settings(max_examples=25, deadline=None)
def test_lines_are_exact(shape: tuple[int, int], seed: int, word: float, bit: float) -> None:
    if shape == (1, 1):
        shape = (1, 2)
    drawn = rng(seed)
    g, inputs = drawn.uniform(1e-5, 1e-3, shape), drawn.uniform(-1, 1, shape[0])
    found = meshes(LineResistance(word, bit).apply(plain_crossbar(g)), shape, inputs)
    for ours, theirs in zip(found, dense_meshes(g, inputs, word, bit), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize(("lines", "ohms"), [((10.0, 0.0), 2 * 10.0), ((0.0, 30.0), 3 * 30.0), ((10.0, 30.0), 110.0)])
def test_a_cell_sees_the_segments_on_its_way(lines: tuple[float, float], ohms: float) -> None:
    """The only closed cell is [0, 1] of 3 × 2: two segments from the driver, three to the neuron."""
    g = np.zeros((3, 2))
    g[0, 1] = 1e-2
    base = plain_crossbar(g)
    loads = tuple(Resistor(f"load{b}", f"s{b}", "0", 5e-3) for b in range(2))
    kept = tuple(e for e in base.elements if not isinstance(e, VoltageSource))
    circuit = LineResistance(*lines).apply(replace(base, elements=(*kept, *loads), outputs=(Output("y", "s1"),)))
    assert voltages(circuit, np.array([1.0, 0.7, -0.2]))["s1"] == pytest.approx(200 / (100 + 200 + ohms), rel=1e-10)


def test_lines_without_resistance_are_the_same_circuit() -> None:
    circuit, edges = kendall([4]), graph()
    assert LineResistance().apply(circuit, rng()) is circuit
    assert LineResistance(1.0, 1.0).apply(edges, rng()) is edges  # no crossbar, no lines


def test_an_expanded_array_stays_one_array_in_its_place() -> None:
    circuit = kendall([4])
    expanded = LineResistance(0.1, 0.2).apply(circuit)
    assert [a.name for a in expanded.arrays] == [a.name for a in circuit.arrays]
    assert expanded.outputs == circuit.outputs
    for ours, theirs in zip(expanded.arrays, circuit.arrays, strict=True):
        assert isinstance(ours, Edges)
        assert (ours.g_min, ours.g_max) == (theirs.g_min, theirs.g_max)
        np.testing.assert_array_equal(ours.conductances.reshape(theirs.shape), theirs.conductances)


def test_small_line_resistance_approaches_none() -> None:
    circuit = kendall([4, 3])
    inputs = random_batch(circuit).inputs
    (ideal,) = NodalChip(circuit).measure([Drive(inputs)])
    errors = []
    for ohms in (1e-4, 1e-5):
        (reading,) = NodalChip(LineResistance(ohms, ohms).apply(circuit)).measure([Drive(inputs)])
        errors.append(np.abs(reading.outputs - ideal.outputs).max())
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.01)


def test_lines_keep_no_more_unknowns() -> None:
    """All mesh nodes vanish in the reduction; the array's lines are word and bit nodes of before."""
    circuit = scellier([5], channels=4)
    expanded = LineResistance(0.1, 0.1).apply(circuit)
    sizes = [Reduction(c).reduce(c.conductances).size for c in (circuit, expanded)]
    assert sizes[1] == sizes[0]


@pytest.mark.parametrize("make", [kendall, scellier])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_kirchhoffs_law_holds_in_varied_circuits(make, seed: int) -> None:
    base = make([5, 4], seed)
    circuit = vary(base, Variation(**STRONG), seed)
    (reading,) = NodalChip(circuit).measure([Drive(random_batch(circuit).inputs)])
    assert kirchhoff_residual(circuit, reading.nodes) < 1e-9


VARIED = [
    pytest.param(vary(inside(kendall([4, 3])), SOUND, 1), id="amplified"),
    pytest.param(vary(inside(scellier([4, 3])), SOUND, 2), id="rectified"),
    pytest.param(vary(graph(diodes=True), SOUND, 3), id="graph"),
]


@pytest.mark.parametrize("circuit", VARIED)
def test_gradients_in_varied_circuits_equal_finite_differences(circuit: Circuit) -> None:
    batch = random_batch(circuit)
    expected, chip = truth(circuit, batch), NodalChip(circuit, tolerance=1e-11)
    assert_close(gradient_of(AnalyticalGradient(circuit, COST), chip, batch), expected, 1e-7)
    assert_close(gradient_of(HardwareLinearization(circuit, COST, gamma=1e-3), chip, batch), expected, 1e-7)
    rule = EquilibriumPropagation(circuit, COST, beta=1e-4, variant=Variant.CENTERED, nudging=Nudging.CURRENT)
    assert_close(gradient_of(rule, chip, batch), expected, 1e-5)


def test_gradients_through_erring_buffers_equal_finite_differences() -> None:
    settings_ = replace(SOUND, amplifiers=AmplifierErrors(gain=0.1, offset=0.05))
    circuit = vary(cascade(), settings_, 4)
    assert not is_reciprocal(circuit)
    batch = random_batch(circuit)
    expected, chip = truth(circuit, batch), NodalChip(circuit, tolerance=1e-11)
    assert_close(gradient_of(AnalyticalGradient(circuit, COST), chip, batch), expected, 1e-7)


@pytest.mark.ngspice
@pytest.mark.parametrize("base", [kendall([4]), cascade()], ids=["amplified", "buffered"])
def test_varied_circuits_in_ngspice(base: Circuit) -> None:
    circuit = vary(base, replace(SOUND, amplifiers=AmplifierErrors(gain=0.1, offset=0.05)), 5)
    drives = [Drive(random_batch(circuit).inputs)]
    ours, theirs = (
        chip.measure(drives)[0] for chip in (NodalChip(circuit), FullNetlistChip(circuit, tolerances=TIGHT))
    )
    np.testing.assert_allclose(ours.nodes, theirs.nodes, atol=1e-8)


@pytest.mark.parametrize("law", list(Law))
def test_spread_has_its_mean_and_its_standard_deviation(law: Law) -> None:
    factors = law.factors(0.3, (200, 500), rng())
    assert factors.mean() == pytest.approx(1, abs=5 * 0.3 / np.sqrt(factors.size))
    assert factors.std() == pytest.approx(0.3, rel=0.03)
    assert (law.factors(0.0, (50,), rng()) == 1).all()
    if law is Law.LOG_NORMAL:
        assert factors.min() > 0
        assert np.log(factors).std() == pytest.approx(np.sqrt(np.log(1.09)), rel=0.01)


@pytest.mark.parametrize("law", list(Law))
def test_all_cells_of_a_chip_share_a_factor_and_old_chips_stay_the_same(law: Law) -> None:
    base = kendall([5])
    own = Variation(spread=ConductanceSpread(0.2, law), defects=CellDefects(0.1))
    both = replace(own, spread=replace(own.spread, common=0.3))
    shared = []
    for seed in range(400):
        old, new = faults_of(base, own, seed), faults_of(base, both, seed)
        by = np.concatenate([(n.factors / o.factors).ravel() for n, o in zip(new, old, strict=True)])
        assert np.ptp(by) <= 1e-15 * np.abs(by).max()
        assert all(np.array_equal(n.stuck, o.stuck) for n, o in zip(new, old, strict=True))
        shared.append(by[0])
    assert np.mean(shared) == pytest.approx(1, abs=4 * 0.3 / 20)
    assert np.std(shared) == pytest.approx(0.3, rel=0.2)


def test_spread_is_clipped_to_the_range() -> None:
    base = plain_crossbar(np.full((40, 50), 0.9e-3), 1e-3, g_min=0.5e-3)
    (g,) = ConductanceSpread(0.5, Law.NORMAL).apply(base, rng()).conductances
    assert (g.min(), g.max()) == (0.5e-3, 1e-3)
    assert 0.3 < (g == 1e-3).mean() < 0.5


def test_defects_occur_as_often_as_they_should() -> None:
    base = plain_crossbar(np.full((200, 200), 0.5), g_min=0.1)
    (fault,) = sample_faults(base, stuck_at_min=0.1, stuck_at_max=0.2, open_cells=0.05, rng=rng())
    (circuit,) = faulty(base, [fault]).arrays
    for value, share in ((0.0, 0.05), (1.0, 0.2 * 0.95), (0.1, 0.1 * 0.8 * 0.95), (0.5, 0.9 * 0.8 * 0.95)):
        found = (circuit.conductances == value).mean()
        assert found == pytest.approx(share, abs=5 * np.sqrt(share / 40_000))
    assert (circuit.g_min, circuit.g_max) == (0.0, 1.0)
    (stuck,) = CellDefects(stuck_at_max=1.0).apply(base, rng()).arrays
    assert (stuck.conductances == 1).all()
    assert stuck.g_min == 0.1


def test_one_kind_of_fault_does_not_move_another() -> None:
    base = kendall([6])
    alone = sample_faults(base, stuck_at_max=0.2, rng=rng(7))
    both = sample_faults(base, spread=ConductanceSpread(0.3), stuck_at_min=0.3, stuck_at_max=0.2, rng=rng(7))
    for a, b, array in zip(alone, both, base.arrays, strict=True):
        np.testing.assert_array_equal(a.stuck & (a.values == array.g_max), b.stuck & (b.values == array.g_max))


@given(seed=st.integers(0, 2**32), step=st.floats(1e-4, 10))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_the_change_of_what_cells_have(seed: int, step: float) -> None:
    base = kendall([4], seed)
    faults = sample_faults(
        base, spread=ConductanceSpread(0.3), stuck_at_min=0.1, stuck_at_max=0.1, open_cells=0.1, rng=rng(seed)
    )
    for fault, array in zip(faults, base.arrays, strict=True):
        programmed, wanted = array.conductances, step * rng(seed).normal(size=array.shape)
        moved, written = fault.adjusted(programmed, wanted)
        check_bounds(array, moved)
        np.testing.assert_allclose(fault.effective(programmed) + written, fault.effective(moved), atol=1e-15)
        assert (written[fault.stuck] == 0).all()
        np.testing.assert_array_equal(moved[fault.stuck], programmed[fault.stuck])
        assert (written * wanted >= 0).all()


def test_a_chip_of_the_faulty_circuit_takes_every_effective_conductance() -> None:
    base = kendall([6], cells=CellRange(1.0, 0.01, 2.0))
    faults = sample_faults(base, spread=ConductanceSpread(0.5), stuck_at_max=0.1, open_cells=0.05, rng=rng(3))
    chip = NodalChip(faulty(base, faults))
    programmed = [rng(1).uniform(a.g_min, a.g_max, a.shape) for a in base.arrays]
    chip.program(effective(programmed, faults))
    for g, fault in zip(chip.conductances, faults, strict=True):
        assert (g[fault.stuck] == fault.values[fault.stuck]).all()


def test_faults_without_strength_are_none() -> None:
    circuit = kendall([4])
    faults = sample_faults(circuit, rng=rng())
    assert all(fault.absent for fault in faults)
    assert faulty(circuit, faults) is circuit
    for ours, theirs in zip(effective(circuit.conductances, faults), circuit.conductances, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_faults_of_another_circuit_are_refused() -> None:
    with pytest.raises(CircuitError, match=r"circuit layered: faults for cells .*; sample anew"):
        faulty(kendall([4]), sample_faults(kendall([5]), rng=rng()))


def test_faults_are_the_same_before_and_after_lines() -> None:
    circuit = kendall([4])
    expanded = LineResistance(0.1, 0.1).apply(circuit)
    options = {"spread": ConductanceSpread(0.2), "stuck_at_max": 0.1}
    before, after = (sample_faults(c, **options, rng=rng(2)) for c in (circuit, expanded))  # type: ignore[arg-type]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.factors.ravel(), b.factors)
        np.testing.assert_array_equal(a.stuck.ravel(), b.stuck)


def test_a_line_cut_off_by_open_cells_is_named() -> None:
    elements = (InputSource("x0", "x0", 0, 1.0), Crossbar("w1", ("x0",), ("a", "b"), np.ones((1, 2)), 0.0, 1.0))
    circuit = Circuit("small", elements, (Output("y0", "a", "b"),))
    with pytest.raises(CircuitError, match=r"node a .* floats"):
        CellDefects(open_cells=1.0).apply(circuit, rng())


def models(circuit: Circuit) -> list:
    return [e.model for e in circuit.elements if isinstance(e, Diode)]


def test_every_diode_has_a_model_of_its_own() -> None:
    base = kendall([600])
    found = models(DiodeMismatch(0.3, 0.02).apply(base, rng()))
    assert len({m.name.casefold() for m in found}) == len(found) == 1200
    currents, emissions = (np.array([getattr(m, k) for m in found]) for k in ("saturation_current", "emission"))
    relative = currents / 1e-6
    assert relative.mean() == pytest.approx(1, abs=5 * 0.3 / np.sqrt(1200))
    assert relative.std() == pytest.approx(0.3, rel=0.2)
    assert np.abs(np.corrcoef(currents, emissions)[0, 1]) < 0.15
    assert (emissions / 2).std() == pytest.approx(0.02, rel=0.1)
    assert DiodeMismatch().apply(base, rng()) is base
    assert [m.emission for m in models(DiodeMismatch(0.0, 0.02).apply(base, rng()))] == emissions.tolist()


def test_a_diode_that_no_model_describes_is_named() -> None:
    with pytest.raises(CircuitError, match=r"diode model d_\w+: emission coefficient -\S+ must lie in 0.01…100"):
        DiodeMismatch(emission=1.0).apply(kendall([50]), rng())


def test_sources_err_by_as_much_as_they_should() -> None:
    base = kendall([2], channels=500)
    varied = SourceErrors(0.1, 0.05).apply(base, rng())
    pairs = list(zip(base.elements, varied.elements, strict=True))
    gains = np.array([b.gain / a.gain for a, b in pairs if isinstance(a, InputSource)])
    offsets = [b.volts - a.volts for a, b in pairs if isinstance(a, VoltageSource)]
    assert gains.std() == pytest.approx(0.05, rel=0.1)
    assert gains.mean() == pytest.approx(1, abs=5 * 0.05 / np.sqrt(1000))
    assert len(offsets) == 6
    assert all(0 < abs(v) < 0.5 for v in offsets)
    assert SourceErrors().apply(base, rng()) is base
    only = SourceErrors(gain=0.05).apply(base, rng())
    assert [e.gain for e in only.elements if isinstance(e, InputSource)] == [
        e.gain for e in varied.elements if isinstance(e, InputSource)
    ]


def test_leakage_loads_a_divider() -> None:
    elements = (InputSource("x0", "x0", 0, 1.0), Resistor("r1", "x0", "a", 1.0), Resistor("r2", "a", "0", 3.0))
    circuit = Circuit("divider", elements, (Output("y0", "a"),))
    assert voltages(Leakage(1.0).apply(circuit, rng()), np.ones(1))["a"] == pytest.approx(1 / 5, rel=1e-12)
    assert Leakage().apply(circuit, rng()) is circuit


def test_leakage_is_at_free_nodes_only() -> None:
    circuit = kendall([3])
    leaks = {e.a for e in Leakage(1e-6).apply(circuit, rng()).elements if isinstance(e, Resistor)}
    assert leaks == set(circuit.nodes) - circuit.held_nodes
    assert "h1_0" in leaks


@pytest.mark.parametrize("base", [kendall([200]), cascade()], ids=["amplified", "buffered"])
def test_amplifiers_err_one_by_one_with_seeds_that_stay(base: Circuit) -> None:
    stages = [e for e in base.elements if isinstance(e, BidirectionalAmplifier | Buffer)]
    both, gain, offset = (
        [e for e in errors.apply(base, rng()).elements if isinstance(e, BidirectionalAmplifier | Buffer)]
        for errors in (AmplifierErrors(0.1, 0.0, 0.02), AmplifierErrors(gain=0.1), AmplifierErrors(offset=0.02))
    )
    assert len({e.gain / s.gain for e, s in zip(both, stages, strict=True)}) == len(stages)
    assert [e.gain for e in both] == [e.gain for e in gain]
    assert [e.offset for e in both] == [e.offset for e in offset]
    assert [e.gain for e in offset] == [s.gain for s in stages]
    assert {e.offset for e in gain} == {0.0}
    if len(stages) > 100:
        assert np.std([e.gain / 4 for e in both]) == pytest.approx(0.1, rel=0.2)
        assert np.std([e.offset for e in both]) == pytest.approx(0.02, rel=0.2)


def test_unequal_gains_within_a_layer_leave_no_energy() -> None:
    varied = AmplifierErrors(gain=0.1).apply(kendall([3]), rng())
    assert not is_reciprocal(varied)
    with pytest.raises(
        CircuitError, match=r"amplifier amp1_1: it closes a loop of gain .*, so that circuit layered has no energy"
    ):
        energy_scales(varied)


def test_a_layer_shares_its_gain_and_energies_keep_their_scales() -> None:
    base = kendall([3, 4])
    varied = AmplifierErrors(layer_gain=0.1).apply(base, rng())
    gains = [{e.gain for e in varied.elements if getattr(e, "name", "").startswith(f"amp{k}_")} for k in (1, 2)]
    assert [len(found) for found in gains] == [1, 1]
    (first,), (second,) = gains
    assert len({first, second, 4.0}) == 3
    expected = [(first * second) ** 2, second**2, 1.0]
    np.testing.assert_allclose([float(s) for s in energy_scales(varied)], expected, rtol=1e-12)


def test_amplifiers_alone_in_their_layers_may_differ() -> None:
    varied = AmplifierErrors(gain=0.1).apply(kendall([1, 1]), rng())
    assert len({e.gain for e in varied.elements if isinstance(e, BidirectionalAmplifier)}) == 2


@pytest.mark.parametrize("loads", [0.0, 2.0])
def test_an_offset_is_amplified_with_the_signal_and_loads_nothing(loads: float) -> None:
    elements = (
        InputSource("x0", "x0", 0, 1.0),
        Resistor("r1", "x0", "a", 1.0),
        Resistor("r2", "a", "0", 1.0),
        Buffer("u", "a", "b", -3.0),
        Resistor("r3", "b", "y", 1.0),
        Resistor("r4", "y", "0", 1.0 + loads),
    )
    circuit = Circuit("stage", elements, (Output("y0", "y"),))
    varied = AmplifierErrors(offset=0.01).apply(circuit, rng(5))
    (offset,) = (e.offset for e in varied.elements if isinstance(e, Buffer))
    assert 0 < abs(offset) < 0.05
    found = voltages(varied, np.ones(1))
    assert found["a"] == pytest.approx(0.5, rel=1e-12)
    assert found["b"] == pytest.approx(-3 * (0.5 + offset), rel=1e-12)
    assert found["y"] == pytest.approx(found["b"] / (2 + loads), rel=1e-12)


def test_strength_0_is_the_same_circuit() -> None:
    for circuit in (kendall([4, 3]), scellier([4]), graph(diodes=True), cascade()):
        assert vary(circuit, Variation(), 0) is circuit


def test_a_seed_says_everything() -> None:
    first, again, other = (vary(kendall([4]), Variation(**STRONG), seed) for seed in (1, 1, 2))
    assert str(first.elements) == str(again.elements)
    assert all((a == b).all() for a, b in zip(first.conductances, again.conductances, strict=True))
    assert not all((a == b).all() for a, b in zip(first.conductances, other.conductances, strict=True))


def drawn(circuit: Circuit) -> dict[str, object]:
    """What each random source did, by name."""
    elements = circuit.elements
    return {
        "cells": [g.ravel().tolist() for g in circuit.conductances],
        "diodes": [(m.saturation_current, m.emission) for m in models(circuit)],
        "sources": [e.volts for e in elements if isinstance(e, VoltageSource)]
        + [e.gain for e in elements if isinstance(e, InputSource)],
        "amplifiers": [(e.gain, e.offset) for e in elements if isinstance(e, BidirectionalAmplifier)],
    }


@pytest.mark.parametrize("added", list(STRONG))
def test_adding_one_source_of_randomness_changes_no_other_draw(added: str) -> None:
    base = kendall([5, 4])
    others = {name: value for name, value in STRONG.items() if name != added}
    without, together = (drawn(vary(base, Variation(**s), 3)) for s in (others, STRONG))
    own = "cells" if added in ("spread", "defects") else added
    for name in without:
        assert (without[name] == together[name]) == (name != own)
    alone, nothing = (drawn(vary(base, Variation(**s), 3)) for s in ({added: STRONG[added]}, {}))
    if own in alone and own != "cells":
        assert alone[own] == together[own]
    for name in alone:
        assert (alone[name] == nothing[name]) == (name != own)


def test_spread_and_defects_of_cells_have_streams_of_their_own() -> None:
    base = kendall([5])
    both, spread, defects = (
        faults_of(base, Variation(**{name: STRONG[name] for name in names}), 3)
        for names in (("spread", "defects"), ("spread",), ("defects",))
    )
    for b, s, d in zip(both, spread, defects, strict=True):
        np.testing.assert_array_equal(b.factors, s.factors)
        np.testing.assert_array_equal(b.stuck, d.stuck)
    varied = vary(base, Variation(spread=STRONG["spread"], defects=STRONG["defects"]), 3)
    for ours, theirs in zip(varied.conductances, effective(base.conductances, both), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_chip_that_learns_has_the_cells_of_the_varied_circuit() -> None:
    base, every = kendall([5]), Variation(**STRONG)
    sound = vary(base, SOUND_CELLS, 3)
    faults = faults_of(sound, every, 3)
    programmed = [g.ravel() for g in base.conductances]
    for ours, theirs in zip(effective(programmed, faults), vary(base, every, 3).conductances, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    chip = NodalChip(faulty(sound, faults))
    wanted = [np.full(g.shape, 0.1) for g in programmed]
    moved, written = zip(*(f.adjusted(g, w) for f, g, w in zip(faults, programmed, wanted, strict=True)), strict=True)
    before = chip.conductances
    chip.program(effective(moved, faults))
    for g, old, change in zip(chip.conductances, before, written, strict=True):
        np.testing.assert_allclose(g - old, change, atol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LineResistance(word=-1.0), r"line resistance: word -1 Ω must be finite and in 0…1 GΩ; write 0"),
        (lambda: LineResistance(bit=float("nan")), r"line resistance: bit nan Ω must be finite"),
        (lambda: LineResistance(bit=1e-9), r"line resistance: bit 1 nΩ must be at least 1 µΩ; write 0 for none"),
        (lambda: ConductanceSpread(-0.1), r"conductance spread: fraction -0\.1 must be finite and in 0…1;"),
        (lambda: ConductanceSpread(float("inf")), r"conductance spread: fraction inf must be finite and in 0…1;"),
        (lambda: ConductanceSpread(common=2.0), r"conductance spread: common 2 must be finite and in 0…1;"),
        (lambda: CellDefects(stuck_at_min=1.5), r"cell defects: stuck_at_min 1.5 must be finite and in 0…1;"),
        (lambda: CellDefects(open_cells=-0.5), r"cell defects: open_cells"),
        (lambda: sample_faults(kendall([2]), stuck_at_max=2.0, rng=rng()), r"cell defects: stuck_at_max 2 must"),
        (lambda: DiodeMismatch(emission=float("nan")), r"diode mismatch: emission nan must be finite"),
        (lambda: SourceErrors(offset=-0.01), r"source errors: offset -10 mV must be finite and at or above 0 V; write"),
        (lambda: SourceErrors(gain=2.0), r"source errors: gain 2 must be finite and in 0…1;"),
        (lambda: AmplifierErrors(layer_gain=-1.0), r"amplifier errors: layer_gain -1 must"),
        (lambda: Leakage(-1e-9), r"leakage: conductance -1 nS must be finite and in 0…1 MS; write 0 for none"),
        (lambda: vary(kendall([2]), Variation(), -1), r"variation: seed -1 must be at least 0"),
    ],
)
def test_senseless_strengths_are_refused(make, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        make()


def test_a_new_node_never_shorts_an_old_one() -> None:
    elements = (InputSource("x0", "x0", 0, 1.0), Crossbar("w1", ("x0",), ("a", "W1_w0_1"), np.ones((1, 2)), 0.0, 1.0))
    circuit = Circuit("clash", elements, (Output("y0", "a", "W1_w0_1"),))
    with pytest.raises(CircuitError, match="crossbar w1: it needs a new node w1_w0_1, which exists already"):
        LineResistance(1.0, 1.0).apply(circuit)


def test_faults_are_plain_data() -> None:
    fault = CellFaults(np.ones(2), np.zeros(2, bool), np.zeros(2), 0.0, 1.0)
    np.testing.assert_array_equal(fault.effective(np.array([0.25, 1.0])), [0.25, 1.0])


@pytest.mark.parametrize(
    "strengths",
    [
        {"spread": ConductanceSpread(0.1)},
        {"spread": ConductanceSpread(common=0.1)},
        *({"defects": CellDefects(**{name: 0.5})} for name in ("stuck_at_min", "stuck_at_max", "open_cells")),
    ],
)
def test_every_strength_of_cells_alone_changes_them(strengths: dict[str, Any]) -> None:
    circuit, variation = kendall([5]), Variation(**strengths)
    assert not variation.spares_cells
    found = vary(circuit, variation, 3).conductances
    wanted = faulty(circuit, faults_of(circuit, variation, 3)).conductances
    assert all(map(np.array_equal, found, wanted))
    assert not all(map(np.array_equal, found, circuit.conductances))
    assert Variation(spread=ConductanceSpread(law=Law.NORMAL)).spares_cells

"""The square-law transistor: hand-solved circuits, solvers against ngspice, gradients, small signals, packages."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chip.ngspice.chip import FullBatchChip, FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import (
    BidirectionalAmplifier,
    Buffer,
    Circuit,
    Crossbar,
    Diode,
    Edges,
    InputSource,
    Mosfet,
    Output,
    Resistor,
    VoltageSource,
)
from harness.circuit.linearized import linearized
from harness.circuit.power import dissipated
from harness.circuit.scaling import is_reciprocal
from harness.circuit.variation.temperature import Temperature
from harness.circuit.variation.variation import DiodeMismatch
from harness.devices import MosfetModel
from harness.devices.diode import GMIN
from harness.errors import CircuitError, ExperimentError
from harness.learning import AnalyticalGradient, EquilibriumPropagation, HardwareLinearization, Nudging, SquaredError
from harness.measurement import Array, Drive, Injection, Spring
from harness.netlist.decks.full import circuit_lines
from harness.netlist.design.design import design_of
from harness.netlist.design.mapping import map_of
from harness.netlist.dialects import DIALECTS, RESISTORS
from harness.netlist.tolerances import Tolerances
from harness.report.inventory import device_rows
from harness.studies.check import kirchhoff_residual
from tests.conftest import DIODE, random_batch
from tests.learning.test_rules import assert_close, gradient_of, truth

TIGHT = Tolerances(1e-9, 1e-12, 1e-15)
COST = SquaredError()
N = MosfetModel("mn", 2.0, 0.1)
P = MosfetModel("mp", 1.0, -0.1, "p")
DEPLETED = MosfetModel("mdep", 1.0, -0.1)


def network(*wired: object, seed: int = 0, rail: float = 0.05) -> Circuit:
    """Two doubled inputs, three hidden nodes in a row, one output pair; `wired` are elements at the hidden nodes."""
    rng = np.random.default_rng(seed)
    pins = [InputSource(f"x{k}{s}", f"x{k}{s}", k, g) for k in range(2) for s, g in (("p", 10.0), ("n", -10.0))]
    words, hidden = (*(pin.node for pin in pins), "hi", "lo"), ("h0", "h1", "h2")
    elements = [
        *pins,
        VoltageSource("hi", "hi", rail),
        VoltageSource("lo", "lo", -rail),
        Crossbar("w1", words, hidden, rng.uniform(0.05, 0.5, (6, 3)), 1e-3, 10.0),
        Edges("e", hidden[:2], hidden[1:], rng.uniform(0.05, 0.5, 2), 1e-3, 10.0),
        Crossbar("w2", hidden, ("o0p", "o0n"), rng.uniform(0.05, 0.5, (3, 2)), 1e-3, 10.0),
        *(Resistor(f"g{node}", node, "0", 0.05) for node in ("o0p", "o0n")),
        *wired,
    ]
    return Circuit("transistors", tuple(elements), (Output("y0", "o0p", "o0n"),))


def connected(model: MosfetModel = N) -> Circuit:
    """Two transistors at every hidden node that are connected as diodes to both rails."""
    pairs = [(f"u{k}", f"h{k}", "hi") for k in range(3)] + [(f"d{k}", "lo", f"h{k}") for k in range(3)]
    gate = (lambda high, _: high) if model.polarity == "n" else (lambda _, low: low)
    return network(*(Mosfet(name, high, gate(high, low), low, model) for name, high, low in pairs))


def held() -> Circuit:
    """Transistors with gates at rails and ground, as followers and loads, beside diodes."""
    followers = [Mosfet(f"u{k}", "hi", "0", f"h{k}", DEPLETED) for k in range(3)]
    return network(
        *followers, Mosfet("p", "h0", "lo", "hi", P), *(Diode(f"d{k}", "0", f"h{k}", DIODE) for k in range(3))
    )


def amplifying() -> Circuit:
    """Gates at other hidden nodes, between free nodes, behind an amplifier and before a buffer."""
    return network(
        Mosfet("a", "h0", "h1", "0", N),
        Mosfet("b", "h1", "h2", "h0", DEPLETED),
        Mosfet("c", "hi", "h0", "h2", P),
        BidirectionalAmplifier("amp", "h0", "a0", 3.0),
        Resistor("ra", "a0", "b0", 0.2),
        Resistor("rb", "b0", "0", 0.2),
        Mosfet("d", "a0", "b0", "0", N),
        Buffer("buf", "h2", "c0", 2.0, 0.1),
        Resistor("rc", "c0", "h1", 0.1),
    )


CIRCUITS = [
    pytest.param(make(), id=name)
    for name, make in {
        "connected": connected,
        "p": lambda: connected(P),
        "held": held,
        "amplifying": amplifying,
    }.items()
]


def drives_of(circuit: Circuit) -> list[Drive]:
    batch = random_batch(circuit, 6)
    spring, current = Spring(0.01, batch.targets), Injection(0.01 * batch.targets)
    return [Drive(batch.inputs), Drive(batch.inputs, spring, "sprung"), Drive(batch.inputs, current, "pushed")]


def settled(chip: object, circuit: Circuit) -> Array:
    return np.stack([reading.nodes for reading in chip.measure(drives_of(circuit))])  # type: ignore[attr-defined]


def precise(circuit: Circuit) -> NodalChip:
    return NodalChip(circuit, tolerance=1e-10)


@pytest.mark.parametrize("volts", [-1.0, 0.3, 0.6, 2.0, 40.0])
@pytest.mark.parametrize(
    "make",
    [
        precise,
        UnreducedNodalChip,
        pytest.param(lambda c: FullNetlistChip(c, tolerances=TIGHT), marks=pytest.mark.ngspice),
    ],
)
def test_a_transistor_with_its_gate_at_its_drain_and_a_resistor_solve_a_quadratic(
    volts: float, make: Callable[[Circuit], NodalChip]
) -> None:
    """g (V − v) = K/2 (v − V_t)₊² + gmin v."""
    g, k, threshold = 0.5, N.transconductance, N.threshold
    loaded = (InputSource("x", "x", 0, 1.0), Edges("w", ("x",), ("d",), np.array([g]), 1e-3, 10.0))
    circuit = Circuit("load", (*loaded, Mosfet("m", "d", "d", "0", N)), (Output("y", "d"),))
    (reading,) = make(circuit).measure([Drive(np.array([[volts]]))])
    off = g * volts / (g + GMIN)
    a, b, c = k / 2, g + GMIN - k * threshold, k / 2 * threshold**2 - g * volts
    expected = off if off <= threshold else (-b + np.sqrt(b * b - 4 * a * c)) / (2 * a)
    np.testing.assert_allclose(reading.nodes[0, circuit.node_index["d"]], expected, rtol=0, atol=1e-9)


def shichman(model: MosfetModel, drain: float, gate: float, source: float) -> float:
    """A from drain to source by the three regions, with the lower end (of p: the higher one) as source, and gmin."""
    sign = 1.0 if model.polarity == "n" else -1.0
    low, high = sorted((sign * drain, sign * source))
    over, across = sign * (gate - model.threshold) - low, high - low
    triode, saturated = (over - across / 2) * across, over**2 / 2
    size = 0.0 if over <= 0 else saturated if across >= over else triode
    return float(np.copysign(model.transconductance * size, drain - source) + GMIN * (drain - source))


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3), st.sampled_from([N, P, DEPLETED]))
def test_drain_and_source_may_change_places_and_the_law_is_shichmans(
    drain: float, gate: float, source: float, model: MosfetModel
) -> None:
    law = MosfetModel.laws([model], [1.0])
    for d, s in ((drain, source), (source, drain)):
        amperes, _ = law.current_and_slope(np.array([gate - s, gate - d]))
        assert amperes[0] - amperes[1] == pytest.approx(shichman(model, d, gate, s), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_transistors_conduct_in_these_circuits(circuit: Circuit) -> None:
    nodes = settled(precise(circuit), circuit)[0]
    (branches,) = (b for b in circuit.device_branches if not hasattr(b.law, "scale"))
    assert (branches.slopes(circuit.with_ground(nodes)) > 1e-3).any(axis=0).sum() >= 2


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_both_nodal_solvers_agree_and_kirchhoffs_law_holds(circuit: Circuit) -> None:
    reduced, unreduced = (
        settled(precise(circuit), circuit),
        settled(UnreducedNodalChip(circuit, tolerance=1e-10), circuit),
    )
    np.testing.assert_allclose(reduced, unreduced, rtol=0, atol=1e-12)
    assert kirchhoff_residual(circuit, reduced[0]) < 1e-12


@pytest.mark.ngspice
@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize("kind", [NgspiceChip, FullNetlistChip, FullBatchChip])
def test_ngspice_solves_the_same_law(kind: Callable[..., NodalChip], circuit: Circuit) -> None:
    found = settled(kind(circuit, tolerances=TIGHT), circuit)
    np.testing.assert_allclose(found, settled(precise(circuit), circuit), rtol=0, atol=1e-9)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_transistors_turn_their_current_times_their_drop_into_heat(circuit: Circuit) -> None:
    nodes = settled(precise(circuit), circuit)[0]
    others = Circuit("others", tuple(e for e in circuit.elements if not isinstance(e, Mosfet)), circuit.outputs)
    assert others.nodes == circuit.nodes
    heat = dissipated(circuit, circuit.conductances, nodes) - dissipated(others, circuit.conductances, nodes)
    for row, watts in zip(nodes, heat, strict=True):
        volts = {**dict(zip(circuit.nodes, row.tolist(), strict=True)), "0": 0.0}
        pins = [(e.model, *(volts[node] for node in e.pins)) for e in circuit.elements if isinstance(e, Mosfet)]
        assert watts == pytest.approx(sum(shichman(m, d, g, s) * (d - s) for m, d, g, s in pins), rel=1e-9)


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize("kind", [precise, UnreducedNodalChip])
def test_small_signals_are_those_of_gm_and_gds(kind: Callable[[Circuit], NodalChip], circuit: Circuit) -> None:
    free = precise(circuit).measure(drives_of(circuit)[:1])[0]
    batch = random_batch(circuit, 6)
    push = Injection(batch.targets)
    (seen,) = kind(circuit).measure([Drive(batch.inputs, push, "small", free)])
    for sample in range(2):
        still = linearized(circuit, free.nodes[sample])
        (moved,) = precise(still).measure([Drive(0 * batch.inputs[:1], Injection(batch.targets[sample : sample + 1]))])
        np.testing.assert_allclose(moved.nodes[0], seen.nodes[sample], rtol=0, atol=1e-12)


@pytest.mark.parametrize("circuit", [connected(), connected(P), held()], ids=["connected", "p", "held"])
def test_equilibrium_propagation_gives_the_gradient_of_reciprocal_wirings(circuit: Circuit) -> None:
    assert is_reciprocal(circuit)
    batch = random_batch(circuit, 4)
    rule = EquilibriumPropagation(circuit, COST, beta=1e-5, nudging=Nudging.CURRENT)
    assert_close(gradient_of(rule, precise(circuit), batch), truth(circuit, batch), 1e-6)


def test_rules_of_energy_refuse_gates_of_their_own_and_the_adjoint_rules_take_them() -> None:
    gates = Mosfet("a", "h0", "h1", "0", N), Mosfet("b", "h1", "h2", "h0", DEPLETED), Mosfet("c", "hi", "h0", "h2", P)
    circuit = network(*gates)
    with pytest.raises(ExperimentError, match="transistor a lets no errors back, so that circuit transistors has no"):
        EquilibriumPropagation(circuit, COST, beta=1e-5)
    batch = random_batch(circuit, 4)
    expected = truth(circuit, batch)
    for rule in (AnalyticalGradient(circuit, COST), HardwareLinearization(circuit, COST, gamma=1e-4)):
        assert_close(gradient_of(rule, precise(circuit), batch), expected, 1e-6)


@pytest.mark.parametrize(
    ("pins", "reciprocal"),
    [
        (("h0", "h0", "h1"), True),
        (("h0", "h1", "h1"), True),
        (("h0", "hi", "lo"), True),
        (("hi", "h0", "lo"), True),
        (("h0", "hi", "h1"), False),
        (("h0", "h1", "lo"), False),
        (("a0", "hi", "lo"), True),
        (("c0", "h1", "lo"), False),
    ],
)
def test_which_wirings_are_reciprocal(pins: tuple[str, str, str], reciprocal: bool) -> None:
    """A gate at a rail leaves a transistor between two free nodes two voltages to follow, which no energy has."""
    stages = BidirectionalAmplifier("amp", "h0", "a0", 3.0), Resistor("ra", "a0", "0", 0.2)
    assert is_reciprocal(network(*stages, Resistor("rc", "c0", "h1", 0.1), Mosfet("m", *pins, N))) is reciprocal


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_writes_the_device_its_model_and_its_place(dialect: object) -> None:
    design = design_of(connected())
    text = "\n".join(dialect.network(design, RESISTORS))  # type: ignore[attr-defined]
    nets = "(a a b b)" if dialect.name == "spectre" else "a a b b"  # type: ignore[attr-defined]
    assert f"m0 {nets} mn l=1e-06 w=1e-06" in text
    models = list(dialect.models(design, RESISTORS))  # type: ignore[attr-defined]
    card = {"spectre": "model mn mos1 type=n vto=0.1 kp=2.0 gamma=0.0 lambda=0.0 is=0.0", "cdl": None}.get(
        dialect.name, ".model mn nmos(level=1.0 vto=0.1 kp=2.0 gamma=0.0 lambda=0.0 is=0.0)"
    )  # type: ignore[attr-defined]
    assert card is None or card in models
    mapped = map_of(design, dialect, RESISTORS)  # type: ignore[arg-type]
    entry = next(e for e in mapped["elements"] if e["name"] == "u0")
    assert entry == {
        "name": "u0",
        "kind": "mosfet",
        "path": "xn_h0.m0",
        "drain": "h0",
        "gate": "h0",
        "source": "hi",
        "model": "mn",
    }


def test_the_full_deck_ties_the_body_to_the_source() -> None:
    lines = circuit_lines(connected(P), np.zeros(2))
    assert ".model mp pmos(level=1.0 vto=-0.1 kp=1.0 gamma=0.0 lambda=0.0 is=0.0)" in lines
    assert "mu0 h0 hi hi hi mp l=1e-06 w=1e-06" in lines


def test_the_report_counts_transistors_by_their_models() -> None:
    (row,) = (row for row in device_rows(held()) if row.note.startswith("model mdep"))
    assert (row.kind, row.count, row.values) == ("transistor", 3, "K = 1 A/V²")
    assert row.note == "model mdep, n-type, V_t = -100 mV"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("1m", 1e-3, 0.5), "transistor model '1m': a name has letters, digits and _ and starts with a letter"),
        (("m", 0.0, 0.5), "transistor model m: K = 0 A/V² must be above 0 and at most 1000 A/V²"),
        (("m", 1e-3, 101.0), "transistor model m: threshold 101 V must lie in -100…100 V"),
        (("m", float("nan"), 0.5), "transistor model m: K = nan"),
        (("m", 1e-3, 0.5, "q"), "transistor model m: polarity 'q' must be 'n' or 'p'"),
    ],
)
def test_senseless_models_are_refused(given: tuple, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(CircuitError, match=message.replace("²", ".").replace("(", r"\(")):
        MosfetModel(*given)


def test_senseless_transistors_are_refused() -> None:
    with pytest.raises(CircuitError, match="transistor m: drain and source are at node h0"):
        network(Mosfet("m", "h0", "h1", "h0", N))
    with pytest.raises(CircuitError, match=r"node gate \(at element m\) floats"):
        network(Mosfet("m", "h0", "gate", "0", N))
    with pytest.raises(CircuitError, match="transistor n: another transistor model is called mn too"):
        network(Mosfet("m", "h0", "h0", "0", N), Mosfet("n", "h1", "h1", "0", MosfetModel("mn", 1.0, 0.2)))
    with pytest.raises(CircuitError, match="transistor u0: no law says what temperature does to it"):
        Temperature(50.0).apply(connected())
    for mismatch in (DiodeMismatch(saturation_current=0.1), DiodeMismatch(emission=0.1)):
        with pytest.raises(CircuitError, match="transistor u0: it differs from others as no diode does"):
            mismatch.apply(connected(), np.random.default_rng(0))
    drawn = connected()
    assert DiodeMismatch().apply(drawn, np.random.default_rng(0)) is drawn

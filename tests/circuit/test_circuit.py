"""Circuits: what is refused and how the message names it; the networks, element by element."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.circuit import (
    GROUND,
    BidirectionalAmplifier,
    Circuit,
    Crossbar,
    CurrentSource,
    Diode,
    InputSource,
    Output,
    Resistor,
    VoltageSource,
    deep_resistive_network,
    layered_network,
)
from harness.circuit.elements import Element
from harness.circuit.networks.layered import CellRange
from harness.devices import DiodeModel
from harness.errors import CircuitError, HarnessError
from tests.conftest import CELLS, DIODE, kendall, scellier

SOUND: tuple[Element, ...] = (InputSource("x0", "x0", 0, 1.0), Resistor("r1", "x0", "a", 1.0))
OUTPUTS = (Output("y0", "a"),)
MakeNetwork = Callable[..., Circuit]


def circuit_with(*more: Element, outputs: tuple[Output, ...] = OUTPUTS) -> Circuit:
    """A sound circuit with more elements in it."""
    return Circuit("test", (*SOUND, *more), outputs)


def crossbar(conductances: object = ((0.5, 0.5),), **changes: object) -> Crossbar:
    given_ = {"name": "w1", "words": ("x0",), "bits": ("a", "b"), "g_min": 0.0, "g_max": 1.0, **changes}
    return Crossbar(conductances=np.array(conductances, float), **given_)  # type: ignore[arg-type]


def kinds(circuit: Circuit) -> Counter[type]:
    return Counter(type(element) for element in circuit.elements)


def named(circuit: Circuit, name: str) -> Element:
    return next(element for element in circuit.elements if element.name == name)


def test_a_sound_circuit_knows_its_nodes_channels_and_arrays() -> None:
    circuit = circuit_with(crossbar(), Diode("d1", "b", GROUND, DIODE), InputSource("x2", "c", 1, -2.0))
    assert circuit.nodes == ("x0", "a", "b", "c")
    assert circuit.node_index == {"x0": 0, "a": 1, "b": 2, "c": 3}
    assert circuit.channels == 2
    assert [array.name for array in circuit.arrays] == ["w1"]
    assert circuit.arrays[0].shape == (1, 2)
    assert circuit.arrays[0].cell(0, 1) == "w1_0_1"
    np.testing.assert_array_equal(circuit.conductances[0], [[0.5, 0.5]])


def test_a_circuit_error_is_a_value_error_of_this_package() -> None:
    assert issubclass(CircuitError, HarnessError)
    assert issubclass(CircuitError, ValueError)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([Resistor("r1", "a", "0", 1.0)], r"element r1: the name is taken by r1 \(case does not count\)"),
        ([Resistor("R1", "a", "0", 1.0)], r"element R1: the name is taken by r1 \(case does not count\)"),
        ([Resistor("Y0", "a", "0", 1.0)], r"element y0: the name is taken by Y0"),
        (
            [crossbar(), Resistor("w1_0_1", "b", "0", 1.0)],
            r"element w1_0_1: the name is taken by a cell of crossbar w1",
        ),
        (
            [crossbar(), Resistor("W1_0_0", "b", "0", 1.0)],
            r"element W1_0_0: the name is taken by a cell of crossbar w1",
        ),
        ([Resistor("r 2", "a", "0", 1.0)], r"element 'r 2': a name is made of letters, digits and _"),
        ([Resistor("", "a", "0", 1.0)], r"element '': a name is made of letters, digits and _"),
        ([Resistor("rµ", "a", "0", 1.0)], r"element 'rµ': a name is made of letters, digits and _"),
        ([Resistor("r2\n", "a", "0", 1.0)], r"element 'r2\\n': a name is made of letters, digits and _"),
        ([Resistor("r2", "a", "b.c", 1.0)], r"node 'b\.c': a name is made of letters, digits and _"),
        ([Resistor("r2", "a", "", 1.0)], r"node '': a name is made of letters, digits and _"),
        ([Resistor("r2", "a", "gnd", 1.0)], r"node gnd: SPICE reads this name as ground; write '0' for ground"),
        ([Resistor("r2", "a", "GND", 1.0)], r"node GND: SPICE reads this name as ground"),
        ([Resistor("r2", "a", "A", 1.0)], r"node A: differs from node a only in case"),
        ([crossbar(bits=("X0", "b"))], r"node X0: differs from node x0 only in case"),
    ],
)
def test_names_that_a_netlist_cannot_hold_are_refused(more: list[Element], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        circuit_with(*more)


@pytest.mark.parametrize("name", ["w1_0", "w1_0_1_2", "w1_a_b", "w10_0_0", "w_0_1"])
def test_names_that_only_look_like_cells_are_fine(name: str) -> None:
    assert named(circuit_with(crossbar(), Resistor(name, "b", GROUND, 1.0)), name).name == name


@pytest.mark.parametrize(
    ("siemens", "message"),
    [
        (0.0, r"resistor r2: 0 S must lie above 0 S and at most at 1 MS"),
        (-1e-3, r"resistor r2: -1 mS must lie above 0 S and at most at 1 MS"),
        (2e6, r"resistor r2: 2 MS must lie above 0 S and at most at 1 MS"),
        (math.nan, r"resistor r2: nan S is not finite"),
        (math.inf, r"resistor r2: inf S is not finite"),
    ],
)
def test_conductances_out_of_range_are_refused(siemens: float, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        circuit_with(Resistor("r2", "a", GROUND, siemens))


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (Resistor("r2", "a", "a", 1.0), "resistor r2: both ends are at node a"),
        (Diode("d1", "a", "a", DIODE), "diode d1: both ends are at node a"),
        (VoltageSource("v1", "c", math.nan), "voltage source v1: nan V is not finite"),
        (CurrentSource("i1", "a", "0", math.inf), "current source i1: inf A is not finite"),
        (InputSource("x1", "c", 1, math.inf), r"input x1: gain: inf V/V is not finite"),
        (InputSource("x1", "c", -1, 1.0), "input x1: channel -1 must not be negative"),
        (BidirectionalAmplifier("amp", "a", "c", 0.0), "amplifier amp: gain 0 must be above 0"),
        (BidirectionalAmplifier("amp", "a", "c", -2.0), "amplifier amp: gain -2 must be above 0"),
        (BidirectionalAmplifier("amp", "a", "c", math.nan), "amplifier amp: gain: nan V/V is not finite"),
    ],
)
def test_values_of_elements_are_checked(element: Element, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        circuit_with(element)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (crossbar(words=()), r"crossbar w1: it needs at least one word line and one bit line"),
        (crossbar(bits=()), r"crossbar w1: it needs at least one word line and one bit line"),
        (crossbar([[0.5], [0.5]]), r"crossbar w1: conductances have shape \(2, 1\), its cells \(1, 2\)"),
        (crossbar(0.5), r"crossbar w1: conductances have shape \(\), its cells \(1, 2\)"),
        (crossbar(g_min=1.0), r"crossbar w1: bounds 1 S…1 S must satisfy 0 ≤ g_min < g_max ≤ 1e\+06 S"),
        (crossbar(g_min=-0.1), r"crossbar w1: bounds -100 mS…1 S must satisfy"),
        (crossbar(g_max=2e6), r"crossbar w1: bounds 0 S…2 MS must satisfy"),
        (crossbar(g_max=math.nan), r"crossbar w1: bounds 0 S…nan S must satisfy"),
        (crossbar(g_max=math.inf), r"crossbar w1: bounds 0 S…inf S must satisfy"),
        (crossbar(bits=("x0", "b")), r"crossbar w1: line x0 is both a word line and a bit line"),
        (crossbar(bits=("b", "b")), r"crossbar w1: line b appears twice"),
        (crossbar([[0.5, 0.5]] * 2, words=("x0", "x0")), r"crossbar w1: line x0 appears twice"),
        (crossbar([[0.5, 1.5]]), r"crossbar w1, cell \[0, 1\]: 1\.5 S is outside 0 S…1 S"),
        (crossbar([[-1e-3, 0.5]]), r"crossbar w1, cell \[0, 0\]: -1 mS is outside 0 S…1 S"),
        (crossbar([[0.5, 0.05]], g_min=0.1), r"crossbar w1, cell \[0, 1\]: 50 mS is outside 100 mS…1 S"),
        (crossbar([[0.5, math.nan]]), r"crossbar w1, cell \[0, 1\]: nan S is outside 0 S…1 S"),
        (crossbar([[math.inf, 0.5]]), r"crossbar w1, cell \[0, 0\]: inf S is outside 0 S…1 S"),
    ],
)
def test_crossbars_are_checked(array: Crossbar, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        circuit_with(array)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([VoltageSource("v1", "x0", 1.0)], "element v1: node x0 is driven by x0 already"),
        ([InputSource("x1", "x0", 0, -1.0)], "element x1: node x0 is driven by x0 already"),
        ([BidirectionalAmplifier("amp", "a", "x0", 2.0)], "element amp: node x0 is driven by x0 already"),
        ([VoltageSource("v1", "c", 1.0), VoltageSource("v2", "c", 1.0)], "element v2: node c is driven by v1 already"),
        ([VoltageSource("v1", GROUND, 1.0)], "element v1: node 0 is driven by ground already"),
    ],
)
def test_two_ideal_sources_at_one_node_are_refused(more: list[Element], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        circuit_with(*more)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([Resistor("r2", "b", "c", 1.0)], r"node b \(at element r2\) floats: no DC path leads from it to ground"),
        ([CurrentSource("i1", GROUND, "b", 1.0)], r"node b \(at element i1\) floats"),
        ([crossbar([[0.5, 0.0]])], r"node b \(at element w1\) floats"),
        ([Diode("d1", "b", "c", DIODE)], r"node b \(at element d1\) floats"),
        ([BidirectionalAmplifier("amp", "b", "c", 2.0)], r"node b \(at element amp\) floats"),
    ],
)
def test_nodes_without_a_path_to_ground_are_refused(more: list[Element], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        circuit_with(*more)


@pytest.mark.parametrize(
    "path",
    [
        Resistor("path", "b", GROUND, 1.0),
        Diode("path", GROUND, "b", DIODE),
        VoltageSource("path", "b", 1.0),
        BidirectionalAmplifier("path", "a", "b", 2.0),
    ],
)
def test_an_open_cell_is_fine_where_something_else_leads_to_ground(path: Element) -> None:
    assert "b" in circuit_with(crossbar([[0.5, 0.0]]), path).nodes


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ((), "circuit test: it has no outputs"),
        ((Output("y0", "b"),), "output y0: no element touches node b"),
        ((Output("y0", "a"), Output("y1", "a", "b")), "output y1: no element touches node b"),
        ((Output("y0", GROUND),), "output y0: its plus node is 0, which is also its reference"),
        ((Output("y0", GROUND, "a"),), "output y0: its plus node is 0"),
        ((Output("y0", "a", "a"),), "output y0: its plus node is a, which is also its reference"),
    ],
)
def test_outputs_are_checked(outputs: tuple[Output, ...], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        circuit_with(outputs=outputs)


def test_a_channel_that_nothing_listens_to_is_refused() -> None:
    with pytest.raises(CircuitError, match="circuit test: no input source listens to channel 1"):
        circuit_with(InputSource("x2", "c", 2, 1.0))


def test_other_conductances_make_another_circuit() -> None:
    circuit = kendall([4])
    before = [g.copy() for g in circuit.conductances]
    wanted = [np.full(g.shape, 2.0 + k) for k, g in enumerate(circuit.conductances)]
    changed = circuit.with_conductances(wanted)
    for got, want, old, kept in zip(changed.conductances, wanted, before, circuit.conductances, strict=True):
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(kept, old)
    assert [e.name for e in changed.elements] == [e.name for e in circuit.elements]
    assert changed.nodes == circuit.nodes
    wanted[0][0, 0] = 7.0
    assert changed.conductances[0][0, 0] == 2.0, "the caller's array is still in use"


def test_other_conductances_are_checked_too() -> None:
    circuit = kendall([4])
    wanted = [g.copy() for g in circuit.conductances]
    wanted[1][0, 2] = 1e-4
    with pytest.raises(CircuitError, match=r"crossbar w2, cell \[0, 2\]: 100 µS is outside 1 mS…10 S"):
        circuit.with_conductances(wanted)
    with pytest.raises(CircuitError, match=r"crossbar w1: conductances have shape \(6, 4\), its cells \(8, 4\)"):
        circuit.with_conductances([wanted[1], wanted[0]])


HIDDEN = st.lists(st.integers(1, 5), max_size=3)
SIZES = st.integers(1, 4)


@given(channels=SIZES, hidden=HIDDEN, outputs=SIZES, gain=st.sampled_from([1.0, 4.0]), bias=st.sampled_from([0.0, 2.0]))
@settings(deadline=None, max_examples=40)
def test_the_layered_network_has_its_elements(
    channels: int, hidden: list[int], outputs: int, gain: float, bias: float
) -> None:
    layers = len(hidden) + 1
    circuit = kendall(hidden, channels=channels, outputs=outputs, amplifier_gain=gain, bias=[bias] * layers)
    rails = 2 if bias else 0
    expected = {
        InputSource: 2 * channels,
        VoltageSource: rails * layers + (2 if hidden else 0),
        Crossbar: layers,
        Diode: 2 * sum(hidden),
        BidirectionalAmplifier: sum(hidden) if gain != 1 else 0,
    }
    assert kinds(circuit) == Counter(expected)
    fan_in = [2 * channels, *hidden]
    fan_out = [*hidden, 2 * outputs]
    assert [c.shape for c in circuit.arrays] == [(w + rails, b) for w, b in zip(fan_in, fan_out, strict=True)]
    assert circuit.outputs == tuple(Output(f"y{k}", f"o{k}p", f"o{k}n") for k in range(outputs))
    assert circuit.channels == channels


@given(channels=SIZES, hidden=HIDDEN, outputs=SIZES, bias=st.sampled_from([0.0, 2.0]))
@settings(deadline=None, max_examples=40)
def test_the_deep_resistive_network_has_its_elements(
    channels: int, hidden: list[int], outputs: int, bias: float
) -> None:
    layers = len(hidden) + 1
    circuit = scellier(hidden, channels=channels, outputs=outputs, bias=[bias] * layers)
    rails = 2 if bias else 0
    expected = {InputSource: 2 * channels, VoltageSource: rails * layers, Crossbar: layers, Diode: sum(hidden)}
    assert kinds(circuit) == Counter(expected)
    sizes = zip([2 * channels, *hidden], [*hidden, outputs], strict=True)
    assert [c.shape for c in circuit.arrays] == [(words + rails, bits) for words, bits in sizes]
    assert circuit.outputs == tuple(Output(f"y{k}", f"o{k}") for k in range(outputs))
    assert circuit.channels == channels


@pytest.mark.parametrize("make", [kendall, scellier])
def test_every_input_is_applied_with_both_signs(make: MakeNetwork) -> None:
    circuit = make([4], input_gain=5.0)
    pins = [e for e in circuit.elements if isinstance(e, InputSource)]
    assert sorted((pin.channel, pin.gain) for pin in pins) == [(c, g) for c in range(3) for g in (-5.0, 5.0)]
    assert {pin.node for pin in pins} <= set(circuit.arrays[0].words)


@pytest.mark.parametrize("make", [kendall, scellier])
def test_bias_rails_are_pairs_at_the_crossbar_they_are_for(make: MakeNetwork) -> None:
    circuit = make([4, 3], bias=[2.0, 0.0, 0.5])
    rails = {e.node: e.volts for e in circuit.elements if isinstance(e, VoltageSource) and e.node.startswith("b")}
    assert rails == {"b1p": 2.0, "b1n": -2.0, "b3p": 0.5, "b3n": -0.5}
    assert circuit.arrays[0].words[-2:] == ("b1p", "b1n")
    assert not any(word.startswith("b") for word in circuit.arrays[1].words)
    assert circuit.arrays[2].words[-2:] == ("b3p", "b3n")


def test_bias_is_one_volt_unless_told() -> None:
    rails = [e.volts for e in kendall([4]).elements if isinstance(e, VoltageSource) and e.node.startswith("b")]
    assert rails == [1.0, -1.0, 1.0, -1.0]


def test_hidden_nodes_of_the_layered_network_have_an_antiparallel_pair_to_the_shift_sources() -> None:
    circuit = kendall([4, 3], shift=(-0.25, 0.75))
    assert named(circuit, "shift_low") == VoltageSource("shift_low", "shift_low", -0.25)
    assert named(circuit, "shift_high") == VoltageSource("shift_high", "shift_high", 0.75)
    ends = {(e.anode, e.cathode) for e in circuit.elements if isinstance(e, Diode)}
    nodes = [f"h1_{i}" for i in range(4)] + [f"h2_{i}" for i in range(3)]
    assert ends == {(node, "shift_high") for node in nodes} | {("shift_low", node) for node in nodes}


def test_hidden_nodes_of_the_deep_resistive_network_are_rectified_in_turns() -> None:
    """A diode from ground holds the even nodes at v ≥ 0, one to ground the odd ones at v ≤ 0."""
    circuit = scellier([4, 3])
    ends = [(e.anode, e.cathode) for e in circuit.elements if isinstance(e, Diode)]
    first = [(GROUND, "h1_0"), ("h1_1", GROUND), (GROUND, "h1_2"), ("h1_3", GROUND)]
    assert ends == [*first, (GROUND, "h2_0"), ("h2_1", GROUND), (GROUND, "h2_2")]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_layers_follow_one_another_through_amplifiers(depth: int) -> None:
    circuit = kendall([3] * depth, amplifier_gain=2.5)
    amplifiers = {e.input: e for e in circuit.elements if isinstance(e, BidirectionalAmplifier)}
    assert {a.gain for a in amplifiers.values()} == {2.5}
    for layer in range(depth):
        before, after = circuit.arrays[layer : layer + 2]
        assert [amplifiers[node].output for node in before.bits] == list(after.words[:3])
    assert len(circuit.arrays) == depth + 1


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_layers_without_amplifiers_share_their_nodes(depth: int) -> None:
    for circuit in (kendall([3] * depth, amplifier_gain=1), scellier([3] * depth)):
        for layer in range(depth):
            before, after = circuit.arrays[layer : layer + 2]
            assert before.bits == after.words[:3]
        assert BidirectionalAmplifier not in kinds(circuit)


@pytest.mark.parametrize("make", [layered_network, deep_resistive_network])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, [4], 2), "inputs: a network needs at least one node, not 0"),
        ((3, [4, 0], 2), "hidden layer 2: a network needs at least one node, not 0"),
        ((3, [-1], 2), "hidden layer 1: a network needs at least one node, not -1"),
        ((3, [], 0), "outputs: a network needs at least one node, not 0"),
    ],
)
def test_empty_layers_are_refused(make: MakeNetwork, sizes: tuple[int, list[int], int], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        make(*sizes, cells=CELLS, diode=DIODE, rng=np.random.default_rng(0))


@pytest.mark.parametrize("make", [kendall, scellier])
@pytest.mark.parametrize("bias", [[1.0], [1.0, 1.0, 1.0]])
def test_a_bias_for_each_crossbar_or_none_is_wanted(make: MakeNetwork, bias: list[float]) -> None:
    with pytest.raises(CircuitError, match=f"bias: {len(bias)} values? for 2 crossbars; give one for each, 0 for none"):
        make([4], bias=bias)


@pytest.mark.parametrize("shift", [(0.5, 0.5), (1.0, -1.0), (math.nan, 1.0)])
def test_shift_sources_must_be_in_order(shift: tuple[float, float]) -> None:
    message = rf"shift sources: the lower one \({shift[0]:g} V\) must lie below the upper one \({shift[1]:g} V\)"
    with pytest.raises(CircuitError, match=message):
        kendall([4], shift=shift)


def test_wrong_values_name_the_element_they_end_in() -> None:
    with pytest.raises(CircuitError, match="amplifier amp1_0: gain -4 must be above 0"):
        kendall([4], amplifier_gain=-4.0)
    with pytest.raises(CircuitError, match="input x0p: gain: inf V/V is not finite"):
        scellier([4], input_gain=math.inf)
    with pytest.raises(CircuitError, match=r"crossbar w1: bounds 2 S…1 S must satisfy"):
        scellier([4], cells=CellRange(1.0, 2.0, 1.0))


@given(seed=st.integers(0, 2**32), unit=st.floats(1e-6, 10), low=st.floats(1e-9, 1e-3), high=st.floats(2e-3, 100))
@settings(deadline=None, max_examples=40)
def test_initial_conductances_are_inside_the_range(seed: int, unit: float, low: float, high: float) -> None:
    circuit = kendall([5], seed, cells=CellRange(unit, low, high))
    for array in circuit.arrays:
        assert (array.conductances >= low).all()
        assert (array.conductances <= high).all()
        assert (array.conductances <= max(low, unit / np.sqrt(len(array.words)))).all()
        assert (array.g_min, array.g_max) == (low, high)


def test_about_half_of_the_fresh_cells_are_closed_and_evenly_spread() -> None:
    """max(0, U(−1, 1)) g₀ / √fan-in: half at the bottom, the others uniform up to the top."""
    drawn = CellRange(2.0, 0.0, 10.0).fresh(100, 200, np.random.default_rng(0))
    closed = drawn[drawn > 0]
    assert closed.size / drawn.size == pytest.approx(0.5, abs=0.02)
    assert closed.mean() == pytest.approx(0.1, rel=0.02)
    assert closed.max() == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize("make", [kendall, scellier])
def test_the_same_seed_draws_the_same_circuit(make: MakeNetwork) -> None:
    first, again, other = make([4, 3], 1), make([4, 3], 1), make([4, 3], 2)
    assert [g.tobytes() for g in first.conductances] == [g.tobytes() for g in again.conductances]
    assert all(a.tobytes() != b.tobytes() for a, b in zip(first.conductances, other.conductances, strict=True))
    assert first.nodes == again.nodes


def test_names_of_the_netlist_writer_are_reserved() -> None:
    with pytest.raises(CircuitError, match="names that start with harness_ belong to the netlist writer"):
        Circuit("c", (InputSource("x0", "harness_x", 0, 1.0),), (Output("y0", "harness_x"),))


def test_two_diode_models_of_one_name_are_refused() -> None:
    source = InputSource("x0", "x0", 0, 1.0)
    diodes = [Diode(f"d{k}", "x0", "0", DiodeModel(name, 1e-6, 1.0 + k)) for k, name in enumerate(("same", "Same"))]
    with pytest.raises(CircuitError, match="diode d1: another diode model is called Same too"):
        Circuit("c", (source, *diodes), (Output("y0", "x0"),))

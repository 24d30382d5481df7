"""Crossbars of memristors under write pulses: against node voltages by Kirchhoff's law, and SciPy's integrators."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from harness.devices.arrays.memristors import MemristorArray
from harness.devices.arrays.mesh import Lines, settled
from harness.devices.arrays.schemes import Scheme, line_volts
from harness.devices.memristors import Vteam, Yakopcic
from harness.devices.oxides import StanfordGap
from harness.devices.pulses import WritePulse
from harness.errors import CircuitError
from harness.measurement import Array

STATES = np.random.default_rng(5).uniform(0.1, 0.9, (3, 4))
CELL = (1, 2)


def by_nodes(ohms: Array, word: float, bit: float, drivers: tuple[Array, Array]) -> tuple[Array, float]:
    """V over resistors (Ω, ``[word, bit]``) between lines, and W, with an unknown for the voltage of every node."""
    words, bits = ohms.shape
    size = words * bits
    near, far = np.arange(size).reshape(words, bits), size + np.arange(size).reshape(words, bits)
    matrix, right = np.zeros((2 * size, 2 * size)), np.zeros(2 * size)

    def join(a: int, b: int, siemens: float) -> None:
        matrix[[a, b], [a, b]] += siemens
        matrix[[a, b], [b, a]] -= siemens

    def hold(a: int, volts: float, siemens: float) -> None:
        matrix[a, a] += siemens
        right[a] += volts * siemens

    for w in range(words):
        hold(near[w, 0], drivers[0][w], 1 / word)
        for b in range(bits):
            join(near[w, b], far[w, b], 1 / ohms[w, b])
            if b:
                join(near[w, b - 1], near[w, b], 1 / word)
            if w:
                join(far[w - 1, b], far[w, b], 1 / bit)
    for b in range(bits):
        hold(far[-1, b], drivers[1][b], 1 / bit)
    found = np.linalg.solve(matrix, right)
    amperes_word = (drivers[0] - found[near[:, 0]]) / word
    amperes_bit = (drivers[1] - found[far[-1]]) / bit
    return found[near] - found[far], float(drivers[0] @ amperes_word + drivers[1] @ amperes_bit)


@pytest.mark.parametrize("scheme", [Scheme.HALF, Scheme.THIRD])
def test_voltages_of_resistive_cells_are_those_of_kirchhoffs_law(scheme: Scheme) -> None:
    model = Vteam()
    ohms = 1000 + (50 - 1000) * STATES
    drivers = line_volts(scheme, -0.4, STATES.shape, CELL)
    expected, watts = by_nodes(ohms, 3.0, 7.0, drivers)
    found = settled(model, STATES, drivers, Lines(3.0, 7.0))
    np.testing.assert_allclose(found.volts, expected, rtol=0, atol=1e-8)
    assert found.watts == pytest.approx(watts, rel=1e-6)
    assert abs(found.volts[CELL]) < 0.38 < 0.4  # as without the lines


def test_voltages_of_curved_cells_keep_kirchhoffs_law() -> None:
    """With the secant resistances of the solution, the linear network has the same voltages."""
    model = StanfordGap()
    drivers = line_volts(Scheme.HALF, 1.4, STATES.shape, CELL)
    found = settled(model, STATES, drivers, Lines(20.0, 30.0))
    safe = np.where(np.abs(found.volts) > 1e-9, found.volts, 1e-9)
    expected, watts = by_nodes(safe / model.current(safe, STATES), 20.0, 30.0, drivers)
    np.testing.assert_allclose(found.volts, expected, rtol=0, atol=1e-7)
    assert found.watts == pytest.approx(watts, rel=1e-5)


def yakopcic_slope(volts: float, x: float) -> float:
    """The published equations with their parameters, and the slow last thousandth before each bound."""
    x = min(max(x, 0.0), 1.0)
    if volts > 0.16:
        rate = 4000 * (np.exp(volts) - np.exp(0.16))
        rate *= np.exp(-(x - 0.3)) * ((0.3 - x) / 0.7 + 1) if x >= 0.3 else 1.0
    elif volts < -0.15:
        rate = -4000 * (np.exp(-volts) - np.exp(0.15))
        rate *= np.exp(5 * (x - 0.5)) * (x / 0.5) if x <= 0.5 else 1.0
    else:
        rate = 0.0
    room = 1 - x if rate > 0 else x
    return rate * min(room / 1e-3, 1.0)


@pytest.mark.parametrize("volts", [0.5, -0.5])
@pytest.mark.parametrize(
    ("scheme", "same", "other"), [(Scheme.HALF, 0.5, 0.0), (Scheme.THIRD, 1 / 3, -1 / 3), (Scheme.ALONE, 0.0, 0.0)]
)
def test_every_cell_follows_scipys_integration_of_the_equations(
    scheme: Scheme, same: float, other: float, volts: float
) -> None:
    array = MemristorArray(Yakopcic(), STATES, scheme)
    seconds, pulses, joules = 20e-6, 3, 0.0
    for _ in range(pulses):
        assert array.pulse(CELL, WritePulse(volts, seconds)) == volts
    for (word, bit), start in np.ndenumerate(STATES):
        share = 1.0 if (word, bit) == CELL else same if word == CELL[0] or bit == CELL[1] else other
        seen = share * volts
        amplitude = 0.17 * np.sinh(0.05 * seen)

        def slope(_: float, y: Array, seen: float = seen, amplitude: float = amplitude) -> list[float]:
            return [yakopcic_slope(seen, y[0]), seen * amplitude * y[0]]

        found = solve_ivp(slope, (0, pulses * seconds), [start, 0.0], "LSODA", rtol=1e-9, atol=1e-12)
        assert array.states[word, bit] == pytest.approx(found.y[0, -1], abs=2e-5)
        joules += found.y[1, -1]
    assert array.joules == pytest.approx(joules, rel=1e-4)
    moved = np.abs(array.conductances - Yakopcic().conductance(STATES))
    assert array.disturbed[CELL] == 0
    assert (array.disturbed.max() > 0.01 * moved[CELL]) == (scheme is not Scheme.ALONE)
    np.testing.assert_allclose(np.delete(array.disturbed, 6), np.delete(moved, 6), atol=1e-12)


def test_with_resistance_of_lines_the_array_follows_scipys_integration_of_all_cells_together() -> None:
    """A linear network of node voltages at every instant, and the states that it moves."""
    seconds, volts = 12e-12, -0.5
    array = MemristorArray(Vteam(), STATES, Scheme.HALF, Lines(2.0, 4.0), compensated=False)
    array.pulse(CELL, WritePulse(volts, seconds))
    drivers = line_volts(Scheme.HALF, volts, STATES.shape, CELL)

    def slope(_: float, y: Array) -> Array:
        x = np.clip(y[:-1].reshape(STATES.shape), 0, 1)
        seen, watts = by_nodes(1000 - 950 * x, 2.0, 4.0, drivers)
        on = 10 / 3e-9 * np.maximum(-seen / 0.2 - 1, 0) ** 3
        off = 5e-4 / 3e-9 * np.maximum(seen / 0.02 - 1, 0)
        rate = on - off
        return np.append(rate * np.minimum(np.where(rate > 0, 1 - x, x) / 1e-3, 1), watts)

    found = solve_ivp(slope, (0, seconds), np.append(STATES.ravel(), 0.0), "LSODA", rtol=1e-8, atol=1e-14)
    expected = found.y[:-1, -1].reshape(STATES.shape)
    np.testing.assert_allclose(array.states, expected, atol=1e-4)
    assert abs(expected[CELL] - STATES[CELL]) > 0.05
    half_selected = np.abs(expected - STATES)[1, [0, 1, 3]]
    assert half_selected.max() > 1e-4
    assert array.joules == pytest.approx(found.y[-1, -1], rel=1e-3)


@pytest.mark.parametrize("scheme", [*Scheme])
def test_drivers_make_up_for_lines(scheme: Scheme) -> None:
    """The selected cell ends where it ends without lines, nearly, and far from it where nothing makes up for them."""
    pulse, lines = WritePulse(1.4, 6e-9), Lines(10.0, 10.0)
    ends = {}
    for name, wires, compensated in (("none", Lines(), True), ("made up", lines, True), ("left", lines, False)):
        array = MemristorArray(StanfordGap(), STATES, scheme, wires, compensated=compensated)
        volts = array.pulse(CELL, pulse)
        ends[name] = float(array.conductances[CELL])
        assert (volts > 1.4) == (name == "made up")
    start = float(StanfordGap().conductance(STATES[CELL]))
    moved = ends["none"] - start
    assert abs(ends["made up"] - ends["none"]) < 0.35 * moved
    assert ends["none"] - ends["left"] > 2 * abs(ends["made up"] - ends["none"])


@pytest.mark.parametrize("scheme", [*Scheme])
def test_drivers_apply_no_more_than_twice_the_volts_and_say_how_often(scheme: Scheme) -> None:
    array = MemristorArray(Yakopcic(), STATES, scheme, Lines(200.0, 200.0))
    assert array.pulse(CELL, WritePulse(0.5, 1e-5)) == 1.0
    assert array.limited == 1
    array = MemristorArray(Yakopcic(), STATES, scheme, Lines(1.0, 1.0))
    assert 0.5 < array.pulse(CELL, WritePulse(0.5, 1e-5)) < 1.0
    assert array.limited == 0


def test_lines_must_have_a_resistance_of_at_least_0() -> None:
    with pytest.raises(CircuitError, match=r"-1 Ω of a segment of a bit line must be finite"):
        Lines(0.0, -1.0)

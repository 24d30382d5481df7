"""Very sharp diodes between the nodes of graphs: they settle, or the error says why there is no state."""

import numpy as np
import pytest

from harness.chip.base import SimulatedChip
from harness.chip.nodal import newton, unreduced
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import Circuit, Crossbar, Diode, InputSource, Output, Resistor, VoltageSource
from harness.devices import DiodeModel
from harness.errors import ChipError, ConvergenceError
from harness.measurement import Clamp, Drive, Injection, Spring
from tests.campaigns import sharp
from tests.conftest import kendall, random_batch

CHIPS = [NodalChip, UnreducedNodalChip]
SHARP = DiodeModel("dsharp", 1e-14, 0.01)


def test_graphs_with_sharp_diodes_settle_or_say_why() -> None:
    """The first of the campaign's thousand; some of them are settled by softer devices only."""
    for make in sharp.CHIPS.values():
        found = [sharp.looked_at(*sharp.graph(number), make) for number in range(40)]
        assert sum(one.settled for one in found) > 20
        assert not any(one.wrong for one in found)


@pytest.mark.parametrize("kind", CHIPS)
def test_softer_devices_find_the_states_that_newton_s_method_finds(
    kind: type[SimulatedChip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free, nudged and clamped, in a layered network with amplifiers, all samples by the other way."""
    circuit = kendall([4, 3], 0)
    batch = random_batch(circuit, 3)
    current = 1e-3 * np.ones_like(batch.targets)
    nudges = (None, Spring(0.05, batch.targets), Injection(current), Clamp(0.1 * batch.targets))
    drives = [Drive(batch.inputs, nudge, f"phase {k}") for k, nudge in enumerate(nudges)]
    expected = kind(circuit, tolerance=1e-11).measure(drives)
    for module in (newton, unreduced):
        monkeypatch.setattr(module, "MAX_ITERATIONS", 1)
    found = kind(circuit, tolerance=1e-11).measure(drives)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.all_nodes, other.all_nodes, atol=1e-9)


@pytest.mark.parametrize("kind", CHIPS)
def test_a_chain_of_diodes_between_sources_is_named(kind: type[SimulatedChip]) -> None:
    elements = (
        InputSource("x0", "x0", 0, 1.0),
        VoltageSource("rail", "rail", -1.0),
        Crossbar("w", ("x0",), ("o0",), np.array([[1e-6]]), 0.0, 1.0),
        Diode("first", "x0", "o0", SHARP),
        Diode("second", "o0", "rail", SHARP),
        Resistor("r", "o0", "0", 1e-6),
    )
    circuit = Circuit("chain", elements, (Output("y", "o0"),))
    (reading,) = kind(circuit).measure([Drive(np.array([[-1.5]]))])  # reversed: nothing flows
    assert -1.5 < reading.outputs[0, 0] < 0
    why = r"sample 1, free phase: .*; diodes alone \(first, second\) lead from x0 at 30 V to rail at -1 V and would "
    with pytest.raises(ConvergenceError, match=why + "carry more than 1 kA; put a resistor in series"):
        kind(circuit).measure([Drive(np.array([[-1.5], [30.0]]))])


@pytest.mark.parametrize("kind", CHIPS)
def test_a_clamp_that_drives_a_diode_is_named(kind: type[SimulatedChip]) -> None:
    elements = (
        InputSource("x0", "x0", 0, 1.0),
        Crossbar("w", ("x0",), ("o0",), np.array([[1e-6]]), 0.0, 1.0),
        Diode("down", "o0", "0", SHARP),
    )
    circuit = Circuit("clamped", elements, (Output("y", "o0"),))
    with pytest.raises(ChipError, match=r"diodes alone \(down\) lead from o0 at 40 V to 0 at 0 V"):
        kind(circuit).measure([Drive(np.ones((1, 1)), Clamp(np.array([[40.0]])), "clamped")])

"""Selector transistors: one in series with every cell of every crossbar (1T1R).

Each word line has a gate line of its own, which a rail holds at the gate voltage::

    words[w] ─┬─ transistor ─ (w,b) ─ g ─ bits[b]
              │      │ gate
              │   gates[w]
              └─ leakage ─ (w,b)

A transistor with its gate at a rail draws a current that follows two voltages, not their difference (see
`harness.devices.mosfet`). Small signals through it see K (V_G − V_t − v) at either end, which differ by K times its own
drop. So a selector is reciprocal where its word line is held, as in a first layer, and is not between two free nodes:
J and Jᵀ differ there by its drop over its overdrive V_G − V_t − v.
"""

from dataclasses import dataclass

from harness.circuit.arrays import Crossbar, Edges
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Element, Mosfet, Resistor, VoltageSource
from harness.circuit.variation.lines import check_amount, claim_nodes
from harness.devices import MosfetModel
from harness.errors import CircuitError

_MOST_VOLTS = 1e6


@dataclass(frozen=True)
class Selector:
    """The transistor in series with every cell, and what holds its gate.

    Raises:
        CircuitError: the gate voltage or the leakage is out of range.
    """

    model: MosfetModel
    gate: float
    """V of every gate line."""
    leakage: float = 0.0
    """S between drain and source whatever the gate does; 0 for none."""

    def __post_init__(self) -> None:
        if not abs(self.gate) <= _MOST_VOLTS:
            raise CircuitError(f"selector: gate voltage {self.gate:g} V must lie in -1e6…1e6 V")
        check_amount("selector: leakage", self.leakage, "S", 1e6)

    def apply(self, circuit: Circuit) -> Circuit:
        """Return the circuit with a selector between every crossbar's word lines and its cells.

        A crossbar becomes `Edges` of the same name, limits and conductances, as with `LineResistance`: edge
        w · bits + b is the cell [w, b]. Its first end is the node between cell and transistor, so that rules read the
        voltage over the cell itself.

        Raises:
            CircuitError: the name of a new node is taken.
        """
        taken = {node.casefold() for node in circuit.nodes}
        elements: list[Element] = []
        for element in circuit.elements:
            elements += self._selected(element, taken) if isinstance(element, Crossbar) else [element]
        return Circuit(circuit.name, tuple(elements), circuit.outputs)

    def _selected(self, crossbar: Crossbar, taken: set[str]) -> list[Element]:
        name, (words, bits) = crossbar.name, crossbar.shape
        gates = [f"{name}_g{w}" for w in range(words)]
        places = [(w, f"{w}_{b}") for w in range(words) for b in range(bits)]
        inner = tuple(f"{name}_s{place}" for _, place in places)
        claim_nodes(crossbar.title, (*gates, *inner), taken)
        elements: list[Element] = [VoltageSource(gate, gate, self.gate) for gate in gates]
        for (w, place), node in zip(places, inner, strict=True):
            line = crossbar.words[w]
            elements.append(Mosfet(f"{name}_t{place}", line, gates[w], node, self.model))
            if self.leakage:
                elements.append(Resistor(f"{name}_l{place}", line, node, self.leakage))
        cells = crossbar.conductances.reshape(-1)
        far = crossbar.bits * words
        return [*elements, Edges(name, inner, far, cells, crossbar.g_min, crossbar.g_max, crossbar.law)]

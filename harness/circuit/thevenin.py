"""Thévenin equivalents: all that leads from ideal sources to a node, as one source behind one conductance.

No node with a voltage of its own disappears, so that the circuit is the same in time too, whatever capacitances its
free nodes have: a crossbar of 157,000 cells behind its inputs becomes 100 resistors. Amplifiers stay, since they may be
slow.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.circuit.arrays import Crossbar
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Element, InputSource, Resistor, Source
from harness.circuit.part import GROUND
from harness.measurement import Array


@dataclass(frozen=True, eq=False)
class TheveninEquivalents:
    """A circuit with fewer elements whose free nodes and stages behave as before, and what its inputs have to be."""

    circuit: Circuit
    """Its nodes are among those of the full circuit, but for new ones that sources hold."""
    gain: Array
    """V/V, ``[channels of the full circuit, channels]``."""
    constant: Array
    """V, ``[channels]``: what rails add."""

    def inputs(self, full: Array) -> Array:
        """Return the voltages at its inputs, V, ``[..., channels]``, for those of the full circuit."""
        return np.asarray(full @ self.gain + self.constant)


def thevenin_equivalents(circuit: Circuit) -> TheveninEquivalents:
    """Return the circuit without linear crossbar cells at lines that ideal sources hold."""
    sources = _Held(circuit)
    total = dict.fromkeys(circuit.nodes, 0.0)
    drive = {node: np.zeros(circuit.channels + 1) for node in circuit.nodes}
    elements: list[Element] = []
    for element in circuit.elements:
        if isinstance(element, Crossbar) and element.law.linear:
            elements += _rest(element, sources, total, drive)
        elif not isinstance(element, Source):
            elements.append(element)
    touched = {node for element in elements for node in element.pins}
    touched |= {node for output in circuit.outputs for node in (output.plus, output.minus)}
    kept = [source for source in circuit.sources if source.node in touched]
    columns = [sources.rows[source.node] for source in kept]
    pins: list[Element] = [InputSource(e.name, e.node, k, 1.0) for k, e in enumerate(kept)]
    prefix = _unused(circuit)
    for node, siemens in total.items():
        if siemens > 0:
            name = f"{prefix}_{node}"
            pins.append(InputSource(name, f"{name}_node", len(columns), 1.0))
            elements.append(Resistor(f"{name}_cells", f"{name}_node", node, siemens))
            columns.append(drive[node] / siemens)
    gains = np.array(columns).reshape(-1, circuit.channels + 1).T
    return TheveninEquivalents(Circuit(circuit.name, (*pins, *elements), circuit.outputs), gains[:-1], gains[-1])


class _Held:
    """Voltages of nodes that ideal sources hold, as numbers (V/V, V) that multiply the inputs and, last, 1."""

    def __init__(self, circuit: Circuit) -> None:
        self.rows = {e.node: e.row(circuit.channels) for e in circuit.sources} | {
            GROUND: np.zeros(circuit.channels + 1)
        }

    def held(self, lines: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        return np.array([line in self.rows for line in lines])


def _rest(crossbar: Crossbar, sources: _Held, total: dict[str, float], drive: dict[str, Array]) -> Iterator[Crossbar]:
    """Add the cells at held lines to `total` and `drive`, and yield what is left of the crossbar, if anything."""
    words, bits = sources.held(crossbar.words), sources.held(crossbar.bits)
    for lines, held, others, taken, cells in (
        (crossbar.words, words, crossbar.bits, bits, crossbar.conductances),
        (crossbar.bits, bits, crossbar.words, words, crossbar.conductances.T),
    ):
        rows = np.array([sources.rows[line] for line, known in zip(lines, held, strict=True) if known])
        if not len(rows):
            continue
        driven = cells[held].T @ rows
        for k in np.flatnonzero(~taken):
            total[others[k]] += float(cells[held, k].sum())
            drive[others[k]] += driven[k]
    if not words.all() and not bits.all():
        left = [
            tuple(n for n, known in zip(lines, held, strict=True) if not known)
            for lines, held in ((crossbar.words, words), (crossbar.bits, bits))
        ]
        yield replace(crossbar, words=left[0], bits=left[1], conductances=crossbar.conductances[np.ix_(~words, ~bits)])


def _unused(circuit: Circuit) -> str:
    """Return a prefix with which no name of the circuit begins."""
    taken = [*circuit.nodes, *(e.name for e in (*circuit.elements, *circuit.outputs))]
    prefix = "thevenin"
    while any(name.casefold().startswith(prefix) for name in taken):
        prefix += "x"
    return prefix

"""The change of variable that removes ideal sources and bidirectional amplifiers.

Every node voltage is written v = s·u. A buffer's output has its input's variable with s = gain × the input's, and no
equation of its own. An amplifier of gain A from `h` to `a` imposes v_a = A v_h, so with s_a = A s_h
both nodes share one variable u; Kirchhoff's law at every node divided by its s keeps the conductances as they are,
because the backward gain 1/A makes the two halves add up. Conductances and diodes never join nodes of unequal s.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from harness.circuit.circuit import Circuit, nodes_of
from harness.circuit.elements import (
    GROUND,
    BidirectionalAmplifier,
    Buffer,
    Crossbar,
    Diode,
    Edges,
    Gyrator,
    InputSource,
    Resistor,
    TrainableArray,
    Transformer,
    VoltageSource,
)
from harness.errors import CircuitError
from harness.measurement import Array, Index

Stage = BidirectionalAmplifier | Buffer
"""What holds one node at a multiple of another."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Where every node's voltage comes from. All arrays run over ``Circuit.nodes`` and, last, ground."""

    variable: Index
    """Index of the node's variable u; −1 where an ideal source holds it."""
    scale: Array
    """s in V/V; 1 where an ideal source holds the node."""
    held: Array
    """V that an ideal source holds, besides the input's part."""
    channel: Index
    """Input channel that a source follows; −1 for none."""
    gain: Array
    """V per V of that channel."""
    copied: npt.NDArray[np.bool_]
    """True where a buffer holds the node at a multiple of an unknown: currents into it are the buffer's."""
    _gatherings: dict[bytes, csr_matrix] = field(default_factory=dict)

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """True where the voltage is an unknown with an equation of its own."""
        return (self.variable >= 0) & ~self.copied

    @property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """True where the voltage is a multiple of an unknown."""
        return self.variable >= 0

    def gathering(self, held: Index, channels: int) -> csr_matrix:
        """What each channel drives of some held nodes: V per V, ``[channels, held]``."""
        key = held.tobytes()
        if key not in self._gatherings:
            driven = np.flatnonzero(self.channel[held] >= 0)
            entries = self.gain[held[driven]], (self.channel[held[driven]], driven)
            self._gatherings[key] = csr_matrix(entries, shape=(channels, len(held)))
        return self._gatherings[key]

    @property
    def variables(self) -> int:
        """Number of unknowns."""
        return int(self.variable.max(initial=-1)) + 1


def scaling_of(circuit: Circuit) -> Scaling:
    """The change of variable for a circuit.

    Raises:
        CircuitError: amplifiers close a loop whose gain is not 1, so no such change exists; names an amplifier.
    """
    count = len(circuit.nodes) + 1
    index = {**circuit.node_index, GROUND: count - 1}
    held, gain = np.zeros(count), np.zeros(count)
    channel = np.full(count, -1)
    driven = np.zeros(count, bool)
    driven[-1] = True
    for source in circuit.elements:
        if isinstance(source, (VoltageSource, InputSource)):
            node = index[source.node]
            driven[node] = True
            if isinstance(source, VoltageSource):
                held[node] = source.volts
            else:
                channel[node], gain[node] = source.channel, source.gain
    stages = _settle_driven(circuit, index, driven, held, channel, gain)
    copies = _copies(stages, index)
    copied = np.zeros(count, bool)
    copied[[index[stage.output] for stage in copies]] = True
    amplifiers = [stage for stage in stages if stage not in copies and isinstance(stage, BidirectionalAmplifier)]
    scale = _scales(circuit, index, driven | copied, amplifiers)
    for stage in copies:
        scale[index[stage.output]] = stage.gain * scale[index[stage.input]]
    merged = _components(count, ((index[stage.input], index[stage.output]) for stage in stages))
    variable = np.full(count, -1)
    _, first, inverse = np.unique(merged[~driven], return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))  # variables are numbered in the order in which their nodes appear
    variable[~driven] = order[inverse]
    return Scaling(variable, np.where(driven, 1.0, scale), held, channel, gain, copied)


def _copies(stages: Sequence[Stage], index: dict[str, int]) -> list[Stage]:
    """Buffers, and amplifiers behind them, each after the one that it listens to.

    Raises:
        CircuitError: buffers close a loop without anything between them.
    """
    held = {index[stage.output] for stage in stages if isinstance(stage, Buffer)}
    while behind := [s for s in stages if index[s.input] in held and index[s.output] not in held]:
        held |= {index[stage.output] for stage in behind}
    waiting = [stage for stage in stages if index[stage.output] in held]
    ordered: list[Stage] = []
    while waiting:
        ready = [s for s in waiting if index[s.input] not in {index[other.output] for other in waiting}]
        if not ready:
            raise CircuitError(f"buffer {waiting[0].name}: it listens to itself; put a conductance into the loop")
        ordered += ready
        waiting = [stage for stage in waiting if stage not in ready]
    return ordered


def is_reciprocal(circuit: Circuit) -> bool:
    """Whether the circuit has an energy: no gyrators, and no buffers but behind ideal sources."""
    return not (any(isinstance(e, Gyrator) for e in circuit.elements) or scaling_of(circuit).copied.any())


def energy_scales(circuit: Circuit) -> tuple[Array, ...]:
    """Per trainable array (s_out / s)² of its cells: ΠA² over the amplifier stages between a cell and the outputs.

    The factor by which the nudged energy differences of a cell must be multiplied (Kendall et al. 2020, §3); arrays of
    shape () where it is the same for the whole array.

    Raises:
        CircuitError: outputs lie behind unequal amplification, or an amplifier loop has no such factor.
    """
    scaling = scaling_of(circuit)
    index = {**circuit.node_index, GROUND: len(circuit.nodes)}
    top = _output_scale(circuit, scaling, index)
    return tuple(_energy_scale(array, scaling, index, top) for array in circuit.arrays)


def node_scales(circuit: Circuit) -> Array:
    """(s_out / s)² of every node, ``[nodes]``, which `energy_scales` gives for cells."""
    scaling = scaling_of(circuit)
    top = _output_scale(circuit, scaling, {**circuit.node_index, GROUND: len(circuit.nodes)})
    return np.asarray((top / scaling.scale[:-1]) ** 2)


def _output_scale(circuit: Circuit, scaling: Scaling, index: dict[str, int]) -> float:
    at_outputs = {
        float(scaling.scale[index[node]]): o.name
        for o in circuit.outputs
        for node in (o.plus, o.minus)
        if scaling.free[index[node]]
    }
    if len(at_outputs) > 1:
        raise CircuitError(f"outputs {' and '.join(at_outputs.values())} lie behind unequal amplification")
    return next(iter(at_outputs), 1.0)


def _energy_scale(array: TrainableArray, scaling: Scaling, index: dict[str, int], top: float) -> Array:
    """Of every cell; between two held nodes, where no factor matters, it is 1."""
    first, second = array.ends(index)
    at = np.where(scaling.free[first], scaling.scale[first], scaling.scale[second])
    held = ~(scaling.free[first] | scaling.free[second])
    factors = np.where(held, 1.0, (top / at) ** 2)
    return np.asarray(factors.flat[0]) if (factors == factors.flat[0]).all() else factors


def _settle_driven(
    circuit: Circuit,
    index: dict[str, int],
    driven: npt.NDArray[np.bool_],
    held: Array,
    channel: Index,
    gain: Array,
) -> list[Stage]:
    """Outputs of amplifiers and buffers behind ideal sources are held too; returns the other ones."""
    waiting = [e for e in circuit.elements if isinstance(e, (BidirectionalAmplifier, Buffer))]
    while ready := [a for a in waiting if driven[index[a.input]]]:
        for amplifier in ready:
            source, sink = index[amplifier.input], index[amplifier.output]
            driven[sink], channel[sink] = True, channel[source]
            held[sink], gain[sink] = amplifier.gain * held[source], amplifier.gain * gain[source]
        waiting = [a for a in waiting if a not in ready]
    return waiting


def _scales(
    circuit: Circuit,
    index: dict[str, int],
    driven: npt.NDArray[np.bool_],
    amplifiers: list[BidirectionalAmplifier],
) -> Array:
    """s of every node: 1 in the domain that appears first, × A from domain to domain along the amplifiers."""
    domain = _components(len(driven), _reciprocal_links(circuit, index, driven))
    ratios: dict[int, list[tuple[int, float, str]]] = {}
    for amplifier in amplifiers:
        near, far = int(domain[index[amplifier.input]]), int(domain[index[amplifier.output]])
        ratios.setdefault(near, []).append((far, amplifier.gain, amplifier.name))
        ratios.setdefault(far, []).append((near, 1 / amplifier.gain, amplifier.name))
    scale: dict[int, float] = {}
    for start in map(int, domain):
        if start in scale:
            continue
        scale[start] = 1.0
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for there, ratio, name in ratios.get(here, ()):
                wanted = scale[here] * ratio
                if there not in scale:
                    scale[there] = wanted
                    queue.append(there)
                elif not np.isclose(scale[there], wanted, rtol=1e-12):
                    raise CircuitError(
                        f"amplifier {name}: it closes a loop of gain {wanted / scale[there]:g}; only 1 is possible"
                    )
    return np.array([scale[int(d)] for d in domain])


def _reciprocal_links(
    circuit: Circuit, index: dict[str, int], driven: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Pairs of free nodes that one conductance or diode joins (a crossbar joins all its free lines).

    A transformer joins its ports too: between unequal scales it would not be reciprocal in the scaled variables.
    """
    for element in circuit.elements:
        if isinstance(element, (Resistor, Diode, Crossbar, Transformer)):
            free = [index[n] for n in nodes_of(element) if not driven[index[n]]]
            yield from ((free[0], other) for other in free[1:])
        elif isinstance(element, Edges):
            pairs = zip(*(ends.tolist() for ends in element.ends(index)), strict=True)
            yield from ((a, b) for a, b in pairs if not (driven[a] or driven[b]))


def _components(count: int, links: Iterator[tuple[int, int]]) -> Index:
    edges = np.array(list(links), dtype=np.intp).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    label: Index = connected_components(graph, directed=False)[1].astype(np.intp)
    return label

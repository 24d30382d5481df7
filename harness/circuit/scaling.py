"""The change of variable that removes ideal sources and bidirectional amplifiers.

Every node voltage is written v = s·u + c. A buffer's output has its input's variable with s = gain × the input's, and
no equation of its own. An amplifier of gain A and input offset o from `h` to `a` imposes v_a = A (v_h + o), so with
s_a = A s_h and c_a = A (c_h + o) both nodes share one variable u. Kirchhoff's law at every node is divided by its s:
the backward gain 1/A then makes the two halves of an amplifier's equation add up, conductances stay as they are, and
all that the c do is to drive constant currents.

Where amplifiers that join the same two parts of a circuit have equal gains, conductances and diodes only join nodes of
equal s, and the matrix is symmetric: there is an energy. Where they have not, a conductance g from s₁ to s₂ couples the
two equations by g s₂/s₁ one way and by g s₁/s₂ the other, which is as exact, but not reciprocal.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import chain
from math import isclose

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from harness.circuit.arrays import Crossbar, Edges, TrainableArray
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Buffer, Diode, Element, Stage, Transformer, VoltageSource
from harness.errors import CircuitError
from harness.measurement import Array, Index

_LARGEST = 1e75
"""V/V between a node and the one that its scale counts from: ratios of two scales have squares that are numbers."""
_KIN = 2
"""Circuits of a wiring of which the scaling is kept: the one that was drawn, and one that was made."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """The change of variable v = s·u + c at every node. All arrays run over ``Circuit.nodes`` and, last, ground."""

    variable: Index
    """Index of the node's variable u; −1 where an ideal source holds it."""
    scale: Array
    """s in V/V; 1 where an ideal source holds the node."""
    constant: Array
    """c in V: what an ideal source holds besides the input's part, and what offsets add where the voltage is free."""
    channel: Index
    """Input channel that a source follows; −1 for none."""
    gain: Array
    """V per V of that channel."""
    copied: npt.NDArray[np.bool_]
    """True where a buffer holds the node at a multiple of an unknown: currents into it are the buffer's."""
    order: Index
    """Numbers of the circuit's stages, each after the one that drives it."""
    uneven: str
    """Says which amplifier closes a loop of which gain other than 1; empty where s is the same all over every part."""

    @cached_property
    def free(self) -> npt.NDArray[np.bool_]:
        """True where the voltage is an unknown with an equation of its own."""
        return (self.variable >= 0) & ~self.copied

    @cached_property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """True where the voltage is a multiple of an unknown."""
        return self.variable >= 0

    @property
    def reciprocal(self) -> bool:
        """True where stages let errors back as they let signals through."""
        return not (self.uneven or self.copied.any())

    @cached_property
    def variables(self) -> int:
        """Number of unknowns."""
        return int(self.variable.max(initial=-1)) + 1


@lru_cache(maxsize=4)
def scaling_of(circuit: Circuit) -> Scaling:
    """The change of variable for a circuit; that of the last few is kept, for much asks for it.

    Raises:
        CircuitError: stages close a loop without anything between them; names one. Or there are too many in a row.
    """
    known = _known(circuit.wiring)
    for former, scaling in known:
        if only_constants_differ(former, circuit):
            return replace(scaling, constant=_constants(circuit, scaling.order))
    found = _scaling(circuit)
    known[:] = [(circuit, found), *known[: _KIN - 1]]
    return found


@lru_cache(maxsize=4)
def _known(wiring: object) -> list[tuple[Circuit, Scaling]]:  # noqa: ARG001 - it is the key
    """The last few circuits of a wiring that had to be looked at as a whole."""
    return []


def only_constants_differ(one: Circuit, other: Circuit) -> bool:
    """Return whether circuits differ in offsets, rails, cells and models of diodes alone: not in any scale."""
    return one.wiring is other.wiring and all(map(_of_one_scale, one.elements, other.elements))


def _of_one_scale(one: Element, other: Element) -> bool:
    """Return whether elements of one place, in circuits of one wiring, differ in no scale."""
    if isinstance(one, Stage) and isinstance(other, Stage):
        return one.gain == other.gain
    return one is other or isinstance(one, TrainableArray | VoltageSource | Diode)


def _constants(circuit: Circuit, order: Index) -> Array:
    """Return `Scaling.constant` where the order of the stages is known."""
    index = circuit.grounded_index
    constant = np.zeros(len(index))
    for source in circuit.sources:
        constant[index[source.node]] = source.volts if isinstance(source, VoltageSource) else 0.0
    for stage in (circuit.stages[number] for number in order.tolist()):
        constant[index[stage.output]] = stage.gain * (constant[index[stage.input]] + stage.offset)
    return constant


def _scaling(circuit: Circuit) -> Scaling:
    count = len(circuit.nodes) + 1
    index = circuit.grounded_index
    gain, channel = np.zeros(count), np.full(count, -1)
    driven = np.zeros(count, bool)
    driven[-1] = True
    for source in circuit.sources:
        node = index[source.node]
        driven[node] = True
        if not isinstance(source, VoltageSource):
            channel[node], gain[node] = source.channel, source.gain
    behind, waiting = _settle_driven(circuit, index, driven, channel, gain)
    stages = _in_order(waiting)
    copied = np.zeros(count, bool)
    for stage in stages:  # buffers, and amplifiers behind them
        copied[index[stage.output]] = isinstance(stage, Buffer) or copied[index[stage.input]]
    amplifiers = [stage for stage in stages if not copied[index[stage.output]]]
    scale, uneven = _scales(circuit, index, driven | copied, amplifiers)
    for stage in stages:
        near, far = index[stage.input], index[stage.output]
        if uneven or copied[far]:
            scale[far] = stage.gain * scale[near]
        _check_range(circuit, stage, scale[far])
    links = [(index[stage.input], index[stage.output]) for stage in stages]
    merged = _components(count, np.array(links, dtype=np.intp).reshape(-1, 2))
    variable = np.full(count, -1)
    _, first, inverse = np.unique(merged[~driven], return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))  # variables are numbered in the order in which their nodes appear
    variable[~driven] = order[inverse]
    numbers = {stage.name: number for number, stage in enumerate(circuit.stages)}
    sequence = np.array([numbers[stage.name] for stage in (*behind, *stages)], np.intp)
    scale, constant = np.where(driven, 1.0, scale), _constants(circuit, sequence)
    return Scaling(variable, scale, constant, channel, gain, copied, sequence, uneven)


def _check_range(circuit: Circuit, stage: Stage, scale: float) -> None:
    """Refuse a scale whose square, which energies want, or whose square's inverse is no number any more."""
    if not 1 / _LARGEST <= abs(scale) <= _LARGEST:
        raise CircuitError(
            f"circuit {circuit.name}: amplification up to {stage.name} multiplies to {scale:g}, beyond {_LARGEST:g} or "
            f"{1 / _LARGEST:g}; put fewer stages in a row, or give them gains nearer to 1"
        )


def _in_order(stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages in an order in which each comes after the one that drives it.

    Raises:
        CircuitError: stages close a loop without anything between them.
    """
    waiting, ordered = list(stages), list[Stage]()
    while waiting:
        outputs = {stage.output for stage in waiting}
        ready = [stage for stage in waiting if stage.input not in outputs]
        if not ready:
            raise CircuitError(f"{waiting[0].title}: it listens to itself; put a conductance into the loop")
        ordered += ready
        waiting = [stage for stage in waiting if stage.input in outputs]
    return ordered


def is_reciprocal(circuit: Circuit) -> bool:
    """Return whether a circuit has an energy: all elements are reciprocal, and all stages but behind ideal sources.

    Amplifiers must have one gain where they join the same two parts of a circuit; a crossbar joins all its free lines.
    """
    return not one_way(circuit)


def one_way(circuit: Circuit, *, but: type[Element] | tuple[()] = ()) -> str:
    """Say which element does not let errors back as it lets signals through; an empty text if there is none.

    Elements of the kind `but` are not asked.
    """
    scaling = scaling_of(circuit)
    if scaling.uneven:
        return scaling.uneven
    copied = (stage.title for stage in circuit.stages if scaling.copied[circuit.grounded_index[stage.output]])
    free = {node for node, unknown in zip(circuit.nodes, scaling.unknown.tolist(), strict=False) if unknown}
    asked = (e for e in circuit.elements if not isinstance(e, but))
    culprit = next(chain(copied, (e.title for e in asked if not e.reciprocal(free))), "")
    return culprit and f"{culprit} lets no errors back"


def refuse_reversal(circuit: Circuit) -> None:
    """Refuse a circuit whose one-way parts cannot work backwards while its devices work as they are.

    Raises:
        CircuitError: a device has a control of its own, or a transformer's current is no voltage of a node.
    """
    if any(not branches.two_terminal for branches in circuit.device_branches):
        what = "the current of a device follows a voltage elsewhere"
    elif any(not array.law.linear for array in circuit.arrays):
        what = "cells have a curve"
    elif any(isinstance(element, Transformer) for element in circuit.elements):
        what = "the currents of transformers cannot be read"
    else:
        return
    raise CircuitError(
        f"circuit {circuit.name}: {what}, so that its operating point cannot be kept while one-way parts work "
        "backwards; take hardware-linearization or analytical-gradient"
    )


def energy_scales(circuit: Circuit) -> tuple[Array, ...]:
    """Per trainable array (s_out / s)² of its cells: ΠA² over the amplifier stages between a cell and the outputs.

    The factor by which the nudged energy differences of a cell must be multiplied (Kendall et al. 2020); arrays of
    shape () where it is the same for the whole array.

    Raises:
        CircuitError: outputs lie behind unequal amplification, or unequal gains leave the circuit without an energy.
    """
    scaling = _with_energy(circuit)
    top = _output_scale(circuit, scaling)
    return tuple(_energy_scale(circuit.ends(array), scaling, top) for array in circuit.arrays)


def node_scales(circuit: Circuit) -> Array:
    """(s_out / s)² of every node, ``[nodes]``, which `energy_scales` gives for cells; 0 where the voltage is not free.

    Raises:
        CircuitError: outputs lie behind unequal amplification.
    """
    scaling = scaling_of(circuit)
    top = _output_scale(circuit, scaling)
    return np.where(scaling.free[:-1], (top / scaling.scale[:-1]) ** 2, 0.0)


def _with_energy(circuit: Circuit) -> Scaling:
    scaling = scaling_of(circuit)
    if scaling.uneven:
        raise CircuitError(
            f"{scaling.uneven}, so that circuit {circuit.name} has no energy; give amplifiers of a layer one gain"
        )
    return scaling


def _output_scale(circuit: Circuit, scaling: Scaling) -> float:
    at_outputs = {
        float(scaling.scale[node]): output.name
        for output, *nodes in zip(circuit.outputs, *circuit.output_ends, strict=True)
        for node in nodes
        if scaling.free[node]
    }
    if len(at_outputs) > 1:
        raise CircuitError(f"outputs {' and '.join(at_outputs.values())} lie behind unequal amplification")
    return next(iter(at_outputs), 1.0)


def _energy_scale(ends: tuple[Index, Index], scaling: Scaling, top: float) -> Array:
    """Return the energy scale of every cell; between two held nodes, where no factor matters, it is 1."""
    first, second = ends
    at = np.where(scaling.free[first], scaling.scale[first], scaling.scale[second])
    held = ~(scaling.free[first] | scaling.free[second])
    factors = np.where(held, 1.0, (top / at) ** 2)
    return np.asarray(factors.flat[0]) if (factors == factors.flat[0]).all() else factors


def _settle_driven(
    circuit: Circuit, index: dict[str, int], driven: npt.NDArray[np.bool_], channel: Index, gain: Array
) -> tuple[list[Stage], list[Stage]]:
    """Mark the outputs of amplifiers and buffers behind ideal sources as held; return these stages, and the others."""
    behind, waiting = list[Stage](), list(circuit.stages)
    while ready := [a for a in waiting if driven[index[a.input]]]:
        for amplifier in ready:
            source, sink = index[amplifier.input], index[amplifier.output]
            driven[sink], channel[sink], gain[sink] = True, channel[source], amplifier.gain * gain[source]
        behind += ready
        waiting = [a for a in waiting if a not in ready]
    return behind, waiting


def _scales(
    circuit: Circuit, index: dict[str, int], driven: npt.NDArray[np.bool_], amplifiers: Sequence[Stage]
) -> tuple[Array, str]:
    """Return s of every node: 1 in the domain that appears first, × A from domain to domain along the amplifiers.

    Returns:
        s of the domains, which amplifiers' outputs cannot all have where there is a text: `Scaling.uneven`.
    """
    domain = _components(len(driven), _reciprocal_links(circuit, index, driven))
    ratios: dict[int, list[tuple[int, float, str]]] = {}
    for amplifier in amplifiers:
        near, far = int(domain[index[amplifier.input]]), int(domain[index[amplifier.output]])
        ratios.setdefault(near, []).append((far, amplifier.gain, amplifier.name))
        ratios.setdefault(far, []).append((near, 1 / amplifier.gain, amplifier.name))
    scale: dict[int, float] = {}
    uneven = ""
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
                elif not (uneven or isclose(scale[there], wanted, rel_tol=1e-12)):
                    uneven = f"amplifier {name}: it closes a loop of gain {wanted / scale[there]:g}"
    return np.array([scale[int(d)] for d in domain]), uneven


def _reciprocal_links(circuit: Circuit, index: dict[str, int], driven: npt.NDArray[np.bool_]) -> Index:
    """Pairs of free nodes that one conductance or diode joins (a crossbar joins all its free lines), ``[pairs, 2]``.

    A transformer joins its ports too: between unequal scales it would not be reciprocal in the scaled variables.
    """
    singles = [path for e in circuit.elements for path in e.paths]
    pairs = [np.array([(index[a], index[b]) for a, b in singles], dtype=np.intp).reshape(-1, 2)]
    for element in circuit.elements:
        if isinstance(element, Edges):
            pairs.append(np.column_stack(circuit.ends(element)))
        elif isinstance(element, (Crossbar, Transformer)):
            free = [index[node] for node in element.pins if not driven[index[node]]]
            pairs.append(np.array([(free[0], other) for other in free[1:]], dtype=np.intp).reshape(-1, 2))
    joined = np.concatenate(pairs)
    return joined[~driven[joined].any(axis=1)]


def _components(count: int, edges: Index) -> Index:
    """A label for every node, the same for those that edges (``[edges, 2]``) join."""
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    label: Index = connected_components(graph, directed=False)[1].astype(np.intp)
    return label

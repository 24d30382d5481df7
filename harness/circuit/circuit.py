"""`Circuit`: elements and ports, checked once when it is built."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from harness.circuit.arrays import TrainableArray
from harness.circuit.elements import Element, InputSource, Modelled, Output, Source, Stage
from harness.circuit.networks.sketch import sketch
from harness.circuit.part import GROUND
from harness.circuit.primitives import RESERVED, Conductance, Device, DeviceBranches, Model, Primitive
from harness.devices import DiodeModel
from harness.errors import CircuitError
from harness.measurement import Array, Conductances, Index
from harness.units import show
from harness.wording import html_table, listed

_NAME = re.compile(r"[A-Za-z0-9_]+")
_GATED = 200  # nodes at drains and sources, from which on a dense matrix of them costs more than reduction saves
_P = TypeVar("_P", bound=Primitive)


@dataclass(frozen=True, eq=False)
class Circuit:
    """A network as plain data: its elements, and the outputs that are read.

    Raises:
        CircuitError: names clash or cannot be written to a netlist, a value is out of bounds or not finite, a node
            has no DC path to ground, two ideal sources drive one node, or an output is missing. The message names
            the element.
    """

    name: str
    """A name for netlists, made of letters, digits and ``_``."""
    elements: tuple[Element, ...]
    """All parts, in an order that decides that of nodes, arrays and devices."""
    outputs: tuple[Output, ...]
    """The drops that are read, in the order of targets."""

    def __post_init__(self) -> None:
        _check_names(self)
        for element in self.elements:
            element.check()
        _check_drivers(self)
        _check_paths(self)
        _check_ports(self)

    def _repr_html_(self) -> str:
        """A table for notebooks; of a small circuit also a sketch of its conductances."""
        counts = Counter(type(element).__name__ for element in self.elements)
        rows: list[tuple[str, str]] = [("nodes", f"{len(self.nodes):,}")]
        rows += [("elements", ", ".join(f"{count:,} {kind}" for kind, count in counts.items()))]
        for array in self.arrays:
            low, high = (show(float(bound), "S") for bound in (array.conductances.min(), array.conductances.max()))
            size = " × ".join(map(str, array.shape))
            rows.append((array.name, f"{size} conductances, {low}…{high}"))
        rows.append(("outputs", listed([output.name for output in self.outputs])))
        return html_table(f"circuit {self.name}", rows, more=sketch(self.arrays))

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Every node but ground, in order of appearance."""
        seen = dict.fromkeys(node for element in self.elements for node in element.pins)
        seen.pop(GROUND, None)
        return tuple(seen)

    @cached_property
    def node_index(self) -> dict[str, int]:
        """Position of each node in `nodes`."""
        return {node: index for index, node in enumerate(self.nodes)}

    @cached_property
    def grounded_index(self) -> dict[str, int]:
        """Position of each node in arrays that have a last entry for ground."""
        return {**self.node_index, GROUND: len(self.nodes)}

    def at(self, nodes: Sequence[str]) -> Index:
        """Positions of some nodes in arrays that have a last entry for ground, ``[nodes]``."""
        return np.array([self.grounded_index[node] for node in nodes], dtype=np.intp)

    def ends(self, array: TrainableArray) -> tuple[Index, Index]:
        """Positions of the nodes at both ends of an array's cells, in shapes that broadcast to the array's."""
        return array.ends(self.grounded_index)

    @cached_property
    def output_ends(self) -> tuple[Index, Index]:
        """Positions of the plus and of the minus nodes of all outputs, ``[outputs]``."""
        return self.at([o.plus for o in self.outputs]), self.at([o.minus for o in self.outputs])

    @cached_property
    def _grounded_outputs(self) -> bool:
        return max(int(ends.max()) for ends in self.output_ends) == len(self.nodes)

    def outputs_of(self, nodes: Array) -> Array:
        """Return the outputs' voltages (V, ``[..., outputs]``) for those of all nodes (V, ``[..., nodes]``)."""
        plus, minus = self.output_ends
        if self._grounded_outputs:
            nodes = self.with_ground(nodes)
        return np.asarray(nodes.take(plus, axis=-1) - nodes.take(minus, axis=-1))

    def with_ground(self, nodes: Array) -> Array:
        """Return the voltages of all nodes and, last, ground's 0 V, ``[..., nodes + 1]``: in the order of `at`."""
        return np.concatenate([nodes, np.zeros((*nodes.shape[:-1], 1))], axis=-1)

    @cached_property
    def primitives(self) -> tuple[Primitive, ...]:
        """The primitives of all elements but the trainable arrays, in order."""
        return tuple(p for e in self.elements if not isinstance(e, TrainableArray) for p in e.lowered())

    def parts(self, kind: type[_P]) -> list[_P]:
        """The primitives of one kind, in order."""
        return [part for part in self.primitives if isinstance(part, kind)]

    @cached_property
    def fixed(self) -> tuple[Index, Index, Array]:
        """Both ends of all conductances but cells, as `at` counts, and the conductances (S)."""
        found = self.parts(Conductance)
        first, second = (self.at([part.nets[k] for part in found]) for k in (0, 1))
        return first, second, np.array([part.siemens for part in found])

    @cached_property
    def devices(self) -> tuple[tuple[Device, ...], ...]:
        """All devices, kind by kind of model; diodes first."""
        kinds: dict[type[Model], list[Device]] = {DiodeModel: []}
        for device in self.parts(Device):
            kinds.setdefault(type(device.model), []).append(device)
        return tuple(tuple(devices) for devices in kinds.values() if devices)

    @cached_property
    def device_pins(self) -> tuple[Index, ...]:
        """Positions of the nodes of all devices, in the same order, ``[devices, pins]``, as `at` counts."""
        return tuple(self.at([net for d in kind for net in d.nets]).reshape(len(kind), -1) for kind in self.devices)

    @cached_property
    def device_branches(self) -> tuple[DeviceBranches, ...]:
        """The branches of all devices, in the same order."""
        kinds = zip(self.device_pins, self.devices, strict=True)
        return tuple(DeviceBranches.of(pins, [device.model for device in devices]) for pins, devices in kinds)

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """Rails and input pins, in order."""
        return tuple(e for e in self.elements if isinstance(e, Source))

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Amplifiers and buffers, in order."""
        return tuple(e for e in self.elements if isinstance(e, Stage))

    @cached_property
    def arrays(self) -> tuple[TrainableArray, ...]:
        """The trainable arrays, in order."""
        return tuple(element for element in self.elements if isinstance(element, TrainableArray))

    @cached_property
    def channels(self) -> int:
        """Number of input channels."""
        return 1 + max((e.channel for e in self.elements if isinstance(e, InputSource)), default=-1)

    @cached_property
    def input_pins(self) -> int:
        """Number of pins that follow an input channel."""
        return sum(isinstance(element, InputSource) for element in self.elements)

    @cached_property
    def held_nodes(self) -> frozenset[str]:
        """Nodes whose voltage an ideal source or an amplifier dictates."""
        return frozenset(e.drives for e in self.elements if e.drives is not None)

    @property
    def conductances(self) -> Conductances:
        """The programmed conductances (S), one array per trainable array, in its shape."""
        return tuple(crossbar.conductances for crossbar in self.arrays)

    @cached_property
    def wiring(self) -> object:
        """An object that circuits share where `altered` found that they differ in numbers alone."""
        return object()

    def altered(self, elements: Iterable[Element]) -> "Circuit":
        """Return the circuit with other elements, checked as far as it is not checked already.

        Where elements have other numbers and models alone, names and nodes are not looked at again.
        """
        other = tuple(elements)
        if len(other) != len(self.elements) or not all(map(_differ_in_numbers, self.elements, other)):
            return replace(self, elements=other)
        changed = [(old, new) for old, new in zip(self.elements, other, strict=True) if old is not new]
        same_devices = not any(isinstance(new, Modelled) for _, new in changed)
        shared = _OF_WIRING | (_OF_DEVICES if same_devices else set())
        made = object.__new__(Circuit)
        vars(made).update({name: getattr(self, name) for name in shared}, elements=other)
        for _, new in changed:
            new.check()
        if not same_devices:
            _check_models(made)
        if any(isinstance(new, TrainableArray) and _opens(old, new) for old, new in changed):
            _check_paths(made)
        return made

    def with_conductances(self, conductances: Sequence[Array]) -> "Circuit":
        """Return the circuit with other programmed conductances (S, one array per trainable array)."""
        if len(conductances) != len(self.arrays):
            raise CircuitError(
                f"circuit {self.name}: conductances for {len(conductances)} arrays, it has {len(self.arrays)}"
            )
        programmed = iter(conductances)
        return self.altered(
            e.with_conductances(next(programmed)) if isinstance(e, TrainableArray) else e for e in self.elements
        )

    def reaching(self, conductances: Sequence[Array]) -> "Circuit":
        """Return the circuit with arrays whose range holds some conductances (S), with room; itself where it does."""
        pairs = dict(zip((array.name for array in self.arrays), conductances, strict=True))
        if all(_holds(array, pairs[array.name]) for array in self.arrays):
            return self
        elements = (_wider(e, pairs[e.name]) if isinstance(e, TrainableArray) else e for e in self.elements)
        return replace(self, elements=tuple(elements))


def _holds(array: TrainableArray, conductances: Array) -> bool:
    return bool(conductances.min() >= array.g_min and conductances.max() <= array.g_max)


def _wider(array: TrainableArray, conductances: Array) -> TrainableArray:
    if _holds(array, conductances):
        return array
    return replace(array, g_min=0.0, g_max=max(array.g_max, 2 * float(conductances.max())))


_OF_WIRING = {
    *("name", "outputs", "wiring", "nodes", "node_index", "grounded_index", "output_ends", "_grounded_outputs"),
    *("channels", "input_pins", "held_nodes"),
}
"""Attributes of a circuit that no number of an element decides: all that are altered from it share them."""
_OF_DEVICES = {"devices", "device_pins", "device_branches"}
"""Those that only the models of devices decide."""


def _differ_in_numbers(one: Element, other: Element) -> bool:
    """Return whether two elements are alike but for numbers and models."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    pairs = ((part, getattr(other, name)) for name, part in vars(one).items())
    return all(a is b or (type(a) is type(b) and (isinstance(a, _NUMBERS) or a == b)) for a, b in pairs)


_NUMBERS = (float, np.ndarray, DiodeModel)


def _opens(old: Any, new: TrainableArray) -> bool:
    """Return whether a cell is open that was closed in the former array."""
    return bool(((new.conductances == 0) & (old.conductances > 0)).any())


def _check_models(circuit: Circuit) -> None:
    models: dict[str, Model] = {}
    for device in (e for e in circuit.elements if isinstance(e, Modelled)):
        if models.setdefault(device.model.name.casefold(), device.model) != device.model:
            raise CircuitError(f"{device.title}: another {device.noun} model is called {device.model.name} too")


def _check_names(circuit: Circuit) -> None:
    _check_name("circuit", circuit.name)
    _check_models(circuit)
    seen: dict[str, str] = {}
    for element in (*circuit.elements, *circuit.outputs):
        _check_name("element", element.name)
        if (folded := element.name.casefold()) in seen:
            raise CircuitError(f"element {element.name}: the name is taken by {seen[folded]} (case does not count)")
        seen[folded] = element.name
    for array in circuit.arrays:
        pattern = re.compile(re.escape(array.name.casefold()) + r"_\d+" * len(array.shape))
        if clash := next(filter(pattern.fullmatch, seen), None):
            raise CircuitError(f"element {seen[clash]}: the name is taken by a cell of {array.title}")
    folded_nodes: dict[str, str] = {}
    for node in circuit.nodes:
        _check_name("node", node)
        if node.casefold() == "gnd":
            raise CircuitError(f"node {node}: SPICE reads this name as ground; write {GROUND!r} for ground")
        other = folded_nodes.setdefault(node.casefold(), node)
        if other != node:
            raise CircuitError(f"node {node}: differs from node {other} only in case, which SPICE does not see")


def _check_name(kind: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise CircuitError(f"{kind} {name!r}: a name is made of letters, digits and _")
    if name.casefold().startswith(RESERVED):
        raise CircuitError(f"{kind} {name}: names that start with {RESERVED} belong to the netlist writer")


def _check_drivers(circuit: Circuit) -> None:
    drivers: dict[str, str] = {GROUND: "ground"}
    for element in circuit.elements:
        driven = element.drives
        if driven is None:
            continue
        if driven in drivers:
            raise CircuitError(f"element {element.name}: node {driven} is driven by {drivers[driven]} already")
        drivers[driven] = element.name


def _check_paths(circuit: Circuit) -> None:
    """Refuse a node without a DC path to ground; open cells and current sources are no such path."""
    index = circuit.grounded_index
    pairs = [np.array([(index[a], index[b]) for e in circuit.elements for a, b in e.paths], np.intp).reshape(-1, 2)]
    for array in circuit.arrays:
        first, second = np.broadcast_arrays(*array.ends(index))
        closed = array.conductances > 0
        pairs.append(np.column_stack([first[closed], second[closed]]))
    edges = np.concatenate(pairs)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(index), len(index)))
    _, label = connected_components(graph, directed=False)
    floating = np.flatnonzero(label[:-1] != label[-1])
    if len(floating):
        node = circuit.nodes[floating[0]]
        owner = next(e.name for e in circuit.elements if node in e.pins)
        raise CircuitError(f"node {node} (at element {owner}) floats: no DC path leads from it to ground")


def _check_ports(circuit: Circuit) -> None:
    if not circuit.outputs:
        raise CircuitError(f"circuit {circuit.name}: it has no outputs")
    for output in circuit.outputs:
        for node in (output.plus, output.minus):
            if node != GROUND and node not in circuit.node_index:
                raise CircuitError(f"output {output.name}: no element touches node {node}")
        if output.plus in (GROUND, output.minus):
            raise CircuitError(f"output {output.name}: its plus node is {output.plus}, which is also its reference")
    channels = {e.channel for e in circuit.elements if isinstance(e, InputSource)}
    if len(channels) < circuit.channels:
        missing = next(k for k in range(circuit.channels) if k not in channels)
        raise CircuitError(f"circuit {circuit.name}: no input source listens to channel {missing}")


def nonlinear_arrays(circuit: Circuit) -> list[TrainableArray]:
    """Return the trainable arrays whose cells are nonlinear."""
    return [array for array in circuit.arrays if not array.law.linear]


def settled_whole(circuit: Circuit) -> bool:
    """Return whether a circuit is settled unreduced: where cells are nonlinear, or most nodes are those of transistors.

    A reduction keeps every node of a transistor whose gate is at a node of its own, such as a cell's selector.
    """
    gated = [np.concatenate([b.first, b.second]) for b in circuit.device_branches if not b.two_terminal]
    return bool(nonlinear_arrays(circuit)) or len(set().union(*(nodes.tolist() for nodes in gated))) > _GATED


def refuse_nonlinear(circuit: Circuit) -> None:
    """Refuse a circuit with nonlinear cells, on behalf of code that can treat linear cells only.

    Raises:
        CircuitError: names an array with other ones, and what can settle them.
    """
    for array in nonlinear_arrays(circuit):
        raise CircuitError(
            f"{array.title}: its cells are {array.law.curve}, and only linear ones can be reduced; settle circuit "
            f"{circuit.name} in UnreducedNodalChip or FullBatchChip"
            " (harness.chip.nodal.unreduced, harness.chip.ngspice.chip)"
        )

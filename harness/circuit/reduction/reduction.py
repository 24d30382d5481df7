"""Exact elimination of linear parts, and the way back to every node voltage.

Three steps, none of which approximates:

1. an ideal source behind conductances is a Norton source: 157,000 cells become 200 elements;
2. bidirectional amplifiers and buffers vanish by a change of variable (`harness.circuit.scaling`), gyrators and
   transformers are entries of the matrix (`harness.circuit.reduction.equations`);
3. a linear part that touches neither a device nor an output is eliminated by its Schur complement (Kron reduction,
   `harness.circuit.reduction.elimination`), wherever that leaves less to solve (`harness.circuit.reduction.partition`).

`Reduction` does the work that depends on the topology alone, once; `Reduction.reduce` does the arithmetic for one
set of conductances.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from harness.circuit.circuit import Circuit, refuse_nonlinear
from harness.circuit.elements import Transformer
from harness.circuit.linearized import shorts_and_opens
from harness.circuit.primitives import Current, Device, Vccs
from harness.circuit.reduction.elimination import Factors, eliminate
from harness.circuit.reduction.equations import Equations, Interior, System, Terms
from harness.circuit.reduction.linear import output_resistance, positive_definite, without_alone
from harness.circuit.reduction.multifrontal import Fronts, fronts_of
from harness.circuit.reduction.partition import eliminated
from harness.circuit.reduction.settling import (
    Devices,
    Junctions,
    Network,
    Oscillation,
    Phase,
    SettlingJob,
    Topology,
    unjoined,
)
from harness.circuit.reduction.stability import unstable_samples
from harness.circuit.reduction.way_back import Places, WayBack
from harness.circuit.scaling import Scaling, only_constants_differ, refuse_reversal, scaling_of
from harness.devices import DiodeModel
from harness.devices.diode import GMIN
from harness.errors import CircuitError
from harness.measurement import Array, Clamp, Drive, Index, Injection, Reading, Spring

_KIN = 2  # circuits of a wiring whose plans are kept: the drawn one's, and that of one that was made
_WIDE = 200  # unknowns, from which on eliminating the alone ones costs less than a factorization of all


@dataclass(frozen=True, eq=False)
class ReducedCircuit:
    """The equations that are left to solve, what drives them, and the way back to every voltage.

    Of a stack of chips, arrays have the chips as their first axis.
    """

    names: tuple[str, ...]
    """One circuit node for each unknown."""
    network: Network
    current: Array
    """A into every unknown without inputs, ``[n]``."""
    current_gain: Array
    """A/V, ``[channels, n]``."""
    rail: Array
    """V that each rail is held at besides its input's part, ``[rails]``."""
    rail_gain: Array
    """V/V, ``[channels, rails]``."""
    output_scale: float
    """Physical volts per reduced volt at the outputs; injected currents shrink by the same factor."""
    farads: Array
    """F from every unknown to ground, ``[n]``, which only oscillating drives see."""
    own: Array
    """Conductance that leads to each variable, S, ``[variables]``."""
    _way_back: WayBack
    _circuit: Circuit

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return len(self.names)

    def output_conductance(self) -> float:
        """The smallest conductance (S) that any combination of outputs sees with all diodes blocking.

        One over the norm of D G⁻¹ Dᵀ, D the outputs' incidence; infinite where no output can move.
        """
        return float(self.output_conductances())

    def output_conductances(self) -> Array:
        """The `output_conductance` of each chip in a stack, S, ``[chips]``; of one chip, a number."""
        ohms = output_resistance(self.network, GMIN)  # a node that only diodes hold is grounded, too
        largest = np.asarray(np.linalg.norm(ohms, 2, axis=(-2, -1)))
        return np.divide(1, largest, out=np.full_like(largest, np.inf), where=largest > 0)

    def withstands(self, beta: float | Array) -> bool:
        """Return whether springs of −β surely leave one stable state with all diodes blocking.

        β is in S; of a stack, an array ``[chips, 1, 1]``, and the answer is on all chips.

        False where that takes more than a Cholesky factorization to tell; `output_conductance` always tells.
        """
        matrix, springs = self.network.conductance, self.network.topology.springs
        if self.network.topology.others or not self.network.symmetric:
            return False
        if self.size > _WIDE:
            if (left := without_alone(self.network)) is None:
                return False
            matrix, dense = left, self.network.topology.dense
            springs = springs[dense[:, None], dense]
        return positive_definite(matrix - beta * springs)

    def unstable(self, spring: float, volts: Array) -> Index | None:
        """Return the samples whose state is unstable (`harness.circuit.reduction.stability`).

        None where the circuit is not one of diodes with an energy, whose full equations must tell
        (`harness.circuit.dynamics.States`).

        Args:
            spring: S between the nodes of every output.
            volts: every node of each sample's state, V, ``[batch, nodes]``.
        """
        if self.network.topology.others or self._circuit.parts(Vccs) or not self.network.symmetric:
            return None
        if any(isinstance(element, Transformer) for element in self._circuit.elements):
            return None
        return unstable_samples(self.network, spring, self._slopes(volts))

    def _slopes(self, volts: Array, *, ideal: bool = False) -> Array:
        """Return the conductances of all devices about a state (V, ``[batch, nodes]``), S, ``[batch, branches]``."""
        about, kinds = self._circuit.with_ground(volts), self._circuit.device_branches
        slopes = np.concatenate([about[:, :0], *(found.slopes(about) for found in kinds)], axis=1)
        if not ideal:
            return slopes
        nowhere = np.zeros(0, np.intp)
        first, second = (np.concatenate([nowhere, *(getattr(k, end) for k in kinds)]) for end in ("first", "second"))
        return shorts_and_opens(slopes, first, second, self._way_back.beside(self.own))

    def settling(self, drives: Sequence[Drive]) -> SettlingJob:
        """The drives as currents and rails of the reduced network; phases with the same inputs share their arrays.

        Adjoint drives and those with a reversal, whose network is the transposed one, must be among themselves each.
        They and small-signal drives are for one chip alone.
        """
        shared: dict[tuple[int, int], tuple[Array, Array]] = {}
        phases = []
        for drive in drives:
            inputs, key, slopes, oscillation = drive.inputs, (id(drive.inputs), id(drive.reversal)), None, None
            if drive.about is not None:
                still = np.zeros((len(inputs), self.size)), np.zeros((len(inputs), len(self.rail)))
                slopes = self._slopes(drive.about.all_nodes, ideal=drive.ideal)
                if drive.frequency is not None:
                    kept = drive.about if drive.adjoint else None
                    oscillation = Oscillation(drive.frequency, *self._driven(inputs, kept), self.farads)
            elif key not in shared:
                shared[key] = self._driven(inputs, drive.reversal)
            currents, rails = shared[key] if drive.about is None else still
            if drive.currents is not None:
                currents = currents + self._way_back.entering(drive.currents)
            phases.append(Phase(drive.phase, currents, rails, *self._nudge(drive), slopes, oscillation))
        if drives[0].adjoint or drives[0].reversal is not None:
            return SettlingJob(self.network.adjoint, tuple(phases))
        return SettlingJob(self.network, tuple(phases))

    def readings(self, solved: Array, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """Return the reading of every drive, from the solved unknowns (V, ``[..., batch, drives, n]``).

        Adjoint drives and those with a reversal must be among themselves each. Readings have no nodes where all drives
        want the outputs only.
        """
        phases = solved.transpose(solved.ndim - 2, *range(solved.ndim - 2), solved.ndim - 1)
        if drives[0].reversal is not None:
            nodes = np.stack(list(map(self._reversed, phases, drives)))
            return tuple(map(Reading, self._circuit.outputs_of(nodes), nodes))
        if all(drive.outputs_only and drive.plain and drive.nudge is None for drive in drives):
            plus, minus = self._circuit.output_ends
            ends = self._way_back.at(np.concatenate([plus, minus]))
            volts = [ends.responses(phase) + ends.standing(d.inputs) for phase, d in zip(phases, drives, strict=True)]
            return tuple(Reading(v[..., : len(plus)] - v[..., len(plus) :]) for v in volts)
        nodes = (self._way_back.adjoints if drives[0].adjoint else self._way_back.responses)(phases)
        for inputs in {id(drive.inputs): drive.inputs for drive in drives if drive.about is None}.values():
            alike = [k for k, drive in enumerate(drives) if drive.inputs is inputs and drive.about is None]
            nodes[alike if len(alike) < len(drives) else slice(None)] += self._way_back.standing(inputs)
        return tuple(map(Reading, self._circuit.outputs_of(nodes), nodes))

    def _driven(self, inputs: Array, kept: Reading | None = None) -> tuple[Array, Array]:
        """Currents into every unknown (A, ``[..., batch, n]``) and voltages of rails (V, ``[..., batch, rails]``).

        With a state that is `kept`, they keep it in the network of the transposed conductances, which draw other
        currents at the same voltages.

        Raises:
            CircuitError: that cannot be done for the circuit.
        """
        currents, rails = self.current[..., None, :] + inputs @ self.current_gain, self.rail + inputs @ self.rail_gain
        if kept is not None:
            refuse_reversal(self._circuit)
            skew = self.network.conductance - self.network.conductance.T
            currents = currents - self._way_back.unknowns(kept.all_nodes, inputs) @ skew.T
        return currents, rails

    def _reversed(self, solved: Array, drive: Drive) -> Array:
        """Return the voltage of every node, V, ``[batch, nodes]``, under a drive whose one-way parts are reversed."""
        assert drive.reversal is not None  # noqa: S101 - see `readings`
        free = drive.reversal.all_nodes
        moved = solved - self._way_back.unknowns(free, drive.inputs)
        return np.asarray(free + self._way_back.responses(moved, transposed=True))

    def _nudge(self, drive: Drive) -> tuple[Array, float, Array | None]:
        """Pushed current (A, reduced, ``[batch, outputs]``), spring (S) and clamped voltage (V, reduced)."""
        match drive.nudge:
            case Spring(conductance=beta, targets=targets):
                return (beta / self.output_scale) * targets, beta, None
            case Injection(current=amperes):
                scale = 1 / self.output_scale if drive.adjoint else self.output_scale
                return amperes / scale, 0.0, None
            case Clamp(volts=volts):
                return self._nothing(drive), 0.0, volts / self.output_scale
        return self._nothing(drive), 0.0, None

    def _nothing(self, drive: Drive) -> Array:
        return np.zeros((*drive.inputs.shape[:-1], len(self.network.topology.plus)))


class Reduction:
    """The reduction of one topology; `reduce` evaluates it for given conductances."""

    def __init__(self, circuit: Circuit, farads: Array | None = None) -> None:
        """Plan the elimination.

        Args:
            circuit: the topology.
            farads: F from each node to ground, ``[nodes]``, which keep all nodes from being eliminated.

        Raises:
            CircuitError: stages close a loop of their own, a diode or an output pair joins nodes behind unequal gains
                or offsets, outputs lie behind unequal amplification, or cells are not linear.
        """
        refuse_nonlinear(circuit)
        self.circuit = circuit
        self._scaling = scaling_of(circuit)
        transformers = [e for e in circuit.elements if isinstance(e, Transformer)]
        self._names = [*_variable_names(circuit, self._scaling), *(e.name for e in transformers)]
        self._reciprocal = self._scaling.reciprocal and not circuit.parts(Vccs)
        self._kept, interior = self._partition(transformers, whole=farads is not None)
        self._kept_names = tuple(self._names[k] for k in self._kept)
        self._farads = self._lumped(np.zeros(len(circuit.nodes)) if farads is None else farads)[self._kept]
        self._plan_terminals()
        self._equations = Equations(self._terms(transformers), self._kept, interior, circuit.channels)
        rng = np.random.default_rng(0)  # no two cells alike: what buffers of opposite gain do must not cancel
        closed = self._equations.system([c.g_max * rng.uniform(0.5, 1, c.shape) for c in circuit.arrays])
        self._factors = self._factoring(closed.interior, interior)
        conductance, *_ = eliminate(closed, self._factors, reciprocal=self._reciprocal)
        barred = (self._plus, self._minus, *(devices.pins.ravel() for devices in self._others))
        alone = unjoined(conductance, self._junctions, barred)
        ends = len(self._kept), len(self._rail), self._junctions, self._plus, self._minus
        self._topology = Topology(*ends, alone, conductance != 0, self._others)
        self._places = Places(self._scaling, self._kept, interior)
        self._last: tuple[Sequence[Array], ReducedCircuit] | None = None

    def of_kin(self, circuit: Circuit) -> "Reduction | None":
        """The reduction of a circuit that differs in cells, offsets, rails and models of diodes alone; None of others.

        Nothing is sorted and no part is eliminated anew for it.
        """
        if self._others or not only_constants_differ(self.circuit, circuit):
            return None
        made = copy(self)
        made.circuit, made._scaling, made._last = circuit, scaling_of(circuit), None
        equations = self._equations.of_constants(made._scaling.constant)
        made._plan_terminals()
        topology = self._topology.of_kin(made._junctions, made._plus, made._minus, len(made._rail))
        if equations is None or topology is None:
            return None
        made._equations, made._topology, made._places = equations, topology, self._places.standing_at(made._scaling)
        return made

    def reduce(self, conductances: Sequence[Array]) -> ReducedCircuit:
        """The reduced circuit for conductances (S, one array per trainable array).

        Raises:
            CircuitError: all cells that lead to a node are open, so that it floats; names the node.
        """
        if self._last and self._last[0] is conductances:  # a chip's own tuple, whose arrays nobody can write to
            return self._last[1]
        reduced = self._reduced(conductances)
        fixed = isinstance(conductances, tuple) and not any(g.flags.writeable for g in conductances)
        self._last = (conductances, reduced) if fixed else None
        return reduced

    @property
    def stacks(self) -> bool:
        """True where `reduce_stack` can be asked: nothing is eliminated."""
        return not self._equations.eliminates

    def reduce_stack(self, conductances: Sequence[Array]) -> ReducedCircuit:
        """The reduced circuits of a stack of chips, whose conductances (S) have the chips as their first axis.

        Raises:
            CircuitError: in one of them, all cells that lead to a node are open, so that it floats; names the node.
        """
        return self._of(self._equations.systems(conductances))

    def _reduced(self, conductances: Sequence[Array]) -> ReducedCircuit:
        return self._of(self._equations.system(conductances))

    def _of(self, system: System) -> ReducedCircuit:
        self._refuse_floating(system)
        conductance, current, gain, elimination = eliminate(system, self._factors, reciprocal=self._reciprocal)
        topology, alone = self._topology, self._topology.alone
        if conductance.diagonal(axis1=-2, axis2=-1).min(initial=0.0) < 0:  # a loop of stages can make one negative
            below = conductance[..., alone, alone] < 0
            topology = replace(topology, alone=alone[~below.reshape(-1, len(alone)).any(axis=0)])
        return ReducedCircuit(
            names=self._kept_names,
            network=Network(conductance, topology),
            current=current,
            current_gain=gain,
            rail=self._rail,
            rail_gain=self._rail_gain,
            output_scale=self._output_scale,
            farads=self._farads,
            own=system.own,
            _way_back=WayBack(self._places, elimination),
            _circuit=self.circuit,
        )

    def _factoring(self, system: Interior | None, interior: Index) -> Factors | Fronts:
        """Choose how to factor the interior; lines are looked for among resistors, the cells' neighbours."""
        if system is None:
            return Factors.GENERAL
        inner, position = system.matrix, np.full(self._scaling.variables + 1, -1)
        position[interior] = np.arange(len(interior))
        if not (inner - inner.T).nnz:
            first, second, _ = self.circuit.fixed
            ends = np.column_stack([self._scaling.variable[end] for end in (first, second)])
            segments = np.where(ends >= 0, position[ends], -1)  # −1: sources hold that end
            touched = system.into.getnnz(axis=1) > 0
            if fronts := fronts_of(inner, segments[(segments >= 0).all(axis=1)], touched):
                return fronts
        return Factors.of(inner, reciprocal=self._reciprocal)

    def _terms(self, transformers: Sequence[Transformer]) -> Terms:
        circuit, counts = self.circuit, [array.conductances.size for array in self.circuit.arrays]
        terms = Terms(self._scaling, sum(counts), len(transformers))
        for array, begin, count in zip(circuit.arrays, np.cumsum([0, *counts]).tolist(), counts, strict=False):
            first, second = (nodes.ravel() for nodes in np.broadcast_arrays(*circuit.ends(array)))
            terms.add_edges(first, second, np.arange(begin, begin + count), np.ones(count))
        first, second, fixed = circuit.fixed
        terms.add_edges(first, second, np.full(len(first), terms.one), fixed)
        for part in circuit.parts(Vccs):
            terms.add_transconductance(circuit.at(part.nets), part.siemens)
        for number, transformer in enumerate(transformers):
            terms.add_transformer(number, circuit.at(transformer.pins), transformer.ratio)
        for current in circuit.parts(Current):
            terms.add_currents(circuit.at(current.nets), np.array([-current.amperes, current.amperes]))
        return terms

    def _lumped(self, farads: Array) -> Array:
        """Return the capacitance to ground of each variable, F, from those of nodes; sources and buffers carry theirs.

        Dividing Kirchhoff's law at a node by its scale takes out what the scale brings in.
        """
        found, free = np.zeros(len(self._names)), np.flatnonzero(self._scaling.free[:-1])
        np.add.at(found, self._scaling.variable[free], farads[free])
        return found

    def _partition(self, transformers: Sequence[Transformer], *, whole: bool) -> tuple[Index, Index]:
        """Variables that stay, and those that a Schur complement removes (`harness.circuit.reduction.partition`).

        All stay where the `whole` is wanted.
        """
        if whole:
            return np.arange(self._scaling.variables + len(transformers)), np.zeros(0, np.intp)
        variable = self._scaling.variable
        held = [node for device in self.circuit.parts(Device) for node in device.nets]
        held += [n for o in self.circuit.outputs for n in (o.plus, o.minus)]
        held_at = self.circuit.at(held)
        stays = np.zeros(self._scaling.variables + len(transformers), bool)
        stays[variable[held_at][self._scaling.free[held_at]]] = True
        stays[self._scaling.variables :] = True
        ported = [part.nets for part in self.circuit.parts(Vccs)] + [transformer.pins for transformer in transformers]
        touched = variable[self.circuit.at([node for nets in ported for node in nets])]
        stays[touched[touched >= 0]] = True
        ends = np.sort(self._variable_edges(), axis=1)
        edges = np.column_stack(np.divmod(np.unique(ends[:, 0] * len(stays) + ends[:, 1]), len(stays)))
        gone = eliminated(edges, stays)
        return np.flatnonzero(~gone), np.flatnonzero(gone)

    def _variable_edges(self) -> Index:
        """Pairs of variables that some conductance joins, ``[edges, 2]``."""
        variable = self._scaling.variable
        pairs = [np.column_stack([variable[nodes] for nodes in self.circuit.fixed[:2]])]
        for array in self.circuit.arrays:
            ends = np.broadcast_arrays(*(variable[nodes] for nodes in self.circuit.ends(array)))
            pairs.append(np.stack(ends, axis=-1).reshape(-1, 2))
        edges = np.concatenate(pairs)
        return edges[(edges >= 0).all(axis=1) & (edges[:, 0] != edges[:, 1])]

    def _plan_terminals(self) -> None:
        """Number the terminals of diodes and outputs: kept unknowns first, then one rail per held node and frame.

        A frame is the scale and the constant voltage of the free node at the other end.
        """
        scaling, rails = self._scaling, dict[tuple[int, float, float], int]()
        kept = np.full(scaling.variables + 1, -1)
        kept[self._kept[self._kept < scaling.variables]] = np.flatnonzero(self._kept < scaling.variables)

        def terminals(nodes: Index, frames: Array) -> Index:
            for node in nodes[scaling.copied[nodes]].tolist():
                name = self.circuit.nodes[node]
                raise CircuitError(
                    f"node {name}: a buffer holds it, so no diode or output may be there; take its input"
                )
            found, held = kept[scaling.variable[nodes]], ~scaling.free[nodes]
            of_held = np.broadcast_to(frames[:, None], (*nodes.shape, 2))[held].tolist()
            places = zip(nodes[held].tolist(), *zip(*of_held, strict=True), strict=True) if of_held else ()
            found[held] = [len(self._kept) + rails.setdefault(place, len(rails)) for place in places]
            return found

        kinds = []
        for at, devices in zip(self.circuit.device_pins, self.circuit.devices, strict=True):
            frames = self._frames(at, (f"{device.model.noun} {device.name[1:]}" for device in devices))
            models = tuple(device.model for device in devices)
            kinds.append(Devices(terminals(at, frames), models, tuple(frames[:, 0].tolist())))
        self._junctions, self._others = _junctions_apart(kinds)
        at = np.column_stack(self.circuit.output_ends)
        frames = self._frames(at, (f"output {output.name}" for output in self.circuit.outputs))
        out_scales = set(frames[:, 0].tolist())
        if len(out_scales) > 1:
            raise CircuitError(f"circuit {self.circuit.name}: its outputs lie behind unequal amplification")
        self._output_scale = out_scales.pop()
        self._plus, self._minus = terminals(at, frames).T
        nodes = np.array([node for node, *_ in rails], dtype=np.intp)
        scale, constant = (np.array([frame[k] for _, *frame in rails]) for k in (0, 1))
        self._rail = (scaling.constant[nodes] - constant) / scale
        self._rail_gain = np.zeros((self.circuit.channels, len(nodes)))
        follows = np.flatnonzero(scaling.channel[nodes] >= 0)
        self._rail_gain[scaling.channel[nodes[follows]], follows] = scaling.gain[nodes[follows]] / scale[follows]

    def _frames(self, nodes: Index, titles: Iterable[str]) -> Array:
        """Return the scale (V/V) and constant voltage (V) that free nodes of each part share, ``[parts, 2]``.

        Args:
            nodes: of each part, ``[parts, pins]``.
            titles: of the parts.

        Raises:
            CircuitError: those of a part differ.
        """
        scaling, found = self._scaling, np.zeros((len(nodes), 2))
        found[:, 0] = 1.0
        free = scaling.free[nodes]
        own = np.stack([scaling.scale[nodes], scaling.constant[nodes]], axis=-1)
        some = free.any(axis=1)
        found[some] = own[some, free[some].argmax(axis=1)]
        for part in np.flatnonzero(((own != found[:, None]).any(axis=-1) & free).any(axis=1)).tolist():
            ends = " and ".join(dict.fromkeys(self.circuit.nodes[node] for node in nodes[part][free[part]].tolist()))
            raise CircuitError(
                f"{[*titles][part]}: its nodes {ends} lie behind amplifiers of unequal gain or offset; take "
                "amplifiers' inputs"
            )
        return found

    def _refuse_floating(self, system: "System") -> None:
        own = system.own[..., : self._scaling.variables]
        if own.min(initial=np.inf) > 0:
            return
        open_nodes = np.flatnonzero(own <= 0) % max(1, self._scaling.variables)
        ends = [nodes for found in self.circuit.device_branches for nodes in (found.first, found.second)]
        with_device = set(self._scaling.variable[np.concatenate([np.zeros(0, np.intp), *ends])].tolist())
        for variable in open_nodes:
            if variable not in with_device:
                raise CircuitError(f"node {self._names[variable]} floats: every cell that leads to it is open (0 S)")


@lru_cache(maxsize=4)
def reduction_of(circuit: Circuit) -> Reduction:
    """The reduction of a circuit; the plans of the last few are kept, for chips of one circuit share theirs.

    Raises:
        CircuitError: see `Reduction`.
    """
    known = _known(circuit.wiring)
    if found := next(filter(None, (former.of_kin(circuit) for former in known)), None):
        return found
    known[:] = [Reduction(circuit), *known[: _KIN - 1]]
    return known[0]


@lru_cache(maxsize=4)
def _known(wiring: object) -> list[Reduction]:  # noqa: ARG001 - it is the key
    """The last few reductions of a wiring that had to be planned."""
    return []


def _junctions_apart(kinds: Sequence[Devices]) -> tuple[Junctions, tuple[Devices, ...]]:
    """The diodes, and the devices of all other kinds."""
    pins, cards = np.zeros((0, 2), np.intp), []
    if kinds and type(kinds[0].models[0]) is DiodeModel:
        pins = kinds[0].pins
        cards = [model.card(unit)[1] for model, unit in zip(kinds[0].models, kinds[0].units, strict=True)]
    saturation, emission = (np.array([card[name] for card in cards]) for name in ("is", "n"))
    return Junctions(pins[:, 0], pins[:, 1], saturation, emission), tuple(kinds[bool(cards) :])


def _variable_names(circuit: Circuit, scaling: Scaling) -> list[str]:
    """The first circuit node of each variable."""
    names = [""] * scaling.variables
    for node, variable in reversed(list(zip(circuit.nodes, scaling.variable, strict=False))):
        if variable >= 0:
            names[variable] = node
    return names

"""A circuit as small signals see it: nonlinear elements become conductances, sources stand still (Chaffey 2025)."""

from dataclasses import replace
from typing import cast

import numpy as np

from harness.circuit.branches import Branches
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Element, Modelled, Resistor
from harness.circuit.part import GROUND
from harness.devices.diode import GMIN
from harness.measurement import Array, Index

_SHORT = 1e7
"""Conductance of a short as a multiple of the largest sum of linear conductances at a device: exact to about 1e-7."""


def linearized(circuit: Circuit, nodes: Array, *, ideal: bool = False) -> Circuit:
    """The circuit about the operating point `nodes` (V, ``[nodes]``): one of its own, with the same nodes.

    With `ideal`, devices are shorts and opens instead of the slopes of their laws.
    """
    volts = {**dict(zip(circuit.nodes, nodes.tolist(), strict=True)), GROUND: 0.0}
    seen = [(element, part) for element in circuit.elements for part in element.small_signal(volts)]
    parts = [cast("Element", part) for _, part in seen]
    if ideal:
        at = [k for k, (e, part) in enumerate(seen) if isinstance(e, Modelled) and isinstance(part, Resistor)]
        devices = [cast("Resistor", parts[k]) for k in at]
        first, second = circuit.at([d.a for d in devices]), circuit.at([d.b for d in devices])
        beside = Branches(circuit).programmed(circuit.conductances).beside()
        siemens = shorts_and_opens(np.array([d.conductance for d in devices]), first, second, beside)
        for k, device, value in zip(at, devices, siemens.tolist(), strict=True):
            parts[k] = replace(device, conductance=value)
    return replace(circuit, elements=tuple(parts))


def shorts_and_opens(slopes: Array, first: Index, second: Index, beside: Array) -> Array:
    """Return the conductances (S, ``[..., branches]``) of ideal devices in the places of real ones.

    A device conducts where its slope is above the linear conductance at one of its ends: there its own drop hardly
    matters for small signals. It becomes a conductance that is as good as a short. Where it does not conduct, nothing
    is left of it but the conductance gmin that simulators put across every junction. A node that devices alone hold, as
    the one between two Zener diodes, counts with the least conductance at their other ends.

    Args:
        slopes: of the laws at an operating point, S, ``[..., branches]``.
        first: numbers of the nodes at one end of every branch, ``[branches]``.
        second: the same at the other end.
        beside: S of all linear parts at each node, infinite where it is held.
    """
    short = _SHORT * float(np.max(beside, where=np.isfinite(beside), initial=GMIN))
    held = np.where(beside > 0, beside, np.inf)
    found = held.copy()
    for near, far in ((first, second), (second, first)):
        alone = beside[near] <= 0
        np.minimum.at(found, near[alone], held[far[alone]])
    return np.where(slopes > np.minimum(found[first], found[second]), short, GMIN)

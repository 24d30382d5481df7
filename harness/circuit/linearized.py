"""A circuit as small signals see it: nonlinear elements become conductances, sources stand still (Chaffey 2025)."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from harness.circuit.branches import Branches
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Element, Modelled, Resistor
from harness.circuit.part import GROUND
from harness.devices.diode import GMIN
from harness.measurement import Array

_SHORT = 1e7
"""Conductance of a short as a multiple of the largest sum of linear conductances at a device: exact to about 1e-7."""


def linearized(circuit: Circuit, nodes: Array, *, ideal: bool = False) -> Circuit:
    """The circuit about the operating point `nodes` (V, ``[nodes]``): one of its own, with the same nodes.

    With `ideal`, devices are shorts and opens instead of the slopes of their laws.
    """
    volts = {**dict(zip(circuit.nodes, nodes.tolist(), strict=True)), GROUND: 0.0}
    beside = Branches(circuit).programmed(circuit.conductances).beside() if ideal else None

    def seen() -> Iterator[Element]:
        for element in circuit.elements:
            for part in element.small_signal(volts):
                if beside is not None and isinstance(element, Modelled) and isinstance(part, Resistor):
                    steep = np.array([part.conductance])
                    first, second = (circuit.at([end]) for end in (part.a, part.b))
                    (siemens,) = shorts_and_opens(steep, np.minimum(beside[first], beside[second]), beside)
                    yield replace(part, conductance=float(siemens))
                else:
                    yield part  # type: ignore[misc]

    return replace(circuit, elements=tuple(seen()))


def shorts_and_opens(slopes: Array, least: Array, beside: Array) -> Array:
    """Return the conductances (S, ``[..., branches]``) of ideal devices in the places of real ones.

    A device conducts where its slope is above the linear conductance at one of its ends: there its own drop hardly
    matters for small signals. It becomes a conductance that is as good as a short. Where it does not conduct, nothing
    is left of it but the conductance gmin that simulators put across every junction.

    Args:
        slopes: of the laws at an operating point, S, ``[..., branches]``.
        least: S of all linear parts at that end of a branch that has less, ``[branches]``; infinite where both ends
            are held.
        beside: S of all linear parts at each node or unknown, infinite where it is held.
    """
    short = _SHORT * float(np.max(beside, where=np.isfinite(beside), initial=GMIN))
    return np.where(slopes > least, short, GMIN)

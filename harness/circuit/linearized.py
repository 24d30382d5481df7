"""A circuit as small signals see it: nonlinear elements become conductances, sources stand still (Chaffey 2025, §5)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from harness.circuit.circuit import Circuit
from harness.circuit.elements import Element
from harness.circuit.part import GROUND
from harness.measurement import Array


def linearized(circuit: Circuit, nodes: Array) -> Circuit:
    """The circuit about the operating point `nodes` (V, ``[nodes]``): one of its own, with the same nodes."""
    volts = {**dict(zip(circuit.nodes, nodes.tolist(), strict=True)), GROUND: 0.0}
    seen = (part for element in circuit.elements for part in element.small_signal(volts))
    return replace(circuit, elements=tuple(cast("Iterator[Element]", seen)))

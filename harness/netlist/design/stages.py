"""Stages as cells: what amplifiers, buffers, gyrators and transformers come down to, under local names."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from harness.circuit.elements import Stage, TwoPort
from harness.circuit.part import GROUND
from harness.circuit.primitives import RESERVED, Primitive, Vcvs, Voltage
from harness.netlist.design.naming import VSS
from harness.netlist.design.parts import Role

StageElement = Stage | TwoPort
"""An element that becomes a cell of controlled sources."""


def stage_cell(stage: StageElement) -> tuple[Role, tuple[str, ...], list[Primitive]]:
    """A stage's role, its ports in the order of its pins and with ground, and the parts between them."""
    ports = ("in", "out") if isinstance(stage, Stage) else ("a", "b", "c", "d")
    parts = list(_parts(stage, ports))
    ground = (VSS,) if any(VSS in part.nets for part in parts) else ()
    return Role(stage.noun.split()[-1]), (*ports, *ground), parts


def _parts(stage: StageElement, ports: tuple[str, ...]) -> Iterator[Primitive]:
    """Numbered by their letters; an offset is a source before the input."""
    lowered = list(stage.placed("own", ports).lowered())
    counts: Counter[str] = Counter()
    names = {}
    for part in lowered:
        counts[part.name[0]] += 1
        names[part.name] = f"{part.name[0]}{counts[part.name[0]]}"
    for part in lowered:
        own = part.renamed(names.__getitem__, _net)
        if isinstance(own, Vcvs) and own.offset:
            plus, minus, above, below = own.nets
            yield Voltage("v2", ("shifted", above), own.offset)
            own = replace(own, nets=(plus, minus, "shifted", below), offset=0.0)
        yield own


def _net(node: str) -> str:
    return VSS if node == GROUND else "sense" if node.startswith(RESERVED) else node

"""Chains of diodes between held nodes without a conductance: why a circuit has no state that could be found."""

from collections import deque
from collections.abc import Iterator

import numpy as np

from harness.circuit import Circuit
from harness.circuit.elements import Diode
from harness.circuit.part import GROUND
from harness.devices.diode import THERMAL_VOLTAGE
from harness.measurement import Clamp, Drive
from harness.units import show

_MOST = 1e3  # A


def shorted(circuit: Circuit, drive: Drive, sample: int) -> str | None:
    """Return the cure for a sample in which diodes alone would carry an absurd current; None where none does.

    The voltages of held nodes are those of sources, of ground and of clamped outputs that are read against ground.
    """
    held = {GROUND: 0.0}
    held |= {source.node: float(source.level(drive.inputs[[sample]])[0]) for source in circuit.sources}
    if isinstance(drive.nudge, Clamp):
        volts = zip(circuit.outputs, drive.nudge.volts[sample].tolist(), strict=True)
        held |= {output.plus: v for output, v in volts if output.minus == GROUND}
    for chain in _chains(circuit, held):
        first, last = chain[0].anode, chain[-1].cathode
        if held[first] - held[last] > _drop(chain, _MOST):
            names, ends = ", ".join(diode.name for diode in chain), (show(held[node], "V") for node in (first, last))
            above, below = ends
            return (
                f"diodes alone ({names}) lead from {first} at {above} to {last} at {below} and would carry more than "
                f"{show(_MOST, 'A')}; put a resistor in series"
            )
    return None


def _chains(circuit: Circuit, held: dict[str, float]) -> Iterator[list[Diode]]:
    """Yield chains of the fewest diodes that conduct from one held node to another, each through nodes not held."""
    leaving: dict[str, list[Diode]] = {}
    for element in circuit.elements:
        if isinstance(element, Diode):
            leaving.setdefault(element.anode, []).append(element)
    for start in held:
        chains, seen = deque[list[Diode]]([[diode] for diode in leaving.get(start, [])]), {start}
        while chains:
            chain = chains.popleft()
            if (end := chain[-1].cathode) in seen:
                continue
            seen.add(end)
            if end in held:
                yield chain
            else:
                chains.extend([*chain, diode] for diode in leaving.get(end, []))


def _drop(chain: list[Diode], amperes: float) -> float:
    """Return the voltage (V) over diodes in series that carry a current (A)."""
    scale, ratio = zip(*((d.model.emission, amperes / d.model.saturation_current) for d in chain), strict=True)
    return float(THERMAL_VOLTAGE * np.dot(scale, np.log1p(ratio)))

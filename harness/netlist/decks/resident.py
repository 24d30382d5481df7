"""The reduced network as a deck that stays loaded: its sources are altered for every phase of every sample.

This is how such circuits are usually driven. `harness benchmark` times it against the sweep
(`harness.netlist.decks.batch`).
"""

from collections.abc import Iterator

from harness.circuit import SettlingJob
from harness.netlist.decks.batch import conductance_lines, device_lines, node_name
from harness.netlist.tolerances import Tolerances, options
from harness.units import spice_number

_OPEN = 1e30
"""Ω of a spring that is switched off."""


def resident_lines(settling: SettlingJob, tolerances: Tolerances) -> list[str]:
    """The deck with all sources at zero."""
    network = settling.network
    rails = [f"rail{k}" for k in range(settling.phases[0].rails.shape[1])]
    terminals = [*map(node_name, range(network.size)), *rails]
    ends = [
        (terminals[plus], terminals[minus])
        for plus, minus in zip(network.topology.plus, network.topology.minus, strict=True)
    ]
    return [
        "* reduced network: sources to be altered",
        options(tolerances),
        *device_lines(network.topology, terminals),
        *(f"v{rail} {rail} 0 0" for rail in rails),
        *conductance_lines(network.conductance),
        *(f"i{k} 0 {node_name(k)} 0" for k in range(network.size)),
        *(f"iy{k} {minus} {plus} 0" for k, (plus, minus) in enumerate(ends)),
        *(f"ry{k} {plus} {minus} {_OPEN!r}" for k, (plus, minus) in enumerate(ends)),
        ".end",
    ]


def alterations(settling: SettlingJob) -> Iterator[list[str]]:
    """Yield, for every sample and, within it, every phase, the commands that set what has changed since the last."""
    before: dict[str, float] = {}
    for sample in range(len(settling)):
        for phase in settling.phases:
            spring = 1 / phase.spring if phase.spring else _OPEN
            wanted = {f"i{k} dc": value for k, value in enumerate(phase.currents[sample].tolist())}
            wanted |= {f"vrail{k} dc": value for k, value in enumerate(phase.rails[sample].tolist())}
            wanted |= {f"iy{k} dc": value for k, value in enumerate(phase.pushed[sample].tolist())}
            wanted |= {f"ry{k}": spring for k in range(len(settling.network.topology.plus))}
            yield [f"alter {name}={spice_number(value)}" for name, value in wanted.items() if before.get(name) != value]
            before |= wanted


def vectors(settling: SettlingJob) -> tuple[str, ...]:
    """Return the names of the voltages to read, one for each unknown."""
    return tuple(f"v({node_name(k)})" for k in range(settling.network.size))

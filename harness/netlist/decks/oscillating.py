"""Small signals at a frequency, by ngspice's ``.ac``: it finds the operating point and linearizes its devices there.

The deck of a reduced network stays loaded while the sources are altered for every sample: direct currents and rails for
the operating point, and the amplitudes of what oscillates.
"""

from collections.abc import Iterator

from harness.circuit import Circuit, SettlingJob
from harness.circuit.primitives import RESERVED
from harness.measurement import Array, Drive, Injection
from harness.netlist.decks.batch import conductance_lines, device_lines, node_name
from harness.netlist.decks.full import circuit_lines, saved
from harness.netlist.decks.resident import vectors
from harness.netlist.tolerances import Tolerances, options
from harness.units import spice_number

_IN_A_COMMAND = 18
"""Alterations in one command, which may have 1,023 characters."""
__all__ = ["alterations", "full_lines", "reduced_lines", "vectors"]


def reduced_lines(settling: SettlingJob, tolerances: Tolerances) -> list[str]:
    """Return the deck of a reduced network with all sources at zero; all phases of the job have the same frequency."""
    network, oscillation = settling.network, settling.phases[0].oscillation
    assert oscillation is not None  # noqa: S101 - jobs of other kinds have other decks
    rails = [f"rail{k}" for k in range(oscillation.rails.shape[1])]
    terminals = [*map(node_name, range(network.size)), *rails]
    ends = [
        (terminals[plus], terminals[minus])
        for plus, minus in zip(network.topology.plus, network.topology.minus, strict=True)
    ]
    names = [f"v({node_name(k)})" for k in range(network.size)]
    return [
        "* reduced network: small signals about an operating point",
        options(tolerances),
        *device_lines(network.topology, terminals),
        *(f"v{rail} {rail} 0 0" for rail in rails),
        *conductance_lines(network.conductance),
        *(f"c{k} {node_name(k)} 0 {spice_number(farads)}" for k, farads in enumerate(oscillation.farads) if farads),
        *(f"i{k} 0 {node_name(k)} 0" for k in range(network.size)),
        *(f"iy{k} {minus} {plus} dc 0 ac 0" for k, (plus, minus) in enumerate(ends)),
        *(f".save {' '.join(names[k : k + 20])}" for k in range(0, len(names), 20)),
        ".end",
    ]


def alterations(settling: SettlingJob) -> Iterator[list[str]]:
    """Yield, for every sample and, within it, every phase, the commands that set its sources."""
    for sample in range(len(settling)):
        for phase in settling.phases:
            oscillation = phase.oscillation
            assert oscillation is not None  # noqa: S101 - see `reduced_lines`
            set_to = [(f"i{k}[dc]", value) for k, value in enumerate(oscillation.currents[sample])]
            set_to += [(f"vrail{k}[dc]", value) for k, value in enumerate(oscillation.rails[sample])]
            set_to += [(f"iy{k}[acmag]", value) for k, value in enumerate(phase.pushed[sample])]
            alters = [f"alter @{name}={spice_number(value)}" for name, value in set_to]
            yield [";".join(alters[k : k + _IN_A_COMMAND]) for k in range(0, len(alters), _IN_A_COMMAND)]


def full_lines(circuit: Circuit, drive: Drive, sample: int, farads: Array, tolerances: Tolerances) -> list[str]:
    """Return the deck of the full network for one sample; `farads` (F) are from each node to ground, ``[nodes]``."""
    assert isinstance(drive.nudge, Injection)  # noqa: S101 - chips refuse others
    pins = [f"{output.minus} {output.plus}" for output in circuit.outputs]
    amplitudes = drive.nudge.current[sample]
    loads = [(node, value) for node, value in zip(circuit.nodes, farads, strict=True) if value]
    return [
        "* full network: small signals about an operating point",
        options(tolerances),
        *circuit_lines(circuit, drive.inputs[sample]),
        *(f"c{RESERVED}load{k} {node} 0 {spice_number(value)}" for k, (node, value) in enumerate(loads)),
        *(
            f"i{RESERVED}nudge{k} {ends} dc 0 ac {spice_number(value)}"
            for k, (ends, value) in enumerate(zip(pins, amplitudes, strict=True))
        ),
        *saved(circuit),
        ".end",
    ]

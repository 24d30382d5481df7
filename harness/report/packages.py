"""Reports of exported packages: their own netlists, solved for their own samples."""

from pathlib import Path

import numpy as np

from harness.circuit import Circuit, InputSource
from harness.errors import NetlistError
from harness.measurement import Array
from harness.netlist.dialects import Phase
from harness.netlist.package.manifest import EXPECTED, read_manifest
from harness.netlist.reading.expected import read_expected
from harness.netlist.reading.mapped import read_map
from harness.netlist.reading.reader import read_circuit
from harness.report.contents import Contents, Finding, Kind, Limits, versions_of
from harness.report.survey import Survey, survey
from harness.units import show

_CLOSE = 1e-6  # V


def gather_package(folder: Path, limits: Limits) -> tuple[Contents, Array]:
    """Examine a package's circuit for the samples in its expected.csv; return the contents and the inputs (V).

    Raises:
        CircuitError, NetlistError: the folder is no package, its netlist is not its own any more, or it has no samples.
        ConvergenceError: a sample did not settle.
    """
    manifest = read_manifest(folder)
    circuit = read_circuit(folder)
    if not (folder / EXPECTED).exists():
        raise NetlistError(f"package {folder}: it has no {EXPECTED} to take samples from; report the run instead")
    package = read_expected(folder, manifest, read_map(folder))
    expected = [dict(zip(package.nodes, row, strict=True)) for row in package.volts[Phase.FREE].tolist()]
    inputs = _inputs(circuit, expected, folder)
    found = survey(circuit, inputs)
    count = len(expected)
    report = Contents(
        name=manifest["experiment"],
        description=f"{manifest['dialect']} package {folder.resolve().name}",
        settings=None,
        origin=manifest["conductances"],
        circuit=circuit,
        found=found,
        limits=limits,
        rows_told=f"the package's {count} sample{'s' * (count > 1)}",
        score="accuracy",
        reached=None,
        result=None,
        steps=[],
        epochs=[],
        versions=versions_of(manifest["versions"]),
        more=(_against_expected(found, expected), _verified(manifest.get("verified"))),
    )
    return report, inputs


def _inputs(circuit: Circuit, expected: list[dict[str, float]], folder: Path) -> Array:
    """Return V before the input gain, ``[samples, channels]``, from the voltages that the pins should have."""
    inputs = np.zeros((len(expected), circuit.channels))
    for pin in (element for element in circuit.elements if isinstance(element, InputSource) and element.gain):
        try:
            inputs[:, pin.channel] = [volts[pin.node] / pin.gain for volts in expected]
        except KeyError as error:
            raise NetlistError(f"package {folder}: {EXPECTED} has no voltage of input pin {pin.node}") from error
    return inputs


def _against_expected(found: Survey, expected: list[dict[str, float]]) -> Finding:
    worst, where = 0.0, ""
    for group in found.groups:
        for row, volts in enumerate(expected):
            for name, solved in zip(group.names, group.volts[row], strict=True):
                apart = abs(float(solved) - volts.get(name, float(solved)))
                if not apart <= worst:
                    worst, where = apart, name
    if worst <= _CLOSE:
        return Finding(Kind.OK, f"The netlist has the voltages of {EXPECTED} to {show(worst, 'V')}.")
    return Finding(Kind.WARNING, f"The netlist is up to {show(worst, 'V')} from {EXPECTED}, at node {where}.")


def _verified(state: object) -> Finding:
    if not isinstance(state, dict):
        return Finding(Kind.NOTE, "The package was not simulated again yet (harness verify).")
    if state.get("equal") is True:
        unread = state.get("unread")
        but = f"; {', '.join(map(str, unread))} could not read it" if isinstance(unread, list) and unread else ""
        return Finding(Kind.OK, f"harness verify found it equal to what was exported{but}.")
    return Finding(Kind.WARNING, "harness verify found it different from what was exported.")

"""Packages of netlists (`harness.netlist.package.package`) made from a run or an experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.chip.imperfect.made import VariedChip
from harness.chip.nodal.chip import nodal_chip
from harness.circuit import Circuit
from harness.errors import CircuitError, ExperimentError, SimulatorError
from harness.exchange.simulators.base import sampled
from harness.exchange.simulators.child import Limits, in_child
from harness.exchange.simulators.ngspice import transient
from harness.exchange.statistics import statistics_of, typical_circuit
from harness.experiment.experiment import Experiment
from harness.measurement import Array, Drive, Spring
from harness.netlist.design.design import TILE, Tile, design_of
from harness.netlist.deviation import deviation_of
from harness.netlist.dialects import NGSPICE, RESISTORS, CellStyle, Dialect, Phase, Stimulus
from harness.netlist.package.package import Origin, Package
from harness.netlist.tolerances import Conditions, Tolerances
from harness.processes.versions import versions
from harness.training.runs import Run

_IN_TIME = Tolerances(1e-6, 1e-9, 1e-12)
"""For testbenches whose cells move in time: tighter ones multiply the steps and change voltages by less than 1e-5."""
_SECONDS = 1800.0
"""That ngspice may take for such a testbench."""
_TOLERANCE = 1e-9  # V of the last Newton step, whose square over 26 mV is left
_VERSIONS = ("harness", "numpy", "scipy")
ROWS = 4
"""Held-out rows that testbenches apply unless others are chosen."""


@dataclass(frozen=True)
class Choices:
    """The choices for a package."""

    dialect: Dialect = NGSPICE
    rows: tuple[int, ...] | None = None
    """Numbers of held-out rows; None for the first four."""
    tile: Tile = TILE
    cells: CellStyle = RESISTORS
    as_made: bool = False
    """The chip with its variation, if the experiment has any, instead of the circuit as it was drawn."""
    statistics: bool = False
    """The typical chip, with files in which chips differ as `[variation]` says."""
    temperatures: tuple[float, ...] | None = None
    """°C for those files; None for that of `[variation]`."""


def package_of(subject: Experiment, run: Run | None, choices: Choices) -> Package:
    """Return the package that `harness export` writes.

    Raises:
        ExperimentError: there is no such row, or chips are to differ and do not.
        RunError: the run has no checkpoint yet.
        CircuitError: the tile or the variation is impossible.
        ConvergenceError: the nodal solver did not settle.
    """
    drawn = subject.trained(run) if run else subject.circuit
    as_made = choices.as_made and not subject.settings.variation.build().absent
    circuit = made_circuit(subject, drawn) if as_made else drawn
    if choices.statistics:
        circuit = typical_circuit(subject, drawn)
    rows = _rows(subject, choices.rows)
    stimulus = stimulus_of(subject, rows)
    statistics = None
    if choices.statistics:
        statistics = statistics_of(subject, circuit, stimulus, choices.dialect, choices.temperatures)
    design = design_of(circuit, choices.tile, subject.settings.name)
    origin = Origin(
        experiment=subject.settings.name,
        conductances=subject.told(run),
        run=run.path.resolve().name if run else None,
        versions=versions(_VERSIONS),
        rows=rows,
        as_made=as_made,
        temperature=subject.settings.variation.temperature if as_made else None,
    )
    package = Package(design, choices.dialect, stimulus, {}, origin, choices.tile, choices.cells, None, statistics)
    return _with_expected(package) if choices.dialect.has_testbench else package


def _with_expected(package: Package) -> Package:
    """Return the package with the voltages that its own cells give.

    Raises:
        ConvergenceError: the nodal solver did not settle.
        CircuitError: cells move in time, and ngspice does not get through the testbenches.
        NgspiceMissing: cells move in time, and libngspice cannot be loaded.
    """
    circuit, cells = package.design.circuit, package.cells
    trained = expected_volts(circuit, package.stimulus)
    if (read := cells.read_volts) is None:
        return replace(package, expected=trained)
    conducting = cells.conducting(circuit)
    if conducting is None:
        package = replace(package, stimulus=replace(package.stimulus, tolerances=_IN_TIME))
        found = _simulated_volts(package, trained, read)
    else:
        found = expected_volts(conducting, package.stimulus)
    return replace(package, expected=found, deviation=deviation_of(circuit, read, package.origin.rows, trained, found))


def _simulated_volts(package: Package, trained: Mapping[Phase, Array], read: float) -> dict[Phase, Array]:
    """Return V of every node, ``[samples, nodes]``, that ngspice gives for the testbenches as they stand.

    Raises:
        CircuitError: it does not get through them; says how far the trained network drives the cells.
        NgspiceMissing: it cannot be loaded.
    """
    stimulus, nets = package.stimulus, package.nets()
    times = [stimulus.middle(k) for k in range(len(stimulus))]
    conditions, found = Conditions(stimulus.tolerances), {}
    try:
        for phase in Phase:
            lines = package.deck(phase)
            limits = Limits(_SECONDS, Limits.of(len(lines)).memory)
            time, volts = in_child("ngspice", limits, transient, lines, conditions, nets, times[0], stimulus.stop)
            found[phase] = sampled(time, volts, times)
    except SimulatorError as error:
        driven = deviation_of(package.design.circuit, read, package.origin.rows, trained, trained).driven
        why = " / ".join(line.strip() for line in str(error).splitlines()[:2])
        raise CircuitError(
            f"cells {package.cells.name}: ngspice does not get through the package's own testbench ({why}), so there "
            f"is nothing to expect of it; {driven}; scale inputs and rails down, or take another --device or --cells"
        ) from error
    return found


def made_circuit(subject: Experiment, drawn: Circuit) -> Circuit:
    """Return the circuit inside the experiment's chip when it is programmed to the drawn one's conductances.

    Raises:
        CircuitError: a pass of the variation refuses the circuit.
    """
    variation = subject.settings.variation.build()
    return drawn if variation.absent else VariedChip(drawn, variation, subject.settings.chip_seed, nodal_chip).made


def stimulus_of(subject: Experiment, rows: Sequence[int]) -> Stimulus:
    """Return held-out rows with their targets; β is the learning rule's, or what suits the network."""
    batch = subject.data.test.batch(np.array(rows, dtype=np.intp))
    return Stimulus(batch.inputs, batch.targets, subject.strength.beta)


def expected_volts(circuit: Circuit, stimulus: Stimulus) -> dict[Phase, Array]:
    """Return V of every node in each phase, ``[samples, nodes]``, from the nodal solver.

    Raises:
        ConvergenceError: it did not settle.
    """
    drives = [Drive(stimulus.inputs), Drive(stimulus.inputs, Spring(stimulus.beta, stimulus.targets), phase="nudged")]
    free, nudged = (reading.all_nodes for reading in nodal_chip(circuit, tolerance=_TOLERANCE).measure(drives))
    return {Phase.FREE: free, Phase.NUDGED: nudged}


def _rows(subject: Experiment, wanted: tuple[int, ...] | None) -> tuple[int, ...]:
    count = len(subject.data.test)
    if wanted is None:
        return tuple(range(min(ROWS, count)))
    for row in wanted:
        if not 0 <= row < count:
            raise ExperimentError(f"sample {row}: there is no such row; the held-out rows are 0…{count - 1}")
    return wanted

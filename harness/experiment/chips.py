"""The chip that settings describe: what simulates it, how it was made, how its cells are written, what its pins do."""

from dataclasses import dataclass

from harness.chip.base import Chip
from harness.chip.imperfect.made import VariedChip
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.imperfect.programming import ProgrammedChip
from harness.chip.ngspice.chip import FullBatchChip, NgspiceChip
from harness.chip.ngspice.cluster import Cluster
from harness.chip.ngspice.pool import WorkerPool
from harness.chip.ngspice.worker import OneSimulator, Simulators
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import Circuit
from harness.circuit.circuit import nonlinear_arrays
from harness.errors import CircuitError, ExperimentError
from harness.experiment.assembly import build_programming, build_variation
from harness.experiment.chip_sections import ChipSettings
from harness.experiment.settings import Settings
from harness.measurement import Access
from harness.netlist.tolerances import Tolerances


@dataclass(frozen=True)
class SimulatorChoice:
    """How many ngspices settle the chunks of a batch, and where; no result depends on it."""

    workers: int = 1
    """Processes on this machine; 1 is this process itself."""
    scheduler: str | None = None
    """Address of a Dask cluster, whose workers are used instead."""

    def check(self) -> None:
        """Reach the cluster once, so that nothing is begun which it could not do.

        Raises:
            ChipError: it cannot be used.
        """
        if self.scheduler is not None:
            self.open(Tolerances()).close()

    def open(self, tolerances: Tolerances) -> Simulators:
        """Processes and connections; the chip closes them.

        Raises:
            ChipError: the cluster cannot be used, or libngspice cannot be loaded.
        """
        if self.scheduler is not None:
            return Cluster(tolerances, self.scheduler)
        return OneSimulator(tolerances) if self.workers == 1 else WorkerPool(tolerances, self.workers)


HERE = SimulatorChoice()
"""The ngspice of this process."""


def tolerances_of(chip: ChipSettings) -> Tolerances:
    """ngspice's convergence bounds."""
    return Tolerances(chip.reltol, chip.vntol, chip.abstol)


def build_chip(settings: Settings, circuit: Circuit, simulators: SimulatorChoice = HERE) -> Chip:
    """Make the chip of an experiment, with a circuit's conductances.

    Args:
        settings: of the experiment, with a device's own conductances where these are the network's.
        circuit: as it was drawn.
        simulators: how many ngspices, and where; they matter to ngspice only.

    Raises:
        ExperimentError: the chip of ``[variation]`` cannot be made.
        NgspiceMissing: the experiment wants ngspice and the machine has none.
        ChipError: the chosen cluster cannot be used.
    """
    errors, programming = PinErrors(**settings.imperfect.model_dump()), build_programming(settings)
    chip = _made(settings, circuit, simulators)
    if not errors.ideal:
        chip = ImperfectChip(chip, errors, seed=settings.chip_seed)
    return chip if programming is None else ProgrammedChip(chip, programming, seed=settings.chip_seed)


def chip_kinds(settings: Settings) -> list[str]:
    """The chip of `build_chip` as `harness.training.parts.described_chip` tells it, without making one."""
    wrapped = {
        ProgrammedChip: settings.programming is not None,
        ImperfectChip: not PinErrors(**settings.imperfect.model_dump()).ideal,
        VariedChip: not build_variation(settings).absent,
    }
    return [*(kind.__qualname__ for kind, there in wrapped.items() if there), settings.chip.kind]


def _made(settings: Settings, circuit: Circuit, simulators: SimulatorChoice) -> Chip:
    """The circuit as it was made, in what simulates it; a wrapper around that decides what may be read."""
    variation, seed, access = build_variation(settings), settings.chip_seed, settings.chip.access
    if variation.absent:
        return _simulated(settings.chip, circuit, simulators, access)
    try:
        return VariedChip(
            circuit, variation, seed, lambda made: _simulated(settings.chip, made, simulators), access=access
        )
    except CircuitError as error:
        cure = "lower the strengths of [variation], or draw another chip with variation.seed"
        raise ExperimentError(f"chip {seed} of [variation] cannot be made: {error}; {cure}") from error


def _simulated(
    chip: ChipSettings, circuit: Circuit, simulators: SimulatorChoice, access: Access = Access.NODES
) -> Chip:
    nonlinear, time = bool(nonlinear_arrays(circuit)), chip.settling_time  # no reduction takes nonlinear cells
    if chip.kind == "nodal":
        kind = UnreducedNodalChip if nonlinear else NodalChip
        return kind(circuit, access=access, settling_time=time)
    tolerances = tolerances_of(chip)
    if nonlinear:
        return FullBatchChip(circuit, tolerances=tolerances, chunk=chip.chunk, access=access, settling_time=time)
    opened = simulators.open(tolerances)
    return NgspiceChip(circuit, simulators=opened, chunk=chip.chunk, access=access, settling_time=time)

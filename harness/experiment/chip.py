"""``[chip]``: what the network is simulated with; and the chip with all that is wrong with it."""

from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

from pydantic import Field, model_validator

from harness.chip.base import SIMULATED, Chip, SimulationOptions
from harness.chip.history import ageing_part
from harness.chip.imperfect.ageing import AgeingChip
from harness.chip.imperfect.johnson import JohnsonChip
from harness.chip.imperfect.made import VariedChip
from harness.chip.imperfect.pins import ImperfectChip
from harness.chip.imperfect.programming import ProgrammedChip
from harness.chip.ngspice.chip import FullBatchChip, NgspiceChip
from harness.chip.ngspice.choosing import MeasuredSimulators
from harness.chip.ngspice.session import open_session
from harness.chip.ngspice.worker import OneSimulator, Simulators
from harness.chip.nodal.chip import nodal_chip
from harness.circuit import Circuit
from harness.circuit.circuit import settled_whole
from harness.errors import CircuitError, ExperimentError
from harness.experiment.nonideal.imperfect import ImperfectSettings
from harness.experiment.nonideal.programming import ProgrammingSettings
from harness.experiment.nonideal.retention import RetentionSettings
from harness.experiment.nonideal.variation import CHIP, VariationSettings
from harness.measurement import Access, Capabilities
from harness.netlist.tolerances import Tolerances
from harness.plugins import Kind, Plugin, find, named, options_of
from harness.validation import Amperes, Farads, MismatchError, Number, Seconds, Section, Volts, Whole
from harness.wording import listed

if TYPE_CHECKING:  # most experiments have neither board nor workers, which take a while to import
    from harness.chip.bench.journal import Session
    from harness.chip.ngspice.pool import WorkerPool
    from harness.experiment.runs.bench import Bench


@dataclass(frozen=True)
class SimulatorChoice:
    """Number and place of the ngspice processes that settle the chunks of a batch; no result depends on them."""

    workers: int = 1
    """Processes on this machine; 1 is this process itself."""
    scheduler: str | None = None
    """Address of a Dask cluster, whose workers are used instead."""
    measured: bool = False
    """True where `workers` are the most: they are used if they are measured to be faster than this process alone."""

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
            from harness.chip.ngspice.cluster import Cluster  # noqa: PLC0415 - few have a cluster

            return Cluster(tolerances, self.scheduler)
        if self.measured:
            return MeasuredSimulators(OneSimulator(tolerances), self.workers, partial(self._new_pool, tolerances))
        return OneSimulator(tolerances) if self.workers == 1 else self._new_pool(tolerances)

    def _new_pool(self, tolerances: Tolerances) -> "WorkerPool":
        from harness.chip.ngspice.pool import WorkerPool  # noqa: PLC0415 - small trainings need none

        return WorkerPool(tolerances, self.workers)


HERE = SimulatorChoice()
"""The ngspice of this process."""


@dataclass(frozen=True)
class Request:
    """An experiment's wishes for a chip beside its circuit."""

    access: Access
    """The nodes that learning rules may read."""
    settling_time: float | None
    """s that every phase takes; None where energy is not counted."""
    seed: int
    """Number that tells one made chip from another."""
    session: "Session | None" = None
    """Where a run keeps what happens on a board."""


class ChipPlugin(Protocol):
    """An object behind a name among the entry points ``"harness.chips"``.

    With a class ``Options``, a model of pydantic's, too, ``[chip.options]`` are validated by it, and `build` gets one.
    """

    def build(self, options: Any, circuit: Circuit, request: Request) -> Chip:
        """Make a chip with the conductances of a circuit, which is not as drawn where ``[variation]`` changes it."""


CHIPS = ("ngspice", "nodal", "bench")
"""Kinds of chips that come with the harness."""


class ChipSettings(Section):
    """``[chip]``: what settles the circuit, and how closely."""

    kind: Annotated[str, named(Kind.CHIP, CHIPS)] = "ngspice"
    """Kind of chip: ``ngspice``, the ``nodal`` solver of our own, a board (``bench``), or a plug-in."""
    options: Annotated[dict[str, Any] | None, options_of(Kind.CHIP, "kind", CHIPS)] = None
    """Options for the chip of a plug-in, which says what they mean."""
    reltol: Annotated[Number, Field(gt=0, lt=1e-3)] = 1e-6
    """ngspice's relative tolerance of voltages and currents."""
    vntol: Annotated[Volts, Field(gt=0, lt=1e-3)] = 1e-9
    """ngspice's absolute tolerance of node voltages."""
    abstol: Annotated[Amperes, Field(gt=0, lt=1e-6)] = 1e-12
    """ngspice's absolute tolerance of currents."""
    chunk: Annotated[Whole, Field(ge=1, le=1024)] = 32
    """Samples that one worker takes at once, in one sweep; the last bits of results depend on it."""
    access: Access = Access.NODES
    """The nodes that learning rules may read."""
    settling_time: Annotated[Seconds, Field(gt=0)] | None = None
    """Time that every phase takes, for the energy that runs record; without it energy is not counted."""
    node_capacitance: Annotated[Farads, Field(ge=0)] = 0.0
    """Capacitance to ground of every node that no source or stage holds, which oscillating errors see."""
    line_capacitance: Annotated[Farads, Field(ge=0)] = 0.0
    """Capacitance that every cell, open or closed, adds at both of its ends, which oscillating errors see."""
    profile: Path | None = None
    """For ``bench``: a profile of the package's by name, or the path of one's own."""
    resource: str | None = None
    """For ``bench``: the address of the board, instead of the profile's."""

    @model_validator(mode="after")
    def _keys_of_a_board(self) -> Self:
        if self.kind == "bench" and self.profile is None:
            raise MismatchError(
                "profile",
                "kind = 'bench' needs the profile of a board, such as profile = 'virtual' (--profile virtual)",
            )
        for key in ("profile", "resource"):
            if self.kind != "bench" and getattr(self, key) is not None:
                raise MismatchError(key, f"belongs to kind = 'bench', not {self.kind!r}")
        return self

    @property
    def profile_file(self) -> dict[str, Path]:
        """The profile, by its dotted key, where it is a file of one's own."""
        return {"chip.profile": self.profile} if self.profile and self.profile.suffix == ".toml" else {}

    @property
    def bench(self) -> "Bench | None":
        """The board on the bench; None for what is simulated."""
        if self.profile is None:
            return None
        from harness.experiment.runs.bench import Bench  # noqa: PLC0415 - see above

        return Bench(self.profile, self.resource)

    @property
    def capabilities(self) -> Capabilities:
        """The chip's abilities as far as settings tell: a board's are those of its profile."""
        can = SIMULATED if self.bench is None else self.bench.load().can.capabilities
        return can.read_at(self.access)

    @property
    def plugin(self) -> Plugin | None:
        """The plug-in that brings the chip; None for the harness's own."""
        return None if self.kind in CHIPS else find(Kind.CHIP, self.kind, CHIPS)

    @property
    def in_ngspice(self) -> bool:
        """True where this machine needs ngspice for it."""
        return self.kind == "ngspice"

    @property
    def tolerances(self) -> Tolerances:
        """ngspice's convergence bounds."""
        return Tolerances(self.reltol, self.vntol, self.abstol)

    def recorded(self) -> dict[str, Any]:
        """Return what a manifest says of the chip besides the settings.

        Raises:
            NgspiceMissing: ngspice is wanted, and it cannot be loaded.
        """
        if self.bench is not None:
            return self.bench.recorded()
        if not self.in_ngspice:
            return {"kind": self.kind}
        bounds = {name: getattr(self, name) for name in ("reltol", "vntol", "abstol", "chunk")}
        return {"kind": self.kind, "linear_solver": open_session().linear_solver, **bounds}

    def versions(self) -> dict[str, str]:
        """Versions of what simulates it.

        Raises:
            NgspiceMissing: ngspice is wanted, and it cannot be loaded.
        """
        if self.bench is not None:
            return self.bench.versions()
        if not self.in_ngspice:
            return {}
        return {"PySpice": metadata.version("PySpice"), "ngspice": open_session().version_text}

    def build(self, circuit: Circuit, simulators: SimulatorChoice, request: Request) -> Chip:
        """The circuit in what simulates it, without anything wrong.

        Raises:
            PluginError: a plug-in fails.
            NgspiceMissing: the machine has no ngspice, and it is wanted.
            ChipError: the chosen cluster cannot be used.
        """
        if self.plugin is not None:
            built: Chip = self.plugin.build(CHIP, self.options, circuit, request)
            return built
        if self.bench is not None:
            return self.bench.open(circuit, request.access, request.session, request.seed)
        given: SimulationOptions = {
            "access": request.access,
            "settling_time": request.settling_time,
            "node_capacitance": self.node_capacitance,
            "line_capacitance": self.line_capacitance,
        }
        if self.kind == "nodal":
            return nodal_chip(circuit, **given)
        if settled_whole(circuit):
            return FullBatchChip(circuit, tolerances=self.tolerances, chunk=self.chunk, **given)
        opened = simulators.open(self.tolerances)
        return NgspiceChip(circuit, tolerances=self.tolerances, simulators=opened, chunk=self.chunk, **given)


@dataclass(frozen=True)
class ChipDescription:
    """All that an experiment says of its chip."""

    simulated: ChipSettings
    variation: VariationSettings
    programming: ProgrammingSettings | None
    imperfect: ImperfectSettings
    retention: RetentionSettings
    seed: int
    """Number that tells one made chip from another."""

    def build(self, circuit: Circuit, simulators: SimulatorChoice = HERE, session: "Session | None" = None) -> Chip:
        """Make the chip, with a circuit's conductances; a board keeps those that it has.

        What is wrong with a board is in it already: sections about that describe its digital twin.

        Args:
            circuit: as it was drawn.
            simulators: how many ngspices, and where; they matter to ngspice only.
            session: where a run keeps what happens on a board.

        Raises:
            ExperimentError: the chip of ``[variation]`` cannot be made.
            PluginError: a plug-in fails.
            NgspiceMissing: the machine has no ngspice, and it is wanted.
            ChipError: the chosen cluster, or the board, cannot be used.
        """
        request = Request(self.simulated.access, self.simulated.settling_time, self.seed, session)
        if self.simulated.bench is not None:
            return self.simulated.build(circuit, simulators, request)
        errors, chip = self.imperfect.build(), self._made(circuit, simulators, request)
        if not (law := self.retention.build()).absent:
            chip = AgeingChip(chip, law, self.retention.pace(self.simulated.settling_time), seed=self.seed)
        ages = isinstance(chip, AgeingChip)
        if not errors.ideal:
            chip = ImperfectChip(chip, errors, seed=self.seed)
        chip = self.variation.wrap(chip, self.seed)
        if ages and ageing_part(chip) is None:
            raise ExperimentError(
                f"[variation.plugins] {listed(self.variation.wrappers)}: what a plug-in puts around a chip whose cells "
                "age must show the chip within as 'inside', as harness.chip.imperfect.wrapped.WrappedChip does; leave "
                "it or [retention] out"
            )
        return chip if self.programming is None else ProgrammedChip(chip, self.programming.build(), seed=self.seed)

    @property
    def kinds(self) -> list[str]:
        """The chip as `harness.training.parts.described_chip` tells it, without making one."""
        if self.simulated.bench is not None:
            return [self.simulated.kind]
        wrapped = {
            ProgrammedChip.__qualname__: self.programming is not None,
            **dict.fromkeys(reversed(self.variation.wrappers), True),
            ImperfectChip.__qualname__: not self.imperfect.build().ideal,
            AgeingChip.__qualname__: not self.retention.build().absent,
            VariedChip.__qualname__: not self.variation.build().absent,
            JohnsonChip.__qualname__: self.imperfect.johnson.power > 0,
        }
        return [*(name for name, there in wrapped.items() if there), self.simulated.kind]

    def _warm(self, chip: Chip) -> Chip:
        """Return the chip with the noise of its conductances."""
        noise = self.imperfect.johnson
        return JohnsonChip(chip, noise, seed=self.seed) if noise.power else chip

    def _made(self, circuit: Circuit, simulators: SimulatorChoice, request: Request) -> Chip:
        """Return a chip of the circuit as it was made; the wrapper around it decides what may be read."""
        variation = self.variation.build()
        if variation.absent:
            return self._warm(self.simulated.build(circuit, simulators, request))

        def inside(made: Circuit) -> Chip:
            return self._warm(self.simulated.build(made, simulators, replace(request, access=Access.NODES)))

        try:
            return VariedChip(circuit, variation, self.seed, inside, access=request.access)
        except CircuitError as error:
            cure = "lower or leave out the strengths of [variation], or draw another chip with variation.seed"
            raise ExperimentError(f"chip {self.seed} of [variation] cannot be made: {error}; {cure}") from error

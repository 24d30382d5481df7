"""The speed of an experiment's training beside other ways to simulate the same, and beside other sizes.

Every figure is measured in one call, so that the ratios are of one machine in one state.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np

from harness.chip.base import Chip
from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.ngspice.session import open_session
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Reduction, SettlingJob
from harness.errors import ExperimentError
from harness.experiment.chip import SimulatorChoice
from harness.experiment.experiment import Experiment
from harness.experiment.network import GraphSettings
from harness.measurement import Batch, Clamp, Conductances, Drive, Reading
from harness.netlist.decks import resident
from harness.studies.benchmark.subjects import Step, practised, steps

SIZES = (*((1, hidden) for hidden in (50, 100, 200, 400, 800)), *((n, h) for n in (2, 3) for h in (50, 100, 150)))
"""(hidden layers, nodes of each) that `scaling` measures for a picture."""
FITTED_FROM = 100
"""Hidden nodes from which an exponent is fitted; below, what does not depend on their number shows."""
_WARM_UP = 2  # steps
_RESIDENT_SAMPLES = 32


@dataclass(frozen=True)
class Speed:
    """The speed of learning on one chip: every phase, read-out, gradient and update."""

    samples_per_second: float
    simulator_share: float
    """Share of the time inside the simulators' analyses."""


@dataclass(frozen=True)
class Comparison:
    """The figures of `harness benchmark --ways`; ratios are of times per sample, everything on one core."""

    samples_per_second: float
    """In ngspice, with all workers, training."""
    one_core_samples_per_second: float
    epoch_seconds: float
    """Training and evaluation of one epoch with all workers, extrapolated."""
    evaluation_samples_per_second: float
    """Free phases of held-out rows, with all workers."""
    ngspice_share: float
    """Share of the training time inside ngspice's analyses."""
    iterations_per_point: float
    """Newton iterations for each operating point that was wanted."""
    microseconds_per_iteration: float
    peak_worker_mb: float
    nodal_samples_per_second: float
    nodal_ratio: float
    """Time of ngspice over time of the nodal chip."""
    alter_op_ratio: float
    """Time of the same reduced circuit, resident with ``alter`` and ``op``, over time of ngspice."""
    full_netlist_ratio: float
    """Time of full netlists, one operating point per phase, over time of ngspice."""
    workers: int


@dataclass(frozen=True)
class ScalingPoint:
    """Training speed of one size of network on one core."""

    layers: int
    hidden: int
    """Nodes of each hidden layer."""
    seconds_per_sample: float


def compare(
    experiment: Experiment,
    conductances: Conductances,
    *,
    simulators: SimulatorChoice,
    seconds: float,
    tell: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Measure an experiment's chips against each other.

    Training begins at `conductances` (S, see `practised`) and is measured for `seconds` on each chip; `simulators` are
    for the figures with all workers. `tell` is told what is being done.
    """
    tell("training in ngspice")
    with _programmed(experiment, conductances, simulators) as chip:
        many = training_speed(experiment, chip, conductances, seconds)
        shown = evaluation_speed(experiment, chip, seconds)
        peak, workers = chip.work.peak_mb, chip.workers
    tell("training in ngspice, one core")
    with _programmed(experiment, conductances, SimulatorChoice()) as chip:
        one = training_speed(experiment, chip, conductances, seconds)
        work = chip.work
    tell("training on the nodal chip")
    with experiment.replace({"chip.kind": "nodal"}).open_chip() as preview:
        nodal = training_speed(experiment, preview, conductances, seconds)
    tell("one resident circuit, alter and op")
    altered = resident_speed(experiment, conductances)
    tell("full netlists, one operating point per phase")
    full = full_netlist_speed(experiment, conductances)
    train, test = experiment.data.train, experiment.data.test
    return Comparison(
        samples_per_second=many.samples_per_second,
        one_core_samples_per_second=one.samples_per_second,
        epoch_seconds=len(train) / many.samples_per_second + len(test) / shown,
        evaluation_samples_per_second=shown,
        ngspice_share=many.simulator_share,
        iterations_per_point=work.iterations / work.points,
        microseconds_per_iteration=1e6 * work.seconds / work.iterations,
        peak_worker_mb=peak,
        nodal_samples_per_second=nodal.samples_per_second,
        nodal_ratio=nodal.samples_per_second / one.samples_per_second,
        alter_op_ratio=one.samples_per_second / altered,
        full_netlist_ratio=one.samples_per_second / full,
        workers=workers,
    )


def training_speed(experiment: Experiment, chip: Chip, conductances: Conductances, seconds: float) -> Speed:
    """Time training steps from some conductances (S) on, for at least `seconds`; the median step counts."""
    spent, counted = 0.0, list[Step]()
    for step in islice(steps(experiment, chip, conductances), _WARM_UP, None):
        counted.append(step)
        spent += step.seconds
        if spent >= seconds:
            break
    each = float(np.median([step.seconds / step.samples for step in counted]))
    return Speed(1 / each, sum(step.simulator_seconds for step in counted) / spent)


def evaluation_speed(experiment: Experiment, chip: Chip, seconds: float) -> float:
    """Return held-out samples per second, one free operating point each."""
    rows, spent, samples = experiment.data.test, 0.0, 0
    portion = experiment.plan.batch
    while spent < seconds:
        start = samples % len(rows)
        batch = rows.batch(slice(start, min(start + portion, len(rows))))
        began = time.perf_counter()
        chip.measure([Drive(batch.inputs)])
        spent += time.perf_counter() - began
        samples += len(batch)
    return samples / spent


def resident_speed(experiment: Experiment, conductances: Conductances) -> float:
    """Return samples per second of the reduced circuit, loaded once, its sources altered for each phase of a sample."""
    settling, phases = _settling(experiment, conductances, _RESIDENT_SAMPLES)
    session = open_session()
    lines = resident.resident_lines(settling, experiment.tolerances)
    began = time.perf_counter()
    session.operate(lines, resident.vectors(settling), resident.alterations(settling))
    return len(settling) / (time.perf_counter() - began) * len(settling.phases) / phases


def full_netlist_speed(experiment: Experiment, conductances: Conductances) -> float:
    """Return samples per second of the whole circuit, loaded and solved for each phase; measured on one sample."""
    chip = FullNetlistChip(experiment.circuit, tolerances=experiment.tolerances)
    chip.program(conductances)
    batch = next(_batches(experiment, 1))
    began = time.perf_counter()
    experiment.rule.measure(chip, batch, _rng(experiment))
    return 1 / (time.perf_counter() - began)


def scaling(
    experiment: Experiment,
    sizes: Sequence[tuple[int, int]],
    seconds: float,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[ScalingPoint]:
    """Measure training times per sample on one core, for pairs of (hidden layers, nodes of each)."""
    rates, network = experiment.settings.update.rates, experiment.settings.network
    if isinstance(network, GraphSettings):
        raise ExperimentError(f"experiment {experiment.settings.name}: a free graph has no hidden layers to scale")
    bias = network.bias
    for layers, hidden in sizes:
        tell(f"{layers} × {hidden} hidden nodes")
        changes: dict[str, object] = {"network.hidden": [hidden] * layers, "update.rates": _spread(rates, layers)}
        if bias:
            changes["network.bias"] = _spread(bias, layers)
        sized = experiment.replace(changes)
        fit = practised(sized)
        with _programmed(sized, fit, SimulatorChoice()) as chip:
            yield ScalingPoint(layers, hidden, 1 / training_speed(sized, chip, fit, seconds).samples_per_second)


def exponent(points: Sequence[ScalingPoint], layers: int) -> float:
    """Return the slope of log time over log hidden nodes, from `FITTED_FROM` nodes on; NaN for less than two points."""
    chosen = [p for p in points if p.layers == layers and p.hidden >= FITTED_FROM]
    if len(chosen) < 2:
        return float("nan")
    slope, _ = np.polyfit(np.log([p.hidden for p in chosen]), np.log([p.seconds_per_sample for p in chosen]), 1)
    return float(slope)


def _spread(values: Sequence[float], layers: int) -> list[float]:
    """Return one value for each crossbar of a network with `layers` hidden layers; the last is that of the outputs."""
    return [values[0]] * layers + [values[-1]]


@contextmanager
def _programmed(
    experiment: Experiment, conductances: Conductances, simulators: SimulatorChoice
) -> Iterator[NgspiceChip]:
    with experiment.open_chip(simulators) as chip:
        if not isinstance(chip, NgspiceChip):
            raise ExperimentError(f"experiment {experiment.settings.name}: its chip is not ngspice, nothing to measure")
        chip.program(conductances)
        yield chip


class _Recorder(NodalChip):
    """A chip that keeps the drives that a rule asks for."""

    def __init__(self, circuit: Circuit) -> None:
        super().__init__(circuit)
        self.drives: list[Drive] = []

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        self.drives += drives
        return super().measure(drives)


def _settling(experiment: Experiment, conductances: Conductances, samples: int) -> tuple[SettlingJob, int]:
    """Return the phases that the rule asks for, for the first samples of an epoch, and their number.

    Clamped and small-signal phases, which need a deck of another kind, only count in the number.
    """
    recorder = _Recorder(experiment.circuit)
    recorder.program(conductances)
    experiment.rule.measure(recorder, next(_batches(experiment, samples)), _rng(experiment))
    plain = [d for d in recorder.drives if d.about is None and not isinstance(d.nudge, Clamp)]
    return Reduction(experiment.circuit).reduce(conductances).settling(plain), len(recorder.drives)


def _batches(experiment: Experiment, size: int | None = None) -> Iterator[Batch]:
    """Give whole batches of the training rows in one random order, again and again."""
    rows = experiment.data.train
    size = min(size or experiment.plan.batch, len(rows))
    order = np.random.default_rng(experiment.plan.seed).permutation(len(rows))
    while True:
        for start in range(0, len(rows) - size + 1, size):
            yield rows.batch(order[start : start + size])


def _rng(experiment: Experiment) -> np.random.Generator:
    return np.random.default_rng(experiment.plan.seed)

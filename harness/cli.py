"""The command line: parse, call, print. Results go to stdout, progress and logs to stderr."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import harness
from harness import bench as measure
from harness import doctor as machine
from harness.checks import Check, check_circuit
from harness.controller import EpochDone, StepDone
from harness.datasets import BUILT_IN, IMAGE_SETS
from harness.datasets.images import VARIABLE
from harness.errors import ExperimentError, HarnessError, RunError, UnitError
from harness.experiment import Experiment, SimulatorChoice, packaged_experiments
from harness.files import write_atomic
from harness.runs import Run, fresh_path

RUNS = Path("runs")

_err = Console(stderr=True, highlight=False, markup=False)  # no markup: paths are printed as they are
_out = Console(highlight=False, soft_wrap=True, markup=False)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else.")
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the experiment; may be repeated."
)
chip_option = click.option(
    "--chip",
    type=click.Choice(["ngspice", "nodal"]),
    help="What simulates the network, instead of the experiment's choice.",
)
seed_option = click.option("--seed", type=click.IntRange(min=0), help="Seed, instead of the experiment's.")

workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that run ngspice; results do not depend on it [default: one per core that may be used].",
)
scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", help="Run ngspice on the workers of this Dask cluster, such as tcp://host:8786."
)


def _keep_data_folder(_: click.Context, __: click.Parameter, folder: str | None) -> None:
    if folder:
        os.environ[VARIABLE] = folder


data_option = click.option(
    "--data-dir",
    envvar=VARIABLE,
    show_envvar=True,
    expose_value=False,
    callback=_keep_data_folder,
    type=click.Path(),
    metavar="FOLDER",
    help="Where the files of mnist, fashion_mnist and kmnist lie [default: the user's cache, filled by a download].",
)


class _Group(click.Group):
    """Turns this package's errors into one sentence on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            _err.print(f"harness: {error}", soft_wrap=True)
            ctx.exit(2 if isinstance(error, (ExperimentError, UnitError)) else 1)
        except BrokenPipeError:
            ctx.exit(1)
        except OSError as error:  # a folder that cannot be written, a full disk, a run directory that vanished
            _err.print(f"harness: {error.strerror}: {error.filename}", soft_wrap=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(harness.__version__, prog_name="harness")
def main() -> None:
    r"""Train simulated analog neural networks in ngspice as if a chip sat on the bench.

    \b
    harness train digits          train a diode crossbar on handwritten digits
    harness list                  experiments and data sets
    harness doctor                what this machine has
    """


@main.command()
@click.argument("experiment", required=False)
@set_option
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), help="Run directory to make [default: runs/NAME-seedN]."
)
@click.option(
    "--resume", type=click.Path(path_type=Path), help="Go on with an interrupted run, exactly as recorded in it."
)
@chip_option
@seed_option
@data_option
@workers_option
@scheduler_option
@json_option
def train(
    experiment: str | None,
    overrides: tuple[str, ...],
    folder: Path | None,
    resume: Path | None,
    chip: str | None,
    seed: int | None,
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Train EXPERIMENT: a packaged one (see `harness list`) or the path of a TOML file.

    Ctrl-C ends cleanly with a checkpoint; --resume goes on from the last one, also after a kill, and ends with the
    same conductances bit for bit.
    """
    if resume is not None:
        if experiment or overrides or folder or chip or seed is not None:
            raise click.UsageError(
                "--resume goes on as the run was recorded; give no experiment, --set, --run, --chip or --seed"
            )
        run = Run(resume)
        subject = Experiment.from_file(run.experiment)
        simulators = _simulators(subject, workers, scheduler)
        for change in subject.changes_since(run):
            _err.print(f"warning: since this run began, {change}; its bits may differ", soft_wrap=True)
    else:
        if experiment is None:
            raise click.UsageError("name an EXPERIMENT (see 'harness list'), or give --resume RUN")
        subject = Experiment.load(experiment, _overrides(overrides, chip, seed))
        simulators = _simulators(subject, workers, scheduler)
        run = subject.create_run(folder) if folder else _fresh_run(subject)
    result = run.result
    if result is not None and result["epochs"] >= subject.plan.epochs:
        _err.print(f"run {run.path} is complete already")
    else:
        about = _described(subject, simulators)
        _err.print(f"training {subject.settings.name} in {run.path} ({about})", soft_wrap=True)
        with _stop_on_signal() as stopped, _progress(subject) as watch:
            result = subject.train(run, watch=watch, stop=stopped, simulators=simulators)
    if result is None:
        _err.print(f"stopped with a checkpoint; go on with: harness train --resume {run.path}", soft_wrap=True)
        sys.exit(1)
    if as_json:
        _print_json(result)
    else:
        _print_result(run, result)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@chip_option
@data_option
@workers_option
@scheduler_option
@json_option
def evaluate(run: Path, chip: str | None, workers: int | None, scheduler: str | None, as_json: bool) -> None:
    """Loss and accuracy of a RUN's conductances on its training and held-out rows."""
    opened = Run(run)
    subject = Experiment.from_file(opened.experiment, _overrides((), chip, None))
    simulators = _simulators(subject, workers, scheduler)
    samples = len(subject.data.train) + len(subject.data.test)  # outside the status: a download has a bar of its own
    with _err.status(f"evaluating {samples} samples"):
        result = subject.evaluate(opened, simulators=simulators)
    if as_json:
        _print_json(result)
        return
    table = Table("rows", "samples", "accuracy", "loss (V²)")
    for part, title in (("train", "training"), ("test", "held out")):
        accuracy, loss = result[f"{part}_accuracy"], result[f"{part}_loss"]
        table.add_row(title, str(result[f"{part}_samples"]), f"{100 * accuracy:.2f} %", f"{loss:.5g}")
    _out.print(table)


@main.command()
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option("--to", "file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@click.option("--sample", type=click.IntRange(min=0), default=0, show_default=True, help="Held-out row at the inputs.")
@set_option
@data_option
@json_option
def export(source: str, file: Path, sample: int, overrides: tuple[str, ...], as_json: bool) -> None:
    """Write the full netlist with the trained conductances (an experiment's initial ones).

    `ngspice -b FILE` runs it as it is and prints the outputs for one held-out sample.
    """
    subject, run = _subject(source, overrides)
    circuit = subject.trained(run) if run else subject.circuit
    origin = f"trained in {run.path.name}" if run else f"initial conductances, seed {subject.settings.training.seed}"
    text = subject.netlist(
        circuit, sample, [f"experiment {subject.settings.name}, {origin}", f"harness {harness.__version__}"]
    )
    if not file.parent.is_dir():
        raise click.UsageError(f"--to {file}: there is no folder {file.parent}")
    write_atomic(file, text.encode())
    cells = sum(c.conductances.size for c in circuit.crossbars)
    if as_json:
        _print_json({"file": str(file), "cells": cells, "bytes": len(text.encode())})
    else:
        _out.print(f"wrote {file} ({cells:,} cells, {len(text) / 1e6:.1f} MB); run it with: ngspice -b {file}")


@main.command()
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option(
    "--samples", type=click.IntRange(min=1), default=2, show_default=True, help="Held-out rows to check with."
)
@set_option
@chip_option
@seed_option
@data_option
@json_option
def check(
    source: str, samples: int, overrides: tuple[str, ...], chip: str | None, seed: int | None, as_json: bool
) -> None:
    """Compare a circuit with independent truths; exits with 1 when a figure is out of bounds.

    Reduction against the full netlist, ngspice against the nodal solver, gradients against finite differences. With
    --chip nodal, only what needs no simulator.
    """
    subject, run = _subject(source, _overrides(overrides, chip, seed))
    settings = subject.settings
    circuit = subject.trained(run) if run else subject.circuit
    batch = subject.data.test.batch(slice(samples))
    with _err.status("checking") as status:
        checks = list(
            check_circuit(
                circuit,
                subject.cost,
                batch,
                beta=settings.rule.beta,
                tolerances=subject.tolerances,
                rng=np.random.default_rng(settings.training.seed),
                ngspice=settings.chip.kind == "ngspice",
                tell=lambda text: status.update(f"checking: {text}"),
            )
        )
    _print_checks(checks, {"source": source}, as_json)


@main.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what was found on this machine, and solve one circuit whose answer is known."""
    found, checks, problem = machine.examine()
    if not as_json:
        table = Table("part", "found")
        for part, value in found.items():
            table.add_row(part, str(value))
        _out.print(table)
    if problem:
        _err.print(f"harness: {problem}", soft_wrap=True)
    _print_checks(checks, {"found": found}, as_json, failed=problem is not None)


@main.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the packaged experiments and data sets."""
    experiments = packaged_experiments()
    sizes = _sizes()
    if as_json:
        rows = {name: dict(zip(("samples", "channels", "classes"), size, strict=True)) for name, size in sizes.items()}
        _print_json({"experiments": experiments, "data_sets": rows})
        return
    shown = Table("experiment", "what it is")
    for name, description in experiments.items():
        shown.add_row(name, description)
    _out.print(shown)
    shown = Table("data set", "samples", "channels", "classes")
    for name, size in sizes.items():
        shown.add_row(name, *map(str, size))
    shown.add_row("csv", "your own", "columns", "labels")
    _out.print(shown)


def _sizes() -> dict[str, tuple[int, int, int]]:
    """Samples, channels and classes of each data set; image sets are not read (or downloaded) for it."""
    tables = {name: make() for name, make in BUILT_IN.items()}
    sizes = {n: (len(t.labels), t.features.shape[1], len(t.classes)) for n, t in tables.items()}
    return sizes | {n: (s.samples, s.channels, len(s.classes)) for n, s in IMAGE_SETS.items()}


@main.command()
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Of training, for each figure."
)
@click.option("--scaling", is_flag=True, help="Time against the number of hidden nodes and layers, as a picture.")
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("scaling.png"),
    show_default=True,
    help="PNG file that --scaling writes.",
)
@workers_option
@set_option
@data_option
@json_option
def bench(
    source: str,
    seconds: float,
    scaling: bool,
    file: Path,
    workers: int | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """How fast an EXPERIMENT trains on this machine, now: after a short practice, a RUN as it is trained.

    Against the nodal chip, against the reduced circuit kept resident with alter and op, and against full netlists with
    one operating point per phase, which take a minute for networks of MNIST's size. The ratios are of one core.
    """
    subject, run = _subject(source, overrides)
    with _err.status("measuring") as status:
        if scaling:
            points = list(measure.scaling(subject, measure.SIZES, seconds, tell=status.update))
        else:
            found = measure.compare(
                subject,
                subject.trained(run).conductances if run else measure.practised(subject),
                simulators=_simulators(subject, workers, None),
                seconds=seconds,
                tell=status.update,
            )
    if scaling:
        _print_scaling(points, file, subject.settings.name, as_json)
    elif as_json:
        _print_json({"source": source, **asdict(found)})
    else:
        _print_comparison(found)


def _overrides(given: Sequence[str], chip: str | None, seed: int | None) -> list[str]:
    return [
        *given,
        *([f"chip.kind='{chip}'"] if chip else []),
        *([f"training.seed={seed}"] if seed is not None else []),
    ]


def _fresh_run(subject: Experiment) -> Run:
    """A run under the first free name; another process may take the same one at the same time."""
    name = f"{subject.settings.name}-seed{subject.settings.training.seed}"
    while True:
        path = fresh_path(RUNS, name)
        try:
            return subject.create_run(path)
        except RunError:
            if not path.exists():
                raise


def _subject(source: str, overrides: Sequence[str]) -> tuple[Experiment, Run | None]:
    """A run with its experiment, or an experiment alone."""
    if (Path(source) / "manifest.json").is_file():
        run = Run(Path(source))
        if other := [o for o in overrides if not o.startswith("chip.")]:
            raise click.UsageError(
                f"{source} is a run, whose network and rows are as trained; only chip.* can be set, not {other[0]}"
            )
        return Experiment.from_file(run.experiment, overrides), run
    return Experiment.load(source, overrides), None


def _simulators(subject: Experiment, workers: int | None, scheduler: str | None) -> SimulatorChoice:
    """What --workers and --scheduler ask for."""
    if scheduler is not None and workers is not None:
        raise click.UsageError("give --workers (on this machine) or --scheduler (a cluster's own), not both")
    if scheduler is not None and subject.settings.chip.kind != "ngspice":
        raise click.UsageError(f"--scheduler is for ngspice; the {subject.settings.chip.kind} chip has no workers")
    return SimulatorChoice(workers or _usable_cores(), scheduler)


def _usable_cores() -> int:
    """What this process may use, which a batch system may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _described(subject: Experiment, simulators: SimulatorChoice) -> str:
    settings = subject.settings
    cells = " + ".join(f"{len(c.words)}×{len(c.bits)}" for c in subject.circuit.crossbars)
    rows = len(subject.data.train)
    chip: str = settings.chip.kind
    if chip == "ngspice":
        chip += f" on {simulators.scheduler}" if simulators.scheduler else f" × {simulators.workers}"
    return f"{cells} cells, {rows} training samples, {settings.training.epochs} epochs, {chip}"


@contextmanager
def _stop_on_signal() -> Iterator[Any]:
    """A question that SIGINT and SIGTERM answer with True; a second one ends the process at once."""
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received:  # an exception could be lost in a callback of ngspice's
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        received.append(number)
        os.write(2, b"\nstopping after this batch; once more ends at once\n")  # printing could interrupt a print

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(subject: Experiment) -> Iterator[Any]:
    """A bar over the batches of each epoch, and a line for every finished one (for every n-th of very many)."""
    told = max(1, subject.plan.epochs // 25)
    batches = -(-len(subject.data.train) // subject.plan.batch)
    columns = (TextColumn("epoch {task.fields[epoch]}/" + str(subject.plan.epochs)), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=_err, transient=True
    ) as bar:
        task = bar.add_task("training", total=batches, epoch=1, note="")

        def watch(event: StepDone | EpochDone) -> None:
            if isinstance(event, StepDone):
                loss = event.position.loss / min(event.position.step * subject.plan.batch, len(subject.data.train))
                bar.update(task, completed=event.row.step, epoch=event.row.epoch, note=f"loss {loss:.4g} V²")
                return
            row = event.row
            bar.reset(task, completed=0, epoch=min(row.epoch + 1, subject.plan.epochs), note="")
            if row.epoch % told and row.epoch < subject.plan.epochs:
                return
            share = "" if row.ngspice_share is None else f", {100 * row.ngspice_share:.0f} % in ngspice"
            bar.console.print(
                f"epoch {row.epoch:>3}/{subject.plan.epochs}  loss {row.train_loss:.4g} V²  "
                f"training {100 * row.train_accuracy:.2f} %  held out {100 * row.test_accuracy:.2f} %  "
                f"({row.samples_per_second:.0f} samples/s{share})",
                soft_wrap=True,
            )

        yield watch


def _print_result(run: Run, result: dict[str, Any]) -> None:
    _out.print(
        f"test accuracy {100 * result['test_accuracy']:.2f} %, training accuracy {100 * result['train_accuracy']:.2f} %"
    )
    _out.print(
        f"{result['epochs']} epochs in {result['seconds']:.1f} s, {result['train_samples_per_second']:.0f} samples/s"
    )
    _out.print(f"run directory: {run.path} (training.png, crossbars.png, epochs.csv, conductances.npz)")
    _out.print(f"next: harness check {run.path}")
    _out.print(f"      harness export {run.path} --to network.cir")


def _print_comparison(found: measure.Comparison) -> None:
    table = Table("training, every phase, gradient and update", "samples/s", "ngspice on one core is faster by")
    table.add_row(f"ngspice × {found.workers}", f"{found.samples_per_second:,.0f}", "")
    one = found.one_core_samples_per_second
    table.add_row("ngspice, one core", f"{one:,.0f}", "1")
    table.add_row("nodal chip, one core", f"{found.nodal_samples_per_second:,.0f}", f"{1 / found.nodal_ratio:.3f}")
    for title, ratio in (
        ("resident circuit, alter + op", found.alter_op_ratio),
        ("full netlist, one op per phase", found.full_netlist_ratio),
    ):
        table.add_row(title, f"{one / ratio:,.3g}", f"{ratio:,.3g}")
    _out.print(table)
    _out.print(
        f"an epoch takes {found.epoch_seconds:.0f} s, held-out rows {found.evaluation_samples_per_second:.0f} a second"
    )
    _out.print(
        f"{100 * found.ngspice_share:.0f} % inside ngspice's analyses, {found.iterations_per_point:.1f} Newton "
        f"iterations per operating point at {found.microseconds_per_iteration:.0f} µs"
    )
    _out.print(f"peak memory of a worker: {found.peak_worker_mb:.0f} MB")


def _print_scaling(points: Sequence[measure.ScalingPoint], file: Path, name: str, as_json: bool) -> None:
    from harness.plots import draw_scaling  # noqa: PLC0415 - matplotlib takes a second to import

    exponents = {layers: measure.exponent(points, layers) for layers in sorted({p.layers for p in points})}
    lines = {
        f"{layers} hidden layer{'s' if layers > 1 else ''}: exponent {slope:.2f}": {
            p.hidden: p.seconds_per_sample for p in points if p.layers == layers
        }
        for layers, slope in exponents.items()
    }
    write_atomic(file, draw_scaling(lines, name))
    if as_json:
        _print_json({"points": [asdict(p) for p in points], "exponents": exponents, "file": str(file)})
        return
    table = Table("hidden layers", "nodes of each", "training, ms a sample", "exponent")
    for p in points:
        table.add_row(str(p.layers), str(p.hidden), f"{1e3 * p.seconds_per_sample:.3g}", f"{exponents[p.layers]:.2f}")
    _out.print(table)
    _out.print(f"wrote {file}")


def _print_checks(checks: Sequence[Check], more: dict[str, Any], as_json: bool, *, failed: bool = False) -> None:
    passed = all(c.passed for c in checks) and not failed
    if as_json:
        rows = [
            {"name": c.name, "value": c.value, "bound": c.bound, "unit": c.unit, "passed": c.passed} for c in checks
        ]
        _print_json({**more, "passed": passed, "checks": rows})
    else:
        table = Table("check", "value", "bound", "unit", "")
        for c in checks:
            verdict = Text("passed", "green") if c.passed else Text("FAILED", "red")
            table.add_row(c.name, f"{c.value:.2e}", f"{c.bound:.2e}", c.unit, verdict)
        _out.print(table)
    if not passed:
        sys.exit(1)


def _print_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, ensure_ascii=False, allow_nan=False))

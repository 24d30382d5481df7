"""The command line and its shorter commands: parse, call, print.

Results go to stdout, progress and logs to stderr.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.exceptions import Exit
from rich.table import Table

import harness
from harness.circuit.networks.perceptron import Perceptron
from harness.cli.audit import audit
from harness.cli.conductances import conductances
from harness.cli.devices import devices, draw_device
from harness.cli.export import export
from harness.cli.options import (
    RUNS,
    about,
    chip_option,
    data_option,
    json_option,
    picture_form,
    scheduler_option,
    seed_option,
    set_option,
    simulators_for,
    subject_of,
    with_overrides,
    workers_option,
)
from harness.cli.regress import regress
from harness.cli.report import report
from harness.cli.sweep import sweep
from harness.cli.terminal import (
    ERR,
    OUT,
    accept_every_character,
    described,
    end_output,
    print_agreement,
    print_checks,
    print_comparison,
    print_json,
    print_notes,
    print_result,
    print_scaling,
    print_value_errors,
    progress,
    reason_of,
    scored,
    warn,
    working,
)
from harness.cli.transient import transient
from harness.cli.verify import verify
from harness.datasets import BUILT_IN, IMAGE_SETS
from harness.errors import ExperimentError, HarnessError, RunError, UnitError
from harness.exchange.perceptrons import import_perceptron
from harness.experiment.experiment import Experiment
from harness.experiment.packaged import experiment_names, packaged_experiments
from harness.experiment.runs.warm_start import warm_start
from harness.files.writing import write_atomic
from harness.processes.interrupts import ended_by_interrupt, stop_on_signal
from harness.processes.memory import exhausted
from harness.studies import benchmark as measure
from harness.studies import doctor as machine
from harness.studies.check import check_circuit
from harness.training.predictions import PARTS
from harness.training.runs import Run, Start, fresh_path
from harness.wording import command, counted, nearest, printable


class _Group(click.Group):
    """Turns this package's errors into one sentence on stderr and an exit code."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        accept_every_character()
        with _in_one_sentence():  # --help and --version print here
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with ended_by_interrupt(), _in_one_sentence():
            return super().invoke(ctx)


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        raise click.UsageError(printable(error.format_message()), error.ctx) from error
    except HarnessError as error:
        ERR.print(f"harness: {error}")
        raise Exit(2 if isinstance(error, (ExperimentError, UnitError)) else 1) from error
    except MemoryError as error:
        ERR.print(f"harness: {exhausted(error)}")
        raise Exit(1) from error
    except BrokenPipeError as error:
        end_output()
        raise Exit(1) from error
    except OSError as error:  # a folder that cannot be written, a full disk, a run directory that vanished
        end_output()
        ERR.print(f"harness: {reason_of(error)}")
        raise Exit(1) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(harness.__version__, prog_name="harness")
def main() -> None:
    """Train simulated analog neural networks in ngspice as if a chip sat on the bench.

    \b
    harness train digits          train a diode crossbar on handwritten digits
    harness list                  experiments and data sets
    harness doctor                what this machine has
    """  # noqa: D301 - \b keeps the lines for click


@main.command()
@click.argument("experiment", required=False)
@set_option
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), help="Run directory to make [default: runs/NAME-seedN]."
)
@click.option(
    "--resume", type=click.Path(path_type=Path), help="Go on with an interrupted run, exactly as recorded in it."
)
@click.option(
    "--from",
    "origin",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Train on from the conductances of RUN in a new run, with what --set changes: rates, epochs, the chip.",
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
    origin: Path | None,
    chip: str | None,
    seed: int | None,
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Train EXPERIMENT: a packaged one (see `harness list`) or the path of a TOML file.

    Ctrl-C ends cleanly with a checkpoint; --resume goes on from the last one, also after a kill, and ends with the
    same conductances bit for bit. --from RUN --set training.epochs=5 begins a new run at the conductances of RUN; the
    split, the network and the chip keep their seeds, and RUN stays as it is.
    """
    if resume is not None:
        if experiment or overrides or folder or origin or chip or seed is not None:
            raise click.UsageError(
                "--resume goes on as the run was recorded; give no experiment, --set, --run, --chip or --seed with it, "
                "or change it with --from"
            )
        run = Run(resume)
        subject = Experiment.of_run(run)
        simulators = simulators_for(subject, workers, scheduler)
        for change in subject.changes_since(run):
            warn(f"since this run began, {change}; its bits may differ")
    else:
        subject, start = _beginning(experiment, origin, with_overrides(overrides, chip, seed))
        simulators = simulators_for(subject, workers, scheduler)
        print_notes(subject)
        run = subject.create_run(folder, start) if folder else _fresh_run(subject, start)
        for warning in subject.warnings():
            warn(warning)
    result = run.result
    if result is not None and result["epochs"] >= subject.plan.epochs:
        ERR.print(f"run {run.path} is complete already")
        if not run.drawn:
            subject.draw(run, warn=warn)
    else:
        ERR.print(f"training {subject.settings.name} in {run.path} ({described(subject, simulators)})")
        with stop_on_signal() as stopped, progress(subject) as watch:
            result = subject.train(run, watch=watch, stop=stopped, simulators=simulators, warn=warn)
    if result is None:
        ERR.print(f"stopped with a checkpoint; go on with: {command('train', '--resume', run.path)}")
        sys.exit(1)
    if as_json:
        print_json(result)
    else:
        print_result(run, result)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@set_option
@chip_option
@data_option
@workers_option
@scheduler_option
@click.option(
    "--new-data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="CSV file with the run's columns: evaluate all its rows, encoded as the training rows were, instead.",
)
@click.option(
    "--to",
    "predicted",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file to write: truth and prediction of every row, in the data's own units.",
)
@json_option
def evaluate(
    run: Path,
    overrides: tuple[str, ...],
    chip: str | None,
    workers: int | None,
    scheduler: str | None,
    new_data: Path | None,
    predicted: Path | None,
    as_json: bool,
) -> None:
    """Loss and accuracy of a RUN's conductances on its training and held-out rows.

    With --set, those of the same conductances on another chip, such as variation.seed=3, chip.kind=nodal or
    imperfect.read_noise="1 mV".

    With --new-data FILE, those on rows of another file, also where the run's own file has changed or is gone. Columns
    are found by their names; --set data.missing=drop and data.separator, decimal, encoding, label and labels say how
    FILE is written where it differs from the run's own.
    """
    opened = Run(run)
    subject, _ = subject_of(str(run), with_overrides(overrides, chip, None), new_data=new_data)
    simulators = simulators_for(subject, workers, scheduler)
    samples = sum(map(len, subject.data.parts.values()))  # outside the status: a download has a bar of its own
    if new_data is not None:
        print_notes(subject)
    with working(f"evaluating {counted(samples, 'sample')}"):
        result = subject.evaluate(opened, simulators=simulators, predicted=predicted)
    if as_json:
        print_json(result)
        return
    table = Table("rows", "samples", subject.score, "loss (V²)")
    for part, rows in subject.data.parts.items():
        title = PARTS[part] + (f", {counted(len(rows), 'row')} of {new_data}" if new_data else "")
        accuracy, loss = result[f"{part}_accuracy"], result[f"{part}_loss"]
        table.add_row(title, str(result[f"{part}_samples"]), scored(accuracy, subject.score), f"{loss:.5g}")
    OUT.print(table)
    print_value_errors(result)
    if predicted is not None:
        OUT.print(f"wrote {predicted}")


@main.command("import-mlp")
@click.argument("weights", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--into", "experiment", default="cascade-digits", show_default=True, help="Experiment of a cascade that takes it."
)
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), help="Run directory to make [default: runs/NAME-seedN]."
)
@set_option
@chip_option
@seed_option
@data_option
@workers_option
@json_option
def import_mlp(
    weights: Path,
    experiment: str,
    folder: Path | None,
    overrides: tuple[str, ...],
    chip: str | None,
    seed: int | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Program a trained ReLU perceptron into a cascade of resistor-diode stages, and compare the two.

    WEIGHTS is an npz file with arrays weights_0 [inputs, outputs], biases_0, weights_1, … of a perceptron that was
    trained on the experiment's inputs in volts. The run that is made begins with them: train --resume fine-tunes it.
    """
    perceptron = Perceptron.from_npz(weights)
    subject = Experiment.load(experiment, with_overrides(overrides, chip, seed))
    path = folder or fresh_path(RUNS, f"{subject.settings.name}-seed{subject.settings.training.seed}")
    with working("comparing"):
        run, found = import_perceptron(subject, perceptron, path, simulators=simulators_for(subject, workers, None))
    if as_json:
        print_json({"run": str(run.path), **asdict(found)})
        return
    print_agreement(found)
    OUT.print(f"run directory: {run.path}\nnext: {command('train', '--resume', run.path)}")


_SHOWN = ("activations", "device")
"""What `show` draws beside networks."""


@main.command()
@click.argument("source", metavar="RUN|EXPERIMENT|activations|device")
@click.argument("device", required=False, metavar="[NAME]")
@click.option(
    "--to",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Picture to write: FILE.png or FILE.svg.",
)
@set_option
@seed_option
@data_option
@json_option
def show(
    source: str, device: str | None, file: Path, overrides: tuple[str, ...], seed: int | None, as_json: bool
) -> None:
    """Draw the network: a graph with its pins and conductances, or its crossbars in a row.

    `harness show activations` draws what diodes, antiparallel pairs, shelves and square-law transistors make of the
    voltage behind a resistor.

    `harness show device NAME` draws what write pulses do to a published device, with bands for its scatter, to a device
    of one's own (NAME is a CSV file) or to a memristor model, and the model's current under a sine; `harness devices
    list` has the names.
    """
    from harness.pictures.circuits import draw_activations, draw_circuit  # noqa: PLC0415 - matplotlib takes a second to import

    form = picture_form(file)
    if (device is None) == (source == "device"):
        raise click.UsageError("a NAME belongs to harness show device NAME; see harness devices list")
    if device is not None:
        picture = draw_device(device, form)
    elif source == "activations":
        picture = draw_activations(format=form)
    else:
        if (meant := nearest(source, [*experiment_names(), *_SHOWN])) in _SHOWN and not Path(source).exists():
            raise click.UsageError(f"there is nothing called {source!r} to show; did you mean {meant!r}?")
        subject, run = subject_of(source, with_overrides(overrides, None, seed))
        circuit = subject.trained(run) if run else subject.circuit
        picture = draw_circuit(circuit, title=subject.settings.name, format=form)
    write_atomic(file, picture)
    if as_json:
        print_json({"file": str(file)})
    else:
        OUT.print(f"wrote {file}")


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
    subject, run = subject_of(source, with_overrides(overrides, chip, seed))
    settings = subject.settings
    circuit = subject.trained(run) if run else subject.circuit
    batch = subject.data.test.batch(slice(samples))
    print_notes(subject)
    with working("checking") as tell:
        checks = list(
            check_circuit(
                circuit,
                subject.cost,
                batch,
                beta=subject.strength.beta,
                springs=subject.springs.negative,
                tolerances=subject.tolerances,
                rng=np.random.default_rng(settings.training.seed),
                ngspice=settings.chip.kind == "ngspice",
                tell=lambda text: tell(f"checking: {text}"),
            )
        )
    print_checks(checks, about(source, subject, run), as_json)


@main.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what was found on this machine, and solve one circuit whose answer is known."""
    found, checks, problem = machine.examine()
    if not as_json:
        table = Table("part", "found")
        for part, value in found.items():
            table.add_row(part, str(value))
        OUT.print(table)
    if problem:
        ERR.print(f"harness: {problem}")
    print_checks(checks, {"found": found}, as_json, failed=problem is not None)


@main.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the packaged experiments and data sets."""
    experiments = packaged_experiments()
    sizes = _sizes()
    if as_json:
        rows = {name: dict(zip(("samples", "channels", "classes"), size, strict=True)) for name, size in sizes.items()}
        print_json({"experiments": experiments, "data_sets": rows})
        return
    shown = Table("experiment", "what it is")
    for name, description in experiments.items():
        shown.add_row(name, description)
    OUT.print(shown)
    shown = Table("data set", "samples", "channels", "classes")
    for name, size in sizes.items():
        shown.add_row(name, *map(str, size))
    shown.add_row("csv", "your own", "columns", "labels")
    OUT.print(shown)


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
    subject, run = subject_of(source, overrides)
    with working("measuring") as tell:
        if scaling:
            points = list(measure.scaling(subject, measure.SIZES, seconds, tell=tell))
        else:
            found = measure.compare(
                subject,
                subject.trained(run).conductances if run else measure.practised(subject),
                simulators=simulators_for(subject, workers, None),
                seconds=seconds,
                tell=tell,
            )
    if scaling:
        print_scaling(points, file, subject.settings.name, as_json)
    elif as_json:
        print_json({**about(source, subject, run), **asdict(found)})
    else:
        print_comparison(found)


def _beginning(
    experiment: str | None, origin: Path | None, overrides: Sequence[str]
) -> tuple[Experiment, Start | None]:
    """An experiment with its own initial conductances, or with those of a run."""
    if origin is not None:
        if experiment is not None:
            raise click.UsageError("--from RUN goes on with the run's own experiment; change it with --set")
        return warm_start(Run(origin), overrides)
    if experiment is None:
        raise click.UsageError("name an EXPERIMENT (see 'harness list'), or give --resume RUN or --from RUN")
    return Experiment.load(experiment, overrides), None


def _fresh_run(subject: Experiment, start: Start | None) -> Run:
    """A run under the first free name; another process may take the same one at the same time."""
    name = f"{subject.settings.name}-seed{subject.settings.training.seed}"
    while True:
        path = fresh_path(RUNS, name)
        try:
            return subject.create_run(path, start)
        except RunError:
            if not path.exists():
                raise


main.add_command(audit)
main.add_command(conductances)
main.add_command(devices)
main.add_command(export)
main.add_command(regress)
main.add_command(report)
main.add_command(sweep)
main.add_command(transient)
main.add_command(verify)

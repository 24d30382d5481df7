"""`harness train` and `harness evaluate`: parse, call, print."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import TextColumn
from rich.table import Table

from harness.cli.options import (
    FILE,
    PATH,
    RUNS,
    experiment_options,
    log_decisions,
    places_in,
    refuse_learning,
    run_option,
    scheduler_option,
    simulators_for,
    subject_of,
    workers_option,
)
from harness.cli.terminal import (
    ERR,
    OUT,
    at_intervals,
    building,
    note,
    print_json,
    print_notes,
    progress_bar,
    scored,
    warn,
    working,
)
from harness.errors import RunError
from harness.experiment.chip import SimulatorChoice
from harness.experiment.experiment import Experiment
from harness.files.reading import JsonObject
from harness.processes.interrupts import stop_on_signal
from harness.training.controller import EpochDone, StepDone
from harness.training.predictions import PARTS
from harness.training.runs import Run, Start, fresh_path
from harness.units import show
from harness.wording import command, counted

if TYPE_CHECKING:  # most trainings need no board
    from harness.experiment.runs.replayed import Replay

_Watch = Callable[[StepDone | EpochDone], None]
_ALIKE = 4
"""Layers of one shape from which on they are counted instead of being listed."""


@click.command()
@click.argument("experiment", required=False)
@run_option
@click.option("--resume", type=PATH, metavar="RUN", help="Go on with an interrupted run, exactly as recorded in it.")
@click.option(
    "--from",
    "origin",
    type=PATH,
    metavar="RUN",
    help="Train on from the conductances of RUN in a new run, with what --set changes: rates, epochs, the chip.",
)
@click.option(
    "--replay",
    "cassette",
    type=FILE,
    metavar="CASSETTE",
    help="Train a session with a board again, in a new run, as RUN/bench/session-1/cassette.jsonl has recorded it.",
)
@click.option(
    "--tensorboard",
    "events",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Write curves for TensorBoard, into the run directory or into DIR/RUN; stands behind EXPERIMENT.",
)
@workers_option
@scheduler_option
@experiment_options(chip=True, board=True, seed=True)
def train(
    experiment: str | None,
    overrides: list[str],
    folder: Path | None,
    resume: Path | None,
    origin: Path | None,
    cassette: Path | None,
    events: str | None,
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Train EXPERIMENT: a packaged one (see `harness list`) or the path of a TOML file.

    Ctrl-C ends cleanly with a checkpoint; --resume goes on from the last one, also after a kill, and ends with the
    same conductances bit for bit. --from RUN --set training.epochs=5 begins a new run at the conductances of RUN; the
    split, the network and the chip keep their seeds, and RUN stays as it is.

    --profile trains a board on the bench. With it, --resume reads the board's cells first and takes what it finds.
    """
    if cassette is not None and (experiment or overrides or resume or origin):
        raise click.UsageError("--replay repeats what was recorded; give nothing with it but --run")
    if events is not None:
        from harness.training import tensorboard  # noqa: PLC0415 - for those who want it

        tensorboard.library()
        Path(events).mkdir(parents=True, exist_ok=True)  # what cannot be written shall end nothing that has begun
    replay, choose = None, partial(simulators_for, workers=workers, scheduler=scheduler)
    if cassette is not None:
        from harness.experiment.runs.replayed import replay_of  # noqa: PLC0415 - see above

        recorded = [*cassette.absolute().parents][:3][-1].name
        replay = replay_of(cassette, folder or fresh_path(RUNS, f"{recorded}-replay"))
        subject, run, simulators = replay.subject, replay.run, SimulatorChoice()
    elif resume is not None:
        subject, run, simulators = _resumed(resume, [experiment, folder, origin], overrides, choose)
    else:
        subject, run, simulators = _begun(experiment, origin, overrides, folder, choose)
    result = run.result
    if result is not None and result["epochs"] >= subject.plan.epochs:
        note(f"run {run.path} is complete already")
        with _curves(subject, run, events):  # written from its tables
            pass
        _print_result(run, as_json, result)
        if not run.drawn:
            subject.draw(run, warn=warn)
        return
    note(f"training {subject.settings.name} in {run.path} ({_described(subject, simulators)})")
    with _curves(subject, run, events) as curves:
        result = _trained(subject, run, simulators, replay, curves, partial(_print_result, run, as_json))
    if result is None:
        if replay is None:
            ERR.print(f"stopped with a checkpoint; go on with: {command('train', '--resume', run.path)}")
        sys.exit(0 if replay else 1)


@click.command()
@click.argument("run", type=PATH)
@workers_option
@scheduler_option
@click.option(
    "--to",
    "predicted",
    type=FILE,
    help="CSV file to write: truth and prediction of every row, in the data's own units.",
)
@experiment_options(chip=True, board=True)
def evaluate(
    run: Path,
    overrides: list[str],
    workers: int | None,
    scheduler: str | None,
    predicted: Path | None,
    as_json: bool,
) -> None:
    """Loss and accuracy of a RUN's conductances on its training and held-out rows.

    With --set, those of the same conductances on another chip, such as variation.seed=3, chip.kind=nodal or
    imperfect.read_noise="1 mV". For rows of another file there is harness predict.
    """
    opened = Run(run)
    subject, _ = subject_of(str(run), overrides)
    refuse_learning(subject.changes_on(opened), run)
    simulators = simulators_for(subject, workers, scheduler)
    samples = sum(map(len, subject.data.parts.values()))  # outside the status: a download has a bar of its own
    with working(f"evaluating {counted(samples, 'sample')}"):
        result = subject.evaluate(opened, simulators=simulators, predicted=predicted)
    if as_json:
        print_json(result)
        return
    table = Table("rows", "samples", subject.score, "loss (V²)")
    for part in subject.data.parts:
        accuracy, loss = result[f"{part}_accuracy"], result[f"{part}_loss"]
        table.add_row(PARTS[part], str(result[f"{part}_samples"]), scored(accuracy, subject.score), f"{loss:.5g}")
    OUT.print(table)
    _print_value_errors(result)
    if predicted is not None:
        OUT.print(f"wrote {predicted}")


def _begun(
    experiment: str | None,
    origin: Path | None,
    overrides: Sequence[str],
    folder: Path | None,
    choose: Callable[[Experiment], SimulatorChoice],
) -> tuple[Experiment, Run, SimulatorChoice]:
    """Begin a new run."""
    subject, start = _beginning(experiment, origin, overrides)
    simulators = choose(subject)
    print_notes(subject)
    if (board := subject.settings.chip.bench) is not None:
        subject.refuse_chip()
        board.reach()
    with building(subject.settings.name):
        log_decisions(subject)
        run = subject.create_run(folder, start) if folder else _fresh_run(subject, start)
        warnings = subject.warnings()
    for warning in warnings:
        warn(warning)
    return subject, run, simulators


def _resumed(
    resume: Path,
    others: Sequence[object],
    overrides: Sequence[str],
    choose: Callable[[Experiment], SimulatorChoice],
) -> tuple[Experiment, Run, SimulatorChoice]:
    """Open an interrupted run, whose board may have moved."""
    places = places_in([*(str(other) for other in others if other is not None), *overrides])
    run = Run(resume)
    subject = Experiment.of_run(run)
    subject = subject.replace(places) if places else subject
    simulators = choose(subject)
    with building(str(resume)):
        log_decisions(subject)
        changes = subject.changes_since(run)
    for change in changes:
        warn(f"since this run began, {change}; its bits may differ")
    return subject, run, simulators


@contextmanager
def _curves(subject: Experiment, run: Run, events: str | None) -> Iterator[_Watch]:
    """Write curves for TensorBoard of all that the block tells; `events` is a folder, or empty for the run's own."""
    if events is None:
        yield lambda _: None
        return
    from harness.training.tensorboard import EventLog  # noqa: PLC0415 - for those who want it

    batches, arrays = -(-len(subject.data.train) // subject.plan.batch), subject.circuit.arrays
    folder = Path(events) / run.path.resolve().name if events else run.path
    names = [array.name for array in arrays]
    with EventLog(run, batches=batches, arrays=names, score=subject.score, folder=folder, warn=warn) as log:
        yield log
    ERR.print(f"curves for TensorBoard: tensorboard --logdir {shlex.quote(str(folder.parent))}")


def _trained(
    subject: Experiment,
    run: Run,
    simulators: SimulatorChoice,
    replay: "Replay | None",
    curves: _Watch,
    show: Callable[[JsonObject], None],
) -> JsonObject | None:
    """Train, with a bar, and show what was reached before it is drawn.

    A replayed session ends where the recorded one did, and nothing of it may be left over.
    """
    with stop_on_signal() as stopped, ExitStack() as shown:
        told = shown.enter_context(_progress(subject))

        def finished(result: JsonObject) -> None:
            shown.close()  # the bar vanishes before there is something else to read
            show(result)

        def watch(event: StepDone | EpochDone) -> None:
            told(event)
            curves(event)

        if replay is None:
            return subject.train(run, watch=watch, stop=stopped, simulators=simulators, warn=warn, finished=finished)
        ended = replay.line
        result = subject.train(run, watch=watch, stop=lambda: stopped() or ended.ending, warn=warn, line=ended)
    replay.line.check_empty()
    ends = {True: "the same conductances as", False: "other conductances than", None: "another step than"}
    note(f"all messages were as recorded; {run.path} ends at {ends[replay.same]} {replay.recorded.path}")
    if result is not None:
        show(result)
    return result


def _beginning(
    experiment: str | None, origin: Path | None, overrides: Sequence[str]
) -> tuple[Experiment, Start | None]:
    """Return an experiment that begins with its own initial conductances, or with those of a run."""
    if origin is not None:
        if experiment is not None:
            raise click.UsageError("--from RUN goes on with the run's own experiment; change it with --set")
        from harness.experiment.runs.warm_start import warm_start  # noqa: PLC0415 - for those who train on

        with building(str(origin)):
            return warm_start(Run(origin), overrides)
    if experiment is None:
        raise click.UsageError("name an EXPERIMENT (see 'harness list'), or give --resume RUN or --from RUN")
    return Experiment.load(experiment, overrides), None


def _fresh_run(subject: Experiment, start: Start | None) -> Run:
    """Make a run under the first free name; another process may take the same one at the same time."""
    name = f"{subject.settings.name}-seed{subject.settings.training.seed}"
    while True:
        path = fresh_path(RUNS, name)
        try:
            return subject.create_run(path, start)
        except RunError:
            if not path.exists():
                raise


def _described(subject: Experiment, simulators: SimulatorChoice) -> str:
    """Return a line that says what is about to be trained."""
    settings = subject.settings
    alike = groupby("×".join(map(str, array.shape)) for array in subject.circuit.arrays)
    counts = ((len(list(group)), shape) for shape, group in alike)
    cells = " + ".join(" + ".join([shape] * n) if n < _ALIKE else f"{n} times {shape}" for n, shape in counts)
    rows = len(subject.data.train)
    chip: str = settings.chip.kind
    if settings.chip.in_ngspice:
        processes = "" if simulators.measured else f" × {simulators.workers}"
        chip += f" on {simulators.scheduler}" if simulators.scheduler else processes
    samples, epochs = counted(rows, "training sample"), counted(settings.training.epochs, "epoch")
    return f"{cells} cells, {samples}, {epochs}, {chip}"


@contextmanager
def _progress(subject: Experiment) -> Iterator[Any]:
    """Show a bar over the batches of each epoch, and a line for every finished one (for every n-th of very many)."""
    strained = subject.springs.warning(subject.circuit.conductances)  # which was told before training
    told, kind = max(1, subject.plan.epochs // 25), subject.score
    batches = -(-len(subject.data.train) // subject.plan.batch)
    epoch, beside = "epoch {task.fields[epoch]}/" + str(subject.plan.epochs), "{task.fields[note]}"
    tell = at_intervals()
    with progress_bar(TextColumn(epoch), TextColumn(beside)) as bar:
        task = bar.add_task("training", total=batches, epoch=1, note="")

        def watch(event: StepDone | EpochDone) -> None:
            nonlocal strained
            if isinstance(event, StepDone):
                loss = event.position.loss / min(event.position.step * subject.plan.batch, len(subject.data.train))
                bar.update(task, completed=event.row.step, epoch=event.row.epoch, note=f"loss {loss:.4g} V²")
                tell(f"epoch {event.row.epoch}: batch {event.row.step} of {batches}, loss {loss:.4g} V²")
                return
            if not strained and (strained := subject.springs.warning(event.position.conductances)):
                warn(strained)
            row = event.row
            bar.reset(task, completed=0, epoch=min(row.epoch + 1, subject.plan.epochs), note="")
            if row.epoch % told and row.epoch < subject.plan.epochs:
                return
            share = "" if row.ngspice_share is None else f", {100 * row.ngspice_share:.0f} % in ngspice"
            note(
                f"epoch {row.epoch:>3}/{subject.plan.epochs}  loss {row.train_loss:.4g} V²  "
                f"training {scored(row.train_accuracy, kind)}  held out {scored(row.test_accuracy, kind)}  "
                f"({row.samples_per_second:.0f} samples/s{share})"
            )

        yield watch


def _print_result(run: Run, as_json: bool, result: JsonObject) -> None:
    """Print what a training reached, and what to do next; or one object."""
    if as_json:
        print_json(result)
        return
    kind = result["score"]
    test, training = (scored(result[f"{rows}_accuracy"], kind) for rows in ("test", "train"))
    OUT.print(f"test {kind} {test}, training {kind} {training}")
    _print_value_errors(result)
    speed = f"{result['train_samples_per_second']:.0f} samples/s"
    OUT.print(f"{counted(result['epochs'], 'epoch')} in {result['seconds']:.1f} s, {speed}")
    if unstable := result.get("unstable_states"):
        OUT.print(f"{counted(unstable, 'unstable state')} under springs of −β, compared one-sided instead")
    if "sharing" in result:
        OUT.print(result["sharing"])
    if "bench" in result:
        _print_board(result["bench"])
    OUT.print(f"run directory: {run.path} (training.png, conductances.png, epochs.csv, conductances.npz)")
    OUT.print(f"next: {command('check', run.path)}")
    OUT.print(f"      {command('export', run.path, '--to', 'netlist')}")


def _print_board(about: Mapping[str, Any]) -> None:
    """Print what went over the line to a board, and how far its cells were from what was believed."""
    OUT.print(
        f"board {about['identity']}: {counted(about['messages'], 'message')}, "
        f"{counted(about['retries'], 'retry', 'retries')}, {counted(about['pulses'], 'pulse')}"
    )
    if about["read_backs"]:
        rms, largest = (show(about[f"read_back_{name}"], "S") for name in ("rms", "largest"))
        OUT.print(f"{counted(about['read_backs'], 'read-back')}: off by {rms} (root mean square), {largest} at most")


def _print_value_errors(result: JsonObject) -> None:
    """Print the errors of values in their own units; classes have none."""
    for name, errors in result.get("value_errors", {}).items():
        told = ", ".join(f"{PARTS[part]} {error:.4g}" for part, error in errors.items())
        OUT.print(f"root mean square error of {name}, in its own unit: {told}")

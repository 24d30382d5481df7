"""What the command line shows: tables and results on stdout, progress on stderr.

Nothing from outside is obeyed: names and messages are printed as they are, without markup, emoji or control characters.
Characters that an output's encoding does not have are replaced by plain ones.
"""

import codecs
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from harness.errors import PictureError
from harness.exchange.perceptrons import Agreement
from harness.experiment.chip import SimulatorChoice
from harness.experiment.experiment import Experiment
from harness.files.writing import write_atomic
from harness.studies.benchmark import Comparison, ScalingPoint, exponent
from harness.studies.check import Check
from harness.training.controller import EpochDone, StepDone
from harness.training.predictions import PARTS
from harness.training.runs import Run
from harness.wording import command, counted, plain, printable


class _LiteralConsole(Console):
    """Shows every text as it is, in tables too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        with _naming("standard error" if self.stderr else "standard output"):
            super().print(*objects, **options)


ERR = _LiteralConsole(stderr=True, soft_wrap=True)
OUT = _LiteralConsole(soft_wrap=True)
_LONG = 1e6
"""An R² that is farther below 0 is written with a power of ten."""
WIDE = _LiteralConsole(width=500)
"""For wide tables: lines that run over a narrow terminal are better than figures cut short."""


def accept_every_character() -> None:
    """Let standard output and error replace what their encoding lacks, instead of failing."""
    codecs.register_error(_STAND_INS, _stand_in)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # others, such as a notebook's, take everything
            stream.reconfigure(errors=_STAND_INS)


_STAND_INS = "harness-stand-ins"


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


@contextmanager
def _naming(stream: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise type(error)(error.errno, error.strerror, stream) from error


def end_output() -> None:
    """Write what waits for standard output, or drop it: the interpreter would meet an error of it again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reason_of(error: OSError) -> str:
    """An error of the operating system in a line: which file, and why."""
    where = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    why = error.strerror or str(error)
    return f"{where}: {why}" if where else why


def warn(text: str) -> None:
    """A warning on stderr."""
    ERR.print(f"warning: {text}")


def drawn(file: Path, draw: Callable[[], bytes]) -> bool:
    """Write a picture that belongs to results; whether it was possible. If not, a warning says why."""
    try:
        write_atomic(file, draw())
    except (PictureError, OSError) as error:
        warn(f"{file} was not drawn: {reason_of(error) if isinstance(error, OSError) else error}")
        return False
    return True


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """A sign on a terminal that something is being done; the block may tell what by another text."""
    moving = "dots" if ERR.encoding.startswith("utf") else "line"
    with ERR.status(Text(printable(text)), spinner=moving) as status:
        yield lambda told: status.update(Text(printable(told)))


def described(subject: Experiment, simulators: SimulatorChoice) -> str:
    """What is about to be trained, in a line."""
    settings = subject.settings
    cells = " + ".join("×".join(map(str, array.shape)) for array in subject.circuit.arrays)
    rows = len(subject.data.train)
    chip: str = settings.chip.kind
    if chip == "ngspice":
        chip += f" on {simulators.scheduler}" if simulators.scheduler else f" × {simulators.workers}"
    samples, epochs = counted(rows, "training sample"), counted(settings.training.epochs, "epoch")
    return f"{cells} cells, {samples}, {epochs}, {chip}"


def print_notes(subject: Experiment) -> None:
    """What was found in a file of one's own, line by line on stderr; nothing for other data."""
    for note in subject.data.notes:
        ERR.print(f"  {note}", soft_wrap=True)


@contextmanager
def progress(subject: Experiment) -> Iterator[Any]:
    """A bar over the batches of each epoch, and a line for every finished one (for every n-th of very many)."""
    strained = subject.springs.warning(subject.circuit.conductances)  # which was told before training
    told, kind = max(1, subject.plan.epochs // 25), subject.score
    batches = -(-len(subject.data.train) // subject.plan.batch)
    epoch, note = "epoch {task.fields[epoch]}/" + str(subject.plan.epochs), "{task.fields[note]}"
    columns = (TextColumn(epoch), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn(note))
    with Progress(*columns, console=ERR, transient=True) as bar:
        task = bar.add_task("training", total=batches, epoch=1, note="")

        def watch(event: StepDone | EpochDone) -> None:
            nonlocal strained
            if isinstance(event, StepDone):
                loss = event.position.loss / min(event.position.step * subject.plan.batch, len(subject.data.train))
                bar.update(task, completed=event.row.step, epoch=event.row.epoch, note=f"loss {loss:.4g} V²")
                return
            if not strained and (strained := subject.springs.warning(event.position.conductances)):
                warn(strained)
            row = event.row
            bar.reset(task, completed=0, epoch=min(row.epoch + 1, subject.plan.epochs), note="")
            if row.epoch % told and row.epoch < subject.plan.epochs:
                return
            share = "" if row.ngspice_share is None else f", {100 * row.ngspice_share:.0f} % in ngspice"
            bar.console.print(
                f"epoch {row.epoch:>3}/{subject.plan.epochs}  loss {row.train_loss:.4g} V²  "
                f"training {scored(row.train_accuracy, kind)}  held out {scored(row.test_accuracy, kind)}  "
                f"({row.samples_per_second:.0f} samples/s{share})"
            )

        yield watch


def scored(value: float, kind: str) -> str:
    """An accuracy or an R², as people read it."""
    if kind == "accuracy":
        return f"{100 * value:.2f} %"
    return f"{value:.5f}" if abs(value) < _LONG else f"{value:.3g}"


def print_result(run: Run, result: dict[str, Any]) -> None:
    """What a training reached, and what to do next."""
    kind = result["score"]
    test, training = (scored(result[f"{rows}_accuracy"], kind) for rows in ("test", "train"))
    OUT.print(f"test {kind} {test}, training {kind} {training}")
    print_value_errors(result)
    speed = f"{result['train_samples_per_second']:.0f} samples/s"
    OUT.print(f"{counted(result['epochs'], 'epoch')} in {result['seconds']:.1f} s, {speed}")
    OUT.print(f"run directory: {run.path} (training.png, conductances.png, epochs.csv, conductances.npz)")
    OUT.print(f"next: {command('check', run.path)}")
    OUT.print(f"      {command('export', run.path, '--to', 'netlist')}")


def print_value_errors(result: dict[str, Any]) -> None:
    """How far values are off, in their own units; nothing where there are classes."""
    for name, errors in result.get("value_errors", {}).items():
        told = ", ".join(f"{PARTS[part]} {error:.4g}" for part, error in errors.items())
        OUT.print(f"root mean square error of {name}, in its own unit: {told}")


def print_comparison(found: Comparison) -> None:
    """What a benchmark found, as a table."""
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
    OUT.print(table)
    OUT.print(
        f"an epoch takes {found.epoch_seconds:.0f} s, held-out rows {found.evaluation_samples_per_second:.0f} a second"
    )
    OUT.print(
        f"{100 * found.ngspice_share:.0f} % inside ngspice's analyses, {found.iterations_per_point:.1f} Newton "
        f"iterations per operating point at {found.microseconds_per_iteration:.0f} µs"
    )
    OUT.print(f"peak memory of a worker: {found.peak_worker_mb:.0f} MB")


def print_agreement(found: Agreement) -> None:
    """A cascade against the perceptron that it was made from."""
    table = Table(f"on {found.samples} held-out rows", "perceptron", "circuit", "apart")
    equal = f"{100 * found.predictions_equal:.2f} % equal"
    accuracies = (f"{100 * value:.2f} %" for value in (found.perceptron_accuracy, found.circuit_accuracy))
    table.add_row("predictions", *accuracies, equal)
    apart = f"{found.mean_error:.3g} V, at most {found.largest_error:.3g} V"
    table.add_row("outputs, root mean square", f"{found.signal:.3g} V", "", apart)
    OUT.print(table)


def print_scaling(points: Sequence[ScalingPoint], file: Path, name: str, as_json: bool) -> None:
    """Time against size, as a table or as one object and in a PNG file; exits with 1 if that cannot be drawn."""
    exponents = {layers: exponent(points, layers) for layers in sorted({p.layers for p in points})}
    lines = {
        f"{counted(layers, 'hidden layer')}: exponent {slope:.2f}": {
            p.hidden: p.seconds_per_sample for p in points if p.layers == layers
        }
        for layers, slope in exponents.items()
    }

    def draw() -> bytes:
        from harness.pictures.runs import draw_scaling  # noqa: PLC0415 - matplotlib takes a second to import

        return draw_scaling(lines, name)

    done = drawn(file, draw)
    if as_json:
        told = str(file) if done else None
        print_json({"points": [asdict(p) for p in points], "exponents": exponents, "file": told})
    else:
        _print_points(points, exponents)
    exit_unless_drawn(file, done=done, quiet=as_json)


def exit_unless_drawn(file: Path | None, *, done: bool, quiet: bool) -> None:
    """Say that a picture that was asked for was written; exits with 1 if it was not."""
    if not done:
        sys.exit(1)
    if file is not None and not quiet:
        OUT.print(f"wrote {file}")


def _print_points(points: Sequence[ScalingPoint], exponents: Mapping[int, float]) -> None:
    table = Table("hidden layers", "nodes of each", "training, ms a sample", "exponent")
    for p in points:
        table.add_row(str(p.layers), str(p.hidden), f"{1e3 * p.seconds_per_sample:.3g}", f"{exponents[p.layers]:.2f}")
    OUT.print(table)


def print_checks(checks: Sequence[Check], more: dict[str, Any], as_json: bool, *, failed: bool = False) -> None:
    """Checks as a table or, with `more`, as one object; exits with 1 unless all passed."""
    passed = all(c.passed for c in checks) and not failed
    if as_json:
        rows = [
            {"name": c.name, "value": c.value, "bound": c.bound, "unit": c.unit, "passed": c.passed} for c in checks
        ]
        print_json({**more, "passed": passed, "checks": rows})
    else:
        table = Table("check", "value", "bound", "unit", "")
        for c in checks:
            verdict = Text("passed", "green") if c.passed else Text("FAILED", "red")
            table.add_row(c.name, f"{c.value:.2e}", f"{c.bound:.2e}", c.unit, verdict)
        OUT.print(table)
    if not passed:
        sys.exit(1)


def print_json(content: dict[str, Any]) -> None:
    """One object on stdout; what the output's encoding does not have is escaped as JSON does."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(content, allow_nan=False)
    with _naming("standard output"):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

"""The command line and its shorter commands: parse, call, print.

Results go to stdout, progress and logs to stderr.
"""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from click.exceptions import Exit

import harness
from harness.cli.audit import audit, check
from harness.cli.bench.group import bench
from harness.cli.conductances import conductances, import_mlp
from harness.cli.devices import devices, draw_device
from harness.cli.export import export, verify
from harness.cli.options import (
    FILE,
    about,
    experiment_options,
    json_option,
    picture_form,
    simulators_for,
    subject_of,
    workers_option,
)
from harness.cli.regress import regress
from harness.cli.report import report
from harness.cli.runs.compare import runs
from harness.cli.runs.predict import predict
from harness.cli.sweep import sweep
from harness.cli.terminal import (
    ERR,
    OUT,
    accept_every_character,
    answer,
    drawn,
    end_output,
    exit_unless_drawn,
    print_checks,
    print_json,
    reason_of,
    table,
    working,
)
from harness.cli.train import evaluate, train
from harness.cli.transient import transient
from harness.datasets import BUILT_IN, IMAGE_SETS
from harness.errors import ExperimentError, HarnessError, UnitError
from harness.experiment.packaged import experiment_names, packaged_experiments
from harness.experiment.runs.bench import only_boards_here, packaged_boards
from harness.files.writing import write_atomic
from harness.plugins import Kind, installed
from harness.processes.interrupts import ended_by_interrupt
from harness.processes.memory import exhausted
from harness.studies import benchmark as measure
from harness.studies import doctor as machine
from harness.wording import counted, nearest, printable


class _Group(click.Group):
    """A group that turns this package's errors into one sentence on stderr and an exit code."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        accept_every_character()
        with _in_one_sentence():  # --help and --version print here
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with ended_by_interrupt(), _in_one_sentence(), only_boards_here():
            return super().invoke(ctx)


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:  # a group's help
        raise
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
        where = "standard output: " if _by_click(error) else ""
        ERR.print(f"harness: {where}{reason_of(error)}")
        raise Exit(1) from error


def _by_click(error: OSError) -> bool:
    """Return True for an error of printing by click (--help and --version alone), which names no stream."""
    return any(frame.f_code is click.echo.__code__ for frame, _ in traceback.walk_tb(error.__traceback__))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(harness.__version__, prog_name="harness")
def main() -> None:
    """Train simulated analog neural networks in ngspice as if a chip sat on the bench.

    \b
    harness train digits          train a diode crossbar on handwritten digits
    harness list                  experiments and data sets
    harness doctor                what this machine has
    """  # noqa: D301 - \b keeps the lines for click


_SHOWN = ("activations", "device")
"""Subjects that `show` draws beside networks."""


@main.command()
@click.argument("source", metavar="RUN|EXPERIMENT|activations|device")
@click.argument("device", required=False, metavar="[NAME]")
@click.option("--to", "file", required=True, type=FILE, help="Picture to write: FILE.png or FILE.svg.")
@experiment_options(seed=True)
def show(source: str, device: str | None, file: Path, overrides: list[str], as_json: bool) -> None:
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
        subject, run = subject_of(source, overrides)
        circuit = subject.trained(run) if run else subject.circuit
        picture = draw_circuit(circuit, title=subject.settings.name, format=form)
    write_atomic(file, picture)
    answer({"file": str(file)}, f"wrote {file}", as_json=as_json)


@main.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what was found on this machine, and solve one circuit whose answer is known."""
    found, checks, problem = machine.examine()
    if not as_json:
        OUT.print(table(("part", "found"), ((part, str(value)) for part, value in found.items())))
    if problem:
        ERR.print(f"harness: {problem}")
    print_checks(checks, {"found": found}, as_json, failed=problem is not None)


@main.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the packaged experiments, the data sets, the profiles of boards, and the plug-ins of installed packages."""
    experiments, brought = packaged_experiments(), [plugin for kind in Kind for plugin in installed(kind)]
    sizes, boards = _sizes(), packaged_boards()
    if as_json:
        rows = {name: dict(zip(("samples", "channels", "classes"), size, strict=True)) for name, size in sizes.items()}
        plugins = [{**plugin.record, "hidden": plugin.hidden} for plugin in brought]
        print_json({"experiments": experiments, "data_sets": rows, "profiles": boards, "plugins": plugins})
        return
    OUT.print(table(("experiment", "what it is"), experiments.items()))
    sets = [*((name, *map(str, size)) for name, size in sizes.items()), ("csv", "your own", "columns", "labels")]
    OUT.print(table(("data set", "samples", "channels", "classes"), sets))
    OUT.print(table(("profile of a board", "tested against"), boards.items()))
    if brought:
        OUT.print(table(("plug-in", "name", "of"), ((p.kind.words, p.name, p.source) for p in brought)))
        for plugin in brought:
            if plugin.hidden:
                OUT.print(f"{plugin} is hidden by the built-in {plugin.kind.words} of that name", soft_wrap=True)


def _sizes() -> dict[str, tuple[int, int, int]]:
    """Return samples, channels and classes of each data set, without reading (or downloading) image sets."""
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
    "--to", "file", type=FILE, default=Path("scaling.png"), show_default=True, help="PNG file that --scaling writes."
)
@workers_option
@experiment_options()
def benchmark(
    source: str, seconds: float, scaling: bool, file: Path, workers: int | None, overrides: list[str], as_json: bool
) -> None:
    """Measure how fast an EXPERIMENT trains on this machine (after a short practice), or a RUN as it is trained.

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
        _print_scaling(points, file, subject.settings.name, as_json)
    elif as_json:
        print_json({**about(source, subject, run), **asdict(found)})
    else:
        _print_comparison(found)


def _print_comparison(found: measure.Comparison) -> None:
    one, resident, full = found.one_core_samples_per_second, found.alter_op_ratio, found.full_netlist_ratio
    rows = (
        (f"ngspice × {found.workers}", f"{found.samples_per_second:,.0f}", ""),
        ("ngspice, one core", f"{one:,.0f}", "1"),
        ("nodal chip, one core", f"{found.nodal_samples_per_second:,.0f}", f"{1 / found.nodal_ratio:.3f}"),
        ("resident circuit, alter + op", f"{one / resident:,.3g}", f"{resident:,.3g}"),
        ("full netlist, one op per phase", f"{one / full:,.3g}", f"{full:,.3g}"),
    )
    titles = ("training, every phase, gradient and update", "samples/s", "ngspice on one core is faster by")
    OUT.print(table(titles, rows))
    OUT.print(
        f"an epoch takes {found.epoch_seconds:.0f} s, held-out rows {found.evaluation_samples_per_second:.0f} a second"
    )
    OUT.print(
        f"{100 * found.ngspice_share:.0f} % inside ngspice's analyses, {found.iterations_per_point:.1f} Newton "
        f"iterations per operating point at {found.microseconds_per_iteration:.0f} µs"
    )
    OUT.print(f"peak memory of a worker: {found.peak_worker_mb:.0f} MB")


def _print_scaling(points: Sequence[measure.ScalingPoint], file: Path, name: str, as_json: bool) -> None:
    """Print time against size, and draw it in a PNG file; exit with 1 if that cannot be drawn."""
    exponents = {layers: measure.exponent(points, layers) for layers in sorted({p.layers for p in points})}
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


def _print_points(points: Sequence[measure.ScalingPoint], exponents: Mapping[int, float]) -> None:
    titles = ("hidden layers", "nodes of each", "training, ms a sample", "exponent")
    times = [(p, f"{1e3 * p.seconds_per_sample:.3g}") for p in points]
    OUT.print(table(titles, ((str(p.layers), str(p.hidden), ms, f"{exponents[p.layers]:.2f}") for p, ms in times)))


_OF_OTHER_FILES = (
    audit,
    bench,
    check,
    conductances,
    devices,
    evaluate,
    export,
    import_mlp,
    predict,
    regress,
    report,
    runs,
    sweep,
)
for _command in (*_OF_OTHER_FILES, train, transient, verify):
    main.add_command(_command)

"""`harness benchmark`: parse, call, print."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path

import click

from harness.cli.machine.speeds import print_comparison, print_record
from harness.cli.options import (
    FILE,
    about,
    experiment_options,
    simulators_for,
    subject_of,
    usable_cores,
)
from harness.cli.terminal import OUT, drawn, exit_unless_drawn, note, print_json, table, working
from harness.errors import DataError
from harness.files.writing import write_atomic
from harness.processes.memory import refuse_workers
from harness.studies.benchmark import ways
from harness.studies.benchmark.against import compare
from harness.studies.benchmark.measuring import measure
from harness.studies.benchmark.record import read, written
from harness.studies.benchmark.subjects import SHIPPED, Subject, practised
from harness.wording import counted

_PICTURE = Path("scaling.png")


def _finite(_: click.Context, __: click.Parameter, seconds: float) -> float:
    if not isfinite(seconds):
        raise click.BadParameter(f"{seconds} is no number of seconds")
    return seconds


@click.command()
@click.argument("sources", metavar="[RUN|EXPERIMENT]…", nargs=-1)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=4.0,
    show_default=True,
    callback=_finite,
    help="Seconds of training for each figure.",
)
@click.option("--against", type=FILE, metavar="FILE", help="Compare with what an earlier call wrote by --to.")
@click.option("--ways", "other_ways", is_flag=True, help="Compare one experiment with other ways to simulate it.")
@click.option("--scaling", is_flag=True, help="Time of one experiment against the number of hidden nodes and layers.")
@click.option(
    "--to",
    "file",
    type=FILE,
    metavar="FILE",
    help="Write the figures as JSON; with --scaling, the picture [default: scaling.png].",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes of ngspice in the figure with several; 1 for no such figure [default: one per core, at least 2].",
)
@experiment_options()
def benchmark(
    sources: tuple[str, ...],
    seconds: float,
    against: Path | None,
    other_ways: bool,
    scaling: bool,
    file: Path | None,
    workers: int | None,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Measure how fast experiments train on this machine, after a short practice, or RUNs as they are trained.

    Without a name, it measures iris, iris with batches of 35, digits, mnist (where its files are), mondeq-digits and
    iris-graph, each as shipped, on one core in ngspice and in the nodal chip, and in ngspice with all workers.

    A second table says where the time of a step goes. Analysis: ngspice finds operating points. Parser: it reads the
    deck. Text: the deck is written. Hand-over: the deck goes to ngspice's thread, and voltages come back. Estimate: the
    nodal solver says where ngspice is to begin. Solver: the nodal chip finds operating points. Reduction: the circuit
    is reduced, and all voltages are found again. Gradient and update: of the rules. Recording: the loop around the
    step. Rest: everything else.

    A figure of one core counts seconds on a processor, so that other programs matter less. It is the median of nine
    rounds, ± half of its 95 % interval. With --against, a ratio whose bounds hold 1 is no difference that this noise
    could show; the bounds are those of both calls, and of fixed work that tells whether the machine was as fast.

    --ways takes a minute for a network of mnist's size: ngspice with the reduced circuit kept resident by alter and op,
    and with the full netlist, one operating point per phase.
    """
    if other_ways and scaling:
        raise click.UsageError("give --ways or --scaling, not both")
    if (other_ways or scaling) and (len(sources) != 1 or against):
        raise click.UsageError(f"{'--ways' if other_ways else '--scaling'} is for one experiment, and not --against")
    if file is not None and not file.parent.is_dir():
        raise click.UsageError(f"--to {file}: there is no folder {file.parent}")
    if other_ways:
        _ways(sources[0], seconds, workers, overrides, as_json)
    elif scaling:
        _scaling(sources[0], seconds, file or _PICTURE, overrides, as_json)
    else:
        _speeds(sources, seconds, against, file, workers, overrides, as_json)


def _speeds(
    sources: Sequence[str],
    seconds: float,
    against: Path | None,
    file: Path | None,
    workers: int | None,
    overrides: Sequence[str],
    as_json: bool,
) -> None:
    """Measure experiments as they are, and print, keep and compare the figures."""
    refuse_workers(workers or 1)
    then = read(against) if against else None
    with working("practising") as tell:
        subjects, left_out = _named(sources, overrides, tell) if sources else _shipped(overrides, tell)
        record = measure(subjects, seconds, workers or max(2, usable_cores()), left_out, tell)
    comparison = compare(record, then) if then else None
    if as_json:
        compared = {"against": asdict(comparison)} if comparison else {}
        print_json({**record.model_dump(mode="json"), **compared})
    else:
        print_record(record)
        if comparison:
            print_comparison(comparison, str(against))
    if file is not None:
        write_atomic(file, written(record))
        note(f"wrote {file}")


def _named(
    sources: Sequence[str], overrides: Sequence[str], tell: Callable[[str], None]
) -> tuple[list[Subject], dict[str, str]]:
    """Return the experiments and runs that were asked for; none is left out."""
    subjects = []
    for name in dict.fromkeys(sources):
        tell(f"practising {name}")
        source, changes = SHIPPED.get(name, (name, ()))
        experiment, run = subject_of(source, [*changes, *overrides])
        conductances = experiment.trained(run).conductances if run else practised(experiment)
        subjects.append(Subject(name, experiment, conductances))
    return subjects, {}


def _shipped(overrides: Sequence[str], tell: Callable[[str], None]) -> tuple[list[Subject], dict[str, str]]:
    """Return the experiments of the set, and those whose data are not here with the reason."""
    subjects, left_out = [], {}
    for name, (source, changes) in SHIPPED.items():
        tell(f"practising {name}")
        try:
            experiment, _ = subject_of(source, [*changes, *overrides])
        except DataError as error:
            left_out[name] = str(error)
            continue
        subjects.append(Subject(name, experiment, practised(experiment)))
    return subjects, left_out


def _ways(source: str, seconds: float, workers: int | None, overrides: Sequence[str], as_json: bool) -> None:
    """Compare an experiment with other ways to simulate it."""
    subject, run = subject_of(source, overrides)
    with working("measuring") as tell:
        found = ways.compare(
            subject,
            subject.trained(run).conductances if run else practised(subject),
            simulators=simulators_for(subject, workers or usable_cores(), None),
            seconds=seconds,
            tell=tell,
        )
    if as_json:
        print_json({**about(source, subject, run), **asdict(found)})
    else:
        _print_ways(found)


def _scaling(source: str, seconds: float, file: Path, overrides: Sequence[str], as_json: bool) -> None:
    """Measure sizes of an experiment's network, and draw them."""
    subject, _ = subject_of(source, overrides)
    with working("measuring") as tell:
        points = list(ways.scaling(subject, ways.SIZES, seconds, tell=tell))
    _print_scaling(points, file, subject.settings.name, as_json)


def _print_ways(found: ways.Comparison) -> None:
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


def _print_scaling(points: Sequence[ways.ScalingPoint], file: Path, name: str, as_json: bool) -> None:
    """Print time against size, and draw it in a PNG file; exit with 1 if that cannot be drawn."""
    exponents = {layers: ways.exponent(points, layers) for layers in sorted({p.layers for p in points})}
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


def _print_points(points: Sequence[ways.ScalingPoint], exponents: Mapping[int, float]) -> None:
    titles = ("hidden layers", "nodes of each", "training, ms a sample", "exponent")
    times = [(p, f"{1e3 * p.seconds_per_sample:.3g}") for p in points]
    OUT.print(table(titles, ((str(p.layers), str(p.hidden), ms, f"{exponents[p.layers]:.2f}") for p, ms in times)))

"""`harness benchmark`: parse, call, print."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.options import FILE, about, experiment_options, simulators_for, subject_of, workers_option
from harness.cli.terminal import OUT, drawn, exit_unless_drawn, print_json, table, working
from harness.studies import benchmark as measure
from harness.wording import counted


@click.command()
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="Seconds of training for each figure.",
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

"""`harness layout`: parse, call, print."""

import sys
from pathlib import Path

import click

from harness.cli.export import TileSize
from harness.cli.options import FILE, experiment_options, picture_form, subject_of
from harness.cli.terminal import OUT, drawn, exit_unless_drawn, note, print_json, scored, table, warn, working
from harness.exchange.layout.accuracy import Accuracy, accuracy_of
from harness.exchange.layout.findings import Examination
from harness.exchange.layout.layout import check_installed, examined, plan_of, read_layout, shapes
from harness.exchange.layout.layout import drawn as drawn_layout
from harness.exchange.layout.plan import Plan
from harness.exchange.layout.technology import GENERIC, Technology, packaged_technologies, technology_of
from harness.experiment.experiment import Experiment
from harness.files.reading import JsonObject
from harness.files.writing import write_atomic
from harness.netlist.design.design import TILE, Tile
from harness.netlist.package.manifest import is_package, read_manifest
from harness.netlist.reading.mapped import read_map
from harness.netlist.reading.reader import read_circuit
from harness.training.runs import Run
from harness.units import show
from harness.wording import counted, listed


@click.command()
@click.argument("source", metavar="RUN|EXPERIMENT|DIR")
@click.option("--to", "target", type=FILE, help="GDS file to write.")
@click.option(
    "--check", "given", type=FILE, help="GDS file to examine instead of drawing one, such as a changed layout."
)
@click.option(
    "--technology",
    "wanted",
    default=GENERIC,
    show_default=True,
    metavar="NAME|FILE",
    help=f"Layers, sizes, rules and resistances: {' or '.join(packaged_technologies())}, or a file of one's own, "
    "FILE.toml.",
)
@click.option(
    "--tile",
    type=TileSize(),
    help="Largest number of word lines and of bit lines in a cell of the layout [default: 128x128, or the package's].",
)
@click.option("--picture", type=FILE, help="Picture of the layout to write, PNG or SVG; for small networks.")
@click.option("--no-accuracy", "silent", is_flag=True, help="Do not measure what the lines' resistance does to a RUN.")
@experiment_options()
def layout(
    source: str,
    target: Path | None,
    given: Path | None,
    wanted: str,
    tile: Tile | None,
    picture: Path | None,
    silent: bool,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Lay out the crossbars of a RUN (an EXPERIMENT's initial network, an exported package's DIR) as a GDS file.

    Word lines run on one metal, bit lines on the next one, and a via cell stands at every crossing whose cell is not
    open. The names of lines are texts on them. KLayout then examines the file: it measures every rule of the
    technology (DRC), finds the netlist in the shapes and compares it with the tiles of 'harness export --dialect cdl'
    (LVS), and measures the resistance of every segment of a line. For a RUN, the accuracy on the held-out rows with
    these resistances stands beside the accuracy without. Nothing is written unless the file is clean.

    --check examines a file that somebody has changed, and writes none. Exit code 1 if a rule is broken or the netlists
    differ. It needs the extra layout (harness doctor shows how to install it).
    """
    if (target is None) == (given is None):
        raise click.UsageError("give either --to FILE.gds, to draw a layout, or --check FILE.gds, to examine one")
    form = picture_form(picture, option="--picture") if picture else "png"
    if target is not None:
        _check_target(target)
    check_installed()
    technology = technology_of(wanted)
    subject, run, plan = _planned(source, overrides, tile)
    with working("laying out"):
        gds = read_layout(given) if given else drawn_layout(plan, technology)
        found = examined(gds, plan, technology)
    if plan.left_out:
        warn(f"left out, as these arrays are no crossbars: {listed(plan.left_out)}")
    if target is not None and found.clean:
        write_atomic(target, gds)
    accuracy = None
    if subject is not None and run is not None and found.segments and not silent:
        with working("measuring the accuracy with the lines' resistance"):
            accuracy = accuracy_of(subject, run, found.line_word, found.line_bit)

    def draw() -> bytes:
        from harness.pictures.layouts import draw_layout  # noqa: PLC0415 - matplotlib takes a second to import

        return draw_layout(shapes(gds, plan, technology), f"{plan.top}, technology {technology.name}", form)

    done = drawn(picture, draw)
    if as_json:
        written = str(target) if target is not None and found.clean else None
        print_json({"source": source, "file": written, **_figures(plan, technology, gds), **_told(found, accuracy)})
    else:
        _print(str(target or given), plan, technology, gds, found)
        if accuracy is not None and subject is not None:
            _print_accuracy(accuracy, subject)
    if not found.clean:
        if target is not None:
            warn(f"{target} was not written, as the layout is not clean")
        sys.exit(1)
    exit_unless_drawn(picture, done=done, quiet=as_json)


def _check_target(target: Path) -> None:
    if target.suffix.lower() != ".gds":
        raise click.UsageError(f"--to {target}: write a name that ends in .gds")
    if not target.parent.is_dir():
        raise click.UsageError(f"--to {target}: there is no folder {target.parent}")


def _planned(source: str, overrides: list[str], tile: Tile | None) -> tuple[Experiment | None, Run | None, Plan]:
    """Return the plan of a package, a run or an experiment."""
    folder = Path(source)
    if is_package(folder):
        if overrides:
            raise click.UsageError(f"{source} is a package, which stays as it was exported; leave out {overrides[0]}")
        circuit = read_circuit(folder)  # which checks the manifest's tile and the map's top
        words, bits = read_manifest(folder)["tile"]
        return None, None, plan_of(circuit, tile or (words, bits), str(read_map(folder)["top"]))
    subject, run = subject_of(source, overrides)
    if run is None:
        note(f"{source}: {subject.told(run)}; accuracies are for runs")
    circuit = subject.trained(run) if run else subject.circuit
    return subject, run, plan_of(circuit, tile or TILE, subject.settings.name)


def _figures(plan: Plan, technology: Technology, gds: bytes) -> JsonObject:
    tiles = sum(len(array.tiles) for array in plan.arrays)
    counts = {"crossbars": len(plan.arrays), "tiles": tiles, "cells": plan.cells, "bytes": len(gds)}
    return {"technology": technology.name, **counts, "left_out": list(plan.left_out)}


def _told(found: Examination, accuracy: Accuracy | None) -> JsonObject:
    return {**found.to_json(), **({"accuracy": accuracy.to_json()} if accuracy else {})}


def _print(file: str, plan: Plan, technology: Technology, gds: bytes, found: Examination) -> None:
    figures = _figures(plan, technology, gds)
    counts = f"{counted(figures['crossbars'], 'crossbar')}, {counted(figures['tiles'], 'tile')}"
    size = f"{found.size[0]:.4g} × {found.size[1]:.4g} µm, {show(len(gds), 'B')}"
    OUT.print(f"{file}: {counts}, {counted(plan.cells, 'cell')}, {size}, technology {technology.name}")
    for what, wrong, none in (
        ("DRC", found.violations, "every rule is kept"),
        ("LVS", found.differences, "the layout has the netlist of harness export --dialect cdl"),
    ):
        OUT.print(f"{what}: {counted(len(wrong), 'finding') if wrong else none}")
        for line in wrong:
            OUT.print(f"  {line}")
    if found.segments:
        rows = [
            (array.array, kind, f"{len(ohms):,}", *(show(float(figure), "Ω") for figure in (ohms.min(), ohms.max())))
            for array in found.segments
            for kind, ohms in (("word", array.word), ("bit", array.bit))
        ]
        OUT.print(table(("crossbar", "lines", "segments", "least", "largest"), rows))
        OUT.print(f"variation.line_word={found.line_word:.6g} variation.line_bit={found.line_bit:.6g}")


def _print_accuracy(accuracy: Accuracy, subject: Experiment) -> None:
    rows = [
        ("without resistance of lines", scored(accuracy.without, subject.score)),
        ("with it", scored(accuracy.having, subject.score)),
    ]
    OUT.print(table(("held-out rows", subject.score), rows))

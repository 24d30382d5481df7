"""`harness program`: parse, call, print."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from harness.cli.options import PATH, OneOf, about, experiment_options, in_unit, subject_of
from harness.cli.terminal import OUT, WIDE, print_json, scored, warn, wide_table, working
from harness.devices.arrays.memristors import MOST_DRIVE
from harness.devices.arrays.mesh import Lines
from harness.devices.arrays.schemes import Scheme
from harness.devices.pulses import WritePulse
from harness.errors import ExperimentError, RunError, UnitError
from harness.exchange.conductances import SUFFIXES, read_table, table_bytes
from harness.experiment.experiment import Experiment
from harness.files.reading import JsonObject
from harness.measurement import Conductances
from harness.studies.program.control import Control, Mode
from harness.studies.program.devices import Wires, Written, device_named, of_law
from harness.studies.program.program import Plan, Program, Timing, program
from harness.studies.program.results import (
    CONDUCTANCES,
    SUMMARY,
    TABLE,
    Accuracy,
    accuracy_of,
    write,
    written_conductances,
)
from harness.studies.program.simulated import MOST_CELLS, Simulated, check_simulated, simulated
from harness.training.runs import MANIFEST, Run
from harness.units import parse, show
from harness.wording import counted, listed

FRESH = "fresh"
_AGREED = 0.02
"""Part of the range by which a cell in ngspice may differ from the model."""
_CONTROL, _TIMING = Control(), Timing()


class Pulse(click.ParamType[WritePulse]):
    """A pulse, such as ``1.5V,6ns``."""

    name = "pulse"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> WritePulse:
        """Return the pulse, or fail with a usage error."""
        if isinstance(value, WritePulse):
            return value
        volts, comma, seconds = str(value).partition(",")
        if not comma:
            self.fail(f"{value!r} is no pulse; write its volts and its width, such as 1.5V,6ns", param, ctx)
        try:
            return WritePulse(parse(volts, "V"), parse(seconds, "s"))
        except UnitError as error:
            self.fail(str(error), param, ctx)


class Numbers(click.ParamType[tuple[float, ...]]):
    """So many numbers with commas between them."""

    name = "numbers"

    def __init__(self, count: int) -> None:
        self._count = count

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return the numbers, or fail with a usage error."""
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(parse(part, "") for part in str(value).split(","))
        except UnitError as error:
            self.fail(str(error), param, ctx)
        if len(found) != self._count:
            self.fail(f"{value!r} must be {self._count} numbers with commas between them", param, ctx)
        return found


def _text(numbers: tuple[float, ...]) -> str:
    return ",".join(f"{number:g}" for number in numbers)


@click.command("program")
@click.argument("source", metavar="RUN")
@click.option("--to", "folder", required=True, type=PATH, help=f"Folder to make for {TABLE}, {SUMMARY} and the rest.")
@click.option(
    "--device",
    "name",
    metavar="NAME|FILE",
    help="Memristor model, published device (harness devices list has both) or measured pulses, FILE.csv [default: the "
    "run's own, of its section programming].",
)
@click.option(
    "--from",
    "start",
    metavar="fresh|FILE|RUN",
    default=FRESH,
    show_default=True,
    help="What cells conduct at the beginning: the device's least, a table of measured conductances (CSV or npz), or "
    "what another run of this network has learned.",
)
@click.option(
    "--scheme",
    type=OneOf([scheme.value for scheme in Scheme]),
    default=Scheme.HALF.value,
    show_default=True,
    help="Voltages of the other lines: half (V/2), third (V/3), or alone, where selectors cut off all other cells.",
)
@click.option(
    "--control",
    "mode",
    type=OneOf([mode.value for mode in Mode]),
    default=_CONTROL.mode.value,
    show_default=True,
    help="Closed loops with a read after each pulse (ispp: volts rise step by step; pi: they follow the error; verify: "
    "equal pulses), or an open loop.",
)
@click.option("--up", type=Pulse(), metavar="VOLTS,SECONDS", help="Pulse that raises a conductance, such as 1.5V,6ns.")
@click.option("--down", type=Pulse(), metavar="VOLTS,SECONDS", help="Pulse that lowers it [default: the device's].")
@click.option(
    "--threshold",
    callback=in_unit("V", 0.0),
    metavar="VOLT",
    help="For devices without an equation: no cell moves below it.",
)
@click.option(
    "--full-scale",
    callback=in_unit("S"),
    metavar="SIEMENS",
    help="Conductance of the network that the device's highest one stands for [default: the largest trained one, or "
    "g_max for a law of pulses].",
)
@click.option(
    "--tolerance",
    type=float,
    default=_CONTROL.tolerance,
    show_default=True,
    help="Half of the window in which a read ends a closed loop, as a fraction of the cells' range.",
)
@click.option("--max-pulses", type=int, default=_CONTROL.max_pulses, show_default=True, help="For a cell in a round.")
@click.option(
    "--rounds", type=int, default=_CONTROL.rounds, show_default=True, help="Times a closed loop goes over an array."
)
@click.option(
    "--ramp",
    type=Numbers(3),
    default=_text(_CONTROL.ramp),
    show_default=True,
    metavar="FIRST,STEP,LARGEST",
    help="Volts of ispp, in those of the device's pulse; pi keeps within the first and the largest.",
)
@click.option(
    "--gains",
    type=Numbers(2),
    default=_text(_CONTROL.gains),
    show_default=True,
    metavar="KP,KI",
    help="Of pi, for errors as fractions of the range.",
)
@click.option(
    "--gap", metavar="SECOND", callback=in_unit("s"), default="1us", show_default=True, help="Time between pulses."
)
@click.option(
    "--read-time",
    metavar="SECOND",
    callback=in_unit("s"),
    default="1us",
    show_default=True,
    help="Time that a read takes.",
)
@click.option(
    "--uncompensated",
    is_flag=True,
    help="Leave drivers at the pulse's volts, whatever lines with resistance (variation.line_word, line_bit) take.",
)
@click.option(
    "--ngspice",
    "in_ngspice",
    is_flag=True,
    help="Apply every pulse in ngspice's transient analysis, too, and compare; for memristor models, and arrays of up "
    f"to {MOST_CELLS} cells. It takes minutes for a thousand pulses.",
)
@click.option("--no-accuracy", "silent", is_flag=True, help="Do not measure the accuracy of what was written.")
@experiment_options()
def write_program(
    source: str,
    folder: Path,
    name: str | None,
    start: str,
    scheme: str,
    mode: str,
    up: WritePulse | None,
    down: WritePulse | None,
    threshold: float | None,
    full_scale: float | None,
    tolerance: float,
    max_pulses: int,
    rounds: int,
    ramp: tuple[float, float, float],
    gains: tuple[float, float],
    gap: float,
    read_time: float,
    uncompensated: bool,
    in_ngspice: bool,
    silent: bool,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Plan the write pulses that bring the cells of an array to the conductances of a trained RUN.

    The folder gets a table of pulses (program.csv: cell, polarity, volts, width, number, window of the read), a summary
    (program.json) and the conductances to which the device's equation says that they lead. Pulses disturb other cells
    on the selected lines, which see V/2 or V/3; closed loops go over an array again until all cells are in their
    windows. Time, energy and the worst disturbance are estimated. For a device with a law of pulses alone, what V/2
    does is not known: give its --threshold, or --scheme alone.

    The device's conductances are laid over the network's: its highest stands for --full-scale, and trained cells that
    it cannot reach are clipped. Exit code 1 if a closed loop leaves cells out of their windows.
    """
    _check_free(folder)
    subject, run = subject_of(source, overrides)
    if run is None:
        raise click.UsageError(f"{source} is no run; train it first, since trained conductances are written")
    trained = subject.trained(run)
    lines = Lines(subject.settings.variation.line_word, subject.settings.variation.line_bit)
    plan = Plan(
        _device(subject, name, up, down),
        Scheme(scheme),
        Control(Mode(mode), tolerance, max_pulses, rounds, ramp, gains),
        Wires(lines, compensated=not uncompensated),
        Timing(gap, read_time),
        full_scale,
        threshold,
    )
    if in_ngspice:
        check_simulated(plan, [(array.name, array.conductances.size) for array in trained.arrays])
    begin = _beginning(start, subject)
    with working("programming") as tell:
        found = program(trained, begin, plan, lambda text: tell(f"programming: {text}"))
        pulsed = [array for array in found.arrays if array.record.rows] if in_ngspice else []
        simulations = [simulated(plan, array, lambda text: tell(f"programming: {text}")) for array in pulsed]
    written = written_conductances(trained, found)
    accuracy = None
    if not silent:
        with working("measuring the accuracy of what was written"):
            accuracy = accuracy_of(subject, trained.conductances, written)
    summary = _summary(source, start, subject, run, found, accuracy)
    if in_ngspice:
        summary["ngspice"] = [one.to_json() for one in simulations]
    write(folder, found, summary, table_bytes(trained.with_conductances(written), ".csv"))
    if as_json:
        print_json({"folder": str(folder), **summary})
    else:
        _print(summary, accuracy, subject)
        for one in simulations:
            OUT.print(_compared(one))
        OUT.print(f"wrote {folder} ({TABLE}, {SUMMARY}, {CONDUCTANCES})")
    _complain(found, simulations)


def _check_free(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise ExperimentError(f"--to {folder}: something is there already; name another folder")
    if not folder.absolute().parent.is_dir():
        raise ExperimentError(f"--to {folder}: there is no folder {folder.parent} to put it in")


def _device(subject: Experiment, name: str | None, up: WritePulse | None, down: WritePulse | None) -> Written:
    if name is not None:
        return device_named(name, up, down)
    own = subject.settings.programming
    if own is None:
        raise click.UsageError("give a --device: the run was trained without a section programming, which names one")
    return of_law(own.build().device, up, down)


def _beginning(start: str, subject: Experiment) -> Conductances | None:
    """Return conductances (S) by array, or None for fresh cells."""
    if start == FRESH:
        return None
    path = Path(start)
    if path.suffix in SUFFIXES:
        found = read_table(path, subject.circuit, clip=True)
        if found.clipped:
            warn(f"{path}: {counted(found.clipped, 'cell')} outside g_min…g_max of the network begin at the bound")
        return found.conductances
    if not (path / MANIFEST).exists():
        raise click.UsageError(f"--from {start}: give fresh, a run, or a table that ends in {' or '.join(SUFFIXES)}")
    other = Run(path)
    conductances = Experiment.of_run(other, []).trained(other).conductances
    shapes = [[g.shape for g in each] for each in (conductances, subject.circuit.conductances)]
    if shapes[0] != shapes[1]:
        raise RunError(f"--from {start}: it is of another network: it has cells {shapes[0]}, this one {shapes[1]}")
    return conductances


def _summary(
    source: str, start: str, subject: Experiment, run: Run, found: Program, accuracy: Accuracy | None
) -> JsonObject:
    measured = {} if accuracy is None else {"score": subject.score, "accuracy": asdict(accuracy)}
    return {**about(source, subject, run), "from": start, **found.to_json(), **measured}


def _compared(one: Simulated) -> str:
    largest, others = (f"{100 * part:.2g} %" for part in (one.largest, one.disturbed))
    return (
        f"array {one.array} in ngspice: {counted(one.pulses, 'pulse')}, cells within {largest} of the range, those "
        f"that were not selected within {others}; {show(one.joules, 'J')}"
    )


def _print(summary: JsonObject, accuracy: Accuracy | None, subject: Experiment) -> None:
    shown = wide_table(
        "array", "cells", "range", "clipped", "pulses", "reads", "time", "energy", "error (rms)", "worst disturbance"
    )
    for one in summary["arrays"]:
        worst = one["worst_disturbance"]
        place = f"[{worst['word']}, {worst['bit']}]" if worst["S"] else ""
        figures = (one["clipped"], one["pulses"], one["reads"])
        shown.add_row(
            one["array"],
            f"{one['cells']:,}",
            f"{show(one['from_S'], 'S')} … {show(one['to_S'], 'S')}",
            *(f"{figure:,}" for figure in figures),
            show(one["seconds"], "s"),
            show(one["joules"], "J"),
            f"{100 * one['rms_error']:.2g} %",
            f"{100 * worst['of_range']:.2g} % {place}".rstrip(),
        )
    WIDE.print(shown)
    total = f"{show(summary['seconds'], 's')}, {show(summary['joules'], 'J')}"
    OUT.print(
        f"{counted(summary['pulses'], 'pulse')} of {summary['device']['name']}, scheme {summary['scheme']}, "
        f"{summary['control']['mode']}: {total}"
    )
    if limited := summary["limited_pulses"]:
        most = f"{MOST_DRIVE:g} times the pulse's volts"
        warn(f"in {counted(limited, 'pulse')} drivers applied the {most} that they may, and the cell saw less")
    if accuracy is not None:
        trained, written = (scored(value, subject.score) for value in (accuracy.trained, accuracy.written))
        OUT.print(f"{subject.score} on {accuracy.rows} held-out rows: {trained} as trained, {written} as written")


def _complain(found: Program, simulations: Sequence[Simulated]) -> None:
    """Name the cells that a closed loop did not bring into their windows, and arrays that differ in ngspice; exit 1."""
    failed = False
    for array in found.arrays:
        if places := array.to_json()["missed"]:
            named = listed([str(place) for place in places])
            warn(f"array {array.name}: {counted(len(places), 'cell')} not in their windows: {named}")
            failed = True
    for one in simulations:
        if one.largest > _AGREED:
            warn(f"array {one.array}: ngspice is more than {100 * _AGREED:g} % of the range from the model")
            failed = True
    if failed:
        sys.exit(1)

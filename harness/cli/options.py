"""Options that several commands take, and what they mean."""

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from harness.cli.terminal import be_quiet, be_verbose, building, note
from harness.datasets.images import VARIABLE
from harness.errors import ExperimentError, UnitError
from harness.experiment.chip import CHIPS, SimulatorChoice
from harness.experiment.experiment import Experiment
from harness.experiment.runs.trust import accept_stale_calibrations, open_any_board
from harness.experiment.settings import PLACES
from harness.files.reading import JsonObject
from harness.plugins import Kind, find
from harness.processes.memory import refuse_workers, workers_that_fit
from harness.training.parts import own_parts
from harness.training.predictions import PARTS
from harness.training.runs import MANIFEST, Run
from harness.units import parse
from harness.wording import command, counted, did_you_mean

_LOG = logging.getLogger(__name__)
RUNS = Path("runs")
"""Folder of runs and sweeps that nobody gave a place."""
FILE = click.Path(path_type=Path, dir_okay=False)
PATH = click.Path(path_type=Path)


class OneOf(click.Choice[str]):
    """One of a few names; the error for a wrong one suggests the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail with a usage error."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            known = list(map(str, self.choices))
            self.fail(error.message.rstrip(".") + did_you_mean(str(value), known), param, ctx)


class ChipName(click.ParamType[str]):
    """The name of a kind of chip, the harness's own or a plug-in's; a wrong one gets the nearest."""

    name = "chip"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, or a usage error."""
        try:
            return str(value) if value in CHIPS else find(Kind.CHIP, str(value), CHIPS).name
        except ExperimentError as error:
            self.fail(f"{value!r} {error}", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """As --help shows it."""
        return f"[{'|'.join(CHIPS)}|PLUG-IN]"


_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else.")


def _loudness(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    if ctx.meta.setdefault(_LOUDNESS, option.name) != option.name:
        raise click.UsageError("give --quiet or --verbose, not both")
    (be_quiet if option.name == "quiet" else be_verbose)()


_LOUDNESS = f"{__name__}.loudness"
_quiet_option = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_loudness,
    help="On stderr, print warnings and errors alone, and no progress.",
)
_verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_loudness,
    help="On stderr, say what was decided too: chip, workers, solver, files that are read and written.",
)


_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def json_option(function: _Decorated) -> _Decorated:
    """Add the options of every command that reports: --json, --quiet and --verbose."""
    for option in (_verbose_option, _quiet_option, _json_option):
        function = option(function)
    return function


run_option = click.option("--run", "folder", type=PATH, help="Run directory to make [default: runs/NAME-seedN].")
_set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the experiment; may be repeated."
)
_chip_option = click.option(
    "--chip", type=ChipName(), help="What simulates the network, instead of the experiment's choice."
)


def _named(_: click.Context, __: click.Parameter, profile: str | None) -> str | None:
    if profile is not None:
        open_any_board()
    return profile


_profile_option = click.option(
    "--profile",
    callback=_named,
    metavar="PROFILE",
    help="Board on the bench instead of a simulator: a packaged profile or the path of one's own. A board that is not "
    "on this machine is opened only where this names it.",
)
stale_option = click.option(
    "--stale-calibration",
    is_flag=True,
    expose_value=False,
    callback=lambda _, __, stale: accept_stale_calibrations() if stale else None,
    help="Take the calibration of a board's profile although it is too old, or of another board.",
)
_seed_option = click.option("--seed", type=click.IntRange(min=0), help="Seed, instead of the experiment's.")

workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that run ngspice; results do not depend on it [default: one, or one per core that may be used if "
    "that is measured to be faster].",
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


class Rows(click.ParamType[tuple[int, ...]]):
    """Numbers of rows, such as ``0,3,10-19``."""

    name = "rows"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers that a text names, each once."""
        if isinstance(value, tuple):
            return value
        rows = [row for part in str(value).split(",") for row in self._range(part.strip(), param, ctx)]
        if len(rows) > _MOST_ROWS:
            self.fail(f"{value!r} names {len(rows):,} rows; at most {_MOST_ROWS:,} are taken", param, ctx)
        if len(set(rows)) < len(rows):
            self.fail(f"{value!r} names a row twice", param, ctx)
        return tuple(rows)

    def _range(self, part: str, param: click.Parameter | None, ctx: click.Context | None) -> range:
        found = re.fullmatch(r"([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?", part)
        if found is None:
            self.fail(f"{part!r} is no list of rows; write their numbers, such as 0,1,2 or 0-9", param, ctx)
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            self.fail(f"{part!r} runs backwards; write {last}-{first}", param, ctx)
        if last - first >= _MOST_ROWS:
            self.fail(f"{part!r} names {last - first + 1:,} rows; at most {_MOST_ROWS:,} are taken", param, ctx)
        return range(first, last + 1)


_MOST_ROWS = 100_000


def picture_form(
    file: Path, endings: Sequence[str] = (".png", ".svg"), *, option: str = "--to"
) -> Literal["png", "svg"]:
    """Return the format that a picture's name asks for.

    Raises:
        UsageError: another ending, or no such folder.
    """
    if file.suffix.lower() not in endings:
        raise click.UsageError(f"{option} {file}: write a name that ends in {' or '.join(endings)}")
    if not file.parent.is_dir():
        raise click.UsageError(f"{option} {file}: there is no folder {file.parent}")
    return "svg" if file.suffix.lower() == ".svg" else "png"


def in_unit(unit: str, least: float = -inf) -> Callable[[click.Context, click.Parameter, str | None], float | None]:
    """Return a callback that reads an option's text, such as 100fF, as a number in an SI unit, at least `least`."""

    def read(_: click.Context, option: click.Parameter, text: str | None) -> float | None:
        try:
            found = None if text is None else parse(text, unit)
        except UnitError as error:
            raise click.BadParameter(str(error), param=option) from error
        if found is not None and found < least:
            raise click.BadParameter(f"{text} is below {least:g} {unit}", param=option)
        return found

    return read


_Command = Callable[..., None]
_BENCH = "bench"


def experiment_options(
    *, chip: bool = False, board: bool = False, seed: bool = False
) -> Callable[[_Command], _Command]:
    """Add the options of a command that loads an experiment.

    These are --set, --data-dir, --json and, if wanted, --chip, --profile and --seed. The command gets all that --set,
    --chip, --profile and --seed change as its argument `overrides`.
    """

    def decorate(function: _Command) -> _Command:
        @wraps(function)
        def command(
            *,
            overrides: Sequence[str],
            chip: str | None = None,
            profile: str | None = None,
            seed: int | None = None,
            **more: Any,
        ) -> None:
            if chip and profile:
                raise click.UsageError("--profile names a board on the bench, and --chip a simulator; give one of them")
            chips = [f"chip.kind='{chip}'"] if chip else []
            chips += [f"chip.kind='{_BENCH}'", f"chip.profile={json.dumps(profile)}"] if profile else []
            seeds = [f"training.seed={seed}"] if seed is not None else []
            function(overrides=[*overrides, *chips, *seeds], **more)

        options = [
            _set_option,
            *[_chip_option] * chip,
            *[_profile_option, stale_option] * board,
            *[_seed_option] * seed,
        ]
        options += [data_option, json_option]
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def places_in(overrides: Sequence[str]) -> dict[str, str]:
    """Return the profile and the address of a board among overrides, which a run that is resumed may change.

    Raises:
        UsageError: there are other keys.
    """
    found = {}
    for override in overrides:
        key, _, value = (part.strip() for part in override.partition("="))
        if key not in ("chip.kind", *PLACES):
            raise click.UsageError(
                "--resume goes on as the run was recorded; give no experiment, --set, --run, --chip or --seed with it, "
                "or change it with --from"
            )
        found[key] = json.loads(value) if value.startswith('"') else value.strip("'")
    return found


def subject_of(source: str, overrides: Sequence[str], *, new_data: Path | None = None) -> tuple[Experiment, Run | None]:
    """Return a run's experiment, with network and data as trained (or with new data), and the run; or one alone."""
    run = Run(Path(source)) if (Path(source) / MANIFEST).exists() else None
    with building(source):
        subject = Experiment.of_run(run, overrides, new_data=new_data) if run else Experiment.load(source, overrides)
        log_decisions(subject)
    if run and (subject.changes_on(run) or own_parts(run)):
        note(f"{source}: {subject.told(run)}")
    return subject, run


def log_decisions(subject: Experiment) -> None:
    """Log what an experiment is, for --verbose."""
    settings, circuit, parts = subject.settings, subject.circuit, subject.data.parts
    rows = ", ".join(f"{len(rows):,} {PARTS[part]}" for part, rows in parts.items())
    _LOG.info("experiment %s, seed %d; rows of %s: %s", settings.name, settings.training.seed, settings.data.set, rows)
    shapes = " + ".join("×".join(map(str, array.shape)) for array in circuit.arrays)
    _LOG.info("network %s: %s cells, %d outputs", circuit.name, shapes, len(circuit.outputs))
    _LOG.info("learning rule %s, update %s", settings.rule.kind, settings.update.kind)


def about(source: str, subject: Experiment, run: Run | None) -> JsonObject:
    """Return what a command with ``--json`` says of the network that it has looked at."""
    changes = subject.changes_on(run) if run else {}
    return {"source": source, **({"with": changes} if changes else {})}


def simulators_for(subject: Experiment, workers: int | None, scheduler: str | None) -> SimulatorChoice:
    """Return what --workers and --scheduler ask for; a cluster that cannot be used is an error already here.

    Without --workers, it is measured whether processes for all cores are faster than one.
    """
    if scheduler is not None and workers is not None:
        raise click.UsageError("give --workers (on this machine) or --scheduler (a cluster's own), not both")
    if scheduler is not None and not subject.settings.chip.in_ngspice:
        raise click.UsageError(f"--scheduler is for ngspice; the {subject.settings.chip.kind} chip has no workers")
    refuse_workers(workers or 1)
    most = workers or workers_that_fit(usable_cores())
    choice = SimulatorChoice(most, scheduler, measured=workers is None)
    choice.check()
    _log_chip(subject, choice)
    return choice


def _log_chip(subject: Experiment, choice: SimulatorChoice) -> None:
    """Log the chip, and what simulates it, for --verbose."""
    chip = subject.settings.chip
    if not chip.in_ngspice:
        _LOG.info("chip %s, in this process", chip.kind)
        return
    processes = counted(choice.workers, "process", "processes")
    most = "at most " if choice.measured and choice.workers > 1 else ""
    where = f"on the cluster at {choice.scheduler}" if choice.scheduler else f"in {most}{processes}"
    _LOG.info("chip %s, %s, %d samples at a time", chip.kind, where, chip.chunk)


def usable_cores() -> int:
    """Return how many cores this process may use, which a batch system may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_EVALUATED = ("rule.cost", "training.seed")
"""Keys of learning's sections that evaluations read, too: what is random about a chip may come from the seed."""


def refuse_learning(changes: Iterable[str], run: Path) -> None:
    """Refuse changed keys that only learning reads: an evaluation that named them would seem to depend on them.

    Raises:
        UsageError: names the key.
    """
    for key in changes:
        if key.partition(".")[0] in {"rule", "subset", "training", "update"} and key not in _EVALUATED:
            onward = command("train", "--from", run, "--set", f"{key}=…")
            raise click.UsageError(
                f"{key} is about learning, and an evaluation does not learn; train with it: {onward}"
            )

"""`harness age`: parse, call, print."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.options import PATH, about, experiment_options, subject_of
from harness.cli.terminal import OUT, WIDE, counting, print_json, scored, warn, wide_table
from harness.devices.retention.laws import ABSOLUTE_ZERO
from harness.errors import ExperimentError, UnitError
from harness.experiment.experiment import Experiment
from harness.studies.age.measuring import Compensation, Look, Shelving, looks
from harness.studies.age.results import Mean, as_object, means, write
from harness.training.runs import Run
from harness.units import duration, show, show_duration
from harness.wording import counted

_USUAL = "1s,1h,1d,1y"
_MOST_TIMES = 1000


class Time(click.ParamType[float]):
    """A time with its unit, such as ``1h``, above 0 s."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return s, or fail with a usage error."""
        try:
            seconds = duration(value)
        except UnitError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail(f"{value!r} must be above 0 s", param, ctx)
        return seconds


class Times(Time):
    """Times with commas between them, each after the one before."""

    name = "times"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return s, or fail with a usage error."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if len(parts) > _MOST_TIMES:
            self.fail(f"{len(parts):,} times; at most {_MOST_TIMES:,} are taken", param, ctx)
        times = [super(Times, self).convert(part.strip(), param, ctx) for part in parts]
        for k in range(1, len(times)):
            if times[k] <= times[k - 1]:
                self.fail(f"{parts[k].strip()!r} does not come after {parts[k - 1].strip()!r}", param, ctx)
        return tuple(times)


def _temperature(_: click.Context, option: click.Parameter, celsius: float | None) -> float | None:
    if celsius is not None and not ABSOLUTE_ZERO < celsius <= 1000:
        bounds = f"above absolute zero, {ABSOLUTE_ZERO} °C, and at most 1000 °C"
        raise click.BadParameter(f"{celsius:g} °C must be {bounds}", param=option)
    return celsius


@click.command()
@click.argument("source", metavar="RUN")
@click.option(
    "--over",
    "times",
    type=Times(),
    default=_USUAL,
    show_default=True,
    metavar="TIMES",
    help="Times after training, rising, in s (also ms, us), min, h, d or y, with commas between them.",
)
@click.option(
    "--at",
    "celsius",
    type=float,
    callback=_temperature,
    metavar="CELSIUS",
    help="Temperature at which cells age [default: retention.temperature].",
)
@click.option(
    "--refresh", type=Time(), metavar="TIME", help="Look at a chip, too, whose cells are written again so often."
)
@click.option(
    "--compensate", is_flag=True, help="Look, too, at outputs scaled by one factor, from a summed read of the chip."
)
@click.option("--per-output", is_flag=True, help="Look, too, at outputs that are scaled each by a factor of its own.")
@click.option(
    "--chips", type=click.IntRange(1, 10_000), help="Write the conductances into so many other chips, and average."
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Training rows for gradients and for the read of a compensation.",
)
@click.option("--to", "folder", type=PATH, help="Folder to make for ageing.csv, ageing.json and ageing.png.")
@experiment_options(chip=True)
def age(
    source: str,
    times: tuple[float, ...],
    celsius: float | None,
    refresh: float | None,
    compensate: bool,
    per_output: bool,
    chips: int | None,
    samples: int,
    folder: Path | None,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Let a trained RUN lie, and measure what is left of it: accuracy, gradient and outputs against time.

    Its cells age by the laws of the section [retention], which --set can give to a run that was trained without. The
    run's own chip goes on from its last training step; --chips writes the conductances into others. The gradient is
    the rule's own on the aged chip, against the exact one of the network as it was trained (the smallest cosine of its
    arrays); the output error, in V, is the root mean square over held-out rows against the ideal circuit's. With
    --refresh, the trained conductances are written again so often. A compensation scales what is read, by the ratio
    of summed outputs at the beginning and now, and changes no gradient.
    """
    _check_free(folder)
    overrides += [] if celsius is None else [f"retention.temperature={celsius!r}"]
    experiment, run = subject_of(source, overrides)
    if run is None:
        raise click.UsageError(f"{source} is no run; train it first, since only what was trained can be forgotten")
    chosen = {Compensation.CHIP: compensate, Compensation.OUTPUTS: per_output}
    shelving = Shelving(times, refresh, tuple(kind for kind, wanted in chosen.items() if wanted), chips, samples)
    with counting("ageing", shelving.looks) as tell:
        found = list(looks(experiment, run, shelving, tell=tell))
    if any(look.cosine is None and "compensated" not in look.use for look in found):
        warn("the rule measures no gradient on some aged chips, as where springs of −β leave no stable state")
    more = _about(source, experiment, run, shelving)
    if folder is not None:
        write(folder, found, more, experiment.score, _picture(experiment, found))
    if as_json:
        print_json({**more, "folder": None if folder is None else str(folder), **as_object(found)})
        return
    _print(found, experiment.score)
    if folder is not None:
        OUT.print(f"wrote {folder} (ageing.csv, ageing.json, ageing.png)")


def _check_free(folder: Path | None) -> None:
    if folder is None:
        return
    if folder.exists() or folder.is_symlink():
        raise ExperimentError(f"--to {folder}: something is there already; name another folder")
    if not folder.absolute().parent.is_dir():
        raise ExperimentError(f"--to {folder}: there is no folder {folder.parent} to put it in")


def _about(source: str, experiment: Experiment, run: Run, shelving: Shelving) -> dict[str, Any]:
    laws = experiment.settings.retention.model_dump(mode="json", exclude_none=True)
    asked = {"times": list(shelving.times), "refresh": shelving.refresh, "chips": shelving.chips}
    return {**about(source, experiment, run), "chip": experiment.settings.chip.kind, "retention": laws, **asked}


def _print(found: Sequence[Look], score: str) -> None:
    chips = len({look.chip for look in found})
    table = wide_table("after", "the chip", score, "gradient cosine", "output error", "conductance left", "refreshes")
    above = None
    for one in sorted(means(found), key=lambda one: one.seconds):
        time = show_duration(one.seconds) if one.seconds else "training"
        table.add_row("" if time == above else time, one.use, *_cells(one, score))
        above = time
    WIDE.print(table)
    if chips > 1:
        OUT.print(f"means over {counted(chips, 'chip')}, with standard deviations")


def _cells(one: Mean, score: str) -> list[str]:
    refreshes = one.mean("refreshes") or 0
    return [
        _told(one, "accuracy", lambda value: scored(value, score)),
        _told(one, "cosine", lambda value: f"{value:.4f}"),
        _told(one, "output_error", lambda value: show(value, "V")),
        _told(one, "left", lambda value: f"{100 * value:.1f} %"),
        f"{refreshes:,.0f}" if refreshes else "",
    ]


def _told(one: Mean, name: str, text: Any) -> str:
    mean, spread = one.mean(name), one.spread(name)
    if mean is None:
        return "–"
    return str(text(mean)) + ("" if spread is None else f" ± {text(spread)}")


def _picture(experiment: Experiment, found: Sequence[Look]) -> bytes:
    from harness.pictures.ageing import draw_ageing  # noqa: PLC0415 - matplotlib takes a second to import

    labels = {"accuracy": experiment.score, "cosine": "gradient cosine", "output_error": "output error (V)"}
    panels: dict[str, dict[str, list[tuple[float, float, float]]]] = {label: {} for label in labels.values()}
    for one in means(found):
        for name, label in labels.items():
            if (mean := one.mean(name)) is not None:
                point = one.seconds, mean, one.spread(name) or 0.0
                panels[label].setdefault(one.use, []).append(point)
    return draw_ageing(panels, f"{experiment.settings.name}: a trained network on the shelf")

"""`harness audit` and `harness check`: parse, call, print."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np

from harness.cli.options import FILE, about, experiment_options, picture_form, subject_of
from harness.cli.terminal import (
    WIDE,
    drawn,
    exit_unless_drawn,
    print_checks,
    print_json,
    print_notes,
    warn,
    wide_table,
    working,
)
from harness.experiment.experiment import Experiment
from harness.experiment.rule import ETA, STEP
from harness.files.reading import JsonObject
from harness.studies.along import Along, audit_along
from harness.studies.audit import Curve, Doubt, GradientError, Subject, audit_gradients
from harness.studies.check import check_circuit, inside
from harness.training.runs import Run
from harness.units import show

_UNITS = {"β": "β (S)", "b": "b (1 for the table's β)"}


@click.command()
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option(
    "--samples", type=click.IntRange(min=1), default=2, show_default=True, help="Held-out rows to audit with."
)
@click.option(
    "--to", "file", type=FILE, help="PNG file for curves of error and cosine against β, η, b and, in ngspice, reltol."
)
@click.option(
    "--along",
    is_flag=True,
    help="Repeat a RUN's training, and show what β does to its gradients at five epochs, and the limit of β there.",
)
@click.option("--adc-bits", type=click.IntRange(1, 32), help="Bits of a converter that would read the nodes.")
@click.option("--adc-range", type=click.FloatRange(min=0, min_open=True), help="V that the converter spans.")
@experiment_options(chip=True, board=True, seed=True)
def audit(
    source: str,
    samples: int,
    file: Path | None,
    along: bool,
    adc_bits: int | None,
    adc_range: float | None,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Compare every learning rule's gradient with the truth, on a RUN's network or an EXPERIMENT's initial one.

    Truths are finite differences of fourth order, on a sample of cells, and the adjoint, which is compared with them
    first. Coupled learning takes another direction than the gradient: its error is what the best scale leaves, and it
    is compared with its own limit too. Every rule is measured on the nodal chip and, unless --chip nodal, in ngspice
    at the experiment's tolerances. Warns of nudges that drown in the solver's tolerance or, with --adc-bits and
    --adc-range, in a converter's step. It reports and does not judge: the exit code is 0 whatever it finds.

    With --along, a RUN of equilibrium propagation is trained once more, which takes as long as it took then, and its
    gradients are compared with the adjoint's under its own β, and for --to and --json under others. The limit is the
    largest β under which every sample has a stable state.
    """
    if (adc_bits is None) != (adc_range is None):
        raise click.UsageError("--adc-bits and --adc-range belong together; give both or neither")
    if file is not None:
        picture_form(file, (".png",))
    experiment, run = subject_of(source, overrides)
    if along:
        if run is None or adc_bits is not None:
            raise click.UsageError("--along takes a RUN, and neither --adc-bits nor --adc-range")
        _audit_along(source, experiment, run, samples, file, as_json=as_json)
        return
    adc_step = None if adc_bits is None or adc_range is None else adc_range / 2**adc_bits
    subject = subject_for(experiment, run, samples, adc_step)
    with working("auditing") as tell:
        found = list(
            audit_gradients(
                subject,
                ngspice=experiment.settings.chip.in_ngspice,
                curves=as_json or file is not None,
                tell=lambda text: tell(f"auditing: {text}"),
            )
        )
    curves = [row for row in found if isinstance(row, Curve)]
    done = drawn(file, lambda: _picture(subject, curves, experiment.settings.name))
    if as_json:
        print_json({**about(source, experiment, run), **_as_object(found)})
    else:
        _print(found)
    exit_unless_drawn(file, done=done, quiet=as_json)


def _audit_along(
    source: str, experiment: Experiment, run: Run, samples: int, file: Path | None, *, as_json: bool
) -> None:
    subject = subject_for(experiment, run, samples, None)
    with working("repeating the training") as tell:
        found = audit_along(experiment, run, subject, tell=lambda text: tell(f"repeating the training: {text}"))
    if found.apart:
        warn(
            f"the repeated training ends up to {show(found.apart, 'S')} from the run's conductances: another chip, or "
            "another version of the libraries, does not give the same bits"
        )
    done = drawn(file, lambda: _picture_along(found, experiment.settings.name))
    if as_json:
        print_json({**about(source, experiment, run), **asdict(found)})
    else:
        _print_along(found)
    exit_unless_drawn(file, done=done, quiet=as_json)


def _print_along(found: Along) -> None:
    table = wide_table("epoch", "limit of β", "β / limit", "array", "relative error", "cosine")
    for stage in found.stages:
        bound = stage.limit if stage.limit is not None and np.isfinite(stage.limit) else None
        shown = [
            str(stage.epoch),
            *(("none", "") if bound is None else (show(bound, "S"), f"{found.beta / bound:.3f}")),
        ]
        for row in stage.gradients:
            table.add_row(*shown, row.crossbar, f"{row.relative_error:.1e}", f"{row.cosine:.6f}")
            shown = ["", "", ""]
    WIDE.print(f"β = {show(found.beta, 'S')}, against the adjoint's gradient")
    WIDE.print(table)


def _picture_along(found: Along, name: str) -> bytes:
    from harness.pictures.runs import draw_along  # noqa: PLC0415 - matplotlib takes a second to import

    curves = {stage.epoch: stage.curve for stage in found.stages}
    points = {k: list(zip(curve.values, curve.errors, curve.cosines, strict=True)) for k, curve in curves.items()}
    limits = {stage.epoch: stage.limit for stage in found.stages}
    return draw_along(points, limits, found.beta, f"{name}: gradients along training")


def subject_for(experiment: Experiment, run: Run | None, samples: int, adc_step: float | None) -> Subject:
    """Return a run's network as it is trained, or an experiment's initial one with cells moved inside their range."""
    settings = experiment.fitted
    rule, unit = settings.rule, experiment.units.conductance
    return Subject(
        circuit=experiment.trained(run) if run else inside(experiment.circuit),
        cost=experiment.cost,
        batch=experiment.data.test.batch(slice(samples)),
        beta=experiment.strength.beta,
        step=getattr(rule, "step", STEP) * unit,
        eta=getattr(rule, "eta", ETA),
        tolerances=experiment.tolerances,
        seed=settings.training.seed,
        adc_step=adc_step,
    )


def _as_object(found: Iterable[GradientError | Curve | Doubt]) -> JsonObject:
    kinds: dict[str, type] = {"gradients": GradientError, "curves": Curve, "warnings": Doubt}
    return {key: [asdict(row) for row in found if isinstance(row, kind)] for key, kind in kinds.items()}


def _print(found: Iterable[GradientError | Curve | Doubt]) -> None:
    table = wide_table("rule", "chip", "array", "relative error", "cosine", "against")
    above = None
    for row in found:
        match row:
            case GradientError():
                who = row.rule, row.chip
                figures = f"{row.relative_error:.1e}", f"{row.cosine:.6f}"
                table.add_row(*(("", "") if who == above else who), row.crossbar, *figures, row.against)
                above = who
            case Doubt():
                warn(f"{row.rule} on {row.chip}: {row.message}")
    WIDE.print(table)


def _picture(subject: Subject, curves: list[Curve], name: str) -> bytes:
    from harness.pictures.runs import draw_audit  # noqa: PLC0415 - matplotlib takes a second to import

    own = {"β": subject.beta, "η": subject.eta, "b": 1.0, "reltol": subject.tolerances.reltol}
    panels: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    used: dict[str, float] = {}
    for curve in curves:
        panel = f"{_UNITS.get(curve.knob, curve.knob)}, {curve.chip}"
        points = list(zip(curve.values, curve.errors, curve.cosines, strict=True))
        panels.setdefault(panel, {})[curve.rule] = points
        used[panel] = own[curve.knob]
    return draw_audit(panels, used, f"{name}: gradients against the truth")


@click.command()
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option(
    "--samples", type=click.IntRange(min=1), default=2, show_default=True, help="Held-out rows to check with."
)
@experiment_options(chip=True, board=True, seed=True)
def check(source: str, samples: int, overrides: list[str], as_json: bool) -> None:
    """Compare a circuit with independent truths; exits with 1 when a figure is out of bounds.

    Reduction against the full netlist, ngspice against the nodal solver, gradients against finite differences. With
    --chip nodal, only what needs no simulator.
    """
    subject, run = subject_of(source, overrides)
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
                ngspice=settings.chip.in_ngspice,
                tell=lambda text: tell(f"checking: {text}"),
            )
        )
    print_checks(checks, about(source, subject, run), as_json)

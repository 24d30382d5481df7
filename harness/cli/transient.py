"""`harness transient`: parse, call, print."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np

from harness.cli.options import FILE, Rows, about, experiment_options, in_unit, picture_form, subject_of
from harness.cli.terminal import OUT, WIDE, drawn, exit_unless_drawn, print_json, table, warn, wide_table, working
from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.learning import EquilibriumPropagation
from harness.measurement import Array, Batch, Injection, Nudge, Spring
from harness.studies.transient import (
    CONVERTER,
    FRACTIONS,
    ROWS,
    Converter,
    Parasitics,
    PhaseResponse,
    Rate,
    SettlingResult,
    settling,
)
from harness.training.runs import Run
from harness.units import show
from harness.wording import counted

node_option = click.option(
    "--node-capacitance",
    "node",
    metavar="FARAD",
    callback=in_unit("F"),
    default="100fF",
    show_default=True,
    help="Capacitance to ground of every node that no source or amplifier holds, in step responses.",
)
line_option = click.option(
    "--line-capacitance",
    "line",
    metavar="FARAD",
    callback=in_unit("F"),
    default="1fF",
    show_default=True,
    help="Capacitance that every cell, open or closed, adds to its word line and to its bit line, in step responses.",
)


@click.command()
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option("--samples", type=Rows(), help=f"Held-out rows, such as 0,1,2 or 0-9 [default: the first {ROWS}].")
@node_option
@line_option
@click.option(
    "--bandwidth",
    metavar="HZ",
    callback=in_unit("Hz"),
    help="Bandwidth of every amplifier and buffer, with one pole [default: ideal].",
)
@click.option(
    "--adc-bits",
    type=click.IntRange(1, 24),
    help="Bits of the converter that reads the nodes [default: those of [imperfect], or 8].",
)
@click.option(
    "--adc-range",
    metavar="VOLT",
    callback=in_unit("V"),
    help="The converter reads from −VOLT to +VOLT [default: as in [imperfect], or the largest output's size].",
)
@click.option("--to", "file", type=FILE, help="PNG file for the responses.")
@experiment_options(seed=True)
def transient(
    source: str,
    samples: tuple[int, ...] | None,
    node: float,
    line: float,
    bandwidth: float | None,
    adc_bits: int | None,
    adc_range: float | None,
    file: Path | None,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Measure how fast a RUN's network (an EXPERIMENT's initial one) settles in ngspice's time, and its energy.

    Inputs step from 0 V to held-out rows (free phase); then the nudge is switched on, the rule's own with equilibrium
    propagation, else a spring (nudged phase). A phase has settled when every node and output stays within 1 % or
    0.1 % of the largest step among them, or within one step of the converter, of its operating point. Rates are those
    of a chip that gives each phase the time of the slowest sample. The network is the drawn one, without [variation];
    lines that sources and amplifiers hold need no capacitance, and what charging them takes is told apart.
    """
    if file is not None:
        picture_form(file, (".png",))
    parasitics = Parasitics(node, line, bandwidth)
    experiment, run = subject_of(source, overrides)
    own = converter_of(experiment)
    converter = Converter(adc_bits or own.bits, own.range if adc_range is None else adc_range)
    with working("simulating") as tell:
        found = settling_of(
            experiment, run, samples, parasitics, converter, tell=lambda text: tell(f"simulating {text}")
        )

    def draw() -> bytes:
        from harness.studies.transient_pictures import draw_settling  # noqa: PLC0415 - matplotlib takes a second to import

        return draw_settling(found, experiment.settings.name)

    done = drawn(file, draw)
    if as_json:
        shown = str(file) if file and done else None
        print_json({**about(source, experiment, run), "file": shown, **found.to_json()})
    else:
        _print(found)
    exit_unless_drawn(file, done=done, quiet=as_json)


def converter_of(experiment: Experiment) -> Converter:
    """Return the converter that ``[imperfect]`` reads nodes with, or 8 bits over the outputs' own range."""
    imperfect = experiment.settings.imperfect
    return Converter() if imperfect.adc_bits is None else Converter(imperfect.adc_bits, imperfect.adc_range)


def settling_of(
    experiment: Experiment,
    run: Run | None,
    samples: Sequence[int] | None,
    parasitics: Parasitics,
    converter: Converter | None = None,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> SettlingResult:
    """Return the step responses of a run's network, or of an experiment's initial one.

    `samples` are numbers of held-out rows, None for the first ones; without a converter, it is the experiment's own.

    Raises:
        ExperimentError: there is no such row.
        CircuitError, ChipError, NgspiceMissing: as `harness.studies.transient.settling`.
    """
    if samples is None:
        samples = range(min(ROWS, len(experiment.data.test)))
    return settling(
        experiment.trained(run) if run else experiment.circuit,
        _rows(experiment, samples),
        parasitics,
        nudge=lambda free, targets: _nudge(experiment, free, targets),
        converter=converter or converter_of(experiment),
        numbers=samples,
        tell=tell,
    )


def _rows(experiment: Experiment, samples: Sequence[int]) -> Batch:
    count = len(experiment.data.test)
    if wrong := [number for number in samples if not 0 <= number < count]:
        raise ExperimentError(f"sample {wrong[0]}: there is no such row; the held-out rows are 0…{count - 1}")
    rows = experiment.data.test.batch(slice(None))
    chosen = np.array(samples, dtype=np.intp)
    return Batch(rows.inputs[chosen], rows.targets[chosen])


def _nudge(experiment: Experiment, free: Array, targets: Array) -> Nudge:
    """Return the nudge of training by equilibrium propagation at positive β; for other rules, a spring."""
    beta, rule = experiment.strength.beta, experiment.rule
    if isinstance(rule, EquilibriumPropagation):
        nudge = rule.nudge(beta, free, targets)
        if isinstance(nudge, Spring | Injection):
            return nudge
    return Spring(beta, targets)


def _print(found: SettlingResult) -> None:
    levels = (f"to {name}" for name in (*FRACTIONS, CONVERTER))
    shown = wide_table("sample", "phase", "read", "step", *levels, "energy", "then")
    for phase in found.phases:
        for row in _rows_of(phase):
            shown.add_row(*row)
    WIDE.print(shown)
    criterion = "both phases to" if found.nudged else "free phase to"
    OUT.print(table((criterion, "time", "samples/s", "energy of a sample"), map(_rate, found.rates)))
    OUT.print(
        f"{counted(found.free_nodes, 'node')} with {show(found.capacitance, 'F')}; lines that sources and amplifiers "
        f"hold need none: charging them takes their drivers {show(_held(found), 'J')} more a sample"
    )
    constant = max(phase.time_constant for phase in found.phases)
    text = f"slowest time constant of the network {show(constant, 's')}; an {CONVERTER} is {show(found.adc_step, 'V')}"
    if found.amplifiers:
        lag = show(found.amplifier_time_constant, "s") if found.amplifier_time_constant else "0 s (no --bandwidth)"
        share = f" ({100 * found.amplifier_share:.0f} % of both together)" if found.amplifier_share else ""
        text += f"; {counted(found.amplifiers, 'amplifier or buffer', 'amplifiers and buffers')} of {lag}{share}"
    OUT.print(text)
    worst = max(found.phases, key=lambda phase: phase.error)
    balance = max(phase.balance for phase in found.phases)
    OUT.print(
        f"ends within {show(worst.error, 'V')} of the nodal solver's operating points; energy balances to {balance:.1e}"
    )
    if unseen := [phase for phase in found.phases if phase.output_step <= found.adc_step]:
        least = min(phase.output_step for phase in unseen)
        warn(
            f"in {len(unseen)} of {len(found.phases)} phases the outputs move by less than an {CONVERTER} "
            f"(the least by {show(least, 'V')}): settled to it says little there; see 0.1 %, or give --adc-bits"
        )


def _held(found: SettlingResult) -> float:
    samples = len({phase.sample for phase in found.phases})
    return sum(phase.held for phase in found.phases) / samples


def _rows_of(phase: PhaseResponse) -> list[list[str]]:
    """Return a row for the outputs, with the energy until the converter sees no change, and a row for the nodes."""
    outputs = [show(settled.outputs, "s") for settled in phase.settled]
    nodes = [show(settled.nodes, "s") for settled in phase.settled]
    costs = [show(phase.settled[-1].energy, "J"), show(phase.power, "W")]
    return [
        [str(phase.sample), phase.phase, "outputs", show(phase.output_step, "V"), *outputs, *costs],
        ["", "", "nodes", show(phase.step, "V"), *nodes, "", ""],
    ]


def _rate(rate: Rate) -> list[str]:
    often = "-"
    if rate.per_second is not None:
        small = rate.per_second < 1e3
        often = f"{rate.per_second:,.3g}" if small else f"{float(f'{rate.per_second:.3g}'):,.0f}"
    return [rate.criterion, show(rate.seconds, "s"), often, show(rate.energy, "J")]

"""`harness bench serve`: parse, call, print."""

from pathlib import Path

import click

from harness.cli.options import FILE, experiment_options, in_unit, simulators_for, subject_of
from harness.cli.terminal import OUT, note, print_json, print_notes
from harness.experiment.experiment import Experiment
from harness.studies.bench.serving import BoardOptions, serve
from harness.wording import counted, listed


@click.command("serve")
@click.argument("source", metavar="EXPERIMENT|RUN")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="TCP port of this machine to listen on; 0 for any that is free [default: 5025].",
)
@click.option(
    "--openmena",
    is_flag=True,
    help="Serve the network's only crossbar (up to 8x8) as an OpenMENA board behind a pseudo-terminal instead.",
)
@click.option(
    "--latency", metavar="TIME", callback=in_unit("s", 0.0), help="Wait so long before each message, such as 2ms."
)
@click.option(
    "--settling",
    metavar="TIME",
    callback=in_unit("s", 0.0),
    help="Time constant with which voltages settle [default: 0].",
)
@click.option(
    "--dead-man",
    metavar="TIME",
    callback=in_unit("s", 0.0),
    help="Ground all pins when no message comes for so long, unless the host says otherwise [default: never].",
)
@click.option(
    "--state", type=FILE, help="File that keeps the cells' conductances and pulses from one start to the next."
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that run ngspice; where they are several, the first reading waits until they have started.",
)
@experiment_options(chip=True, seed=True)
def serve_board(
    source: str,
    port: int | None,
    openmena: bool,
    latency: float | None,
    settling: float | None,
    dead_man: float | None,
    state: Path | None,
    workers: int,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Serve a chip as a virtual board that other programs drive and read, until Ctrl-C.

    The board is the chip of an EXPERIMENT, with all that [variation], [programming] and [imperfect] say of it, or of a
    RUN, with its trained conductances. It listens on this machine alone and speaks SCPI, so that `harness train
    --profile virtual` and any program with VISA can talk to it.
    """
    if openmena and (port is not None or settling is not None):
        raise click.UsageError("--port and --settling are for a board at a port; --openmena has neither")
    subject, run = subject_of(source, overrides)
    simulators = simulators_for(subject, workers, None)
    print_notes(subject)
    options = BoardOptions(latency or 0.0, settling or 0.0, dead_man or 0.0, state, openmena)

    def opened(counts: dict[str, int], resource: str) -> None:
        kinds = subject.settings.chip_description.kinds
        if as_json:
            print_json({"resource": resource, "board": subject.settings.name, "chip": kinds, **counts})
            return
        told = ", ".join(counted(count, noun.removesuffix("s")) for noun, count in counts.items())
        chip = subject.settings.chip.kind + (f" with {listed(sections)}" if (sections := _imperfect(subject)) else "")
        OUT.print(f"serving {subject.settings.name} ({chip}): {told}")
        OUT.print(f"[identity]\nresource = '{resource}'")
        note("Ctrl-C ends it")

    serve(subject, run, 5025 if port is None else port, options, simulators, opened=opened, tell=note)


def _imperfect(subject: Experiment) -> list[str]:
    """Return the sections that make the chip another one than was drawn."""
    settings = subject.settings
    there = {
        "[variation]": not settings.variation.build().absent,
        "[imperfect]": not settings.imperfect.build().ideal,
        "[programming]": settings.programming is not None,
        "[retention]": not settings.retention.build().absent,
    }
    return [name for name, is_there in there.items() if is_there]

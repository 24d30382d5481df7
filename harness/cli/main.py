"""The command line: its commands, which are loaded when they are typed, and what becomes of errors.

Results go to stdout, progress and logs to stderr.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.exceptions import Exit
from typing_extensions import override

import harness
from harness.cli.output.help import Later, NarrowContext
from harness.cli.terminal import ERR, accept_every_character, end_output, reason_of, usual_loudness
from harness.errors import ExperimentError, HarnessError, UnitError
from harness.experiment.runs.trust import only_boards_here
from harness.processes.garbage import seldom_collected
from harness.processes.interrupts import ended_by_interrupt
from harness.processes.memory import exhausted
from harness.wording import printable

_FIRST = (
    ("harness train digits", "train a diode crossbar on handwritten digits"),
    ("harness list", "experiments and data sets"),
    ("harness doctor", "what this machine has"),
)
_COMMANDS = {
    "age": ("harness.cli.runs.age:age", "Measure what is left of a run after hours and years."),
    "audit": ("harness.cli.audit:audit", "Compare every learning rule's gradient with the truth."),
    "bench": ("harness.cli.bench.group:bench", "Work with a board on the bench of a lab."),
    "benchmark": ("harness.cli.machine.benchmark:benchmark", "Measure how fast an experiment trains here."),
    "check": ("harness.cli.audit:check", "Compare a circuit with independent truths."),
    "completion": ("harness.cli.machine.completion:completion", "Print what lets a shell complete words with Tab."),
    "conductances": ("harness.cli.conductances:conductances", "Write and read conductances as CSV or npz."),
    "devices": ("harness.cli.devices:devices", "List published devices; fit measured ones."),
    "doctor": ("harness.cli.machine.doctor:doctor", "Say what this machine has, and solve known circuits."),
    "evaluate": ("harness.cli.train:evaluate", "Measure loss and accuracy of a run."),
    "export": ("harness.cli.export:export", "Write a package of netlists for chip designers."),
    "import-mlp": ("harness.cli.conductances:import_mlp", "Program a trained ReLU perceptron into a circuit."),
    "layout": ("harness.cli.runs.layout:layout", "Lay out a network's crossbars as a GDS file."),
    "list": ("harness.cli.catalog.listing:list_", "List experiments, data sets, boards and plug-ins."),
    "predict": ("harness.cli.runs.predict:predict", "Show a trained network new rows of a CSV file."),
    "program": ("harness.cli.runs.program:write_program", "Plan the pulses that write a run into an array."),
    "regress": ("harness.cli.regress:regress", "Compare a suite of cases with golden results."),
    "report": ("harness.cli.report:report", "Write the design report of a run, one page of HTML."),
    "reproduce": ("harness.cli.runs.reproduce:reproduce", "Measure what papers claim, and what was found, again."),
    "runs": ("harness.cli.runs.compare:runs", "List the runs of a folder, and compare them."),
    "show": ("harness.cli.catalog.showing:show", "Draw a network, a device or what diodes do."),
    "sweep": ("harness.cli.sweep:sweep", "Train an experiment at every point of a grid."),
    "train": ("harness.cli.train:train", "Train an experiment, or go on with a run."),
    "transient": ("harness.cli.transient:transient", "Measure how fast a network settles, and its energy."),
    "verify": ("harness.cli.export:verify", "Simulate an exported package again and compare."),
}
"""Where each command is, and a sentence about it; ``harness --help`` imports none of them."""


class _Group(click.Group):
    """A group that turns this package's errors into one sentence on stderr and an exit code."""

    context_class = NarrowContext

    @override
    def make_context(self, *args: Any, **options: Any) -> click.Context:
        accept_every_character()
        with _in_one_sentence():  # --help and --version print here
            return super().make_context(*args, **options)

    @override
    def invoke(self, ctx: click.Context) -> Any:
        with seldom_collected(), ended_by_interrupt(), _in_one_sentence(), only_boards_here(), usual_loudness():
            return super().invoke(ctx)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("To begin"):
            formatter.write_dl(_FIRST)
        with formatter.section("Commands"):
            formatter.write_dl(sorted((name, told) for name, (_, told) in _COMMANDS.items()))


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
    """Train simulated analog neural networks in ngspice as if a chip sat on the bench."""


main.commands = Later(_COMMANDS)

"""`harness show`: parse, call, print."""

from pathlib import Path

import click

from harness.cli.devices import draw_device
from harness.cli.options import FILE, experiment_options, picture_form, subject_of
from harness.cli.terminal import answer
from harness.experiment.packaged import experiment_names
from harness.files.writing import write_atomic
from harness.wording import nearest

_SHOWN = ("activations", "device")
"""Subjects that `show` draws beside networks."""


@click.command()
@click.argument("source", metavar="RUN|EXPERIMENT|activations|device")
@click.argument("device", required=False, metavar="[NAME]")
@click.option("--to", "file", required=True, type=FILE, help="Picture to write: FILE.png or FILE.svg.")
@experiment_options(seed=True)
def show(source: str, device: str | None, file: Path, overrides: list[str], as_json: bool) -> None:
    """Draw the network: a graph with its pins and conductances, or its crossbars in a row.

    `harness show activations` draws what diodes, antiparallel pairs, shelves and square-law transistors make of the
    voltage behind a resistor.

    `harness show device NAME` draws what write pulses do to a published device, with bands for its scatter, to a device
    of one's own (NAME is a CSV file) or to a memristor model, and the model's current under a sine; `harness devices
    list` has the names.
    """
    from harness.pictures.circuits import draw_activations, draw_circuit  # noqa: PLC0415 - matplotlib takes a second to import

    form = picture_form(file)
    if (device is None) == (source == "device"):
        raise click.UsageError("a NAME belongs to harness show device NAME; see harness devices list")
    if device is not None:
        picture = draw_device(device, form)
    elif source == "activations":
        picture = draw_activations(format=form)
    else:
        if (meant := nearest(source, [*experiment_names(), *_SHOWN])) in _SHOWN and not Path(source).exists():
            raise click.UsageError(f"there is nothing called {source!r} to show; did you mean {meant!r}?")
        subject, run = subject_of(source, overrides)
        circuit = subject.trained(run) if run else subject.circuit
        picture = draw_circuit(circuit, title=subject.settings.name, format=form)
    write_atomic(file, picture)
    answer({"file": str(file)}, f"wrote {file}", as_json=as_json)

"""The folder of a program: the table of pulses, a summary, and the conductances that the model says it leads to."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.circuit import Circuit
from harness.experiment.experiment import Experiment
from harness.files.reading import JsonObject
from harness.files.writing import whole_folder, write_atomic
from harness.measurement import Conductances
from harness.studies.program.program import Program
from harness.studies.program.rows import rows_bytes
from harness.training.controller import evaluate

TABLE, SUMMARY, CONDUCTANCES = "program.csv", "program.json", "conductances.csv"
"""Files of the folder."""


@dataclass(frozen=True)
class Accuracy:
    """Accuracies (for values R²) and losses (V²) on the held-out rows, on the nodal chip."""

    trained: float
    written: float
    loss_trained: float
    loss_written: float
    rows: int


def written_conductances(circuit: Circuit, found: Program) -> Conductances:
    """Return what the model says the cells conduct at the end, S, in the shapes of the circuit's arrays.

    A cell that a device leaves beyond the network's own g_min…g_max counts as the bound.
    """
    return tuple(
        np.clip(reached.reshape(array.shape), array.g_min, array.g_max)
        for array, reached in zip(circuit.arrays, found.conductances, strict=True)
    )


def accuracy_of(subject: Experiment, trained: Conductances, written: Conductances) -> Accuracy:
    """Measure trained and written conductances on the held-out rows.

    Raises:
        ChipError: a sample did not settle.
    """
    with subject.replace({"chip.kind": "nodal"}).open_chip() as chip:
        found = []
        for conductances in (trained, written):
            chip.program(conductances)
            found.append(evaluate(chip, subject.cost, subject.data.test))
    before, after = found
    return Accuracy(before.accuracy, after.accuracy, before.loss, after.loss, len(before.outputs))


def write(folder: Path, found: Program, summary: JsonObject, conductances: bytes) -> None:
    """Write the folder, which appears whole; `conductances` is a table of them.

    Raises:
        FileExistsError: something is there.
        OSError: the folder cannot be written.
    """
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    with whole_folder(folder) as part:
        write_atomic(part / TABLE, rows_bytes(found.rows))
        write_atomic(part / SUMMARY, text.encode())
        write_atomic(part / CONDUCTANCES, conductances)

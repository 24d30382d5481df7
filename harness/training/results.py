"""Figures that a network reached, as ``result.json`` and `harness evaluate` give them."""

import time
from collections.abc import Mapping, Sequence

from harness.chip.base import Chip
from harness.chip.metering import ledger_of, record_of, sharing_of
from harness.datasets import Split
from harness.files.reading import JsonObject
from harness.learning.costs import Cost
from harness.training.controller import Evaluation, evaluate
from harness.training.predictions import value_errors
from harness.training.runs import Run
from harness.training.tables import EpochRow, total

SHOWN = 10_000
"""Training rows that a finished run is evaluated on, at most: more would take minutes and tell nothing new."""


def figures(chip: Chip, cost: Cost, data: Split) -> tuple[dict[str, Evaluation], JsonObject]:
    """Evaluate every part of the data; also as plain figures, whose names begin with their part's.

    Raises:
        ChipError: the chip failed.
    """
    found = {part: evaluate(chip, cost, samples) for part, samples in data.parts.items()}
    ledger = ledger_of(chip)
    shown: JsonObject = {} if ledger is None else {"sparse_sweeps": ledger.sparse_sweeps}
    for part, one in found.items():
        shown |= {f"{part}_accuracy": one.accuracy, f"{part}_loss": one.loss, f"{part}_samples": len(one.outputs)}
    return found, shown | value_errors(data, found)


def finish(
    run: Run, chip: Chip, cost: Cost, data: Split, about: JsonObject, epochs: Sequence[EpochRow] | None = None
) -> None:
    """Write what a run that was trained to its end reached; the result begins with `about`, experiment and seed.

    `epochs` are the rows of its table, if they are at hand; else they are read.

    Raises:
        ChipError: the chip failed.
    """
    began = time.perf_counter()
    found = {"train": evaluate(chip, cost, data.train.first(SHOWN))}
    if data.valued:
        found["test"] = evaluate(chip, cost, data.test)
    rows = run.tables()[1] if epochs is None else epochs
    reached = result_of(about, data, rows, found, time.perf_counter() - began)
    if (sharing := sharing_of(chip)) is not None:
        reached["sharing"] = sharing
    if (bench := record_of(chip)) is not None:
        reached["bench"] = bench
    run.finish([array.name for array in chip.circuit.arrays], chip.conductances, reached)


def result_of(
    about: JsonObject, data: Split, epochs: Sequence[EpochRow], found: Mapping[str, Evaluation], evaluating: float
) -> JsonObject:
    """Return a run's result.

    Args:
        about: how it begins, experiment and seed.
        data: which the network learned.
        epochs: the rows of its table.
        found: the parts of the data that were evaluated in the end.
        evaluating: s that this took.
    """
    return {**about, **_reached(epochs, data, found["train"], evaluating), **value_errors(data, found)}


def _reached(epochs: Sequence[EpochRow], data: Split, train: Evaluation, evaluating: float) -> JsonObject:
    seconds = sum(row.seconds for row in epochs)
    evaluating += sum(row.evaluation_seconds for row in epochs)
    shares = [row.ngspice_share * row.seconds for row in epochs if row.ngspice_share is not None]
    return {
        "score": data.score,
        "test_accuracy": epochs[-1].test_accuracy,
        "train_accuracy": train.accuracy,
        "test_loss": epochs[-1].test_loss,
        "train_loss": train.loss,
        "train_samples": len(train.outputs),
        "epochs": len(epochs),
        "seconds": seconds + evaluating,
        "training_seconds": seconds,
        "train_samples_per_second": len(data.train) * len(epochs) / seconds,
        "ngspice_share": sum(shares) / seconds if shares else None,
        **({} if (ledger := total(epochs)) is None else vars(ledger)),
    }

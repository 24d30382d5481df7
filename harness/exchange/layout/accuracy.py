"""The accuracy of a run with the resistance of its layout's lines, beside the accuracy without."""

from dataclasses import dataclass

from harness.experiment.experiment import Experiment
from harness.files.reading import JsonObject
from harness.training.controller import evaluate
from harness.training.runs import Run


@dataclass(frozen=True)
class Accuracy:
    """Accuracies (for values R²) and losses (V²) of the same conductances on the held-out rows."""

    without: float
    having: float
    """With the resistance of every segment."""
    loss_without: float
    loss_having: float
    rows: int

    def to_json(self) -> JsonObject:
        """Return it as plain data; losses in V²."""
        return {
            "rows": self.rows,
            "without_lines": self.without,
            "with_lines": self.having,
            "loss_without_lines": self.loss_without,
            "loss_with_lines": self.loss_having,
        }


def accuracy_of(subject: Experiment, run: Run, line_word: float, line_bit: float) -> Accuracy:
    """Measure a run's conductances on the nodal chip, with lines of no resistance and with lines of these, Ω a segment.

    Whatever else is not ideal about the experiment's chip stays as it is.

    Raises:
        RunError: the run has no checkpoint yet.
        CircuitError, ChipError: a resistance is out of its range, or the chip failed.
    """
    conductances = subject.trained(run).conductances
    found = []
    for word, bit in ((0.0, 0.0), (line_word, line_bit)):
        lines = {"chip.kind": "nodal", "variation.line_word": word, "variation.line_bit": bit}
        with subject.replace(lines).open_chip() as chip:
            chip.program(conductances)
            found.append(evaluate(chip, subject.cost, subject.data.test))
    without, having = found
    return Accuracy(without.accuracy, having.accuracy, without.loss, having.loss, len(without.outputs))

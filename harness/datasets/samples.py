"""What every data set becomes: arrays in volts, split into rows to train on and rows that are held out."""

from dataclasses import dataclass

from harness.measurement import Array, Batch, Index


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows that can be drawn as batches."""

    inputs: Array
    """V before the network's input gain, ``[samples, channels]``."""
    targets: Array
    """V at the outputs, ``[samples, outputs]``."""

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: Index | slice) -> Batch:
        """The samples in `rows`, in that order."""
        return Batch(self.inputs[rows], self.targets[rows])


@dataclass(frozen=True, eq=False)
class Split:
    """A data set as an experiment uses it."""

    train: Samples
    test: Samples
    classes: tuple[str, ...]
    """One name per output."""

    @property
    def channels(self) -> int:
        """Input channels."""
        return self.train.inputs.shape[1]

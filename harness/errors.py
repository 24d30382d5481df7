"""Everything that `harness` raises on purpose.

::

    HarnessError
    ├── UnitError              a quantity that cannot be read, or is out of its range
    ├── CircuitError           a circuit that cannot be built, with the element named
    ├── ExperimentError        an experiment file with a wrong key or value
    ├── DataError              a data set that cannot be loaded
    ├── RunError               a run directory that cannot be used
    └── ChipError              a chip that cannot do what was asked
        ├── NgspiceMissing     libngspice cannot be loaded
        ├── SimulatorError     ngspice refused a deck, or answered something unusable
        └── ConvergenceError   a sample did not settle; names sample and phase

The command line turns each of them into one sentence and exit code 1 (2 for `ExperimentError` and `UnitError`).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path


class HarnessError(Exception):
    """Root of the tree: catch it to catch every error of this package."""


class UnitError(HarnessError, ValueError):
    """A quantity that cannot be read, has the wrong unit, or is out of its range."""


class CircuitError(HarnessError, ValueError):
    """A circuit that cannot be built or reduced; the message names the element."""


class ExperimentError(HarnessError, ValueError):
    """An experiment with a wrong key or value; the message names file, line and key where they are known."""


class DataError(HarnessError, ValueError):
    """A data set that cannot be loaded or does not fit the network."""


class RunError(HarnessError):
    """A run directory that is missing, foreign, or in use."""


class ChipError(HarnessError):
    """A chip that cannot do what was asked of it."""


class NgspiceMissing(ChipError):  # noqa: N818 - the state of the machine, not a fault of the program
    """libngspice is not installed or cannot be loaded."""


class SimulatorError(ChipError):
    """ngspice refused a deck or answered something unusable.

    `log` holds the simulator's own lines, `deck` the path of the saved netlist.
    """

    def __init__(self, message: str, *, log: tuple[str, ...] = (), deck: Path | None = None) -> None:
        super().__init__(_with_evidence(message, log, deck))
        self.log = log
        self.deck = deck


class ConvergenceError(ChipError):
    """One sample of a batch did not settle in one phase."""

    def __init__(
        self,
        message: str,
        *,
        sample: int,
        phase: str,
        settling: int = 0,
        log: tuple[str, ...] = (),
        deck: Path | None = None,
    ) -> None:
        super().__init__(_with_evidence(f"sample {sample}, {phase} phase: {message}", log, deck))
        self._message = message
        self.sample = sample
        """Counted within its settling or batch."""
        self.phase = phase
        self.settling = settling
        """Which of several settlings it belongs to."""
        self.log = log
        self.deck = deck

    def in_batch(self, first: int) -> "ConvergenceError":
        """The same, with samples counted from the start of a batch in which this settling begins at `first`."""
        return ConvergenceError(
            self._message, sample=first + self.sample, phase=self.phase, log=self.log, deck=self.deck
        )

    def __reduce__(self) -> tuple[Callable[[], "ConvergenceError"], tuple[()]]:
        """Errors come back from worker processes."""
        again = partial(ConvergenceError, self._message, sample=self.sample, phase=self.phase, settling=self.settling)
        return partial(again, log=self.log, deck=self.deck), ()


def _with_evidence(message: str, log: tuple[str, ...], deck: Path | None) -> str:
    parts = [message]
    parts += [f"  ngspice: {line}" for line in log]
    parts += [f"  deck saved as {deck}"] if deck else []
    return "\n".join(parts)

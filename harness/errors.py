"""Exceptions that `harness` raises on purpose.

::

    HarnessError
    ├── UnitError              a quantity that cannot be read, or is out of its range
    ├── CircuitError           a circuit that cannot be built, with the element named
    ├── ExperimentError        an experiment file with a wrong key or value
    ├── NetlistError           a netlist or package that cannot be read, with file and line
    ├── DataError              a data set that cannot be loaded
    ├── RunError               a run directory that cannot be used
    ├── PictureError           a picture that cannot be drawn
    ├── PluginError            a plug-in that cannot be loaded, or fails
    └── ChipError              a chip that cannot do what was asked
        ├── NgspiceMissing     libngspice cannot be loaded
        ├── NotFiniteError     a voltage, cost or change that is not finite
        ├── SpringError        springs of −β leave a sample no stable state; names sample and phase
        ├── SimulatorError     ngspice refused a deck, or answered something unusable
        ├── ConvergenceError   a sample did not settle; names sample and phase
        ├── BoardError         a board on the bench does not answer, or not as it must; names the message
        └── LimitError         a message would go beyond a limit of the board's profile; it is not sent

The command line turns each of them into one sentence and exit code 1 (2 for `ExperimentError` and `UnitError`).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


class HarnessError(Exception):
    """Root of the tree: catch it to catch every error of this package."""


class UnitError(HarnessError, ValueError):
    """A quantity that cannot be read, has the wrong unit, or is out of its range."""


class CircuitError(HarnessError, ValueError):
    """A circuit that cannot be built or reduced; the message names the element."""


class ExperimentError(HarnessError, ValueError):
    """An experiment with a wrong key or value; the message names file, line and key where they are known."""


class NetlistError(HarnessError, ValueError):
    """A netlist or package that cannot be read, or asks for what no netlist may; the message names file and line."""


class DataError(HarnessError, ValueError):
    """A data set that cannot be loaded or does not fit the network."""


class RunError(HarnessError):
    """A run directory that is missing, foreign, or in use."""


class PictureError(HarnessError):
    """A picture that cannot be drawn; nothing else depends on it."""


class PluginError(HarnessError):
    """A plug-in that cannot be loaded or that fails; the message names it and the package that it is of."""


class ChipError(HarnessError):
    """A chip that cannot do what was asked of it."""


class NotFiniteError(ChipError):
    """A voltage, cost or change that is not finite; `sources` are the kinds of parts that it may come from."""

    def __init__(self, message: str, *sources: str) -> None:
        super().__init__(message)
        self.sources = sources


class SpringError(ChipError):
    """Springs of −β that leave samples no stable state."""

    def __init__(self, message: str, bound: float = 0.0, samples: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.bound = bound
        """S that β must stay below."""
        self.samples = samples
        """The samples of the batch that have none."""


class BoardError(ChipError):
    """A board does not answer, or not as it must; the message names what was sent."""


class LimitError(ChipError):
    """A message would go beyond a limit of the board's profile; it was not sent."""


class NgspiceMissing(ChipError):  # noqa: N818 - the state of the machine, not a fault of the program
    """libngspice is not installed or cannot be loaded."""


class SimulatorError(ChipError):
    """ngspice refused a deck or answered something unusable.

    `log` holds the simulator's own lines, `deck` the path of the saved netlist, on another machine if `host` names one.
    """

    def __init__(self, message: str, *, log: tuple[str, ...] = (), deck: Path | None = None, host: str = "") -> None:
        super().__init__(_with_evidence(message, log, deck, host))
        self._message = message
        self.log = log
        self.deck = deck
        self.host = host

    def on_host(self, host: str) -> "SimulatorError":
        """Return the same error, from a machine of that name."""
        return SimulatorError(self._message, log=self.log, deck=self.deck, host=host)


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
        host: str = "",
    ) -> None:
        super().__init__(_with_evidence(f"sample {sample}, {phase} phase: {message}", log, deck, host))
        self._message = message
        self.sample = sample
        """Counted within its settling or batch."""
        self.phase = phase
        self.settling = settling
        """Number of the settling that it belongs to, where there are several."""
        self.log = log
        self.deck = deck
        self.host = host

    def in_batch(self, first: int) -> "ConvergenceError":
        """Return the same error with samples counted within the batch, in which this settling begins at `first`."""
        return self._again(sample=first + self.sample, settling=0)

    def of_settling(self, number: int) -> "ConvergenceError":
        """Return the same error, of the settling with this number."""
        return self._again(settling=number)

    def on_host(self, host: str) -> "ConvergenceError":
        """Return the same error, from a machine of that name."""
        return self._again(host=host)

    def with_cure(self, cure: str) -> "ConvergenceError":
        """Return the same error, with what to do about it."""
        return ConvergenceError(f"{self._message}; {cure}", **self._details())

    def __reduce__(self) -> tuple[Callable[[], "ConvergenceError"], tuple[()]]:
        """Return what pickle needs, so that errors come back from worker processes."""
        return partial(ConvergenceError, self._message, **self._details()), ()

    def _again(self, **changes: Any) -> "ConvergenceError":
        return ConvergenceError(self._message, **self._details() | changes)

    def _details(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("sample", "phase", "settling", "log", "deck", "host")}


def _with_evidence(message: str, log: tuple[str, ...], deck: Path | None, host: str) -> str:
    parts = [message]
    parts += [f"  ngspice: {line}" for line in log]
    parts += [f"  deck saved as {deck}" + (f" on {host}" if host else "")] if deck else []
    return "\n".join(parts)

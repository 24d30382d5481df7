"""The ways in which Newton's method on reduced networks fails, before phases have their names."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from harness.circuit import Phase
from harness.errors import ChipError, ConvergenceError


class Unsettled(Exception):  # noqa: N818 - becomes a ConvergenceError where the phase is known
    """A sample did not settle; `phase` and `network` are numbers, too."""

    def __init__(self, sample: int, phase: int, network: int = 0) -> None:
        super().__init__(sample, phase, network)
        self.sample, self.phase, self.network = sample, phase, network


@contextmanager
def named(phases: Sequence[Phase], iterations: int) -> Iterator[None]:
    """Turn failures in some phases into errors that name them.

    Raises:
        ConvergenceError: in the place of `Unsettled`.
        ChipError: in the place of NumPy's error of singular equations.
    """
    try:
        yield
    except np.linalg.LinAlgError as error:
        names = " or ".join(phase.name for phase in phases)
        raise ChipError(f"{names} phase: the equations are singular in floating point") from error
    except Unsettled as stop:
        message, name = f"Newton's method did not settle within {iterations} iterations", phases[stop.phase].name
        raise ConvergenceError(message, sample=stop.sample, phase=name, settling=stop.network) from stop

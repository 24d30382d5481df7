"""One ngspice or many, as it is measured while a network trains; no result depends on it.

Batches are settled in this process until worker processes, had they been there, could have saved as much time as it
takes to start them. A small training ends before that. A large one starts them, goes on while they get ready, and then
settles batches here and in them by turns. Where their median is clearly shorter, they do the rest. All of this is the
training's own work: nothing is settled twice, and chunks are the same wherever they are settled.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from statistics import median
from typing import Protocol

from typing_extensions import override

from harness.chip.ngspice.worker import Settled, Simulators
from harness.circuit import SettlingJob
from harness.errors import NgspiceMissing, SimulatorError
from harness.units import show

_STARTING = 1.0
"""s that it takes, about, to start worker processes: each imports the package and opens ngspice."""
_SENDING = 1e-3
"""s that it takes, about, to send a chunk to a worker and its voltages back."""
_SHARE = 0.02
"""Part of the time since the first batch that sharing must save; less would not be noticed."""
_TRIES = 3
"""Batches of one size that are settled in either way before one is chosen."""
_CLEARLY = 0.9
"""Ratio of both medians below which workers are chosen."""
_PATIENCE = 4.0
"""Factor by which more must be saved before workers that did not pay are started again."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sharing:
    """How many processes settle the chunks of a batch, and why so many."""

    processes: int
    why: str

    def __str__(self) -> str:
        return f"{'one process' if self.processes == 1 else f'{self.processes} processes'}: {self.why}"


class Pool(Simulators, Protocol):
    """Worker processes that can be started before they are needed."""

    def start(self, count: int) -> None:
        """Begin to start so many workers, without waiting for them."""

    def started(self) -> bool:
        """Return whether they are ready; it does not wait for them."""


class _Stage(Enum):
    ALONE = auto()
    STARTING = auto()
    TRYING = auto()
    SHARED = auto()
    WITHOUT = auto()
    """Workers have failed, and none are started any more."""


@dataclass
class _Times:
    """Times that batches of one size took, s."""

    here: list[float] = field(default_factory=list)
    shared: list[float] = field(default_factory=list)
    """The first one is not compared: workers take longer over their first chunk than over all others."""

    @property
    def enough(self) -> bool:
        return min(len(self.here), len(self.shared) - 1) >= _TRIES


class MeasuredSimulators(Simulators):
    """One ngspice, that of this process, or workers where they are measured to be faster; to be used by one thread.

    A pool that fails ends no training: this process settles its batch instead, and all others.

    Args:
        here: the ngspice of this process.
        most: workers of the pool.
        new_pool: makes the pool when it is first wanted.
        clock: tells the time, s.
    """

    def __init__(
        self, here: Simulators, most: int, new_pool: Callable[[], Pool], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.workers = 1
        self._here, self._most, self._new_pool, self._clock = here, most, new_pool, clock
        self._stage, self._begun = _Stage.ALONE, clock()
        self._saved, self._least = 0.0, _STARTING
        self._pool: Pool | None = None
        self._times: dict[tuple[int, int], _Times] = defaultdict(_Times)
        self._chosen: Sharing | None = None

    @property
    def sharing(self) -> Sharing:
        """The choice with what was measured or, where nothing had to be measured, why."""
        if self._chosen is not None:
            return self._chosen
        if self._most == 1:
            return Sharing(1, "no more cores may be used")
        if self._saved == 0:
            return Sharing(1, "no batch takes so long that sharing it would pay")
        if self._stage is not _Stage.ALONE:
            return Sharing(1, f"{self._most} were started, and everything was done before they had been compared")
        could = f"{self._most} could have saved {show(self._saved, 's', 2)} at most"
        return Sharing(1, f"{could}, and to start them takes about {show(_STARTING, 's')}")

    @override
    def settle(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        """See `Simulators.settle`; `workers` is then how many have shared these settlings."""
        if self._stage is _Stage.STARTING:
            self._look_at_workers()
        if len(settlings) < 2 or self._stage not in (_Stage.TRYING, _Stage.SHARED):
            return self._settle_alone(settlings)
        return self._settle_shared(settlings) if self._stage is _Stage.SHARED else self._try(settlings)

    @override
    def close(self) -> None:
        self._here.close()
        if self._pool is not None:
            self._pool.close()

    def _settle_alone(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        began = self._clock()
        settled = self._settle_here(settlings)
        if self._stage is _Stage.ALONE:
            self._consider(self._clock() - began, len(settlings))
        return settled

    def _consider(self, took: float, chunks: int) -> None:
        """Add what workers could have saved of a batch, and start them when that would have paid for it."""
        most = min(self._most, chunks)
        shared = took * -(-chunks // most) / chunks + chunks * _SENDING
        self._saved += max(0.0, took - shared)
        if self._saved >= max(self._least, _SHARE * (self._clock() - self._begun)):
            with self._failing_softly():
                self._stage = _Stage.STARTING
                self._pool = self._pool or self._new_pool()
                self._pool.start(most)

    def _look_at_workers(self) -> None:
        with self._failing_softly():
            if self._pool is not None and self._pool.started():
                self._stage = _Stage.TRYING
                self._times.clear()

    def _try(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        """Settle here and in workers by turns, for every size of a batch, until one size has been tried enough."""
        times = self._times[sum(map(len, settlings)), len(settlings[0].phases)]
        settle, noted = (
            (self._settle_shared, times.shared)
            if len(times.shared) <= len(times.here)
            else (self._settle_here, times.here)
        )
        began = self._clock()
        settled = settle(settlings)
        noted.append(self._clock() - began)
        if self._stage is _Stage.TRYING and times.enough:
            self._choose(median(times.here), median(times.shared[1:]), sum(map(len, settlings)))
        return settled

    def _choose(self, here: float, shared: float, samples: int) -> None:
        told = f"{samples} samples take {show(shared, 's', 2)} in {self._most}, and {show(here, 's', 2)} in one"
        if shared < _CLEARLY * here:
            self._stage = _Stage.SHARED
            self._chosen = Sharing(self._most, told)
        else:
            self._stage, self._saved, self._least = _Stage.ALONE, 0.0, _PATIENCE * self._least
            self._chosen = Sharing(1, told)
            if self._pool is not None:
                self._pool.close()
        _LOG.info("%s", self._chosen)

    def _settle_here(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        self.workers = 1
        return self._here.settle(settlings)

    def _settle_shared(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        with self._failing_softly():
            assert self._pool is not None  # noqa: S101 - it is being tried, or was chosen
            settled = self._pool.settle(settlings)
            self.workers = self._most
            return settled
        return self._settle_here(settlings)

    @contextmanager
    def _failing_softly(self) -> Iterator[None]:
        """Do without workers from now on if the block fails for a reason of theirs."""
        try:
            yield
        except (SimulatorError, NgspiceMissing, OSError) as error:
            self._stage, self._chosen = _Stage.WITHOUT, Sharing(1, f"worker processes failed ({error})")
            _LOG.warning("%s", self._chosen)
            if self._pool is not None:
                self._pool.close()

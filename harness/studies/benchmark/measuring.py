"""The measurement of training speed: blocks of the same steps, in rounds over all experiments and chips in turn.

A machine that is busy for some seconds slows one round of every figure, not all rounds of one. In each round a figure
gets its share of the time and is worth the median of its blocks there; the rounds tell how far it is to be trusted.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from types import MappingProxyType

import numpy as np

from harness.chip.base import Chip
from harness.chip.ngspice.chip import NgspiceChip
from harness.experiment.chip import SimulatorChoice
from harness.studies.benchmark.parts import NGSPICE, RECORDING, Stopwatch, shares, timed
from harness.studies.benchmark.record import Figure, Record, Shared, Times, commit, machine, now, software
from harness.studies.benchmark.subjects import Block, Subject, timed_block

ROUNDS = 9
"""Rounds over all figures."""
_TIMED_ROUNDS = 3
_MATRIX = 120
_PASSES = 4


@dataclass(eq=False)
class _Trial:
    """A subject on a chip of some kind, and its blocks so far."""

    subject: Subject
    kind: str
    chip: Chip
    rounds: list[list[Block]] = field(default_factory=list)
    timed: list[tuple[float, Stopwatch]] = field(default_factory=list)

    def visit(self, seconds: float) -> None:
        """Do one round: blocks until the seconds have passed, after a step that does not count."""
        self.subject.step(self.chip)
        self.rounds.append(_blocks(partial(self.subject.block, self.chip), seconds))

    def visit_timed(self, seconds: float) -> None:
        """Do one round with every part of the blocks timed, each block by a stopwatch of its own."""
        self.subject.step(self.chip)
        _blocks(self._timed_block, seconds)

    def _timed_block(self) -> Block:
        experiment = self.subject.experiment
        with timed(self.chip, experiment.rule, experiment.update, self.kind) as watch:
            block = self.subject.block(self.chip, partial(watch.inside, RECORDING))
        self.timed.append((block.seconds, watch))
        return block

    @property
    def shares(self) -> dict[str, float]:
        """The share of each part in the faster half of the timed blocks, which waited least for other programs."""
        fastest = sorted(self.timed, key=itemgetter(0))
        return shares([watch for _, watch in fastest[: -(-len(fastest) // 2)]])

    @property
    def figure(self) -> Figure:
        """The result of all rounds."""
        samples = self.rounds[0][0].samples
        return Figure(
            name=self.subject.name,
            chip=self.kind,
            sha256=self.subject.sha256,
            samples=samples,
            blocks=sum(map(len, self.rounds)),
            times=_times(self.rounds),
            shares=self.shares,
        )


def measure(
    subjects: Sequence[Subject],
    seconds: float,
    processes: int,
    left_out: Mapping[str, str] = MappingProxyType({}),
    tell: Callable[[str], None] = lambda _: None,
) -> Record:
    """Measure the training of some subjects on one core in each of their chips, and in processes of ngspice.

    Args:
        subjects: what is trained.
        seconds: time for each figure, besides a block that does not count and a third as much with parts timed.
        processes: number of processes, 1 for none.
        left_out: reasons for which others were not measured, by their names.
        tell: is told what is being done.
    """
    found, work = figures(subjects, seconds, tell)
    several = [shared(subject, processes, seconds / 4, tell) for subject in subjects if processes > 1]
    return Record(
        when=now(),
        machine=machine(),
        versions=software(ngspice=any(figure.chip == NGSPICE for figure in found)),
        commit=commit(),
        seconds=seconds,
        fixed_work=work,
        figures=tuple(found),
        shared=tuple(one for one in several if one),
        left_out=dict(left_out),
    )


def figures(subjects: Sequence[Subject], seconds: float, tell: Callable[[str], None]) -> tuple[list[Figure], Times]:
    """Return a figure for each subject on each of its kinds of chips, and the times of this machine's fixed work.

    Rates are measured without the stopwatch, which slows what it times; shares are of rounds of their own.
    """
    with ExitStack() as stack:
        trials = [stack.enter_context(_trial(subject, kind, tell)) for subject in subjects for kind in subject.kinds]
        work = list[list[Block]]()
        for turn in range(ROUNDS):
            work.append(_blocks(fixed_work, seconds / ROUNDS))
            for trial in trials:
                tell(f"round {turn + 1} of {ROUNDS}: {trial.subject.name} in the {trial.kind} chip")
                trial.visit(seconds / ROUNDS)
        for turn in range(_TIMED_ROUNDS):
            for trial in trials:
                tell(f"parts, round {turn + 1} of {_TIMED_ROUNDS}: {trial.subject.name} in the {trial.kind} chip")
                trial.visit_timed(seconds / ROUNDS)
        return [trial.figure for trial in trials], _times(work)


@contextmanager
def _trial(subject: Subject, kind: str, tell: Callable[[str], None]) -> Iterator[_Trial]:
    """Open a chip and do a block that does not count: what is made once is made in it."""
    tell(f"opening the {kind} chip of {subject.name}")
    with subject.experiment.replace({"chip.kind": kind}).open_chip() as chip:
        subject.block(chip)
        yield _Trial(subject, kind, chip)


def shared(subject: Subject, processes: int, seconds: float, tell: Callable[[str], None]) -> Shared | None:
    """Return the speed with several processes of ngspice, and their memory; None where the chip has none.

    Blocks are done for `seconds`.
    """
    if NGSPICE not in subject.kinds:
        return None
    tell(f"{subject.name} in {processes} processes")
    with subject.experiment.open_chip(SimulatorChoice(processes)) as chip:
        if not isinstance(chip, NgspiceChip):
            return None
        subject.block(chip)
        blocks = _blocks(partial(subject.block, chip), seconds)
        each = float(np.median([block.seconds / block.samples for block in blocks]))
        memory = chip.work.peak_mb
    return Shared(name=subject.name, processes=processes, samples_per_second=1 / each, peak_worker_mb=memory)


def fixed_work() -> Block:
    """Do some text, dictionaries and linear equations, which no version changes, to compare machines by."""
    with timed_block() as result:
        matrix = np.eye(_MATRIX) + 1 / (1 + np.arange(_MATRIX * _MATRIX).reshape(_MATRIX, _MATRIX))
        for turn in range(_PASSES):
            words = "\n".join(f"r{k} n{k} n{k + 1} {1 / (1 + k + turn)!r}" for k in range(2_000)).split()
            counts = dict.fromkeys(words, 0)
            for word in words:
                counts[word] += 1
            np.linalg.solve(matrix, matrix)
    return result(1)


def _blocks(block: Callable[[], Block], seconds: float) -> list[Block]:
    """Do blocks, at least one, until the seconds have passed."""
    ends, done = time.perf_counter() + seconds, [block()]
    while time.perf_counter() < ends:
        done.append(block())
    return done


def _times(rounds: Sequence[Sequence[Block]]) -> Times:
    return Times(
        seconds=tuple(float(np.median([block.seconds for block in blocks])) for blocks in rounds),
        processor_seconds=tuple(float(np.median([block.processor_seconds for block in blocks])) for blocks in rounds),
    )

"""TensorBoard's event files, written while a run is trained: `harness train --tensorboard`.

A point stands at the number of batches learned so far. When a run goes on, a new file takes back all points from the
checkpoint on, which TensorBoard then forgets, and writes them again: curves have no point twice and no gap.
"""

import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from warnings import warn as python_warning

import numpy as np

from harness.chip.metering import HEADINGS
from harness.errors import RunError
from harness.measurement import Conductances
from harness.processes.distribution import installing
from harness.training.controller import EpochDone, StepDone
from harness.training.runs import Run
from harness.training.tables import EpochRow, StepRow

_BINS = 30
"""Bins of a histogram of conductances."""
_FILES = "events.out.tfevents.*"


def library() -> Any:
    """Return what is used of tensorboardX: a record's checksum, and the modules that make events.

    Raises:
        RunError: it is not installed; says how to install it.
    """
    try:
        from tensorboardX import summary  # noqa: PLC0415 - an extra
        from tensorboardX.proto import event_pb2  # noqa: PLC0415
        from tensorboardX.record_writer import masked_crc32c  # noqa: PLC0415
    except ImportError as error:
        raise RunError(
            f"events for TensorBoard need tensorboardX, which cannot be loaded ({error}); install it with: "
            f"{installing('tensorboard')}"
        ) from error
    return masked_crc32c, summary, event_pb2


class EventLog:
    """A watcher of a training that writes its curves: give it to `Experiment.train` as ``watch``.

    Tags are ``batch/…`` for each batch; ``epoch/…`` with losses (V²), scores and seconds, ``ledger/…`` with what was
    asked of the chip in the epoch, and ``conductances/…`` with a histogram of each array (S) for each epoch.
    """

    def __init__(
        self,
        run: Run,
        *,
        batches: int,
        arrays: Sequence[str],
        score: str,
        folder: Path | None = None,
        warn: Callable[[str], None] = python_warning,
    ) -> None:
        """Begin an event file, and write again what a run's tables have from its last checkpoint on.

        Args:
            run: about to be trained.
            batches: of an epoch.
            arrays: names of the trainable arrays.
            score: the name of the scores: accuracy, or R².
            folder: for event files; the run directory without it.
            warn: is told once when an event could not be written; training goes on.

        Raises:
            RunError: tensorboardX is not installed, or the run's tables are damaged.
            OSError: the folder cannot be written.
        """
        self._checksum, self._summary, self._proto = library()
        self._batches, self._arrays, self._warn = batches, arrays, warn
        self._score = score.replace("²", "2")
        self._folder = (folder or run.path).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        begun = any(self._folder.glob(_FILES))
        now = time.time_ns()
        name = f"events.out.tfevents.{now // 10**9}.{socket.gethostname()}.{now}"  # sorted by time, as they are read
        self._failed = False
        self._file = (self._folder / name).open("wb", buffering=0)  # a kill loses no point of a checkpoint
        try:
            self._write(self._proto.Event(file_version="brain.Event:2"))
            self._take_up(run, begun)
        except BaseException:
            self._file.close()
            raise

    def __call__(self, event: StepDone | EpochDone) -> None:
        """Write the points of a batch or an epoch."""
        if self._failed:
            return
        try:
            if isinstance(event, StepDone):
                self._step(event.row)
            else:
                self._epoch(event.row)
                self._histograms(event.row.epoch * self._batches, event.position.conductances)
        except OSError as error:
            self._failed = True
            self._warn(f"events for TensorBoard in {self._folder} are incomplete: {error.strerror or error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _take_up(self, run: Run, begun: bool) -> None:
        """Take back all points from the last one of the checkpoint on, and write them again from the run's tables."""
        steps, epochs = run.tables()
        position = run.position()
        last = self._number(steps[-1]) if steps else 0
        first = last if begun else 0
        start = self._proto.SessionLog(status=self._proto.SessionLog.START)
        self._write(self._proto.Event(step=first, session_log=start))
        for row in steps:
            if self._number(row) >= first:
                self._step(row)
        for epoch in epochs:
            if epoch.epoch * self._batches >= first:
                self._epoch(epoch)
        if position is not None and not position.step:
            self._histograms(position.epoch * self._batches, position.conductances)

    def _number(self, row: StepRow) -> int:
        return (row.epoch - 1) * self._batches + row.step

    def _step(self, row: StepRow) -> None:
        changes = {"largest_change": row.largest_change, "mean_change": row.mean_change}
        self._scalars(self._number(row), "batch", {"loss": row.loss, self._score: row.accuracy, **changes})

    def _epoch(self, row: EpochRow) -> None:
        at = row.epoch * self._batches
        reached = {
            "training_loss": row.train_loss,
            "held_out_loss": row.test_loss,
            f"training_{self._score}": row.train_accuracy,
            f"held_out_{self._score}": row.test_accuracy,
            "seconds": row.seconds,
        }
        self._scalars(at, "epoch", reached)
        self._scalars(at, "ledger", vars(row.ledger) if row.ledger is not None else {})

    def _scalars(self, at: int, group: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            told = HEADINGS.get(name, "")
            self._point(at, self._summary.scalar(f"{group}/{name}", value, summary_description=told))

    def _histograms(self, at: int, conductances: Conductances) -> None:
        for name, array in zip(self._arrays, conductances, strict=True):
            bins = np.histogram_bin_edges(array, _BINS)
            self._point(at, self._summary.histogram(f"conductances/{name}", array, bins))

    def _point(self, at: int, summary: Any) -> None:
        self._write(self._proto.Event(step=at, summary=summary))

    def _write(self, event: Any) -> None:
        """Write an event as a record: length and event, each with its checksum."""
        event.wall_time = time.time()
        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        parts = (length, struct.pack("<I", self._checksum(length)), content, struct.pack("<I", self._checksum(content)))
        record = b"".join(parts)
        if self._file.write(record) != len(record):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

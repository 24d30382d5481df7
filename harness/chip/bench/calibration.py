"""The calibration of a board: the gain and the offset of each channel as they were measured, in a file with its date.

A channel shows ``read = gain · true + offset``, an input applies ``gain · asked + offset``; both are undone by the same
formula.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import tomli_w
from pydantic import AwareDatetime, Field, model_validator

from harness.circuit import Circuit
from harness.errors import BoardError, ExperimentError
from harness.files.reading import parse_toml, read_text
from harness.measurement import Array
from harness.units import show
from harness.validation import MismatchError, Number, Seconds, Section, Volts, places_in, validated

SMALLEST_GAIN, LARGEST_GAIN = 0.1, 10.0
"""Beyond these a channel is not off but wired to something else."""
DECIMALS = 12
"""Decimals of what is measured, V: those behind them are rounding."""
_AHEAD = 60.0
"""s by which clocks of two machines may differ."""


class Channels(Section):
    """The channels of one kind, in the circuit's order."""

    against: str
    """The known voltages that they were compared with."""
    gain: tuple[Annotated[Number, Field(ge=SMALLEST_GAIN, le=LARGEST_GAIN)], ...]
    offset: tuple[Volts, ...]
    """V."""
    residual: tuple[Annotated[Volts, Field(ge=0)], ...]
    """V, root mean square, that gain and offset leave."""

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        for key in ("offset", "residual"):
            if (count := len(getattr(self, key))) != len(self.gain):
                raise MismatchError(key, f"it has {count} values, and gain has {len(self.gain)}")
        return self

    def done(self, volts: Array) -> Array:
        """Return what the channels make of voltages (V, ``[samples, channels]``)."""
        return volts * np.array(self.gain) + np.array(self.offset)

    def undone(self, volts: Array) -> Array:
        """Return voltages (V, ``[samples, channels]``) without the channels' gain and offset."""
        return (volts - np.array(self.offset)) / np.array(self.gain)


class Settling(Section):
    """The time that outputs take."""

    time_constant: Annotated[Seconds, Field(ge=0)]
    """s; 0 where they settle faster than the board can be asked."""
    settle: Annotated[Seconds, Field(ge=0)]
    """s after which no output is farther than `within` from its end."""
    within: Annotated[Volts, Field(gt=0)]
    """V."""


class Twins(Section):
    """The difference of the network that settles free phases from the one that settles nudged ones."""

    mismatch: tuple[Annotated[Volts, Field(ge=0)], ...]
    """V, root mean square, between a free phase and the same with a nudge of nothing, per output."""


class Calibration(Section):
    """A board's channels; kinds without a section are taken as right."""

    date: AwareDatetime
    board: Annotated[str, Field(min_length=1)]
    """The board's answer to ``*IDN?``."""
    input: Channels | None = None
    output: Channels | None = None
    node: Channels | None = None
    """All nodes, in the order of ``Circuit.nodes``."""
    settling: Settling | None = None
    twins: Twins | None = None

    def inputs(self, volts: Array) -> Array:
        """Return what inputs must be asked for so that they apply `volts` (V, ``[samples, channels]``)."""
        return volts if self.input is None else self.input.undone(volts)

    def outputs(self, volts: Array) -> Array:
        """Return the true voltages of outputs for those that were read (V, ``[samples, outputs]``)."""
        return volts if self.output is None else self.output.undone(volts)

    def nodes(self, volts: Array) -> Array:
        """Return the true voltages of all nodes for those that were read (V, ``[samples, nodes]``)."""
        return volts if self.node is None else self.node.undone(volts)

    def age(self, now: datetime) -> float:
        """Return its age in s, below 0 for one from the future."""
        return (now - self.date).total_seconds()

    def to_toml(self) -> str:
        """Return the file's text."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))

    def refuse_unfit(self, circuit: Circuit, place: object) -> None:
        """Refuse a calibration of other numbers of channels than a circuit has.

        Raises:
            BoardError: says which, with both numbers.
        """
        kinds = {"input": circuit.channels, "output": len(circuit.outputs), "node": len(circuit.nodes)}
        for kind, wanted in kinds.items():
            channels: Channels | None = getattr(self, kind)
            if channels is not None and len(channels.gain) != wanted:
                raise BoardError(
                    f"{place}: [{kind}] has {len(channels.gain)} channels, and circuit {circuit.name} has {wanted}; "
                    "calibrate with this experiment (harness bench calibrate)"
                )

    def refuse_stale(self, board: str, max_age: float | None, place: object, now: datetime | None = None) -> None:
        """Refuse a calibration of another board, from the future, or older than `max_age` (s; None: of any age).

        Raises:
            BoardError: says why, and the cure.
        """
        age = self.age(now or datetime.now(UTC))
        if self.board != board:
            why = f"it is of board {self.board!r}, and this one is {board!r}"
        elif age < -_AHEAD:
            why = f"its date, {self.date.isoformat()}, lies in the future"
        elif max_age is not None and age > max_age:
            why = f"it is {_long(age)} old, and calibration.max_age is {_long(max_age)}"
        else:
            return
        raise BoardError(f"{place}: {why}; calibrate again (harness bench calibrate), or say --stale-calibration")


def read_calibration(path: Path) -> Calibration:
    """Return the calibration in a file.

    Raises:
        ExperimentError: the file cannot be read, or a key or value in it is wrong; names line, key and bound.
    """
    text = read_text(path, ExperimentError)
    return validated(Calibration, parse_toml(text, ExperimentError, str(path)), places_in(text, str(path)))


def current_calibration(
    path: Path, max_age: float | None, circuit: Circuit, board: str, *, stale: bool = False
) -> Calibration:
    """Return the calibration in a file, if it is one of this board's and of late.

    Args:
        path: the file.
        max_age: s.
        circuit: on the board.
        board: the board's answer to ``*IDN?``.
        stale: True to take one that is too old, or of another board.

    Raises:
        BoardError: there is none, or it does not fit, or is stale.
        ExperimentError: see `read_calibration`.
    """
    if not path.exists():
        raise BoardError(
            f"{path}: there is no such file, and the profile names it as its calibration; make it with "
            "harness bench calibrate, or leave [calibration] out"
        )
    found = read_calibration(path)
    found.refuse_unfit(circuit, path)
    if not stale:
        found.refuse_stale(board, max_age, path)
    return found


def _long(seconds: float) -> str:
    """Return a time in the largest unit that it has two of."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return show(seconds, "s")

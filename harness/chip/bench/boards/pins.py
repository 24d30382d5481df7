"""The circuit's inputs, outputs and nodes among the channels of a board that numbers them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from harness.chip.bench.board import Extent
from harness.chip.bench.profile import Channels
from harness.errors import ExperimentError
from harness.measurement import Array, Clamp, Drive, Index, Injection, Spring


@dataclass(frozen=True, eq=False)
class Pins:
    """Positions on the board of what the circuit has, in its order; the board may have more."""

    board: Extent
    inputs: Index
    plus: Index
    minus: Index
    """−1 where an output is the voltage of one channel."""
    nodes: Index

    @classmethod
    def of(cls, channels: Channels, board: Extent) -> Self:
        """Find the channels that a profile names; without names, they lie in the board's order.

        Raises:
            ExperimentError: a channel is no number of the board's; names it.
        """
        plus = None if channels.outputs is None else {name: pair[0] for name, pair in channels.outputs.items()}
        pairs = channels.outputs or {}
        minus = {name: pair[1] for name, pair in pairs.items() if len(pair) == 2}
        found = _positions("outputs", plus, board.outputs)
        below = np.full(len(found), -1, np.intp)
        below[[k for k, name in enumerate(pairs) if name in minus]] = _positions("outputs", minus, board.outputs)
        inputs, nodes = (
            _positions(name, getattr(channels, name), getattr(board, name)) for name in ("inputs", "nodes")
        )
        return cls(board, inputs, found, below, nodes)

    @property
    def extent(self) -> Extent:
        """The counts that the circuit sees."""
        board = self.board
        return Extent(len(self.inputs), len(self.plus), len(self.nodes), board.cells, board.batch)

    @property
    def straight(self) -> bool:
        """True where every output of the board is one output of the circuit, so that all can be held or pulled."""
        return len(self.plus) == self.board.outputs and not (self.minus >= 0).any()

    def inputs_of(self, drive: Drive) -> Array:
        """Return the board's inputs (V, ``[samples, inputs]``); those that the circuit lacks are at 0 V."""
        return _spread(drive.inputs, self.inputs, self.board.inputs)

    def nudge_of(self, nudge: Spring | Injection | Clamp) -> Array:
        """Return the nudge of each of the board's outputs, ``[samples, outputs]``: A into it, or V."""
        match nudge:
            case Spring(_, volts) | Clamp(volts):
                return _spread(volts, self.plus, self.board.outputs)
        currents = _spread(nudge.current, self.plus, self.board.outputs)
        for output in np.flatnonzero(self.minus >= 0):
            currents[:, self.minus[output]] -= nudge.current[:, output]
        return currents

    def outputs_of(self, volts: Array) -> Array:
        """Return the circuit's outputs (V, ``[samples, outputs]``) from the board's."""
        below = np.where(self.minus >= 0, volts[:, self.minus], 0.0)
        return volts[:, self.plus] - below if (self.minus >= 0).any() else volts[:, self.plus]

    def nodes_of(self, volts: Array) -> Array:
        """Return the voltages of the circuit's nodes (V, ``[samples, nodes]``) from the board's."""
        return volts[:, self.nodes]


def _spread(values: Array, places: Index, count: int | None) -> Array:
    found = np.zeros((len(values), count or 0))
    found[:, places] = values
    return found


def _positions(what: str, named: Mapping[str, str] | None, count: int | None) -> Index:
    if named is None:
        return np.arange(count or 0)
    seen: dict[str, str] = {}
    for name, channel in named.items():
        if not (channel.isascii() and channel.isdigit() and int(channel) < (count or 0)):
            raise ExperimentError(
                f"channels.{what}.{name} = {channel!r}: the board numbers its {what} 0…{(count or 0) - 1}"
            )
        if (other := seen.setdefault(channel, name)) != name:
            raise ExperimentError(f"channels.{what}: {other} and {name} are both channel {channel}")
    return np.array([int(channel) for channel in named.values()], np.intp)

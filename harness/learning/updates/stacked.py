"""Update rules of a stack of chips: those that are alike, and go cell by cell, step as one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.learning.updates.accumulation import AccumulatedUpdate
from harness.learning.updates.updates import SGD, Adam, Momentum, Schedule, UpdateRule, UpdateState
from harness.measurement import Conductances, Index

Rated = tuple[UpdateRule, Schedule]
"""An update rule, and how its rates fall."""


@dataclass(frozen=True, eq=False)
class _Alike:
    """Chips whose update rules step as one."""

    chips: Index | int
    """Numbers in the stack; of a single chip, whose arrays have no axis of chips."""
    rated: Rated
    state: UpdateState


class StackedUpdates:
    """The update rules of the chips in a stack, with all that they remember."""

    def __init__(self, rated: Sequence[Rated], states: Sequence[UpdateState]) -> None:
        self._groups = [
            _Alike(np.array(chips), rated[chips[0]], _stacked([states[chip] for chip in chips]))
            if _cellwise(rated[chips[0]][0])
            else _Alike(chips[0], rated[chips[0]], states[chips[0]])
            for chips in _alike(rated)
        ]

    def step(self, gradient: Conductances, epoch: int, done: float) -> "tuple[Conductances, StackedUpdates]":
        """Return wanted changes (S, the chips first) for a gradient (V²/S, likewise), and what is remembered after it.

        `done` is the share of all steps that is behind.
        """
        wanted, after = tuple(map(np.empty_like, gradient)), []
        for group in self._groups:
            rule, schedule = group.rated
            own = tuple(array[group.chips] for array in gradient)
            changes, state = rule.scaled(schedule.factor(epoch, done)).step(own, group.state)
            for array, change in zip(wanted, changes, strict=True):
                array[group.chips] = change
            after.append(_Alike(group.chips, group.rated, state))
        return wanted, _of(after)

    def of(self, chip: int) -> UpdateState:
        """Return what is remembered of one chip."""
        (group,) = (group for group in self._groups if chip in np.atleast_1d(group.chips))
        if isinstance(group.chips, int):
            return group.state
        place = int(np.flatnonzero(group.chips == chip)[0])
        slots = tuple(tuple(array[place].copy() for array in slot) for slot in group.state.slots)
        return UpdateState(group.state.steps, slots)


def _of(groups: list[_Alike]) -> StackedUpdates:
    made = StackedUpdates([], [])
    made._groups = groups
    return made


def _alike(rated: Sequence[Rated]) -> list[list[int]]:
    """Numbers of the chips that have equal rules, where these go cell by cell; others are alone."""
    found: list[list[int]] = []
    for chip, one in enumerate(rated):
        same = (chips for chips in found if _cellwise(one[0]) and rated[chips[0]] == one)
        if (chips := next(same, None)) is None:
            found.append([chip])
        else:
            chips.append(chip)
    return found


def _cellwise(rule: UpdateRule) -> bool:
    """Return whether no cell's change depends on another cell, so that more axes change nothing."""
    if isinstance(rule, AccumulatedUpdate):
        return _cellwise(rule.update)
    return type(rule) in (SGD, Momentum, Adam)


def _stacked(states: Sequence[UpdateState]) -> UpdateState:
    slots = tuple(
        tuple(map(np.stack, zip(*slot, strict=True))) for slot in zip(*(s.slots for s in states), strict=True)
    )
    return UpdateState(states[0].steps, slots)

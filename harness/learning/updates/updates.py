"""Update rules: from ∂C/∂g to the change of conductance that is asked of the chip.

Each is a frozen value with explicit state, so that a run can be stopped and resumed bit for bit. Rates are one per
trainable array; how they fall over a training is a `Schedule`.
"""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from typing_extensions import override

from harness.errors import ExperimentError
from harness.measurement import Array, Conductances


@dataclass(frozen=True, eq=False)
class UpdateState:
    """Memory of an update rule: the number of steps, and slots of arrays shaped like the conductances."""

    steps: int = 0
    slots: tuple[Conductances, ...] = ()


class UpdateRule(Protocol):
    """Turns gradients into wanted changes of conductance."""

    def init(self, conductances: Conductances) -> UpdateState:
        """The state before the first step."""

    def step(self, gradient: Conductances, state: UpdateState) -> tuple[Conductances, UpdateState]:
        """Wanted changes (S) for a gradient (V²/S), and the state after it."""

    def scaled(self, factor: float) -> Self:
        """Return the same rule with every rate times `factor`."""


@dataclass(frozen=True)
class Schedule:
    """The fall of learning rates over a training.

    Raises:
        ExperimentError: the decay is out of range.
    """

    decay: float = 1.0
    """Factor on every rate from epoch to epoch."""
    to_zero: bool = False
    """Besides, rates fall in a straight line, from step to step, to nothing at the end of the training."""

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise ExperimentError(f"update: decay {self.decay:g} must lie above 0 and at most at 1")

    def factor(self, epoch: int, done: float) -> float:
        """Return the factor of all rates in an epoch (counted from 0) when the share `done` of all steps is behind."""
        return self.decay**epoch * (1 - done if self.to_zero else 1.0)


@dataclass(frozen=True)
class _Rated(UpdateRule):
    """Base of the rules with a learning rate for each trainable array.

    Raises:
        ExperimentError: a rate is negative or not finite.
    """

    rates: tuple[float, ...]
    """η of each trainable array at the start, in the unit that the rule says."""

    def __post_init__(self) -> None:
        for rate in self.rates:
            if not 0 <= rate < np.inf:
                raise ExperimentError(f"update: learning rate {rate:g} must be finite and not negative")

    @override
    def scaled(self, factor: float) -> Self:
        return replace(self, rates=tuple(rate * factor for rate in self.rates))


@dataclass(frozen=True)
class SGD(_Rated):
    """Δg = −η ∂C/∂g, with η in S²/V²."""

    @override
    def init(self, conductances: Conductances) -> UpdateState:
        return UpdateState()

    @override
    def step(self, gradient: Conductances, state: UpdateState) -> tuple[Conductances, UpdateState]:
        change = tuple(-rate * g for rate, g in zip(self.rates, gradient, strict=True))
        return change, UpdateState(state.steps + 1, state.slots)


@dataclass(frozen=True)
class Momentum(_Rated):
    """u ← μ u + ∂C/∂g, Δg = −η u (Polyak's heavy ball), with η in S²/V²."""

    momentum: float = 0.9
    """μ."""

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("momentum", self.momentum)

    @override
    def init(self, conductances: Conductances) -> UpdateState:
        return UpdateState(slots=(_zeros(conductances),))

    @override
    def step(self, gradient: Conductances, state: UpdateState) -> tuple[Conductances, UpdateState]:
        (velocity,) = state.slots
        velocity = tuple(self.momentum * u + g for u, g in zip(velocity, gradient, strict=True))
        change = tuple(-rate * u for rate, u in zip(self.rates, velocity, strict=True))
        return change, UpdateState(state.steps + 1, (velocity,))


@dataclass(frozen=True)
class Adam(_Rated):
    """Adam (Kingma & Ba 2015, algorithm 1), with η in S: the largest usual step of one conductance.

    The state keeps the raw moments; the bias correction is applied to copies of them.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    """Share of the root-mean-square gradient's own scale (V²/S) below which steps shrink; see `scale`."""
    scale: float = 1.0
    """V²/S: unit of the gradients, so that `epsilon` is a pure number."""

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("beta1", self.beta1)
        _check_share("beta2", self.beta2)

    @override
    def init(self, conductances: Conductances) -> UpdateState:
        return UpdateState(slots=(_zeros(conductances), _zeros(conductances)))

    @override
    def step(self, gradient: Conductances, state: UpdateState) -> tuple[Conductances, UpdateState]:
        first, second = state.slots
        steps = state.steps + 1
        first = tuple(_averaged(m, g, self.beta1) for m, g in zip(first, gradient, strict=True))
        second = tuple(_averaged(v, g * g, self.beta2) for v, g in zip(second, gradient, strict=True))
        moments = zip(self.rates, first, second, strict=True)
        change = tuple(-rate * self._direction(m, v, steps) for rate, m, v in moments)
        return change, UpdateState(steps, (first, second))

    def _direction(self, first: Array, second: Array, steps: int) -> Array:
        spread = second / (1 - self.beta2**steps)
        np.sqrt(spread, out=spread)  # in place: these arrays are a network's largest
        spread += self.epsilon * self.scale
        np.divide(first, spread, out=spread)
        spread /= 1 - self.beta1**steps
        return spread


def _zeros(conductances: Conductances) -> Conductances:
    return tuple(np.zeros_like(g) for g in conductances)


def _averaged(mean: Array, new: Array, share: float) -> Array:
    """Exponential running mean; few passes, for these arrays are a network's largest."""
    kept = share * mean
    kept += (1 - share) * new
    return kept


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ExperimentError(f"update: {name} {value:g} must lie in 0…1, below 1")

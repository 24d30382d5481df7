"""Samples that Newton's method does not settle, by softer devices that become harder step by step.

Far in conduction the tangent of a sharp diode says nothing of where the current will be. Between nodes of a graph many
such diodes hand each other's errors on, and Newton's method goes round in circles however it limits single junctions.

Two things find the state. With a softness of k every device has k N V_T in the place of N V_T: at the start that is so
much that no exponent is large, and each solution begins the next one, with half the softness, down to the devices as
they are. And no step goes farther than the co-content falls: along a Newton step d from x the slope of the co-content
is −dᵀr(x + t d), with the currents r that Kirchhoff's law leaves over, and t is chosen where that is about 0. In a
reciprocal circuit of passive parts the co-content is convex, so that its only minimum is reached from everywhere. In
others this is no more than a good way, which may fail. Springs of −β leave the co-content with saddles, and are not
solved in this way.

One sample at a time, and some hundred times as slow as a sample that settles at once.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import bmat, csc_matrix, csr_matrix, diags, hstack, vstack
from scipy.sparse.linalg import splu

from harness.devices.diode import GMIN
from harness.measurement import Array

Currents = Callable[[Array, float], tuple[Array, Array]]
"""Currents (A) and slopes (S) of branches at voltages (V, ``[branches]``), with devices of some softness."""

_EXPONENT = 20.0  # of any junction at the start
_SHARPER = 0.5  # softness per softness before
_ROUGH = 0.1  # of the softened scale: the last step of a softness above 1
_MOST = 200  # steps with one softness
_ABSURD = 1e15  # A in a state: harder devices would carry more, and no number is exact beside it
_LEAST_GAIN = 0.5  # of the slope along a step, which a full step must take away
_HALVINGS = 60


@dataclass(frozen=True, eq=False)
class Sample:
    """Kirchhoff's equations of one sample: linear · x + flows · i(follows · x + held) = currents.

    Clamped outputs, transformers and the currents that belong to them are rows and columns of `linear`.
    """

    linear: csr_matrix
    """S, ``[n, n]``."""
    currents: Array
    """A, ``[n]``; V in the rows of clamps."""
    flows: csr_matrix
    """Where the currents of branches leave, ``[n, branches]``."""
    follows: csr_matrix
    """V that the current of every branch follows, of the unknowns, ``[branches, n]``."""
    held: Array
    """V of the same where the unknowns are 0, ``[branches]``."""
    through: Currents
    scale: float
    """N V_T of the sharpest device, V."""

    def clamped(self, push: csr_matrix, held: csr_matrix, volts: Array) -> "Sample":
        """Return the equations with held · x = `volts` besides, and the currents along `push`, ``[n, ·]``, of that."""
        extra = len(volts)
        blocks: list[list[Any]] = [[self.linear, push], [held, None]]
        return replace(
            self,
            linear=csr_matrix(bmat(blocks)),
            currents=np.append(self.currents, volts),
            flows=csr_matrix(vstack([self.flows, csr_matrix((extra, self.flows.shape[1]))])),
            follows=csr_matrix(hstack([self.follows, csr_matrix((self.follows.shape[0], extra))])),
        )

    def settled(self, tolerance: float, volts: int) -> Array | None:
        """Return the unknowns, ``[n]``, or None where they are not found.

        Args:
            tolerance: V of the last step.
            volts: number of unknowns that are voltages, the first ones; others need not be so exact.
        """
        with suppress(np.linalg.LinAlgError):
            x = self._solve(np.full(len(self.held), GMIN), self.currents - GMIN * (self.flows @ self.held))
            largest = max(float(np.abs(v).max(initial=0.0)) for v in (self.held, self.follows @ x + self.held))
            softness = max(1.0, largest / (_EXPONENT * self.scale))
            while self._advances(x := self._newton(x, softness, tolerance, volts), softness):
                if softness == 1:
                    return x
                softness = max(1.0, _SHARPER * softness)
        return None

    def _advances(self, x: Array, softness: float) -> bool:
        """Return whether there are unknowns at which no current is absurd."""
        current, _ = self.through(self.follows @ x + self.held, softness)
        return bool(np.abs(current).max(initial=0.0) <= _ABSURD)

    def _newton(self, x: Array, softness: float, tolerance: float, volts: int) -> Array:
        """Return the unknowns with devices of some softness; they are no numbers where they are not found."""
        bound = tolerance if softness == 1 else _ROUGH * softness * self.scale
        for _ in range(_MOST):
            current, slope = self.through(self.follows @ x + self.held, softness)
            left = self.currents - self.linear @ x - self.flows @ current
            step = self._solve(slope, left)
            if np.abs(step[:volts]).max(initial=0.0) <= bound:
                return np.asarray(x + step)
            x = x + self._share(x, step, left, softness) * step
        return np.full_like(x, np.nan)

    def _solve(self, slopes: Array, right: Array) -> Array:
        matrix = self.linear + self.flows @ diags(slopes) @ self.follows
        try:
            return np.asarray(splu(csc_matrix(matrix)).solve(right))
        except RuntimeError as error:  # what SuperLU says of singular matrices
            raise np.linalg.LinAlgError(str(error)) from error

    def _share(self, x: Array, step: Array, left: Array, softness: float) -> float:
        """Return the share of a step up to which the co-content falls, which may be above 1."""
        over, moving = self.follows @ x + self.held, self.follows @ step
        steady, bent = step @ (self.currents - self.linear @ x), step @ (self.linear @ step)
        flow = self.flows.T @ step

        def falls(share: float) -> float:
            with np.errstate(over="ignore", invalid="ignore"):  # far beyond, which is as good as a slope below 0
                current, _ = self.through(over + share * moving, softness)
                return float(steady - share * bent - flow @ current)

        start = float(step @ left)
        if not start > 0 or abs(falls(1.0)) <= _LEAST_GAIN * start:
            return 1.0
        low, high = 0.0, 1.0
        while falls(high) > 0 and high < 2.0**_HALVINGS:
            low, high = high, 2 * high
        for _ in range(_HALVINGS):
            share = (low + high) / 2
            slope = falls(share)
            if abs(slope) <= _LEAST_GAIN * start:
                break
            low, high = (share, high) if slope > 0 else (low, share)
        return share

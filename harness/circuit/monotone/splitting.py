"""The state of a resistor–diode network with ideal diodes, computed by operator splitting, to compare chips with.

Two independent iterations for 0 ∈ H z + B u + bias + N(z), N the normal cone of z ≥ 0, whose resolvent is the ReLU
(Winston & Kolter 2020, arXiv 2006.08591; Ryu & Boyd 2016). Both work on equilibrated variables, z = d z', so that
neither units nor the spread of conductances matter. They stop where their contraction factor ρ bounds the error: it
is at most ρ/(1 − ρ) times the last step (Banach), relative to the largest of state, drive and start of a sample, in
the Euclidean norm of z'. Where no ρ below 1 is known (H is monotone, but not strongly so) or ρ is so near to 1 that
rounding would hide such a step, the step itself must come down to a few hundred roundings.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.circuit.monotone.monotone import (
    MonotoneNetwork,
    cocoercivity,
    contracting_step,
    equilibrated,
    require_monotone,
)
from harness.errors import CircuitError, ConvergenceError
from harness.measurement import Array

MAX_ITERATIONS = 200_000
_ROUNDING = 200 * float(np.finfo(float).eps)
_LEAST = 1e-9
"""Fraction of |H| below which a strong monotonicity or cocoercivity counts as none."""
_STRETCHES = 9


def forward_backward(
    network: MonotoneNetwork,
    inputs: Array,
    tolerance: float = 1e-10,
    start: Array | None = None,
    *,
    max_iterations: int = MAX_ITERATIONS,
) -> Array:
    """The fixed point of z ← ReLU(z − α(H z + B u + bias)), ``[batch, m]``: the network's own recursion.

    It converges where H is cocoercive: for every symmetric H ⪰ 0 and every strongly monotone one. A skew part without
    damping, such as that of two diodes joined by nothing but a gyrator, makes it circle: that is refused. Where several
    z solve the problem, the start decides which one is found; every resistor carries the same current in all of them.

    Args:
        network: what to solve.
        inputs: V, ``[batch, p]``.
        tolerance: relative error that is left, see the module.
        start: z to start from, ``[batch, m]``; zeros by default.
        max_iterations: after which it gives up.

    Raises:
        CircuitError: shapes do not fit, or H is not monotone or not cocoercive.
        ConvergenceError: a sample needs more iterations; names it.
    """
    problem = _scaled(network, inputs, start)
    H = problem.H  # noqa: N806 - the paper's letter
    lipschitz, beta = float(np.linalg.norm(H, 2)), cocoercivity(H)
    if beta * lipschitz <= _LEAST:
        smallest = float(np.linalg.eigvalsh((H + H.T) / 2)[0])
        raise CircuitError(
            f"forward–backward splitting: H is not cocoercive (equilibrated, its smallest symmetric eigenvalue is "
            f"{smallest:.3g}, its Lipschitz constant {lipschitz:.3g}, its cocoercivity {beta:.3g}), so that no step "
            f"size converges; take peaceman_rachford"
        )
    alpha = contracting_step(H)
    factor = float(np.linalg.norm(np.eye(len(H)) - alpha * H, 2))

    def step(z: Array) -> Array:
        return np.maximum(z - alpha * (z @ H.T + problem.drive), 0.0)

    return problem.physical(_settled("forward–backward", step, problem, factor, tolerance, max_iterations))


def peaceman_rachford(
    network: MonotoneNetwork,
    inputs: Array,
    tolerance: float = 1e-10,
    start: Array | None = None,
    alpha: float | None = None,
    *,
    max_iterations: int = MAX_ITERATIONS,
) -> Array:
    """The same state from reflected resolvents, w ← (2 ReLU − 1)((2 (I + αH)⁻¹(· − αq) − 1) w), ``[batch, m]``.

    Every α > 0 converges where H is strongly monotone. Where it is only monotone, skew parts included, reflections are
    averaged with the identity (Douglas–Rachford), which converges wherever a solution exists, but may be slow.

    Args:
        network: what to solve.
        inputs: V, ``[batch, p]``.
        tolerance: relative error that is left, see the module.
        start: what w starts from, ``[batch, m]``, as a z; zeros by default.
        alpha: step of the equilibrated problem, whose entries are of order 1; by default the best of nine, or 1 where H
            is not strongly monotone.
        max_iterations: after which it gives up.

    Raises:
        CircuitError: shapes do not fit, α is not above 0, or H is not monotone.
        ConvergenceError: a sample needs more iterations, for instance because no solution exists; names it.
    """
    problem = _scaled(network, inputs, start)
    H = problem.H  # noqa: N806
    smallest = float(np.linalg.eigvalsh((H + H.T) / 2)[0])
    strongly = smallest > _LEAST * float(np.linalg.norm(H, 2))
    size = _best_stretch(H, smallest) if alpha is None else alpha
    if not 0 < size < np.inf:
        raise CircuitError(f"Peaceman–Rachford splitting: α = {size:g} must be finite and above 0")
    cayley = _cayley(H, size)
    pushed = 2 * size * np.linalg.solve(np.eye(len(H)) + size * H, problem.drive.T).T
    factor = float(np.linalg.norm(cayley, 2)) if strongly else 1.0
    share = 1.0 if strongly else 0.5

    def step(w: Array) -> Array:
        reflected = w @ cayley.T - pushed
        return w + share * (np.abs(reflected) - w)  # 2 ReLU(x) − x is |x|

    settled = _settled("Peaceman–Rachford", step, problem, factor, tolerance, max_iterations)
    resolved = np.linalg.solve(np.eye(len(H)) + size * H, (settled - size * problem.drive).T).T
    return problem.physical(np.maximum(resolved, 0.0))


@dataclass(frozen=True, eq=False)
class _Problem:
    """The problem 0 ≤ z' ⟂ H z' + drive ≥ 0 with H equilibrated."""

    H: Array
    scale: Array
    """z = scale · z', ``[m]``."""
    drive: Array
    """``[batch, m]``."""
    start: Array
    """z', ``[batch, m]``."""

    def physical(self, scaled: Array) -> Array:
        """Return z in its own units from the z' of the equilibrated problem."""
        return self.scale * scaled


def _scaled(network: MonotoneNetwork, inputs: Array, start: Array | None) -> _Problem:
    require_monotone(network)
    m, p = network.B.shape
    if inputs.ndim != 2 or inputs.shape[1] != p:
        raise CircuitError(f"inputs have shape {inputs.shape}, the network takes [batch, {p}]")
    first = np.zeros((len(inputs), m)) if start is None else start
    if first.shape != (len(inputs), m):
        raise CircuitError(f"start has shape {first.shape}, the network's state is {(len(inputs), m)}")
    H, d = equilibrated(network.H)  # noqa: N806
    return _Problem(H, d, d * (inputs @ network.B.T + network.bias), first / d)


def _settled(
    method: str, step: Callable[[Array], Array], problem: _Problem, factor: float, tolerance: float, limit: int
) -> Array:
    """Repeat `step`, which contracts by `factor`, until it comes to rest; return where, ``[batch, m]``."""
    behind = factor / max(1 - factor, np.finfo(float).tiny)
    allowed = max(tolerance / max(behind, 1.0), _ROUNDING)
    given = np.maximum(np.linalg.norm(problem.drive, axis=1), np.linalg.norm(problem.start, axis=1))
    here = problem.start
    moving = np.ones(len(here), bool)
    for _ in range(limit):
        there = step(here)
        size = np.maximum(given, np.linalg.norm(there, axis=1))
        moving = np.linalg.norm(there - here, axis=1) > allowed * size
        here = there
        if not moving.any():
            return here
    sample = int(np.flatnonzero(moving)[0]) if len(moving) else 0
    raise ConvergenceError(
        f"its step is still above {allowed:.2g} of its size after {limit} iterations (contraction {factor:.6g}); "
        f"allow more, or check that a solution exists",
        sample=sample,
        phase=method,
    )


def _cayley(H: Array, alpha: float) -> Array:  # noqa: N803
    """(I + αH)⁻¹(I − αH): the reflected resolvent of H."""
    one = np.eye(len(H))
    return np.asarray(np.linalg.solve(one + alpha * H, one - alpha * H), float)


def _best_stretch(H: Array, smallest: float) -> float:  # noqa: N803
    """The α between 1/|H| and one over the smallest eigenvalue whose reflected resolvent contracts most; else 1."""
    largest = float(np.linalg.norm(H, 2))
    if smallest <= _LEAST * largest:
        return 1.0
    steps = np.geomspace(1 / largest, 1 / max(smallest, 1e-4 * largest), _STRETCHES)
    return float(min(steps, key=lambda alpha: np.linalg.norm(_cayley(H, alpha), 2)))

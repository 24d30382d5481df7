"""Strength of a rule's nudge: β against the conductance that a network has of its own at its outputs.

A spring of −β at an output is a negative conductance. The network's co-content stays convex, and its state unique and
stable, while β is below what any combination of outputs sees of the network with all diodes blocking. Diodes that
conduct add to that: beyond it a state is stable while β is below what outputs see of the network at that state. Where
it is not, simulators still find a root of Kirchhoff's equations, but that is a saddle in which no chip would rest. The
simulated chips look at every such state (`harness.chip.base.SimulatedChip.measure`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from harness.chip.nodal.chip import nodal_chip
from harness.circuit import Circuit
from harness.circuit.reduction.reduction import reduction_of
from harness.errors import ExperimentError, SpringError, UnitError
from harness.learning import Nudging
from harness.measurement import Array, Batch, Conductances, Drive, Injection, Spring
from harness.training.runs import Run
from harness.units import parse, show
from harness.wording import command, counted

SHARE = 0.1
"""β without a figure of its own, in the network's own conductance at the outputs.

Measured on the packaged experiments with squared error, fresh and trained, against the adjoint gradient: with centered
springs the worst array is off by 0.01 % at a share of 0.01, by 1 to 1.5 % at 0.1 (cosine above 0.9999), by 20 to 55 %
at 0.5 (down to 0.985) and several times over at 0.8 (down to 0.7); one-sided by 8 to 11 % at 0.1 (cosine above 0.999).
`allostery`, whose hundreds of edges begin alike, is off by 18 % (0.987) while it is fresh. What ngspice's tolerances
add falls with β: up to 9 % at a share of 1e-4, 1 % at 1e-3, 0.1 % at 0.01, 0.01 % at 0.1. A tenth also leaves cells
room to lose nine tenths of their conductance in training.
"""
CLOSE = 0.8
"""Share of the network's own conductance from which a spring of −β is warned of; see `SHARE` for what it does."""
_LARGEST_SHARE = 10.0
_FAINT = 1e-3  # of g_unit: outputs that see less of the network hang on diodes
ROWS = 32
"""Samples whose free states say what outputs see of a network that they hang on by diodes."""


class Share(float):
    """β as a share of the conductance that outputs see of the initial network, such as 0.05; written ``"5 %"``."""

    @classmethod
    def read(cls, text: str) -> "Share":
        """Return the share that a text such as ``"5 %"`` means.

        Raises:
            UnitError: it is no number, or not above 0 % and at most 1,000 %.
        """
        try:
            share = parse(text.strip().removesuffix("%"), "") / 100
        except UnitError as error:
            raise UnitError(f"{text!r} is no share; write a number in percent, such as '5 %'") from error
        if not 0 < share <= _LARGEST_SHARE:
            raise UnitError(
                f"{text!r} must be above 0 % and at most {100 * _LARGEST_SHARE:g} % of what the outputs see"
            )
        return cls(share)

    @override
    def __str__(self) -> str:
        return f"{100 * self:.12g} %"


@dataclass(frozen=True)
class Strength:
    """Strength and kind of a rule's nudge."""

    beta: float
    """β, or γ of hardware linearization, S."""
    nudging: Nudging


def bearable(
    circuit: Circuit, rows: Batch, unit: float, usual: Nudging, wanted: Nudging | None = None, share: float = SHARE
) -> Strength:
    """Return the strength that a network bears: a share of the conductance that its outputs see, for some samples.

    `unit` is the size of its conductances, S; it is nudged as `wanted` or, without it, as is `usual`.

    Raises:
        ExperimentError: springs are wanted where outputs hang on diodes.
        CircuitError: the circuit cannot be reduced, or a node of it floats.
    """
    own = own_conductance(circuit)
    if own >= _FAINT * unit:
        return Strength(share * (own if np.isfinite(own) else unit), wanted or usual)
    if wanted is Nudging.SPRING:
        raise ExperimentError(
            f"rule.nudging: with all diodes blocking, outputs see {show(own, 'S')} of the network, too little for "
            'springs; write rule.nudging = "current", or give rule.beta'
        )
    return Strength(share * float(np.median(conductances_at_rest(circuit, rows))), Nudging.CURRENT)


def own_conductance(circuit: Circuit) -> float:
    """Return the conductance (S) that outputs see with all diodes blocking: see `ReducedCircuit.output_conductance`."""
    return reduction_of(circuit).reduce(circuit.conductances).output_conductance()


def conductances_at_rest(circuit: Circuit, rows: Batch) -> Array:
    """Return the least conductance (S) that a combination of outputs sees about each free state, ``[batch]``."""
    chip = nodal_chip(circuit)
    (free,) = chip.measure([Drive(rows.inputs)])
    units = [np.broadcast_to(unit, free.outputs.shape) for unit in np.eye(len(circuit.outputs))]
    answers = chip.measure([Drive(rows.inputs, Injection(unit), "small-signal", about=free) for unit in units])
    ohms = np.stack([answer.outputs for answer in answers], axis=2)
    return np.asarray(1 / np.linalg.norm(ohms, 2, axis=(1, 2)))


class Springs:
    """Compares the springs of −β that a rule asks for with what a network bears, while its cells change.

    Args:
        circuit: the network.
        strength: of the rule's nudge.
        both_signs: whether the rule nudges by −β, too.
        rows: gives some training samples.
        falls_back: whether samples without a stable state are compared one-sided.
    """

    def __init__(
        self,
        circuit: Circuit,
        strength: Strength,
        *,
        both_signs: bool,
        rows: Callable[[], Batch],
        falls_back: bool = False,
    ) -> None:
        self.negative = both_signs and strength.nudging is Nudging.SPRING
        """True where springs of −β are asked for; all circuits bear currents and springs of +β."""
        self._circuit, self._beta, self._rows, self._falls_back = circuit, strength.beta, rows, falls_back
        self._reduction = reduction_of(circuit) if self.negative else None
        self._known: tuple[Conductances, float] | None = None

    def refuse(self, conductances: Conductances) -> None:
        """Refuse a β that leaves the first training samples no stable state, unless the rule falls back.

        Raises:
            ExperimentError: names β, the network's own conductance and the cures.
        """
        own = self._own(conductances)
        if self._beta < own or self._falls_back:
            return
        rows = self._rows()
        chip = nodal_chip(self._circuit.with_conductances(conductances))
        try:
            chip.measure([Drive(rows.inputs, Spring(-self._beta, rows.targets), "nudged −β")])
        except SpringError as refused:
            some = f"at least {len(refused.samples)} of the first {counted(len(rows), 'training sample')}"
            raise ExperimentError(
                f"rule.beta: {self._compared(own)}; springs of −β leave {some} no stable state; {_cures(own)}"
            ) from refused

    def warning(self, conductances: Conductances) -> str | None:
        """Return a warning of a β that comes close to the network's own conductance; None where it does not."""
        own = self._own(conductances)
        if self._beta < CLOSE * own:
            return None
        seen = float(conductances_at_rest(self._circuit.with_conductances(conductances), self._rows()).min())
        if self._beta < CLOSE * seen:  # thanks to diodes that conduct
            return None
        return (
            f"rule.beta: {self._compared(own)}; springs of −β give wrong gradients there, and beyond 1 times they may "
            f"leave samples no stable state; {_cures(own)}"
        )

    def onward(self, run: Run, bound: float) -> str | None:
        """Tell how to go on with a run whose cells fell in training until its network did not bear β any more.

        None for a run without a checkpoint. `bound` are S that β must stay below; 0 where it is not known.
        """
        if not self.negative or (position := run.position()) is None:
            return None
        bound = bound or self._own(position.conductances)
        usual = command("train", "--from", run.path, "--set", f"rule.beta={SHARE * bound:.3g}")
        return f"cells fell in training; go on from its checkpoint with: {usual}"

    def _own(self, conductances: Conductances) -> float:
        """Return the conductance (S) that outputs see; the last one is kept for the next call with the same cells."""
        if self._reduction is None:
            return np.inf
        if self._known is None or not all(map(np.array_equal, self._known[0], conductances)):
            own = self._reduction.reduce(conductances).output_conductance()
            self._known = tuple(g.copy() for g in conductances), own
        return self._known[1]

    def _compared(self, own: float) -> str:
        seen = f"the conductance that the outputs see of the network, {show(own, 'S')} with all diodes blocking"
        times = f"{self._beta / own:,.2f} times {seen}"
        return f"{show(self._beta, 'S')} is {times}"


def _cures(own: float) -> str:
    usual = show(SHARE * own, "S")
    others = 'rule.nudging = "current", or rule.unstable = "one-sided"'
    return f'write rule.beta = "auto" (a tenth of it, {usual}), a smaller β, {others}'

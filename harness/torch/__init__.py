"""A circuit as a layer of PyTorch: the forward pass settles a chip, the backward pass is a learning rule.

A layer gets ∂L/∂v of its output voltages v from whatever comes behind it. These errors drive the rule's second phase,
from which come ∂L/∂g of every conductance g and, by the adjoint voltages λ of the same phase, ∂L/∂x of every input x
(`harness.learning.rules.sources`). A digital layer before the circuit is trained by them as by any other layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from typing_extensions import override

try:
    import torch
    from torch.autograd.function import once_differentiable
except ImportError as missing:
    from harness.processes.distribution import installing

    how = f"{installing('torch')}, or Debian's package python3-torch"
    raise ImportError(f"harness.torch needs PyTorch ({missing}); install it: {how}", name="torch") from missing

from harness.chip.base import Chip
from harness.chip.metering import set_step_key
from harness.chip.nodal.chip import nodal_chip
from harness.circuit import Circuit
from harness.errors import ChipError, ExperimentError, NotFiniteError
from harness.experiment.experiment import Experiment
from harness.experiment.strength import own_conductance
from harness.learning import AnalyticalGradient, Cost, EquilibriumPropagation, HardwareLinearization, Nudging
from harness.learning.rules.base import AdjointRule, refuse_unfit
from harness.learning.rules.sources import input_gradient
from harness.measurement import Array, Batch, Conductances, Drive
from harness.units import show

__all__ = ["CircuitLayer"]

_SHARE = 0.01
"""β as a share of the conductance that outputs see: an error of 1 V then moves an output by about 10 mV."""
_NO_LAYER = {
    "coupled-learning": "it clamps outputs at targets, and follows another direction than the gradient of a loss",
    "node-perturbation": "it compares costs and gives no derivatives by the inputs",
    "finite-differences": "it compares costs and gives no derivatives by the inputs",
    "simultaneous-perturbation": "it compares costs and gives no derivatives by the inputs",
}
"""Rules that no layer can have, and why."""


@dataclass(frozen=True)
class _Pull(Cost):
    """C = Σ w v for errors w that take the place of targets: its slopes are the errors, whatever the loss."""

    @override
    def values(self, outputs: Array, targets: Array) -> Array:
        return np.asarray((outputs * targets).sum(axis=1))

    @override
    def slopes(self, outputs: Array, targets: Array) -> Array:
        return targets

    @override
    def score(self, outputs: Array, targets: Array) -> float:
        return float("nan")  # errors have none


class CircuitLayer(torch.nn.Module):  # type: ignore[misc]  # PyTorch may be absent where types are checked
    """A circuit whose inputs and outputs are voltages, as a layer with the circuit's conductances as parameters.

    ``cells`` has one parameter for each crossbar or graph, in units of `g_unit`: pure numbers, for which learning rates
    are of the usual size. An optimizer may move them anywhere; before the chip is programmed, every forward pass sets
    those outside of g_min…g_max back to the bound (`project` does so at once). Gradients are of the conductances as the
    circuit was drawn.

    Voltages are computed in float64 on the CPU, whatever the inputs' type; outputs have the inputs' type. The chip is
    opened by the first forward pass, and no copy, pickle or state_dict holds it; `close` closes it.

    Args:
        circuit: with the conductances to begin with.
        rule: ``"hardware-linearization"`` measures a small-signal phase about the free one, exact;
            ``"analytical-gradient"`` computes it, exact; ``"equilibrium-propagation"`` nudges the outputs by currents
            of both signs, with an error of order β².
        chip: makes the chip that settles the circuit.
        beta: S; for equilibrium propagation β, for hardware linearization γ: the current into an output for an error
            that is scaled to 1 V at most. None takes a hundredth of the conductance that outputs see.
        g_unit: S; None takes each array's g_max.

    Raises:
        ExperimentError: there is no such rule, it can serve no layer, or `beta` or `g_unit` is not above 0.
        CircuitError: the rule does not take the circuit.
    """

    def __init__(
        self,
        circuit: Circuit,
        rule: str = "hardware-linearization",
        *,
        chip: Callable[[Circuit], Chip] = nodal_chip,
        beta: float | None = None,
        g_unit: float | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("beta", beta), ("g_unit", g_unit)):
            if value is not None and not 0 < value < np.inf:
                raise ExperimentError(f"{name} = {value:g} S must be above 0")
        self.circuit, self.rule, self.beta = circuit, rule, beta
        self.units = tuple(array.g_max if g_unit is None else g_unit for array in circuit.arrays)
        self._make, self._chip, self._pass = chip, cast("Chip | None", None), 0
        self._learning = _rule(rule, circuit, beta)
        shown = zip(circuit.conductances, self.units, strict=True)
        self.cells = torch.nn.ParameterList([torch.tensor(g / unit, dtype=torch.float64) for g, unit in shown])

    @classmethod
    def from_experiment(cls, experiment: Experiment, rule: str = "hardware-linearization") -> "CircuitLayer":
        """Make a layer of an experiment's circuit, settled by its chip, with parameters in its unit of conductance."""
        fitted = experiment.fitted
        return cls(experiment.circuit, rule, chip=fitted.chip_description.build, g_unit=fitted.network.g_unit)

    @property
    def conductances(self) -> Conductances:
        """The conductances of all arrays as the chip is programmed with them, S."""
        return self._within(cell.detach() * unit for cell, unit in zip(self.cells, self.units, strict=True))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def project(self) -> None:
        """Set parameters outside of g_min…g_max back to the bound.

        Raises:
            NotFiniteError: a parameter is not finite.
        """
        for cell, unit, array in zip(self.cells, self.units, self.circuit.arrays, strict=True):
            if not bool(torch.isfinite(cell).all()):
                message = f"{array.title}: a parameter is not finite; lower the optimizer's learning rate"
                raise NotFiniteError(message, "learning rule")
            low, high = array.g_min / unit, array.g_max / unit
            if bool(((cell < low) | (cell > high)).any()):  # what a backward pass will need is left alone
                cell.clamp_(low, high)

    def forward(self, inputs: Any) -> Any:
        """Let the circuit settle for inputs in V, ``[..., channels]``; return its outputs in V, ``[..., outputs]``.

        Raises:
            ChipError: the inputs have another shape, type or place, or are not finite, or the chip failed.
            NotFiniteError: a parameter is not finite.
        """
        self._check(inputs)
        self.project()
        self._pass += self.training
        flat = inputs.reshape(-1, self.circuit.channels).to(torch.float64)
        siemens = [cell.to(torch.float64) * unit for cell, unit in zip(self.cells, self.units, strict=True)]
        outputs = _Settled.apply(self, flat, *siemens)
        return outputs.reshape(*inputs.shape[:-1], len(self.circuit.outputs)).to(inputs.dtype)

    def close(self) -> None:
        """Close the chip; the next forward pass opens another."""
        if self._chip is not None:
            self._chip.close()
        self._chip = None

    def extra_repr(self) -> str:
        """Return what a module's text says of the layer."""
        return f"{self.circuit.name}, {self.circuit.channels} inputs, {len(self.circuit.outputs)} outputs, {self.rule}"

    def get_extra_state(self) -> dict[str, Any]:
        """Return what a state_dict keeps beside the parameters: the units that they count in."""
        return {"units": list(self.units)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Refuse a state_dict of a layer whose parameters count in other units.

        Raises:
            ExperimentError: names both units.
        """
        if (units := state["units"]) != list(self.units):
            found, own = (", ".join(show(unit, "S") for unit in each) for each in (units, self.units))
            raise ExperimentError(f"state_dict: its parameters count in {found}, and this layer's in {own}; set g_unit")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: all but the open chip."""
        return {**self.__dict__, "_chip": None}

    @property
    def _key(self) -> tuple[int, ...]:
        """The step key of a pass: noise differs from pass to pass in training, and is always the same in evaluation."""
        return (0, self._pass) if self.training else ()

    def _check(self, inputs: Any) -> None:
        for what, tensor in (("inputs", inputs), *(("parameters", cell) for cell in self.cells)):
            if tensor.device.type != "cpu":
                raise ChipError(f"{what} are on {tensor.device}; the circuit settles on the CPU: move them with .cpu()")
            if not tensor.dtype.is_floating_point:
                raise ChipError(
                    f"{what} are of type {tensor.dtype}; voltages and conductances are floating-point numbers"
                )
        if inputs.ndim == 0 or inputs.shape[-1] != self.circuit.channels:
            shape = tuple(inputs.shape)
            raise ChipError(
                f"inputs have shape {shape}; circuit {self.circuit.name} takes [..., {self.circuit.channels}]"
            )

    def _within(self, siemens: Any) -> Conductances:
        """Return tensors in S as arrays within the cells' bounds, which a type of few digits may have rounded away."""
        arrays = zip(siemens, self.circuit.arrays, strict=True)
        return tuple(np.clip(g.to(torch.float64).numpy(), array.g_min, array.g_max) for g, array in arrays)

    def _programmed(self, conductances: Conductances, key: Sequence[int]) -> Chip:
        """Return the chip with some conductances, S."""
        if self._chip is None:
            chip = self._make(self.circuit)
            try:
                refuse_unfit(self.rule, self._learning.needs, chip.capabilities, type(chip).__qualname__)
            except ExperimentError:
                chip.close()
                raise
            self._chip = chip
        self._chip.program(conductances)
        set_step_key(self._chip, key)
        return self._chip

    def _settle(self, inputs: Array, conductances: Conductances, key: Sequence[int]) -> Array:
        """Return the outputs of the free phase, V, ``[batch, outputs]``."""
        chip, size = self._programmed(conductances, key), self._portion(len(inputs))
        parts = [inputs[start : start + size] for start in range(0, len(inputs), size)]
        found = [chip.measure([Drive(part)])[0].outputs for part in parts]
        return np.concatenate([np.zeros((0, len(self.circuit.outputs))), *found])

    def _pull_back(
        self, inputs: Array, errors: Array, conductances: Conductances, key: Sequence[int]
    ) -> tuple[Array, Conductances]:
        """Return ∂L/∂x, ``[batch, channels]``, and ∂L/∂g for errors ∂L/∂v at the outputs, ``[batch, outputs]``."""
        by_inputs = np.zeros(inputs.shape)
        by_cells = tuple(np.zeros(g.shape) for g in conductances)
        largest = float(np.abs(errors).max(initial=0.0))
        if largest == 0:  # nothing to send back
            return by_inputs, by_cells
        chip, size = self._programmed(conductances, key), self._portion(len(inputs))
        for start in range(0, len(inputs), size):
            rows = slice(start, start + size)
            shown = Batch(inputs[rows], errors[rows] / largest)
            readings = self._learning.measure(chip, shown, np.random.default_rng(0))
            scale = largest * len(shown)  # rules give the mean of a batch
            nodes, adjoint = readings.free.nodes, self._learning.adjoint(readings)
            by_inputs[rows] = scale * input_gradient(self.circuit, conductances, nodes, adjoint)
            parts = zip(by_cells, self._learning.gradient(readings), strict=True)
            by_cells = tuple(total + scale * part for total, part in parts)
        return by_inputs, by_cells

    def _portion(self, samples: int) -> int:
        """Return how many samples are shown at once."""
        most = None if self._chip is None else self._chip.capabilities.largest_batch
        return max(1, samples if most is None else min(samples, most))


class _Settled(torch.autograd.Function):  # type: ignore[misc]  # PyTorch may be absent where types are checked
    """The voltages that a circuit settles at, as a function of its inputs and conductances."""

    @staticmethod
    def forward(ctx: Any, layer: CircuitLayer, inputs: Any, *siemens: Any) -> Any:
        """Settle the free phase; the chip may hold other conductances when it is asked for derivatives."""
        ctx.layer, ctx.key = layer, layer._key
        ctx.conductances = layer._within(g.detach() for g in siemens)
        ctx.save_for_backward(inputs)
        return torch.from_numpy(layer._settle(inputs.detach().numpy(), ctx.conductances, ctx.key))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, errors: Any) -> Any:
        """Run the rule's phases for the errors at the outputs."""
        (inputs,) = ctx.saved_tensors
        given = inputs.detach().numpy(), errors.detach().numpy(), ctx.conductances, ctx.key
        by_inputs, by_cells = ctx.layer._pull_back(*given)
        return None, torch.from_numpy(by_inputs), *map(torch.from_numpy, by_cells)


def _rule(name: str, circuit: Circuit, beta: float | None) -> AdjointRule:
    """Return the rule of a name, for errors instead of a cost."""
    strength = beta
    if strength is None:
        own = own_conductance(circuit)
        strength = _SHARE * (own if 0 < own < np.inf else max(array.g_max for array in circuit.arrays))
    match name:
        case "hardware-linearization":
            return HardwareLinearization(circuit, _Pull(), gamma=strength)
        case "analytical-gradient":
            return AnalyticalGradient(circuit, _Pull())
        case "equilibrium-propagation":
            return EquilibriumPropagation(circuit, _Pull(), beta=strength, nudging=Nudging.CURRENT)
    why = _NO_LAYER.get(name, "there is no such rule")
    known = "hardware-linearization, analytical-gradient or equilibrium-propagation"
    raise ExperimentError(f"rule {name!r} can serve no layer: {why}; take {known}")

"""Cells as memristors with state (`harness.netlist.cells.memristor`), each begun where it conducts as programmed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from typing_extensions import override

from harness.circuit import Circuit
from harness.devices.memristors import LinearIonDrift, Vteam
from harness.devices.oxides import DataDriven, StanfordGap
from harness.devices.switching import READ_VOLTS
from harness.errors import CircuitError
from harness.measurement import Array
from harness.netlist.cells.limits import Limits
from harness.netlist.cells.memristor import MemristorModel, subcircuit
from harness.netlist.design.naming import JOINT
from harness.netlist.design.parts import Design, Memristor
from harness.netlist.dialects import Dialect
from harness.netlist.dialects.base import CellStyle
from harness.units import show


def state_of(model: MemristorModel, siemens: Array | float) -> Array:
    """The state at which a model conducts so much (S) at `READ_VOLTS`, in closed form, same shape.

    Resistance is linear in the state of `LinearIonDrift`, `Vteam` and `DataDriven`, the logarithm of conductance in
    that of `StanfordGap`, conductance in that of `Yakopcic`. Outside 0…1 where a model cannot conduct so much.
    """
    low, high = _ends(model)
    return np.asarray((_linear(model, np.asarray(siemens, float)) - low) / (high - low))


@cache
def _ends(model: MemristorModel) -> tuple[float, float]:
    """Return where the states 0 and 1 are on the scale of `_linear`."""
    return float(_linear(model, model.conductance(0.0))), float(_linear(model, model.conductance(1.0)))


def _linear(model: MemristorModel, siemens: Array) -> Array:
    """A function of conductance (S) that is linear in the state."""
    if isinstance(model, LinearIonDrift | Vteam | DataDriven):
        return 1 / siemens
    return np.log(siemens) if isinstance(model, StanfordGap) else siemens


@dataclass(frozen=True)
class BehaviouralCells(CellStyle):
    """Subcircuits of ngspice with one state each; open cells have no device."""

    device: str
    """As `harness.devices.curves.SPECIMENS` calls the model."""
    model: MemristorModel
    clip: bool = False
    """True where cells beyond the model's bounds are set to these instead of being refused."""
    name: str = "behavioural"
    exact: bool = False
    read_volts: float = READ_VOLTS

    @override
    def conducting(self, circuit: Circuit) -> None:
        return None

    @override
    def instance(self, cell: Memristor) -> str:
        return f"x{cell.name}"

    @override
    def definitions(self, design: Design, dialect: Dialect) -> Iterator[str]:
        """See `CellStyle`.

        Raises:
            CircuitError: the dialect is not that of ngspice.
        """
        if dialect.name != "ngspice":
            raise CircuitError(
                f"cells behavioural: memristors with state are written for ngspice, not for {dialect.title}; "
                "take other --cells or --dialect ngspice"
            )
        *lines, end = subcircuit(self.model, self._master)
        yield from (*lines, ".nodeset v(x)={start} v(state)={start}", end)  # else Newton begins with open cells

    @override
    def lines(self, cell: Memristor, design: Design, dialect: Dialect) -> Iterator[str]:
        """See `CellStyle`.

        Raises:
            CircuitError: the model cannot conduct so much or so little; names the cell.
        """
        if cell.siemens:
            start = min(max(0.0, float(state_of(self.model, self.limits.held(cell, design)))), 1.0)
            yield dialect.placed(self.instance(cell), cell.nets, self._master, {"start": start})

    @override
    def about(self, design: Design, dialect: Dialect) -> Sequence[str]:
        return (
            f"A cell is the memristor model {self.device}, {self.limits}, with a state between 0 and 1 on its net",
            f"`state`, begun where it conducts as trained at {show(READ_VOLTS, 'V')}. The network behaves as trained",
            "as far as the model is linear at the voltages over its cells and does not switch there. `expected.csv` is",
            "what ngspice gives for the testbenches: operating points hold states, transient analyses move them.",
            self.limits.about(design),
        )

    @cached_property
    def limits(self) -> Limits:
        """Limits of the model's conductance at `READ_VOLTS`."""
        low, high = self.model.conductance(np.array([0.0, 1.0])).tolist()
        return Limits(low, high, f"the memristor model {self.device}", self.clip)

    @property
    def _master(self) -> str:
        return f"memristor{JOINT}{self.device.replace('-', '_')}"

"""Deviation of a package whose cells are not linear from the network that was trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.circuit import Circuit
from harness.measurement import Array
from harness.netlist.dialects import Phase
from harness.units import show

_ROUNDING = 1e-9  # relative


@dataclass(frozen=True)
class Deviation:
    """Change of a network's voltages by devices that conduct as trained only at small voltages."""

    read_v: float
    """V over a cell up to which it conducts as trained."""
    cells_beyond: int
    """Cells over which the trained network puts more, in some sample and phase."""
    cells: int
    """Cells that are not open."""
    largest_drop_v: float
    """V over any of them."""
    error_v: float
    """V: the largest difference between the package's voltages and the trained network's."""
    node: str
    """Node at which that difference is found; `row` and `phase` say where as well."""
    row: int
    """Number of the held-out row."""
    phase: str
    found_v: float
    """The package's voltage there, V."""
    trained_v: float
    """V."""
    predictions_changed: int
    """Rows for which the package predicts something else."""
    rows: int

    @property
    def driven(self) -> str:
        """A few words on how far the trained network drives the cells."""
        if not self.cells_beyond:
            return f"no cell sees more than {show(self.read_v, 'V')}, up to which it conducts as trained"
        many = f"{self.cells_beyond:,} of {self.cells:,} cells see more than {show(self.read_v, 'V')}"
        return f"{many}, up to which they conduct as trained (at most {show(self.largest_drop_v, 'V')})"

    def __str__(self) -> str:
        """Return what there is to know, for people, on one line."""
        worst = f"{self.node}, row {self.row}, {self.phase}: {self.found_v:.4g} V instead of {self.trained_v:.4g} V"
        return (
            f"{self.driven}; expected.csv has what these cells give, up to {show(self.error_v, 'V')} from the trained "
            f"network ({worst}); {self.predictions_changed} of {self.rows} predictions differ"
        )


def deviation_of(
    circuit: Circuit, read: float, rows: Sequence[int], trained: Mapping[Phase, Array], found: Mapping[Phase, Array]
) -> Deviation:
    """Compare what a package's cells give with the trained network.

    `trained` and `found` are V of every node, ``[samples, nodes]``, the former with linear cells; `read` is the V over
    a cell up to which it conducts as trained, and `rows` are the samples' numbers.
    """
    drops = _largest_drops(circuit, np.concatenate([trained[phase] for phase in Phase]))
    errors = {phase: np.abs(found[phase] - trained[phase]) for phase in Phase}
    phase = max(Phase, key=lambda phase: float(errors[phase].max()))
    row, node = map(int, np.unravel_index(int(errors[phase].argmax()), errors[phase].shape))
    changed = _predictions(circuit, found[Phase.FREE]) != _predictions(circuit, trained[Phase.FREE])
    return Deviation(
        read_v=read,
        cells_beyond=int((drops > read * (1 + _ROUNDING)).sum()),
        cells=len(drops),
        largest_drop_v=float(drops.max(initial=0.0)),
        error_v=float(errors[phase][row, node]),
        node=circuit.nodes[node],
        row=rows[row],
        phase=str(phase),
        found_v=float(found[phase][row, node]),
        trained_v=float(trained[phase][row, node]),
        predictions_changed=int(changed.sum()),
        rows=len(rows),
    )


def _largest_drops(circuit: Circuit, volts: Array) -> Array:
    """Return the largest voltage in any sample over each cell that is not open, V, ``[cells]``."""
    drops, grounded = [], circuit.with_ground(volts)
    for array in circuit.arrays:
        first, second = circuit.ends(array)
        largest = np.abs(grounded[:, first] - grounded[:, second]).max(axis=0)
        drops.append(largest[array.conductances > 0])
    return np.concatenate(drops)


def _predictions(circuit: Circuit, volts: Array) -> Array:
    """The number of the largest output, or whether the only output is above 0 V, ``[samples]``."""
    outputs = circuit.outputs_of(volts)
    return np.asarray(outputs.argmax(axis=1) if outputs.shape[1] > 1 else outputs[:, 0] > 0)

"""Nonlinear devices: their parameters, the laws that simulators solve, and published and measured cells."""

from harness.devices.cell_law import LINEAR_CELLS, CellLaw, Curve
from harness.devices.diode import DiodeModel, ZenerModel
from harness.devices.mosfet import MosfetModel

__all__ = ["LINEAR_CELLS", "CellLaw", "Curve", "DiodeModel", "MosfetModel", "ZenerModel"]

"""The languages that designs are written in, one file each."""

from harness.netlist.dialects.base import RESISTORS, CellStyle, Dialect, Phase, ResistorCells, Stimulus
from harness.netlist.dialects.cdl import CDL
from harness.netlist.dialects.hspice import HSPICE
from harness.netlist.dialects.ltspice import LTSPICE
from harness.netlist.dialects.ngspice import NGSPICE
from harness.netlist.dialects.spectre import SPECTRE
from harness.netlist.dialects.xyce import XYCE

__all__ = [
    "CDL",
    "DIALECTS",
    "HSPICE",
    "LTSPICE",
    "NGSPICE",
    "RESISTORS",
    "SPECTRE",
    "XYCE",
    "CellStyle",
    "Dialect",
    "Phase",
    "ResistorCells",
    "Stimulus",
]

DIALECTS: dict[str, Dialect] = {d.name: d for d in (NGSPICE, XYCE, LTSPICE, HSPICE, SPECTRE, CDL)}
"""By name."""

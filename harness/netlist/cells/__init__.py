"""Trainable cells in a netlist: as resistors, memristors with state, Verilog-A, or a foundry's cells."""

from importlib import resources
from pathlib import Path

from harness.errors import CircuitError
from harness.files.reading import read_text
from harness.netlist.cells.behavioural import BehaviouralCells
from harness.netlist.cells.foundry import FoundryCells, read_table
from harness.netlist.cells.memristor import MemristorModel
from harness.netlist.cells.veriloga import VerilogACells
from harness.netlist.dialects import RESISTORS, CellStyle, Dialect
from harness.wording import did_you_mean

__all__ = ["BehaviouralCells", "FoundryCells", "VerilogACells", "cell_style", "packaged_tables"]

_BEHAVIOURAL = "behavioural"
_EXACT = ("resistor", "verilog-a")


def cell_style(text: str, dialect: Dialect, device: str | None = None, *, clip: bool = False) -> CellStyle:
    """The style that a command line names.

    Args:
        text: ``resistor``, ``behavioural``, ``verilog-a``, the name of a packaged table or the path of a TOML file.
        dialect: that the cells will be written in.
        device: a memristor model (`harness.devices.curves.SPECIMENS`), for behavioural cells only.
        clip: whether conductances that a device cannot have go to its bound instead of being refused.

    Raises:
        CircuitError: no such style or device, or nothing that could be clipped; says which there are.
        ExperimentError: the table is wrong; names line, key and value.
    """
    if (device is None) == (text == _BEHAVIOURAL):
        raise CircuitError(f"cells {text}: behavioural cells need a memristor model (--device), others have none")
    if clip and text in _EXACT:
        raise CircuitError(f"cells {text}: they conduct whatever they are programmed to; leave out --clip-cells")
    if device is not None:
        from harness.devices.curves import specimen  # noqa: PLC0415 - SciPy's integrators take a second to import

        shown = specimen(device)
        if not isinstance(shown.model, MemristorModel):
            raise CircuitError(f"cells behavioural: the memristor model {shown.name} has no netlist")
        return BehaviouralCells(shown.name, shown.model, clip)
    if text == "resistor":
        return RESISTORS
    if text == "verilog-a":
        return VerilogACells("n" if dialect.name == "ngspice" else "x")
    folder = resources.files("harness.netlist") / "cells"
    if text in packaged_tables():
        return FoundryCells(read_table((folder / f"{text}.toml").read_text(encoding="utf-8"), f"table {text}"), clip)
    if not text.endswith(".toml"):
        known = ("resistor", _BEHAVIOURAL, "verilog-a", *packaged_tables())
        meant = did_you_mean(text, known, or_list=True)
        raise CircuitError(f"no cells {text!r}{meant} (or name a table of one's own, a file that ends in .toml)")
    content = read_text(Path(text), CircuitError)
    return FoundryCells(read_table(content, f"table {text}"), clip)


def packaged_tables() -> tuple[str, ...]:
    """Names of the foundry tables that come with the package."""
    files = (resources.files("harness.netlist") / "cells").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))

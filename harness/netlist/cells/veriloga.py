"""Cells in Verilog-A: the project's own ``memristor.va``, and how simulators load it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from typing_extensions import override

from harness.errors import CircuitError
from harness.netlist.design.naming import JOINT
from harness.netlist.design.parts import Design, Memristor
from harness.netlist.dialects.base import CellStyle, Dialect

MODULE = "memristor_cell"
"""Not ``memristor``, which is a model of ngspice's own."""
FILE = "memristor.va"
OBJECT = "memristor.osdi"
"""Name of the file that ``openvaf-r`` compiles it to."""
_MODEL = f"memristor{JOINT}model"


def source() -> str:
    """The text of ``memristor.va``.

    With ``drift`` at 0, its default, the current is g0 v(p,n) and there is no state. Otherwise conductance moves at
    ``drift`` v(p,n), between the bounds ``g_min`` and ``g_max``, before each of which it slows to a stop over 0.1 % of
    the range, as in `harness.devices.switching`; an operating point holds it at g0.
    """
    return (resources.files("harness.netlist") / "cells" / FILE).read_text(encoding="utf-8")


@dataclass(frozen=True)
class VerilogACells(CellStyle):
    """Instances of the module, each with its conductance as ``g0``; open cells have no device."""

    letter: str = "n"
    """Letter of instances: n in ngspice, x in HSPICE, any in Spectre."""
    name: str = "verilog-a"

    @override
    def instance(self, cell: Memristor) -> str:
        return f"{self.letter}{cell.name}"

    @override
    def definitions(self, design: Design, dialect: Dialect) -> Iterator[str]:
        """See `CellStyle`.

        Raises:
            CircuitError: the dialect loads no Verilog-A.
        """
        yield from _loading(dialect)

    @override
    def lines(self, cell: Memristor, design: Design, dialect: Dialect) -> Iterator[str]:
        if cell.siemens:
            master = _MODEL if dialect.name == "ngspice" else MODULE
            yield dialect.placed(self.instance(cell), cell.nets, master, {"g0": cell.siemens})

    @override
    def first(self, dialect: Dialect) -> Sequence[str]:
        return (f"openvaf-r {FILE}",) if dialect.name == "ngspice" else ()

    @override
    def files(self) -> Mapping[str, str]:
        return {FILE: source()}

    @override
    def about(self, design: Design, dialect: Dialect) -> Sequence[str]:
        if dialect.name != "ngspice":
            return (f"A cell is an instance of the module in `{FILE}`, a resistor of g0 unless `drift` is set.",)
        return (
            f"A cell is an instance of the module in `{FILE}`, a resistor of g0 unless `drift` is set. First",
            f"`openvaf-r {FILE}` compiles it with a linker (`ld`, of binutils; look for `{OBJECT}`, as it exits with 0",
            "without one, too): ngspice 44 or later, with OSDI, loads that as `models` says.",
        )


def _loading(dialect: Dialect) -> list[str]:
    """Return the lines by which a simulator loads the module."""
    match dialect.name:
        case "ngspice":
            return [".control", f"pre_osdi {OBJECT}", ".endc", f".model {_MODEL} {MODULE}"]
        case "spectre":
            return [f'ahdl_include "{FILE}"']
        case "hspice":
            return [f'.hdl "{FILE}"']
    raise CircuitError(
        f"cells verilog-a: {dialect.title} does not load Verilog-A; ngspice, HSPICE and Spectre do, "
        "others take --cells resistor"
    )

"""Layouts of a network's crossbars as GDS files, drawn and examined; KLayout does both, in a process of its own.

::

    technology = technology_of("generic")
    plan = plan_of(circuit, (128, 128))
    gds = drawn(plan, technology)
    found = examined(gds, plan, technology)
    found.clean, found.line_word, found.line_bit
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import NetlistError, SimulatorError
from harness.exchange.layout.findings import Examination
from harness.exchange.layout.plan import Plan, plan_of
from harness.exchange.layout.technology import Technology, technology_of
from harness.exchange.simulators.child import Limits, in_child
from harness.files.reading import read_bytes
from harness.processes.distribution import installing

__all__ = [
    "Examination",
    "Plan",
    "Technology",
    "drawn",
    "examined",
    "plan_of",
    "read_layout",
    "shapes",
    "technology_of",
]

if TYPE_CHECKING:
    from harness.exchange.layout.shapes import Shapes

_NAME = "KLayout"
_LARGEST = 500_000_000


def drawn(plan: Plan, technology: Technology) -> bytes:
    """Return the GDS file of a plan in a technology; equal plans give equal bytes.

    Raises:
        SimulatorError: KLayout is not installed, crashed or took too long.
    """
    return in_child(_NAME, _limits(plan), _drawn, plan, technology)


def examined(gds: bytes, plan: Plan, technology: Technology) -> Examination:
    """Return the findings about a layout that should be the plan's: rules, netlist, resistances of its lines.

    Raises:
        NetlistError: the file is no layout that KLayout reads, or its lines are no plain lines.
        SimulatorError: KLayout is not installed, crashed or took too long.
    """
    return in_child(_NAME, _limits(plan), _examined, gds, plan, technology)


def shapes(gds: bytes, plan: Plan, technology: Technology) -> "list[Shapes]":
    """Return the shapes of a layout as plain data, for `harness.pictures.layouts.draw_layout`.

    Raises:
        NetlistError: the file is no layout that KLayout reads.
        SimulatorError: KLayout is not installed, crashed or took too long.
    """
    return in_child(_NAME, _limits(plan), _shapes, gds, plan, technology)


def read_layout(file: Path) -> bytes:
    """Return a GDS file, such as one that somebody has changed.

    Raises:
        NetlistError: it is no plain file, or too large.
    """
    return read_bytes(file, NetlistError, most=_LARGEST)


def check_installed() -> None:
    """Refuse to work without KLayout.

    Raises:
        SimulatorError: the Python package klayout is not installed; says how to install it.
    """
    if find_spec("klayout") is None:
        raise SimulatorError(f"layouts need the Python package klayout, which is not installed: {installing('layout')}")


def _limits(plan: Plan) -> Limits:
    check_installed()
    return Limits.of(plan.cells)


def _drawn(plan: Plan, technology: Technology) -> bytes:
    from harness.exchange.layout.drawing import draw  # noqa: PLC0415 - klayout is an extra

    return draw(plan, technology)


def _shapes(gds: bytes, plan: Plan, technology: Technology) -> "list[Shapes]":
    from harness.exchange.layout.extraction import Read  # noqa: PLC0415 - klayout is an extra
    from harness.exchange.layout.shapes import shapes_of  # noqa: PLC0415

    return shapes_of(Read(gds, technology), plan)


def _examined(gds: bytes, plan: Plan, technology: Technology) -> Examination:
    from harness.exchange.layout.comparison import differences  # noqa: PLC0415 - klayout is an extra
    from harness.exchange.layout.extraction import Read  # noqa: PLC0415
    from harness.exchange.layout.lines import segments_of  # noqa: PLC0415
    from harness.exchange.layout.rules import violations  # noqa: PLC0415

    read = Read(gds, technology)
    unlike = differences(read, plan)
    segments = () if unlike else tuple(segments_of(read, plan))
    box = read.top.dbbox()
    return Examination(tuple(violations(read)), tuple(unlike), segments, (box.width(), box.height()))

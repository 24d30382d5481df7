"""A package's README, by the template ``readme.md``: what is what, and how to simulate it."""

from collections import Counter
from importlib import resources
from textwrap import fill
from typing import TYPE_CHECKING

from harness.netlist.design.naming import code
from harness.netlist.design.parts import Role
from harness.netlist.dialects.base import NETWORK, opened
from harness.netlist.statistics.files import STYLES, degrees
from harness.units import show, spice_number

if TYPE_CHECKING:
    from harness.netlist.package.package import Package


def guide(package: "Package") -> str:
    """Return the README in Markdown."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - most commands write no package

    environment = Environment(  # noqa: S701 - Markdown, whose names are code
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"code": code, "show": show, "exact": spice_number, "degrees": degrees}
    design, dialect, cells = package.written, package.dialect, package.cells
    nodes = design.nodes.items()
    said = " ".join(cells.about(design, dialect)).strip()
    if package.deviation is not None:
        said = f"{said} In the trained network {package.deviation}."
    text = (resources.files("harness.netlist") / "package" / "readme.md").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        package=package,
        statistics=package.statistics,
        many=STYLES.get(dialect.name),
        design=design,
        network=NETWORK,
        commands=(*cells.first(dialect), dialect.command),
        counts=Counter(cell.role for cell in design.cells if cell.role is not Role.TOP),
        about=fill(said, 118, break_long_words=False),
        lines=any(len(path) > 1 for path in package.design.nodes.values()),
        solved=cells.conducting(package.design.circuit) is not None,
        opened=opened(design, dialect.most_ports),
        inner=next((node for node, path in nodes if path[0] not in design.top.port_names), None),
    )

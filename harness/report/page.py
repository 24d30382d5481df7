"""The report as one HTML page, by the template ``page.html``: no script, no font, no picture from anywhere else."""

import base64
from importlib import resources

from jinja2 import Environment, StrictUndefined

import harness
from harness.circuit import Circuit, Convolution, Crossbar
from harness.report import figures, rows
from harness.report.blocks import blocks
from harness.report.cells import draw_cells
from harness.report.contents import Contents
from harness.units import show
from harness.wording import counted

_DRAWN_NODES = 400  # of a graph


def render(report: Contents) -> str:
    """Return the page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["show"] = lambda value, unit: show(float(value), unit)
    folder = resources.files("harness.report")
    return environment.from_string((folder / "page.html").read_text(encoding="utf-8")).render(
        report=report,
        rows=rows,
        figures=figures,
        blocks=blocks,
        draw_cells=draw_cells,
        graph=_graph(report.circuit),
        counted=counted,
        style=(folder / "style.css").read_text(encoding="utf-8").strip(),
        version=harness.__version__,
    )


def _graph(circuit: Circuit) -> str:
    """Return a graph as `harness show` draws it, coded for an URL; nothing for crossbars and for large graphs."""
    if any(isinstance(array, Crossbar | Convolution) for array in circuit.arrays) or len(circuit.nodes) > _DRAWN_NODES:
        return ""
    from harness.pictures.circuits import draw_circuit  # noqa: PLC0415 - networkx is slow to import

    return base64.b64encode(draw_circuit(circuit, title="", format="png")).decode()

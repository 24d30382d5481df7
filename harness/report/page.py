"""The report as one HTML page: no script, no font, no picture from anywhere else."""

import base64
from collections.abc import Iterator
from importlib import resources
from string import Template

import harness
from harness.circuit import Circuit, Crossbar
from harness.report import figures
from harness.report.blocks import blocks
from harness.report.cells import draw_cells
from harness.report.contents import Contents
from harness.report.electrical import against, currents, power, voltages
from harness.report.html import Markup, element, joined, picture, safe, table
from harness.report.inventory import device_rows, volts
from harness.report.timing import timing
from harness.units import show
from harness.wording import counted

_DRAWN_NODES = 400  # of a graph


def render(report: Contents) -> str:
    """Return the page."""
    parts = [(title, body) for title, body in _sections(report) if body]
    names = [title.lower().replace(" ", "-") for title, _ in parts]
    sections = [
        element("section", element("h2", title), body, id=name)
        for name, (title, body) in zip(names, parts, strict=True)
    ]
    links = [element("li", element("a", title, href=f"#{name}")) for name, (title, _) in zip(names, parts, strict=True)]
    folder = resources.files("harness.report")
    about = " · ".join(filter(None, [report.description, report.origin]))
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title=safe(f"{report.name} – design report"),
        style=(folder / "style.css").read_text(encoding="utf-8").strip(),
        name=safe(report.name),
        about=safe(about),
        summary=_summary(report),
        contents=joined(links),
        sections=joined(sections),
        footer=safe(
            f"Made by harness {harness.__version__}. Figures are solved by the nodal chip for the circuit as drawn "
            f"({report.origin}), in the free phase of {report.rows_told}."
        ),
    )


def _sections(report: Contents) -> Iterator[tuple[str, Markup]]:
    yield "Network", _network(report.circuit)
    yield "Devices", _devices(report)
    yield "Conductances", _conductances(report.circuit)
    yield "Node voltages", voltages(report)
    yield "Line currents", currents(report)
    yield "Power", power(report)
    yield "Timing and energy", timing(report.settling)
    yield "Training", _training(report)
    yield "Non-idealities", _nonidealities(report)
    yield "Experiment", _experiment(report)
    versions = [(name, then or "–", now or "–") for name, (then, now) in report.versions.items()]
    yield "Versions", table(("package", "then", "for this report"), versions, about="Versions")


def _summary(report: Contents) -> Markup:
    found = report.found
    low, high = found.range
    cells = sum(count.cells for count in report.cells)
    tiles = [
        ("Network", _shape(report.circuit), f"circuit {report.circuit.name}"),
        *_reached(report),
        ("Memristors", f"{cells:,}", f"in {len(report.circuit.arrays)} arrays"),
        ("Node voltages", _from_to(volts(low), volts(high)), f"{against(report)} ±{show(report.supply, 'V')}"),
    ]
    if found.worst_line is not None:
        amperes, lines = found.worst_line
        tiles.append(("Worst line current", show(amperes, "A"), lines.where))
    mean, most = float(found.power.mean()), float(found.power.max())
    tiles.append(("Static power", show(mean, "W"), f"mean; at most {show(most, 'W')} a sample"))
    described = [
        element("div", element("dt", title), element("dd", value, element("small", note)))
        for title, value, note in tiles
    ]
    told = [
        element("li", element("strong", finding.kind.value), finding.text, class_=finding.kind.name.lower())
        for finding in report.findings
    ]
    return joined([element("dl", *described, class_="figures-of-merit"), element("ul", *told, class_="findings")])


def _from_to(low: str, high: str) -> str:
    """Return a range whose unit stands once where it is the same."""
    (first, unit), (last, other) = low.rsplit(" ", 1), high.rsplit(" ", 1)
    return f"{first} … {last} {unit}" if unit == other else f"{low} … {high}"


def _shape(circuit: Circuit) -> str:
    sizes = [array.shape for array in circuit.arrays]
    if not all(isinstance(array, Crossbar) for array in circuit.arrays):
        return counted(len(circuit.nodes), "node")
    return "–".join(f"{n:,}" for n in (circuit.input_pins, *(shape[1] for shape in sizes)))


def score_text(value: float, kind: str) -> str:
    """Return an accuracy or R² as people read it."""
    return f"{100 * value:.2f} %" if kind == "accuracy" else f"{value:.4f}"


def _reached(report: Contents) -> list[tuple[str, str, str]]:
    title = f"Held-out {report.score}"
    if report.reached is None:
        return []
    here = score_text(report.reached, report.score)
    if report.result is None:
        return [(title, here, f"{report.rows_told}, solved here")]
    recorded = score_text(report.result["test_accuracy"], report.score)
    return [(title, recorded, f"as trained; {here} solved here")]


def _network(circuit: Circuit) -> Markup:
    chain = [
        element("li", element("strong", block.title), *(element("span", line) for line in block.lines),
                **({"class_": "array"} if block.array else {}))
        for block in blocks(circuit)
    ]  # fmt: skip
    parts: list[object] = [element("ol", *chain, class_="chain", aria_label="The network as blocks, inputs first")]
    if not any(isinstance(array, Crossbar) for array in circuit.arrays) and len(circuit.nodes) <= _DRAWN_NODES:
        parts.append(_graph(circuit))
    drawn = [
        picture(cell.svg, joined([element("b", cell.title), f"{cell.count:,} of them" if cell.count > 1 else "one"]))
        for cell in draw_cells(circuit)
    ]
    parts += [element("h3", "One cell of each kind"), element("div", *drawn, class_="cells")]
    return joined(parts)


def _graph(circuit: Circuit) -> Markup:
    """Return the graph as `harness show` draws it, which does not turn dark."""
    from harness.pictures.circuits import draw_circuit  # noqa: PLC0415 - networkx is slow to import

    coded = base64.b64encode(draw_circuit(circuit, title="", format="png")).decode()
    told = f"Graph of {len(circuit.nodes)} nodes with their pins; shades and widths are conductances."
    image = Markup(f'<img src="data:image/png;base64,{coded}" alt="{safe(told)}" style="max-width: 100%">')
    return element("figure", image, element("figcaption", told), class_="paper")


def _devices(report: Contents) -> Markup:
    rows = [(row.kind, f"{row.count:,}", row.values, row.note) for row in device_rows(report.circuit)]
    cells = [
        (c.array, f"{c.cells:,}", *(f"{n:,} ({100 * n / c.cells:.1f} %)" for n in (c.at_min, c.at_max)))
        for c in report.cells
    ]
    return joined(
        [
            table(("device", "count", "values", "notes"), rows, about="Devices by kind", numbers=(1,), wide=(3,)),
            table(("array", "cells", "at g_min", "at g_max"), cells, about="Cells at the bounds of their range",
                  numbers=(1, 2, 3)),
        ]
    )  # fmt: skip


def _conductances(circuit: Circuit) -> Markup:
    parts = []
    for number, array in enumerate(circuit.arrays):
        if isinstance(array, Crossbar):
            svg, factor = figures.heat_map(array, number)
            parts.append(picture(svg, f"A pixel is the mean of up to {factor} cells." if factor > 1 else ""))
        parts.append(picture(figures.histogram(array, number)))
    return element("div", *parts, class_="pair")


def _training(report: Contents) -> Markup:
    if report.settings is None:
        return Markup("")
    if not report.epochs:
        return element(
            "p", "There is no complete epoch to show: these are the initial conductances, or the run has just begun."
        )
    last = report.epochs[-1]
    drawn = [picture(svg) for svg in figures.training(report.steps, report.epochs, report.score)]
    rows = [
        ("loss (V²)", f"{last.train_loss:.5g}", f"{last.test_loss:.5g}"),
        (report.score, *(score_text(value, report.score) for value in (last.train_accuracy, last.test_accuracy))),
    ]
    seconds, wanted = sum(row.seconds for row in report.epochs), report.settings.training.epochs
    return joined(
        [
            element("p", f"{len(report.epochs):,} of {counted(wanted, 'epoch')}, {show(seconds, 's')} of training."),
            element("div", *drawn, class_="pair"),
            table(("after the last epoch", "training, running", "held out"), rows, about="What was reached",
                  numbers=(1, 2)),
        ]
    )  # fmt: skip


def _nonidealities(report: Contents) -> Markup:
    if report.settings is None:
        return Markup("")
    on = report.nonidealities
    if not on:
        return element("p", "None: the sections [variation], [imperfect] and [programming] leave the chip ideal.")
    told = "These were on in training. Voltages, currents and power in this report are those of the circuit as drawn."
    rows = [(f"[{n.section}]", n.key, n.value) for n in on]
    return joined([element("p", told), table(("section", "key", "value"), rows, about="Non-idealities that were on")])


def _experiment(report: Contents) -> Markup:
    if report.settings is None:
        return Markup("")
    return joined(
        [
            element("p", "The experiment with every default in place; harness train takes it as a file."),
            element("pre", report.settings.to_toml().strip(), tabindex="0"),
        ]
    )

"""The design report: its figures against independent truths, its page against what a browser makes of it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Crossbar, Edges, Gyrator, InputSource, Output, Resistor, Transformer
from harness.circuit.power import dissipated
from harness.circuit.variation.lines import LineResistance
from harness.cli.main import main
from harness.devices.diode import THERMAL_VOLTAGE
from harness.errors import ExperimentError, NetlistError
from harness.exchange.export import Choices, package_of
from harness.experiment.experiment import Experiment
from harness.measurement import Array, Drive
from harness.netlist.dialects import DIALECTS
from harness.netlist.package.writing import write_package
from harness.report.cells import draw_cells
from harness.report.contents import Contents, Kind, Limits, gather
from harness.report.figures import heat_map, shrunk
from harness.report.inventory import cell_count, device_rows
from harness.report.packages import gather_package
from harness.report.page import render
from harness.report.survey import node_roles, survey
from harness.training.runs import Run
from harness.units import show
from tests import browser
from tests.conftest import DIODE, kendall, random_batch, scellier


def settled(circuit: Circuit, inputs: Array) -> dict[str, Array]:
    """V of every node, ``[batch]``."""
    (reading,) = NodalChip(circuit).measure([Drive(inputs)])
    return dict(zip(circuit.nodes, reading.all_nodes.T, strict=True))


def cell_currents(crossbar: Crossbar, volts: dict[str, Array]) -> list[list[Array]]:
    """A of every cell, ``[word][bit][batch]``, one by one."""
    return [
        [crossbar.conductances[w, b] * (volts[word] - volts[bit]) for b, bit in enumerate(crossbar.bits)]
        for w, word in enumerate(crossbar.words)
    ]


def test_line_currents_are_those_of_their_cells_one_by_one() -> None:
    circuit = kendall([4], seed=3)
    inputs = random_batch(circuit, 7).inputs
    volts, found = settled(circuit, inputs), survey(circuit, inputs)
    for array in circuit.arrays:
        assert isinstance(array, Crossbar)
        cells = cell_currents(array, volts)
        words, bits = (lines for lines in found.lines if lines.array == array.name)
        assert (words.names, bits.names) == (array.words, array.bits)
        for w in range(len(array.words)):
            segments = [abs(sum(cells[w][b:])) for b in range(len(array.bits))]  # behind bit b − 1, from the driver
            assert words.end[w] == pytest.approx(segments[0].max(), rel=1e-9, abs=1e-15)
            assert words.along[w] == pytest.approx(np.max(segments), rel=1e-9, abs=1e-15)
            assert words.mean[w] == pytest.approx(segments[0].mean(), rel=1e-9, abs=1e-15)
        for b in range(len(array.bits)):
            segments = [abs(sum(cells[w][b] for w in range(last + 1))) for last in range(len(array.words))]
            assert bits.end[b] == pytest.approx(segments[-1].max(), rel=1e-9, abs=1e-15)
            assert bits.along[b] == pytest.approx(np.max(segments), rel=1e-9, abs=1e-15)


def test_bit_line_currents_obey_kirchhoff_with_diodes_and_amplifiers() -> None:
    """What cells push into a hidden node leaves through its diodes and the amplifier, by Shockley's law as written."""
    circuit = kendall([4], seed=1, amplifier_gain=4.0)
    inputs = random_batch(circuit, 5).inputs
    volts = settled(circuit, inputs)
    first, second = circuit.arrays
    assert isinstance(first, Crossbar)
    assert isinstance(second, Crossbar)
    (bits,) = (lines for lines in survey(circuit, inputs).lines if (lines.array, lines.kind) == ("w1", "bit line"))
    scale = DIODE.emission * THERMAL_VOLTAGE
    driven = np.sum(cell_currents(second, volts), axis=1)
    for k, node in enumerate(first.bits):
        up = 1e-6 * np.expm1((volts[node] - 0.3) / scale)
        down = 1e-6 * np.expm1((-0.2 - volts[node]) / scale)
        drawn = driven[second.words.index(f"a1_{k}")] / 4
        assert bits.end[k] == pytest.approx(np.abs(up - down + drawn).max(), rel=1e-2, abs=2e-7)  # but for the knee


def test_currents_along_lines_are_those_of_their_segments() -> None:
    """In the mesh of lines with next to no resistance, whose segments are resistors of their own."""
    circuit = scellier([4], seed=6)
    inputs = random_batch(circuit, 5).inputs
    *_, segments = survey(LineResistance(1e-5, 1e-5).apply(circuit), inputs).lines
    assert segments.kind == "resistor"
    carried = dict(zip(segments.names, segments.along, strict=True))
    for lines in survey(circuit, inputs).lines:
        letter = "w" if lines.kind == "word line" else "b"
        for k, along in enumerate(lines.along):
            largest = max(a for name, a in carried.items() if name.startswith(f"{lines.array}_r{letter}{k}_"))
            assert along == pytest.approx(largest, rel=1e-3, abs=1e-9)


def test_power_is_what_the_sources_deliver() -> None:
    circuit = scellier([5, 4], seed=2)
    inputs = random_batch(circuit, 6).inputs
    volts, found = settled(circuit, inputs), survey(circuit, inputs)
    delivered = np.zeros(6)
    for array in circuit.arrays:
        assert isinstance(array, Crossbar)
        for word, row in zip(array.words, cell_currents(array, volts), strict=True):
            if word in circuit.held_nodes:
                delivered += volts[word] * sum(row)
    assert found.power == pytest.approx(delivered, rel=1e-6)
    assert sum(found.shares.values()) == pytest.approx(found.power.mean(), rel=1e-12)
    assert list(found.shares) == ["w1", "w2", "w3", "diodes"]


def test_shares_of_power_are_those_of_the_circuit_with_one_array_alone() -> None:
    circuit = kendall([3], seed=5)
    inputs = random_batch(circuit, 4).inputs
    (reading,) = NodalChip(circuit).measure([Drive(inputs)])
    off = [np.zeros_like(g) for g in circuit.conductances]
    with_none = dissipated(circuit, tuple(off), reading.all_nodes).mean()
    for k, array in enumerate(circuit.arrays):
        alone = tuple(g if j == k else off[j] for j, g in enumerate(circuit.conductances))
        share = dissipated(circuit, alone, reading.all_nodes).mean() - with_none
        assert survey(circuit, inputs).shares[array.name] == pytest.approx(share, rel=1e-6)


def test_every_node_is_in_one_group_with_its_voltages() -> None:
    circuit = kendall([4, 3], seed=4)
    inputs = random_batch(circuit, 5).inputs
    volts, found = settled(circuit, inputs), survey(circuit, inputs)
    names = [name for group in found.groups for name in group.names]
    assert sorted(names) == sorted(circuit.nodes)
    for group in found.groups:
        for k, name in enumerate(group.names):
            assert group.volts[:, k] == pytest.approx(volts[name])
        assert group.lowest[0] == min(volts[name].min() for name in group.names)
        assert volts[group.highest[1]].max() == group.highest[0]
    assert found.range == (min(v.min() for v in volts.values()), max(v.max() for v in volts.values()))
    held = {name: np.abs(v).max() for name, v in volts.items() if name[0] in "xbs"}
    assert found.held == max(held.values())
    roles = node_roles(circuit)
    assert list(roles) == ["input pins", "rails", "bit lines of w1", "amplifier outputs", "bit lines of w2", "outputs"]
    assert roles["outputs"] == ["o0p", "o0n", "o1p", "o1n"]


def test_nodes_beyond_the_supply_and_lines_above_the_limit_are_counted() -> None:
    circuit = kendall([4], seed=4)
    found = survey(circuit, random_batch(circuit, 5).inputs)
    for group in found.groups:
        for supply in (0.1, 0.5):
            outside = {n for k, n in enumerate(group.names) if (np.abs(group.volts[:, k]) > supply).any()}
            assert set(group.beyond(supply)) == outside
    lines = found.lines[0]
    middle = float(np.median(lines.along))
    assert len(lines.above(middle)) == (lines.along > middle).sum()
    assert not lines.above(lines.worst[0])


def test_edges_carry_their_own_current() -> None:
    subject = Experiment.load("xor-graph")
    circuit, inputs = subject.circuit, subject.data.test.batch(slice(None)).inputs
    volts, (lines,) = settled(circuit, inputs), survey(circuit, inputs).lines
    (edges,) = circuit.arrays
    assert isinstance(edges, Edges)
    ground = np.zeros(len(inputs))
    for k, (a, b) in enumerate(zip(edges.a, edges.b, strict=True)):
        amperes = edges.conductances[k] * (volts.get(a, ground) - volts.get(b, ground))
        assert lines.end[k] == pytest.approx(np.abs(amperes).max(), rel=1e-9, abs=1e-18)
    assert (lines.kind, lines.end) == ("edge", pytest.approx(lines.along))


def test_devices_are_counted() -> None:
    rows = {row.kind: row for row in device_rows(kendall([4], channels=3, outputs=2))}
    counts = {kind: row.count for kind, row in rows.items()}
    assert counts == {
        "memristor, crossbar w1": 8 * 4,
        "memristor, crossbar w2": 6 * 4,
        "diode": 8,
        "bidirectional amplifier": 4,
        "input pin": 6,
        "rail": 6,
    }
    assert rows["diode"].values == "I_s = 1 µA"
    assert rows["bidirectional amplifier"].values == "4 V/V"


def test_cells_at_their_bounds_are_counted() -> None:
    array = Crossbar("w", ("a", "b"), ("c", "d"), np.array([[1e-6, 2e-6], [5e-6, 1e-6]]), 1e-6, 5e-6)
    count = cell_count(array)
    assert (count.at_min, count.at_max, count.bound_share) == (2, 1, 0.75)


def test_large_heat_maps_shrink_to_means() -> None:
    values = np.arange(7 * 10, dtype=float).reshape(7, 10)
    small, factor = shrunk(values, 5)
    assert (small.shape, factor) == ((4, 5), 4)
    assert small[0, 0] == values[:2, :2].mean()
    assert small[3, 4] == values[6:, 8:].mean()
    assert shrunk(values, 10)[0] is values


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three quick epochs on irises."""
    subject = Experiment.load("iris", ["chip.kind=nodal", "training.epochs=3"])
    run = subject.create_run(tmp_path_factory.mktemp("runs") / "iris-quick")
    subject.train(run, pictures=False)
    return run


@pytest.fixture(scope="module")
def told(run: Run) -> Contents:
    return gather(Experiment.from_file(run.experiment), run, Limits(supply=15.0, line=1e-4))


@pytest.fixture(scope="module")
def page(told: Contents) -> str:
    return render(told)


class Outline(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "image", "path", "use", "line", "img", "circle", "polygon", "rect"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and tag == self.open[-1]:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not {"style", "svg"} & set(self.open):
            self.text += data + " "


def test_the_page_says_what_was_reached_and_what_is_wrong(run: Run, told: Contents, page: str) -> None:
    text = Outline(page).text
    result = run.result
    assert result is not None
    assert f"{100 * result['test_accuracy']:.2f} %" in text
    assert told.reached == result["test_accuracy"]
    assert "Network 8–10–6" in text
    assert "Memristors 172" in text
    assert "supply ±15 V" in text
    beyond = sum(len(group.beyond(15.0)) for group in told.found.groups)
    assert beyond
    assert f"Nodes leave the supply of ±15 V: {beyond} of 8 input pins" in text
    above = sum((lines.along > 1e-4).sum() for lines in told.found.lines)
    assert f"{above} lines carry more than the limit of 100 µA" in text
    assert "3 of 3 epochs" in text
    assert 'set = "iris"' in text
    assert "Not simulated: harness report --transient" in text
    assert "None: the sections [variation], [imperfect], [programming] and [retention]" in text


def test_the_page_is_well_formed_and_has_every_section(page: str) -> None:
    outline = Outline(page)
    ids = [about["id"] for _, about in outline.tags if about.get("id")]
    assert len(ids) == len(set(ids))
    links = [about["href"] for tag, about in outline.tags if tag == "a"]
    assert len(links) == 11
    assert all(link is not None and link[1:] in ids for link in links)
    assert outline.open == []
    pictures = [about for tag, about in outline.tags if tag == "svg"]
    assert len(pictures) > 10
    assert all(about["role"] == "img" for about in pictures)
    assert page.count("<svg") == page.count("<title>") - 1  # every picture has a name, the page one of its own
    tables = sum(tag == "table" for tag, _ in outline.tags)
    assert tables == sum(about.get("class") == "scroll" for _, about in outline.tags)


def assert_self_contained(page: str) -> None:
    """No script, no address but places in the page and pictures in it."""
    outline = Outline(page)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form", "foreignobject"} & {
        tag for tag, _ in outline.tags
    }
    for _, about in outline.tags:
        assert not [name for name in about if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            assert name not in about or re.match(r"#|data:image/png;base64,", about[name] or ""), about
    assert not re.search(r"url\((?!#)|@import|@font-face", page)
    policy = next(about["content"] for _, about in outline.tags if about.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_the_page_asks_for_nothing_from_outside(page: str) -> None:
    assert_self_contained(page)
    assert "http" not in Outline(page).text
    assert len(page.encode()) < 1e6


def test_equal_runs_make_equal_pages(told: Contents, page: str) -> None:
    assert render(told) == page


HOSTILE = "<script>alert('x')</script> & \"quotes\" <img src=http://example.org/x onerror=alert(1)> ${style}"


def test_hostile_texts_stay_texts(told: Contents) -> None:
    assert told.settings is not None
    settings = told.settings.model_copy(update={"description": HOSTILE})
    page = render(replace(told, description=HOSTILE, name="</title><b>", origin="<i>", settings=settings))
    assert_self_contained(page)
    outline = Outline(page)
    assert not {"b", "i"} & {tag for tag, about in outline.tags if about or tag == "i"}
    assert HOSTILE in outline.text
    assert "</title><b> – design report" in outline.text


def test_non_idealities_that_were_on_are_listed() -> None:
    subject = Experiment.load("xor", ["chip.kind=nodal", "variation.spread=0.1", "imperfect.read_noise=1 mV",
                                      "programming.device=EpiRAM Ag:SiGe"])  # fmt: skip
    told = gather(subject, None, Limits())
    on = {(n.section, n.key): n.value for n in told.nonidealities}
    assert on["variation", "spread"] == "0.1"
    assert on["imperfect", "read_noise"] == "1 mV"
    assert on["programming", "device"] == "EpiRAM Ag:SiGe"
    assert ("variation", "temperature") not in on
    text = Outline(render(told)).text
    assert "EpiRAM Ag:SiGe" in text
    assert "voltages, currents and power here are of the drawn circuit" in text


def test_graphs_are_drawn_as_graphs() -> None:
    page = render(gather(Experiment.load("xor-graph", ["chip.kind=nodal"]), None, Limits()))
    assert_self_contained(page)
    assert "shades and widths are conductances" in page


def test_every_kind_of_cell_is_drawn_and_counted() -> None:
    cascade = {cell.title: cell.count for cell in draw_cells(Experiment.load("cascade-digits").circuit)}
    assert cascade == {
        "input pin": 128,
        "memristor of a crossbar": 130 * 64 + 130 * 10,
        "node with 1 diode": 64,
        "buffer": 128,
        "output": 10,
    }
    kinds = {cell.title: cell for cell in draw_cells(kendall([4, 3]))}
    assert [kinds[title].count for title in ("node with 2 diodes", "bidirectional amplifier", "output pair")] == [
        7,
        7,
        2,
    ]
    assert ">4 v(in)</tspan>" in kinds["bidirectional amplifier"].svg
    assert ">300 mV</tspan>" in kinds["node with 2 diodes"].svg
    (a, b, c, d), ends = ("a", "b", "c", "d"), [Resistor(f"r{n}", n, "0", 1.0) for n in "abcd"]
    ports = (Gyrator("g", a, b, c, d, 1.0), Transformer("t", a, b, c, d, 2.0), InputSource("x", "e", 0, 1.0))
    odd = Circuit("odd", (*ends, *ports, Resistor("re", "e", "a", 1.0)), (Output("y", "a"),))
    assert [cell.title for cell in draw_cells(odd)] == ["input pin", "gyrator", "transformer", "output"]


def test_mnist_s_crossbar_makes_a_small_picture() -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"x{k}" for k in range(1570)), tuple(f"h{k}" for k in range(100))
    array = Crossbar("w1", *names, rng.uniform(0, 1e-6, (1570, 100)), 0.0, 1e-4)
    svg, factor = heat_map(array, 0)
    assert factor == 1
    assert len(svg) < 2e6


@pytest.mark.parametrize(("limits", "message"), [
    ({"supply": 0.0}, "supply 0 V must be above 0 V"),
    ({"line": -1e-3}, "line limit -1 mA must be above 0 A"),
])  # fmt: skip
def test_limits_must_be_above_zero(limits: dict[str, float], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        Limits(**limits)


def package(run: Run, folder: Path, dialect: str) -> Path:
    write_package(folder, package_of(Experiment.from_file(run.experiment), run, Choices(DIALECTS[dialect])))
    return folder


@pytest.mark.parametrize("dialect", ["ngspice", "spectre"])
def test_a_package_is_reported_by_its_own_netlist(run: Run, tmp_path: Path, dialect: str) -> None:
    told, inputs = gather_package(package(run, tmp_path / "package", dialect), Limits())
    subject = Experiment.from_file(run.experiment)
    rows = subject.data.test.batch(slice(4)).inputs
    assert inputs == pytest.approx(rows, rel=1e-12)
    assert told.found.power == pytest.approx(survey(subject.trained(run), rows).power, rel=1e-9)
    text = Outline(render(told)).text
    assert "the package's 4 samples" in text
    assert "The netlist has the voltages of expected.csv" in text
    assert "not simulated again yet" in text


def test_a_package_that_differs_from_its_expected_voltages_is_warned_of(run: Run, tmp_path: Path) -> None:
    folder = package(run, tmp_path / "package", "ngspice")
    expected = folder / "expected.csv"
    lines = expected.read_text().splitlines()
    number = next(k for k, line in enumerate(lines) if line.startswith("0,free,o0p,"))
    volts = float(lines[number].rpartition(",")[2])
    lines[number] = f"0,free,o0p,{volts + 0.25!r}"
    expected.write_text("\n".join(lines) + "\n")
    told, _ = gather_package(folder, Limits())
    assert "The netlist is up to 250 mV from expected.csv, at node o0p." in told.warnings


def test_packages_without_samples_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(NetlistError, match=r"it has no expected.csv to take samples from; report the run instead"):
        gather_package(package(run, tmp_path / "package", "cdl"), Limits())


def test_a_damaged_table_of_voltages_is_refused_with_its_line(run: Run, tmp_path: Path) -> None:
    folder = package(run, tmp_path / "package", "ngspice")
    expected = folder / "expected.csv"
    lines = expected.read_text().splitlines()
    lines[2] = lines[2].rpartition(",")[0] + ",one"
    expected.write_text("\n".join(lines) + "\n")
    with pytest.raises(NetlistError, match=r"expected.csv line 3: 'one' is no finite number of volts"):
        gather_package(folder, Limits())


def test_the_command_writes_the_page_and_warns(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    done = CliRunner().invoke(main, ["report", str(run.path), "--to", str(file), "--line-limit", "1uA", "--json"])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert shown["file"] == str(file)
    assert shown["bytes"] == file.stat().st_size
    assert shown["lines_above_limit"] > 0
    assert any("more than the limit of 1 µA" in warning for warning in shown["warnings"])
    again = CliRunner().invoke(main, ["report", str(run.path), "--to", str(tmp_path / "nowhere" / "x.html")])
    assert again.exit_code == 2
    assert "there is no folder" in again.stderr


def test_without_a_supply_nothing_is_said_to_be_in_order(run: Run) -> None:
    report = gather(Experiment.from_file(run.experiment), run, Limits())
    (finding,) = [finding for finding in report.findings if "supply" in finding.text]
    assert finding.kind is Kind.NOTE
    assert f"no supply was given, the largest source is {show(report.found.held, 'V')}" in finding.text
    assert report.to_json()["supply_v"] is report.to_json()["nodes_beyond_supply"] is None
    text = Outline(render(report)).text
    assert "beyond largest source" in text
    assert "beyond supply" not in text


def test_a_folder_that_takes_no_files_is_named(run: Run) -> None:
    done = CliRunner().invoke(main, ["report", str(run.path), "--to", "/proc/x.html"])
    assert (done.exit_code, done.stderr) == (1, "harness: /proc/x.html: the folder takes no files\n")


def test_a_report_needs_neither_pyspice_nor_ngspice(run: Run, tmp_path: Path) -> None:
    """And where a transient simulation was asked for, it says what is missing."""
    code = f"""
import sys
sys.modules["PySpice"] = sys.modules["cffi"] = None
from harness.cli.main import main
main(["report", {str(run.path)!r}, "--to", {str(tmp_path / "report.html")!r}, "--transient"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={"NGSPICE_LIBRARY_PATH": "/nowhere"}, check=False, capture_output=True
    )
    assert done.returncode == 1, done.stderr
    assert b"warning: --transient was not simulated" in done.stderr
    assert re.search(
        r"Not simulated: .*(PySpice|libngspice|ngspice)", Outline((tmp_path / "report.html").read_text()).text
    )


@pytest.mark.ngspice
def test_times_and_energies_are_those_of_the_transient_command(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    done = CliRunner().invoke(main, ["report", str(run.path), "--to", str(file), "--transient", "--json"])
    assert done.exit_code == 0, done.output
    table = CliRunner().invoke(main, ["transient", str(run.path), "--json"])
    found = json.loads(table.stdout)
    assert [phase["sample"] for phase in found["phases"]] == [0, 0, 1, 1, 2, 2]
    text = Outline(file.read_text()).text
    assert "2, nudged" in text
    assert "3, free" not in text
    assert "Step responses in ngspice with 100 fF at every node and 1 fF for every cell" in text
    for rate in found["rates"]:
        assert f"{1e9 * rate['seconds']:.3g} ns" in text
    assert_self_contained(file.read_text())


@pytest.fixture(scope="module")
def tab() -> Iterator[browser.Page]:
    path = browser.found()
    if path is None:
        pytest.skip(f"no browser on this machine: looked for {', '.join(browser.NAMES)}")
    with browser.browsing(path) as page:
        yield page


OVERFLOWING = """
[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, pre, svg") &&
  e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.tagName + "." + e.className)
"""


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_the_page_without_overflow(
    tab: browser.Page, page: str, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    tab.requests.clear()
    tab.complaints.clear()
    tab.show(file, width=width, height=height, dark=dark)
    assert tab.ask("innerWidth") == width
    assert tab.ask("document.documentElement.scrollWidth") <= width
    assert tab.ask(OVERFLOWING) == []
    assert tab.complaints == []
    assert {address.partition(":")[0] for address in tab.requests} <= {"file", "data"}
    assert [address for address in tab.requests if address.startswith("file:")] == [file.as_uri()]


def test_a_browser_finds_text_that_can_be_read(tab: browser.Page, page: str, tmp_path: Path) -> None:
    """On a phone no text is smaller than 7.5 px, and in the dark text and background differ."""
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    tab.show(file, width=390, height=844, dark=True)
    smallest = """
    Math.min(...[...document.querySelectorAll("figure svg text")].map(e =>
      parseFloat(getComputedStyle(e).fontSize) * Math.hypot(e.getScreenCTM().a, e.getScreenCTM().b)))
    """
    assert tab.ask(smallest) >= 7.5
    ink, paper = (tab.ask(f"getComputedStyle(document.body).{key}") for key in ("color", "backgroundColor"))
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert brightness[0] - brightness[1] > 400
    label = 'getComputedStyle(document.querySelector("figure svg text")).fill'
    assert tab.ask(label) == ink
    assert tab.picture().startswith(b"\x89PNG")

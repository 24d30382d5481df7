"""Tables that notebooks show of objects: small, whole, and without anything that a text from outside brings."""

import shutil
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness import Experiment, Run
from harness.studies.sweep import Sweep
from harness.studies.sweep.points import grid
from harness.wording import html_table

PLAIN = {"div", "table", "caption", "b", "tr", "td", "th", "svg", "rect"}


class Reader(HTMLParser):
    """Reads cells, and refuses tags that are left open or are not plain ones."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.rects = 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in PLAIN
        assert not any(name.startswith("on") for name, _ in attrs)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "rect"
        self.rects += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])), min_size=1)))
def test_every_text_stands_as_it_is(rows: list[list[str]]) -> None:
    found = Reader(html_table("<b>", rows, heading=["<script>"]))
    assert found.texts == ["<b>", "<script>", *(cell for row in rows for cell in row if cell)]


def test_circuits_show_their_parts_and_small_ones_their_conductances() -> None:
    circuit = Experiment.load("iris", ["chip.kind=nodal"]).circuit
    found = Reader(circuit._repr_html_())
    cells = sum(array.conductances.size for array in circuit.arrays)
    assert found.rects == cells + len(circuit.arrays)  # and a frame each
    assert "10 BidirectionalAmplifier" in " ".join(found.texts)
    assert "w1" in found.texts
    assert Reader(Experiment.load("xor-graph").circuit._repr_html_()).rects > 1
    large = Experiment.load("digits").circuit._repr_html_()
    assert Reader(large).rects == 0
    assert len(large) < 2_000


def test_experiments_show_what_differs_from_the_defaults() -> None:
    experiment = Experiment.load("iris", ["rule.beta=2 uS", "chip.kind=nodal"])
    words = " ".join(Reader(experiment._repr_html_()).texts)
    assert "beta = 2 µS" in words
    assert "epochs = 40, batch = 5" in words
    assert "circuit" not in vars(experiment)  # nothing is built for it


def test_runs_show_what_they_reached_or_why_they_cannot(tmp_path: Path) -> None:
    experiment = Experiment.load("xor", ["chip.kind=nodal", "training.epochs=1"])
    run = experiment.create_run(tmp_path / "<script>alert(1)<")
    assert "no checkpoint yet" in Reader(run._repr_html_()).texts
    experiment.train(run, stop=lambda: True, pictures=False)
    result = experiment.train(run, pictures=False)
    assert result is not None
    found = Reader(run._repr_html_()).texts
    assert f"run {run.path}" in found
    assert found[found.index("held-out accuracy") + 1] == f"{result['test_accuracy']:.4f}"
    (run.path / "manifest.json").write_text("<img src=x onerror=alert(1)>")
    assert Reader(Run(run.path)._repr_html_()).texts[-1].endswith("(char 0)")


def test_sweeps_show_their_points(tmp_path: Path) -> None:
    points = grid("xor", {"rule.beta": [f"{k} nS" for k in range(100, 125)]}, overrides=["chip.kind=nodal"])
    sweep = Sweep.create(tmp_path / "sweep", points)
    found = Reader(sweep._repr_html_()).texts
    assert found[0].endswith("25 points, of which 5 are not shown")
    assert "test_accuracy" in found
    assert "1e-07" in found
    experiment = Experiment.load("xor", ["chip.kind=nodal", "training.epochs=1"])
    experiment.train(experiment.create_run(tmp_path / "run"), pictures=False)
    shutil.copytree(tmp_path / "run", tmp_path / "sweep" / "points" / points[0].name)
    assert "0.5" in Reader(sweep._repr_html_()).texts


def test_a_notebook_without_html_shows_a_run_by_its_path(tmp_path: Path) -> None:
    run = Experiment.load("xor", ["chip.kind=nodal"]).create_run(tmp_path / "run")
    assert repr(run) == f"Run({str(tmp_path / 'run')!r})"

"""Layouts: what is drawn, that KLayout finds the exported netlist in it, and that what is broken is found."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.circuit import Circuit, Crossbar, InputSource, Output, Resistor
from harness.errors import CircuitError, ExperimentError, NetlistError
from harness.exchange.layout.layout import drawn, examined, plan_of, read_layout
from harness.exchange.layout.plan import Plan
from harness.exchange.layout.technology import packaged_technologies, read_technology, technology_of
from harness.experiment.experiment import Experiment
from harness.netlist.design.design import design_of
from harness.netlist.dialects import CDL, RESISTORS

db = pytest.importorskip("klayout.db", reason="klayout has no wheel for this Python or machine")

GENERIC = technology_of("generic")
Change = Callable[["db.Layout"], None]


def crossbar(g: np.ndarray) -> Circuit:
    words, bits = g.shape
    pins = tuple(InputSource(f"in{w}", f"x{w}", w, 1.0) for w in range(words))
    cells = Crossbar("w", tuple(f"x{w}" for w in range(words)), tuple(f"y{b}" for b in range(bits)), g, 0.0, 1e-4)
    loads = tuple(Resistor(f"load{b}", f"y{b}", "0", 1e-6) for b in range(bits))
    return Circuit("net", (*pins, cells, *loads), (Output("o", "y0"),))


@cache
def full() -> Plan:
    """A crossbar without open cells, in which any word lines could change places."""
    return plan_of(crossbar(np.full((3, 4), 5e-5)), (2, 2))


@cache
def sparse() -> Plan:
    """Two crossbars with open cells."""
    return plan_of(Experiment.load("xor").circuit, (4, 4), "xor")


@cache
def gds(plan: Plan) -> bytes:
    return drawn(plan, GENERIC)


def changed(plan: Plan, change: Change) -> bytes:
    layout = db.Layout()
    layout.read_bytes(gds(plan), db.LoadLayoutOptions())
    change(layout)
    options = db.SaveLayoutOptions()
    options.format = "GDS2"
    return layout.write_bytes(options)


def differences(plan: Plan, change: Change) -> str:
    found = examined(changed(plan, change), plan, GENERIC)
    assert not found.clean
    assert found.segments == ()
    with pytest.raises(NetlistError, match="no known resistance"):
        found.line_word  # noqa: B018
    return "\n".join(found.differences)


def violations(change: Change) -> str:
    return "\n".join(map(str, examined(changed(full(), change), full(), GENERIC).violations))


def shapes(layout: "db.Layout", cell: str, layer: tuple[int, int]) -> "db.Shapes":
    return layout.cell(cell).shapes(layout.layer(*layer))


@pytest.mark.parametrize("plan", [full, sparse])
@pytest.mark.parametrize("name", packaged_technologies())
def test_a_layout_keeps_its_rules_and_has_the_exported_netlist(plan: Callable[[], Plan], name: str) -> None:
    technology = technology_of(name)
    found = examined(drawn(plan(), technology), plan(), technology)
    assert (found.violations, found.differences) == ((), ())
    assert found.clean


@pytest.mark.parametrize("name", packaged_technologies())
def test_every_segment_has_the_squares_of_one_pitch(name: str) -> None:
    technology = technology_of(name)
    (segments,) = examined(drawn(full(), technology), full(), technology).segments
    word, bit = (
        metal.sheet_resistance * across.pitch / metal.width
        for metal, across in ((technology.word, technology.bit), (technology.bit, technology.word))
    )
    assert segments.word == pytest.approx(np.full(12, word), rel=1e-12)
    assert segments.bit == pytest.approx(np.full(12, bit), rel=1e-12)


def test_unequal_pitches_and_widths_are_measured_each_on_its_own() -> None:
    bit = GENERIC.bit.model_copy(update={"pitch": 2e-6, "width": 8e-7, "sheet_resistance": 0.05})
    technology = GENERIC.model_copy(update={"bit": bit})
    found = examined(drawn(full(), technology), full(), technology)
    assert found.clean
    assert found.line_word == pytest.approx(0.1 * 2.0 / 0.4, rel=1e-12)
    assert found.line_bit == pytest.approx(0.05 * 1.0 / 0.8, rel=1e-12)


def test_a_line_that_somebody_widened_is_measured_as_it_lies() -> None:
    def widen(layout: "db.Layout") -> None:  # the whole of word line 0, in both tiles and at its end
        for cell, left, right in (("net_w_0_0", 0, 2000), ("net_w_0_1", 2000, 4000), ("net_w", -500, 0)):
            shapes(layout, cell, (10, 0)).insert(db.Box(left, -900, right, -100))

    (segments,) = examined(changed(full(), widen), full(), GENERIC).segments
    assert segments.word.reshape(3, 4) == pytest.approx(np.outer([0.125, 0.25, 0.25], np.ones(4)), rel=1e-9)


def test_the_schematic_has_the_tiles_of_the_exported_netlist() -> None:
    """Line by line: what LVS compares with is what ``harness export --dialect cdl`` writes."""
    design = design_of(Experiment.load("xor").circuit, (4, 4), "xor")
    exported = "\n".join(CDL.network(design, RESISTORS))
    for tile in (tile for array in sparse().arrays for tile in array.tiles):
        begin = f".SUBCKT {tile.name} "
        cells = [
            text[text.index(begin) : text.index(".ENDS", text.index(begin))] for text in (exported, sparse().schematic)
        ]
        assert cells[0] == cells[1]
        assert cells[0].count("\nr") == len(tile.cells)


def test_open_cells_have_no_via() -> None:
    layout = db.Layout()
    layout.read_bytes(gds(sparse()), db.LoadLayoutOptions())
    vias = db.Region(db.RecursiveShapeIterator(layout, layout.top_cell(), [layout.layer(11, 0)]))
    conductances = [array.conductances for array in Experiment.load("xor").circuit.arrays]
    assert vias.count() == sum(np.count_nonzero(g) for g in conductances) < sum(g.size for g in conductances)


def test_equal_plans_give_equal_bytes() -> None:
    assert drawn(sparse(), GENERIC) == gds(sparse())


def move_vias(step: tuple[int, int]) -> Change:
    def change(layout: "db.Layout") -> None:
        cell = layout.cell("xor_w1_0_0")
        next(iter(cell.each_inst())).transform(db.Trans(*step))

    return change


def free_crossing() -> tuple[int, int]:
    """The way from the first via of a tile to the nearest crossing of the same word line that has none, nm."""
    (tile,) = (t for t in sparse().arrays[0].tiles if t.name == "xor_w1_0_0")
    word, bit = tile.cells[0]
    free = next(b for b in tile.bits if (word, b) not in tile.cells)
    return 1000 * (free - bit), 0


def test_a_via_at_another_crossing_is_found() -> None:
    told = differences(sparse(), move_vias(free_crossing()))
    assert "cell xor_w1_0_0: a via cell between w" in told


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ((500, 0), "1 word lines and 0 bit lines"),
        ((0, 500), "0 word lines and 1 bit lines"),
        ((500, 500), "0 word lines"),
    ],
)
def test_a_via_beside_a_line_is_found(step: tuple[int, int], told: str) -> None:
    assert f"a via touches {told}" in differences(sparse(), move_vias(step))


def test_a_cell_more_and_a_cell_less_are_found() -> None:
    def less(layout: "db.Layout") -> None:
        next(iter(layout.cell("xor_w1_0_0").each_inst())).delete()

    def more(layout: "db.Layout") -> None:
        x, _ = free_crossing()
        cell = layout.cell("xor_w1_0_0")
        first = next(iter(cell.each_inst())).cell_inst
        cell.insert(db.CellInstArray(first.cell_index, first.trans * db.Trans(x, 0)))

    assert "is in the schematic only" in differences(sparse(), less)
    assert "is in the layout only" in differences(sparse(), more)


def test_a_cut_line_is_found() -> None:
    def cut(layout: "db.Layout") -> None:
        words = shapes(layout, "net_w_0_0", (10, 0))
        line = next(shape for shape in words.each() if shape.box.center().y == -500)
        words.insert(db.Box(0, -700, 900, -300))
        words.insert(db.Box(1100, -700, 2000, -300))
        line.delete()

    assert "cell net_w_0_0: " in differences(full(), cut)


def test_a_crossbar_whose_line_is_cut_from_its_end_is_found() -> None:
    def cut(layout: "db.Layout") -> None:
        ends = shapes(layout, "net_w", (10, 0))
        next(shape for shape in ends.each() if shape.box.center().y == -500).delete()

    assert "cell net_w: " in differences(full(), cut)


@pytest.mark.parametrize("cell", ["net_w_0_0", "net_w", "net_crossbars"])
def test_two_bit_lines_that_touch_are_found(cell: str) -> None:
    def short(layout: "db.Layout") -> None:
        shapes(layout, cell, (12, 0)).insert(db.Box(300, -300, 1700, -200))

    told = differences(full(), short)
    assert cell in told
    assert ("label b0 alone" in told) == (cell == "net_w_0_0")


@pytest.mark.parametrize("cell", ["net_w_0_0", "net_w"])
def test_two_lines_that_change_names_are_found_in_a_full_array(cell: str) -> None:
    def swap(layout: "db.Layout") -> None:
        texts = [shape for shape in shapes(layout, cell, (10, 5)).each() if shape.text.y in (-500, -1500)]
        names = [shape.text_string for shape in texts]
        for shape, name in zip(texts, reversed(names), strict=True):
            shape.text_string = name

    assert "cell net_w: line x0 differs" in differences(full(), swap)


def test_labels_and_crossbars_that_are_missing_are_found() -> None:
    def nameless(layout: "db.Layout") -> None:
        shapes(layout, "net_w", (12, 5)).clear()

    def twice(layout: "db.Layout") -> None:
        layout.top_cell().insert(db.CellInstArray(layout.cell("net_w").cell_index(), db.Trans(20000, 0)))

    assert "cell net_w: there is no line with the label y0 alone" in differences(full(), nameless)
    assert "crossbar net_w is placed 2 times" in differences(full(), twice)
    assert "crossbar net_w is placed 0 times" in differences(full(), lambda layout: layout.cell("net_w").prune_cell())


def test_a_via_without_its_marker_is_metal_that_joins_two_lines() -> None:
    technology = technology_of("sky130")
    layout = db.Layout()
    layout.read_bytes(drawn(full(), technology), db.LoadLayoutOptions())
    layout.cell("net_via").shapes(layout.layer(201, 20)).clear()
    found = examined(layout.write_bytes(db.SaveLayoutOptions()), full(), technology)
    assert "there is no line with the label w0 alone" in "\n".join(found.differences)
    assert [violation.rule for violation in found.violations] == ["marker around a via"]


@pytest.mark.parametrize(
    ("layer", "box", "rule"),
    [
        ((10, 0), (0, 2000, 1000, 2150), "word.least_width 200 nm"),
        ((12, 0), (0, 2000, 1000, 2150), "bit.least_width 200 nm"),
        ((10, 0), (-1000, -200, -500, 0), "word.least_spacing 200 nm"),
        ((12, 0), (800, -3000, 1200, -1000), "bit.least_spacing 200 nm"),
        ((11, 0), (400, -600, 600, -395), "via.size 200 nm"),
        ((11, 0), (650, -600, 850, -400), "via.least_spacing 200 nm"),
        ((11, 0), (-300, -690, -100, -490), "via.word_enclosure 50 nm"),
        ((11, 0), (400, 500, 600, 700), "via inside a word line"),
        ((10, 0), (2, 2000, 1000, 3000), "grid of word.layer"),
    ],
)
def test_a_broken_rule_is_found(layer: tuple[int, int], box: tuple[int, int, int, int], rule: str) -> None:
    assert f"{rule}: broken in " in violations(lambda layout: shapes(layout, "net_w", layer).insert(db.Box(*box)))


def test_a_violation_says_how_often_and_where() -> None:
    told = violations(lambda layout: shapes(layout, "net_w", (10, 0)).insert(db.Box(0, 2000, 1000, 2150)))
    assert told == "word.least_width 200 nm: broken in 1 place, at (0.500, 2.075) µm"


@settings(max_examples=12, deadline=None)
@given(
    arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.sampled_from([0.0, 1e-5])),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_every_crossbar_in_every_tiling_is_clean(g: np.ndarray, tile: tuple[int, int]) -> None:
    plan = plan_of(crossbar(g), tile)
    found = examined(drawn(plan, GENERIC), plan, GENERIC)
    assert found.clean, (found.violations, found.differences)
    assert found.line_word == pytest.approx(0.25)
    assert len(found.segments[0].word) == len(found.segments[0].bit) == g.size


def test_what_is_no_layout_is_refused(tmp_path: Path) -> None:
    for content, told in (
        (b"", "cannot be read"),
        (b"\0" * 100, "cannot be read"),
        (gds(full())[:300], "cannot be read"),
    ):
        with pytest.raises(NetlistError, match=told):
            examined(content, full(), GENERIC)
    with pytest.raises(NetlistError, match="there is no such file"):
        read_layout(tmp_path / "none.gds")
    with pytest.raises(NetlistError, match="2 top cells; it must have one"):
        examined(
            changed(full(), lambda layout: layout.create_cell("second").shapes(0).insert(db.Box(0, 0, 1, 1))),
            full(),
            GENERIC,
        )

    def coarser(layout: "db.Layout") -> None:
        layout.dbu = 0.005

    with pytest.raises(NetlistError, match=r"counts in 0.005 µm; write it with a database unit of 0.001 µm"):
        examined(changed(full(), coarser), full(), GENERIC)


def test_a_network_without_crossbars_is_refused_and_other_arrays_are_left_out() -> None:
    with pytest.raises(
        CircuitError, match=r"there is no crossbar to lay out; its cells \(.*\) lie on the edges of a graph"
    ):
        plan_of(Experiment.load("xor-graph").circuit, (128, 128))
    plan = plan_of(Experiment.load("digits-conv").circuit, (128, 128))
    assert plan.left_out
    assert plan.arrays


TEXT = (Path(__file__).parents[2] / "harness" / "exchange" / "layout" / "technologies" / "generic.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('grid = "5 nm"', 'grid = "5 s"', "file.toml, line 5: grid: '5 s' should be in m;"),
        ('grid = "5 nm"', 'gird = "5 nm"', "unknown key 'gird'; did you mean 'grid'"),
        ('grid = "5 nm"', 'grid = "0.5 nm"', "must be at least 1 nm"),
        ('grid = "5 nm"', 'grid = "5.5 nm"', "must be a whole number of nanometres"),
        ('grid = "5 nm"', 'grid = "7 nm"', "word.width = '400 nm': must be a multiple of twice the grid, 14 nm"),
        ('width = "400 nm"', 'width = "100 nm"', "word.width = '100 nm': must be at least least_width, 200 nm"),
        ('width = "400 nm"', 'width = "200 nm"', "word.width = '200 nm': must be at least via.size"),
        (
            'pitch = "1 um"',
            'pitch = "500 nm"',
            r"word.pitch = '500 nm': must be at least width \+ least_spacing, 600 nm",
        ),
        ('size = "200 nm"', 'size = "nan"', "via.size"),
        (
            'least_spacing = "200 nm"\nword_enc',
            'least_spacing = "2 um"\nword_enc',
            "leaves no room between two via squares",
        ),
        ("layer = [12, 0]", "layer = [10, 0]", r"bit.layer = \[10, 0\]: is the layer of word.layer too"),
        ("layer = [12, 0]", "layer = [12]", "bit.layer: must be a list of 2 values"),
        ("layer = [12, 0]", "layer = [40000, 0]", "must be at least 0 and at most 32767"),
        ('"0.1 Ohm"', '"0 Ohm"', "sheet_resistance = '0 Ohm': must be above 0 Ohm"),
        ("[via]", "[vias]", "via"),
        ('name = "generic"', 'name = "a\\nb"', "must be one line of printable ASCII"),
        ('name = "generic"', "name =", "not valid TOML"),
    ],
)
def test_a_wrong_technology_is_refused_in_a_sentence(old: str, new: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(ExperimentError, match=told):
        read_technology(TEXT.replace(old, new, 1), "file.toml")


def test_technologies_are_found_by_name_and_by_file(tmp_path: Path) -> None:
    assert packaged_technologies() == ("generic", "sky130")
    own = tmp_path / "own.toml"
    own.write_text(TEXT)
    assert technology_of(str(own)) == GENERIC
    with pytest.raises(ExperimentError, match="no technology 'sky13'; did you mean"):
        technology_of("sky13")
    with pytest.raises(ExperimentError, match="there is no such file"):
        technology_of(str(tmp_path / "none.toml"))


def test_lines_may_be_as_close_as_the_rules_allow() -> None:
    tight = {"pitch": 6e-7, "width": 4e-7}
    technology = GENERIC.model_copy(
        update={"word": GENERIC.word.model_copy(update=tight), "bit": GENERIC.bit.model_copy(update=tight)}
    )
    assert examined(drawn(full(), technology), full(), technology).clean
    assert replace(full(), left_out=("x",)) != full()

"""Conductances as tables: bit for bit out and in, and every way in which a measured file can be wrong."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.circuit import Circuit, Edges, InputSource, Output
from harness.cli.main import main
from harness.errors import DataError
from harness.exchange.conductances import export_table, read_table, table_bytes
from harness.experiment.experiment import Experiment
from harness.measurement import Array
from harness.training.runs import Run
from tests.cli.test_cli import harness
from tests.conftest import kendall

LAYERED = kendall([3], channels=2, outputs=1)
"""Two crossbars; cells of 1 mS … 10 S."""
RING = Edges("ring", ("0", "a", "b", "a"), ("a", "b", "0", "b"), np.full(4, 0.1), 1e-3, 10.0)
GRAPH = Circuit("graph", (InputSource("in", "a", 0, 1.0), RING), (Output("y", "b"),))
"""Edges, two of which are side by side."""
CIRCUITS = {"layered": LAYERED, "graph": GRAPH}
HEAD = "array,row,column,conductance (S)"


def programmed(circuit: Circuit, values: st.DataObject) -> Circuit:
    """Random conductances, bounds and odd floats among them."""
    drawn = [
        values.draw(st.lists(st.floats(a.g_min, a.g_max), min_size=a.conductances.size, max_size=a.conductances.size))
        for a in circuit.arrays
    ]
    return circuit.with_conductances([np.reshape(g, a.shape) for g, a in zip(drawn, circuit.arrays, strict=True)])


def bits(conductances: tuple[Array, ...]) -> list[bytes]:
    return [g.tobytes() for g in conductances]


def saved(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "measured.csv"
    file.write_text(text)
    return file


def rows_of(circuit: Circuit) -> list[str]:
    return table_bytes(circuit, ".csv").decode().splitlines()[1:]


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(sorted(CIRCUITS)), st.sampled_from([".csv", ".npz"]), st.randoms())
def test_every_bit_survives_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, values: st.DataObject, name: str, suffix: str, order: object
) -> None:
    circuit = programmed(CIRCUITS[name], values)
    file = tmp_path_factory.mktemp("table") / f"g{suffix}"
    assert export_table(circuit, file) == sum(g.size for g in circuit.conductances)
    read = read_table(file, circuit)
    assert bits(read.conductances) == bits(circuit.conductances)
    assert read.clipped == 0
    if suffix == ".csv" and name == "layered":
        lines = rows_of(circuit)
        order.shuffle(lines)  # type: ignore[attr-defined]
        file.write_text("\n".join([HEAD, *lines]))
        assert bits(read_table(file, circuit).conductances) == bits(circuit.conductances)


def test_a_table_names_word_and_bit_lines_and_its_unit(tmp_path: Path) -> None:
    array = LAYERED.arrays[0]
    lines = table_bytes(LAYERED, ".csv").decode().splitlines()
    assert lines[0] == HEAD
    assert lines[1] == f"{array.name},{array.words[0]},{array.bits[0]},{float(array.conductances[0, 0])!r}"
    assert lines[2].split(",")[2] == array.bits[1]
    export_table(LAYERED, tmp_path / "g.npz")
    with np.load(tmp_path / "g.npz", allow_pickle=False) as content:
        assert content[f"{array.name}.rows"].tolist() == list(array.words)
        assert content[f"{array.name}.columns"].tolist() == list(array.bits)
        assert (content[f"{array.name}.siemens"] == array.conductances).all()


def test_lines_of_an_npz_file_may_be_in_any_order(tmp_path: Path) -> None:
    export_table(LAYERED, tmp_path / "g.npz")
    with np.load(tmp_path / "g.npz") as content:
        arrays = dict(content)
    name = LAYERED.arrays[0].name
    turned = {f"{name}.siemens": arrays[f"{name}.siemens"][::-1], f"{name}.rows": arrays[f"{name}.rows"][::-1]}
    np.savez(tmp_path / "turned.npz", **{**arrays, **turned})  # type: ignore[arg-type]
    assert bits(read_table(tmp_path / "turned.npz", LAYERED).conductances) == bits(LAYERED.conductances)


def test_edges_side_by_side_are_told_apart_by_their_order(tmp_path: Path) -> None:
    values = np.array([0.1, 0.2, 0.3, 0.4])
    file = tmp_path / "g.csv"
    export_table(GRAPH.with_conductances([values]), file)
    assert read_table(file, GRAPH).conductances[0].tolist() == values.tolist()
    assert file.read_text().count("ring,a,b,") == 2


def test_another_unit_in_the_heading_and_what_spreadsheets_add(tmp_path: Path) -> None:
    cells = [f"{c.rsplit(',', 1)[0]}, 4700.1" for c in rows_of(LAYERED)]
    text = "\r\n".join(["\ufeffarray,row,column,conductance (uS)", *cells, ""])
    read = read_table(saved(tmp_path, text), LAYERED)
    assert all((g == 4700.1e-6).all() for g in read.conductances)


LINES = rows_of(LAYERED)
FIRST = LINES[0].rsplit(",", 1)[0]
WORD, BIT = LAYERED.arrays[0].words[0], LAYERED.arrays[0].bits[0]
NAME = LAYERED.arrays[0].name


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([f"{FIRST},20", *LINES[1:]], rf"array {NAME}, row {WORD}, column {BIT}: 20 S is above g_max 10 S; --clip"),
        ([f"{FIRST},1e-9", *LINES[1:]], rf"row {WORD}, column {BIT}: 1 nS is below g_min 1 mS"),
        ([f"{FIRST},10.000000001", *LINES[1:]], r"10\.000000001 S is above g_max 10\.0 S"),
        ([f"{FIRST},nan", *LINES[1:]], rf"line 2: array {NAME}, row {WORD}, column {BIT}: 'nan' is no finite number"),
        ([f"{FIRST},inf", *LINES[1:]], "'inf' is no finite number"),
        ([f"{FIRST},", *LINES[1:]], "'' is no finite number"),
        ([f"{FIRST},__import__('os')", *LINES[1:]], "is no finite number"),
        (LINES[1:], rf"1 of {len(LINES)} cells are missing, the first is array {NAME}, row {WORD}, column {BIT}"),
        ([*LINES, LINES[3]], rf"line {len(LINES) + 2}: .* is there twice"),
        (["xbar,a,b,1", *LINES], rf"line 2: there is no array 'xbar'; there are {NAME}"),
        ([f"{NAME},nowhere,{BIT},1", *LINES], "has no row 'nowhere'; it has"),
        ([f"{NAME},{WORD},nowhere,1", *LINES], "has no column 'nowhere'; it has"),
        ([f"{NAME},{WORD},1", *LINES], "line 2: 3 cells where the heading in line 1 has 4"),
    ],
)
def test_a_measured_file_that_does_not_fit_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(saved(tmp_path, "\n".join([HEAD, *lines])), LAYERED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"it is empty; a table begins with a line of headings"),
        ("array,row,column,g\n", "the first line must be"),
        ("array,row,column,conductance (qS)\n", "should be in S"),
        ("array,row,column,conductance (S)\n\0", "line 2: a NUL character, which no text has"),
    ],
)
def test_a_heading_that_says_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(saved(tmp_path, text), LAYERED)


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "g.npz").write_bytes(b"no archive")
    for name, message in (("g.npz", "cannot be read as an npz"), ("g.csv", "no such file"), ("g.xls", "ends with")):
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / name, LAYERED)
    for content in (b"no archive", b"PK\3\4 and no more", b"\x93NUMPY", None):
        (tmp_path / "g.npz").unlink(missing_ok=True)
        if content is not None:
            (tmp_path / "g.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"g\.npz: (it cannot be read as an npz file|there is no such file)"):
            read_table(tmp_path / "g.npz", LAYERED)
    (tmp_path / "g.csv").write_bytes(b"\xfe\x00")
    with pytest.raises(DataError, match=r"g\.csv: it looks like UTF-16 without a byte order mark; save it as UTF-8"):
        read_table(tmp_path / "g.csv", LAYERED)
    with pytest.raises(DataError, match=r"ends with \.csv or \.npz, not '\.txt'"):
        export_table(LAYERED, tmp_path / "g.txt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({f"{NAME}.siemens": np.ones((2, 2))}, r"has shape \[2, 2\], which does not fit"),
        ({f"{NAME}.siemens": None}, f"array {NAME} needs {NAME}.siemens"),
        ({f"{NAME}.rows": np.arange(len(LAYERED.arrays[0].words))}, "rows and columns must be texts"),
        ({f"{NAME}.siemens": np.full(LAYERED.arrays[0].shape, np.nan)}, f"row {WORD}, column {BIT}: nan is no finite"),
        ({f"{NAME}.siemens": np.full(LAYERED.arrays[0].shape, "1")}, "siemens must be numbers"),
        ({f"{NAME}.siemens": np.array([None])}, "holds neither real numbers nor texts"),
        ({"notes": np.ones(1)}, "'notes' is called neither NAME.siemens nor"),
        ({"xbar.siemens": np.ones(1)}, "there is no array 'xbar'"),
        ({f"{NAME}.rows": np.array([WORD] * len(LAYERED.arrays[0].words))}, "is there twice"),
    ],
)
def test_an_npz_file_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Array | None], message: str
) -> None:
    export_table(LAYERED, tmp_path / "g.npz")
    with np.load(tmp_path / "g.npz") as content:
        arrays = {key: value for key, value in {**content, **changes}.items() if value is not None}
    np.savez(tmp_path / "h.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "h.npz", LAYERED)


def test_clipping_sets_to_the_bound_and_counts(tmp_path: Path) -> None:
    wide = [replace(array, g_min=0.0, g_max=20.0) for array in LAYERED.arrays]
    measured = [array.conductances.copy() for array in wide]
    measured[0][0, 0], measured[0][1, 1], measured[1][0, 0] = 20.0, 0.0, 1e-4
    file = tmp_path / "g.npz"
    elements = iter(w.with_conductances(g) for w, g in zip(wide, measured, strict=True))
    changed = tuple(next(elements) if e in LAYERED.arrays else e for e in LAYERED.elements)
    export_table(replace(LAYERED, elements=changed), file)
    read = read_table(file, LAYERED, clip=True)
    assert read.clipped == 3
    assert (read.conductances[0][0, 0], read.conductances[0][1, 1]) == (10.0, 1e-3)
    assert (read.conductances[0] != LAYERED.conductances[0]).sum() == 2


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(*arguments: str, code: int = 0) -> Any:
    """What a command prints, in this process."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if "--json" in arguments else result.output


def test_measured_conductances_are_evaluated_checked_and_trained(here: Path) -> None:
    """Out of a run, a change as by a measurement, into a new one; tables through the real entry point."""
    told("conductances", "export", "iris", "--to", "g.npz")
    quick = ("--set", "training.epochs=1", "--set", "chip.kind=nodal")
    told("conductances", "import", "iris", "g.npz", "--to", "run", *quick)
    assert told("train", "--resume", "run", "--json")["epochs"] == 1
    wrote = json.loads(harness("conductances", "export", "run", "--to", "g.csv", "--json", cwd=here).stdout)
    assert wrote == {"file": "g.csv", "cells": 172}
    copied = harness("conductances", "import", "run", "g.csv", "--to", "copy", cwd=here).stdout
    assert "172 cells, 0 of them clipped" in copied
    assert "next: harness evaluate copy" in copied
    assert told("evaluate", "run", "--json") | {"run": "copy"} == told("evaluate", "copy", "--json")

    lines = (here / "g.csv").read_text().splitlines()
    lines[1] = re.sub(r",[^,]*$", ",1", lines[1])
    (here / "far.csv").write_text("\n".join(lines))
    refused = told("conductances", "import", "run", "far.csv", "--to", "far", code=1)
    assert "array w1, row x0p, column h1_0: 1 S is above g_max 100 µS" in refused.replace("\n", " ")
    assert not (here / "far").exists()
    clipped = ("conductances", "import", "run", "far.csv", "--run", "far", "--clip")
    assert told(*clipped, "--json") == {"run": "far", "cells": 172, "clipped": 1}
    origin = Run(here / "far").manifest["imported_conductances"]
    assert (origin["file"], origin["clipped"]) == ("far.csv", 1)
    assert "far exists already; remove it or give another --to" in told(*clipped, code=1)
    assert "g.csv exists already" in told("conductances", "export", "run", "--to", "g.csv", code=1)

    subject, run = Experiment.from_file(here / "far" / "experiment.toml"), Run(here / "far")
    array = subject.trained(run).arrays[0]
    assert array.conductances[0, 0] == array.g_max
    assert told("check", "far", "--chip", "nodal", "--json")["passed"]


def test_conductances_of_an_experiment_and_of_a_graph(here: Path) -> None:
    told("conductances", "export", "xor-graph", "--to", "g.npz")
    made = told("conductances", "import", "xor-graph", "g.npz", "--set", "chip.kind=nodal", "--json")
    assert made["run"] == "runs/xor-graph-imported"
    assert "ends with .csv or .npz" in told("conductances", "export", "xor-graph", "--to", "g.txt", code=2)

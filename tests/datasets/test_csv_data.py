"""Data of one's own: columns, labels, numbers, missing cells, values, and a sentence for everything else."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.datasets import CsvFile, Split, Table, read_csv, split
from harness.datasets.numbers import MISSING, NoNumberError, numbers
from harness.errors import DataError

PLAIN = "width,kind,height\n1,oak,2.5\n3,elm,-4\n5e1,oak,6\n"


def table(folder: Path, content: str | bytes, label: str = "kind", **options: object) -> Table:
    path = folder / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv(CsvFile(path, label, **options))  # type: ignore[arg-type]


def notes(found: Table) -> str:
    assert found.origin is not None
    return "\n".join(found.origin.notes)


def refused(folder: Path, content: str | bytes, label: str = "kind", **options: object) -> str:
    """The sentence about a file that is refused."""
    with pytest.raises(DataError) as wrong:
        table(folder, content, label, **options)
    message = str(wrong.value)
    assert message.startswith(f"{folder}/rows.csv")
    assert "\n" not in message
    return message.removeprefix(f"{folder}/rows.csv")


def rows_of(count: int, classes: str = "ab") -> str:
    """Rows of a number and a class under the heading ``x,kind``."""
    return "x,kind\n" + "".join(f"{i * i},{classes[i % len(classes)]}\n" for i in range(count))


# columns


def test_a_csv_file_is_read_by_its_columns(tmp_path: Path) -> None:
    found = table(tmp_path, PLAIN)
    np.testing.assert_array_equal(found.features, [[1.0, 2.5], [3.0, -4.0], [50.0, 6.0]])
    assert found.classes == ("elm", "oak")
    np.testing.assert_array_equal(found.labels, [1, 0, 1])
    assert found.standardise
    assert found.stratify
    assert found.origin is not None
    assert found.origin.channels == ("width", "height")
    np.testing.assert_array_equal(found.origin.lines, [2, 3, 4])


def test_inputs_are_chosen_in_their_order_or_others_are_ignored(tmp_path: Path) -> None:
    text = "id,a,b,kind\nr1,1,2,x\nr2,3,4,y\n"
    np.testing.assert_array_equal(table(tmp_path, text, inputs=("b", "a")).features, [[2, 1], [4, 3]])
    np.testing.assert_array_equal(table(tmp_path, text, ignore=("id", "a")).features, [[2], [4]])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("width,height\n1,2\n", {}, ": no column 'kind'; its 2 columns are width, height"),
        ("a,b,kinds\n1,2,x\n", {}, ": no column 'kind'; its 3 columns are a, b, kinds; did you mean 'kinds'?"),
        ("a,b\n1,2\n", {"label": "label"}, "; say which one is the class with label = …, or values = […] for values"),
        (
            PLAIN,
            {"inputs": ("widht",)},
            ": no column 'widht'; its 3 columns are width, kind, height; did you mean 'width'?",
        ),
        (PLAIN, {"ignore": ("no",)}, ": no column 'no'"),
        (PLAIN, {"ignore": ("width", "height")}, ": it has no column of numbers besides 'kind'; its 3 columns are"),
        ("kind\nx\ny\n", {}, ": it has no column of numbers besides 'kind'; its 1 column is kind"),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", {}, ": its first line holds numbers (5.1, 3.5, setosa); write a line of"),
        (
            "a/b/kind\n1/2/x\n",
            {},
            ": its heading 'a/b/kind' is one column; remove lines above it, or set data.separator =",
        ),
        (
            "a,,kind\n1,2,x\n",
            {},
            ": column 2 has no heading; give it one, choose columns with inputs = […], or leave it",
        ),
        (PLAIN, {"separator": ";"}, ": its heading 'width,kind,height' is one column; it has no ';' to be cut at; "),
        ("a,kind\n", {}, ": it has a heading and no rows"),
    ],
)
def test_columns_that_are_not_there_are_refused(
    tmp_path: Path, text: str, options: dict[str, object], message: str
) -> None:
    assert message in refused(tmp_path, text, **options)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (",a,kind\n0,1,x\n1,2,y\n", "the first column has no heading: it is taken for names of rows, not for an input"),
        (
            ",a,kind\nr17,1,x\nr3,2,y\n",
            "the first column has no heading: it is taken for names of rows, not for an input",
        ),
        (
            "Unnamed: 0,a,kind\n7,1,x\n3,2,y\n",
            "the first column has no heading: it is taken for names of rows, not for an input",
        ),
        ("a,Unnamed: 0,kind\n1,0,x\n2,1,y\n", "column 'Unnamed: 0' has the row numbers that pandas wrote: no input"),
        ("a,kind,\n1,x,\n2,y,\n", "column 3 has neither heading nor cells: no input"),
    ],
)
def test_row_names_and_empty_columns_are_no_inputs(tmp_path: Path, text: str, note: str) -> None:
    found = table(tmp_path, text)
    np.testing.assert_array_equal(found.features, [[1], [2]])
    assert note in notes(found)


def test_columns_without_a_heading_can_be_ignored(tmp_path: Path) -> None:
    np.testing.assert_array_equal(table(tmp_path, "a,,kind\n1,9,x\n2,8,y\n", ignore=("",)).features, [[1], [2]])


def test_a_column_that_counts_the_rows_is_told(tmp_path: Path) -> None:
    text = "id,a,kind\n" + "".join(f"{i},{i % 3},{'xy'[i % 2]}\n" for i in range(100, 120))
    assert "column 'id' numbers the rows and is an input; ignore = ['id'] leaves it out" in notes(table(tmp_path, text))


# labels


def test_labels_are_texts_as_they_stand(tmp_path: Path) -> None:
    found = table(tmp_path, "a,kind\n1,01\n2,1\n3,1.0\n4,NA\n5,None\n6, x\n")
    assert found.classes == (" x", "01", "1", "1.0", "NA", "None")
    assert "label 'NA' is a class like the others; empty its cells where it means that there is none" in notes(found)


def test_labels_that_are_numbers_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    found = table(tmp_path, "a,kind\n1,10\n2,9\n3,10\n")
    assert found.classes == ("9", "10")
    np.testing.assert_array_equal(found.labels, [1, 0, 1])


def test_nothing_is_guessed_from_a_part_of_a_large_file(tmp_path: Path) -> None:
    first = "".join(f"{i},{i % 10}\n" for i in range(60_000))
    text = "x,kind\n" + first + "".join(f"{i},{'0123456789ABCDEF'[i % 16]}\n" for i in range(60_000))
    found = table(tmp_path, text)
    assert found.classes == tuple("0123456789ABCDEF")
    assert len(found.labels) == 120_000


@pytest.mark.parametrize(
    ("one", "other"), [("good", "good "), ("good", "Good"), ("no go", "no\u00a0go"), ("é", "e\u0301"), ("x", "x\u200b")]
)
def test_labels_that_differ_by_their_spelling_only_are_asked_about(tmp_path: Path, one: str, other: str) -> None:
    text = f"a,kind\n1,{one}\n2,{one}\n3,{other}\n4,bad\n"
    message = refused(tmp_path, text)
    assert (
        f": column 'kind': the labels {one!r} (line 2) and {other!r} (line 4) differ only in blanks, case or" in message
    )
    assert table(tmp_path, text, labels="folded").classes == tuple(sorted(["bad", one]))
    assert table(tmp_path, text, labels="as written").classes == tuple(sorted(["bad", one, other]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;kind\n1;0,5\n2;1,5\n3;2,5\n", ": column 'kind' holds 3 different numbers in 3 rows, which are values"),
        ("a,kind\n1,x\n2,x\n", ": column 'kind' holds one class only, 'x'; there is nothing to tell apart"),
        (
            "a,kind\n1,0.5\n2,1.5\n3,2.5\n",
            ": column 'kind' holds 3 different numbers in 3 rows, which are values and not",
        ),
    ],
)
def test_labels_that_are_no_classes_are_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


def test_a_label_that_names_rows_is_refused(tmp_path: Path) -> None:
    text = "a,kind\n" + "".join(f"{i},n{i // 2}\n" for i in range(24_000))
    assert ": column 'kind' holds 12,000 labels in 24,000 rows; is it the class of a row?" in refused(tmp_path, text)


def test_a_class_with_one_row_is_refused_with_its_line(tmp_path: Path) -> None:
    found = table(tmp_path, "a,kind\n1,x\n2,x\n3,y\n4,x\n")
    with pytest.raises(DataError, match=r"class 'y' has one row only \(line 4\), and one to train on and one to hold"):
        split(found, held_out=0.5, seed=0)
    numbered = table(tmp_path, "a,kind\n1,7\n2,7\n3,8\n4,9\n")
    with pytest.raises(DataError, match=r"class '8' has one row only \(line 4\), and so have 1 more of 3.*values ="):
        split(numbered, held_out=0.5, seed=0)
    assert len(split(found, held_out=0, seed=0).train) == 4


# numbers


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("tall", "'tall' is no number"),
        ("inf", "'inf' is not finite"),
        ("-Infinity", "'-Infinity' is not finite"),
        ("1e999", "'1e999' is beyond ±1e+100"),
        ("-1e101", "'-1e101' is beyond ±1e+100"),
        ("0x1F", "'0x1F' is a hexadecimal number; write it in decimal"),
        ("1_000", "'1_000' has underscores; leave them out"),
        ('"1,234,567.5"', "'1,234,567.5' has thousands separators; leave them out"),
        ('"1,234.5"', "'1,234.5' has thousands separators; leave them out"),
        ('"1,234"', "'1,234' may have a decimal comma or a thousands separator; set data.decimal = ','"),
        ('"1,5"', "'1,5' has a decimal comma where others have points"),
        ("1 234", "'1 234' has thousands separators; leave them out"),
        ("1'234.5", '"1\'234.5" has thousands separators; leave them out'),
        ("1.234.567", "'1.234.567' has thousands separators; leave them out"),
        ("True", "'True' is a truth value; write 1 and 0"),
        ("no", "'no' is a truth value; write 1 and 0"),
        ("2024-01-31", "'2024-01-31' is a date or a time"),
        ("31.1.2024", "'31.1.2024' is a date or a time"),
        ("2024-01-31T12:00:00Z", "'2024-01-31T12:00:00Z' is a date or a time"),
        ("12:30", "'12:30' is a date or a time"),
        ("#DIV/0!", "'#DIV/0!' is an error of a spreadsheet"),
        ("−5", "'−5' has a dash for its minus sign; write '-'"),
        ("5 %", "'5 %' has a percent sign; leave it out"),
        ("5 mV", "'5 mV' has something behind its number; leave it out"),
        ("1+2j", "'1+2j' has something behind its number; leave it out"),
        ("1/2", "'1/2' has something behind its number; leave it out"),
        ("１２", "'１２' is no number"),
        ("e", "'e' is no number"),
        ("1e", "'1e' has something behind its number"),
        ("--5", "'--5' is no number"),
        ("1 2", "'1 2' is no number"),
    ],
)
def test_what_is_no_number_is_refused_with_line_and_column(tmp_path: Path, cell: str, why: str) -> None:
    message = refused(tmp_path, f'width,height,kind\n1.5,2.5,"a\na"\n3,{cell},b\n5,6,b\n')
    assert message.startswith(f", line 4, column 'height': {why}")


def test_a_column_of_texts_is_named_with_a_cure(tmp_path: Path) -> None:
    message = refused(tmp_path, "a,colour,kind\n1,red,x\n2,blue,y\n")
    assert message.startswith(
        ", line 2, column 'colour': 'red' is no number, and neither are the cells around it; leave"
    )
    assert message.endswith("leave the column out with ignore = ['colour'], or name the class with label = 'colour'")


def test_all_columns_of_texts_are_named_together_with_one_cure(tmp_path: Path) -> None:
    rows = "a,colour,note,empty,shape,kind\n1,red,ok,NA,round,x\n2,blue,NA,,square,y\n"
    message = refused(tmp_path, rows, ignore=("note",))
    assert ", line 2, column 'colour': 'red' is no number" in message
    assert "leave columns 'colour', 'shape' out with ignore = ['note', 'colour', 'shape']" in message


@pytest.mark.parametrize("cell", ["1" * 100_000 + "x", "." * 100_000, "1,1" * 30_000, "-" * 100_000, "x" * 100_000])
def test_long_cells_are_refused_at_once(cell: str) -> None:
    with pytest.raises(NoNumberError, match=r"^'.{,40}' "):
        numbers(["1", cell])


@given(st.lists(st.floats(-1e100, 1e100), max_size=30))
@settings(deadline=None)
def test_numbers_are_read_to_the_same_bits(values: list[float]) -> None:
    for decimal, cells in ((".", list(map(repr, values))), (",", [repr(v).replace(".", ",") for v in values])):
        assert numbers(cells, decimal).tobytes() == np.array(values, float).tobytes()


@given(st.text(alphabet="0123456789+-.,eE_xfnaiINFNA \u00a0'½１", max_size=8), st.sampled_from(".,"))
@settings(deadline=None, max_examples=400)
def test_a_cell_is_a_finite_number_or_missing_or_refused(cell: str, decimal: str) -> None:
    try:
        (value,) = numbers([cell], decimal)
    except NoNumberError:
        return
    if np.isnan(value):
        assert cell.strip().casefold() in MISSING
    else:
        assert value == float(cell.replace(",", "."))
        assert cell.strip().isascii()
        assert "_" not in cell


# decimal marks


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("a;b;kind\n1,5;2;x\n-3;1,234;y\n", [[1.5, 2], [-3, 1.234]]),
        ('a,b,kind\n"0,125",2,x\n3,",5",y\n', [[0.125, 2], [3, 0.5]]),
        ("a;b;kind\n1.5;2;x\n3;4;y,z\n", [[1.5, 2], [3, 4]]),
        ("a\tb\tkind\n1,5e1\t2\tx\n3\t4\ty\n", [[15, 2], [3, 4]]),
    ],
)
def test_the_decimal_mark_is_found_where_it_is_certain(tmp_path: Path, text: str, features: list[list[float]]) -> None:
    np.testing.assert_array_equal(table(tmp_path, text).features, features)


def test_a_decimal_mark_in_doubt_is_asked_about(tmp_path: Path) -> None:
    text = "a;kind\n1,234;x\n5,678;y\n"
    assert "'1,234' may have a decimal comma or a thousands separator; set data.decimal = ','" in refused(
        tmp_path, text
    )
    np.testing.assert_array_equal(table(tmp_path, text, decimal=",").features, [[1.234], [5.678]])


def test_two_decimal_marks_are_refused(tmp_path: Path) -> None:
    assert ", line 3, column 'a': '2.5' has a decimal point where" in refused(tmp_path, "a;kind\n1,5;x\n2.5;y\n")
    assert ", line 3, column 'a': '2,5' has a decimal comma where" in refused(tmp_path, "a;kind\n1.5;x\n2,5;y\n")


# missing cells

GAPS = 'a,b,kind\n1,2,x\n,4,"y\ny"\n5,NA,x\n7,8,\n9,10,"y\ny"\n?,,x\n'


def test_every_missing_cell_is_named_with_the_line_of_the_file(tmp_path: Path) -> None:
    assert refused(tmp_path, GAPS) == (
        ": 5 cells are missing: column 'a', lines 3, 9; column 'b', lines 5, 9; column 'kind', line 6; set "
        "data.missing = 'drop' to leave these 4 rows out, or data.missing = 'mean' to fill inputs with the mean of the "
        "training rows (rows without a label or value are left out then too)"
    )


def test_rows_with_missing_cells_are_left_out(tmp_path: Path) -> None:
    found = table(tmp_path, GAPS, missing="drop")
    np.testing.assert_array_equal(found.features, [[1, 2], [9, 10]])
    assert found.origin is not None
    np.testing.assert_array_equal(found.origin.lines, [2, 7])
    assert "4 rows with missing cells left out" in notes(found)


def test_missing_inputs_become_the_mean_of_the_training_rows(tmp_path: Path) -> None:
    text = "a,b,kind\n" + "".join(f"{'' if i % 5 == 0 else i},{i},{'xy'[i % 2]}\n" for i in range(40)) + "1,1,\n"
    found = table(tmp_path, text, missing="mean")
    assert "1 row with missing cells left out\n8 missing cells filled with the mean of the training rows" in notes(
        found
    )
    parts = split(found, held_out=0.3, seed=0)
    for part in (parts.train, parts.test):
        numbered = part.codes[:, 1].astype(int)
        known = part.codes[numbered % 5 != 0, 0]
        np.testing.assert_array_equal(known, numbered[numbered % 5 != 0])
        np.testing.assert_array_equal(part.batch(np.flatnonzero(numbered % 5 == 0)).inputs[:, 0], 0.0)
    train = parts.train.codes[:, 1].astype(int)
    assert parts.train.centre[0] == pytest.approx(train[train % 5 != 0].mean(), rel=1e-12)


def test_columns_and_rows_without_anything_are_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, "a,b,kind\n1,,x\n2,,y\n", missing="mean")
    assert message == ": column 'b' has no value in any of 2 rows; leave it out with ignore = ['b']"
    assert ": every row has a missing cell" in refused(tmp_path, "a,b,kind\n1,,x\n,2,y\n", missing="drop")


def test_a_column_without_a_value_in_the_training_rows_is_refused(tmp_path: Path) -> None:
    text = "a,b,kind\n" + "".join(f"{i},{'7' if i == 3 else ''},{'xy'[i % 2]}\n" for i in range(20))
    found = table(tmp_path, text, missing="mean")
    seed = next(
        s for s in range(50) if 3.0 in split(table(tmp_path, text, ignore=("b",)), held_out=0.3, seed=s).test.codes
    )
    with pytest.raises(
        DataError, match=r"column 'b' has no value in a training row; leave it out with ignore = \['b'\]"
    ):
        split(found, held_out=0.3, seed=seed)


# values


def values_of(folder: Path, targets: list[float], **options: object) -> Split:
    text = "x,y\n" + "".join(f"{i},{value!r}\n" for i, value in enumerate(targets))
    return split(table(folder, text, values=("y",)), held_out=0, seed=0, **options)  # type: ignore[arg-type]


def test_values_that_fit_are_volts_as_they_stand(tmp_path: Path) -> None:
    found = values_of(tmp_path, [0.3, -0.3, 4.1])
    np.testing.assert_array_equal(found.train.targets, [[0.3], [-0.3], [4.1]])
    assert "values wanted at the outputs in V: y" in found.notes
    np.testing.assert_array_equal(values_of(tmp_path, [150.0, 25.0], scaled=False).train.targets, [[150.0], [25.0]])


@pytest.mark.parametrize("targets", [[150.0, 25.0, 346.0], [1e-6, 2e-6, 3e-6], [293.0, 293.2, 293.1], [1e99, -1e99, 0]])
def test_other_values_are_scaled_into_the_outputs_reach_and_back(tmp_path: Path, targets: list[float]) -> None:
    found = values_of(tmp_path, targets)
    assert found.scaling is not None
    np.testing.assert_allclose([found.train.targets.min(), found.train.targets.max()], [-1, 1], rtol=1e-9)
    back = found.scaling.values(found.train.targets)[:, 0]
    np.testing.assert_allclose(back, targets, rtol=1e-12, atol=1e-12 * max(map(abs, targets)))
    assert "values, scaled to voltages that the outputs can reach: y (0 V is " in "\n".join(found.notes)


def test_values_are_scaled_to_the_targets_by_the_training_rows(tmp_path: Path) -> None:
    text = "x,y\n" + "".join(f"{i},{i * i}\n" for i in range(20))
    found = split(table(tmp_path, text, values=("y",)), held_out=0.3, seed=1, levels=(0.5, 2.5))
    np.testing.assert_allclose([found.train.targets.min(), found.train.targets.max()], [0.5, 2.5], rtol=1e-12)
    assert found.scaling is not None
    given = found.train.codes[:, :1] ** 2
    np.testing.assert_allclose(found.scaling.values(found.train.targets), given, rtol=1e-12, atol=1e-9)
    errors = found.scaling.errors(found.train.targets + 0.1, found.train.targets)
    np.testing.assert_allclose(errors, 0.1 * found.scaling.per_volt, rtol=1e-9)


def test_missing_and_equal_values_are_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, "x,y\n1,2\n3,\n", values=("y",))
    assert message.startswith(
        ": 1 cell is missing: column 'y', line 3; set data.missing = 'drop' to leave this row out"
    )
    with pytest.raises(DataError, match=r"column 'y' is 7 in all training rows; there is nothing to learn from it"):
        values_of(tmp_path, [7.0, 7.0, 7.0])


# what is said


def test_columns_classes_and_parts_are_told(tmp_path: Path) -> None:
    text = "a;const;kind\n" + "".join(f"{i * i},5;1;{'xy'[i % 2]}\n" for i in range(20))
    found = split(table(tmp_path, text.encode("utf-16")), held_out=0.3, seed=0)
    assert found.notes == (
        "rows.csv: 20 rows, cut at semicolons, with decimal commas, in UTF-16",
        "2 inputs: a, const",
        "constant in the training rows, so that nothing is learned from it: const",
        "2 classes with their rows: x 10, y 10",
        "14 rows to train on, 6 held out",
    )


def with_a_far_cell(folder: Path, cell: str) -> tuple[Table, int]:
    """A table with a cell in a row that is held out, and the line of that row."""
    text = "a,kind\n" + "".join(f"{i % 7},{'xy'[i % 2]}\n" for i in range(40))
    usual = split(table(folder, text), held_out=0.3, seed=0)
    assert not any("deviations" in note for note in usual.notes)
    assert usual.test.lines is not None
    line = int(usual.test.lines[2])
    rows = text.splitlines(keepends=True)
    rows[line - 1] = cell + rows[line - 1][1:]
    return table(folder, "".join(rows)), line


def test_a_cell_far_from_all_others_is_told(tmp_path: Path) -> None:
    found, line = with_a_far_cell(tmp_path, "-999")
    told = rf"line {line}, column 'a': -999 is \d+ standard deviations from the mean of the training rows"
    assert re.fullmatch(told, split(found, held_out=0.3, seed=0).notes[-1])


def test_a_cell_that_no_circuit_can_be_shown_is_refused(tmp_path: Path) -> None:
    found, line = with_a_far_cell(tmp_path, "1e30")
    with pytest.raises(DataError, match=rf"rows.csv, line {line}, column 'a': 1e\+30 is .* no input pin can show"):
        split(found, held_out=0.3, seed=0)


def test_ten_thousand_columns_are_told_in_a_line(tmp_path: Path) -> None:
    names = [f"c{k}" for k in range(10_000)]
    rows = "".join(",".join(f"{k + i}" for k in range(10_000)) + f",{'xy'[i % 2]}\n" for i in range(4))
    found = split(table(tmp_path, ",".join(names) + ",kind\n" + rows), held_out=0, seed=0)
    assert found.channels == 10_000
    assert "10,000 inputs: c0, c1, c2, c3, c4, c5, … c9999" in found.notes


@given(content=st.binary(max_size=60), head=st.sampled_from([b"", b"a,kind\n", b"a;kind\n1;x\n", b"\xff\xfe"]))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_a_table_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    try:
        found = table(folder, head + content)
    except DataError:
        assert refused(folder, head + content)
    else:
        assert np.isfinite(found.features).all()
        assert len(found.classes) > 1

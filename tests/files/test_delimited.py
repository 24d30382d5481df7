"""Tables in text files: encodings, separators, headings, and rows with the lines they stand in."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError, NetlistError
from harness.files.delimited import TextTable, read_delimited

TEXT = "name;größe\nä;1\nb;2\n"


def opened(folder: Path, content: bytes | str, **options: str) -> TextTable:
    path = folder / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_delimited(path, DataError, **options)


def refused(folder: Path, content: bytes | str, **options: str) -> str:
    """The sentence about a file that cannot be opened, or not be read to its end."""
    with pytest.raises(DataError) as wrong:
        list(opened(folder, content, **options).rows())
    message = str(wrong.value)
    assert message.startswith(f"{folder}/rows.csv")
    assert "\n" not in message
    return message.removeprefix(f"{folder}/rows.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_utf_8_and_marked_encodings_are_found(tmp_path: Path, encoding: str) -> None:
    table = opened(tmp_path, TEXT.encode(encoding))
    assert table.columns == ("name", "größe")
    assert list(table.rows()) == [(2, ["ä", "1"]), (3, ["b", "2"])]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac-roman", "utf-16-le", "utf-16-be"])
def test_other_encodings_are_named(tmp_path: Path, encoding: str) -> None:
    assert next(opened(tmp_path, TEXT.encode(encoding), encoding=encoding).rows()) == (2, ["ä", "1"])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"a,b\n1,2\n3,\xe9\n", {}, r", line 3: it is not UTF-8 text (byte 0xe9); save it as UTF-8, or say which"),
        ("a,b\n1,é\n".encode("utf-16-le"), {}, ": it looks like UTF-16 without a byte order mark; save it as"),
        ("a,b\n1,é\n".encode("utf-16-be"), {}, ": it looks like UTF-16 without a byte order mark; save it as"),
        ("a,b\n1,é\n".encode("utf-16"), {"encoding": "latin-1"}, ": it begins with the mark of UTF-16, which is not"),
        (
            b"a,b\n1,2\n",
            {"encoding": "utf-16"},
            ": it does not begin with the mark of UTF-16; say utf-16-le, utf-16-be",
        ),
        (b"\xef\xbb\xbfa,b\n1,\xe9\n", {}, ", line 2: it is not UTF-8 text (byte 0xe9); the file is damaged"),
        (b"a,b\n1,\x81\n", {"encoding": "cp1252"}, ", line 2: it is not CP1252 text (byte 0x81); say another encoding"),
        (b"a,b\n1,2\n3\x00,4\n", {}, ", line 3: a NUL character"),
        (b"", {}, ": it is empty"),
        (b" \n\n", {}, ": it is empty"),
        (b"\x1f\x8b\x08\x00rest", {}, ": it is no table in text but packed with gzip; unpack it"),
        (b"PK\x03\x04rest", {}, ": it is no table in text but a zip file or a spreadsheet; save its sheet as CSV"),
        (b"<!DOCTYPE html>\n<html>", {}, ": it is no table in text but a web page"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, options: dict[str, str], message: str) -> None:
    assert message in refused(tmp_path, content, **options)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
def test_separators_are_found(tmp_path: Path, separator: str) -> None:
    table = opened(tmp_path, "a b,c\n1 2,x\n".replace(" ", separator).replace(",", separator))
    assert table.separator == separator
    assert table.columns == ("a", "b", "c")


def test_the_separator_that_cuts_every_row_evenly_is_taken(tmp_path: Path) -> None:
    table = opened(tmp_path, "size (a,b);kind\n1,5;x\n2;y\n")
    assert (table.separator, table.columns) == (";", ("size (a,b)", "kind"))


def test_a_separator_in_doubt_is_asked_about(tmp_path: Path) -> None:
    message = refused(tmp_path, "a,b;c\n1,2;3\n")
    assert (
        message
        == ": it can be cut at commas (2 columns) or at semicolons (2 columns); write it with one of them alone, "
        "or, where it is an experiment's data, say which with separator = ','"
    )
    assert opened(tmp_path, "a,b;c\n1,2;3\n", separator=";").columns == ("a,b", "c")


def test_any_number_of_blanks_is_one_separator(tmp_path: Path) -> None:
    assert [cells for _, cells in opened(tmp_path, " a   b\n  1 2 \n 3    4\n").rows()] == [["1", "2"], ["3", "4"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", ", line 3: 3 cells where the heading in line 1 has 2, cut at commas; a column without"),
        ("a,b\n1,2,\n", ", line 2: 3 cells where the heading in line 1 has 2, cut at commas; take the separator away"),
        ("\na,b\n1\n", ", line 3: 1 cell where the heading in line 2 has 2, cut at commas; fill up the row"),
        ("a,b\n1,7,0,5\n", ", line 2: 4 cells where the heading in line 1 has 2, cut at commas; where commas are"),
        ('a,b\n"x\ny",2\n1,2,3\n', ", line 4: 3 cells where the heading in line 1 has 2"),
        ('a,b\n1,2\n"x,3\n4,5\n', ", line 3: a quote opens a cell and is not closed"),
        ('a,b\n1,"x"y\n', ", line 2: a cell goes on behind its closing quote"),
        ('a,b\n1,"' + 150_000 * "x" + '"\n', ", line 2: a quote opens a cell and is not closed"),
        ("a,b,a\n1,2,3\n", ", line 1: column 'a' is there twice (columns 1 and 3); rename or remove one"),
        ('a b,"a\n b"\n1,2\n', ", line 1: column 'a b' is there twice (columns 1 and 2); rename or remove one"),
        ("a, a\n1,2\n", ", line 1: column 'a' is there twice (columns 1 and 2); rename or remove one"),
    ],
)
def test_rows_and_headings_that_do_not_fit_are_refused_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text, separator=",")


def test_the_error_is_of_the_callers_class(tmp_path: Path) -> None:
    with pytest.raises(NetlistError, match="there is no such file"):
        read_delimited(tmp_path / "none.csv", NetlistError)


CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)


@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=8), separator=st.sampled_from(",;\t|"))
@settings(deadline=None, max_examples=150)
def test_what_was_written_is_read_with_its_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], separator: str
) -> None:
    text, lines = io.StringIO(newline=""), []
    table = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL)
    table.writerow(["a", "b", "c"])
    for row in rows:
        written = text.getvalue().replace("\r\n", "\n").replace("\r", "\n")
        lines.append(written.count("\n") + 1)
        table.writerow(row)
    folder = tmp_path_factory.mktemp("round")
    found = opened(folder, text.getvalue(), separator=separator)
    assert list(found.rows()) == list(zip(lines, rows, strict=True))

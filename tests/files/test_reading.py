"""Whatever is read from outside becomes a value, or one sentence of the caller's own error class."""

import io
import os
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError, RunError
from harness.files.reading import (
    DEPTH_LIMIT,
    parse_json,
    parse_toml,
    read_arrays,
    read_bytes,
    read_json,
    read_text,
    read_toml,
)


def packed(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def archive(entries: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode() + b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def test_a_plain_file_is_read_also_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbf" + "β = 1 µS".encode())
    assert read_text(tmp_path / "link", RunError) == "β = 1 µS"
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "file").write_bytes(mark + "\nb = 1 µS".encode("latin-1"))
        with pytest.raises(RunError, match=r"link, line 2: it is not UTF-8 text \(byte 0xb5\); save the file as UTF-8"):
            read_text(tmp_path / "link", RunError)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "there is no such file"),
        ("folder", "it is a folder, not a plain file"),
        ("pipe", "it is a named pipe, not a plain file"),
        ("zero", "it is a device, not a plain file"),
        ("socket", "it cannot be read"),
        ("loop", "it cannot be read"),
        ("large", "it has 6,000,000,000 bytes; at most 1,000 are read"),
        ("with\0nul", "it cannot be read"),
        ("n" * 300, "it cannot be read"),
    ],
)
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, kind: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(6_000_000_000)
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(tmp_path)  # the address of a socket is short
        bound.bind("socket")
        os.chdir(here)
        with pytest.raises(DataError, match=message):
            read_bytes(tmp_path / kind, DataError, most=1_000)


def test_a_file_that_says_it_is_empty_is_read_up_to_the_bound() -> None:
    with pytest.raises(DataError, match="it has 11 bytes; at most 10 are read"):
        read_bytes(Path("/proc/self/status"), DataError, most=10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = " + "[" * 2_000 + "]" * 2_000, "nested deeper than 32 levels"),
        (".".join("x" * 500) + " = 1", "nested deeper than 32 levels"),
        ("x = " + "9" * 5_000, "a whole number has thousands of digits"),
        ("x = -" + "9" * 400, r"a whole number is beyond 64 bits \(about -1e400\)"),
        ('x = "\\u0000"', "has a character that no text may have"),
        ("x = ", "not valid TOML: Invalid value"),
    ],
)
def test_toml_that_no_experiment_needs_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "file.toml").write_text(text)
    with pytest.raises(RunError, match=rf"^{tmp_path}/file.toml: .*{message}"):
        read_toml(tmp_path / "file.toml", RunError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[1]", r"it holds no JSON object \{…\} but a list"),
        ("null", "but null"),
        ("true", "but a truth value"),
        ('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper than 32 levels"),
        ('{"x": ' * 33 + "1" + "}" * 33, "nested deeper than 32 levels"),
        ('{"x": ' + "9" * 5_000 + "}", "a whole number has thousands of digits"),
        ('{"x": ' + "9" * 20 + "}", r"a whole number is beyond 64 bits \(about 1e20\)"),
        ('{"x": NaN}', "NaN is no finite number"),
        ('{"x": 1e999}', "1e999 is no finite number"),
        ('{"x": 1, "x": 2}', "key 'x' is there twice"),
        ('{"x": "\\ud800"}', "has a character that no text may have"),
    ],
)
def test_json_that_no_run_has_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(RunError, match=rf"^{tmp_path}/file.json: .*{message}"):
        read_json(tmp_path / "file.json", RunError)


def test_nesting_up_to_the_limit_is_read() -> None:
    levels = DEPTH_LIMIT - 1
    assert parse_toml("x = " + "[" * (levels - 1) + "1" + "]" * (levels - 1), RunError, "text")
    assert parse_json('{"x": ' * levels + "1" + "}" * levels, RunError, "text")


def test_arrays_are_read_as_they_were_saved(tmp_path: Path) -> None:
    arrays = {
        "matrix": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4"),
        "number": np.array(7),
        "none": np.zeros((0, 4)),
        "names": np.array(["w0_0", "β"]),
        "flags": np.array([True, False]),
    }
    (tmp_path / "file.npz").write_bytes(packed(**arrays))
    found = read_arrays(tmp_path / "file.npz", RunError)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].flags.writeable


def declared(descr: str, shape: str, body: bytes = b"") -> bytes:
    return npy(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}", body)


GOOD = declared("<f8", "(2,)", bytes(16))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "File is not a zip file"),
        (GOOD, "File is not a zip file"),
        (packed(x=np.ones(3))[:-30], "File is not a zip file"),
        (archive({"x.npy": GOOD, "notes.txt": b"hello"}), "entry 'notes.txt' is no array"),
        (archive({"x.npy": GOOD}, zipfile.ZIP_BZIP2), "packed in a way that npz files do not use"),
        (archive({"x.npy": b"hello"}), "magic string"),
        (archive({"x.npy": GOOD[:-1]}), "declares 2 values of 8 bytes and has 15 bytes"),
        (archive({"x.npy": declared("<f8", "(10**9,)")}), "it cannot be read as an npz file"),
        (archive({"x.npy": declared("<f8", "(9999999, 9999999)")}), "declares 99999980000001 values .* has 0 bytes"),
        (archive({"x.npy": declared("<f8", "(-1,)")}), "declares -1 values"),
        (archive({"x.npy": declared("|O", "()")}), "holds neither real numbers"),
        (archive({"x.npy": npy("(" * 500)}), "it cannot be read as an npz file"),
        (archive({"x.npy": npy("{'descr")}), "it cannot be read as an npz file"),
        (archive({"x.npy": npy("exit(1)")}), r"malformed node or string on line 1\)$"),
        (packed(x=np.ones(2) + 1j), "holds neither real numbers nor texts but complex128"),
        (packed(x=np.zeros(2, "f8,i4")), "holds neither real numbers nor texts"),
        (packed(x=np.array([0xD800], np.uint32).view("<U1")), "texts that are no Unicode"),
        (packed(x=np.ones(2_000)), "it has 16,.* bytes; at most 10,000 are read"),
        (archive({"x.npy": bytes(20_000)}, zipfile.ZIP_DEFLATED), "its arrays have 20,000 bytes; at most 10,000"),
    ],
)
def test_damaged_and_hostile_arrays_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file.npz").write_bytes(content)
    with pytest.raises(RunError, match=rf"^{tmp_path}/file.npz: .*({message})"):
        read_arrays(tmp_path / "file.npz", RunError, most=10_000)


def test_an_encrypted_or_doubled_entry_is_refused(tmp_path: Path) -> None:
    content = bytearray(archive({"x.npy": GOOD}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "file.npz").write_bytes(content)
    with pytest.raises(RunError, match=r"entry 'x.npy' is encrypted"):
        read_arrays(tmp_path / "file.npz", RunError)
    (tmp_path / "file.npz").write_bytes(archive({"x.npy": GOOD, "y.npy": GOOD}).replace(b"y.npy", b"x.npy"))
    with pytest.raises(RunError, match=r"entry 'x.npy' is there twice"):
        read_arrays(tmp_path / "file.npz", RunError)


def outcome(read: Callable[[], dict[str, Any]], place: str) -> bool:
    """Whether a reader answers with a table, or with one sentence that begins with the place."""
    try:
        return isinstance(read(), dict)
    except RunError as error:
        return str(error).startswith(place) and "\n" not in str(error)


@given(st.data())
def test_any_damage_is_a_value_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes of a good file changed, removed or repeated."""
    content = bytearray(packed(g=np.linspace(0, 1, 5), names=np.array(["a", "b"]), epoch=np.array(3)))
    for _ in range(data.draw(st.integers(1, 4))):
        at, count = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 40))
        content[at : at + count] = data.draw(st.binary(max_size=40))
    file = tmp_path_factory.getbasetemp() / "damaged.npz"
    file.write_bytes(content)
    assert outcome(lambda: read_arrays(file, RunError), f"{file}: ")


@given(st.text(alphabet='[]{}",:\\u0d8=1e9x.\n #', max_size=60))
def test_any_text_is_a_table_or_a_sentence(text: str) -> None:
    assert outcome(lambda: parse_json(text, RunError, "text"), "text: ")
    assert outcome(lambda: parse_toml(text, RunError, "text"), "text: ")

"""Files damaged at random, in the ways of their format and byte by byte.

A mutation is a function of a random generator and a content; `damage` chooses some for a file's name. The same seed
damages in the same way.
"""

import csv
import gzip
import io
import json
import re
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tomli_w

from tests.campaigns.hostile import CONTAINERS, EXECUTED, FIELDS, NUMBERS, RAW, STATEMENTS, TEXTS, Raw

Content = bytes
Mutation = Callable[[np.random.Generator, Content], Content]


def damage(rng: np.random.Generator, name: str, content: Content) -> list[tuple[str, Content]]:
    """Damage a file once to three times.

    Returns:
        Name of each mutation, and the content after it; the last one is what the case is about.
    """
    ways = MUTATIONS[name.rpartition(".")[2] if "." in name else "txt"]
    done: list[tuple[str, Content]] = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        way = ways[rng.integers(len(ways))] if rng.random() < 0.75 else BYTES[rng.integers(len(BYTES))]
        try:
            content = way(rng, content)
        except Exception:
            way = flipped
            content = way(rng, content)
        done.append((way.__name__, content))
    return done


def pick(rng: np.random.Generator, things: Sequence[Any]) -> Any:
    """One of several things."""
    return things[int(rng.integers(len(things)))]


# ---- any file -----------------------------------------------------------------------------------------------------


def flipped(rng: np.random.Generator, content: Content) -> Content:
    """A bit is another."""
    changed = bytearray(content or b"\0")
    changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(rng: np.random.Generator, content: Content) -> Content:
    """The end is missing."""
    return content[: int(rng.integers(len(content) + 1))]


def emptied(rng: np.random.Generator, content: Content) -> Content:
    """Nothing, or nothing but white space."""
    return pick(rng, [b"", b"\n", b" ", b"\0", b"\xef\xbb\xbf"])


def overwritten(rng: np.random.Generator, content: Content) -> Content:
    """A stretch is zeros or noise, as after a crash of the machine."""
    length = int(rng.integers(1, 4097))
    start = int(rng.integers(len(content) + 1))
    noise = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
    return content[:start] + noise + content[start + length :]


def removed(rng: np.random.Generator, content: Content) -> Content:
    """A stretch is missing."""
    start = int(rng.integers(len(content) + 1))
    return content[:start] + content[start + int(rng.integers(1, 65)) :]


def repeated(rng: np.random.Generator, content: Content) -> Content:
    """A stretch is there twice."""
    start, length = int(rng.integers(len(content) + 1)), int(rng.integers(1, 257))
    return content[: start + length] + content[start:]


def encoded(rng: np.random.Generator, content: Content) -> Content:
    """Another encoding, a byte order mark, other line ends."""
    text = content.decode("latin-1")
    return pick(
        rng,
        [
            text.encode("utf-16"),
            text.encode("utf-32-le"),
            b"\xef\xbb\xbf" + content,
            content.replace(b"\n", b"\r\n"),
            content.replace(b"\n", b"\r"),
            content + "µ".encode("latin-1"),
            gzip.compress(content),
        ],
    )


def spliced(rng: np.random.Generator, content: Content) -> Content:
    """A hostile text in the middle."""
    start = int(rng.integers(len(content) + 1))
    return content[:start] + _bytes(pick(rng, (*TEXTS, *RAW))) + content[start:]


def number_replaced(rng: np.random.Generator, content: Content) -> Content:
    """Something absurd stands in place of a number."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", content))
    number = pick(rng, found)
    instead = _bytes(str(pick(rng, pick(rng, (NUMBERS, TEXTS, RAW)))))
    return content[: number.start()] + instead + content[number.end() :]


BYTES: Sequence[Mutation] = (
    *(flipped, flipped, cut, emptied, overwritten, removed, repeated, encoded, spliced),
    number_replaced,
)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


# ---- TOML and JSON ------------------------------------------------------------------------------------------------


def value(rng: np.random.Generator) -> Any:
    """A hostile value."""
    return pick(rng, pick(rng, (NUMBERS, NUMBERS, RAW, TEXTS, TEXTS, CONTAINERS)))


def _change_tree(rng: np.random.Generator, tree: Any) -> None:
    """Change one place of a tree of dictionaries and lists."""
    places = list(_places(tree))
    if not places:
        raise ValueError("nothing to change")
    parent, key = pick(rng, places)
    match int(rng.integers(9)):
        case 0 | 1 | 2 | 3:
            parent[key] = value(rng)
        case 4:
            del parent[key]
        case 5:
            other, other_key = pick(rng, places)
            parent[key] = other[other_key] if not _holds(other[other_key], parent) else None
        case 6:
            parent[key] = [parent[key]] if rng.random() < 0.5 else {"a": parent[key]}
        case 7 if isinstance(parent, dict):
            name = pick(rng, (*TEXTS, *(k for k in parent if k != key), "unknown"))
            parent[str(name)] = parent.pop(key) if rng.random() < 0.5 else value(rng)
        case 7:
            parent += [parent[key]] * int(pick(rng, [1, 100]))
        case _:
            parent[key] = _near(rng, parent[key])


def _near(rng: np.random.Generator, old: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int | float):
        return pick(rng, [-old, old + 1, old - 1, old * 10, old * 1e9, old / 1e9, float(old), str(old), int(old * 0)])
    if isinstance(old, str):
        return pick(rng, [old[:-1], old + "x", old.upper(), f" {old} ", old * 50, old.replace("u", "µ")])
    return old[: len(old) // 2] if isinstance(old, list) else list(old) if isinstance(old, dict) else 0


def _places(tree: Any) -> Any:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, part in list(pairs):
        yield tree, key
        yield from _places(part)


def _holds(tree: Any, part: Any) -> bool:
    return tree is part or any(_holds(parent[key], part) for parent, key in _places(tree))


def _raw_out(tree: Any, raw: list[str]) -> Any:
    """Replace raw texts, and what TOML has no word for, by marks."""
    if isinstance(tree, dict):
        return {str(key): _raw_out(part, raw) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        return [_raw_out(part, raw) for part in tree]
    if isinstance(tree, Raw) or tree is None:
        raw.append("null" if tree is None else str(tree))
        return f"@RAW{len(raw) - 1}@"
    return tree


def _raw_in(text: str, raw: Sequence[str]) -> Content:
    for number, token in enumerate(raw):
        text = text.replace(f'"@RAW{number}@"', token)
    return _bytes(text)


def toml_changed(rng: np.random.Generator, content: Content) -> Content:
    """A key or value of a TOML file is another."""
    tree, raw = tomllib.loads(content.decode()), list[str]()
    _change_tree(rng, tree)
    return _raw_in(tomli_w.dumps(_raw_out(tree, raw)), raw)


def json_changed(rng: np.random.Generator, content: Content) -> Content:
    """A key or value of a JSON file is another."""
    tree, raw = json.loads(content), list[str]()
    _change_tree(rng, tree)
    return _raw_in(json.dumps(_raw_out(tree, raw), ensure_ascii=bool(rng.random() < 0.5)), raw)


def whole_json(rng: np.random.Generator, content: Content) -> Content:
    """Valid JSON of another kind."""
    return _bytes(pick(rng, ["[]", "{}", "null", "1", '"a"', "true", "[1,2]", "[[", '{"a"', "[" * 3000, *RAW]))


# ---- lines --------------------------------------------------------------------------------------------------------


def event_changed(rng: np.random.Generator, content: Content) -> Content:
    """A line of a file with JSON in each line is another."""
    lines = content.splitlines()
    k = int(rng.integers(len(lines)))
    lines[k] = pick(rng, [json_changed, json_changed, whole_json])(rng, lines[k])
    return b"\n".join([*lines, b""])


def lines_changed(rng: np.random.Generator, content: Content) -> Content:
    """A line is missing, twice, elsewhere, cut or very long."""
    lines = content.decode(errors="surrogateescape").split("\n")
    k = int(rng.integers(len(lines)))
    match int(rng.integers(6)):
        case 0:
            del lines[k]
        case 1:
            lines.insert(k, lines[k])
        case 2:
            lines.insert(int(rng.integers(len(lines))), lines.pop(k))
        case 3:
            lines[k] = lines[k][: int(rng.integers(len(lines[k]) + 1))]
        case 4:
            lines[k] *= int(pick(rng, [2, 1000]))
        case _:
            lines[k : k + 2] = [" ".join(lines[k : k + 2])]
    return "\n".join(lines).encode(errors="surrogateescape")


def words_changed(rng: np.random.Generator, content: Content) -> Content:
    """A word of a line is another."""
    lines = content.decode(errors="surrogateescape").split("\n")
    k = pick(rng, [number for number, line in enumerate(lines) if line.strip()])
    words = lines[k].split(" ")
    words[int(rng.integers(len(words)))] = str(pick(rng, (*TEXTS, *map(str, NUMBERS), *RAW)))
    lines[k] = " ".join(words)
    return "\n".join(lines).encode(errors="surrogateescape")


def statement_added(rng: np.random.Generator, content: Content) -> Content:
    """A netlist has a line that does something else."""
    lines = content.decode(errors="surrogateescape").split("\n")
    lines.insert(int(rng.integers(len(lines) + 1)), pick(rng, STATEMENTS))
    return "\n".join(lines).encode(errors="surrogateescape")


# ---- tables -------------------------------------------------------------------------------------------------------


def table_changed(rng: np.random.Generator, content: Content) -> Content:
    """A field, row or column of a CSV file is another."""
    rows = list(csv.reader(io.StringIO(content.decode())))
    k, c = int(rng.integers(len(rows))), int(rng.integers(len(rows[0])))
    match int(rng.integers(12)):
        case 0 | 1 | 2:
            rows[k][c] = pick(rng, FIELDS)
        case 3:
            for row in rows[1:]:
                row[c] = pick(rng, FIELDS)
        case 4:
            del rows[k][c]
        case 5:
            rows[k].insert(c, pick(rng, FIELDS))
        case 6:
            for row in rows:
                del row[c]
        case 7:
            for row in rows:
                row.append(row[c])
        case 8:
            rows[0][c] = pick(rng, (*FIELDS, *rows[0], *TEXTS))
        case 9:
            rows[1:] = [rows[1:][j] for j in rng.permutation(len(rows) - 1)]
        case 10:
            rows[1:] = rows[1 : 1 + int(rng.integers(3))]
        case _:
            rows += [rows[k]] * int(pick(rng, [1, 1, 1000]))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", delimiter=pick(rng, ",,,,,,;\t |")).writerows(rows)
    return _bytes(out.getvalue())


def fields_plain(rng: np.random.Generator, content: Content) -> Content:
    """A field is replaced as it stands, without quotes."""
    lines = content.decode(errors="surrogateescape").split("\n")
    k = int(rng.integers(len(lines)))
    fields = lines[k].split(",")
    fields[int(rng.integers(len(fields)))] = pick(rng, FIELDS)
    lines[k] = ",".join(fields)
    return "\n".join(lines).encode(errors="surrogateescape")


# ---- npz ----------------------------------------------------------------------------------------------------------


class _Bomb:
    """Unpickled, it executes."""

    def __reduce__(self) -> Any:
        import os

        return os.system, (f"touch {EXECUTED}",)


def arrays_changed(rng: np.random.Generator, content: Content) -> Content:
    """An array of an npz file is missing, another, of another shape or type."""
    arrays = _arrays(content)
    name = pick(rng, sorted(arrays))
    match int(rng.integers(5)):
        case 0:
            del arrays[name]
        case 1:
            arrays[str(pick(rng, (*TEXTS[1:40], *arrays, "more"))).replace("\0", "")] = arrays.pop(name)
        case 2:
            arrays[name] = _reshaped(rng, arrays[name])
        case 3:
            arrays[name] = _retyped(rng, arrays[name])
        case _:
            arrays[name] = np.where(rng.random(arrays[name].shape) < 0.3, pick(rng, NUMBERS), arrays[name])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", pick(rng, [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", _npy(array))
    return buffer.getvalue()


def _arrays(content: Content) -> dict[str, Any]:
    saved = np.load(io.BytesIO(content), allow_pickle=False)
    return {name: saved[name] for name in saved.files}


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=True)
    return buffer.getvalue()


def _reshaped(rng: np.random.Generator, array: Any) -> Any:
    ways = [array.T, array[None], array.ravel(), array[..., :0], np.repeat(array[None], 3, 0), np.float64(1), array[:0]]
    return np.asfortranarray(pick(rng, ways)) if array.ndim else np.full((2, 2), array)


def _retyped(rng: np.random.Generator, array: Any) -> Any:
    types = (
        "f4",
        ">f8",
        "f2",
        "i8",
        "u1",
        "c16",
        "bool",
        "U8",
        "S8",
        "O",
        "M8[s]",
        "longdouble",
        "bomb",
        "void",
        "record",
    )
    kind = pick(rng, types)
    if kind == "bomb":
        return np.array([_Bomb()], dtype=object)
    if kind == "void":
        return np.zeros(array.shape, "V8")
    if kind == "record":
        return np.zeros(array.shape, [("a", "f8"), ("b", "i4")])
    with np.errstate(all="ignore"):
        return np.nan_to_num(array).astype(kind) if array.dtype.kind == "f" else array.astype(kind)


def header_changed(rng: np.random.Generator, content: Content) -> Content:
    """The header of an array declares something else than the array is."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    name = pick(rng, sorted(entries))
    array = entries[name]
    start = array.index(b"{")
    end = array.index(b"\n", start)
    header = array[start:end].decode("latin-1").rstrip()
    shape = header[header.index("(") : header.rindex(")") + 1]
    shapes = (
        "(99999999, 99999999)",
        "(-1,)",
        "()",
        "(2**70,)",
        "(1e3,)",
        "('a',)",
        "(" * 5000 + ")" * 5000,
        "(0, 4)",
        "[2]",
    )
    match int(rng.integers(4)):
        case 0:
            header = header.replace(shape, pick(rng, shapes))
        case 1:
            types = (
                "'|O'",
                "'<f8,<f8'",
                "'<U99999999'",
                "'V0'",
                "'<c16'",
                "[('a', '<f8')]",
                "'x'",
                "None",
                "'|S0'",
                "'<M8[s]'",
            )
            header = header.replace("'<f8'", pick(rng, types)).replace("'<i8'", pick(rng, types))
        case 2:
            header = pick(
                rng, ("", "{}", "{'descr': 1}", header[:-5], f"__import__('os').system('touch {EXECUTED}')", "[" * 999)
            )
        case _:
            header = header.replace("False", pick(rng, ("True", "None", "1", "False, 'more': 1")))
    length = pick(rng, [len(header) + 1, len(header) + 1, 0, 65535])
    entries[name] = pick(rng, [b"\x93NUMPY\x01\x00"] * 6 + [b"\x93NUMPY\x02\x00", b"\x93NUMPY\x09\x00", b"PK"])
    entries[name] += int(length).to_bytes(2, "little") + header.encode() + b"\n" + array[end + 1 :]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)
    return buffer.getvalue()


def archive_changed(rng: np.random.Generator, content: Content) -> Content:
    """The zip archive around the arrays is unusual or damaged."""
    match int(rng.integers(6)):
        case 0:  # a bare array
            return _npy(next(iter(_arrays(content).values())))
        case 1:  # flags and method in the central directory: encrypted, deflate64, bzip2, lzma, zstd, AES
            changed = bytearray(content)
            start = content.index(b"PK\x01\x02")
            changed[start + 8] ^= int(pick(rng, [1, 0x40, 0x08]))
            changed[start + 10] = int(pick(rng, [0, 8, 9, 12, 14, 93, 95, 99]))
            return bytes(changed)
        case 2:  # sizes
            changed = bytearray(content)
            start = content.index(pick(rng, [b"PK\x01\x02", b"PK\x03\x04"]))
            changed[start + 18 : start + 26] = rng.bytes(8)
            return bytes(changed)
        case _:
            return _entries_changed(rng, content)


def _entries_changed(rng: np.random.Generator, content: Content) -> Content:
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(
        buffer, "a", pick(rng, [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    ) as archive:
        names = archive.namelist()
        way = int(rng.integers(4))
        if way == 0:
            archive.writestr("more.npy", _npy(np.zeros(pick(rng, [0, 1, 10_000_000]))))
        elif way == 1:
            archive.writestr(
                pick(rng, ("notes.txt", "../up.npy", "/etc/x.npy", "a/", "é.npy", ".npy", "a" * 300)), b"hello"
            )
        elif way == 2:
            archive.writestr("folder/", b"")
        else:
            archive.comment = b"x" * 1000
            archive.writestr(pick(rng, names) + ".npy", _npy(np.ones(3)))
    return buffer.getvalue()


# ---- IDX ----------------------------------------------------------------------------------------------------------


def idx_changed(rng: np.random.Generator, content: Content) -> Content:
    """The header of an IDX file, or its packing, is another."""
    packed = content[:2] == b"\x1f\x8b"
    data = bytearray(gzip.decompress(content) if packed else content)
    match int(rng.integers(5)):
        case 0:
            data[int(rng.integers(4))] = int(rng.integers(256))
        case 1:
            start = 4 * int(rng.integers(1, 3))
            data[start : start + 4] = pick(rng, [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", rng.bytes(4)])
        case 2:
            del data[int(rng.integers(len(data))) :]
        case 3:
            data += rng.bytes(int(pick(rng, [1, 100])))
        case _:
            data[-1 - int(rng.integers(min(len(data), 1000)))] = int(rng.integers(256))
    return gzip.compress(bytes(data), 1) if packed != (rng.random() < 0.1) else bytes(data)


MUTATIONS: dict[str, Sequence[Mutation]] = {
    "toml": (toml_changed, toml_changed, toml_changed, toml_changed, lines_changed, words_changed),
    "json": (json_changed, json_changed, json_changed, json_changed, whole_json, lines_changed),
    "jsonl": (event_changed, event_changed, event_changed, lines_changed, words_changed),
    "csv": (table_changed, table_changed, fields_plain, lines_changed),
    "npz": (arrays_changed, header_changed, archive_changed),
    "cir": (statement_added, words_changed, words_changed, lines_changed),
    "txt": (lines_changed, words_changed),
    "gz": (idx_changed,),
    "idx": (idx_changed,),
}
"""By the ending of a file's name."""

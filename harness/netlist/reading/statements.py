"""The text of a package as statements, each checked against the few forms that this project writes.

A netlist from elsewhere is data: nothing in it is executed, and nothing outside the package's folder is opened. Every
statement has to be one that the dialects write (`_FORMS`); commands for a simulator's shell, files from elsewhere,
expressions that call for more, and comments that ngspice would execute (``*#``, ``*ng_script``) are refused with file
and line. Sizes are bounded: of files, statements, names, numbers and formulas, how deep formulas are nested, and to how
many parts subcircuits expand.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from harness.errors import NetlistError
from harness.files.reading import read_bytes
from harness.netlist.reading.spectre import spice_of

FILE_LIMIT = 256_000_000
"""Bytes of a file."""
STATEMENT_LIMIT = 4_000_000
"""Characters of a statement with its continuations."""
ABOUT_ANALYSES = frozenset((".options", ".option", ".temp", ".tran", ".print", ".measure", ".end"))
"""Statements of a testbench that are no part of the circuit."""
FORMULA_LIMIT = 2_000
"""Characters of a statement with a formula; a memristor model's longest has 924."""
_NESTED = 32
"""Parentheses within each other in a formula; a memristor model has 11."""
_DEPTH = 4

_NAME = r"[a-z][a-z0-9_]{0,999}"
_NET = r"[a-z0-9_]{1,1000}"
_NUMBER = r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:e[+-]?\d{1,3})?"
_VALUE = rf"(?:{_NUMBER}|\{{{_NAME}\}}|'{_NAME}'|{_NAME})"
_FORMULA = r"[a-z0-9_.,()+\-*/<>=?: {}]+"
_PARTS = {
    "r": rf"{_NET} {_NET} {_NUMBER}",
    "c": rf"{_NET} {_NET} {_NUMBER}",
    "d": rf"{_NET} {_NET} {_NAME}",
    "m": rf"{_NET} {_NET} {_NET} {_NET} {_NAME} l={_NUMBER} w={_NUMBER}",
    "e": rf"{_NET} {_NET} {_NET} {_NET} {_VALUE}",
    "g": rf"{_NET} {_NET} (?:{_NET} {_NET} {_VALUE}|cur='{_FORMULA}')",
    "f": rf"{_NET} {_NET} {_NAME} {_NUMBER}",
    "b": rf"{_NET} {_NET} [iv]={_FORMULA}",
    "v": rf"{_NET} {_NET} (?:{_VALUE}|pwl\({_NUMBER}(?: {_NUMBER})*\))",
    "i": rf"{_NET} {_NET} {_VALUE}",
    "x": rf"{_NET}(?: {_NET})*(?: /)? {_NAME}(?: {_NAME}={_VALUE})*",
}
_SQUARE_LAW = "".join(f" {name}={_NUMBER}" for name in ("vto", "kp", "gamma", "lambda", "is"))
_JUNCTION = rf"d\(is={_NUMBER} n={_NUMBER}(?: bv={_NUMBER} ibv={_NUMBER})?\)"
_PAIRS = rf"(?: [a-z][a-z0-9_\-]*(?:=(?:{_NUMBER}|{_NAME}))?)*"
_FORMS = {
    ".subckt": rf" {_NAME}(?: {_NET})*(?: {_NAME}={_NUMBER})*",
    ".ends": rf"(?: {_NAME})?",
    ".end": "",
    ".model": rf" {_NAME} (?:{_JUNCTION}|[np]mos\(level=1\.0{_SQUARE_LAW}\))",
    ".param": rf" {_NAME}={_NUMBER}",
    ".options": _PAIRS,
    ".option": _PAIRS,
    ".temp": rf" {_NUMBER}",
    ".tran": rf"(?: {_NUMBER})+",
    ".print": rf" tran(?: precision=\d+)?(?: v\((?:{_NET}|\*)\))*",
    ".measure": rf" tran {_NAME} find v\({_NET}\) at[ =]{_NUMBER}",
    ".ic": rf" v\({_NET}\)={_VALUE}",
}
_ALLOWED = {word: re.compile(re.escape(word) + form) for word, form in _FORMS.items()}
_ALLOWED |= {letter: re.compile(rf"{letter}[a-z0-9_]* {form}") for letter, form in _PARTS.items()}
_INCLUDE = re.compile(r"""\.include\s+(["'])([^"']+)\1""", re.IGNORECASE)
_ELSEWHERE = re.compile(r"\.(?:lib|inc|incl|include)\b", re.IGNORECASE)
_SHELL = re.compile(r"[`!;$|&\\]|^\s*(?:shell|system|source|exec)\b", re.IGNORECASE)
_COMMANDS = frozenset((".control", ".endc", ".system", ".exec", ".script", ".shell", ".csparam"))
_SECRET = re.compile(r"\*(?:#|\s*ng_script)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement in lower case and SPICE's order of words, its continuations joined; where it begins."""

    file: str
    line: int
    text: str

    @property
    def place(self) -> str:
        """The file and line, for messages."""
        return f"{self.file} line {self.line}"


def read_statements(
    folder: Path, file: str, *, native: bool = False, stands_for: Mapping[str, str] | None = None
) -> Iterator[Statement]:
    """The statements of a file of a package; included files of the same folder stand where they were asked for.

    In place of included files, those are read that `stands_for` names. `native` is Spectre's own language.

    Raises:
        NetlistError: a statement that this project does not write, a command, or a file that is missing, too large or
            outside the folder; names file and line.
    """
    yield from _read(folder, file, native, stands_for or {}, ())


def _read(
    folder: Path, file: str, native: bool, stands_for: Mapping[str, str], open_files: tuple[str, ...]
) -> Iterator[Statement]:
    for statement in _joined(file, text_of(folder, file), native):
        found = _INCLUDE.fullmatch(statement.text)
        if found is None:
            yield _checked(statement)
            continue
        wanted = stands_for.get(found.group(2), found.group(2))
        if wanted in (*open_files, file) or len(open_files) >= _DEPTH:
            raise NetlistError(f"{statement.place}: {wanted} includes itself")
        if Path(wanted).name != wanted or not is_own(folder, wanted):
            raise NetlistError(f"{statement.place}: {wanted!r} is no file of the package; nothing else is included")
        yield from _read(folder, wanted, native, stands_for, (*open_files, file))


def statements_of(lines: Iterable[str], *, native: bool = False) -> Iterator[Statement]:
    """Lines as a dialect just wrote them, in the same form; their file has no name."""
    return _joined("", "\n".join(["*" if not native else "//", *lines]), native)


def text_of(folder: Path, file: str) -> str:
    """A file of a package, as ASCII.

    Raises:
        NetlistError: it is missing, no plain file of the folder, too large, or holds other characters; names the line.
    """
    if Path(file).name != file or not is_own(folder, file):
        raise NetlistError(f"package {folder}: it has no file {file} of its own")
    content = read_bytes(folder / file, NetlistError, most=FILE_LIMIT)
    strange = re.search(rb"[^\n\r -~]", content)
    if strange is not None:
        line = content.count(b"\n", 0, strange.start()) + 1
        raise NetlistError(f"{file} line {line}: it has a character that is not printable ASCII")
    return content.decode("ascii")


def is_own(folder: Path, file: str) -> bool:
    """Return whether a plain file lies in the folder itself, not behind a link."""
    path = folder / file
    return path.is_file() and not path.is_symlink() and path.resolve().parent == folder.resolve()


def _joined(file: str, text: str, native: bool) -> Iterator[Statement]:
    """Statements without comments, one line each."""
    parts: list[str] = []
    begin, length = 0, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if _is_comment(file, number, line, native):
            continue
        more = bool(parts) and (parts[-1].endswith("\\") if native else line.startswith("+"))
        if not more:
            if parts:
                yield _statement(file, begin, parts, native)
            parts, begin, length = [], number, 0
        length += len(line)
        if length > STATEMENT_LIMIT:
            raise NetlistError(f"{file} line {begin}: a statement of more than {STATEMENT_LIMIT:,} characters")
        parts.append(line.strip() if native or not more else line[1:].strip())
    if parts:
        yield _statement(file, begin, parts, native)


def _is_comment(file: str, number: int, line: str, native: bool) -> bool:
    if not line.strip():
        return True
    if native:
        return line.lstrip().startswith("//")
    if _SECRET.match(line.lstrip()):
        raise NetlistError(f"{file} line {number}: {_short(line)!r} is a command to ngspice; packages hold none")
    if number == 1 and not line.startswith("*"):
        raise NetlistError(f"{file} line 1: a package's files begin with a comment, not with {_short(line)!r}")
    return line.startswith("*")


def _statement(file: str, line: int, parts: list[str], native: bool) -> Statement:
    if not native:
        text = " ".join(parts)
        return Statement(file, line, text if _INCLUDE.fullmatch(text) else text.lower())
    joined = " ".join(part.removesuffix("\\").rstrip() for part in parts)
    translated = spice_of(joined)
    if translated is None:
        raise NetlistError(f"{file} line {line}: {_short(joined)!r} is not what harness writes for Spectre")
    return Statement(file, line, translated)


def _checked(statement: Statement) -> Statement:
    text = statement.text
    word = text.split(maxsplit=1)[0]
    if word in _COMMANDS or _SHELL.search(text):
        raise NetlistError(f"{statement.place}: {_short(text)!r} gives a simulator commands; packages hold none")
    if _ELSEWHERE.match(text):
        raise NetlistError(f"{statement.place}: {_short(text)!r} asks for something outside the package")
    allowed = _ALLOWED.get(word if word.startswith(".") else text[0])
    if allowed is None or not allowed.fullmatch(text):
        raise NetlistError(f"{statement.place}: {_short(text)!r} is not what harness writes")
    if "=" in text and text[0] in "bg":
        _check_formula(statement)
    return statement


def _check_formula(statement: Statement) -> None:
    """Refuse a long or deeply nested formula: simulators parse formulas by recursion, and such a one ends them."""
    if len(statement.text) > FORMULA_LIMIT:
        raise NetlistError(
            f"{statement.place}: a formula of {len(statement.text):,} characters; at most {FORMULA_LIMIT:,} are read"
        )
    deepest = max(accumulate({"(": 1, ")": -1}.get(character, 0) for character in statement.text))
    if deepest > _NESTED:
        raise NetlistError(
            f"{statement.place}: a formula with {deepest} levels of parentheses; at most {_NESTED} are read"
        )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."

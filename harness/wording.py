"""Wording of counts, lists, nearest names and commands to type in messages."""

import html
import re
import shlex
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Final

NOTICE: Final = 25
"""Level of what is logged for everyone to see, such as why something takes long: between information and warnings."""
_LIKE = 0.55
"""Similarity to a known name from which on a wrong one is taken for it, from 0 to 1."""
_LONGEST = 100  # characters of a name that are compared
_LISTED = 40
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_PLAIN = {
    "µ": "u", "²": "^2", "³": "^3", "°": " deg ", "±": "+/-", "×": "x", "·": "*", "÷": "/", "–": "-", "—": "-",
    "−": "-", "…": "...", "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "≈": "~", "∞": "inf", "√": "sqrt",
    "‘": "'", "’": "'", "“": '"', "”": '"', "•": "*", "Ω": "Ohm", "\N{OHM SIGN}": "Ohm", "μ": "u",
}  # fmt: skip
_GREEK = re.compile("GREEK (SMALL|CAPITAL) LETTER ([A-Z]+)")


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number of things: ``"1 epoch"``, ``"1,234 cells"``; `plural` is the noun with an s unless it is given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names with commas between them; of more than `most`, the first ones and the last one."""
    return ", ".join(names if len(names) <= most else (*names[: most - 2], f"… {names[-1]}"))


def ranges(found: Sequence[int], most: int = 100) -> str:
    """Return ascending whole numbers, neighbours as a range, of more than `most` ranges the first ones."""
    parts: list[list[int]] = []
    for number in found:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    told = ", ".join(f"{low}" if low == high else f"{low}–{high}" for low, high in parts[:most])
    return told if len(parts) <= most else f"{told} and {sum(b - a + 1 for a, b in parts[most:]):,} more"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a wrong one is most like, whatever its case; None if it is like none."""
    folded = {one.casefold(): one for one in known}
    found = get_close_matches(name.strip().casefold()[:_LONGEST], folded, n=1, cutoff=_LIKE)
    return folded[found[0]] if found else None


def did_you_mean(name: str, known: Collection[str], *, or_list: bool = False) -> str:
    """The end of a message about a wrong name: ``"; did you mean 'iris'?"``.

    If no known name is like it, it is nothing or, with `or_list`, ``"; there are digits, iris, …"``.
    """
    if (found := nearest(name, known)) is not None:
        return f"; did you mean {found!r}?"
    return f"; there are {listed([*known], _LISTED)}" if or_list else ""


def command(*words: object) -> str:
    """A command of this program as a shell takes it: ``harness train --resume 'my run'``."""
    return shlex.join(["harness", *map(str, words)])


def html_table(title: str, rows: Iterable[Sequence[object]], *, heading: Sequence[object] = (), more: str = "") -> str:
    """A small table as HTML, for notebooks: a title, perhaps a heading, and rows; every text is escaped.

    `more` is HTML that follows the table.
    """
    lines = [f"<caption style='text-align:left'><b>{_text(title)}</b></caption>"]
    lines += [_row(heading, "th")] if heading else []
    lines += [_row(row, "td") for row in rows]
    return f"<div><table>{''.join(lines)}</table>{more}</div>"


def _row(cells: Sequence[object], tag: str) -> str:
    made = (f"<{tag} style='text-align:left'>{_text(cell)}</{tag}>" for cell in cells)
    return f"<tr>{''.join(made)}</tr>"


def _text(cell: object) -> str:
    return html.escape(printable(str(cell)))


def printable(text: str) -> str:
    r"""A text from outside without what a terminal would obey: control characters and marks of direction as escapes.

    Line ends and tabs stay. Bytes of a file's name that are no UTF-8 are written like ``\xff``.
    """
    return _CONTROLS.sub(lambda found: _escaped(found.group()), text)


def plain(character: str) -> str:
    """A stand-in in ASCII for a character: ``"u"`` for µ, ``"Ohm"`` for Ω, ``"beta"`` for β, else an escape."""
    if found := _GREEK.fullmatch(unicodedata.name(character, "")):
        name = found.group(2).lower() if found.group(1) == "SMALL" else found.group(2).title()
        return _PLAIN.get(character, name)
    return _PLAIN.get(character) or _escaped(character)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte that is no UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

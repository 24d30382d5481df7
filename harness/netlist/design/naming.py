"""Names and numbers that every reader of netlists takes.

Names are made of ``[a-z0-9_]``, begin with a letter, have no ``__`` (which flat netlists put between the parts of a
path) and are unique. Numbers are plain; a conductance is written as a resistance from which it comes back exactly.
"""

import re
from collections.abc import Iterable
from decimal import Context, Decimal

from harness.errors import CircuitError

VSS = "vss"
"""The net of ground, a port of every cell that needs it."""
JOINT = "__"
"""Between the parts of a path in flat netlists."""
_PRIMITIVES = frozenset(
    (
        *("accuracy", "assert", "bjt", "bsource", "capacitor", "cccs", "ccvs", "core", "corner", "delay", "diode"),
        *("fourier", "hbt", "inductor", "iprobe", "isource", "jfet", "memristor_cell", "mosvar", "mutual_inductor"),
        *("node", "nport", "pcccs", "pccvs", "port", "pvccs", "pvcvs", "quantity", "relay", "resistor", "scccs"),
        *("sccvs", "svccs", "svcvs", "switch", "tline", "transformer", "vbic", "vccs", "vcvs", "vsource", "vswitch"),
        *("winding", "zcccs", "zccvs", "zvccs", "zvcvs"),
    )
)
"""Spectre's components, which stand where subcircuits and models do, and the module of ``memristor.va``."""
_STATEMENTS = frozenset(
    (
        *("ac", "ahdl_include", "alter", "analogmodel", "check", "correlate", "dc", "export", "function", "info"),
        *(
            "mismatch",
            "montecarlo",
            "noise",
            "op",
            "options",
            "paramset",
            "paramtest",
            "process",
            "pss",
            "set",
            "shell",
        ),
        *("sp", "static", "statistics", "sweep", "tf", "tran", "truncate", "vary", "xf"),
    )
)
"""Spectre's analyses and statements."""
RESERVED = (
    _PRIMITIVES
    | _STATEMENTS
    | frozenset(
        (
            *("altergroup", "boltzmann", "else", "end", "ends", "endsection", "for", "freq", "gmin", "gnd", "global"),
            *("ground", "hertz", "ic", "if", "include", "inf", "inline", "library", "model", "nodeset", "param"),
            *(
                "parameters",
                "pi",
                "real",
                "return",
                "save",
                "section",
                "simulator",
                "string",
                "subckt",
                "temp",
                "temper",
            ),
            *("time", "tnom", "to", "top", "vss"),
        )
    )
)
"""Words that some dialect gives a meaning of its own."""
_EXACT = Context(prec=60)


class Names:
    """Gives out names for one kind of thing, none twice."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def claim(self, wanted: str) -> str:
        """`wanted` as it is where that is a plain name that nobody has, else one that resembles it."""
        plain = re.sub(r"_+", "_", re.sub(r"[^a-z0-9_]", "_", wanted.lower())).rstrip("_")
        if not plain[:1].isalpha() or plain in RESERVED:
            plain = f"n{plain}" if plain.startswith("_") else f"n_{plain}".rstrip("_")
        name, count = plain, 1
        while name in self._taken:
            count += 1
            name = f"{plain}_{count}"
        self._taken.add(name)
        return name


def ohms(siemens: float) -> str:
    """The resistance of a conductance above 0 S, with as many digits as `siemens_of` needs to find that very float.

    Raises:
        CircuitError: the conductance is so small that its reciprocal is no number.
    """
    text = repr(1 / siemens)
    if text == "inf":
        raise CircuitError(f"conductance {siemens!r} S: its resistance is beyond all numbers; open the cell (0 S)")
    if siemens_of(text) == siemens:
        return text
    exact = _EXACT.divide(Decimal(1), Decimal(siemens))
    for digits in range(17, 25):
        text = f"{exact:.{digits}g}"
        if siemens_of(text) == siemens:
            return text
    raise AssertionError  # 18 digits tell all floats apart


def siemens_of(text: str) -> float:
    """The float nearest to the reciprocal of a resistance as it is written (Ω), not of its nearest float."""
    return float(_EXACT.divide(Decimal(1), Decimal(text)))


def plain(text: str) -> str:
    """A text of the user's as it may stand in a comment: one line of printable ASCII, without what continues lines."""
    return re.sub(r"[^!-~]+|\\", " ", text).strip()


def code(text: str) -> str:
    """A text of the user's as a code span of Markdown, in which nothing has a meaning."""
    return f"`{plain(text).replace('`', '') or '-'}`"

"""What stands where something sensible should: values, texts and lines that files from strangers may hold."""

from collections.abc import Sequence

EXECUTED = "EXECUTED"
"""A file of this name appears where something from a file was executed."""
_TOUCH = f"touch {EXECUTED}"


class Raw(str):
    """Text for a TOML or JSON file that stands there without quotes."""

    __slots__ = ()


NUMBERS: Sequence[object] = (
    *(0, -1, 1, 2, 3, 17, 99_999, 10**6, 10**9, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)),
    *(-0.0, 0.5, -1.5, 1e-320, 1e-30, 1e30, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
)
RAW = tuple(
    map(
        Raw,
        (
            *(str(2**64), "1" + "0" * 30, "9" * 5000, "1e400", "-1e400", "0x10", "1_0", "01", "1.", ".5", "+1", "--1"),
            *("[" * 2000 + "]" * 2000, '{"a":' * 2000 + "1" + "}" * 2000, "[" * 100, "{a={a={a=1}}}", "{" * 50),
            *("NaN", "nan", "Infinity", "-Infinity", "inf", "null", "None", "True", "true", "undefined", "''"),
            *(
                "1979-05-27",
                "1979-05-27T07:32:00Z",
                "07:32:00",
                '"\\u0000"',
                '"\\ud800"',
                '"\\x"',
                '"',
                "'''",
                "#",
                "=",
            ),
        ),
    )
)
TEXTS: Sequence[str] = (
    *("", " ", "\t", "0", "-1", "nan", "inf", "1e999", "1 uS", "1 u", "5 V", "1e400 V", "-3 S", "1 µS", "1 µS", "７"),
    *(
        "€",
        "naïve",
        "\u202etxt",
        "\u200b",
        "𝟙",
        "é" * 300,
        "[/]",
        "[red]x[/red]",
        "%s%n",
        "{0}",
        "{",
        "}",
        "a" * 10_000,
    ),
    *("x\ny", "x\r\ny", "\x1b[31m", "\x7f", "a,b", '"', "'", "\\", "a b", "#", "--help", "-", "*", "?", "~", "$HOME"),
    *(
        ".",
        "..",
        "/",
        "../../up",
        "/dev/zero",
        "/dev/full",
        "/dev/stdin",
        "/proc/self/mem",
        "/etc/shadow",
        "/nonexistent/x",
    ),
    *(f"$({_TOUCH})", f"`{_TOUCH}`", f"; {_TOUCH}", f"| {_TOUCH}", f"\n.control\nshell {_TOUCH}\n.endc\n"),
    *(f"__import__('os').system('{_TOUCH}')", "../x.npz", "file:///etc/passwd", "http://127.0.0.1:9/x"),
    *("nodal", "ngspice", "layered", "cascade", "graph", "adam", "none", "true", "x0", "0-1", "h1.0"),
)
CONTAINERS: Sequence[object] = (
    *([], {}, [[]], [{}], [1], ["a"], [1, "a"], [None], {"a": 1}, {"": 1}, {"kind": "x"}, [0] * 1000, [[0, 1], [2]]),
    *(True, False, None),
)

FIELDS: Sequence[str] = (
    *(
        "",
        " ",
        "NA",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e308",
        "-1e308",
        "1,5",
        "1.5.2",
        "0x10",
        "1_000",
        "１",
        "−1",
        "1e",
        "x",
    ),
    *(
        '"',
        '"a',
        'a"b',
        '""',
        "'",
        ";",
        "\t",
        "\0",
        "a\nb",
        "é",
        "\ufeff",
        "1" * 5000,
        "=1+1",
        f"=cmd|' /C {_TOUCH}'!A0",
    ),
    *(
        "True",
        "None",
        "null",
        "1 S",
        "12 µS",
        "-0",
        "1e-320",
        "0",
        "1",
        "-1",
        "2.5",
        "99999999999999999999",
        "1j",
        "0.1e0.1",
    ),
)
"""Of tables."""

STATEMENTS: Sequence[str] = (
    *(f".control\nshell {_TOUCH}\n.endc", f"shell {_TOUCH}", f"*#shell {_TOUCH}", f".exec {_TOUCH}", "*ng_script"),
    *(
        ".include /etc/passwd",
        ".include ../outside.cir",
        ".include network.cir",
        ".lib /etc/passwd tt",
        ".include x y z",
    ),
    *(
        ".end",
        ".ends",
        ".subckt a b",
        ".subckt network a a",
        ".ends nothing",
        ".param x={x}",
        ".param a={b}\n.param b={a}",
    ),
    *(
        ".option rshunt=1e3",
        ".options reltol=1",
        ".temp 1e9",
        ".temp x",
        ".tran 1 1e30",
        ".tran 1e-30 1",
        ".dc v1 0 1 1e-12",
    ),
    *(
        ".model d d",
        ".model d1 d(is=0)",
        ".model x npn(bf=1)",
        ".func f(x) {f(x)}",
        ".global 0",
        ".ic v(x)=1e308",
        ".save all",
    ),
    *(
        "r1 0 0 0",
        "r1 a b -1",
        "r1 a b 1e400",
        "r1 a b {1/0}",
        "rx a",
        "r a b nan",
        "v1 a 0 1e308",
        "v1 a 0 dc {",
        "x1 a b x1",
    ),
    *(
        "x1 network",
        "e1 a 0 a 0 1e30",
        "b1 a 0 v={" + "(" * 3000 + "1" + ")" * 3000 + "}",
        "b1 a 0 v={" + "1+" * 3000 + "1}",
    ),
    *(
        "c1 a 0 1",
        "l1 a 0 1",
        "q1 a b c m",
        "m1 a b c d m",
        "a1 [a] [b] m",
        "n1 a b m",
        "z1 a b m",
        "+ x",
        "+",
        "*",
        "$",
        ";",
    ),
    *(
        "r1 a b " + "1" * 5000,
        "r" + "a" * 20_000 + " a b 1",
        ".print v(x) > file",
        f".print v(x) | {_TOUCH}",
        ".measure dc x",
    ),
    *(
        "é",
        "\0",
        "\t",
        "simulator lang=spice",
        'ahdl_include "../x.va"',
        'include "/etc/passwd"',
        ".hdl x",
        ".plot v(a)",
        ".width",
    ),
)
"""Lines of netlists."""

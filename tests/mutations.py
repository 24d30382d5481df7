"""Small damage and malice for the files of a package, seeded; campaigns may draw as many as they like."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

Change = Callable[[bytes, random.Random], bytes]

_WORDS = (
    *(b"1e999", b"-1", b"nan", b"0", b"1e-400", b"9" * 400, b"1e308", b"\0", b"\xff\xfe", b"", b"\r", b"\x1b[2J"),
    *(b"\n.control\nshell touch ran\n.endc\n", b"\n*# shell touch ran\n", b"\n.include /etc/passwd\n", b"`touch ran`"),
    *(b"(" * 300, b"\n+ " * 300, b"[" * 3000, b'{"a":' * 3000, b"\n.temp 99\n", b"\n.options temp=99\n", b".end\n"),
)


def flip(content: bytes, rng: random.Random) -> bytes:
    """Change a few bytes to any others."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    """Leave out the end, or a piece."""
    begin = rng.randrange(len(content) + 1)
    return content[:begin] + (b"" if rng.random() < 0.5 else content[begin + rng.randint(1, 40) :])


def insert(content: bytes, rng: random.Random) -> bytes:
    """Put something absurd or malicious anywhere."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(_WORDS) + content[place:]


def number(content: bytes, rng: random.Random) -> bytes:
    """Put something absurd in place of a number."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", content))
    if not found:
        return content
    chosen = rng.choice(found)
    return content[: chosen.start()] + rng.choice(_WORDS) + content[chosen.end() :]


def lines(content: bytes, rng: random.Random) -> bytes:
    """Drop, double or swap lines."""
    rows = content.split(b"\n")
    one, other = rng.randrange(len(rows)), rng.randrange(len(rows))
    match rng.randrange(3):
        case 0:
            del rows[one]
        case 1:
            rows.insert(other, rows[one])
        case _:
            rows[one], rows[other] = rows[other], rows[one]
    return b"\n".join(rows)


def value(content: bytes, rng: random.Random) -> bytes:
    """Put a value of another kind, or none, anywhere into JSON; what is no JSON stays as it is."""
    try:
        whole = json.loads(content)
    except ValueError:
        return content
    parent: dict[object, object] | list[object] | None = None
    inner, key = whole, None
    while isinstance(inner, (dict, list)) and inner and (parent is None or rng.random() < 0.8):
        parent, key = inner, rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        inner = inner[key]
    if parent is not None:
        if rng.random() < 0.3:
            del parent[key]  # type: ignore[arg-type] # key is of the kind that parent takes
        else:
            odd = (None, True, -1, 0, 10**18, 1.5, 1e308, "", "x\n.end", [], {}, [[]], {"a": 1}, "9" * 5000, [1] * 1000)
            parent[key] = rng.choice(odd)  # type: ignore[index]
    return json.dumps(whole).encode()


CHANGES: tuple[Change, ...] = (flip, cut, insert, number, lines, value)


def mutate(folder: Path, seed: int) -> str:
    """Change one to three files of a folder, and say which."""
    rng = random.Random(seed)
    told = []
    for _ in range(rng.randint(1, 3)):
        file = rng.choice(sorted(path for path in folder.iterdir() if path.is_file()))
        change = rng.choice(CHANGES)
        file.write_bytes(change(file.read_bytes(), rng))
        told.append(f"{change.__name__} {file.name}")
    return f"seed {seed}: {', '.join(told)}"

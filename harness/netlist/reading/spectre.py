"""Spectre's native statements, as this project writes them, in SPICE's words."""

import re
from collections.abc import Callable

_INSTANCE = re.compile(r"([a-z][a-z0-9_]*) \(([a-z0-9_ ]+)\) ([a-z][a-z0-9_]*)(?: (.+))?")
_MASTERS: dict[str, tuple[str, Callable[[dict[str, str]], str]]] = {
    "resistor": ("r", lambda given: given["r"]),
    "vcvs": ("gain", lambda given: given["gain"]),
    "vccs": ("gm", lambda given: given["gm"]),
    "cccs": ("probe gain", lambda given: f"{given['probe']} {given['gain']}"),
    "isource": ("dc", lambda given: given["dc"]),
    "bsource": ("i", lambda given: f"i={given['i']}"),
}


def spice_of(statement: str) -> str | None:
    """One statement, its continuations joined; None for what this project does not write.

    An empty ``.options`` stands for a statement that says nothing about the network.
    """
    match statement.split():
        case ["simulator", "lang=spectre"]:
            return ".options"
        case ["include", file] if re.fullmatch(r'"[^"]+"', file):
            return f".include {file}"
        case ["parameters", pair]:
            return f".param {pair}"
        case ["model", name, "diode", *pairs]:
            return f".model {name} d({' '.join(pairs)})"
        case ["model", name, "mos1", "type=n" | "type=p" as polarity, *pairs]:
            return f".model {name} {polarity[-1]}mos(level=1.0 {' '.join(pairs)})"
        case ["subckt", name, *nets]:
            ports = re.fullmatch(r"\(([a-z0-9_ ]+)\)", " ".join(nets))
            return f".subckt {name} {ports.group(1)}" if ports else None
        case ["ends", name]:
            return f".ends {name}"
        case ["accuracy" | "keep", "options", *pairs]:
            return " ".join([".options", *(pair for pair in pairs if pair != "save=all")])
        case ["samples", "tran", *pairs]:
            return " ".join([".options", *pairs])
    return _instance(statement)


def _instance(statement: str) -> str | None:
    found = _INSTANCE.fullmatch(statement)
    if found is None:
        return None
    name, nets, master, rest = found.groups()
    if master == "vsource":
        return _source(name, nets, rest or "")
    if master not in _MASTERS:
        return f"{name} {nets} {master}{f' {rest}' if rest else ''}"
    wanted, written = _MASTERS[master]
    given = dict(pair.split("=", 1) for pair in (rest or "").split() if "=" in pair)
    return f"{name} {nets} {written(given)}" if [*given] == wanted.split() else None


def _source(name: str, nets: str, rest: str) -> str | None:
    if wave := re.fullmatch(r"type=pwl wave=\[([^\]=]+)\]", rest):
        return f"{name} {nets} pwl({wave.group(1)})"
    return f"{name} {nets} {rest.removeprefix('dc=')}" if rest.startswith("dc=") else None

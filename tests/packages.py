"""Exported packages as decks for tests, by other means than the project's own reader."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from harness.netlist.design.mapping import probe
from harness.netlist.design.parts import flat_net
from harness.netlist.dialects import DIALECTS, Phase
from harness.netlist.package.manifest import MAP, read_manifest

_INCLUDE = re.compile(r"""\s*\.?include\s+["']?([^"'\s]+)["']?\s*""", re.IGNORECASE)


def deck_lines(folder: Path, phase: Phase, *, flat: bool = False) -> list[str]:
    """A testbench with its files in their places; the flat network stands in for the hierarchical one if wanted."""
    suffix = DIALECTS[read_manifest(folder)["dialect"]].suffix
    stands_for = {f"network.{suffix}": f"flat.{suffix}"} if flat else {}

    def lines(name: str) -> Iterator[str]:
        for line in (folder / stands_for.get(name, name)).read_text(encoding="ascii").splitlines():
            if found := _INCLUDE.fullmatch(line):
                yield from lines(found.group(1))
            else:
                yield line

    return list(lines(f"testbench_{phase}.{suffix}"))


def probes(folder: Path, *, flat: bool = False) -> dict[str, str]:
    """What results call the voltage of each node of the circuit, by the node's own name."""
    joint = DIALECTS[read_manifest(folder)["dialect"]].joint
    mapped = json.loads((folder / MAP).read_text())
    paths = {node: flat_net(tuple(path.split("."))) if flat else path for node, path in mapped["nodes"].items()}
    return {node: probe(path, mapped, joint) for node, path in paths.items()}

"""The statistical files of a package: the network with draws, and testbenches for every temperature."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.netlist.design.parts import Design
from harness.netlist.dialects import NGSPICE, Stimulus
from harness.netlist.dialects.spice import Spice
from harness.netlist.statistics import ngspice
from harness.netlist.statistics.laws import Statistics, Words
from harness.netlist.statistics.network import DrawnNetwork
from harness.netlist.statistics.testbench import Bench

NETWORK = "statistics"
"""Stem of the file with the network."""
Loop = Callable[[Bench, Sequence[int], str, float], Iterator[str]]


@dataclass(frozen=True)
class Style:
    """A dialect's words for draws, and its analyses of many chips."""

    dialect: Spice
    words: Words
    montecarlo: Loop
    corners: Loop
    command: Callable[[str], str]
    """The command that simulates the testbench of that stem."""
    about: str
    """Sentences on what comes out, and how many chips there are."""


STYLES: dict[str, Style] = {
    NGSPICE.name: Style(NGSPICE, ngspice.WORDS, ngspice.montecarlo, ngspice.corners, ngspice.command, ngspice.ABOUT)
}
"""By the dialect's name."""


def statistical_files(
    design: Design, style: Style, stimulus: Stimulus, rows: Sequence[int], statistics: Statistics
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield stem, title and lines of every statistical file."""
    dialect = style.dialect
    yield (
        NETWORK,
        "network with draws, in place of models and network",
        list(DrawnNetwork(design, dialect, style.words, statistics).lines()),
    )
    bench = Bench(design, dialect, style.words, stimulus, statistics)
    file = f"{NETWORK}.{dialect.suffix}"
    for celsius in statistics.temperatures:
        for name, loop, drawn in (("montecarlo", style.montecarlo, True), ("corners", style.corners, False)):
            if name == "corners" and not statistics.common:
                continue
            stem = f"{name}_{degrees(celsius)}"
            lines = [*bench.switches(own=drawn, common=drawn), *bench.head(celsius, file), *bench.body()]
            yield stem, f"{name} at {celsius:g} C", [*lines, *loop(bench, rows, stem, celsius)]


def degrees(celsius: float) -> str:
    """A temperature in a file's name: ``27c``, ``m40c``, ``27p5c``."""
    return f"{celsius:g}c".replace("-", "m").replace(".", "p")

"""The statistical files of a package: the network with draws, and testbenches for every temperature."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from harness.netlist.design.parts import Design
from harness.netlist.dialects import HSPICE, LTSPICE, NGSPICE, SPECTRE, XYCE, Dialect, Stimulus
from harness.netlist.dialects.spice import Spice
from harness.netlist.statistics import measured, ngspice, spectre
from harness.netlist.statistics.laws import COMMON, CORNER, OWN, Statistics, Words
from harness.netlist.statistics.network import DrawnNetwork
from harness.netlist.statistics.spectre import SpectreChips
from harness.netlist.statistics.testbench import Bench

NETWORK = "statistics"
"""Stem of the file with the network."""
Loop = Callable[[Bench, Sequence[int], str, float], Iterator[str]]


@dataclass(frozen=True)
class Many:
    """The network, its testbench and its spread, of which statistical files are made."""

    design: Design
    stimulus: Stimulus
    rows: Sequence[int]
    """Numbers of the samples among the held-out rows."""
    statistics: Statistics


class Style(Protocol):
    """A dialect's statistics."""

    dialect: Dialect
    program: str
    """The program with its options before a testbench."""
    about: str
    """Sentences on what comes out, and how many chips there are."""

    def command(self, stem: str) -> str:
        """The command that simulates the testbench of that stem."""
        return f"{self.program} {stem}.{self.dialect.suffix}"

    def network(self, many: Many) -> Iterator[str]:
        """Yield the lines of the network with draws."""

    def testbench(self, many: Many, stem: str, celsius: float, *, drawn: bool) -> Iterator[str]:
        """Yield the lines of a testbench of many chips, or of the corners where nothing is drawn."""


@dataclass(frozen=True)
class SpiceStyle(Style):
    """The statistics of a dialect of SPICE."""

    dialect: Spice
    words: Words
    montecarlo: Loop
    corners: Loop
    program: str
    about: str
    common: tuple[str, str]
    """Values of what devices share, in a Monte-Carlo and in corners."""
    stepped: str = ".param"
    """The statement of a parameter that steps from corner to corner; empty where a loop of commands sets parameters."""

    @override
    def network(self, many: Many) -> Iterator[str]:
        return DrawnNetwork(many.design, self.dialect, self.words, many.statistics).lines()

    @override
    def testbench(self, many: Many, stem: str, celsius: float, *, drawn: bool) -> Iterator[str]:
        bench = Bench(many.design, self.dialect, self.words, many.stimulus, many.statistics)
        yield from self._switches(many.statistics, drawn=drawn)
        yield from bench.head(celsius, f"{NETWORK}.{self.dialect.suffix}")
        yield from bench.body()
        yield from (self.montecarlo if drawn else self.corners)(bench, many.rows, stem, celsius)

    def _switches(self, statistics: Statistics, *, drawn: bool) -> Iterator[str]:
        """Yield the parameters that say what is drawn."""
        word = ".param" if drawn else self.stepped or ".param"
        if not drawn and self.stepped:
            yield f"{word} {CORNER}=0"
        yield from (f".param {switch}={int(drawn)}" for switch in (OWN, COMMON))
        yield from (f"{word} {name}={self.common[not drawn]}" for name in statistics.common)


@dataclass(frozen=True)
class SpectreStyle(Style):
    """The statistics of Spectre."""

    dialect: Dialect
    program: str
    about: str

    @override
    def network(self, many: Many) -> Iterator[str]:
        return SpectreChips(many.design, many.stimulus, many.statistics).network()

    @override
    def testbench(self, many: Many, stem: str, celsius: float, *, drawn: bool) -> Iterator[str]:
        return SpectreChips(many.design, many.stimulus, many.statistics).testbench(celsius, drawn=drawn)


STYLES: dict[str, Style] = {
    NGSPICE.name: SpiceStyle(
        NGSPICE, ngspice.WORDS, ngspice.montecarlo, ngspice.corners, "ngspice -b", ngspice.ABOUT, ("0", "0"), ""
    ),
    XYCE.name: SpiceStyle(
        XYCE,
        measured.XYCE,
        measured.xyce_montecarlo,
        measured.xyce_corners,
        "Xyce",
        measured.XYCE_ABOUT,
        ("{agauss(0,1,1)}", "{corner}"),
        ".global_param",
    ),
    LTSPICE.name: SpiceStyle(
        LTSPICE,
        measured.LTSPICE,
        measured.ltspice_montecarlo,
        measured.ltspice_corners,
        "LTspice -b",
        measured.LTSPICE_ABOUT,
        ("{gauss(1)}", "{corner}"),
    ),
    HSPICE.name: SpiceStyle(
        HSPICE,
        measured.HSPICE,
        measured.hspice_montecarlo,
        measured.hspice_corners,
        "hspice",
        measured.HSPICE_ABOUT,
        ("agauss(0,1,1)", "corner"),
    ),
    SPECTRE.name: SpectreStyle(SPECTRE, "spectre", spectre.ABOUT),
}
"""By the dialect's name."""


def statistical_files(style: Style, many: Many) -> Iterator[tuple[str, str, list[str]]]:
    """Yield stem, title and lines of every statistical file."""
    yield NETWORK, "network with draws, in place of models and network", list(style.network(many))
    for celsius in many.statistics.temperatures:
        for name, drawn in (("montecarlo", True), ("corners", False)):
            if drawn or many.statistics.common:
                stem = f"{name}_{degrees(celsius)}"
                yield stem, f"{name} at {celsius:g} C", list(style.testbench(many, stem, celsius, drawn=drawn))


def degrees(celsius: float) -> str:
    """A temperature in a file's name: ``27c``, ``m40c``, ``27p5c``."""
    return f"{celsius:g}c".replace("-", "m").replace(".", "p")

"""Monte-Carlo of Xyce, LTspice and HSPICE: their own analyses of many chips, with measures of every reading."""

from collections.abc import Iterator, Sequence

from harness.netlist.design.naming import JOINT
from harness.netlist.dialects.base import wrapped
from harness.netlist.dialects.spice import measures, tran
from harness.netlist.statistics.laws import CHIPS, CORNER, CORNERS, SEED, Words
from harness.netlist.statistics.testbench import RIGHT, Bench
from harness.units import spice_number

_ACCURACY = "accuracy"

XYCE = Words(
    normal="agauss(0,1,1)",
    uniform="aunif(0.5,0.5)",
    choice=lambda condition, yes, no: f"if({condition},{yes},{no})",
    parameter=lambda name: name,
)
LTSPICE = Words(
    normal="gauss(1)",
    uniform="(0.5+flat(0.5))",
    choice=lambda condition, yes, no: f"if({condition},{yes},{no})",
    parameter=lambda name: name,
)
HSPICE = Words(
    normal="agauss(0,1,1)",
    uniform="aunif(0.5,0.5)",
    choice=lambda condition, yes, no: f"(({condition})?({yes}):({no}))",
    parameter=lambda name: name,
)
_LEVELS = " ".join(f"{deviations:g}" for deviations in CORNERS.values())

XYCE_ABOUT = f"""\
Each measures the accuracy over the held-out rows as `accuracy`, and every reading. Xyce prints the mean and the
standard deviation of the accuracy of {CHIPS} chips (`numsamples`). It draws every device where its line has a draw, and
what devices share once for a chip. Without `.sampling` every draw is its mean."""
LTSPICE_ABOUT = f"""\
Each measures the accuracy over the held-out rows as `accuracy`, and every reading; the log has them for each of the
{CHIPS} chips, which are steps of `chip`. LTspice draws every device anew in each step, and what devices share once."""
HSPICE_ABOUT = f"""\
Each measures the accuracy over the held-out rows as `accuracy`, and every reading; the .mt0 has them for each of the
{CHIPS} chips (`monte`), and the listing their mean and standard deviation. HSPICE draws every device where its line
has a draw, and what devices share once for a chip."""


def xyce_montecarlo(bench: Bench, rows: Sequence[int], stem: str, celsius: float) -> Iterator[str]:
    """Yield Xyce's analysis of many chips."""
    yield from _analysis(bench, rows, stem, celsius, tran(bench.stimulus), "eqn {", "}")
    yield ".sampling useexpr=true"
    yield f".options samples numsamples={CHIPS} sample_type=mc seed={SEED}"
    if bench.statistics.classes is not None:
        yield f"+ measures={_ACCURACY} output_sample_stats=true stdoutput=true"
    yield ".end"


def xyce_corners(bench: Bench, rows: Sequence[int], stem: str, celsius: float) -> Iterator[str]:
    """Yield Xyce's steps from corner to corner."""
    yield from _analysis(bench, rows, stem, celsius, tran(bench.stimulus), "eqn {", "}")
    yield f".step {CORNER} list {_LEVELS}"
    yield ".end"


def ltspice_montecarlo(bench: Bench, rows: Sequence[int], stem: str, celsius: float) -> Iterator[str]:
    """Yield LTspice's steps from chip to chip."""
    yield from _analysis(bench, rows, stem, celsius, tran(bench.stimulus), "param ")
    yield f".step param chip 1 {CHIPS} 1"
    yield ".end"


def ltspice_corners(bench: Bench, rows: Sequence[int], stem: str, celsius: float) -> Iterator[str]:
    """Yield LTspice's steps from corner to corner."""
    yield from _analysis(bench, rows, stem, celsius, tran(bench.stimulus), "param ")
    yield f".step param {CORNER} list {_LEVELS}"
    yield ".end"


def hspice_montecarlo(bench: Bench, rows: Sequence[int], stem: str, celsius: float) -> Iterator[str]:
    """Yield HSPICE's analysis of many chips."""
    yield f".option seed={SEED}"
    yield from _analysis(bench, rows, stem, celsius, _hspice(bench, f"monte={CHIPS}"), "param='", "'")
    yield ".end"


def hspice_corners(bench: Bench, rows: Sequence[int], stem: str, celsius: float) -> Iterator[str]:
    """Yield HSPICE's sweep from corner to corner."""
    swept = f"{CORNER} poi {len(CORNERS)} {_LEVELS}"
    yield from _analysis(bench, rows, stem, celsius, _hspice(bench, swept), "param='", "'")
    yield ".end"


def _hspice(bench: Bench, swept: str) -> str:
    step = spice_number(bench.stimulus.middle(0))
    return f".tran {step} {spice_number(bench.stimulus.stop)} sweep {swept}"


def _analysis(
    bench: Bench, rows: Sequence[int], stem: str, celsius: float, analysis: str, begin: str, end: str = ""
) -> Iterator[str]:
    """The analysis in time of one chip, every reading, and the accuracy, whose formula is between two texts."""
    del rows, stem, celsius
    yield analysis
    yield from measures(bench.stimulus, bench.read_nets())
    if bench.statistics.classes is not None:
        yield from measures(bench.stimulus, [RIGHT])
        samples = range(len(bench.stimulus))
        hits = [f"{'+' if sample else '('}{RIGHT}{JOINT}s{sample}" for sample in samples]
        yield from wrapped(
            [".measure", "tran", _ACCURACY, *f"{begin}{hits[0]}".split(), *hits[1:], f")/{len(hits)}{end}"]
        )

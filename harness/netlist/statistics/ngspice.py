"""ngspice's Monte-Carlo: a loop that draws what devices share, and reads the network anew for their own draws.

ngspice draws a parameter anew wherever it is used, so that one that holds a draw is not the same for two devices.
Therefore the loop itself draws what they share, and sets plain parameters.
"""

from collections.abc import Iterator, Sequence

from harness.netlist.design.naming import VSS
from harness.netlist.dialects.spice import tran
from harness.netlist.statistics.laws import CHIPS, CORNERS, SEED, Words
from harness.netlist.statistics.testbench import RIGHT, Bench

WORDS = Words(
    normal="agauss(0,1,1)",
    uniform="aunif(0.5,0.5)",
    choice=lambda condition, yes, no: f"(({condition})?({yes}):({no}))",
    parameter=lambda name: f"{{{name}}}",
)

ABOUT = f"""\
They print the accuracy over the held-out rows, and write every reading to a table of the same name that ends in .csv,
to six digits.
There are {CHIPS} chips (`let chips`), drawn from the seed at `setseed`. A deck of your own that includes
`statistics.cir` sets the parameters below, and gives `reset` for a new chip: ngspice then draws every device anew. What
devices share must come as a number, as a parameter that holds a draw differs wherever it is used."""


def montecarlo(bench: Bench, rows: Sequence[int], stem: str, celsius: float) -> Iterator[str]:
    """Yield the commands that make chips, and write and print what they read."""
    common = bench.statistics.common
    yield ".control"
    yield f"setseed {SEED}"
    yield f"let chips = {CHIPS}"
    yield from _begin(bench, rows, f"{stem}.csv", "chip")
    yield "let parts = vector(chips)"
    yield "let chip = 0"
    yield "dowhile chip < chips"
    for name in common:
        yield "let draw = sgauss(0)"
        yield f"alterparam {name} = $&draw"
    yield from _measured(bench, f"{stem}.csv", "$&const.chip", len(rows))
    yield "let parts[chip] = part"
    yield "let chip = chip + 1"
    yield "end"
    yield f'echo "{stem}.csv has every reading of $&chips chips at {celsius:g} C"'
    if bench.statistics.classes is not None:
        yield "let center = mean(parts)"
        yield "let deviation = sqrt(mean((parts - center) * (parts - center)) * chips / max(chips - 1, 1))"
        yield 'echo "accuracy: mean $&center, standard deviation $&deviation"'
    yield from _end()


def corners(bench: Bench, rows: Sequence[int], stem: str, celsius: float) -> Iterator[str]:
    """Yield the commands that go to every corner, and write and print what is read there."""
    common = bench.statistics.common
    yield ".control"
    yield from _begin(bench, rows, f"{stem}.csv", "corner")
    for corner, deviations in CORNERS.items():
        yield from (f"alterparam {name} = {deviations:g}" for name in common)
        yield from _measured(bench, f"{stem}.csv", corner, len(rows))
        if bench.statistics.classes is not None:
            yield f'echo "accuracy at {celsius:g} C, {corner}: $&const.part"'
    yield f'echo "{stem}.csv has every reading"'
    yield from _end()


def _begin(bench: Bench, rows: Sequence[int], file: str, what: str) -> Iterator[str]:
    """The held-out rows' numbers, and the heading of the table."""
    yield "let part = 0"
    yield f"compose rows values {' '.join(map(str, rows))}"
    right = ",right" if bench.statistics.classes is not None else ""
    names = ",".join(output.name for output in bench.design.outputs)
    yield f'echo "{what},row{right},{names}" > {file}'


def _measured(bench: Bench, file: str, key: str, rows: int) -> Iterator[str]:
    """One chip: all rows one after the other, each read in the middle of its hold."""
    scored = bench.statistics.classes is not None
    probes = " ".join(f"v({net})" for net in [*bench.read_nets(), *([RIGHT] if scored else [])])
    yield "reset"
    yield f"save {probes}"
    yield tran(bench.stimulus)[1:]
    yield f"linearize {probes}"
    yield "let hits = 0"
    yield "let k = 0"
    yield f"dowhile k < {rows}"
    yield "let at = 2 * k + 1"
    yield "let row = const.rows[k]"
    right = ""
    if scored:
        yield f"let right = v({RIGHT})[at]"
        yield "let hits = hits + right"
        right = ",$&right"
    for k, output in enumerate(bench.design.outputs):
        plus, minus = (f"v({net})[at]" if net != VSS else "0" for net in (output.plus, output.minus))
        yield f"let y{k} = {plus} - {minus}" if minus != "0" else f"let y{k} = {plus}"
    shown = ",".join(f"$&y{k}" for k in range(len(bench.design.outputs)))
    yield f'echo "{key},$&row{right},{shown}" >> {file}'
    yield "let k = k + 1"
    yield "end"
    yield f"let const.part = hits / {rows}"
    yield "destroy all"


def _end() -> Iterator[str]:
    yield "quit"
    yield ".endc"
    yield ".end"

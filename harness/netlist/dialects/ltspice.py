"""LTspice: results uncompressed and in full digits, ``:`` in paths; comments within a line begin with ``;``."""

from harness.devices.diode import GMIN, TEMPERATURE
from harness.netlist.dialects.spice import Grammar, Spice, measures, named, tran
from harness.netlist.tolerances import CONDITIONS, Tolerances
from harness.units import spice_number


def _options(tolerances: Tolerances, celsius: float) -> list[str]:
    bounds = {"reltol": tolerances.reltol, "vntol": tolerances.vntol, "abstol": tolerances.abstol, "gmin": GMIN}
    return [
        f".options {named(bounds)}",
        f".options tnom={spice_number(TEMPERATURE)} plotwinsize=0 numdgt=15 measdgt=15",
        f".temp {spice_number(celsius)}",
    ]


LTSPICE = Spice(
    "ltspice",
    "LTspice",
    "cir",
    "LTspice -b testbench_free.cir            # writes testbench_free.raw and .log",
    Grammar(
        value=lambda name: f"{{{name}}}",
        behavioural=lambda name, a, b, formula: f"b{name} {a} {b} i={formula}",
        options=_options,
        conditions={name: name for name in CONDITIONS} | dict.fromkeys(("plotwinsize", "numdgt", "measdgt"), ""),
        analysis=lambda stimulus, nets: [tran(stimulus), *measures(stimulus, nets)],
    ),
    joint=":",
)

"""HSPICE: quotes around expressions and files, no braces; sources by a formula are ``g`` elements."""

from collections.abc import Sequence

from harness.devices.diode import GMIN, TEMPERATURE
from harness.netlist.dialects.base import Stimulus
from harness.netlist.dialects.spice import Grammar, Spice, measures, named
from harness.netlist.tolerances import CONDITIONS, Tolerances
from harness.units import spice_number


def _options(tolerances: Tolerances, celsius: float) -> list[str]:
    bounds = {"reltol": tolerances.reltol, "vntol": tolerances.vntol, "abstol": tolerances.abstol}
    return [
        f".option {named(bounds)}",
        f".option {named({'gmin': GMIN, 'gmindc': GMIN, 'tnom': TEMPERATURE})}",
        ".option post=2 ingold=2 numdgt=10 measdgt=10",
        f".temp {spice_number(celsius)}",
    ]


def _analysis(stimulus: Stimulus, nets: Sequence[str]) -> list[str]:
    step = spice_number(stimulus.middle(0))
    return [f".tran {step} {spice_number(stimulus.stop)}", *measures(stimulus, nets)]


HSPICE = Spice(
    "hspice",
    "HSPICE",
    "sp",
    "hspice testbench_free.sp                 # writes testbench_free.tr0 and .mt0",
    Grammar(
        value=lambda name: f"'{name}'",
        behavioural=lambda name, a, b, formula: f"g{name} {a} {b} cur='{formula}'",
        options=_options,
        conditions={name: name for name in CONDITIONS}
        | {"gmindc": "gmin"}
        | dict.fromkeys(("post", "ingold", "numdgt", "measdgt"), ""),
        analysis=_analysis,
        quote="'",
    ),
)

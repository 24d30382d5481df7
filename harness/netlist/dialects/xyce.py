"""Xyce: formulas in braces, an options line for each package, ``:`` in paths."""

from collections.abc import Sequence

from harness.devices.diode import GMIN, TEMPERATURE
from harness.netlist.dialects.base import Bench, wrapped
from harness.netlist.dialects.spice import Grammar, Spice, measures, named
from harness.netlist.settings import Tolerances
from harness.units import spice_number


def _options(tolerances: Tolerances) -> list[str]:
    """``abstol`` of Xyce's packages is on voltages, ``rhstol`` on the currents that are left over."""
    newton = {"reltol": tolerances.reltol, "abstol": tolerances.vntol, "rhstol": tolerances.abstol}
    return [
        f".options device {named({'gmin': GMIN, 'temp': TEMPERATURE, 'tnom': TEMPERATURE})}",
        f".options nonlin {named(newton)}",
        f".options nonlin-tran {named(newton)}",
    ]


def _analysis(bench: Bench, nets: Sequence[str]) -> list[str]:
    step = spice_number(bench.middle(0))
    return [
        f".tran {step} {spice_number(bench.stop)} 0 {step}",
        *wrapped([".print", "tran", "precision=17", *(f"v({net})" for net in nets)]),
        *measures(bench, nets, "at="),
    ]


XYCE = Spice(
    "xyce",
    "Xyce",
    "cir",
    Grammar(
        value=lambda name: f"{{{name}}}",
        behavioural=lambda name, a, b, formula: f"b{name} {a} {b} i={{{formula}}}",
        options=_options,
        analysis=_analysis,
        subcircuit_parameters="PARAMS:",
    ),
    joint=":",
)

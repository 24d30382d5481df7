"""Xyce: formulas in braces, an options line for each package, ``:`` in paths."""

from collections.abc import Sequence

from harness.devices.diode import GMIN, TEMPERATURE
from harness.netlist.dialects.base import Stimulus, wrapped
from harness.netlist.dialects.spice import Grammar, Spice, measures, named, tran
from harness.netlist.tolerances import Tolerances

_RHSTOL = 1e-12
"""Bound of the residual's 2-norm: what rounding leaves of volts in the sources' rows must stay below it."""
_NONLINEAR = {"reltol": "reltol", "abstol": "vntol", "rhstol": ""}


def _options(tolerances: Tolerances, celsius: float) -> list[str]:
    """``abstol`` is on the unknowns, volts; ``rhstol`` on the 2-norm of the residual: nodes' A, sources' V.

    See ``.OPTIONS NONLIN`` in Xyce's reference guide.
    """
    newton = {"reltol": tolerances.reltol, "abstol": tolerances.vntol, "rhstol": _RHSTOL}
    return [
        f".options device {named({'gmin': GMIN, 'temp': celsius, 'tnom': TEMPERATURE})}",
        f".options nonlin {named(newton)}",
        f".options nonlin-tran {named(newton)}",
    ]


def _analysis(stimulus: Stimulus, nets: Sequence[str]) -> list[str]:
    printed = wrapped([".print", "tran", "precision=17", *(f"v({net})" for net in nets)])
    return [tran(stimulus), *printed, *measures(stimulus, nets)]


XYCE = Spice(
    "xyce",
    "Xyce",
    "cir",
    "Xyce testbench_free.cir                  # writes testbench_free.cir.prn and .mt0",
    Grammar(
        value=lambda name: f"{{{name}}}",
        behavioural=lambda name, a, b, formula: f"b{name} {a} {b} i={{{formula}}}",
        options=_options,
        conditions={f"device {name}": name for name in ("gmin", "temp", "tnom")}
        | {f"{package} {name}": meant for package in ("nonlin", "nonlin-tran") for name, meant in _NONLINEAR.items()},
        analysis=_analysis,
        subcircuit_parameters="PARAMS:",
    ),
    joint=":",
)

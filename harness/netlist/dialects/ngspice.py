"""ngspice: values of parameters in braces, ``b`` sources, one line of options, ``.`` in paths.

A subcircuit has at most 1,004 ports and global nodes (``N_GLOBAL_NODES`` of ``subckt.c``), else ngspice 39 exits.
"""

from collections.abc import Sequence

from harness.netlist.dialects.base import Stimulus, wrapped
from harness.netlist.dialects.spice import Grammar, Spice, measures, tran
from harness.netlist.tolerances import CONDITIONS, Conditions, options_of


def _analysis(stimulus: Stimulus, nets: Sequence[str]) -> list[str]:
    """Return the analysis and what it prints.

    Without the last number ngspice would take at least 50 steps; ``-b`` runs only what prints something.
    """
    printed = wrapped([".print", "tran", *(f"v({net})" for net in nets)])
    return [tran(stimulus), *printed, *measures(stimulus, nets)]


NGSPICE = Spice(
    "ngspice",
    "ngspice",
    "cir",
    "ngspice -b testbench_free.cir            # prints outputs; add -r free.raw for every node",
    Grammar(
        value=lambda name: f"{{{name}}}",
        behavioural=lambda name, a, b, formula: f"b{name} {a} {b} i={formula}",
        options=lambda tolerances, celsius: [options_of(Conditions(tolerances, celsius))],
        conditions={name: name for name in CONDITIONS},
        analysis=_analysis,
    ),
    most_ports=1000,
)

"""`harness doctor`: the parts of this machine, and circuits whose answers are known in closed form."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.special import lambertw

import harness
from harness.chip.base import Chip
from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.ngspice.session import open_session
from harness.chip.nodal.chip import NodalChip
from harness.circuit import GROUND, Circuit, Crossbar, Diode, InputSource, Output
from harness.devices import DiodeModel
from harness.devices.diode import THERMAL_VOLTAGE
from harness.errors import NgspiceMissing
from harness.files.reading import JsonObject
from harness.measurement import Drive
from harness.netlist.tolerances import TIGHT
from harness.processes.versions import versions
from harness.studies.check import Check

_VOLTS = 1.0
_CONDUCTANCE = 1e-3
_DIODE = DiodeModel("dknown", 1e-6, 2.0)
_FAINT = 1e-9
"""S; a leak of 1e12 Ω from its node shifts it by 1 mV."""
_GMIN = 1e-12
"""S, which SPICE puts across every junction."""


def examine() -> tuple[JsonObject, list[Check], NgspiceMissing | None]:
    """Return what was found, by part; the checks of the solvers; and the error where ngspice is missing."""
    packages = ("PySpice", "numpy", "scipy", "pandas", "scikit-learn", "matplotlib")
    found: JsonObject = {
        "harness": harness.__version__,
        **versions(packages),
    }
    checks = _compare("nodal", NodalChip)
    try:
        session = open_session()
    except NgspiceMissing as problem:
        return found | {"libngspice": "not found"}, checks, problem
    found |= {
        "libngspice": session.library,
        "ngspice version": session.version_text,
        "linear solver": session.linear_solver,
    }
    return found, [*_compare("ngspice", partial(NgspiceChip, tolerances=TIGHT)), *checks], None


def known_circuit() -> Circuit:
    """Return a circuit of 1 V through 1 mS into a diode to ground."""
    cell = Crossbar("w1", ("x0",), ("o0",), np.array([[_CONDUCTANCE]]), 0.0, 1.0)
    source, diode = InputSource("x0", "x0", 0, 1.0), Diode("d0", "o0", GROUND, _DIODE)
    return Circuit("known", (source, cell, diode), (Output("y0", "o0"),))


def known_voltage() -> float:
    """Return the circuit's output in V, by Lambert's W function (gmin, 1e-12 S, shifts it by less than 1e-9 V)."""
    scale = _DIODE.emission * THERMAL_VOLTAGE
    drop = _DIODE.saturation_current / _CONDUCTANCE
    inside = drop / scale * np.exp((_VOLTS + drop) / scale)
    return float(_VOLTS + drop - scale * lambertw(inside).real)


def faint_circuit() -> Circuit:
    """Return a circuit of 1 V through 1 nS into a blocking diode, which shows leaks such as SPICE's ``rshunt``."""
    cell = Crossbar("w1", ("x0",), ("o0",), np.array([[_FAINT]]), 0.0, 1.0)
    source, diode = InputSource("x0", "x0", 0, 1.0), Diode("d0", GROUND, "o0", DiodeModel("dfaint", 1e-21, 1.0))
    return Circuit("faint", (source, cell, diode), (Output("y0", "o0"),))


def faint_voltage() -> float:
    """Return the circuit's output in V: a divider with the conductance across the junction."""
    return _VOLTS * _FAINT / (_FAINT + _GMIN)


def _compare(name: str, chip: Callable[[Circuit], Chip]) -> list[Check]:
    known = (
        ("diode and resistor against Lambert's W", known_circuit(), known_voltage()),
        ("1 GΩ and a blocking diode against their divider", faint_circuit(), faint_voltage()),
    )
    drive = Drive(np.array([[_VOLTS]]))
    return [
        Check(f"{name}: {title}", abs(chip(circuit).measure([drive])[0].outputs[0, 0] - volts), 2e-9, "V")
        for title, circuit, volts in known
    ]

"""`harness doctor`: what a machine has, and one circuit whose answer is known in closed form."""

import platform
import shutil
from importlib import metadata
from typing import Any

import numpy as np
from scipy.special import lambertw

import harness
from harness.checks import TIGHT, Check
from harness.chip.base import Chip
from harness.chip.ngspice import NgspiceChip
from harness.chip.nodal import NodalChip
from harness.chip.session import open_session
from harness.circuit import GROUND, Circuit, Crossbar, Diode, InputSource, Output
from harness.devices import DiodeModel
from harness.devices.diode import THERMAL_VOLTAGE
from harness.errors import NgspiceMissing
from harness.measurement import Drive

_VOLTS = 1.0
_CONDUCTANCE = 1e-3
_DIODE = DiodeModel("dknown", 1e-6, 2.0)


def examine() -> tuple[dict[str, Any], list[Check], NgspiceMissing | None]:
    """What was found, by part; the checks of the solvers; and what is wrong where ngspice is missing."""
    packages = ("PySpice", "numpy", "scipy", "pandas", "scikit-learn", "matplotlib")
    found: dict[str, Any] = {
        "harness": harness.__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
        "ngspice command": shutil.which("ngspice") or "none (only needed to run exported netlists)",
    }
    circuit = known_circuit()
    checks = [_compare("nodal", NodalChip(circuit))]
    try:
        session = open_session()
    except NgspiceMissing as problem:
        return found | {"libngspice": "not found"}, checks, problem
    found |= {
        "libngspice": session.library,
        "ngspice version": session.version_text,
        "linear solver": session.linear_solver(),
    }
    return found, [_compare("ngspice", NgspiceChip(circuit, tolerances=TIGHT)), *checks], None


def known_circuit() -> Circuit:
    """1 V through 1 mS into a diode to ground."""
    cell = Crossbar("w1", ("x0",), ("o0",), np.array([[_CONDUCTANCE]]), 0.0, 1.0)
    source, diode = InputSource("x0", "x0", 0, 1.0), Diode("d0", "o0", GROUND, _DIODE)
    return Circuit("known", (source, cell, diode), (Output("y0", "o0"),))


def known_voltage() -> float:
    """Its output in V, by Lambert's W function (gmin, 1e-12 S, shifts it by less than 1e-9 V)."""
    scale = _DIODE.emission * THERMAL_VOLTAGE
    drop = _DIODE.saturation_current / _CONDUCTANCE
    inside = drop / scale * np.exp((_VOLTS + drop) / scale)
    return float(_VOLTS + drop - scale * lambertw(inside).real)


def _compare(name: str, chip: Chip) -> Check:
    (reading,) = chip.measure([Drive(np.array([[_VOLTS]]))])
    return Check(
        f"{name}: diode and resistor against Lambert's W", abs(reading.outputs[0, 0] - known_voltage()), 2e-9, "V"
    )

"""Models of nonlinear devices: plain parameters and the law that the simulator solves; published and measured cells."""

from importlib import import_module
from typing import TYPE_CHECKING

from harness.devices.cell_law import LINEAR_CELLS, CellLaw, Curve
from harness.devices.diode import DiodeModel

if TYPE_CHECKING:
    from harness.devices.curves import SPECIMENS, Specimen, hysteresis, potentiation_and_depression, specimen
    from harness.devices.measured import PulseFit, fit, measured_response
    from harness.devices.memristors import LinearIonDrift, Vteam, Window, Yakopcic
    from harness.devices.oxides import DataDriven, StanfordGap
    from harness.devices.presets import POTENTIOMETERS, PRESETS, DeviceType, Potentiometer, Preset, preset
    from harness.devices.pulses import (
        ExponentialStep,
        LinearStep,
        PulseCurves,
        PulseResponse,
        PulseTable,
        SoftBounds,
        WritePulse,
        pulse_table,
        spread,
    )
    from harness.devices.switching import Memristor, after_pulse, pulse_curve

__all__ = [
    "LINEAR_CELLS",
    "POTENTIOMETERS",
    "PRESETS",
    "SPECIMENS",
    "CellLaw",
    "Curve",
    "DataDriven",
    "DeviceType",
    "DiodeModel",
    "ExponentialStep",
    "LinearIonDrift",
    "LinearStep",
    "Memristor",
    "Potentiometer",
    "Preset",
    "PulseCurves",
    "PulseFit",
    "PulseResponse",
    "PulseTable",
    "SoftBounds",
    "Specimen",
    "StanfordGap",
    "Vteam",
    "Window",
    "WritePulse",
    "Yakopcic",
    "after_pulse",
    "fit",
    "hysteresis",
    "measured_response",
    "potentiation_and_depression",
    "preset",
    "pulse_curve",
    "pulse_table",
    "specimen",
    "spread",
]

_LATER = ("curves", "measured", "memristors", "oxides", "presets", "pulses", "switching")


def __getattr__(name: str) -> object:
    """The names of modules that import parts of SciPy, which takes a second, loaded when they are first asked for."""
    for module in _LATER if name in __all__ else ():
        if hasattr(found := import_module(f"{__name__}.{module}"), name):
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

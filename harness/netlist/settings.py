"""Solver settings that every deck writes out, so that no default of a simulator decides a result."""

from dataclasses import dataclass

from harness.devices.diode import GMIN, TEMPERATURE
from harness.errors import UnitError
from harness.units import spice_number


@dataclass(frozen=True)
class Tolerances:
    """ngspice's convergence bounds. SPICE's own default reltol of 1e-3 ruins gradients of equilibrium propagation.

    Raises:
        UnitError: a bound is not above 0, or reltol is 1e-3 or more.
    """

    reltol: float = 1e-6
    """Relative, V/V and A/A."""
    vntol: float = 1e-9
    """V."""
    abstol: float = 1e-12
    """A."""

    def __post_init__(self) -> None:
        for name, value, most in (
            ("reltol", self.reltol, 1e-3),
            ("vntol", self.vntol, 1e-3),
            ("abstol", self.abstol, 1e-6),
        ):
            if not 0 < value < most:
                raise UnitError(f"{name} = {value:g} must lie above 0 and below {most:g}")


def options(tolerances: Tolerances, *, klu: bool = False) -> str:
    """The ``.options`` line."""
    parts = {
        "reltol": tolerances.reltol,
        "vntol": tolerances.vntol,
        "abstol": tolerances.abstol,
        "gmin": GMIN,
        "temp": TEMPERATURE,
        "tnom": TEMPERATURE,
    }
    text = " ".join(f"{name}={spice_number(value)}" for name, value in parts.items())
    return f".options {text}{' klu' if klu else ''}"

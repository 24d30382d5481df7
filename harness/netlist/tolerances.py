"""Solver settings that every deck writes out, so that no default of a simulator decides a result."""

from dataclasses import dataclass

from harness.devices.diode import GMIN, TEMPERATURE
from harness.errors import UnitError
from harness.units import spice_number

CONDITIONS = ("reltol", "vntol", "abstol", "gmin", "temp", "tnom")
"""SPICE's names of what `Conditions` holds."""
_COLDEST, _HOTTEST = -270.0, 1000.0
_LARGEST_GMIN = 1e-3


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


TIGHT = Tolerances(1e-9, 1e-12, 1e-15)
"""Tolerances of packages: as tight as every simulator settles reliably."""


@dataclass(frozen=True)
class Conditions:
    """The settings of a deck that decide voltages and are no part of the circuit.

    Raises:
        UnitError: a temperature is below absolute zero or absurd, or gmin is not above 0.
    """

    tolerances: Tolerances
    temperature: float = TEMPERATURE
    """°C of all devices."""
    nominal: float = TEMPERATURE
    """°C for which the models' parameters are."""
    gmin: float = GMIN
    """S across every junction."""

    def __post_init__(self) -> None:
        for name, celsius in (("temp", self.temperature), ("tnom", self.nominal)):
            if not _COLDEST <= celsius <= _HOTTEST:
                raise UnitError(f"{name} = {celsius:g} °C must lie in {_COLDEST:g}…{_HOTTEST:g} °C")
        if not 0 < self.gmin < _LARGEST_GMIN:
            raise UnitError(f"gmin = {self.gmin:g} S must lie above 0 S and below {_LARGEST_GMIN:g} S")

    def values(self) -> dict[str, float]:
        """Return them under SPICE's names."""
        bounds = (self.tolerances.reltol, self.tolerances.vntol, self.tolerances.abstol)
        return dict(zip(CONDITIONS, (*bounds, self.gmin, self.temperature, self.nominal), strict=True))


def options(tolerances: Tolerances) -> str:
    """The ``.options`` line of the project's own decks; the session adds which solver computes."""
    return options_of(Conditions(tolerances))


def options_of(conditions: Conditions) -> str:
    """The ``.options`` line of any conditions."""
    parts = conditions.values()
    text = " ".join(f"{name}={spice_number(value)}" for name, value in parts.items())
    return f".options {text}"

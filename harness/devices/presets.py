"""Published devices with their sources, read from ``presets.toml``, which says where every figure comes from."""

from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

import numpy as np

from harness.devices.pulses import ExponentialStep, PulseCurves, WritePulse, curvature_of_label, label_of_curvature
from harness.errors import CircuitError
from harness.files.reading import JsonObject, parse_toml
from harness.units import show
from harness.wording import did_you_mean


class DeviceType(StrEnum):
    """Kinds of devices, by the way in which they store their conductance."""

    RRAM = "RRAM"
    PCM = "PCM"
    ECRAM = "ECRAM"
    FEFET = "FeFET"
    CAPACITOR = "CMOS capacitor"
    POTENTIOMETER = "digital potentiometer"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A device described by NeuroSim's exponential curve in either direction; None where a figure was not published."""

    name: str
    device_type: DeviceType
    paper: str
    year: int
    g_min: float | None = None
    """S; None where the fit knows the range only as relative."""
    g_max: float | None = None
    """S."""
    pulses_up: float
    """Pulses from g_min to g_max."""
    pulses_down: float
    """Pulses from g_max to g_min."""
    nonlinearity_up: float
    """NeuroSim's label, above 0 where the steps shrink on the way up."""
    nonlinearity_down: float
    """The same on the way down: above 0 where the steps shrink. NeuroSim's own label has the opposite sign here."""
    cycle_to_cycle: float | None = None
    """σ of one pulse, as a fraction of g_max − g_min."""
    device_to_device: float | None = None
    """σ of a device's mean step, as a fraction of it."""
    up: WritePulse | None = None
    down: WritePulse | None = None
    energy: float | None = None
    """J a pulse."""
    fit_range: str
    verified: str
    """The sources that the figures were checked against."""
    unverified: tuple[str, ...] = ()
    """Names of fields that come from memory and should be looked up before they are quoted."""

    def response(self, g_min: float | None = None, g_max: float | None = None) -> ExponentialStep:
        """Return the mean update law over the published range or another one (S).

        Raises:
            CircuitError: the preset publishes no range and none is given, or bounds out of order.
        """
        low, high = self.g_min if g_min is None else g_min, self.g_max if g_max is None else g_max
        if low is None or high is None:
            raise CircuitError(f"preset {self.name}: its source gives no conductances; give g_min and g_max in S")
        bent = curvature_of_label(self.nonlinearity_up), curvature_of_label(self.nonlinearity_down)
        return ExponentialStep(low, high, self.pulses_up, self.pulses_down, *bent)


@dataclass(frozen=True, kw_only=True)
class Potentiometer:
    """A digital potentiometer used as a rheostat: R = R_wiper + D / steps · R_ab at position D.

    Raises:
        CircuitError: a resistance that is not above 0 Ω.
    """

    name: str
    positions: int
    """D runs from 0 to one less."""
    steps: int
    """Parts that R_ab is divided into."""
    end_to_end: float
    """R_ab in Ω."""
    wiper: float
    """Typical, Ω."""
    tolerance: float
    """The largest error of R_ab, as a fraction (a limit, not a σ)."""
    datasheet: str
    verified: str
    unverified: tuple[str, ...] = ()
    device_type: DeviceType = DeviceType.POTENTIOMETER

    def __post_init__(self) -> None:
        for name, ohms in (("R_ab", self.end_to_end), ("wiper", self.wiper)):
            if not 0 < ohms < np.inf:
                raise CircuitError(f"{self.name}: {name} {show(ohms, 'Ω')} must be finite and above 0 Ω")

    def response(self, first: int = 0) -> PulseCurves:
        """Return the law of pulses of one position each: up in conductance is down in D, and D ≥ `first`.

        Raises:
            CircuitError: `first` leaves fewer than two positions.
        """
        if not 0 <= first <= self.positions - 2:
            raise CircuitError(f"{self.name}: first position {first} must lie in 0…{self.positions - 2}")
        codes = np.arange(first, self.positions)
        falling = 1 / (self.wiper + codes * (self.end_to_end / self.steps))
        return PulseCurves(falling[::-1].copy(), falling)


def _preset(row: JsonObject) -> Preset:
    row |= _from_linear_step(**row.pop("linear_step")) if "linear_step" in row else {}
    row |= {way: WritePulse(**row[way]) for way in ("up", "down") if way in row}
    row |= {"device_type": DeviceType(row["device_type"]), "unverified": tuple(row.get("unverified", ()))}
    return Preset(**row)


def _from_linear_step(
    *, dw_min: float, dw_min_std: float, w_min: float, w_max: float, gamma_up: float, gamma_down: float
) -> dict[str, float]:
    """Return the fields of a `Preset` that describe a LinearStep device of aihwkit.

    Its steps dw (1 − γ w / w_max) up and dw (1 + γ w / |w_min|) down fall linearly with the weight: they are those of
    `ExponentialStep`, with ν = ln(first / last step) and P = (w_max / γ dw) ν.
    """
    up = float(np.log((1 - gamma_up * w_min / w_max) / (1 - gamma_up)))
    down = float(np.log((1 - gamma_down * w_max / w_min) / (1 - gamma_down)))
    return {
        "pulses_up": w_max / (gamma_up * dw_min) * up,
        "pulses_down": -w_min / (gamma_down * dw_min) * down,
        "nonlinearity_up": label_of_curvature(up),
        "nonlinearity_down": label_of_curvature(down),
        "cycle_to_cycle": dw_min_std * dw_min / (w_max - w_min),
    }


def _potentiometers(row: JsonObject) -> list[Potentiometer]:
    """Return one potentiometer for each resistance that the maker offers."""
    name, made = row.pop("name"), row.pop("end_to_end")
    return [Potentiometer(name=f"{name}-{ohms / 1e3:g}", end_to_end=ohms, **row) for ohms in made]


_FILE = resources.files("harness.devices") / "presets.toml"
_TABLES = parse_toml(_FILE.read_text(encoding="utf-8"), CircuitError, "presets.toml")
PRESETS = tuple(map(_preset, _TABLES["device"]))
POTENTIOMETERS = tuple(pot for row in _TABLES["potentiometer"] for pot in _potentiometers(row))


def preset(name: str) -> Preset | Potentiometer:
    """Return the published device of that name, whatever its case.

    Raises:
        CircuitError: no device has the name; suggests the nearest one and lists all.
    """
    devices: tuple[Preset | Potentiometer, ...] = (*PRESETS, *POTENTIOMETERS)
    for device in devices:
        if device.name.casefold() == name.strip().casefold():
            return device
    known = [device.name for device in devices]
    raise CircuitError(f"no device preset {name!r}{did_you_mean(name, known, or_list=True)}")

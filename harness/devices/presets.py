"""Published devices as data, with their source, for `harness.devices.pulses`.

What a device's figures were checked against is in `verified`; a field named in `unverified` comes from memory and
should be looked up before it is quoted. Papers rarely publish device-to-device spread: None means not published, not
none.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from harness.devices.pulses import ExponentialStep, PulseCurves, WritePulse, curvature_of_label, label_of_curvature
from harness.errors import CircuitError
from harness.units import show
from harness.wording import did_you_mean


class DeviceType(StrEnum):
    """How a device stores its conductance."""

    RRAM = "RRAM"
    PCM = "PCM"
    ECRAM = "ECRAM"
    FEFET = "FeFET"
    CAPACITOR = "CMOS capacitor"
    POTENTIOMETER = "digital potentiometer"


@dataclass(frozen=True)
class Preset:
    """A device described by NeuroSim's exponential curve in either direction."""

    name: str
    device_type: DeviceType
    paper: str
    year: int
    g_min: float | None
    """S; None where the fit knows the range only as relative."""
    g_max: float | None
    """S."""
    pulses_up: float
    """Pulses from g_min to g_max."""
    pulses_down: float
    """Pulses from g_max to g_min."""
    nonlinearity_up: float
    """NeuroSim's label, above 0 where the steps shrink on the way up."""
    nonlinearity_down: float
    """The same on the way down: above 0 where the steps shrink. NeuroSim's own label has the opposite sign here."""
    cycle_to_cycle: float | None
    """σ of one pulse, as a fraction of g_max − g_min."""
    device_to_device: float | None
    """σ of a device's mean step, as a fraction of it."""
    up: WritePulse | None
    down: WritePulse | None
    energy: float | None
    """J a pulse."""
    fit_range: str
    verified: str
    """What the figures were checked against."""
    unverified: tuple[str, ...] = ()
    """Names of fields."""

    def response(self, g_min: float | None = None, g_max: float | None = None) -> ExponentialStep:
        """The mean update law, over the published range or another one (S).

        Raises:
            CircuitError: the preset publishes no range and none is given, or bounds out of order.
        """
        low, high = self.g_min if g_min is None else g_min, self.g_max if g_max is None else g_max
        if low is None or high is None:
            raise CircuitError(f"preset {self.name}: its source gives no conductances; give g_min and g_max in S")
        bent = curvature_of_label(self.nonlinearity_up), curvature_of_label(self.nonlinearity_down)
        return ExponentialStep(low, high, self.pulses_up, self.pulses_down, *bent)


@dataclass(frozen=True)
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
    """Of R_ab, as a fraction (a limit, not a σ)."""
    datasheet: str
    verified: str
    unverified: tuple[str, ...] = ()
    device_type: DeviceType = DeviceType.POTENTIOMETER

    def __post_init__(self) -> None:
        for name, ohms in (("R_ab", self.end_to_end), ("wiper", self.wiper)):
            if not 0 < ohms < np.inf:
                raise CircuitError(f"{self.name}: {name} {show(ohms, 'Ω')} must be finite and above 0 Ω")

    def response(self, first: int = 0) -> PulseCurves:
        """A pulse is one position, up in conductance is down in D; positions below `first` are not used.

        Raises:
            CircuitError: `first` leaves fewer than two positions.
        """
        if not 0 <= first <= self.positions - 2:
            raise CircuitError(f"{self.name}: first position {first} must lie in 0…{self.positions - 2}")
        codes = np.arange(first, self.positions)
        falling = 1 / (self.wiper + codes * (self.end_to_end / self.steps))
        return PulseCurves(falling[::-1].copy(), falling)


_FIT = "NeuroSim's fit, one full potentiation and depression"
_JERRY = "the table of devices in Jerry et al. 2017, IEDM, 139"
_MELISO = "MELISO's device file"


def _fitted(
    name: str,
    device_type: DeviceType,
    paper: str,
    year: int,
    *,
    siemens: tuple[float, float],
    pulses: tuple[int, int],
    labels: tuple[float, float],
    scatter: float,
    up: tuple[float, float],
    down: tuple[float, float] | None,
    fit_range: str = _FIT,
    verified: str,
    unverified: tuple[str, ...] = (),
) -> Preset:
    """A row of NeuroSim's benchmark: g_min and g_max (S), pulses, labels, σ of a pulse, V and s of both pulses."""
    both = WritePulse(*up), None if down is None else WritePulse(*down)
    figures = (*siemens, *pulses, *labels, scatter, None, *both, None)
    return Preset(name, device_type, paper, year, *figures, fit_range, verified, unverified)


def _linear_step(
    name: str,
    device_type: DeviceType,
    paper: str,
    year: int,
    *,
    step: float,
    weights: tuple[float, float],
    slopes: tuple[float, float],
    scatter: float,
    spread: float,
    energy: float | None = None,
    fit_range: str,
    verified: str,
) -> Preset:
    """A row of aihwkit: ``dw_min``, ``w_min`` and ``w_max``, ``gamma_up`` and ``_down``, ``dw_min_std`` and ``_dtod``.

    Its steps dw (1 − γ w / w_max) up and dw (1 + γ w / |w_min|) down fall linearly with the weight: they are
    `ExponentialStep`'s, with ν = ln(first / last step) and P = (w_max / γ dw) ν.
    """
    (low, high), (up, down) = weights, slopes
    bent = float(np.log((1 - up * low / high) / (1 - up))), float(np.log((1 - down * high / low) / (1 - down)))
    pulses = high / (up * step) * bent[0], -low / (down * step) * bent[1]
    labels = label_of_curvature(bent[0]), label_of_curvature(bent[1])
    sigmas = scatter * step / (high - low), spread
    return Preset(
        name, device_type, paper, year, None, None, *pulses, *labels, *sigmas, None, None, energy, fit_range, verified
    )


PRESETS = (
    _fitted(
        "Ag:a-Si",
        DeviceType.RRAM,
        "Jo et al., Nano Lett. 10(4), 1297",
        2010,
        siemens=(3.0769e-9, 3.8462e-8),
        pulses=(97, 100),
        labels=(2.4, 4.88),
        scatter=0.035,
        up=(3.2, 300e-6),
        down=(-2.8, 300e-6),
        verified=f"RealDevice in MLP+NeuroSim V3.0's Cell.cpp; {_JERRY}",
    ),
    _fitted(
        "AlOx/HfO2",
        DeviceType.RRAM,
        "Woo et al., IEEE Electron Device Lett. 37(8), 994",
        2016,
        siemens=(1.3357e-5, 5.9172e-5),
        pulses=(40, 40),
        labels=(1.94, 0.61),
        scatter=0.05,
        up=(0.9, 100e-6),
        down=(-1.0, 100e-6),
        verified=f"{_JERRY}; {_MELISO}",
    ),
    _fitted(
        "TaOx/HfOx",
        DeviceType.RRAM,
        "Wu et al., Symp. VLSI Technology, A methodology to improve linearity of analog RRAM",
        2018,
        siemens=(1e-6, 1e-5),
        pulses=(128, 128),
        labels=(0.04, 0.63),
        scatter=0.037,
        up=(1.6, 50e-9),
        down=(-1.6, 50e-9),
        verified=f"{_MELISO}; the abstract (100 kΩ, ratio 10, 50 ns)",
    ),
    _fitted(
        "EpiRAM Ag:SiGe",
        DeviceType.RRAM,
        "Choi et al., Nat. Mater. 17(4), 335",
        2018,
        siemens=(2.4593e-7, 1.23457e-5),
        pulses=(256, 256),
        labels=(0.5, 0.5),
        scatter=0.02,
        up=(5.0, 5e-6),
        down=(-3.0, 5e-6),
        fit_range=f"{_FIT}; MELISO's paper (ICONS 2024) has 64 pulses, its device file 256",
        verified=f"{_MELISO}; its paper's table (ratio, labels, cycle-to-cycle)",
    ),
    _fitted(
        "TaOx/TiO2",
        DeviceType.RRAM,
        "Gao et al., Nanotechnology 26(45), 455204",
        2015,
        siemens=(1e-7, 2e-7),
        pulses=(102, 102),
        labels=(0.66, 0.69),
        scatter=0.01,
        up=(3.0, 40e-3),
        down=(-3.0, 10e-3),
        fit_range=f"{_FIT}; Chen, Peng & Yu 2018 have labels 1.85 and 1.79; cycle-to-cycle is an upper limit (<1 %)",
        verified=f"{_JERRY}; Chen, Peng & Yu 2018, IEEE Trans. CAD 37(12), table I (all but the labels and pulses)",
    ),
    _fitted(
        "PCMO",
        DeviceType.RRAM,
        "Park et al., IEDM, 625",
        2013,
        siemens=(1 / (23e6 * 6.84), 1 / 23e6),
        pulses=(50, 50),
        labels=(3.68, 6.76),
        scatter=0.01,
        up=(-2.0, 1e-3),
        down=(2.0, 1e-3),
        fit_range=f"{_FIT}; cycle-to-cycle is an upper limit (<1 %)",
        verified=f"{_JERRY}; Chen, Peng & Yu 2018, IEEE Trans. CAD 37(12), table I",
    ),
    _fitted(
        "GST",
        DeviceType.PCM,
        "Kuzum et al., Nano Lett. 12(5), 2179",
        2012,
        siemens=(1.072e-5, 2.123e-4),
        pulses=(100, 100),
        labels=(0.105, -2.4),
        scatter=0.015,
        up=(0.7, 6e-6),
        down=None,
        fit_range="NeuroSim's fit; the pulses are staircases, the width and amplitude an average",
        verified="users of NeuroSim (conductances); Chen & Yu 2018 (paper)",
        unverified=("pulses_up", "pulses_down", "nonlinearity_up", "nonlinearity_down", "cycle_to_cycle", "up"),
    ),
    _fitted(
        "HZO FeFET",
        DeviceType.FEFET,
        "Jerry et al., IEDM, 139",
        2017,
        siemens=(1 / (559.28e3 * 45), 1 / 559.28e3),
        pulses=(32, 32),
        labels=(1.75, -1.46),
        scatter=0.005,
        up=(3.65, 75e-9),
        down=(-2.95, 75e-9),
        fit_range="scheme 3: amplitudes grow from pulse to pulse, the volts are averages; cycle-to-cycle is a limit",
        verified="the paper: its table and text (labels of equal sign, asymmetry 0.29)",
    ),
    _linear_step(
        "Li ECRAM",
        DeviceType.ECRAM,
        "Tang et al., IEDM, 13.1",
        2018,
        step=0.002,
        weights=(-0.8276, 1.1724),
        slopes=(0.1153, 0.5085),
        scatter=0.3,
        spread=0.1,
        energy=1e-15,
        fit_range="aihwkit's LinearStep fit over its weight range, converted; the energy is projected to 100 nm",
        verified="aihwkit's EcRamPresetDevice; the abstract (1000 states, 1 fJ projected)",
    ),
    _linear_step(
        "Metal-oxide ECRAM",
        DeviceType.ECRAM,
        "Kim et al., IEDM",
        2019,
        step=2.8214e-4,
        weights=(-0.8286, 1.1714),
        slopes=(0.4152, 0.7342),
        scatter=2.0,
        spread=0.1,
        fit_range="aihwkit's LinearStep fit over its weight range, converted",
        verified="aihwkit's EcRamMOPresetDevice (its source names the paper as IEDM 2019)",
    ),
    _linear_step(
        "CMOS capacitor",
        DeviceType.CAPACITOR,
        "Li et al., Symp. VLSI Technology, 25",
        2018,
        step=0.005,
        weights=(-1.0, 1.0),
        slopes=(0.05, 0.05),
        scatter=0.3,
        spread=0.1,
        fit_range="aihwkit's LinearStep fit over its weight range, converted, without the leak of the capacitor",
        verified="aihwkit's CapacitorPresetDevice; the paper's bibliographic record",
    ),
)

_AD5272_MADE = (20e3, 50e3, 100e3)
_MCP4251_MADE = (5e3, 10e3, 50e3, 100e3)
_ANALOG = "Analog Devices, AD5272/AD5274 data sheet"
_MICROCHIP = "Microchip, MCP413X/415X/423X/425X data sheet DS22060B"
_AD_CHECKED = (
    "page 1 (R_ab, 1024 positions, 1 % in performance mode); the maker's forum on table 1 (35 Ω typical wiper)"
)
_MCP_CHECKED = "page 5 (R_ab ±20 %, 257 taps, R_ab/256 a step, 75 Ω typical wiper)"


def ad5272(end_to_end: float) -> Potentiometer:
    """The 1024-position rheostat AD5272 of 20, 50 or 100 kΩ.

    Raises:
        CircuitError: a resistance that is not made.
    """
    _check_made("AD5272", end_to_end, _AD5272_MADE)
    return Potentiometer(f"AD5272-{end_to_end / 1e3:g}", 1024, 1024, end_to_end, 35.0, 0.01, _ANALOG, _AD_CHECKED)


def mcp4251(end_to_end: float) -> Potentiometer:
    """The dual 257-tap potentiometer MCP4251 of 5, 10, 50 or 100 kΩ.

    Raises:
        CircuitError: a resistance that is not made.
    """
    _check_made("MCP4251", end_to_end, _MCP4251_MADE)
    return Potentiometer(f"MCP4251-{end_to_end / 1e3:g}", 257, 256, end_to_end, 75.0, 0.2, _MICROCHIP, _MCP_CHECKED)


def _check_made(name: str, ohms: float, made: tuple[float, ...]) -> None:
    if ohms not in made:
        raise CircuitError(f"{name}: {show(ohms, 'Ω')} is not made; there are {', '.join(show(r, 'Ω') for r in made)}")


POTENTIOMETERS = (*map(ad5272, _AD5272_MADE), *map(mcp4251, _MCP4251_MADE))


def preset(name: str) -> Preset | Potentiometer:
    """The published device of that name, whatever its case.

    Raises:
        CircuitError: there is none; suggests the nearest and says which there are.
    """
    devices: tuple[Preset | Potentiometer, ...] = (*PRESETS, *POTENTIOMETERS)
    known = {device.name.casefold(): device for device in devices}
    if (found := known.get(name.strip().casefold())) is not None:
        return found
    raise CircuitError(
        f"no device preset {name!r}{did_you_mean(name, [device.name for device in devices], or_list=True)}"
    )

"""Published devices as data, with their source, for `harness.devices.pulses`.

What a figure was checked against is in `verified`; a field named in `unverified` comes from memory of the NeuroSim
benchmark table (Chen, Peng & Yu, MLP+NeuroSim manual V2/V3, and Chen & Yu 2018) or of the paper, and should be looked
up before it is quoted. Papers rarely publish device-to-device spread: None means not published, not none.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from harness.devices.pulses import ExponentialStep, PulseCurves, WritePulse, curvature_of_label
from harness.errors import CircuitError
from harness.units import show


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


_FIGURES = ("g_min", "g_max", "pulses_up", "pulses_down", "nonlinearity_up", "nonlinearity_down", "cycle_to_cycle")

AG_A_SI = Preset(
    name="Ag:a-Si",
    device_type=DeviceType.RRAM,
    paper="Jo et al., Nano Lett. 10(4), 1297",
    year=2010,
    g_min=3.0769e-9,
    g_max=3.8462e-8,
    pulses_up=97,
    pulses_down=100,
    nonlinearity_up=2.4,
    nonlinearity_down=4.88,
    cycle_to_cycle=0.035,
    device_to_device=None,
    up=WritePulse(3.2, 300e-6),
    down=WritePulse(-2.8, 300e-6),
    energy=None,
    fit_range="NeuroSim's fit, one full potentiation and depression",
    verified="MLP+NeuroSim's RealDevice (conductances, pulses, counts); MELISO+ table (labels, cycle-to-cycle)",
)
ALOX_HFO2 = Preset(
    name="AlOx/HfO2",
    device_type=DeviceType.RRAM,
    paper="Woo et al., IEEE Electron Device Lett. 37(8), 994",
    year=2016,
    g_min=1.34e-5,
    g_max=5.92e-5,
    pulses_up=40,
    pulses_down=40,
    nonlinearity_up=1.94,
    nonlinearity_down=0.61,
    cycle_to_cycle=0.05,
    device_to_device=None,
    up=WritePulse(0.9, 100e-6),
    down=WritePulse(-1.0, 100e-6),
    energy=None,
    fit_range="NeuroSim's fit, one full potentiation and depression",
    verified="MELISO+ table (conductances, counts, labels, cycle-to-cycle)",
    unverified=("up", "down"),
)
TAOX_HFOX = Preset(
    name="TaOx/HfOx",
    device_type=DeviceType.RRAM,
    paper="Wu et al., Symp. VLSI Technology, 103",
    year=2018,
    g_min=1e-6,
    g_max=1e-5,
    pulses_up=128,
    pulses_down=128,
    nonlinearity_up=0.04,
    nonlinearity_down=0.63,
    cycle_to_cycle=0.037,
    device_to_device=None,
    up=WritePulse(1.6, 50e-9),
    down=WritePulse(-1.6, 50e-9),
    energy=None,
    fit_range="NeuroSim's fit, one full potentiation and depression",
    verified="MELISO+ table (conductances, counts, labels, cycle-to-cycle) and text (50 ns)",
    unverified=("paper", "up", "down"),
)
EPIRAM = Preset(
    name="EpiRAM Ag:SiGe",
    device_type=DeviceType.RRAM,
    paper="Choi et al., Nat. Mater. 17, 335",
    year=2018,
    g_min=2.46e-7,
    g_max=1.23e-5,
    pulses_up=256,
    pulses_down=256,
    nonlinearity_up=0.5,
    nonlinearity_down=0.5,
    cycle_to_cycle=0.02,
    device_to_device=None,
    up=WritePulse(5.0, 5e-6),
    down=WritePulse(-3.0, 5e-6),
    energy=None,
    fit_range="NeuroSim's fit, one full potentiation and depression; NeuroSim's own table has 64 states, MELISO+ 256",
    verified="MELISO+ table (conductances, counts, labels, cycle-to-cycle)",
    unverified=("paper", "up", "down", "pulses_up", "pulses_down"),
)
TAOX_TIO2 = Preset(
    name="TaOx/TiO2",
    device_type=DeviceType.RRAM,
    paper="Gao et al., Nanotechnology 26(45), 455204",
    year=2015,
    g_min=1e-7,
    g_max=2e-7,
    pulses_up=102,
    pulses_down=102,
    nonlinearity_up=0.66,
    nonlinearity_down=0.69,
    cycle_to_cycle=0.01,
    device_to_device=None,
    up=WritePulse(3.0, 40e-3),
    down=WritePulse(-3.0, 10e-3),
    energy=None,
    fit_range="NeuroSim's fit, one full potentiation and depression; cycle-to-cycle is an upper limit (<1 %)",
    verified="Chen & Yu 2018 (paper, on/off ratio about 2)",
    unverified=(*_FIGURES, "up", "down"),
)
PCMO = Preset(
    name="PCMO",
    device_type=DeviceType.RRAM,
    paper="Park et al., IEDM, 625",
    year=2013,
    g_min=1 / (23e6 * 6.84),
    g_max=1 / 23e6,
    pulses_up=50,
    pulses_down=50,
    nonlinearity_up=3.68,
    nonlinearity_down=6.76,
    cycle_to_cycle=0.01,
    device_to_device=None,
    up=WritePulse(-2.0, 1e-3),
    down=WritePulse(2.0, 1e-3),
    energy=None,
    fit_range="NeuroSim's fit, one full potentiation and depression; cycle-to-cycle is an upper limit (<1 %)",
    verified="Chen & Yu 2018 (paper)",
    unverified=(*_FIGURES, "up", "down"),
)
GST = Preset(
    name="GST",
    device_type=DeviceType.PCM,
    paper="Kuzum et al., Nano Lett. 12(5), 2179",
    year=2012,
    g_min=1.072e-5,
    g_max=2.123e-4,
    pulses_up=100,
    pulses_down=100,
    nonlinearity_up=0.105,
    nonlinearity_down=-2.4,
    cycle_to_cycle=0.015,
    device_to_device=None,
    up=WritePulse(0.7, 6e-6),
    down=None,
    energy=None,
    fit_range="NeuroSim's fit; the pulses are staircases, the width and amplitude an average",
    verified="users of NeuroSim (conductances); Chen & Yu 2018 (paper)",
    unverified=("pulses_up", "pulses_down", "nonlinearity_up", "nonlinearity_down", "cycle_to_cycle", "up"),
)
HZO_FEFET = Preset(
    name="HZO FeFET",
    device_type=DeviceType.FEFET,
    paper="Jerry et al., IEDM, 139",
    year=2017,
    g_min=3.973e-8,
    g_max=1.788e-6,
    pulses_up=32,
    pulses_down=32,
    nonlinearity_up=1.75,
    nonlinearity_down=-1.46,
    cycle_to_cycle=0.005,
    device_to_device=None,
    up=WritePulse(3.65, 75e-9),
    down=WritePulse(-2.95, 75e-9),
    energy=None,
    fit_range="scheme 3: amplitudes grow from pulse to pulse, the volts here are averages; cycle-to-cycle is a limit",
    verified="the paper (32 states, 75 ns, labels 1.75 and 1.46 of equal sign, ratio 45); NeuroSim's users (g)",
    unverified=("cycle_to_cycle", "up", "down"),
)
LI_ECRAM = Preset(
    name="Li ECRAM",
    device_type=DeviceType.ECRAM,
    paper="Tang et al., IEDM, 13.1",
    year=2018,
    g_min=None,
    g_max=None,
    pulses_up=1020.661,
    pulses_down=1019.505,
    nonlinearity_up=0.253336,
    nonlinearity_down=1.548524,
    cycle_to_cycle=0.3 * 0.002 / 2,
    device_to_device=0.1,
    up=None,
    down=None,
    energy=1e-15,
    fit_range="aihwkit's LinearStep fit over its weight range, converted; the energy is projected for 100 nm devices",
    verified="aihwkit's EcRamPresetDevice (steps, slopes, spreads); the abstract (1000 states, 1 fJ projected)",
)
CMOS_CAPACITOR = Preset(
    name="CMOS capacitor",
    device_type=DeviceType.CAPACITOR,
    paper="Li et al., Symp. VLSI Technology, 25",
    year=2018,
    g_min=None,
    g_max=None,
    pulses_up=400.334,
    pulses_down=400.334,
    nonlinearity_up=0.12635,
    nonlinearity_down=0.12635,
    cycle_to_cycle=0.3 * 0.005 / 2,
    device_to_device=0.1,
    up=None,
    down=None,
    energy=None,
    fit_range="aihwkit's LinearStep fit over its weight range, converted, without the leak of the capacitor",
    verified="aihwkit's CapacitorPresetDevice (steps, slopes, spreads)",
    unverified=("paper",),
)
PRESETS = (
    AG_A_SI,
    ALOX_HFO2,
    TAOX_HFOX,
    EPIRAM,
    TAOX_TIO2,
    PCMO,
    GST,
    HZO_FEFET,
    LI_ECRAM,
    CMOS_CAPACITOR,
)

_ANALOG = "Analog Devices, AD5272/AD5274 data sheet"
_MICROCHIP = "Microchip, MCP413X/415X/423X/425X data sheet DS22060"
_AD_CHECKED = "the maker's forum (R_ab, 1024 positions, step sizes, 35 Ω typical wiper, 1 % in performance mode)"


def ad5272(end_to_end: float) -> Potentiometer:
    """The 1024-position rheostat AD5272 of 20, 50 or 100 kΩ.

    Raises:
        CircuitError: a resistance that is not made.
    """
    _check_made("AD5272", end_to_end, (20e3, 50e3, 100e3))
    return Potentiometer(f"AD5272-{end_to_end / 1e3:g}", 1024, 1024, end_to_end, 35.0, 0.01, _ANALOG, _AD_CHECKED)


def mcp4251(end_to_end: float) -> Potentiometer:
    """The dual 257-tap potentiometer MCP4251 of 5, 10, 50 or 100 kΩ.

    Raises:
        CircuitError: a resistance that is not made.
    """
    _check_made("MCP4251", end_to_end, (5e3, 10e3, 50e3, 100e3))
    name, checked = f"MCP4251-{end_to_end / 1e3:g}", "the maker's design guide (R_ab variants, 257 steps)"
    return Potentiometer(name, 257, 256, end_to_end, 75.0, 0.2, _MICROCHIP, checked, ("wiper", "tolerance"))


def find_preset(name: str) -> Preset:
    """The preset of that name, whatever its case.

    Raises:
        CircuitError: there is none; says which there are.
    """
    for preset in PRESETS:
        if preset.name.casefold() == name.casefold():
            return preset
    raise CircuitError(f"no device preset {name!r}; there are {', '.join(preset.name for preset in PRESETS)}")


def _check_made(name: str, ohms: float, made: tuple[float, ...]) -> None:
    if ohms not in made:
        raise CircuitError(f"{name}: {show(ohms, 'Ω')} is not made; there are {', '.join(show(r, 'Ω') for r in made)}")

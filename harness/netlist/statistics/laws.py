"""Laws of the spread of devices as formulas that a simulator draws from.

Every formula has one draw in it: simulators draw anew wherever they meet one, even where the same parameter stands
twice. What devices share follows a parameter that is drawn once for a chip, a normal number called ``u_…``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.circuit.variation.lines import Law
from harness.circuit.variation.variation import Variation
from harness.devices.diode import TEMPERATURE
from harness.files.reading import JsonObject

OWN = "mm_switch"
"""The parameter that is 1 where every device has a draw of its own, and 0 where all are alike."""
COMMON = "chip_switch"
"""The parameter that is 1 where what devices share is drawn for each chip, and 0 in corners."""
CELLS = "u_cells"
"""The normal number of the factor that all cells of a chip share."""
CELL_FACTOR = "chip_cells"
"""That factor."""
CELL_HEAT, RESISTOR_HEAT = "cell_heat", "resistor_heat"
"""Resistance over that at 27 °C, of cells and of other resistors."""
CORNERS = {"slow": -3.0, "typical": 0.0, "fast": 3.0}
"""Standard deviations at which everything that devices share stands in a corner; a slow chip conducts less."""
CORNER = "corner"
"""The parameter that a testbench of corners steps through them, in standard deviations."""
CHIPS = 100
"""Chips of a Monte-Carlo, unless somebody changes the number in the testbench."""
SEED = 1
OPEN_SIEMENS = 1e-15
"""S of an open cell where a draw decides whether it is open."""


@dataclass(frozen=True)
class Words:
    """The words of a dialect for draws and formulas."""

    normal: str
    """A draw with mean 0 and standard deviation 1."""
    uniform: str
    """A draw between 0 and 1."""
    choice: Callable[[str, str, str], str]
    """Writes what a condition decides: condition, value where it holds, value where not."""
    parameter: Callable[[str], str]
    """Writes a parameter within the formula of a source."""

    def factor(self, law: Law, deviation: float, draw: str = "") -> str:
        """A device's own factor with mean 1: `Law.factors`; exactly 1 where `OWN` is 0."""
        draw = draw or self.normal
        if law is Law.NORMAL:
            return f"(1+{OWN}*{deviation!r}*{draw})"
        sigma, mean = logarithm(deviation)
        return f"exp({OWN}*({sigma!r}*{draw}-{mean!r}))"

    def offset(self, deviation: float) -> str:
        """A device's own offset with mean 0."""
        return f"{OWN}*{deviation!r}*{self.normal}"


@dataclass(frozen=True)
class Statistics:
    """The differences between chips, and what the statistical files of a package are to show of them."""

    variation: Variation
    """The whole variation; `Variation.typical` of it is in the package's circuit already, but for temperature."""
    temperatures: tuple[float, ...]
    """°C, each with testbenches of its own."""
    layers: Mapping[str, int]
    """Number of the layer of every amplifier, by its name in the circuit; those of a layer share a factor."""
    classes: Sequence[int] | None
    """Number of the right output of each sample; None where targets are values."""
    left_out: tuple[str, ...] = ()
    """Sentences on what no draw stands for."""

    @property
    def common(self) -> tuple[str, ...]:
        """Normal numbers that are drawn once for a chip."""
        cells = (CELLS,) if self.variation.spread.common else ()
        layers = sorted(set(self.layers.values())) if self.variation.amplifiers.layer_gain else ()
        return (*cells, *map(layer_number, layers))

    @property
    def cells(self) -> bool:
        """True where cells differ from what they are programmed to."""
        spread, defects = self.variation.spread, self.variation.defects
        return bool(spread.fraction or spread.common) or any(vars(defects).values())

    @property
    def heated(self) -> bool:
        """True where resistances change with temperature."""
        temperature = self.variation.temperature
        return bool(temperature.cell_coefficient or temperature.resistor_coefficient)

    def heat(self, celsius: float) -> dict[str, float]:
        """Return the factors of resistances at a temperature, by the names of their parameters."""
        rise, law = celsius - TEMPERATURE, self.variation.temperature
        return {CELL_HEAT: 1 + law.cell_coefficient * rise, RESISTOR_HEAT: 1 + law.resistor_coefficient * rise}

    @property
    def told(self) -> JsonObject:
        """The account of it in JSON."""
        told: JsonObject = {"temperatures": list(self.temperatures), "corners": bool(self.common)}
        return told | {"drawn": self.drawn, "left_out": list(self.left_out)}

    @property
    def drawn(self) -> list[str]:
        """Sentences on what is drawn, and by which law."""
        v, own = self.variation, "of its own"
        said = {
            f"every cell: a factor {own}, {v.spread.law}, standard deviation": v.spread.fraction,
            f"all cells of a chip: one factor, {v.spread.law}, standard deviation": v.spread.common,
            "every cell: stuck at the range's lower end with probability": v.defects.stuck_at_min,
            "every cell: stuck at the range's upper end with probability": v.defects.stuck_at_max,
            "every cell: open with probability": v.defects.open_cells,
            f"every diode: a factor of I_s {own}, log-normal, standard deviation": v.diodes.saturation_current,
            f"every diode: a factor of N {own}, normal, standard deviation": v.diodes.emission,
            f"every transistor: an offset of V_t {own}, normal, standard deviation in V": v.transistors.threshold,
            f"every transistor: a factor of K {own}, log-normal, standard deviation": v.transistors.transconductance,
            f"every rail: an offset {own}, normal, standard deviation in V": v.sources.offset,
            f"every input pin: a factor of its gain {own}, normal, standard deviation": v.sources.gain,
            f"every amplifier: a factor of its gain {own}, normal, standard deviation": v.amplifiers.gain,
            "all amplifiers of a layer: one factor of their gain, normal, standard deviation": v.amplifiers.layer_gain,
            f"every amplifier: an input offset {own}, normal, standard deviation in V": v.amplifiers.offset,
        }
        ranged = "; a product of factors ends at the range of the cell's array" if self.cells else ""
        return [
            f"{what} {value:g}{ranged if 'factor' in what and 'cell' in what else ''}"
            for what, value in said.items()
            if value
        ]

    @property
    def notes(self) -> list[str]:
        """Sentences on where a simulator's chips differ from those of `harness`."""
        found = [
            "`harness` refuses a chip of which a gain falls below 0, N below 0.01, or a node floats; here it counts"
        ]
        if self.variation.defects.open_cells or self.variation.defects.stuck_at_min:
            found.append(f"a cell that a draw opens conducts {OPEN_SIEMENS:g} S, as a resistor cannot be absent")
        if any(celsius != TEMPERATURE for celsius in self.temperatures):
            found.append("diodes follow the simulator's own law of temperature (EG = 1.11 eV, XTI = 3)")
        return found

    def shared(self) -> dict[str, str]:
        """Formulas of what devices share, by the names of their parameters."""
        spread, amplifiers = self.variation.spread, self.variation.amplifiers
        found = {}
        if spread.common:
            sigma, mean = logarithm(spread.common)
            log = f"exp({sigma!r}*{CELLS}-{COMMON}*{mean!r})"
            found[CELL_FACTOR] = f"1+{spread.common!r}*{CELLS}" if spread.law is Law.NORMAL else log
        if amplifiers.layer_gain:
            for layer in sorted(set(self.layers.values())):
                found[layer_factor(layer)] = f"1+{amplifiers.layer_gain!r}*{layer_number(layer)}"
        return found


def logarithm(deviation: float) -> tuple[float, float]:
    """Return standard deviation and half the variance of the logarithm of log-normal factors with mean 1."""
    variance = math.log1p(deviation**2)
    return math.sqrt(variance), variance / 2


def layer_number(layer: int) -> str:
    """The normal number of the gain that the amplifiers of a layer share."""
    return f"u_layer_{layer}"


def layer_factor(layer: int) -> str:
    """The factor of that gain."""
    return f"chip_layer_{layer}"

"""A chip with imperfect pins: converters, noise, twin networks that differ, and cells that are hard to write.

What lies inside the circuit is a matter of `harness.circuit`; this wrapper touches only what goes in and comes out.
Every source of randomness has a stream of its own, which starts anew at each step whose key the controller sets, so
that a resumed training draws what an uninterrupted one drew. A strength of 0, or None, is the ideal chip bit for bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from typing_extensions import override

from harness.chip.base import Chip
from harness.chip.history import history_of, recall
from harness.chip.imperfect.wrapped import WrappedChip
from harness.chip.metering import stream
from harness.circuit import Circuit, InputSource, TrainableArray, check_bounds
from harness.circuit.scaling import scaling_of
from harness.errors import ChipError
from harness.measurement import Array, Capabilities, Conductances, Drive, Reading
from harness.units import show

_FIRST_STREAM = 100  # behind those of `harness.circuit.variation.variation`
_STREAMS = ("dac", "read", "mismatch", "bias", "programming", "levels")


@dataclass(frozen=True)
class PinErrors:
    """Strengths of the imperfections at the pins; they are named as in aihwkit and CrossSim where these have them.

    Raises:
        ChipError: a strength is negative or not finite, or a converter has no bits.
    """

    dac_bits: int | None = None
    """Bits of the converter at every input channel, over ±`dac_range`; None is no converter."""
    dac_range: float = 1.0
    """V before the input gain; inputs beyond it are clipped."""
    dac_noise: float = 0.0
    """V before the input gain, standard deviation, drawn anew for every phase (per cycle)."""
    adc_bits: int | None = None
    """Bits of the converter that reads outputs and inner nodes, over ±`adc_range`."""
    adc_range: float = 1.0
    """V; readings beyond it are clipped."""
    read_noise: float = 0.0
    """V, standard deviation of every voltage that is read, drawn anew for every phase (per cycle)."""
    mismatch: float = 0.0
    """Fraction, standard deviation per device: nudged phases settle in a twin network whose cells differ so much."""
    drift: float = 0.0
    """Fraction of g − g_min that every cell has lost when nudged phases settle; it comes back before the next step."""
    decay: float = 0.0
    """Fraction of g − g_min that every cell forgets from one write to the next (aihwkit: 1 / lifetime)."""
    update_bias: float = 0.0
    """S that every write adds to a cell that is written, with a sign per device (Dillavou et al. 2025)."""
    programming_noise: float = 0.0
    """Fraction of a cell's range, standard deviation of what is written, drawn at every write (per cycle)."""
    levels: int | None = None
    """Conductances that a cell can hold, evenly over its range; writes round at random, so that means are right."""

    def __post_init__(self) -> None:
        for name, unit in _STRENGTHS.items():
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise ChipError(f"imperfect pins: {name} {show(value, unit)} must be finite and not negative")
        for name in ("dac_range", "adc_range"):
            if not 0 < getattr(self, name) < np.inf:
                raise ChipError(f"imperfect pins: {name} {show(getattr(self, name), 'V')} must be finite and above 0 V")
        for name, least in (("dac_bits", 1), ("adc_bits", 1), ("levels", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ChipError(f"imperfect pins: {name} {value} must be at least {least}")

    @property
    def ideal(self) -> bool:
        """True where no imperfection is switched on."""
        bits = self.dac_bits, self.adc_bits, self.levels
        return all(value is None for value in bits) and not any(getattr(self, name) for name in _STRENGTHS)

    def uncertainty(self, circuit: Circuit) -> float:
        """The voltage (V) beyond which two readings of the same hardly ever differ, for voltages of about a volt."""
        gain = max((abs(e.gain) for e in circuit.elements if isinstance(e, InputSource)), default=1.0)
        scale = np.abs(scaling_of(circuit).scale)
        found = self.read_noise + gain * scale.max() / scale.min() * self.dac_noise + self.mismatch + self.drift
        step = 0.0 if self.adc_bits is None else 2 * self.adc_range / (2**self.adc_bits - 1)
        return float(_DEVIATIONS * found + step)


_DEVIATIONS = 10
"""Standard deviations between two draws that hardly ever are so far apart."""
_STRENGTHS = {
    "dac_noise": "V",
    "read_noise": "V",
    "mismatch": "",
    "drift": "",
    "decay": "",
    "update_bias": "S",
    "programming_noise": "",
}


class ImperfectChip(WrappedChip):
    """A `Chip` behind imperfect pins; every one of its streams comes from `seed`."""

    def __init__(self, chip: Chip, errors: PinErrors, *, seed: int) -> None:
        super().__init__(chip)
        self._errors, self._seed = errors, seed
        held = set(chip.circuit.held_nodes)
        self._free = np.array([k for k, node in enumerate(chip.circuit.nodes) if node not in held], dtype=np.intp)
        self._settled: list[tuple[Reading, Reading]] = []
        self._begun: dict[str, np.random.Generator] = {}
        self.set_step_key(())
        self.program(chip.conductances)

    @property
    @override
    def capabilities(self) -> Capabilities:
        """The inner chip's abilities, with what noise, converters and the twin add to the tolerance."""
        inside = self._chip.capabilities
        return replace(inside, tolerance=inside.tolerance + self._uncertainty)

    @cached_property
    def _uncertainty(self) -> float:
        return self._errors.uncertainty(self.circuit)

    @cached_property
    def _twin(self) -> Conductances:
        """Numbers by which the cells of the twin network differ."""
        return self._fixed("mismatch")

    @cached_property
    def _bias(self) -> Conductances:
        """Numbers with the sign of the bias of every cell's writes."""
        return self._fixed("bias")

    @override
    def set_step_key(self, numbers: Sequence[int]) -> None:
        super().set_step_key(numbers)
        self._key, self._begun = tuple(numbers), {}

    def _rng(self, name: str) -> np.random.Generator:
        """Return a stream of the present step, which begins where it is first asked for."""
        if name not in self._begun:
            self._begun[name] = stream(self._seed, _FIRST_STREAM + _STREAMS.index(name), self._key)
        return self._begun[name]

    @override
    def program(self, conductances: Sequence[Array]) -> None:
        """See `Chip.program`; values go to the nearest level."""
        for array, values in zip(self.circuit.arrays, conductances, strict=True):
            check_bounds(array, values)
        self._chip.program(tuple(self._levelled(k, g, "nearest") for k, g in enumerate(conductances)))

    @override
    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """See `Chip.adjust`: what is written differs from what is wanted by bias, noise and levels."""
        errors, before = self._errors, self.conductances
        reached = []
        for k, (array, g, change) in enumerate(zip(self.circuit.arrays, before, wanted, strict=True)):
            asked = g + change
            if errors.decay:
                asked -= errors.decay * (g - array.g_min)
            if errors.programming_noise:
                spread = errors.programming_noise * (array.g_max - array.g_min)
                asked = np.where(change != 0, asked + spread * self._rng("programming").normal(size=g.shape), asked)
            if errors.update_bias:
                asked = np.where(change != 0, asked + errors.update_bias * np.sign(self._bias[k]), asked)
            changed = asked != g  # a cell that has aged stands at no level, and stays there until it is written
            reached.append(np.where(changed, self._levelled(k, asked, "random") - g, 0.0))
        return self._chip.adjust(reached)

    @override
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        driven = [self._driven(drive) for drive in drives]
        if (self._errors.mismatch or self._errors.drift) and any(drive.nudge is not None for drive in drives):
            settled = self._measured_in_twins(driven)
        else:
            settled = self._chip.measure(driven)
        shown = tuple(self._read(reading) for reading in settled)
        self._settled = list(zip(shown, settled, strict=True))
        return shown

    def _fixed(self, name: str) -> Conductances:
        """Return a standard normal number for each cell, which stays the same for the chip's life (per device)."""
        rng = stream(self._seed, _FIRST_STREAM + _STREAMS.index(name))
        return tuple(rng.normal(size=array.shape) for array in self.circuit.arrays)

    def _driven(self, drive: Drive) -> Drive:
        """Return a drive with the inputs that the converter makes, about the true operating point of the chip."""
        errors, inputs = self._errors, drive.inputs
        if errors.dac_bits is not None:
            inputs = _converted(inputs, errors.dac_bits, errors.dac_range)
        if errors.dac_noise:
            inputs = inputs + errors.dac_noise * self._rng("dac").normal(size=inputs.shape)
        true = drive.at_states(lambda state: next((own for seen, own in self._settled if seen is state), state))
        return true if inputs is drive.inputs else replace(true, inputs=inputs)

    def _measured_in_twins(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """Settle free phases in the chip, and nudged ones in its twin."""
        own, readings, history = self.conductances, dict[int, Reading](), history_of(self._chip)
        pairs = zip(own, self._twin, self.circuit.arrays, strict=True)
        twin = [self._twin_of(*pair) for pair in pairs]
        for conductances, nudged in ((own, False), (twin, True)):
            chosen = [k for k, drive in enumerate(drives) if (drive.nudge is not None) == nudged]
            if chosen:
                self._chip.program(conductances)
                found = self._chip.measure([drives[k] for k in chosen])
                readings.update(zip(chosen, found, strict=True))
        self._chip.program(own)
        recall(self._chip, history)  # the twin has cells of its own, and their writes are none of these
        return tuple(readings[k] for k in range(len(drives)))

    def _twin_of(self, conductances: Array, differences: Array, array: TrainableArray) -> Array:
        """Return the conductances (S) of the twin, in which nudged phases settle."""
        own = conductances - self._errors.drift * (conductances - array.g_min)
        return np.clip(own * (1 + self._errors.mismatch * differences), array.g_min, array.g_max)

    def _read(self, reading: Reading) -> Reading:
        """Return a reading with the read-out's noise and rounding; pins that sources hold are known and not read."""
        errors = self._errors
        if errors.adc_bits is None and not errors.read_noise:
            return reading
        nodes = None
        if reading.volts is not None:
            nodes = reading.all_nodes.copy()
            nodes[:, self._free] = self._seen(nodes[:, self._free])
        elif errors.read_noise:  # that of nodes is drawn all the same, so that outputs do not depend on who sees them
            self._rng("read").normal(size=(len(reading.outputs), len(self._free)))
        return replace(reading, outputs=self._seen(reading.outputs), volts=nodes)

    def _seen(self, volts: Array) -> Array:
        errors, seen = self._errors, volts
        if errors.read_noise:
            seen = self._rng("read").normal(size=volts.shape)
            seen *= errors.read_noise
            seen += volts
        return seen if errors.adc_bits is None else _converted(seen, errors.adc_bits, errors.adc_range)

    def _levelled(self, k: int, conductances: Array, rounding: Literal["nearest", "random"]) -> Array:
        """Return conductances (S) clipped to the range and, if there are levels, brought to one of them."""
        array, levels = self.circuit.arrays[k], self._errors.levels
        inside = np.clip(conductances, array.g_min, array.g_max)
        if levels is None:
            return inside
        step = (array.g_max - array.g_min) / (levels - 1)
        position = (inside - array.g_min) / step
        draw = 0.5 if rounding == "nearest" else self._rng("levels").uniform(1e-9, 1 - 1e-9, position.shape)
        number = np.floor(position + draw)  # what lies at a level but for rounding stays there
        return np.clip(array.g_min + step * number, array.g_min, array.g_max)


def _converted(volts: Array, bits: int, limit: float) -> Array:
    """Return each voltage as the nearest of 2^bits levels from −limit to limit (V)."""
    step = 2 * limit / (2**bits - 1)
    found = np.clip(volts, -limit, limit)
    found += limit
    found /= step
    np.rint(found, out=found)
    found *= step
    found -= limit
    return found

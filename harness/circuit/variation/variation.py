"""Variation of devices as they are made, in passes Circuit -> Circuit. Strength 0 gives the same circuit object.

All randomness here is device to device: drawn once for a chip, the same in every cycle. Fractions are relative standard
deviations. What changes from cycle to cycle (programming noise, read noise) belongs to the chip's wrapper, and so does
learning on faulty cells: learning adjusts programmed conductances, `CellFaults` says what they become.

Unequal gains of bidirectional amplifiers that join the same parts of a circuit leave it without an energy: such a
circuit can be solved and measured, but rules that want its energy take the ideal one (`energy_scales`).

Left out: offsets of input pins (`InputSource` has a gain only).
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.circuit.arrays import TrainableArray
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Diode, Mosfet
from harness.circuit.variation.lines import AmplifierErrors, Law, Leakage, LineResistance, SourceErrors, check_amount
from harness.circuit.variation.nonlinearity import CellNonlinearity
from harness.circuit.variation.temperature import Temperature
from harness.errors import CircuitError
from harness.measurement import Array, Conductances

Mask = npt.NDArray[np.bool_]
_MORE = 1000
"""Streams of random numbers of passes that somebody else wrote, each by its name."""


@dataclass(frozen=True)
class ConductanceSpread:
    """Every cell's conductance is its programmed one × a factor of its own × one of the chip's, clipped to its range.

    Raises:
        CircuitError: a fraction is outside 0…1 or not finite.
    """

    fraction: float = 0.0
    """Relative standard deviation, per device."""
    law: Law = Law.LOG_NORMAL
    """Distribution of both factors."""
    common: float = 0.0
    """Relative standard deviation of the factor that all cells of a chip share."""

    def __post_init__(self) -> None:
        check_amount("conductance spread: fraction", self.fraction, "", 1.0)
        check_amount("conductance spread: common", self.common, "", 1.0)

    def apply(self, circuit: Circuit, rng: np.random.Generator) -> Circuit:
        """The circuit with the conductances that its cells have when they are programmed to the present ones."""
        return faulty(circuit, sample_faults(circuit, spread=self, rng=rng))


@dataclass(frozen=True)
class CellDefects:
    """Probabilities, per device, that a cell cannot be programmed (aihwkit: ``corrupt_devices_prob``, all in one).

    The three are drawn independently; a cell that is drawn twice is open rather than stuck, at g_max rather than g_min.

    Raises:
        CircuitError: a probability is outside 0…1 or not finite.
    """

    stuck_at_min: float = 0.0
    """Probability of being stuck at g_min."""
    stuck_at_max: float = 0.0
    """Probability of being stuck at g_max."""
    open_cells: float = 0.0
    """Probability of being open: 0 S, whatever g_min is."""

    def __post_init__(self) -> None:
        for name, probability in vars(self).items():
            check_amount(f"cell defects: {name}", probability, "", 1.0)

    def apply(self, circuit: Circuit, rng: np.random.Generator) -> Circuit:
        """The circuit with its defective cells; g_min of arrays with open cells becomes 0 S."""
        return faulty(circuit, sample_faults(circuit, **vars(self), rng=rng))


@dataclass(frozen=True, eq=False)
class CellFaults:
    """Faults, by which cells of one array differ from what they are programmed to; arrays here have its shape.

    A chip with faults keeps programmed conductances and has inside it a chip made of ``faulty(circuit, faults)``, which
    it programs to `effective` of them; what it answers to a wanted change is `adjusted`.
    """

    factors: Array = field(repr=False)
    """Effective per programmed conductance."""
    stuck: Mask = field(repr=False)
    """True where programming changes nothing."""
    values: Array = field(repr=False)
    """S; what stuck cells have."""
    g_min: float
    """S, of cells that can be programmed."""
    g_max: float

    @property
    def absent(self) -> bool:
        """True where every cell is as programmed."""
        return bool((self.factors == 1).all() and not self.stuck.any())

    def effective(self, programmed: Array) -> Array:
        """Return the conductances (S) that cells have when they are programmed to `programmed` (S).

        Where that is beyond the range, as of cells that have aged, the range reaches as far.
        """
        low, high = np.minimum(programmed, self.g_min), np.maximum(programmed, self.g_max)
        return np.where(self.stuck, self.values, np.clip(self.factors * programmed, low, high))

    def adjusted(self, programmed: Array, wanted: Array) -> tuple[Array, Array]:
        """Programmed conductances (S) after a wanted change (S), and the change of the effective ones (S).

        Stuck cells keep what they were programmed to, and what is written into them is 0.
        """
        moved = np.where(self.stuck, programmed, np.clip(programmed + wanted, self.g_min, self.g_max))
        return moved, self.effective(moved) - self.effective(programmed)


def effective(conductances: Sequence[Array], faults: Sequence[CellFaults]) -> Conductances:
    """Return the conductances (S) that the cells of all arrays have when they are programmed to `conductances` (S)."""
    return tuple(fault.effective(g) for fault, g in zip(faults, conductances, strict=True))


def faulty(circuit: Circuit, faults: Sequence[CellFaults]) -> Circuit:
    """The circuit with the conductances that its cells really have; the same circuit without any fault.

    Arrays take what their faults make: g_min is lowered to that of an open cell (0 S).

    Raises:
        CircuitError: the faults belong to other arrays, or open cells leave a node without a path to ground.
    """
    shapes = [fault.factors.shape for fault in faults]
    if shapes != (wanted := [array.shape for array in circuit.arrays]):
        raise CircuitError(f"circuit {circuit.name}: faults for cells {shapes}, its arrays have {wanted}; sample anew")
    if all(fault.absent for fault in faults):
        return circuit
    remaining = iter(faults)
    elements = (_faulty(e, next(remaining)) if isinstance(e, TrainableArray) else e for e in circuit.elements)
    return circuit.altered(elements)


def _faulty(array: TrainableArray, fault: CellFaults) -> TrainableArray:
    least = float(np.min(fault.values, where=fault.stuck, initial=array.g_min))
    return replace(array, conductances=fault.effective(array.conductances), g_min=least)


def sample_faults(
    circuit: Circuit,
    *,
    spread: ConductanceSpread | None = None,
    stuck_at_min: float = 0.0,
    stuck_at_max: float = 0.0,
    open_cells: float = 0.0,
    rng: np.random.Generator,
) -> tuple[CellFaults, ...]:
    """Faults of every trainable array; other arguments are those of `CellDefects`.

    Cells are drawn in the order of their array's rows: lines expanded before or after make no difference.
    """
    defects = CellDefects(stuck_at_min, stuck_at_max, open_cells)
    return _sampled(circuit, spread or ConductanceSpread(), defects, rng, rng)


def _sampled(
    circuit: Circuit,
    spread: ConductanceSpread,
    defects: CellDefects,
    first: np.random.Generator,
    second: np.random.Generator,
) -> tuple[CellFaults, ...]:
    """Spread from the first stream, defects from the second one; they may be the same."""
    factors = [spread.law.factors(spread.fraction, array.shape, first) for array in circuit.arrays]
    faults = tuple(_defective(a, f, defects, second) for a, f in zip(circuit.arrays, factors, strict=True))
    common = float(spread.law.factors(spread.common, (1,), first)[0])  # last, so that old seeds make the same chips
    return faults if common == 1 else tuple(replace(fault, factors=common * fault.factors) for fault in faults)


def _defective(array: TrainableArray, factors: Array, defects: CellDefects, rng: np.random.Generator) -> CellFaults:
    low, high, opened = (rng.random(array.shape) < probability for probability in vars(defects).values())
    values = np.select([opened, high, low], [0.0, array.g_max, array.g_min], 0.0)
    return CellFaults(factors, low | high | opened, values, array.g_min, array.g_max)


@dataclass(frozen=True)
class DiodeMismatch:
    """Every diode has a model of its own, named ``d_`` and the diode's name.

    Raises:
        CircuitError: a fraction is outside 0…1 or not finite.
    """

    saturation_current: float = 0.0
    """Relative standard deviation of I_s, log-normal, per device."""
    emission: float = 0.0
    """Relative standard deviation of N, normal, per device."""

    def __post_init__(self) -> None:
        for name, fraction in vars(self).items():
            check_amount(f"diode mismatch: {name}", fraction, "", 1.0)

    def apply(self, circuit: Circuit, rng: np.random.Generator) -> Circuit:
        """The circuit with its diodes.

        Raises:
            CircuitError: a diode was drawn that no model describes, such as N below 0.01, or there are only
                transistors, which would all stay alike; names one.
        """
        count = sum(isinstance(element, Diode) for element in circuit.elements)
        currents = Law.LOG_NORMAL.factors(self.saturation_current, (count,), rng).tolist()
        emissions = Law.NORMAL.factors(self.emission, (count,), rng).tolist()
        if not (self.saturation_current or self.emission):
            return circuit
        if not count:
            for transistor in (element for element in circuit.elements if isinstance(element, Mosfet)):
                raise CircuitError(
                    f"{transistor.title}: it differs from others as no diode does; give spreads of transistors instead"
                )
            return circuit
        drawn = zip(currents, emissions, strict=True)
        return circuit.altered(_own_model(e, *next(drawn)) if isinstance(e, Diode) else e for e in circuit.elements)


def _own_model(diode: Diode, current: float, emission: float) -> Diode:
    model = diode.model
    varied = {"saturation_current": current * model.saturation_current, "emission": emission * model.emission}
    return replace(diode, model=replace(model, name=f"d_{diode.name}", **varied))


@dataclass(frozen=True)
class TransistorMismatch:
    """Every transistor has a model of its own, named ``m_`` and the transistor's name.

    Source: Pelgrom et al. 1989, IEEE J. Solid-State Circuits 24, 1433.

    Raises:
        CircuitError: a strength is negative or not finite, or a fraction above 1.
    """

    threshold: float = 0.0
    """Standard deviation of V_t, V, normal, per device."""
    transconductance: float = 0.0
    """Relative standard deviation of K, log-normal, per device."""

    def __post_init__(self) -> None:
        check_amount("transistor mismatch: threshold", self.threshold, "V")
        check_amount("transistor mismatch: transconductance", self.transconductance, "", 1.0)

    def apply(self, circuit: Circuit, rng: np.random.Generator) -> Circuit:
        """The circuit with its transistors.

        Raises:
            CircuitError: a threshold was drawn that no model has.
        """
        count = sum(isinstance(element, Mosfet) for element in circuit.elements)
        shifts = (self.threshold * rng.standard_normal(count)).tolist()
        factors = Law.LOG_NORMAL.factors(self.transconductance, (count,), rng).tolist()
        if not count or not (self.threshold or self.transconductance):
            return circuit
        drawn = zip(shifts, factors, strict=True)
        return circuit.altered(_own_mosfet(e, *next(drawn)) if isinstance(e, Mosfet) else e for e in circuit.elements)


def _own_mosfet(transistor: Mosfet, shift: float, factor: float) -> Mosfet:
    model = transistor.model
    threshold, factored = model.threshold + shift, factor * model.transconductance
    own = replace(model, name=f"m_{transistor.name}", threshold=threshold, transconductance=factored)
    return replace(transistor, model=own)


class Pass(Protocol):
    """A pass that somebody else wrote."""

    @property
    def name(self) -> str:
        """The name that decides its stream of random numbers."""

    def apply(self, circuit: Circuit, rng: np.random.Generator) -> Circuit:
        """The circuit as this pass makes it."""


@dataclass(frozen=True)
class Variation:
    """All passes in the order in which they are applied, each with strengths of 0 unless they are given."""

    spread: ConductanceSpread = field(default_factory=ConductanceSpread)
    defects: CellDefects = field(default_factory=CellDefects)
    diodes: DiodeMismatch = field(default_factory=DiodeMismatch)
    sources: SourceErrors = field(default_factory=SourceErrors)
    leakage: Leakage = field(default_factory=Leakage)
    amplifiers: AmplifierErrors = field(default_factory=AmplifierErrors)
    lines: LineResistance = field(default_factory=LineResistance)
    temperature: Temperature = field(default_factory=Temperature)
    nonlinearity: CellNonlinearity = field(default_factory=CellNonlinearity)
    more: tuple[Pass, ...] = ()
    """Passes of somebody else's, last."""
    transistors: TransistorMismatch = field(default_factory=TransistorMismatch)

    @property
    def without_faults(self) -> "Variation":
        """Return the variation without spread and defects of cells."""
        return replace(self, spread=ConductanceSpread(), defects=CellDefects())

    @property
    def typical(self) -> "Variation":
        """Return the part of the variation that is the same on every chip: it draws nothing."""
        return Variation(
            leakage=self.leakage, lines=self.lines, temperature=self.temperature, nonlinearity=self.nonlinearity
        )

    @property
    def spares_cells(self) -> bool:
        """True where cells neither spread nor fail."""
        return replace(self.spread, law=Law.LOG_NORMAL) == ConductanceSpread() and self.defects == CellDefects()

    @property
    def absent(self) -> bool:
        """True where every strength is 0."""
        usual = Variation()
        return replace(self, spread=replace(self.spread, law=usual.spread.law)) == usual


def vary(circuit: Circuit, settings: Variation, seed: int) -> Circuit:
    """The circuit as it was made: every pass in turn, each with a stream of its own spawned from the seed.

    One pass's settings never change what another one draws. Conductances are what the cells have when they are
    programmed to those of `circuit`; learning on such cells needs `faults_of` instead (see `CellFaults`).

    Returns:
        The same object where all strengths are 0.

    Raises:
        CircuitError: the seed is negative, or a pass refuses the circuit.
    """
    _check_seed(seed)
    varied = circuit if settings.spares_cells else faulty(circuit, faults_of(circuit, settings, seed))
    for name in _APPLIED:
        if (strengths := getattr(settings, name)) != type(strengths)():
            varied = strengths.apply(varied, _stream(seed, name))
    for one in settings.more:
        key = zlib.crc32(one.name.encode())
        varied = one.apply(varied, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_MORE, key))))
    return varied


def faults_of(circuit: Circuit, settings: Variation, seed: int) -> tuple[CellFaults, ...]:
    """The faults of the cells in ``vary(circuit, settings, seed)``, in the shapes of `circuit`'s arrays.

    For a chip that learns on such cells: ``sound = vary(circuit, …, seed)`` with neither spread nor defects, and
    ``faults_of(sound, settings, seed)``; the cells are the same ones, with lines expanded or not.

    Raises:
        CircuitError: the seed is negative.
    """
    _check_seed(seed)
    streams = _stream(seed, "spread"), _stream(seed, "defects")
    return _sampled(circuit, settings.spread, settings.defects, *streams)


def _stream(seed: int, name: str) -> np.random.Generator:
    """Return the random stream of a field of `Variation`; new ones come last, for the sake of old seeds."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_PLACES[name],)))


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise CircuitError(f"variation: seed {seed} must be at least 0")


_PLACES = {part.name: place for place, part in enumerate(fields(Variation))}
_APPLIED = [name for name in _PLACES if name not in ("spread", "defects", "more")]
"""Passes in the order in which they are applied."""

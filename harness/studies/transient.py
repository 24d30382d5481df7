"""Settling times and energies of a chip: step responses of the free and the nudged phase, in ngspice's time.

At t = 0 the inputs step from 0 V, where the circuit has settled, to a sample; when that has settled, the nudge is
switched on. Every node that no source or amplifier holds has a capacitance to ground: its own and that of every cell at
its line, open or closed. Lines that are held follow their drivers at once; what charging them takes is reported apart.

A phase has settled when every node (or output) stays near its operating point: within a fraction of the largest step
that any of them makes in the phase (of `FLOOR` at least), or within one step of the converter that reads it. Energy is
what all sources, amplifiers and the nudge deliver until nodes and outputs have settled, ∫ Σ v i dt; it becomes heat in
cells, resistors, diodes and the nudge's spring, and charge on capacitances. The amplifiers' own supply is not counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from harness.chip.nodal.stepping import FLOOR, Part, StepResponses, StepRun
from harness.circuit import Circuit
from harness.circuit.dynamics import capacitances
from harness.errors import CircuitError
from harness.files.reading import JsonObject
from harness.measurement import Array, Batch, Nudge
from harness.units import show

FRACTIONS = {"1 %": 1e-2, "0.1 %": 1e-3}
CONVERTER = "ADC step"
ROWS = 3
"""Held-out rows that are simulated unless others are chosen."""


@dataclass(frozen=True)
class Parasitics:
    """Capacitances to ground and the bandwidth of amplifiers.

    Raises:
        CircuitError: a capacitance is negative or not finite, both are 0, or the bandwidth is not above 0.
    """

    node: float
    """F at every free node."""
    line: float
    """F for every cell at a node's word and bit lines (and for every edge at a node of a graph)."""
    bandwidth: float | None = None
    """Hz at which amplifiers and buffers, with the gain that they have, have lost 3 dB; None is ideal."""

    def __post_init__(self) -> None:
        for name, value in (("node", self.node), ("line", self.line)):
            if not 0 <= value < np.inf:
                raise CircuitError(f"{name} capacitance {show(value, 'F')} must be finite and not negative")
        if self.node == self.line == 0:
            raise CircuitError("node and line capacitance are both 0 F: nothing settles; give one of them")
        if self.bandwidth is not None and not 0 < self.bandwidth < np.inf:
            raise CircuitError(f"bandwidth {show(self.bandwidth, 'Hz')} must be finite and above 0 Hz")

    @property
    def time_constant(self) -> float:
        """Time constant of every amplifier in s, 1/(2π bandwidth)."""
        return 0.0 if self.bandwidth is None else 1 / (2 * np.pi * self.bandwidth)


@dataclass(frozen=True)
class Converter:
    """The converter that reads the nodes: 2^bits values over ±range (V), without a range over ± the largest output."""

    bits: int = 8
    range: float | None = None


@dataclass(frozen=True)
class Settled:
    """The times at which a phase has settled by one criterion."""

    criterion: str
    outputs: float
    """s."""
    nodes: float
    """s."""
    energy: float
    """J delivered until then."""

    @property
    def seconds(self) -> float:
        """Time in s until all nodes and outputs have settled: the drop between two nodes may take longer than they."""
        return max(self.outputs, self.nodes)


@dataclass(frozen=True)
class PhaseResponse:
    """The response of one sample in one phase."""

    sample: int
    phase: str
    step: float
    """V: the largest by which any free or amplified node moves."""
    output_step: float
    """V: the largest by which any output moves."""
    settled: tuple[Settled, ...]
    """By criterion: `FRACTIONS`, then `CONVERTER`."""
    dissipated: float
    """J turned into heat until everything has settled to the converter's step."""
    stored: float
    """J that capacitances have gained by then."""
    held: float
    """J that drivers on supplies at the final voltages need to charge held lines, C v₁ (v₁ − v₀); not counted above."""
    power: float
    """W at the end: what the phase costs for as long as it lasts."""
    time_constant: float
    """s: the slowest of the network about its operating point, amplifiers ideal."""
    error: float
    """V from the operating point of the nodal solver at the end."""
    balance: float
    """|delivered − dissipated − stored| over the phase, as a share of what was delivered."""


@dataclass(frozen=True)
class Rate:
    """The rate of samples if each phase waits for its slowest sample to settle by one criterion."""

    criterion: str
    seconds: float
    """s of all phases of one sample."""
    per_second: float | None
    """1/s; None where a phase moves nothing by as much as the criterion: how long to wait for it is not said."""
    energy: float
    """J of all phases of one sample, mean over the samples."""


@dataclass(frozen=True, eq=False)
class Waveform:
    """The voltages of one sample in time."""

    sample: int
    time: Array = field(repr=False)
    """s, ``[points]``."""
    outputs: Array = field(repr=False)
    """V, ``[points, outputs]``."""
    error: Array = field(repr=False)
    """V of the node that is farthest from its operating point in the phase, ``[points]``."""
    nudged: float | None
    """s at which the nudge was switched on."""


@dataclass(frozen=True)
class SettlingResult:
    """Step responses of some samples; `to_json` has everything but the waveforms."""

    circuit: str
    parasitics: Parasitics
    adc_bits: int
    adc_range: float
    """V."""
    adc_step: float
    """V."""
    free_nodes: int
    """Nodes with a capacitance."""
    capacitance: float
    """F of all free nodes."""
    held_capacitance: float
    """F of all lines that sources and amplifiers hold, were they not held."""
    amplifiers: int
    """Amplifiers and buffers."""
    amplifier_time_constant: float
    """s; 0 if they are ideal."""
    amplifier_share: float
    """Share of an amplifier's time constant in its sum with the network's slowest."""
    phases: tuple[PhaseResponse, ...]
    rates: tuple[Rate, ...]
    simulation_seconds: float
    """s inside ngspice's analyses."""
    waveforms: tuple[Waveform, ...] = field(repr=False, compare=False, default=())

    @property
    def nudged(self) -> bool:
        """There is a nudged phase."""
        return any(phase.phase == "nudged" for phase in self.phases)

    def rate(self, criterion: str) -> Rate:
        """Return the rate by one criterion."""
        return next(rate for rate in self.rates if rate.criterion == criterion)

    def to_json(self) -> JsonObject:
        """Return plain numbers, texts and lists."""
        plain = asdict(replace(self, waveforms=()))
        return {name: value for name, value in plain.items() if name != "waveforms"}


def settling(
    circuit: Circuit,
    batch: Batch,
    parasitics: Parasitics,
    *,
    nudge: Callable[[Array, Array], Nudge] | None = None,
    converter: Converter = Converter(),
    numbers: Sequence[int] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> SettlingResult:
    """Simulate a circuit with its programmed conductances in time, sample by sample.

    Inputs step to the samples of the batch; `nudge` is made from the free outputs and the targets (V, ``[batch,
    outputs]``), and None leaves the nudged phase out. The converter gives the last criterion. Samples are called by
    `numbers`, or 0…; `tell` is told what is being done.

    Raises:
        CircuitError: a free node has no capacitance, or the nudge is a clamp.
        ChipError: a phase does not settle, or ngspice failed.
        NgspiceMissing: libngspice cannot be loaded.
    """
    farads = capacitances(circuit, parasitics.node, parasitics.line)
    stages = len(circuit.stages)
    lag = parasitics.time_constant if stages else 0.0
    responses = StepResponses(circuit, farads, batch, nudge, time_constant=lag)
    step, limit = _step_of(converter, responses.free_outputs)
    before = responses.session.analysis_seconds
    phases: list[PhaseResponse] = []
    waveforms = []
    for row, number in enumerate(range(len(batch)) if numbers is None else numbers):
        tell(f"sample {number} ({row + 1} of {len(batch)}): {responses.about(row)}")
        run = responses.run(row, number)
        phases += [_response(number, responses, run, part, step) for part in run.parts]
        waveforms.append(_waveform(number, responses, run))
    own = max(phase.time_constant for phase in phases)
    free = farads[responses.dynamics.free]
    held = float(farads.sum() - free.sum())
    return SettlingResult(
        circuit.name, parasitics, converter.bits, limit, step, len(free), float(free.sum()), held, stages, lag,
        lag / (lag + own), tuple(phases), _rates(phases), responses.session.analysis_seconds - before, tuple(waveforms),
    )  # fmt: skip


def _response(number: int, responses: StepResponses, run: StepRun, part: Part, adc_step: float) -> PhaseResponse:
    moving = responses.dynamics.moving
    time = run.time[part.rows] - run.time[part.rows.start]
    volts = run.volts[part.rows]
    delivered, heat = (_running(time, watts[part.rows]) for watts in (run.delivered, run.heat))
    stored = run.stored[part.rows] - run.stored[part.rows.start]
    goal_outputs, start_outputs = responses.outputs(part.goal[None])[0], responses.outputs(part.start[None])[0]
    output_error = np.abs(responses.outputs(volts) - goal_outputs).max(axis=1)
    node_error = responses.distance(volts, part)
    step = float(np.abs(part.goal - part.start)[moving].max(initial=0.0))
    output_step = float(np.abs(goal_outputs - start_outputs).max())
    settled = []
    for criterion, share in {**FRACTIONS, CONVERTER: 0.0}.items():
        bands = (adc_step, adc_step) if share == 0 else (max(share * s, FLOOR) for s in (output_step, step))
        at_outputs, at_nodes = (
            _entered(time, error, band) for error, band in zip((output_error, node_error), bands, strict=True)
        )
        energy = float(np.interp(max(at_outputs, at_nodes), time, delivered))
        settled.append(Settled(criterion, at_outputs, at_nodes, energy))
    last = settled[-1].seconds
    residue = delivered[-1] - heat[-1] - stored[-1]
    return PhaseResponse(
        sample=number,
        phase=part.phase,
        step=step,
        output_step=output_step,
        settled=tuple(settled),
        dissipated=float(np.interp(last, time, heat)),
        stored=float(np.interp(last, time, stored)),
        held=responses.dynamics.charging(part.start, part.goal),
        power=float(run.delivered[part.rows][-1]),
        time_constant=part.time_constant,
        error=float(node_error[-1]),
        balance=float(abs(residue) / max(abs(delivered[-1]), abs(stored[-1]), np.finfo(float).tiny)),
    )


def _waveform(number: int, responses: StepResponses, run: StepRun) -> Waveform:
    error = np.empty(len(run.time))
    for part in run.parts:
        error[part.rows] = responses.distance(run.volts[part.rows], part)
    nudged = float(run.time[run.parts[1].rows.start]) if len(run.parts) > 1 else None
    return Waveform(number, run.time, responses.outputs(run.volts), error, nudged)


def _entered(time: Array, error: Array, band: float) -> float:
    """Return the s from which an error (V, ``[points]``) stays within a band; between points it falls exponentially."""
    outside = np.flatnonzero(error > band)
    if not len(outside):
        return 0.0
    last = int(outside[-1])
    if last + 1 == len(error):
        return float(time[-1])
    above, below = error[last], max(error[last + 1], np.finfo(float).tiny)
    return float(time[last] + (time[last + 1] - time[last]) * np.log(above / band) / np.log(above / below))


def _running(time: Array, watts: Array) -> Array:
    """Return the J since the first point, ``[points]``."""
    return np.concatenate([[0.0], np.cumsum(np.diff(time) * (watts[1:] + watts[:-1]) / 2)])


def _rates(phases: Sequence[PhaseResponse]) -> tuple[Rate, ...]:
    rates = []
    samples = len({phase.sample for phase in phases})
    for k, criterion in enumerate((*FRACTIONS, CONVERTER)):
        longest: dict[str, float] = {}
        for phase in phases:
            longest[phase.phase] = max(longest.get(phase.phase, 0.0), phase.settled[k].seconds)
        seconds = sum(longest.values())
        energy = sum(phase.settled[k].energy for phase in phases) / samples
        often = 1 / seconds if all(longest.values()) else None
        rates.append(Rate(criterion, seconds, often, energy))
    return tuple(rates)


def _step_of(converter: Converter, outputs: Array) -> tuple[float, float]:
    """Return the V of one step, and the range."""
    if not 1 <= converter.bits <= 24:
        raise CircuitError(f"converter: {converter.bits} bits must lie in 1…24")
    limit = float(np.abs(outputs).max()) if converter.range is None else converter.range
    if not 0 < limit < np.inf:
        raise CircuitError(f"converter: range {show(limit, 'V')} must be finite and above 0 V")
    return 2 * limit / (2**converter.bits - 1), limit

"""Calibrates a board: fits its channels, its settling and its twins, from the best known voltages that it allows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from harness.chip.base import Chip
from harness.chip.bench.calibration import Calibration, Channels
from harness.chip.nodal.chip import nodal_chip
from harness.measurement import Array, Batch, Clamp, Drive
from harness.studies.bench import channels
from harness.studies.bench.settling import Read, settling_time, twin_mismatch

_LEVELS = 17
"""Voltages at which outputs are clamped."""
_EQUATIONS = 6
"""For each unknown, at least."""
_FEWEST, _MOST = 24, 512
"""Samples."""


@dataclass(frozen=True, eq=False)
class Bench:
    """A board without any calibration, and what is needed to calibrate it."""

    chip: Chip
    identity: str
    """Its answer to ``*IDN?``."""
    rows: Batch
    """Samples of the experiment, whose voltages are those that matter."""
    read: Read | None = None
    """Reads outputs after a delay; None where delays cannot be chosen."""
    settle: float = 0.0
    """s, by which outputs may have settled."""
    within: float = 1e-3
    """V that count as settled."""


def calibrate(
    bench: Bench, rng: np.random.Generator, *, tell: Callable[[str], None] = lambda _: None, now: datetime | None = None
) -> Calibration:
    """Measure everything that a calibration holds; no conductance is written.

    Args:
        bench: the board.
        rng: draws the inputs.
        tell: is told what is being done.
        now: the date; None for the time at the beginning.

    Raises:
        BoardError: a channel does not follow, or outputs do not settle.
        LimitError: a voltage would go beyond a limit of the profile.
    """
    chip, date = bench.chip, now or datetime.now(UTC)
    asked = probing_inputs(chip, bench.rows, rng)
    tell("settling")
    settling = None
    if bench.read is not None:
        start, end = _farthest(chip, asked)
        settling = settling_time(bench.read, start, end, bench.settle, bench.within)
    tell("outputs, inputs and nodes")
    found = _fitted(chip, bench.rows, asked)
    tell("twins")
    twins = twin_mismatch(chip, asked)
    return Calibration(date=date, board=bench.identity, settling=settling, twins=twins, **found)


def probing_inputs(chip: Chip, rows: Batch, rng: np.random.Generator) -> Array:
    """Draw inputs within the range of the samples' (V, ``[samples, channels]``): as many as a fit by outputs takes."""
    low, high = rows.inputs.min(axis=0), rows.inputs.max(axis=0)
    widest = max(float(np.abs(rows.inputs).max()), 1e-3)
    low, high = np.where(high > low, low, -widest), np.where(high > low, high, widest)
    wanted = -(-_EQUATIONS * 2 * chip.circuit.channels // len(chip.circuit.outputs))
    return rng.uniform(low, high, (min(max(wanted, _FEWEST), _MOST), chip.circuit.channels))


def _farthest(chip: Chip, asked: Array) -> tuple[Array, Array]:
    """Return the two samples between which an output moves farthest, ``[1, channels]`` each."""
    (reading,) = chip.measure([Drive(asked)])
    volts = reading.outputs[:, np.argmax(np.ptp(reading.outputs, axis=0))]
    low, high = int(np.argmin(volts)), int(np.argmax(volts))
    return asked[low : low + 1], asked[high : high + 1]


def _fitted(chip: Chip, rows: Batch, asked: Array) -> dict[str, Channels]:
    """Return the channels of each kind, fitted to the best reference that there is."""
    circuit, found = chip.circuit, dict[str, Channels]()
    twin = nodal_chip(circuit.with_conductances(chip.conductances))
    (reading,) = chip.measure([Drive(asked)])
    if Clamp in chip.capabilities.nudges:
        found["output"] = _clamped_outputs(chip, rows, asked)
    if (nodes := reading.volts) is not None:
        found["input"] = channels.inputs_at_pins(circuit, asked, nodes)
    elif "output" in found:
        found["input"] = channels.inputs_by_twin(twin, asked, found["output"].undone(reading.outputs))
    (true,) = twin.measure([Drive(found["input"].done(asked) if "input" in found else asked)])
    if "output" not in found:
        found["output"] = channels.fit_channels(true.outputs, reading.outputs, channels.TWIN, _outputs(chip))
    if nodes is not None:
        found["node"] = channels.nodes_by_twin(circuit, true.all_nodes, nodes)
    return found


def _clamped_outputs(chip: Chip, rows: Batch, asked: Array) -> Channels:
    low, high = float(rows.targets.min()), float(rows.targets.max())
    levels = np.linspace(low, high if high > low else low + 1.0, _LEVELS)
    volts = np.repeat(levels[:, None], len(chip.circuit.outputs), axis=1)
    (reading,) = chip.measure([Drive(asked[:_LEVELS], Clamp(volts), "clamped")])
    return channels.fit_channels(volts, reading.outputs, channels.CLAMPS, _outputs(chip))


def _outputs(chip: Chip) -> list[str]:
    return [f"output {output.name}" for output in chip.circuit.outputs]

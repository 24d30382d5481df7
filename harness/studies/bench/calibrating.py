"""Calibrates a board: fits its channels, its settling and its twins, from the best known voltages that it allows."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from harness.chip.base import Chip
from harness.chip.bench.calibration import Calibration, Channels, Settling
from harness.chip.bench.profile import Profile, load_profile
from harness.chip.nodal.chip import nodal_chip
from harness.circuit import Circuit
from harness.experiment.experiment import Experiment
from harness.measurement import Array, Batch, Clamp, Drive
from harness.studies.bench import channels
from harness.studies.bench.opening import open_bench
from harness.studies.bench.settling import settling_time, twin_mismatch

_LEVELS = 17
"""Voltages at which outputs are clamped."""
_EQUATIONS = 6
"""For each unknown, at least."""
_FEWEST, _MOST = 24, 512
"""Samples."""
_WITHIN = 1e-3
"""V that count as settled where the profile does not say."""


def calibrate(
    chip: Chip,
    identity: str,
    rows: Batch,
    rng: np.random.Generator,
    settling: Settling | None = None,
    now: datetime | None = None,
) -> Calibration:
    """Fit the channels of a board, and measure the mismatch of its twins; no conductance is written.

    Args:
        chip: the board, without any calibration.
        identity: its answer to ``*IDN?``.
        rows: samples of the experiment, whose voltages are those that matter.
        rng: draws the inputs.
        settling: as it was measured before.
        now: the date; None for the time at the beginning.

    Raises:
        BoardError: a channel does not follow.
        LimitError: a voltage would go beyond a limit of the profile.
    """
    date, asked = now or datetime.now(UTC), probing_inputs(chip.circuit, rows, rng)
    found, twins = _fitted(chip, rows, asked), twin_mismatch(chip, asked)
    return Calibration(date=date, board=identity, settling=settling, twins=twins, **found)


def probing_inputs(circuit: Circuit, rows: Batch, rng: np.random.Generator) -> Array:
    """Draw inputs within the range of the samples' (V, ``[samples, channels]``): as many as a fit by outputs takes."""
    low, high = rows.inputs.min(axis=0), rows.inputs.max(axis=0)
    widest = max(float(np.abs(rows.inputs).max()), 1e-3)
    low, high = np.where(high > low, low, -widest), np.where(high > low, high, widest)
    wanted = -(-_EQUATIONS * 2 * circuit.channels // len(circuit.outputs))
    return rng.uniform(low, high, (min(max(wanted, _FEWEST), _MOST), circuit.channels))


def _farthest(chip: Chip, asked: Array) -> tuple[Array, Array]:
    """Return the two samples between which an output of the twin moves farthest, ``[1, channels]`` each."""
    (reading,) = _twin(chip).measure([Drive(asked)])
    volts = reading.outputs[:, np.argmax(np.ptp(reading.outputs, axis=0))]
    low, high = int(np.argmin(volts)), int(np.argmax(volts))
    return asked[low : low + 1], asked[high : high + 1]


def _twin(chip: Chip) -> Chip:
    return nodal_chip(chip.circuit.with_conductances(chip.conductances))


def _fitted(chip: Chip, rows: Batch, asked: Array) -> dict[str, Channels]:
    """Return the channels of each kind, fitted to the best reference that there is."""
    circuit, found = chip.circuit, dict[str, Channels]()
    twin = _twin(chip)
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


def calibrate_board(
    name: str, subject: Experiment, resource: str | None = None, *, tell: Callable[[str], None] = lambda _: None
) -> tuple[Calibration, Profile]:
    """Calibrate a profile's board, which holds an experiment's network; returns the profile, too.

    How outputs settle is measured first, unless the board always waits for the same time; channels are read after
    that time, or the profile's if that is longer.

    Args:
        name: a packaged profile's, or the path of one's own.
        subject: the experiment.
        resource: the board's address, instead of the profile's.
        tell: is told what is being done.

    Raises:
        ChipError: see `calibrate`; or the board cannot be reached, or does not fit, or its outputs do not settle.
    """
    profile, seed = load_profile(name), subject.settings.training.seed
    rows, timing = subject.data.train.batch(slice(None)), profile.timing
    bare = profile.model_copy(update={"calibration": None})
    with open_bench(bare, subject, resource) as chip:
        settling = None
        if chip.fixed_wait is None:
            tell("how outputs settle")
            start, end = _farthest(chip, probing_inputs(chip.circuit, rows, np.random.default_rng(seed)))
            settling = settling_time(chip.outputs_after, start, end, timing.settle, timing.settle_check or _WITHIN)
    longer = timing.model_copy(update={"settle": max(timing.settle, settling.settle if settling else 0.0)})
    with open_bench(bare.model_copy(update={"timing": longer}), subject, resource) as chip:
        tell("inputs, outputs and nodes")
        return calibrate(chip, chip.identity, rows, np.random.default_rng(seed), settling), profile

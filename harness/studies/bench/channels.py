"""Fits the gain and the offset of a board's channels against known voltages.

The references, from the best to the last: clamps hold outputs at known voltages; the nodes of input pins show what
inputs really apply; and the digital twin, the drawn circuit with the conductances that were read back, solved by the
nodal chip, knows every voltage as far as the board is that circuit.
"""

from collections.abc import Sequence

import numpy as np

from harness.chip.base import Chip
from harness.chip.bench.calibration import DECIMALS, LARGEST_GAIN, SMALLEST_GAIN, Channels
from harness.circuit import Circuit, InputSource
from harness.errors import BoardError
from harness.measurement import Array, Drive
from harness.units import show

TWIN = "digital twin"
CLAMPS = "clamps at the outputs"
PINS = "nodes of the input pins"
_USUAL = 0.1
"""Gains are expected to be off by so much, and offsets by so much of the voltages."""
_ROUNDING = 1e-9
"""Errors of readings are not believed to be smaller, as a fraction of the voltages."""
_ROUNDS = 4
_STEP = 1e-4
"""Share of the largest input, by which inputs are moved in the twin."""


def fit_channels(true: Array, read: Array, against: str, names: Sequence[str]) -> Channels:
    """Fit ``read = gain · true + offset`` to each channel.

    Where voltages hardly differ, gain and offset stay near 1 and 0 V (a Gaussian prior).

    Args:
        true: V, ``[samples, channels]``.
        read: likewise.
        against: where the true voltages are from.
        names: of the channels.

    Raises:
        BoardError: a channel does not follow; names it.
    """
    fitted = [_line(*columns) for columns in zip(true.T, read.T, strict=True)]
    gain, offset = (np.array([pair[k] for pair in fitted]) for k in (0, 1))
    left = np.sqrt(np.mean((read - gain * true - offset) ** 2, axis=0))
    return _channels(against, gain, offset, left, names)


def inputs_at_pins(circuit: Circuit, asked: Array, nodes: Array) -> Channels:
    """Fit input channels to the voltages at their pins; channels without a pin are taken as right.

    Args:
        circuit: as drawn.
        asked: V before the input gain, ``[samples, channels]``.
        nodes: V that were read, ``[samples, nodes]``.
    """
    applied, pins = np.zeros_like(asked), np.zeros(asked.shape[1])
    for source in circuit.elements:
        if isinstance(source, InputSource) and source.gain:
            applied[:, source.channel] += nodes[:, circuit.node_index[source.node]] / source.gain
            pins[source.channel] += 1
    applied = np.where(pins > 0, applied / np.maximum(pins, 1), asked)
    return fit_channels(asked, applied, PINS, names("input", asked.shape[1]))


def inputs_by_twin(twin: Chip, asked: Array, outputs: Array) -> Channels:
    """Fit all input channels at once to outputs that are right, by Gauss and Newton's method in the twin.

    Args:
        twin: with the board's conductances.
        asked: V before the input gain, ``[samples, channels]``.
        outputs: V, ``[samples, outputs]``.
    """
    count = asked.shape[1]
    usual = np.repeat([_USUAL, _USUAL * _size(asked)], count)  # gains, then offsets
    off = np.zeros(2 * count)
    for _ in range(_ROUNDS):
        applied = asked * (1 + off[:count]) + off[count:]
        expected, slopes = _linearized(twin, applied)
        at_offsets = slopes.reshape(count, -1).T  # [samples · outputs, channels]
        at_gains = (slopes * asked.T[:, :, None]).reshape(count, -1).T
        columns, misfit = np.hstack([at_gains, at_offsets]), (outputs - expected).ravel()
        noise = max(_rms(misfit), _ROUNDING * _size(outputs))
        weighted = np.vstack([columns * usual / noise, np.eye(2 * count)])
        wanted = np.concatenate([misfit / noise + columns @ off / noise, np.zeros(2 * count)])
        off = usual * np.linalg.lstsq(weighted, wanted, rcond=None)[0]
    (reading,) = twin.measure([Drive(asked * (1 + off[:count]) + off[count:])])
    left = np.full(count, _rms(outputs - reading.outputs))
    return _channels(f"{TWIN}, by the outputs", 1 + off[:count], off[count:], left, names("input", count))


def nodes_by_twin(circuit: Circuit, true: Array, read: Array) -> Channels:
    """Fit the nodes that settle; those that a source or an amplifier holds are taken as right."""
    held = [node in circuit.held_nodes for node in circuit.nodes]
    return fit_channels(true, np.where(held, true, read), f"{TWIN}; held nodes are taken as right", circuit.nodes)


def names(kind: str, count: int) -> list[str]:
    """Return names for channels that have only numbers."""
    return [f"{kind} {k}" for k in range(count)]


def _line(true: Array, read: Array) -> tuple[float, float]:
    """Return gain and offset of one channel: the most likely ones, given those that are usual."""
    columns = np.column_stack([true, np.ones_like(true)])
    plain = np.linalg.lstsq(columns, read - true, rcond=None)[0]
    noise = max(_rms(columns @ plain - (read - true)), _ROUNDING * _size(true))
    usual = np.array([_USUAL, _USUAL * _size(true)])
    weighted = np.vstack([columns * usual / noise, np.eye(2)])
    wanted = np.concatenate([(read - true) / noise, np.zeros(2)])
    off = usual * np.linalg.lstsq(weighted, wanted, rcond=None)[0]
    return 1 + float(off[0]), float(off[1])


def _channels(against: str, gain: Array, offset: Array, residual: Array, called: Sequence[str]) -> Channels:
    wrong = next((k for k, g in enumerate(gain) if not SMALLEST_GAIN <= g <= LARGEST_GAIN), None)
    if wrong is not None:
        raise BoardError(
            f"{called[wrong]}: where 1 V is due there are {show(gain[wrong], 'V')} (against {against}); such a channel "
            "is not off but not connected, or connected to something else: see harness bench probe"
        )
    gains, offsets, left = (tuple(np.round(values, DECIMALS).tolist()) for values in (gain, offset, residual))
    return Channels(against=against, gain=gains, offset=offsets, residual=left)


def _linearized(twin: Chip, inputs: Array) -> tuple[Array, Array]:
    """Return the twin's outputs, ``[samples, outputs]``, and their slopes, ``[channels, samples, outputs]``."""
    step = _STEP * _size(inputs)
    moved = [Drive(inputs + step * unit) for unit in np.eye(inputs.shape[1])]
    free, *others = (reading.outputs for reading in twin.measure([Drive(inputs), *moved]))
    return free, np.stack([other - free for other in others]) / step


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _size(volts: Array) -> float:
    """Return the largest voltage, V, or a volt where there is none."""
    return float(np.abs(volts).max(initial=0.0)) or 1.0

"""Probes a board: who it is, what it can, and which outputs move when an input is driven a little."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.chip.bench.board import Board, Extent
from harness.chip.bench.profile import Profile, load_profile
from harness.errors import BoardError, LimitError
from harness.measurement import Access, Array, Drive
from harness.studies.bench.opening import opened
from harness.units import show

_QUIET = 4
"""Readings of grounded inputs, whose scatter is the noise."""
_ABOVE = 8.0
"""Times the noise: what moves farther has moved."""
_LEAST = 1e-6
"""V that no output moves by chance."""
_LONGER = (0.01, 0.1)
"""s that outputs get where nothing moves."""
_SHARE, _LARGEST = 0.1, 1.0
"""Share of the largest voltage that inputs bear, and V, which "a little" is."""


@dataclass(frozen=True)
class InputRow:
    """One input that was driven."""

    channel: int
    outputs: tuple[int, ...]
    """Those that moved."""
    largest: float
    """V, the farthest move of any output."""


@dataclass(frozen=True)
class Found:
    """A board as it was found."""

    identity: str
    """Its answer to ``*IDN?``."""
    can: tuple[str, ...]
    """Its abilities, as far as the profile uses them."""
    extent: Extent
    volts: float
    """V at the input that was driven."""
    profile_settle: float
    """s that the profile gives outputs."""
    settle: float
    """s that they had here: more where nothing moved."""
    noise: float
    """V, standard deviation of outputs while all inputs are at 0 V."""
    inputs: tuple[InputRow, ...]


def probe(
    name: str,
    resource: str | None = None,
    volts: float | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Found:
    """Open a board, ask who it is, and drive each input to ±`volts` with the others at 0 V.

    Its pins are grounded at the end, however that comes.

    Args:
        name: of a packaged profile, or the path of one's own.
        resource: its address, instead of the profile's.
        volts: V; None for a tenth of ``limits.v_max``, and at most a volt.
        tell: is told what is being done.

    Raises:
        ExperimentError: there is no such profile, or something in it is wrong.
        ChipError: the board cannot be reached, is another one than the profile expects, or does not answer as it must.
        LimitError: `volts` is beyond the profile's limits.
    """
    profile = load_profile(name)
    most = profile.limits.v_max / profile.channels.gain
    driven = min(_SHARE * most, _LARGEST) if volts is None else volts
    if not 0 < driven <= most:
        by = "" if profile.channels.gain == 1 else f" over channels.gain = {profile.channels.gain:g}"
        bound = f"limits.v_max = {show(profile.limits.v_max, 'V')}{by}"
        raise LimitError(f"{show(driven, 'V')} at an input must be above 0 V and at most {bound}")
    with opened(profile, resource) as board:
        identity, extent = board.identify(), board.extent()
        profile.refuse_other(identity)
        inputs = extent.inputs or len(profile.channels.inputs or {})
        if not inputs:
            raise BoardError(
                "the board does not tell how many inputs it has; name them in channels.inputs of its profile"
            )
        largest = min(batch for batch in (profile.can.batch, extent.batch, inputs) if batch)
        longer = [t for t in _LONGER if t > profile.timing.settle and extent.wait is None]
        for settle in (profile.timing.settle, *longer):
            rows, noise = _driven(board, inputs, driven, settle, largest, tell)
            if any(row.outputs for row in rows):
                break
        return Found(identity, _abilities(profile), extent, driven, profile.timing.settle, settle, noise, tuple(rows))


def _driven(
    board: Board, inputs: int, volts: float, settle: float, largest: int, tell: Callable[[str], None]
) -> tuple[list[InputRow], float]:
    """Return a row for each input, and the noise of outputs (V); at most `largest` samples go into a message."""

    def read(samples: Array) -> Array:
        parts = [samples[k : k + largest] for k in range(0, len(samples), largest)]
        return np.vstack([board.measure([Drive(part)], Access.OUTPUTS, settle)[0] for part in parts])

    quiet = read(np.zeros((_QUIET, inputs)))
    noise = float(quiet.std(axis=0, ddof=1).max())
    rows, least = [], max(_ABOVE * noise, _LEAST)
    for channel in range(inputs):
        tell(f"input {channel + 1} of {inputs}")
        samples = np.zeros((2, inputs))
        samples[:, channel] = volts, -volts
        moved = np.abs(read(samples) - quiet.mean(axis=0)).max(axis=0)
        rows.append(InputRow(channel, tuple(np.flatnonzero(moved > least).tolist()), float(moved.max())))
    return rows, noise


def _abilities(profile: Profile) -> tuple[str, ...]:
    reads = "reads outputs and nodes" if profile.can.access is Access.NODES else "reads outputs"
    return (*(f"nudges by {name}" for name in profile.can.nudge), reads, f"writes cells by {profile.write.mode.value}")

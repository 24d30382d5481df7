"""Pictures of step responses."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.pictures.style import as_bytes, own_style
from harness.studies.transient import CONVERTER, SettlingResult, Waveform

_SHOWN = 8  # outputs of a sample


@own_style()
def draw_settling(found: SettlingResult, title: str) -> bytes:
    """Draw the outputs of the first sample in time, and every sample's distance from each phase's end, as a PNG."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    outputs, errors = figure.subplots(1, 2)
    first = found.waveforms[0]
    factor, unit = _scale(max(wave.time[-1] for wave in found.waveforms))
    _draw_outputs(outputs, first, factor)
    for wave in found.waveforms:
        for k, (rows, begin) in enumerate(_phases(wave)):
            shown = np.maximum(wave.error[rows], 1e-9)
            label = None if k else f"sample {wave.sample}"
            dashes = "--" if k else "-"
            errors.semilogy(
                factor * (wave.time[rows] - begin), shown, dashes, color=f"C{wave.sample % 10}", label=label
            )
    errors.axhline(found.adc_step, color="0.4", linewidth=1, label=f"{CONVERTER} ({found.adc_bits} bits)")
    outputs.set(xlabel=f"time ({unit})", ylabel="output (V)", title=f"{title}, sample {first.sample}")
    told = "free (–) and nudged (- -) phase" if found.nudged else "free phase"
    errors.set(xlabel=f"time since the step ({unit})", ylabel="farthest node from its operating point (V)", title=told)
    for axes in (outputs, errors):
        axes.grid(alpha=0.3)
    outputs.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    errors.legend(fontsize=8)
    return as_bytes(figure)


def _draw_outputs(axes: Axes, wave: Waveform, factor: float) -> None:
    chosen = np.argsort(-np.ptp(wave.outputs, axis=0), kind="stable")[:_SHOWN]
    for k in sorted(chosen.tolist()):
        axes.plot(factor * wave.time, wave.outputs[:, k], linewidth=1.2, label=f"output {k}")
    if wave.nudged is not None:
        axes.axvline(factor * wave.nudged, color="0.4", linestyle=":", label="nudge on")


def _phases(wave: Waveform) -> Sequence[tuple[slice, float]]:
    if wave.nudged is None:
        return [(slice(None), 0.0)]
    middle = int(np.searchsorted(wave.time, wave.nudged))
    return [(slice(middle), 0.0), (slice(middle, None), wave.nudged)]


def _scale(seconds: float) -> tuple[float, str]:
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return factor, unit
    return 1e9, "ns"

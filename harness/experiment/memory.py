"""Memory that an experiment asks for, told before it asks, and what this machine gives.

Figures are what was measured of the largest parts, rounded down: an experiment that is refused would not have fitted.
"""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import comb, prod
from pathlib import Path

from harness.errors import ExperimentError
from harness.experiment.sections import EquilibriumNetworkSettings, GraphSettings
from harness.experiment.settings import Settings

_CELL = 60
"""B of a cell: its conductance, gradient, change and moments, and its line in the netlist."""
_EDGE = 1000
"""B of an edge of a graph, which is an object with names."""
_MATRIX = 2 * 8
"""B of an entry of the reduced network's matrix, of which two and more are alive while it is made."""
_LINE_CELL = 60
"""B of a cell: its conductance, gradient, change and moments, and its line in the netlist."""
_READING = 3 * 8
"""B of a node's voltage in a phase: solved, completed and read."""
_PHASES = 2
_SIMULATOR = 80_000_000
"""B of an ngspice in a process of its own."""
_POINT = 20_000
"""B of a point of a sweep: its settings, and the texts that tell it from others."""
_GIB = 2**30
_NEW = "memory.max", "memory.current", "inactive_file"
_OLD = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
"""Files of a control group, and a line in its ``memory.stat``: version 2, and version 1."""


@dataclass(frozen=True)
class Part:
    """Something that takes memory."""

    what: str
    size: float
    """B."""
    cure: str


def refuse_experiment(settings: Settings, channels: int, outputs: int, rows: int) -> None:
    """Refuse an experiment whose arrays this machine cannot hold, before any of them is made.

    Args:
        settings: of the experiment.
        channels: of its data.
        outputs: that the data want.
        rows: of the data, for training.

    Raises:
        ExperimentError: says what needs how much, how much is free, and what to change.
    """
    refuse(settings.name, list(_parts(settings, channels, outputs, rows)))


def refuse_points(count: int) -> None:
    """Refuse a sweep with more points than this machine can hold the settings of.

    Raises:
        ExperimentError: see `refuse_experiment`.
    """
    refuse("the sweep", [Part(f"{count:,} points", _POINT * count, "give fewer values, draws, seeds or chips")])


def refuse_workers(count: int) -> None:
    """Refuse more ngspices than this machine can hold.

    Raises:
        ExperimentError: see `refuse_experiment`.
    """
    refuse("--workers", [Part(f"{count:,} processes with an ngspice each", _SIMULATOR * count, "start fewer")])


def refuse(who: str, parts: list[Part]) -> None:
    """Refuse what takes more than is free; the largest part is named, with its cure.

    Raises:
        ExperimentError: see `refuse_experiment`.
    """
    total, (free, whose) = sum(part.size for part in parts), available()
    if total > free:
        worst = max(parts, key=lambda part: part.size)
        share = "" if worst.size >= 0.995 * total else f", {gibibytes(worst.size)} of them"
        raise ExperimentError(
            f"{who}: about {gibibytes(total)} of memory would be needed{share} for {worst.what}, and "
            f"{gibibytes(free)} are free ({whose}); {worst.cure}"
        )


def exhausted(error: MemoryError) -> str:
    """What to say when memory has run out all the same."""
    free, whose = available()
    wanted = f" ({error})" if str(error) else ""
    return (
        f"out of memory{wanted}: {gibibytes(free)} are free now ({whose}); make the network, the batch "
        "(training.batch) or the number of workers smaller, or free memory"
    )


def gibibytes(size: float) -> str:
    """Bytes as people read them."""
    return f"{size / _GIB:.3g} GiB" if size < 1000 * _GIB else f"{size / _GIB:,.0f} GiB"


def available() -> tuple[float, str]:
    """B that this process may still take, and what says so; infinite where nothing does."""
    return min([*_of_the_machine(), *_of_control_groups(), *_of_the_process(), (float("inf"), "no limit")])


def _of_the_machine() -> Iterator[tuple[float, str]]:
    for line in _text(Path("/proc/meminfo")).splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            yield 1024.0 * int(amount.split()[0]), "of the machine"


def _of_control_groups() -> Iterator[tuple[float, str]]:
    """Limits of containers and batch systems: this process's group and those around it, in both versions of them."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):
            root = Path("/sys/fs/cgroup") / controllers
            here = root / group.lstrip("/")
            for folder in [here, *here.parents]:
                if folder == root.parent:
                    break
                yield from _of_control_group(folder, *(_OLD if controllers else _NEW))


def _of_control_group(folder: Path, most: str, now: str, cache: str) -> Iterator[tuple[float, str]]:
    """What files have in its cache counts as free: the kernel gives it back."""
    limit, used = (_text(folder / name).strip() for name in (most, now))
    if limit.isdigit() and used.isdigit():
        counts = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
        taken = int(used) - int(counts.get(cache, 0))
        yield float(max(0, int(limit) - taken)), "of the control group"


def _of_the_process() -> Iterator[tuple[float, str]]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        pages = _text(Path("/proc/self/statm")).split()
        used = int(pages[0]) * os.sysconf("SC_PAGE_SIZE") if pages else 0
        yield float(max(0, limit - used)), "of the process, by ulimit -v"


def _text(path: Path) -> str:
    """Of a file of the system; nothing where it is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _parts(settings: Settings, channels: int, outputs: int, rows: int) -> Iterator[Part]:
    network, batch = settings.network, min(settings.training.batch, rows)
    if isinstance(network, GraphSettings):
        nodes = _nodes(network)
        yield Part(f"{_edges(network):,} edges", _EDGE * _edges(network), f"take a smaller graph{_SHAPE}")
        unknown = nodes if network.edge_diode != "none" else len(network.outputs)
        cure = f"take a smaller graph{_SHAPE}"
    else:
        layers = [2 * channels, *network.hidden, 2 * outputs]
        pairs = list(pairwise(layers))
        cells = sum(map(prod, pairs))
        if isinstance(network, EquilibriumNetworkSettings):
            cells += network.hidden[0] ** 2
        cure = "take fewer hidden nodes (network.hidden)"
        yield Part(f"{cells:,} cells", _CELL * cells, cure)
        if settings.variation.line_word or settings.variation.line_bit:
            lined = sum(words * bits * min(words, bits) for words, bits in pairs)
            yield Part(f"{cells:,} cells on resistive lines", _LINE_CELL * lined, cure)
        nodes, unknown = sum(layers), sum(layers[1:])
    yield Part(f"the equations of {unknown:,} unknowns", _MATRIX * unknown**2, cure)
    read = _READING * _PHASES * batch * nodes
    yield Part(f"{batch:,} samples of {nodes:,} nodes in each phase", read, "take a smaller batch (training.batch)")


_SHAPE = " (network.nodes, rows, columns, degree)"


def _nodes(network: GraphSettings) -> int:
    match network.shape:
        case "file":
            return 0  # the file bounds it
        case "grid" | "periodic-grid":
            return network.rows * network.columns
    return network.nodes


def _edges(network: GraphSettings) -> int:
    match network.shape:
        case "file":
            return 0
        case "grid" | "periodic-grid":
            return 2 * network.rows * network.columns
        case "complete":
            return comb(network.nodes, 2)
    return network.nodes * network.degree // 2

"""Memory that this machine gives, against what is about to be asked for: refused before anything is made."""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ExperimentError

_SIMULATOR = 80_000_000
"""B of an ngspice in a process of its own."""
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


def refuse_workers(count: int) -> None:
    """Refuse more ngspices than this machine can hold.

    Raises:
        ExperimentError: see `refuse`.
    """
    refuse("--workers", [Part(f"{count:,} processes with an ngspice each", _SIMULATOR * count, "start fewer")])


def workers_that_fit(most: int) -> int:
    """Return how many ngspices this machine can hold: at least 1, and at most so many."""
    return max(1, int(min(most, available()[0] // _SIMULATOR)))


def refuse(who: str, parts: list[Part]) -> None:
    """Refuse what takes more than is free; the largest part is named, with its cure.

    Raises:
        ExperimentError: says what needs how much, how much is free, and what to change.
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
    """Return the message for memory that has run out all the same."""
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
    """Return the memory (B) that this process may still take, and what limits it; infinite where nothing does."""
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
    """Yield the memory (B) that is free in a control group, its cache of files included, and whose it is."""
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
    """Return the text of a file of the system; it is empty where the file cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""

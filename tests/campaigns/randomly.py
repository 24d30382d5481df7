"""Campaign: trainings and sweeps are killed at random moments, resumed and killed again, until they have ended.

Then they have to be, bit for bit, what they are undisturbed.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from tests.campaigns import children, killing
from tests.campaigns.aftermath import differences, settled
from tests.campaigns.mutation import pick
from tests.campaigns.subjects import TINY, BrokenCampaignError, Subjects, content_of, put
from tests.campaigns.tally import Tally
from tests.campaigns.verdicts import Fault, faults_of

_LIMITS = children.Limits(60.0, 300.0)


@dataclass(frozen=True)
class _Subject:
    first: str
    resume: str
    deaths: tuple[str, ...]
    """Who dies: the command, its whole session at once, or a process that it has started."""


KINDS = {
    "training": _Subject("train tiny.toml --run out --set training.epochs=12", "train --resume out", ("command",)),
    "training in one ngspice": _Subject(
        "train tiny.toml --run out --chip ngspice --workers 1 --set training.epochs=6",
        "train --resume out --workers 1",
        ("command",),
    ),
    "training in two ngspices": _Subject(
        "train tiny.toml --run out --chip ngspice --workers 2 --set training.epochs=6 --set chip.chunk=1",
        "train --resume out --workers 2",
        ("command", "command", "session", "worker"),
    ),
    "sweep": _Subject(
        "sweep tiny.toml --to out --over rule.beta=1e-7,5e-7,1e-6 --set training.epochs=3 --workers 2",
        "sweep --resume out --workers 2",
        ("command", "command", "session", "worker"),
    ),
}


def run(name: str, kills: int, subjects: Subjects, scratch: Path, tally: Tally) -> Iterator[int]:
    """Kill so many times; yields their number after each."""
    rng = np.random.default_rng([tally.seed, crc32(name.encode())])
    subject, folder = KINDS[name], scratch / "case"
    undisturbed, seconds = _undisturbed(subject, folder)
    done = 0
    while done < kills:
        put(folder, {"tiny.toml": TINY.encode()})
        finished = False
        while done < kills and not finished:
            words, about = _next(subject, folder), f"randomly: {name}, kill {done}"
            ended, faults = _killed(words, folder, rng, subject, seconds)
            finished = ended.code is not None
            if finished:
                faults += _wrong_at_the_end(undisturbed, folder)
            tally.note(f"randomly: {name}", ended, faults, files=content_of(folder), words=words, about=about)
            done += 1
            yield kills


def _undisturbed(subject: _Subject, folder: Path) -> tuple[dict[str, bytes], float]:
    put(folder, {"tiny.toml": TINY.encode()})
    ended = children.run(subject.first.split(), folder, limits=_LIMITS, before=killing.save_every_batch)
    if ended.code != 0:
        raise BrokenCampaignError(f"harness {subject.first}: {ended}")
    return settled(folder), ended.seconds


def _next(subject: _Subject, folder: Path) -> list[str]:
    return (subject.resume if (folder / "out").exists() else subject.first).split()


def _killed(
    words: list[str], folder: Path, rng: np.random.Generator, subject: _Subject, seconds: float
) -> tuple[children.Ended, list[Fault]]:
    """Start a command, let it or a process of its die after a random while, and wait for the end."""
    child = children.start(words, folder, limits=_LIMITS, before=killing.save_every_batch)
    who = pick(rng, subject.deaths)
    if not child.ended_within(rng.uniform(0, seconds)):
        if who == "worker" and (workers := child.processes()):
            os.kill(pick(rng, workers), signal.SIGKILL)
        elif who == "session":
            os.killpg(child.pid, signal.SIGKILL)
        else:
            os.kill(child.pid, signal.SIGKILL)
    ended = child.wait()
    faults = [fault for fault in faults_of(ended, folder) if (fault.what, ended.signal) != ("crash", signal.SIGKILL)]
    if ended.code not in (0, None):
        faults.append(Fault("lost", f"after a kill of {who}: {ended.err.strip()[-150:]}"))
    return ended, faults


def _wrong_at_the_end(undisturbed: dict[str, bytes], folder: Path) -> list[Fault]:
    names = differences(undisturbed, settled(folder))
    return [Fault("differs", ", ".join(names))] if names else []

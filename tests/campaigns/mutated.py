"""Campaign: files damaged in the ways of their format and byte by byte, given to the commands that read them."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from tests.campaigns import children
from tests.campaigns.children import Ended
from tests.campaigns.mutation import damage, pick
from tests.campaigns.subjects import BrokenCampaignError, Subject, Subjects, content_of, put
from tests.campaigns.tally import Tally
from tests.campaigns.verdicts import Fault, faults_of

_SPECIAL: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "/dev/full": lambda path: path.symlink_to("/dev/full"),
    "nothing": lambda path: None,
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a file of 9 GB": lambda path: (path.touch(), os.truncate(path, 9_000_000_000)),
}
"""What can stand where a file should, by name, and how it is made."""
_WEIGHTS = {"conductances": 4.0, "evaluate": 4.0, "check": 2.0, "show": 0.3, "audit": 0.3, "report": 0.15, "sweep": 0.1}
"""How often a command is drawn, beside 1: those that take long are drawn less."""


@dataclass(frozen=True)
class Case:
    """Damaged files and the command that reads them."""

    files: Mapping[str, bytes]
    target: str
    words: tuple[str, ...]
    about: str
    special: str = ""
    """What stands in place of the target that is no plain file, if anything."""


def run(kind: str, cases: range, subjects: Subjects, scratch: Path, tally: Tally) -> Iterator[int]:
    """Run the cases of a kind with these numbers; yields how many there are after each."""
    subject = subjects.subject(kind)
    for number in cases:
        steps = list(_cases(subject, kind, tally.seed, number))
        _check_undamaged(subjects, subject, steps[-1], scratch)
        ended, faults = tried(steps[-1], scratch)
        smallest = steps[-1]
        if faults:  # an earlier step may do as well
            for step in steps[:-1]:
                if set(faults) <= set((again := tried(step, scratch))[1]):
                    smallest, (ended, faults) = step, again
                    break
        tally.note(kind, ended, faults, files=smallest.files, words=smallest.words, about=smallest.about)
        yield len(cases)


def _cases(subject: Subject, kind: str, seed: int, number: int) -> Iterator[Case]:
    """The case of a number, after each of its mutations."""
    rng = np.random.default_rng([seed, crc32(kind.encode()), number])
    target = pick(rng, subject.targets)
    weights = np.array([_WEIGHTS.get(command.split()[0], 1.0) for command in subject.commands])
    command = subject.commands[rng.choice(len(weights), p=weights / weights.sum())]
    words = _words(command, target)
    if rng.random() < 0.02:
        special = pick(rng, list(_SPECIAL))
        yield Case(
            subject.files, target, words, f"{kind}, case {number} of seed {seed}: {target} is {special}", special
        )
        return
    sealed = rng.random() < 2 / 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zipfile, about what is meant to be wrong
        done = damage(rng, target, subject.files[target])
    for last, (_, content) in enumerate(done):
        about = f"{kind}, case {number} of seed {seed}: {target} {', '.join(name for name, _ in done[: last + 1])}"
        files = {**subject.files, target: content}
        yield Case(subject.seal(files) if sealed else files, target, words, about)


def _words(command: str, target: str) -> tuple[str, ...]:
    experiment = "values.toml" if "values" in target else "classes.toml"
    named = {"TARGET": target, "RUN": target.partition("/")[0], "OF": experiment}
    return tuple(named.get(word, word) for word in command.split())


def _check_undamaged(subjects: Subjects, subject: Subject, case: Case, scratch: Path) -> None:
    """The command has to end well with the files as they are, once; else its refusals would tell nothing."""
    key = " ".join((case.target, *case.words))
    if key not in subjects.undisturbed:
        plain = Case(subject.files, case.target, case.words, "undamaged")
        ended, faults = tried(plain, scratch)
        subjects.undisturbed[key] = ended, {}
        if faults or ended.code != 0:
            raise BrokenCampaignError(f"harness {' '.join(case.words)}, undamaged: {ended}, {faults}")


def tried(case: Case, scratch: Path) -> tuple[Ended, list[Fault]]:
    """Run a case; what is wrong with how it ended and with what it left."""
    folder = scratch / "case"
    put(folder, case.files)
    if case.special:
        (folder / case.target).unlink()
        _SPECIAL[case.special](folder / case.target)
    ended = children.run(case.words, folder, environment={"HOME": str(scratch / "home")})
    return ended, faults_of(ended, folder) + _left_wrong(case, ended, folder)


def _left_wrong(case: Case, ended: Ended, folder: Path) -> Iterator[Fault] | list[Fault]:
    """Parts of files, half a folder after an error, or an input that is another."""
    if ended.hung or ended.signal is not None:
        return []
    found = []
    after = content_of(folder)
    if any(name.endswith(".partial") for name in after):
        found.append(Fault("left", "a part of a file"))
    if ended.code != 0 and not ended.interrupted:
        made = sorted({name.partition("/")[0] for name in after if name.partition("/")[0] == "out"})
        if made and case.words[0] not in ("train", "sweep"):
            found.append(Fault("left", f"{case.words[0]} leaves {made[0]} after an error"))
        files = [n for n in case.files if not (case.special and n == case.target)]
        changed = [n for n in files if after.get(n) != case.files[n] and not n.startswith(("begun/", "sweep/"))]
        if changed and case.words[0] not in ("verify", "regress"):
            found.append(Fault("lost", f"{case.words[0]} changes an input after an error"))
    return found

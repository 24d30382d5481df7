"""Campaign: a command is killed at each change that it makes to a file; then the user goes on.

Whatever is there under the name that was asked for has to be whole, what is given next has to work, and in the end
everything is as if nothing had happened, without a part of a file left.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns import children, killing
from tests.campaigns.aftermath import differences, settled
from tests.campaigns.subjects import BrokenCampaignError, Subjects, content_of, put
from tests.campaigns.tally import Tally
from tests.campaigns.verdicts import Fault, faults_of

_LIMITS = children.Limits(60.0, 300.0)


@dataclass(frozen=True)
class Killed:
    """A command to kill, and how a user goes on."""

    files: Mapping[str, bytes]
    command: str
    then: str = ""
    """What follows where the output is there, and at the end in any case."""
    output: str = "out"
    again: bool = False
    """The command may be given again over its own output."""


def run(name: str, step: int, subjects: Subjects, scratch: Path, tally: Tally) -> Iterator[int]:
    """Kill a command at every `step`-th moment; yields the number of moments, after each.

    Raises:
        BrokenCampaignError: the command fails undisturbed, or changes no file.
    """
    killed = COMMANDS[name](subjects)
    undisturbed = _undisturbed(killed, scratch)
    moments = _moments(killed, scratch)
    if not moments:
        raise BrokenCampaignError(f"harness {killed.command} changes no file, so that there is no moment to kill it at")
    for count, torn in moments[::step]:
        folder = scratch / "case"
        put(folder, killed.files)
        ended = children.run(killed.command.split(), folder, limits=_LIMITS, before=_killer(folder, count, torn))
        faults = [] if ended.signal == 9 else [Fault("kill", f"{killed.command} was not killed at a moment it had")]
        left = content_of(folder)
        gone_on, words = _go_on(killed, folder)
        faults += [fault for each in gone_on for fault in faults_of(each, folder)]
        if gone_on and gone_on[-1].code != 0:
            said = _short(gone_on[-1].err, scratch)
            faults.append(Fault("lost", f"after a kill, harness {words}: exit code {gone_on[-1].code}: {said}"))
        elif differing := differences(undisturbed, settled(folder)):
            faults.append(Fault("differs", f"after a kill of {killed.command.split()[0]}: {', '.join(differing)}"))
        about = f"kills of {name}: moment {count}" + ("" if torn is None else f", {torn:.0%} of the last file written")
        last = gone_on[-1] if gone_on else ended
        tally.note(f"kills: {name}", last, faults, files=left, words=(words or killed.command).split(), about=about)
        yield len(moments[::step])


def _killer(folder: Path, count: int, torn: float | None) -> object:
    def before() -> None:
        killing.save_every_batch()
        killing.kill_at(folder, count, torn=torn)

    return before


def _moments(killed: Killed, scratch: Path) -> list[tuple[int, float | None]]:
    """Before each change; where a file was opened just before, also when it is empty and when it is half written."""
    folder, file = scratch / "case", os.memfd_create("operations")
    put(folder, killed.files)

    def before() -> None:
        killing.save_every_batch()
        killing.write_into(folder, file)

    ended = children.run(killed.command.split(), folder, limits=_LIMITS, before=before)
    if ended.code != 0:
        raise BrokenCampaignError(f"harness {killed.command}: {ended}")
    os.lseek(file, 0, os.SEEK_SET)
    with open(file) as lines:
        changes = lines.read().splitlines()
    moments: list[tuple[int, float | None]] = []
    for count in range(len(changes)):
        moments.append((count, None))
        if count and changes[count - 1].startswith("open ") and ".lock" not in changes[count - 1]:
            moments += [(count, 0.0), (count, 0.5)]
    return moments


def _undisturbed(killed: Killed, scratch: Path) -> dict[str, bytes]:
    folder = scratch / "case"
    put(folder, killed.files)
    for command in filter(None, (killed.command, killed.then)):
        ended = children.run(command.split(), folder, limits=_LIMITS, before=killing.save_every_batch)
        if ended.code != 0:
            raise BrokenCampaignError(f"harness {command}: {ended}")
    return settled(folder)


def _go_on(killed: Killed, folder: Path) -> tuple[list[children.Ended], str]:
    """What a user would do next; the last command that was given."""
    commands = [killed.command] if killed.again or not (folder / killed.output).exists() else []
    commands += [killed.then] if killed.then else []
    ended = []
    for command in commands:
        ended.append(children.run(command.split(), folder, limits=_LIMITS, before=killing.save_every_batch))
        if ended[-1].code != 0:
            return ended, command
    return ended, commands[-1] if commands else ""


def _short(text: str, scratch: Path) -> str:
    return re.sub(r"\d+", "N", " ".join(text.replace(str(scratch), "").split()))[-100:]


def _with_runs(command: str, then: str = "", **more: object) -> object:
    return lambda subjects: Killed(subjects.subject("run-manifest").files, command, then, **more)


def _of(kind: str, command: str, then: str = "", **more: object) -> object:
    return lambda subjects: Killed(subjects.subject(kind).files, command, then, **more)


COMMANDS = {
    "train": _of("experiment", "train tiny.toml --run out --set training.epochs=2", "train --resume out"),
    "train in ngspice": _of(
        "experiment",
        "train tiny.toml --run out --chip ngspice --set training.epochs=1 --workers 1",
        "train --resume out --workers 1",
    ),
    "train from": _with_runs("train --from run --set training.epochs=1 --run out", "train --resume out"),
    "resume": _with_runs("train --resume begun", "evaluate begun", output="begun", again=True),
    "evaluate": _with_runs("evaluate run", again=True),
    "import-mlp": _of("weights", "import-mlp weights.npz --into cascade.toml --run out", "train --resume out"),
    "conductances import": _of("cells", "conductances import run cells.csv --to out", "train --resume out"),
    "conductances export": _with_runs("conductances export run --to out.csv", output="out.csv"),
    "conductances export npz": _with_runs("conductances export run --to out.npz", output="out.npz"),
    "export": _with_runs("export run --to out --samples 0", "verify out"),
    "export in CDL": _with_runs("export run --to out --dialect cdl"),
    "export behavioural": _with_runs("export run --to out --samples 0 --cells behavioural --device yakopcic"),
    "verify": _of("package", "verify package", output="package", again=True),
    "report": _with_runs("report run --to out.html", output="out.html", again=True),
    "show": _with_runs("show run --to out.svg", output="out.svg", again=True),
    "check": _with_runs("check run --chip nodal", again=True),
    "audit": _with_runs("audit run --chip nodal --samples 1 --to out.png", output="out.png", again=True),
    "transient": _with_runs("transient run --samples 0 --to out.png", output="out.png", again=True),
    "sweep": _of(
        "experiment",
        "sweep tiny.toml --set training.epochs=1 --over rule.beta=1e-7,1e-6 --workers 1 --to out",
        "sweep --resume out --workers 1",
    ),
    "sweep of a run": _with_runs(
        "sweep run --over rule.beta=1e-6 --deploy --workers 1 --to out", "sweep --resume out --workers 1"
    ),
    "sweep resume": _of("sweep", "sweep --resume sweep --workers 1", output="sweep", again=True),
    "regress update": _of(
        "experiment",
        "regress suite.toml --update --reason first --workers 1",
        "regress suite.toml --workers 1",
        again=True,
    ),
    "regress junit": _of("suite", "regress suite.toml --workers 1 --junit out.xml", output="out.xml", again=True),
    "devices import": _of("pulses", "devices import pulses.csv --to out.svg", output="out.svg", again=True),
    "benchmark scaling": _of(
        "experiment",
        "benchmark tiny.toml --scaling --seconds 0.1 --set chip.kind=ngspice --to out.png",
        output="out.png",
        again=True,
    ),
}
"""Commands that write, by what they are called in the table."""

"""What is wrong with how a command ended."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns.children import Ended
from tests.campaigns.hostile import EXECUTED

_TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(r'File "[^"]*?/(harness/[^"]+)", line \d+, in (\S+)')
_WARNING = re.compile(r"^\S*:\d+: (\w*Warning): .*", re.MULTILINE)
_PYTHONS_WORDS = re.compile(
    r"index out of range|NoneType|unhashable|not subscriptable|object has no attribute|invalid literal for|"
    r"could not convert string|unsupported operand|must be str, not|not enough values to unpack|too many values|"
    r"zero-size array|could not be broadcast|out of bounds for axis|object is not|argument must be|KeyError|"
    r"expected str, bytes|takes \d+ positional|dict_keys|<class |<harness\.|numpy\.|object at 0x|: None$|Errno"
)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    what: str
    """``executed``, ``traceback``, ``warning``, ``hang``, ``crash``, ``silent``, ``words``, ``left``, ``lost`` …"""
    detail: str
    """Tells it from others of its kind; cases of the same fault share it."""


def faults_of(ended: Ended, folder: Path) -> list[Fault]:
    """Faults that show in how a command ended, whatever it was."""
    said = ended.err + ended.out
    found = []
    if executed := sorted({file.name.removeprefix(EXECUTED).strip("-") for file in folder.rglob(f"{EXECUTED}*")}):
        found.append(Fault("executed", ", ".join(executed) or "a command from a file"))
    if _TRACEBACK in said:
        found.append(Fault("traceback", _where(said)))
    if ended.hung:
        found.append(Fault("hang", "it waits without working, or Ctrl-C does not end it"))
    elif ended.signal is not None:
        found.append(Fault("crash", f"signal {ended.signal}"))
    elif ended.code not in (0, 1, 2):
        found.append(Fault("crash", f"exit code {ended.code}"))
    if ended.left:
        found.append(Fault("processes", "processes are left"))
    if warning := _WARNING.search(said):
        found.append(Fault("warning", _general(f"{warning.group(1)}: {warning.group(0).rpartition('Warning: ')[2]}")))
    if ended.code in (1, 2) and not ended.interrupted and _TRACEBACK not in said:
        found += _about_sentence(ended)
    return found


def _about_sentence(ended: Ended) -> list[Fault]:
    last = (ended.err.strip() or ended.out.strip()).rpartition("\n")[2]
    if not last or last == "Aborted!":
        return [Fault("silent", f"exit code {ended.code} and {last!r}")]
    sentences = [line for line in ended.err.splitlines() if line.startswith(("harness: ", "Error: "))]
    if words := next((found for line in sentences if (found := _PYTHONS_WORDS.search(line))), None):
        return [Fault("words", f"an error in Python's own words: {words.group()}")]
    return []


def _where(said: str) -> str:
    """The exception's name and the innermost function of the project's that it came through."""
    frames = _FRAME.findall(said)
    names = [line for line in said[said.index(_TRACEBACK) :].splitlines() if re.match(r"[\w.]+(: |$)", line)]
    name = names[-1].partition(":")[0] if names else "?"
    return f"{name} in {frames[-1][0]}: {frames[-1][1]}" if frames else name


def _general(text: str) -> str:
    """Without numbers, so that cases of one kind share it."""
    return re.sub(r"\d+", "N", text)[:120]

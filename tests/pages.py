"""Pages as a reader would try them: titled blocks become files, commands are typed in their order, code is run.

The blocks of a page, between fences of three backticks, are done in one empty folder:

* A block with a title, such as ``toml title="mine.toml"``, is a file of that name, there before any command; so is a
  CSV file beside the page to which it links, for the reader to download.
* Lines of ``sh`` blocks are typed in their order. ``harness …`` and ``python FILE`` run; ``&`` at a line's end serves a
  board while the rest of the page runs, on a free port; a comment that begins with ``# fails`` says that the exit code
  is 1. ``make …`` must be a target of the Makefile. Lines of other programs must look like one of `ELSEWHERE`.
* ``python`` blocks without a title are one script, which runs last, with warnings as errors.
* ``text``, ``pycon``, ``json`` blocks and those without a language are shown output, or files of somebody else.

Quick words (`QUICK`) are added to commands that would take long, unless the line says such a word itself.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "pages"
QUICK: dict[tuple[str, ...], tuple[str, ...]] = {
    ("train",): ("--set training.epochs=1",),
    ("sweep",): ("--set training.epochs=1", "--workers 1"),
    ("regress",): ("--workers 1",),
    ("bench", "characterize"): ("--cells 1", "--pulses 20"),
}
"""Words by which tests make commands quick."""
FULL: tuple[str, ...] = ()
"""Lines that run as they stand in tests too."""
RUN, SHOWN = ("sh", "python", "toml", "csv"), ("", "text", "pycon", "json", "spice", "ini", "yaml")
"""Languages of blocks that are done, and of blocks that are only shown."""
ELSEWHERE = (
    r"(sudo )?(apt-get|brew|conda|mamba|pip|pipx|git|dask) .+",
    r"(python3? -m (venv|pip|build)|\. \.venv/bin/activate|source \.venv/bin/activate).*",
    r"cd [\w./-]+( && ngspice -b [\w.]+)?",
    r"(tensorboard|ngspice|jupyter) .+",
    r"(eval|export|echo|mkdir) .+",
)
"""Lines that run other programs, or in other places; tests do not type them."""
_PORT = "5025"
_RUNNING = ("harness", "python", "make")


@dataclass(frozen=True)
class Block:
    """A part of a page between fences."""

    language: str
    title: str
    text: str


@dataclass(frozen=True)
class Command:
    """A line of a ``sh`` block, without its comment."""

    line: str
    comment: str

    @property
    def words(self) -> list[str]:
        """Its words, without settings of the environment before them and ``&`` behind them."""
        return [word for word in shlex.split(self.line) if word != "&"][len(self.environment) :]

    @property
    def environment(self) -> dict[str, str]:
        """Variables that the line sets for its command."""
        before = re.match(r"(?:[A-Z_]+=\S* )*", self.line)
        assert before is not None
        return dict(word.split("=", 1) for word in shlex.split(before.group()))

    @property
    def program(self) -> str:
        """The program that it runs."""
        return self.words[0]

    @property
    def served(self) -> bool:
        """True where it goes on while others run."""
        return self.line.endswith("&")

    def quick(self) -> "Command":
        """Return the command with the words that make it quick, but for those that it says itself."""
        if self.line in FULL or {"--resume", "--replay"} & set(self.words):
            return self
        more = [m for start, words in QUICK.items() if self.words[1:][: len(start)] == [*start] for m in words]
        return Command(" ".join([self.line, *(m for m in more if not self._says(m))]), self.comment)

    def _says(self, words: str) -> bool:
        *_, last = words.split()
        return last.partition("=")[0] in self.line if "=" in last else words.split(maxsplit=1)[0] in self.line


def blocks_of(text: str, language: str | None = None) -> list[Block]:
    """Return the blocks of a page, or those in one language."""
    found = re.findall(r"^( *)```([\w-]*)([^\n`]*)\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    titles = (re.search(r'title="([^"]*)"', rest) for _, _, rest, _ in found)
    blocks = [
        Block(name, title.group(1) if title else "", textwrap.dedent(content))
        for (_, name, _, content), title in zip(found, titles, strict=True)
    ]
    return [block for block in blocks if language in (None, block.language)]


def commands_of(text: str) -> list[Command]:
    """Return the lines of a page's ``sh`` blocks in their order; a backslash joins a line with the next one."""
    whole = (re.sub(r"\s*\\\n\s*", " ", block.text) for block in blocks_of(text, "sh"))
    parted = (re.match(r"(.*?)(?:(?:^|\s+)# *(.*))?$", line.strip()) for part in whole for line in part.splitlines())
    found = (Command(part.group(1).strip(), part.group(2) or "") for part in parted if part)
    return [command for command in found if command.line]


def problems_of(text: str) -> Iterator[str]:
    """Yield a sentence for each block and line that nobody would try."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for block in blocks_of(text):
        if block.language not in (*RUN, *SHOWN):
            yield f"a block in {block.language!r} is not run; write one of {', '.join(filter(None, (*RUN, *SHOWN)))}"
        if block.title and Path(block.title).stem not in text.replace(block.text, "").replace(f'"{block.title}"', ""):
            yield f"nothing on the page uses {block.title}"
    for command in commands_of(text):
        if command.program == "make" and not targets.issuperset(w for w in command.words[1:] if "=" not in w):
            yield f"the Makefile has no target {command.line!r}"
        elif command.program not in _RUNNING and not any(re.fullmatch(form, command.line) for form in ELSEWHERE):
            yield f"{command.line!r} runs a program that pages do not know; add its form to ELSEWHERE"


@contextmanager
def folder_of(text: str, folder: Path, beside: Path = PAGES) -> Iterator[None]:
    """Go into an empty folder with the files of a page that lies `beside` those to which it links."""
    for name in set(re.findall(r"\]\(([\w-]+\.csv)\)", text)):
        shutil.copy(beside / name, folder / name)
    for block in blocks_of(text):
        if block.title:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    with chdir(folder):
        yield


def typed(commands: Iterable[Command], *, shown: bool = False) -> None:
    """Type commands in this folder; each must end as it should."""
    with ExitStack() as boards:
        for command in commands:
            if command.served:
                boards.enter_context(_served(command))
            elif command.program == "harness":
                _called(command, shown=shown)
            elif command.program == "python":
                _run(command.words[1:])


def done(text: str, folder: Path, leaving_out: Sequence[str] = (), beside: Path = PAGES) -> str:
    """Do all of a page as tests do it, but for some of its lines, and return what its code prints.

    `beside` is its folder.
    """
    commands = [command.quick() for command in commands_of(text) if command.line not in leaving_out]
    script = "\n".join(block.text for block in blocks_of(text, "python") if not block.title)
    with folder_of(text, folder, beside):
        typed(commands)
        if script:
            Path("page.py").write_text(script, encoding="utf-8")
            return _run(["page.py"])
    return ""


def _called(command: Command, *, shown: bool) -> None:
    """Run a command of harness in this process."""
    from harness.cli.main import main

    result = CliRunner().invoke(main, command.words[1:], env=command.environment)
    if shown:
        sys.stdout.write(f"$ {command.line}\n{result.output}")
    wanted = 1 if command.comment.startswith("fails") else 0
    assert result.exit_code == wanted, (command.line, result.output, result.exception)


def _run(words: Sequence[str]) -> str:
    """Run Python, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "MPLBACKEND": "agg"}
    result = subprocess.run(
        [sys.executable, "-W", "error", *words], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, (words, result.stderr)
    return result.stdout


@contextmanager
def _served(command: Command) -> Iterator[None]:
    """Serve a board on a free port, which replaces the usual one in the profiles of this folder."""
    words = [sys.executable, "-m", "harness", *command.words[1:], "--port", "0", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as board:
        try:
            assert board.stdout is not None
            port = json.loads(board.stdout.readline())["resource"].split("::")[2]
            for profile in Path().glob("*.toml"):
                text = profile.read_text(encoding="utf-8")
                profile.write_text(text.replace(_PORT, port), encoding="utf-8")
            yield
        finally:
            board.terminate()

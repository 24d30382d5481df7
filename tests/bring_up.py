"""The commands of ``docs/bench.md`` and of README's second screen, as a reader would type them.

``python -m tests.bring_up`` (``make bench-pictures``) runs those of the page, and puts their pictures into ``docs/``.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

import click
from click.testing import CliRunner, Result

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "bench.md"
PROFILE = "my-board.toml"
_PORT = "5025"
_PICTURES = {
    "curves.png": "bench-curves.png",
    "compare.png": "bench-compare.png",
    "runs/iris-seed0/training.png": "bench-training.png",
}
"""Files that the commands write, and what they are called in ``docs/``."""


def blocks(text: str, language: str) -> list[str]:
    """Return the parts of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def profile_in(text: str) -> str:
    """Return the profile of a board in a page."""
    (found,) = (block for block in blocks(text, "toml") if "[limits]" in block)
    return found


def commands_in(text: str) -> list[list[str]]:
    """Return the commands of a page that work with that board, in their order, without ``harness``."""
    whole = (block.replace("\\\n", " ") for block in blocks(text, "sh"))
    lines = [re.split(r"\s#", line)[0].strip() for block in whole for line in block.splitlines()]
    told = [shlex.split(line)[1:] for line in lines if line.startswith("harness ")]
    return [words for words in told if words[0] == "bench" or PROFILE in words or "curves.csv" in words]


@contextmanager
def board_of(text: str, folder: Path) -> Iterator[list[list[str]]]:
    """Serve the board of a page on a free port, and put its profile into a folder; gives the commands that follow."""
    (serve, *others) = commands_in(text)
    assert serve[:2] == ["bench", "serve"]
    assert serve[-1] == "&"
    words = [sys.executable, "-m", "harness", *serve[:-1], "--port", "0", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as board:
        try:
            assert board.stdout is not None
            port = json.loads(board.stdout.readline())["resource"].split("::")[2]
            (folder / PROFILE).write_text(profile_in(text).replace(_PORT, port))
            yield others
        finally:
            board.terminate()


def called(words: Sequence[str]) -> Result:
    """Run a command in this process."""
    from harness.cli.main import main

    return CliRunner().invoke(main, list(words))


def _rebuild() -> None:
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch), board_of(text, Path(scratch)) as commands:
        for words in [*commands, ["devices", "import", "curves.csv"]]:
            result = called(words)
            click.echo(f"$ harness {shlex.join(words)}\n{result.output}")
            assert result.exit_code == 0, result.exception
        for made, name in _PICTURES.items():
            shutil.copy(made, PAGE.parent / name)


if __name__ == "__main__":
    _rebuild()

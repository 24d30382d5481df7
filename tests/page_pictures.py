"""The pictures that pages and README show, each made by commands.

``make pictures`` makes all of them, ``make pictures ARGS=board`` some.

To show another picture, add what makes it to `MADE`, and run ``make pictures ARGS=NAME``.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from tests.pages import PAGES, commands_of, folder_of, typed

FOLDER = PAGES / "pictures"
"""Where pictures lie that pages and README show."""


@dataclass(frozen=True)
class Made:
    """Commands that make pictures, typed in an empty folder."""

    pictures: dict[str, str]
    """Names of pictures in `FOLDER`, and the files that the commands write them into."""
    commands: str
    """As a reader would type them, a line each; nothing where a page has them."""
    page: str = ""
    """A page whose files and commands come first."""
    quickly: str = ""
    """Commands that tests type instead, where those that make the pictures take minutes."""

    def make(self, folder: Path, *, quick: bool) -> dict[str, Path]:
        """Type the commands in an empty folder, and return the pictures by name; quickly, they are others."""
        page = PAGES / self.page
        text = page.read_text(encoding="utf-8") if self.page else ""
        with folder_of(text, folder, page.parent):
            typed([command.quick() if quick else command for command in commands_of(text)], shown=not quick)
        return self.end(folder, quick=quick)

    def end(self, folder: Path, *, quick: bool) -> dict[str, Path]:
        """Type its own commands in a folder in which those of its page are done, and return the pictures by name."""
        own = commands_of(f"```sh\n{(quick and self.quickly) or self.commands}\n```")
        with chdir(folder):
            typed([command.quick() if quick else command for command in own], shown=not quick)
        return {name: folder / file for name, file in self.pictures.items()}


MADE = {
    "digits": Made(
        {"digits-training.png": "runs/digits-seed0/training.png"},
        "harness train digits",
        quickly="harness train digits --chip nodal",
    ),
    "board": Made(
        {
            "board-curves.png": "curves.png",
            "board-compare.png": "compare.png",
            "board-training.png": "runs/iris-seed0/training.png",
        },
        "harness devices import curves.csv",
        page="tutorials/board.md",
    ),
    "physics": Made(
        {"co-content.png": "co-content.png", "gradient-errors.png": "gradient-errors.png"}, "", page="physics/index.md"
    ),
    "iris": Made({"iris-network.png": "iris.png"}, "harness show iris --to iris.png"),
    "convolution": Made(
        {"digits-conv-network.png": "digits-conv.png"}, "harness show digits-conv --to digits-conv.png"
    ),
    "moons": Made({"moons-boundary.png": "runs/moons-seed0/boundary.png"}, "harness train moons --chip nodal"),
    "activations": Made({"activations.png": "activations.png"}, "", page="physics/monotone.md"),
    "your-data": Made({"penguins-training.png": "runs/penguins-seed0/training.png"}, "", page="tutorials/your-data.md"),
    "your-circuit": Made({"absolute.png": "absolute.png"}, "", page="tutorials/your-circuit.md"),
    "devices": Made({"devices-pulses.png": "pulses.png"}, "", page="tutorials/devices.md"),
    "designers": Made({"designers-steps.png": "steps.png"}, "", page="tutorials/designers.md"),
    "layout": Made({"xor-layout.png": "xor-layout.png"}, "", page="guide/layout.md"),
    "tolerance": Made({"tolerance-spread.png": "spread/sweep.png"}, "", page="tutorials/tolerance.md"),
}
"""What makes each picture."""


def is_picture(file: Path) -> bool:
    """Return True for a file that a browser shows as a picture."""
    start = file.read_bytes()[:400]
    return start.startswith(b"\x89PNG") or b"<svg" in start


def _main(names: Sequence[str]) -> None:
    for name in names or MADE:
        with tempfile.TemporaryDirectory() as scratch:
            for picture, made in MADE[name].make(Path(scratch), quick=False).items():
                shutil.copy(made, FOLDER / picture)


if __name__ == "__main__":
    _main(sys.argv[1:])
